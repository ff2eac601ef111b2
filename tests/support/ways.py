"""Ways to come to a service: from an address of one's own, by a socket file, behind a proxy."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from support.edge import VERSION, Answer, Edge
from support.services import DOMAIN

Connect = Callable[[], socket.socket]
_PATIENCE = 20.0
_ALERT = b"\x15"


def over(
    port: int, source: str = "127.0.0.1", before: bytes = b"", to: str = "127.0.0.1"
) -> Connect:
    """From *source*, with the bytes *before* all else; all of 127.0.0.0/8 is one's own."""

    def connect() -> socket.socket:
        connection = socket.create_connection((to, port), _PATIENCE, (source, 0))
        connection.sendall(before)
        return connection

    return connect


def by_file(path: Path, name: str = "", before: bytes = b"") -> Connect:
    """By a socket file; this end is called *name*."""

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_PATIENCE)
        if name:
            connection.bind(name)
        connection.connect(str(path))
        if name:
            Path(name).unlink()
        connection.sendall(before)
        return connection

    return connect


def ask_by(
    edge: Edge,
    connect: Connect,
    method: str = "GET",
    path: str = "/secrets/db",
    body: bytes | None = None,
    *,
    token: str | None = "",
    headers: Mapping[str, str] | None = None,
    more: tuple[tuple[str, str], ...] = (),
    vault: str = "one",
    query: str = VERSION,
) -> Answer:
    """One request on a connection of its own; *more* are headers whose names may repeat."""
    with client(edge, connect()) as connection:
        connection.putrequest(method, f"{path}?{query}" if query else path, skip_host=True)
        told = {"Host": edge.host(vault), **(headers or {})}
        if token is not None:
            told["Authorization"] = f"Bearer {token or edge.token()}"
        if body is not None:
            told["Content-Length"] = str(len(body))
        for name, value in (*told.items(), *more):
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())


@contextmanager
def client(edge: Edge, plain: socket.socket) -> Iterator[http.client.HTTPConnection]:
    """A client on a connection that stands already, after its handshake."""
    made = http.client.HTTPConnection(DOMAIN)
    with edge.service.context().wrap_socket(plain, server_hostname=DOMAIN) as made.sock:
        yield made


def is_cut_off(edge: Edge, connect: Connect) -> bool:
    """Whether the service hangs up on the first words of a handshake, or says that they are none."""
    hello = ssl.MemoryBIO()
    asking = edge.service.context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname=DOMAIN)
    with suppress(ssl.SSLWantReadError):
        asking.do_handshake()
    with connect() as connection:
        try:
            connection.sendall(hello.read())
            heard = connection.recv(1)
        except ConnectionError:
            return True
    return heard in (b"", _ALERT)


def recorded(edge: Edge, vault: str = "one") -> Any:
    """Who asked last, as the vault recorded it."""
    return edge.traces(vault)[-1].context
