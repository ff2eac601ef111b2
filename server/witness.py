"""A witness over HTTP: C2SP tlog-witness, one call, `POST /add-checkpoint`.

It runs where the vaults' service runs, under the same supervisor.  It answers from one thread at a
time, since each answer is a commit; the requests that wait take no thread.  Nothing is secret here:
whoever asks shows who it is by the log's signature, and the answer is signed too.

Source: C2SP tlog-witness.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from eventstore.errors import LogUnavailable, MunimentError
from eventstore.submission import (
    MAX_SUBMISSION,
    GrowthUnproved,
    LogKeyUnknown,
    LogUnknown,
    SizeDiffers,
    SubmissionMalformed,
    WitnessRefusal,
)
from eventstore.witness import Witness
from server.asgi import Message, Receive, Send, send_response
from server.http import Response
from server.operations_log import OperationsLog
from server.reading import BodyTooLarge, BodyTooSlow, CallerGone, read_body
from server.serving import Options, options_from

_TEXT = "text/plain; charset=utf-8"
_SIZE = "text/x.tlog.size"

STATUSES: dict[type[MunimentError], int] = {
    SubmissionMalformed: 400,
    LogKeyUnknown: 403,
    LogUnknown: 404,
    SizeDiffers: 409,
    GrowthUnproved: 422,
    LogUnavailable: 503,
}


def answer_to(problem: MunimentError) -> Response:
    """A refusal as tlog-witness has it; of a size, the size and nothing else."""
    status = next((STATUSES[one] for one in type(problem).__mro__ if one in STATUSES), 500)
    if isinstance(problem, SizeDiffers):
        return Response(status, (("Content-Type", _SIZE),), f"{problem.size}\n".encode())
    told = f"{problem.code}: {problem.message}\n" if isinstance(problem, WitnessRefusal) else "\n"
    return _text(status, told)


def _text(status: int, text: str) -> Response:
    return Response(status, (("Content-Type", _TEXT),), text.encode())


class WitnessApplication:
    """One witness behind ASGI; *start* opens it when the worker begins."""

    def __init__(
        self,
        start: Callable[[], Witness],
        body_seconds: float,
        told: Callable[[str, int], None] = lambda what, status: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._start = start
        self._body_seconds = body_seconds
        self._told = told
        self._clock = clock
        self._witness: Witness | None = None
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "lifespan":
                await self._live(receive, send)
            case "http":
                response = await self._answer(scope["method"], scope["path"], receive)
                await send_response(response, scope["method"] == "HEAD", send)
            case other:
                raise ValueError(f"{other} is not served here")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._witness = self._start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._witness is not None:
                    self._witness.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, method: str, path: str, receive: Receive) -> Response:
        if path == "/healthz":
            return _text(200, "alive\n")
        if not path.endswith("/add-checkpoint"):
            return _text(404, "there is nothing at this address\n")
        if method != "POST":
            return _text(405, "submit with POST\n")
        try:
            body = await read_body(receive, MAX_SUBMISSION, self._body_seconds)
        except (BodyTooLarge, BodyTooSlow) as problem:
            return _text(413 if isinstance(problem, BodyTooLarge) else 408, "\n")
        except CallerGone:
            return _text(400, "\n")
        response = await self._cosign(body)
        self._told("add-checkpoint", response.status)
        return response

    async def _cosign(self, body: bytes) -> Response:
        witness = self._witness
        assert witness is not None
        try:
            async with self._turn:
                line = await asyncio.to_thread(witness.add_checkpoint, body, self._seconds)
        except MunimentError as problem:
            return answer_to(problem)
        return _text(200, line)

    def _seconds(self) -> int:
        return int(self._clock())


def application() -> WitnessApplication:
    """What a worker of a witness serves, as its options say."""
    return application_of(options_from())


def application_of(options: Options) -> WitnessApplication:
    log = OperationsLog(options.log_format, options.worker)
    return WitnessApplication(
        lambda: Witness(Path(options.home)),
        options.body_seconds,
        lambda what, status: log.event(what, status=status),
    )
