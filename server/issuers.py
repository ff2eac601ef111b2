"""The keys of outside issuers: pinned, or fetched from an address and kept for a while.

A token whose key id is not known may be forged, so it costs one fetch in `FLOOR` seconds at most,
whoever sends how many.  A fetch runs in a thread of its own; who needs it waits there and not in
the event loop.  TLS is verified, no redirect is followed, and an answer has a limit.  If a fetch
fails, the keys of the last good one stay for `OLDEST` seconds: an issuer that is down is not a
reason to lock everybody out, and one that is down for a day is.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from server.roll import MAX_JWKS, Issuer
from server.signatures import Key, Refused, key_set

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

FLOOR: Final = 60.0
FRESH: Final = 3600.0
OLDEST: Final = 24 * 3600.0
_TIMEOUT: Final = 5.0
_PATIENCE: Final = 10.0

Fetch = Callable[[str], bytes]
"""Give the body at an address, or raise Refused."""


class KeysAwaited(Exception):
    """The issuer's keys are being fetched; *arrived* is done when they are here, or are not."""

    def __init__(self, arrived: Future[None]) -> None:
        super().__init__("the keys of the issuer are being fetched")
        self.arrived = arrived


class _Kept(NamedTuple):
    """Keys and when they came."""

    keys: tuple[tuple[str, Key], ...]
    since: float


class IssuerKeys:
    """The keys of one outside issuer.  Safe for threads."""

    def __init__(
        self,
        issuer: Issuer,
        pool: ThreadPoolExecutor,
        fetch: Fetch,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._pool = pool
        self._fetch = fetch
        self._ticks = ticks
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._running: Future[None] | None = None
        self._kept = _Kept((), float("-inf"))
        if issuer.jwks:
            self._kept = _Kept(key_set(issuer.jwks), float("inf"))

    def find(self, kid: str | None) -> list[Key]:
        """The keys that may have signed under *kid*: none if it is unknown.  Raise KeysAwaited."""
        found = self._known(kid)
        age = self._ticks() - self._kept.since
        if age > FRESH or not found:
            running = self._refresh()
            if running is not None and not found:
                raise KeysAwaited(running)
        return found

    def _known(self, kid: str | None) -> list[Key]:
        if self._ticks() - self._kept.since > OLDEST:
            return []
        keys = self._kept.keys
        if kid is None:
            # Without an id only one that cannot be mistaken.
            return [keys[0][1]] if len(keys) == 1 else []
        return [key for name, key in keys if name == kid]

    def _refresh(self) -> Future[None] | None:
        """The fetch that is on its way; None if none is, and it is too early for another."""
        if not self._issuer.jwks_url:
            return None
        with self._lock:
            if self._running is not None and not self._running.done():
                return self._running
            if self._ticks() - self._asked < FLOOR:
                return None
            self._asked = self._ticks()
            self._running = self._pool.submit(self._renew)
            return self._running

    def _renew(self) -> None:
        try:
            self._kept = _Kept(key_set(self._fetch(self._issuer.jwks_url)), self._ticks())
        except Refused:
            return


def fetch(address: str) -> bytes:
    """The body at an https *address*.  Raise Refused."""
    import urllib3

    if not address.startswith("https://"):
        raise Refused("keys are fetched by https only")
    trust = ssl.create_default_context()
    trust.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with urllib3.PoolManager(ssl_context=trust, timeout=_TIMEOUT, retries=False) as http:
            answer = http.request("GET", address, redirect=False, preload_content=False)
            try:
                body = _body(address, answer)
            finally:
                answer.close()
    except (urllib3.exceptions.HTTPError, OSError):
        raise Refused(f"{address} cannot be fetched") from None
    if answer.status != 200:
        raise Refused(f"{address} answers with status {answer.status}")
    return body


def _body(address: str, answer: BaseHTTPResponse) -> bytes:
    """All of a body that is neither too long nor too slow: a drop now and then is no answer."""
    end = time.monotonic() + _PATIENCE
    body = b""
    while read := answer.read1(MAX_JWKS):
        body += read
        if len(body) > MAX_JWKS:
            raise Refused(f"{address} answers with more than {MAX_JWKS:,} bytes")
        if time.monotonic() > end:
            raise Refused(f"{address} answers too slowly")
    return body
