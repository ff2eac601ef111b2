"""One HTTPS connection to one host: verified TLS, no redirect, bounded patience.

`*.localhost` is this machine (RFC 6761, section 6.3), whatever a resolver says or does not say: the
connection goes to `localhost`, and the certificate must still be that of the name.

A request that was not answered is sent once more with the same request id, so that a server that
did carry it out says so instead of doing it twice.  429 and 503 are waited for as long as they ask,
within bounds.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, NamedTuple

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)
from urllib3.exceptions import SSLError as TlsError

from cli.challenge import Address
from cli.problems import AnswerMalformed, FileUnusable, ServerUntrusted, Unanswered, Unreachable

TIMEOUT: Final = urllib3.Timeout(connect=10, read=60)
MAX_ANSWER: Final = 256 * 1024 * 1024
ATTEMPTS: Final = 4
LONGEST_WAIT: Final = 30.0
_BUSY: Final = (429, 503)


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"


class Line:
    """The connection to *address*.  *tell* is told when it is waited for."""

    def __init__(
        self,
        address: Address,
        trust: ssl.SSLContext,
        *,
        tell: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = address
        self._tell = tell
        self._sleep = sleep
        is_here = address.host == "localhost" or address.host.endswith(".localhost")
        self._pool = urllib3.HTTPSConnectionPool(
            "localhost" if is_here else address.host,
            address.port,
            ssl_context=trust,
            server_hostname=address.host,
            timeout=TIMEOUT,
            retries=False,
        )

    def close(self) -> None:
        self._pool.close()

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Reply:
        """Send a request until it is answered for good, or patience is over.

        Raise Unreachable; a last 429 or 503 is given back as it is.
        """
        was_lost = False
        attempt = 1
        while True:
            try:
                reply = self._once(method, target, headers, body)
            except (ProtocolError, ReadTimeoutError):
                if was_lost:
                    raise Unanswered(f"{self._who} took the request and did not answer") from None
                was_lost = True
                continue
            wait = _wait(reply, attempt)
            if reply.status not in _BUSY or attempt == ATTEMPTS or wait > LONGEST_WAIT:
                return reply
            self._tell(f"{self._who} is busy; trying again in {wait:.0f} s")
            self._sleep(wait)
            attempt += 1

    @property
    def _who(self) -> str:
        return self.address.netloc

    def _once(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        try:
            answer = self._pool.urlopen(
                method,
                target,
                body=body,
                headers={"Host": self._who, **headers},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                read = answer.read(MAX_ANSWER + 1)
            finally:
                answer.release_conn()
        except (ProtocolError, ReadTimeoutError):
            raise
        except TlsError as error:
            raise ServerUntrusted(f"{self._who}: {_tls_reason(error)}") from None
        except ConnectTimeoutError:
            raise Unreachable(f"{self._who} does not answer") from None
        except NewConnectionError as error:
            raise Unreachable(f"{self._who} cannot be reached: {_reason(error)}") from None
        except HTTPError as error:
            raise Unreachable(f"{self._who}: {type(error).__name__}") from None
        if len(read) > MAX_ANSWER:
            raise AnswerMalformed("the server's answer does not end")
        return Reply(answer.status, answer.headers, read)


def trust_of(ca: Path | None) -> ssl.SSLContext:
    """Whom to trust: the authorities in the file *ca* and no others, or the system's."""
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except ssl.SSLError:
        raise FileUnusable(f"{ca} is not a file of certificates in PEM form") from None
    except OSError as error:
        raise FileUnusable(f"{ca}: {error.strerror}") from None


def _wait(reply: Reply, attempt: int) -> float:
    """How long to wait before the next attempt, in seconds."""
    asked = reply.headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked[:9])
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return float(2 ** (attempt - 1))


def _tls_reason(error: TlsError) -> str:
    cause = error.args[0] if error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    reason = getattr(cause, "reason", None)
    return f"no TLS with it: {reason or type(cause).__name__}"


def _reason(error: NewConnectionError) -> str:
    cause = error.__cause__
    return (cause.strerror if isinstance(cause, OSError) else None) or "no connection"
