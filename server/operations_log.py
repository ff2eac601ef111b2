"""What the service did, for its operators: one line a request, on standard error.

This is not the audit trail: that is in the store, signed.  No name of a secret, no value, no query,
no token and no text that a caller chose stands here, but for request ids, and these only of the form
that Key Vault's clients send.
"""

from __future__ import annotations

import os
import re
import sys
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

# POSIX promises that so much goes into a pipe in one piece: lines of several workers stay whole.
_WHOLE: Final = 4096
_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
_WORD = re.compile(r"[0-9A-Za-z./:@_-]{1,253}", re.ASCII)

Form = Literal["json", "text"]


class OperationsLog:
    """Lines for a stream; those of one turn of the event loop are written together."""

    def __init__(self, form: Form = "json", worker: int = 0, fd: int | None = None) -> None:
        self._form = form
        self._worker = worker
        self._fd = sys.stderr.fileno() if fd is None else fd
        self._lines: list[bytes] = []

    def request(
        self,
        *,
        vault: str,
        operation: str,
        status: int,
        seconds: float,
        request: str = "",
        client_request: str = "",
        principal: str = "",
    ) -> None:
        """One request was answered.  *operation* is an AuditEvent's name, *principal* an oid."""
        self._add(
            {
                "time": now_text(),
                "event": "request",
                "worker": self._worker,
                "vault": _word(vault),
                "operation": operation,
                "status": status,
                "durationMs": round(seconds * 1000, 3),
                "requestId": request if _WORD.fullmatch(request) else "",
                "clientRequestId": client_request if _ID.fullmatch(client_request) else "",
                "principal": _word(principal),
            }
        )

    def event(self, event: str, **facts: str | int | float) -> None:
        """Something happened to the service itself."""
        line = {"time": now_text(), "event": event, **facts}
        if self._worker:
            line["worker"] = self._worker
        self._add(line)

    def _add(self, line: dict[str, str | int | float]) -> None:
        self._lines.append(_json(line) if self._form == "json" else _text(line))
        if len(self._lines) > 1:
            return
        loop = _running_loop()
        if loop is None:
            self.flush()
        else:
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what was not written yet."""
        lines, self._lines = self._lines, []
        piece = b""
        for line in lines:
            if piece and len(piece) + len(line) > _WHOLE:
                self._write(piece)
                piece = b""
            piece += line
        self._write(piece)

    def _write(self, piece: bytes) -> None:
        try:
            while piece:
                piece = piece[os.write(self._fd, piece) :]
        except OSError:
            # Whoever read it is gone, or reads too slowly: the service goes on.  What must not be
            # lost is in the store.
            pass


def _running_loop() -> AbstractEventLoop | None:
    # Who has not loaded asyncio runs no loop: the supervisor, which is to stay small.
    loaded = sys.modules.get("asyncio")
    try:
        return None if loaded is None else loaded.get_running_loop()
    except RuntimeError:
        return None


def now_text() -> str:
    """Now, as RFC 3339 has it."""
    second, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_second(second)}.{microseconds:06}Z"


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=256)
def _word(text: str) -> str:
    """*text* if it is a plain word; what a caller could have made up is not repeated."""
    return text if _WORD.fullmatch(text) else ""


def _json(line: dict[str, str | int | float]) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _text(line: dict[str, str | int | float]) -> bytes:
    head = f"{line.pop('time')} {line.pop('event')}"
    rest = "".join(f" {key}={_quoted(value)}" for key, value in line.items() if value != "")
    return (head + rest + "\n").encode()


def _quoted(value: str | int | float) -> str:
    if isinstance(value, str) and not _WORD.fullmatch(value):
        return msgspec.json.encode(value).decode()
    return str(value)
