"""A request and a response, as every part of this edge sees them.  Pure.

No part knows which program serves: an adapter (`server.asgi`) makes a `Request` of what came in and
sends the `Response`.  So servers can be exchanged, and everything can be tried without a socket.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from vault.caller import Arrival

JSON = "application/json; charset=utf-8"
_UNKNOWN = Arrival()


class Request(NamedTuple):
    """What came in.  *path* is as sent, percent-encoded; header names are in lower case.

    *peer* is the caller's address: the other end of the connection, or who it came for if a declared
    proxy is there, and never what the header of anybody else says.  Where such a proxy did not say
    clearly for whom, the caller *is_hidden*.  *arrival* is the way that the request came by.
    """

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    peer: str = ""
    scheme: str = "https"
    arrival: Arrival = _UNKNOWN
    is_hidden: bool = False

    def all(self, name: str) -> list[str]:
        """Every value of the header *name*, which is in lower case."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str:
        """The first value of the header *name*, or an empty text."""
        for key, value in self.headers:
            if key == name:
                return value
        return ""

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path})"


class Response(NamedTuple):
    """What goes out.  Header names are as they go on the wire."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"


_encoder = msgspec.json.Encoder()


def json_response(
    status: int, value: object, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """*value* as JSON, members in their order."""
    return Response(status, (("Content-Type", JSON), *headers), _encoder.encode(value))
