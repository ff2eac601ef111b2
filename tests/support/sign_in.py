"""A service's identities in a store, tokens for and against them, and clients without a socket."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from server.authority import Authority
from server.http import Request, Response
from server.identities import Identities
from server.tokens import Authenticator, Principal
from support.vaults import Clock, check_store, make_store
from vault.store import Store

RESOURCE = "https://vault.localhost:8443"
OUTSIDE = "https://issuer.example/tenant"
NOW = 1_790_000_000
"""Unix seconds at which the clock of `support.vaults` starts."""

# Made once: a key costs as much as all else in a test.
RSA_PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_PRIVATE = ec.generate_private_key(ec.SECP256R1())
RSA = RSAKey.import_key(RSA_PRIVATE, {"kid": "rsa"})
OTHER_RSA = RSAKey.import_key(OTHER_RSA_PRIVATE, {"kid": "rsa"})
EC = ECKey.import_key(EC_PRIVATE, {"kid": "ec"})


class Ticks:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Service:
    """Identities, the authority that signs in, and the authenticator that believes."""

    def __init__(self, store: Store, clock: Clock, **options: Any) -> None:
        self.store = store
        self.clock = clock
        self.ticks = Ticks()
        self.identities = Identities(store, clock=clock, ticks=self.ticks)
        self.authority = Authority(self.identities)
        self.authenticator = Authenticator(
            self.identities, clock, ticks=self.ticks, **{"fetch": _no_fetch, **options}
        )

    @property
    def tenant(self) -> str:
        return self.identities.tenant

    def other_process(self) -> Identities:
        """The same identities, as another process has them."""
        return Identities(self.store, clock=self.clock, ticks=self.ticks)

    def ask(self, method: str, path: str, **parts: Any) -> Response:
        """What the authority answers."""
        response = asyncio.run(self.authority.answer(Request(method, path, **parts), RESOURCE))
        assert response is not None
        return response

    def post(self, path: str, *headers: tuple[str, str], **fields: str) -> Response:
        """Send a form."""
        form = ("content-type", "application/x-www-form-urlencoded")
        body = urlencode(fields).encode()
        return self.ask("POST", path, headers=(form, *headers), body=body)

    def sign_in(self, client_id: str, secret: str, **fields: str) -> Response:
        """Ask for a token as clients of today do."""
        asked = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": f"{RESOURCE}/.default",
        }
        return self.post(f"/{self.tenant}/oauth2/v2.0/token", **asked | fields)

    def token(self, client_id: str, secret: str) -> str:
        return str(told(self.sign_in(client_id, secret))["access_token"])

    def who(self, token: str, resource: str = RESOURCE) -> Principal:
        """Whom the service takes the holder of *token* for."""
        return self.authenticator.authenticate(bearing(token), resource)


def _no_fetch(address: str) -> bytes:
    raise AssertionError(f"{address} was fetched")


@contextmanager
def service(tmp_path: Path, **options: Any) -> Iterator[Service]:
    """A service over a new store; the store is checked at the end."""
    clock = Clock()
    home = tmp_path / "store"
    with make_store(home, clock) as store:
        made = Service(store, clock, **options)
        try:
            yield made
        finally:
            made.authority.close()
            made.authenticator.close()
    check_store(home, clock)


def bearing(token: str) -> Request:
    return Request("GET", "/secrets/a", headers=(("authorization", f"Bearer {token}"),))


def told(response: Response) -> Any:
    return msgspec.json.decode(response.body)


def key_set(*keys: RSAKey | ECKey) -> bytes:
    """What an issuer publishes."""
    return msgspec.json.encode({"keys": [key.as_dict(private=False) for key in keys]})


def outside_claims(**changes: Any) -> dict[str, Any]:
    """What an outside issuer says of somebody; None leaves a claim out."""
    claims: dict[str, Any] = {
        "iss": OUTSIDE,
        "aud": RESOURCE,
        "exp": NOW + 3600,
        "nbf": NOW,
        "iat": NOW,
        "sub": "user-1",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def signed(claims: dict[str, Any], key: Any = RSA, **header: Any) -> str:
    """A token with any claims and any header."""
    alg = "ES256" if isinstance(key, ECKey) else "RS256"
    protected = {"typ": "JWT", "alg": alg, "kid": key.kid, **header}
    registry = jws.JWSRegistry(algorithms=[protected["alg"]], strict_check_header=False)
    return jws.serialize_compact(protected, msgspec.json.encode(claims), key, registry=registry)


class InProcess(HTTPAdapter):
    """A transport of `requests` that hands each request to the authority, without a socket."""

    def __init__(self, made: Service) -> None:
        super().__init__()
        self.service = made
        self.seen: list[str] = []

    def send(self, request: Any, *_: Any, **__: Any) -> Any:
        address = urlsplit(request.url)
        body = request.body or b""
        asked = Request(
            request.method,
            address.path,
            address.query,
            tuple((name.lower(), _text(value)) for name, value in request.headers.items()),
            body.encode() if isinstance(body, str) else body,
        )
        self.seen.append(f"{request.method} {address.path}")
        base = f"{address.scheme}://{address.netloc}"
        answered = asyncio.run(self.service.authority.answer(asked, base)) or Response(404)
        raw = HTTPResponse(
            io.BytesIO(answered.body),
            dict(answered.headers),
            answered.status,
            preload_content=False,
        )
        return self.build_response(request, raw)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
