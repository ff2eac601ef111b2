"""The body of a request, up to a size and within a time.  Pure.

A caller who sends a byte a minute, or never the last one, must not keep a request open for ever: the
program that serves limits how long the head of a request may take, and not the body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from server.http import Request
from server.problems import Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
ReadBody = Callable[[int], Awaitable[bytes]]
"""Give the body, of at most so many bytes.  Raise BodyTooLarge, BodyTooSlow or CallerGone."""

_BODILESS = ("GET", "HEAD", "DELETE")


class BodyTooLarge(Exception):
    """The body is larger than the limit: 413, and close the connection."""


class BodyTooSlow(Exception):
    """The body did not come within its time: 408, and close the connection."""


class CallerGone(Exception):
    """Nobody waits for an answer any more."""


async def read_body(receive: Receive, limit: int, seconds: float) -> bytes:
    """The whole body by ASGI's *receive*.  Raise BodyTooLarge, BodyTooSlow or CallerGone."""
    try:
        async with asyncio.timeout(seconds):
            return await _read(receive, limit)
    except TimeoutError:
        raise BodyTooSlow from None


async def _read(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise CallerGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BodyTooLarge
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def with_body(request: Request, read: ReadBody, most: int) -> Request:
    """*request* with its body, of at most so many bytes.  Raise the Problem if there is none to have."""
    announced = request.header("content-length") or request.header("transfer-encoding")
    if request.method in _BODILESS and not announced:
        return request
    try:
        return request._replace(body=await read(most))
    except BodyTooLarge:
        raise Problem(413, "RequestEntityTooLarge", f"A body has at most {most} bytes.") from None
    except BodyTooSlow:
        raise Problem(408, "RequestTimeout", "The body did not arrive in time.") from None
    except CallerGone:
        # No fault of ours, and nobody hears it: it is for the log and the metrics.
        raise Problem(400, "BadRequest", "The body did not arrive.") from None
