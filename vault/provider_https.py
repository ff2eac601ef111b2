"""One question to a server, with limits: what the provider `arm` needs of HTTP, and no more.

The standard library's client follows no redirect, keeps no connection and reads no proxy from the
environment, so a key that was asked for goes to whoever the operator named and to nobody else.  An
answer has a limit of size, and the whole exchange one of time, however slowly it drips.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from vault.refusals import ProviderUnavailable

MAX_BODY: Final = 256 * 1024
PATIENCE: Final = 30.0
_CONNECT: Final = 10.0


class Answer(NamedTuple):
    """A status and a body."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        return f"Answer(status={self.status})"


def trust_of(authority: str | None) -> ssl.SSLContext:
    """Whom to believe: the file *authority* alone, or the system's.  Raise ProviderUnavailable."""
    try:
        trust = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError):
        raise ProviderUnavailable(f"{authority} cannot be read as certificates") from None
    trust.minimum_version = ssl.TLSVersion.TLSv1_2
    return trust


def ask(
    method: str,
    address: str,
    headers: dict[str, str],
    body: bytes = b"",
    *,
    trust: ssl.SSLContext | None,
    patience: float = PATIENCE,
) -> Answer:
    """What *address* answers; in clear if there is no *trust*.  Raise ProviderUnavailable."""
    place = urlsplit(address)
    host = place.hostname or ""
    answer = None
    try:
        connected = socket.create_connection((host, place.port or (443 if trust else 80)), _CONNECT)
        # Both are one connection: shut down there, it is here too, in a handshake as well.
        with connected as raw, _Guard(raw.dup(), patience) as guard:
            answer = _exchange(raw, host, method, address, headers, body, trust)
            if guard.cut:
                answer = None  # it looks whole if it told no length
    except (OSError, ValueError, http.client.HTTPException):
        pass  # raised below, where no failure holds on to what was read
    if answer is None:
        raise ProviderUnavailable(f"{place.netloc} cannot be asked, or does not answer in time")
    if len(answer.body) > MAX_BODY:
        raise ProviderUnavailable(f"{place.netloc} answers with more than {MAX_BODY:,} bytes")
    return answer


class _Guard:
    """Ends a connection after a while."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self.cut = False

    def _end(self) -> None:
        self.cut = True
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def __enter__(self) -> _Guard:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        self._connection.close()


def _exchange(
    raw: socket.socket,
    host: str,
    method: str,
    address: str,
    headers: dict[str, str],
    body: bytes,
    trust: ssl.SSLContext | None,
) -> Answer:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.netloc)
    connection.sock = raw if trust is None else trust.wrap_socket(raw, server_hostname=host)
    try:
        target = place.path + (f"?{place.query}" if place.query else "")
        connection.request(method, target, body or None, {"Connection": "close", **headers})
        response = connection.getresponse()
        body = response.read(MAX_BODY + 1)
        if response.length and len(body) <= MAX_BODY:
            raise http.client.IncompleteRead(b"")  # it was cut off, by the guard or on the way
        return Answer(response.status, body)
    finally:
        connection.close()
