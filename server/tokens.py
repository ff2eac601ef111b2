"""Bearer tokens: who holds one, and one for whom.

A token is believed if it is signed (RS256 or ES256) by a key of its issuer, made for this service,
of the right tenant, and of its time with five minutes of slack.  Issuers are the service's own
authority, of which the issuer's address must be that of the resource, and those that were trusted
by `muniment identity trust`.  An outside issuer speaks for its own people only: never for a client
registered here, for an account of this machine (`local:`), or for the store itself (`muniment`).

A token that was believed is remembered by its SHA-256 for some minutes, since the signature costs
most; a change of the identities forgets all of them.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from server import issuers
from server.http import Request
from server.identities import Identities
from server.issuers import IssuerKeys
from server.roll import LONGEST_TOKEN, SKEW, Application, Issuer, Roll
from server.signatures import (
    MAX_TOKEN,
    Claims,
    Key,
    Parsed,
    Refused,
    parse,
    public_key,
    sign,
    verify,
)
from vault import names
from vault.refusals import PrincipalInvalid
from vault.store import system_clock

KEY_VAULT: Final = "https://vault.azure.net"
RESOURCE_MANAGERS: Final = ("https://management.azure.com", "https://management.core.windows.net")
LIFETIME: Final = 3600
"""Seconds that a token of ours lives, unless it is said otherwise."""

MISSING: Final = "AKV10000: Request is missing a Bearer or PoP token."
EXPIRED: Final = "[TokenExpired] Error validating token: 'S2S12086'."
_UNREADABLE: Final = "[BearerReadAccessTokenFailed] Error validating token: "

_REMEMBERED: Final = 4096
_REMEMBERED_FOR: Final = 300
_LOCAL: Final = "local:"
_ITSELF: Final = "muniment"
"""As whom the store records what it does by itself."""


class Principal(NamedTuple):
    """Who asks: *oid* is what policies know.  *method* says how the issuer knew them, if it is ours.

    Only a client that is registered here can be a *store_administrator*.
    """

    oid: str
    appid: str
    tenant: str
    issuer: str
    name: str
    method: str = "token"
    store_administrator: bool = False

    @property
    def caller_text(self) -> str:
        """As Key Vault's messages have it."""
        return f"appid={self.appid};oid={self.oid};iss={self.issuer}"


class Unauthenticated(Exception):
    """The request has no token that is believed.  *message* is Key Vault's text.

    *error* and *description* are for the challenge (RFC 6750); without a token both are empty.
    """

    def __init__(self, message: str, error: str = "", description: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.error = error
        self.description = description


class KeysAwaited(Unauthenticated):
    """It is not known yet: the issuer's keys are being fetched.  Ask again once they *arrived*."""

    def __init__(self, arrived: Future[None]) -> None:
        super().__init__(**_unreadable("the keys of the issuer are being fetched"))
        self.arrived = arrived


class _Believed(NamedTuple):
    """Whom a token stands for, and until when (seconds) that need not be asked again."""

    principal: Principal
    until: int


class Authenticator:
    """Knows callers by their tokens.  For one event loop and its threads."""

    def __init__(
        self,
        identities: Identities,
        clock: Callable[[], int] = system_clock,
        *,
        fetch: issuers.Fetch = issuers.fetch,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """*clock* gives microseconds since 1970."""
        self._identities = identities
        self._clock = clock
        self._fetch = fetch
        self._ticks = ticks
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="issuer-keys")
        self._outside: dict[Issuer, IssuerKeys] = {}
        self._own: dict[str, Key] = {}
        self._known = -1
        self._believed: dict[bytes, _Believed] = {}

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def admit(self, request: Request, resource: str, *, manages: bool = False) -> Principal:
        """As `authenticate`, and waits for an issuer's keys without holding up the event loop."""
        try:
            return self.authenticate(request, resource, manages=manages)
        except KeysAwaited as awaited:
            await asyncio.wait([asyncio.wrap_future(awaited.arrived)])
            return self.authenticate(request, resource, manages=manages)

    def authenticate(self, request: Request, resource: str, *, manages: bool = False) -> Principal:
        """Who sends *request* to *resource* (`https://domain[:port]`).  Raise Unauthenticated.

        What *manages* vaults takes a token that was made for that.  It never waits: see KeysAwaited.
        """
        token = bearer(request)
        roll = self._roll()
        now = self._clock() // 1_000_000
        accepted = (management_audiences if manages else own_audiences)(resource)
        asked = f"{accepted[0]}\n{resource}\n{token}"
        place = sha256(asked.encode("utf-8", "surrogatepass")).digest()
        believed = self._believed.get(place)
        if believed is not None and now < believed.until:
            return believed.principal
        try:
            principal, until = self._believe(roll, parse(token), origin(resource), accepted, now)
        except Refused as refused:
            raise Unauthenticated(**_unreadable(str(refused))) from None
        self._remember(place, _Believed(principal, min(until, now + _REMEMBERED_FOR)))
        return principal

    # --- what is believed -------------------------------------------------------------------------

    def _believe(
        self, roll: Roll, parsed: Parsed, resource: str, accepted: tuple[str, ...], now: int
    ) -> tuple[Principal, int]:
        claims = parsed.claims
        if claims.iss == own_issuer(resource, roll.tenant):
            verify(parsed, self._own_keys(parsed.header.kid))
            until = _check_time(claims, now)
            _check_audience(claims, accepted)
            _check_tenant(claims, roll.tenant)
            return _client(roll, claims), until
        issuer = next((one for one in roll.issuers if one.issuer == claims.iss), None)
        if issuer is None:
            raise _wrong_issuer(roll, resource, claims.iss)
        verify(parsed, self._issuer_keys(issuer, parsed.header.kid))
        until = _check_time(claims, now)
        _check_audience(claims, issuer.audiences or accepted)
        if issuer.tenant:
            _check_tenant(claims, issuer.tenant)
        return _outsider(roll, claims), until

    def _roll(self) -> Roll:
        """What is known now; what was believed before it changed is forgotten."""
        # The number first: if the roll changes in between, the next look sees it.
        generation = self._identities.generation
        roll = self._identities.roll
        if generation != self._known:
            self._known = generation
            self._believed.clear()
            self._own = {key.kid: public_key(key.public) for key in roll.signing}
            # Keys that were fetched stay, or every change of a client would fetch them anew.
            self._outside = {
                issuer: self._outside.get(issuer) or self._keys_of(issuer)
                for issuer in roll.issuers
            }
        return roll

    def _keys_of(self, issuer: Issuer) -> IssuerKeys:
        return IssuerKeys(issuer, self._pool, self._fetch, self._ticks)

    def _own_keys(self, kid: str | None) -> list[Key]:
        key = self._own.get(kid or "")
        return [] if key is None else [key]

    def _issuer_keys(self, issuer: Issuer, kid: str | None) -> list[Key]:
        try:
            return self._outside[issuer].find(kid)
        except issuers.KeysAwaited as awaited:
            raise KeysAwaited(awaited.arrived) from None

    def _remember(self, place: bytes, believed: _Believed) -> None:
        while len(self._believed) >= _REMEMBERED:
            del self._believed[next(iter(self._believed))]
        self._believed[place] = believed


# --- the header ----------------------------------------------------------------------------------


def bearer(request: Request) -> str:
    """The token of *request*, unread.  Raise Unauthenticated."""
    given = request.all("authorization")
    if not given:
        raise Unauthenticated(MISSING)
    if len(given) > 1:
        raise Unauthenticated(**_unreadable("there is more than one Authorization header"))
    scheme, _, token = given[0].strip(" \t").partition(" ")
    if scheme.lower() != "bearer" or not token.strip(" "):
        raise Unauthenticated(MISSING)
    if len(token) > MAX_TOKEN:
        raise Unauthenticated(**_unreadable("the token is too long"))
    return token.strip(" ")


# --- the claims ----------------------------------------------------------------------------------


def origin(address: str) -> str:
    """`https://domain[:port]` in one form: no slash at the end, no port that goes without saying."""
    return address.rstrip("/").lower().removesuffix(":443")


def own_issuer(resource: str, tenant: str) -> str:
    """What the service's own authority calls itself in its tokens."""
    return f"{origin(resource)}/{tenant}/v2.0"


@lru_cache(maxsize=256)
def own_audiences(resource: str) -> tuple[str, ...]:
    """What a token may be made for: this service by its address, or Key Vault."""
    here = origin(resource)
    named = [here, KEY_VAULT]
    if ":" not in here.partition("://")[2]:
        named.append(f"{here}:443")
    return tuple(one + slash for one in named for slash in ("", "/"))


@lru_cache(maxsize=256)
def management_audiences(resource: str) -> tuple[str, ...]:
    """What a token that manages vaults may be made for: Azure's resource manager, or this service.

    By this service's address with a slash at its end, as resource managers write theirs.  Without
    one it is what every client of a vault asks for, as its challenge says, and what a program got
    to read a secret does not open the control plane.
    """
    named = [one + slash for one in RESOURCE_MANAGERS for slash in ("/", "")]
    here = origin(resource)
    if ":" not in here.partition("://")[2]:
        named.append(f"{here}:443/")
    return (f"{here}/", *named)


def _check_time(claims: Claims, now: int) -> int:
    """Give the second after which the token is believed no more."""
    if not now <= claims.exp + SKEW:
        raise Unauthenticated(EXPIRED, "invalid_token", "the token has expired")
    if claims.nbf is not None and not claims.nbf - SKEW <= now:
        raise Refused("the token is not valid yet")
    return int(min(claims.exp + SKEW, now + LONGEST_TOKEN))


def _check_audience(claims: Claims, accepted: tuple[str, ...]) -> None:
    if not set(claims.audiences) & set(accepted):
        found = ", ".join(_shown(audience) for audience in claims.audiences[:4])
        raise Unauthenticated(
            f"AKV10022: Invalid audience. Expected {accepted[0]}, found: {found}.",
            "invalid_token",
            "the token is for another audience",
        )


def _check_tenant(claims: Claims, tenant: str) -> None:
    if claims.tid.lower() != tenant.lower():
        raise Unauthenticated(
            f"AKV10032: Invalid issuer. Expected tenant {tenant}, found {_shown(claims.tid)}.",
            "invalid_token",
            "the token is of another tenant",
        )


def _wrong_issuer(roll: Roll, resource: str, found: str) -> Unauthenticated:
    expected = ", ".join([own_issuer(resource, roll.tenant), *(one.issuer for one in roll.issuers)])
    return Unauthenticated(
        f"AKV10032: Invalid issuer. Expected one of {expected}, found {_shown(found)}.",
        "invalid_token",
        "the token is of an issuer that is not trusted",
    )


def _client(roll: Roll, claims: Claims) -> Principal:
    """The registered client that a token of ours was made for."""
    known = roll.client(claims.appid)
    if known is None or known.object_id != claims.oid:
        raise Refused("the client is no longer registered")
    method = claims.amr[0] if claims.amr else "token"
    return Principal(
        known.object_id,
        known.client_id,
        roll.tenant,
        claims.iss,
        known.name,
        method,
        known.store_administrator,
    )


def _outsider(roll: Roll, claims: Claims) -> Principal:
    oid = claims.oid or claims.sub
    try:
        names.check_principal(oid)
    except PrincipalInvalid:
        raise Refused("the token names nobody") from None
    if roll.speaks(oid) or oid.lower().startswith(_LOCAL) or oid.lower() == _ITSELF:
        raise Refused("the issuer may not speak for that principal")
    application = _shown(claims.appid or claims.azp, "")
    if roll.client(application) is not None:
        # A vault may let that one through its boundary, or give it a policy.
        raise Refused("the issuer may not speak for that application")
    shown = claims.preferred_username or claims.upn or claims.unique_name or claims.name
    return Principal(
        oid,
        application,
        _shown(claims.tid, ""),
        claims.iss,
        _shown(shown or claims.app_displayname, ""),
    )


def _shown(text: str, nothing: str = "(none)") -> str:
    """What an unknown writer said, fit to be printed."""
    return "".join(letter for letter in text[:256] if letter.isprintable()) or nothing


def _unreadable(why: str) -> dict[str, str]:
    return {"message": f"{_UNREADABLE}{why}.", "error": "invalid_token", "description": why}


# --- tokens of our own ---------------------------------------------------------------------------


class Issued(NamedTuple):
    """A token, and its times in Unix seconds."""

    token: str
    issued: int
    expires: int

    def __repr__(self) -> str:
        return f"Issued(expires={self.expires})"


def issue(
    roll: Roll,
    application: Application,
    *,
    authority: str,
    audience: str,
    now: int,
    method: str,
    lifetime: int = LIFETIME,
) -> Issued:
    """A token for *application*, by the authority at the address *authority*, for *audience*.

    *method* says how the client was known; it is in the token, and so in what is recorded.
    """
    expires = now + max(1, min(lifetime, LONGEST_TOKEN))
    key = roll.signing[0]
    claims = {
        "aud": audience,
        "iss": own_issuer(authority, roll.tenant),
        "iat": now,
        "nbf": now,
        "exp": expires,
        "appid": application.client_id,
        "app_displayname": application.name,
        "idtyp": "app",
        "oid": application.object_id,
        "sub": application.object_id,
        "tid": roll.tenant,
        "amr": [method],
        "uti": uuid.uuid4().hex,
        "ver": "1.0",
    }
    return Issued(sign(key.private, key.kid, claims), now, expires)
