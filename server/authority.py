"""The token authority that comes with the service: enough of Entra ID for unmodified clients.

Its own clients sign in with a secret, or with an assertion that their key signed (RFC 7523), and
get a token for this service and for nothing else.  A wrong secret and one of nobody are answered
alike: the same words, after the same work, which runs in two threads beside the event loop and of
which only so much may wait.

`answer` takes what comes for the host of the authority, and gives None for a path that is not one
of its own.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

from server import discovery, forms
from server.forms import FormMalformed
from server.http import Request, Response, json_response
from server.identities import Identities
from server.roll import MAX_SECRET, SKEW, Application, Roll, claimed
from server.signatures import Refused, parse, public_key, verify
from server.tokens import (
    LIFETIME,
    Issued,
    issue,
    management_audiences,
    origin,
    own_audiences,
    own_issuer,
)

T = TypeVar("T")

_WAITING: Final = 64
_ANY_TENANT: Final = ("common", "organizations")
_JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_OPENID_SCOPES: Final = frozenset({"openid", "profile", "offline_access", "email"})
_LONGEST_ASSERTION: Final = 24 * 3600
_MSI_VERSIONS: Final = ("2017-09-01", "2019-08-01")
_NO_STORE: Final = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))


class OAuthError(Exception):
    """A refusal in OAuth's form (RFC 6749, 5.2), with Entra ID's number."""

    def __init__(self, error: str, number: int, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.number = number
        self.description = description
        self.status = status


class _Asked(NamedTuple):
    """One request, taken apart: *tenant* as the path names it."""

    request: Request
    base: str
    tenant: str
    roll: Roll
    now: int


class _Grant(NamedTuple):
    """Who signed in, and how."""

    application: Application
    method: str


Handler = Callable[["Authority", _Asked], Awaitable[Response]]


class Authority:
    """The endpoints that give out tokens.  For one event loop."""

    def __init__(
        self, identities: Identities, clock: Callable[[], int] | None = None, *, threads: int = 2
    ) -> None:
        """*clock* gives microseconds since 1970; by default it is that of *identities*."""
        self._identities = identities
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="client-secrets")
        self._waiting = 0

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def answer(self, request: Request, base_url: str) -> Response | None:
        """The answer to *request*; *base_url* is `https://domain[:port]`.  None: not ours."""
        found = _route(request.path)
        if found is None:
            return None
        tenant, (method, handler) = found
        if request.method != method and not (method == "GET" and request.method == "HEAD"):
            told = _error(OAuthError("invalid_request", 900561, f"only {method} is accepted", 405))
            return told._replace(headers=(*told.headers, ("Allow", method)))
        now = self._identities.now if self._clock is None else self._clock() // 1_000_000
        asked = _Asked(request, origin(base_url), tenant, self._identities.roll, now)
        try:
            if tenant and tenant.lower() not in (asked.roll.tenant, *_ANY_TENANT):
                raise OAuthError("invalid_request", 90002, "Tenant not found.")
            return await handler(self, asked)
        except OAuthError as error:
            return _error(error)

    # --- tokens -----------------------------------------------------------------------------------

    async def _token(self, asked: _Asked) -> Response:
        given = _form(asked.request)
        audience = _audience_of_scope(asked, given.get("scope", ""))
        issued = await self._issued(asked, given, audience)
        lives = issued.expires - issued.issued
        told = {
            "token_type": "Bearer",
            "expires_in": lives,
            "ext_expires_in": lives,
            "access_token": issued.token,
        }
        return json_response(200, told, _NO_STORE)

    async def _legacy_token(self, asked: _Asked) -> Response:
        """The endpoint before v2.0: `resource=`, and numbers as texts."""
        given = _form(asked.request)
        audience = _audience(asked, given.get("resource", ""))
        issued = await self._issued(asked, given, audience)
        lives = str(issued.expires - issued.issued)
        told = {
            "token_type": "Bearer",
            "expires_in": lives,
            "ext_expires_in": lives,
            "expires_on": str(issued.expires),
            "not_before": str(issued.issued),
            "resource": audience,
            "access_token": issued.token,
        }
        return json_response(200, told, _NO_STORE)

    async def _issued(self, asked: _Asked, given: dict[str, str], audience: str) -> Issued:
        if given.get("grant_type") != "client_credentials":
            raise OAuthError(
                "unsupported_grant_type", 70003, "The only grant is client_credentials."
            )
        grant = await self._signed_in(asked, given)
        return _issue(asked, grant, audience)

    async def _signed_in(self, asked: _Asked, given: dict[str, str]) -> _Grant:
        header = asked.request.all("authorization")
        ways = [bool(header), "client_secret" in given, "client_assertion" in given]
        if sum(ways) != 1 or len(header) > 1:
            raise OAuthError("invalid_request", 900144, "Give one client secret or one assertion.")
        if "client_assertion" in given:
            return await self._by_assertion(asked, given)
        if header:
            client_id, secret = _basic(header[0])
            if given.get("client_id", client_id) != client_id:
                raise OAuthError("invalid_request", 900144, "There are two client ids.")
        else:
            client_id, secret = given.get("client_id", ""), given["client_secret"]
        application = await self._by_secret(asked, secret)
        if application is None or application.client_id != client_id.lower():
            raise _not_you()
        return _Grant(application, "client secret")

    async def _by_secret(self, asked: _Asked, secret: str) -> Application | None:
        """The client whose secret it is; None after as much work."""
        if len(secret) > MAX_SECRET:
            raise _not_you()
        application, kept = claimed(asked.roll, secret, asked.now)
        fits = await self._beside(lambda: kept.fits(secret))
        return application if fits else None

    async def _by_assertion(self, asked: _Asked, given: dict[str, str]) -> _Grant:
        if given.get("client_assertion_type") != _JWT_BEARER:
            raise OAuthError("invalid_request", 900144, "The type of the assertion is not known.")
        assertion = given["client_assertion"]
        return await self._beside(lambda: _asserted(asked, given.get("client_id", ""), assertion))

    async def _beside(self, work: Callable[[], T]) -> T:
        """Do *work* beside the event loop, unless too much waits there already."""
        if self._waiting >= _WAITING:
            raise OAuthError("temporarily_unavailable", 50196, "Too many sign in at once.", 503)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    # --- managed identity -------------------------------------------------------------------------

    async def _managed(self, asked: _Asked) -> Response:
        """App Service's endpoint: whoever has the header is the client whose secret it is."""
        try:
            return await self._managed_token(asked)
        except OAuthError as error:
            told = {"statusCode": error.status, "message": error.description}
            return json_response(error.status, told, _NO_STORE)

    async def _managed_token(self, asked: _Asked) -> Response:
        secret = _one(asked.request, "x-identity-header") or _one(asked.request, "secret")
        query = _query(asked.request)
        if query.get("api-version") not in _MSI_VERSIONS:
            raise OAuthError("invalid_request", 90014, "api-version is 2019-08-01.")
        audience = _audience(asked, query.get("resource", ""))
        known = await self._by_secret(asked, secret)
        if known is None or not _is_meant(known, query):
            raise OAuthError("invalid_client", 7000215, "The identity header is not valid.", 401)
        issued = _issue(asked, _Grant(known, "managed identity"), audience)
        told = {
            "access_token": issued.token,
            "expires_on": str(issued.expires),
            "resource": query["resource"],
            "token_type": "Bearer",
            "client_id": known.client_id,
        }
        return json_response(200, told, _NO_STORE)


def _known(tell: discovery.Telling) -> Handler:
    async def handler(_: Authority, asked: _Asked) -> Response:
        return tell(asked.base, asked.roll, asked.now)

    return handler


# --- routes ---------------------------------------------------------------------------------------

_ROUTES: Final[dict[tuple[str, ...], tuple[str, Handler]]] = {
    ("{tenant}", "v2.0", ".well-known", "openid-configuration"): (
        "GET",
        _known(discovery.configuration),
    ),
    ("{tenant}", ".well-known", "openid-configuration"): ("GET", _known(discovery.configuration)),
    ("{tenant}", "discovery", "v2.0", "keys"): ("GET", _known(discovery.keys)),
    ("{tenant}", "discovery", "keys"): ("GET", _known(discovery.keys)),
    ("{tenant}", "oauth2", "v2.0", "token"): ("POST", Authority._token),
    ("{tenant}", "oauth2", "token"): ("POST", Authority._legacy_token),
    ("msi", "token"): ("GET", Authority._managed),
    ("common", "discovery", "instance"): ("GET", _known(discovery.instance)),
    ("metadata", "endpoints"): ("GET", _known(discovery.endpoints)),
}


def _route(path: str) -> tuple[str, tuple[str, Handler]] | None:
    """The tenant that *path* names, if any, and what answers there."""
    parts = tuple(path.removeprefix("/").split("/"))
    if (found := _ROUTES.get(parts)) is not None:
        return "", found
    found = _ROUTES.get(("{tenant}", *parts[1:]))
    return None if found is None or not parts[0] else (parts[0], found)


# --- what was sent --------------------------------------------------------------------------------


def _form(request: Request) -> dict[str, str]:
    try:
        return forms.form(request.header("content-type"), request.body)
    except FormMalformed as problem:
        raise _malformed(problem) from None


def _query(request: Request) -> dict[str, str]:
    try:
        return forms.fields(request.query)
    except FormMalformed as problem:
        raise _malformed(problem) from None


def _basic(header: str) -> tuple[str, str]:
    try:
        return forms.basic(header)
    except FormMalformed as problem:
        raise _malformed(problem) from None


def _malformed(problem: FormMalformed) -> OAuthError:
    return OAuthError("invalid_request", 900144, f"The request is malformed: {problem}.")


def _one(request: Request, header: str) -> str:
    values = request.all(header)
    if len(values) > 1:
        raise OAuthError("invalid_request", 900144, f"There is more than one header {header}.")
    return values[0] if values else ""


def _audience_of_scope(asked: _Asked, scope: str) -> str:
    scopes = [one for one in scope.split() if one not in _OPENID_SCOPES]
    if len(scopes) != 1 or not scopes[0].endswith("/.default"):
        raise OAuthError("invalid_scope", 70011, f"The scope is {asked.base}/.default.")
    return _audience(asked, scopes[0].removesuffix("/.default"))


def _audience(asked: _Asked, resource: str) -> str:
    """*resource*, if a token for it is of any use here."""
    known = (*own_audiences(asked.base), *management_audiences(asked.base))
    if resource.lower() not in known:
        raise OAuthError("invalid_resource", 500011, f"The resource is {asked.base}.")
    return resource.lower()


def _is_meant(known: Application, query: dict[str, str]) -> bool:
    """Whether the identity that the query names, if it does, is *known*."""
    named = {
        "client_id": known.client_id,
        "object_id": known.object_id,
        "principal_id": known.object_id,
    }
    return all(query.get(name, own).lower() == own for name, own in named.items())


# --- proof ----------------------------------------------------------------------------------------


def _asserted(asked: _Asked, client_id: str, assertion: str) -> _Grant:
    """The client that signed *assertion* of itself (RFC 7523, 3).  Raise OAuthError."""
    try:
        parsed = parse(assertion, assertion=True)
        claims = parsed.claims
        known = asked.roll.client(claims.sub)
        # A client without keys costs a verification as well.
        ders = [key.der for key in known.keys] if known is not None else []
        verify(parsed, [public_key(der) for der in ders or [asked.roll.signing[0].public]])
    except Refused:
        raise _not_you() from None
    if (
        known is None
        or not known.keys
        or claims.iss.lower() != known.client_id
        or client_id.lower() not in ("", known.client_id)
    ):
        raise _not_you()
    path = f"{asked.base}/{asked.roll.tenant}"
    accepted = {
        f"{path}/oauth2/v2.0/token",
        f"{path}/oauth2/token",
        own_issuer(asked.base, asked.roll.tenant),
    }
    if not {audience.lower() for audience in claims.audiences} & accepted:
        raise OAuthError("invalid_client", 700023, "The assertion is for another audience.", 401)
    early = claims.nbf is not None and claims.nbf - SKEW > asked.now
    if early or not asked.now - SKEW <= claims.exp <= asked.now + _LONGEST_ASSERTION:
        raise OAuthError("invalid_client", 700024, "The assertion is not of this time.", 401)
    return _Grant(known, "client assertion")


def _issue(asked: _Asked, grant: _Grant, audience: str) -> Issued:
    return issue(
        asked.roll,
        grant.application,
        authority=asked.base,
        audience=audience,
        now=asked.now,
        method=grant.method,
        lifetime=LIFETIME,
    )


# --- refusals -------------------------------------------------------------------------------------


def _not_you() -> OAuthError:
    """The same for an unknown client, a wrong secret, an ended one and a forged assertion."""
    return OAuthError(
        "invalid_client", 7000215, "The client is not known, or its secret is not valid.", 401
    )


def _error(error: OAuthError) -> Response:
    trace = str(uuid.uuid4())
    told = {
        "error": error.error,
        "error_description": f"AADSTS{error.number}: {error.description}",
        "error_codes": [error.number],
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ"),
        "trace_id": trace,
        "correlation_id": trace,
    }
    headers: tuple[tuple[str, str], ...] = _NO_STORE
    if error.status == 401:
        headers = (*headers, ("WWW-Authenticate", 'Basic realm="muniment"'))
    if error.status == 503:
        headers = (*headers, ("Retry-After", "1"))
    return json_response(error.status, told, headers)
