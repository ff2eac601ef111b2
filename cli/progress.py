"""How far long work is, on standard error: count, rate and time left.

Nothing is said in the first half second.  On a terminal one line moves; elsewhere a line is written
every ten seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO

from cli.terminal import is_terminal

_SILENT = 0.5
_TERMINAL_EVERY = 0.1
_LOG_EVERY = 10.0
_BAR = 24


class Progress:
    """A context: call it with (done, total), and what is shown ends with the work."""

    def __init__(
        self,
        what: str,
        stream: IO[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._moves = is_terminal(self._stream)
        self._began = clock()
        self._next = self._began + (_SILENT if self._moves else _LOG_EVERY)
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + (_TERMINAL_EVERY if self._moves else _LOG_EVERY)
        line = self._line(done, total, now - self._began)
        self._stream.write(f"\r\x1b[K{line}" if self._moves else f"{line}\n")
        self._stream.flush()
        self._shown = True

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown and self._moves:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _line(self, done: int, total: int, seconds: float) -> str:
        rate = done / seconds if seconds > 0 else 0.0
        left = _clock_text((total - done) / rate) if rate else "?"
        count = f"{self._what} {done:,} of {total:,}, {rate:,.0f}/s, {left} left"
        if not self._moves or not total:
            return count
        filled = min(_BAR, _BAR * done // total)
        return f"[{'#' * filled}{'.' * (_BAR - filled)}] {count}"


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
