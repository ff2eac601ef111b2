"""One request to somebody outside who vouches for a log: a witness, or a time-stamping authority.

Short patience and no second try: who publishes comes again.  Redirects are not followed.  Plain HTTP
is let through, since what comes back is signed and is checked.  `*.localhost` is this machine
(RFC 6761, section 6.3).

This takes urllib3; the extras `server` and `evidence` have it.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final, NamedTuple

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import Url, parse_url

from eventstore.errors import MunimentError

MAX_ANSWER: Final = 64 * 1024
_TIMEOUT: Final = urllib3.Timeout(connect=5, read=10)
_PORTS: Final = {"http": 80, "https": 443}


class OutsideUnreachable(MunimentError):
    """A witness or a time-stamping authority does not answer."""

    code = "outside.unreachable"
    hint = "nothing is lost: the checkpoint is published again later"


class OutsideAddressInvalid(MunimentError):
    """The address of a witness or an authority is not an http or https URL."""

    code = "outside.address-invalid"


class Answer(NamedTuple):
    """What came back."""

    status: int
    kind: str
    body: bytes


class Outside:
    """Posts to others.  *ca* holds the authorities of TLS to trust [the system's]."""

    def __init__(self, ca: Path | None = None) -> None:
        try:
            self._trust = ssl.create_default_context(cafile=None if ca is None else str(ca))
        except (OSError, ssl.SSLError):
            raise OutsideAddressInvalid(f"{ca} holds no certificates in PEM form") from None

    def post(self, url: str, body: bytes, kind: str) -> Answer:
        """Raise OutsideUnreachable or OutsideAddressInvalid."""
        address = _parsed(url)
        with self._pool(address) as pool:
            try:
                answer = pool.urlopen(
                    "POST",
                    address.request_uri,
                    body=body,
                    headers={"Host": address.netloc or "", "Content-Type": kind},
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                )
                read = answer.read(MAX_ANSWER + 1)
            except HTTPError as problem:
                raise OutsideUnreachable(f"{address.netloc}: {_reason(problem)}") from None
        if len(read) > MAX_ANSWER:
            raise OutsideUnreachable(f"{address.netloc}: the answer does not end")
        return Answer(answer.status, answer.headers.get("Content-Type", ""), read)

    def _pool(self, address: Url) -> urllib3.HTTPConnectionPool:
        host = address.host or ""
        here = host == "localhost" or host.endswith(".localhost")
        place, port = "localhost" if here else host, address.port or _PORTS[address.scheme or ""]
        if address.scheme == "http":
            return urllib3.HTTPConnectionPool(place, port, timeout=_TIMEOUT)
        return urllib3.HTTPSConnectionPool(
            place, port, timeout=_TIMEOUT, ssl_context=self._trust, server_hostname=host
        )


def _parsed(url: str) -> Url:
    try:
        address = parse_url(url)
    except HTTPError:
        raise OutsideAddressInvalid(f"{url!r} is not an address") from None
    if address.scheme not in _PORTS or not address.host:
        raise OutsideAddressInvalid(f"{url!r} is not an http or https address")
    return address


def _reason(problem: HTTPError) -> str:
    cause = problem.__cause__ or (problem.args[0] if problem.args else None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    return getattr(cause, "strerror", None) or type(problem).__name__
