"""The body of a request, up to a size and within a time.  Pure.

A caller who sends a byte a minute, or never the last one, must not keep a request open for ever: the
program that serves limits how long the head of a request may take, and not the body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


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
