"""The service as an ASGI application: what every Python server of today can run.

Source: ASGI specification 3.0.  A body is read only when the service asks for it, so that a request
without a token costs no parsing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

from server.app import Service
from server.arrivals import OPEN, Door
from server.http import Request, Response
from server.reading import read_body
from server.serving import draining, options_from
from server.start import service_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Application:
    """One worker's service behind ASGI; *start* makes it when the worker begins."""

    def __init__(self, start: Callable[[], Service], body_seconds: float) -> None:
        self._start = start
        self._body_seconds = body_seconds
        self._service: Service | None = None

    def at(self, door: Door) -> Callable[[Message, Receive, Send], Awaitable[None]]:
        """The application for those who come in by *door*."""

        async def serve(scope: Message, receive: Receive, send: Send) -> None:
            await self._serve(scope, receive, send, door)

        return serve

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "lifespan":
                await self._live(receive, send)
            case "http":
                await self._serve(scope, receive, send, OPEN)
            case other:
                raise ValueError(f"{other} is not served here")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._service = self._start()
                await self._service.begin()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._service is not None:
                    await self._service.end()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _serve(self, scope: Message, receive: Receive, send: Send, door: Door) -> None:
        if self._service is None:
            raise RuntimeError("the service has not begun")

        async def body(most: int) -> bytes:
            return await read_body(receive, most, self._body_seconds)

        request = request_of(scope, door)
        response = await self._service.answer(request, body)
        await send_response(response, request.method == "HEAD", send)


def request_of(scope: Message, door: Door = OPEN) -> Request:
    """What *scope* says of one who came in by *door*, with no body yet."""
    client = scope.get("client")
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    # ASGI has the names in lower case.
    headers = tuple(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    )
    came = door.enter(client[0] if client else "", headers)
    return Request(
        method=scope["method"],
        path=raw.partition(b"?")[0].decode("latin-1"),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        peer=came.address,
        scheme=scope.get("scheme", "https"),
        arrival=came.arrival,
        is_hidden=came.is_hidden,
    )


@lru_cache(maxsize=256)
def _on_the_wire(name: str) -> bytes:
    return name.lower().encode()


async def send_response(response: Response, only_head: bool, send: Send) -> None:
    headers = [(_on_the_wire(name), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"content-length", b"%d" % len(response.body)))
    if draining.began:
        # The caller goes over to another worker between two requests, and not amid one.
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if only_head else response.body})


def application() -> Application:
    """What a worker serves, as its options say."""
    options = options_from()
    return Application(lambda: service_of(options), options.body_seconds)
