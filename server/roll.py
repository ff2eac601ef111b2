"""Who is known to the service: its tenant, its clients, the issuers it trusts, its signing keys.

Pure: a roll is never changed, a new one is made of it; the time, ids and randomness are arguments.
Times are Unix seconds.  A client's secret is not here: only what Argon2id makes of it (RFC 9106).

A client secret is ``ID~RANDOM``.  The id says which of all secrets it claims to be, so that exactly
one is hashed whatever was sent: to check several would tell by its time how many a client has.
"""

from __future__ import annotations

import hmac
import re
from typing import Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec.structs import replace

from eventstore.errors import MunimentError

FORMAT: Final = 1
SECRET_ID_SIZE: Final = 8
MAX_SECRET: Final = 256
MAX_KEYS: Final = 8
MAX_JWKS: Final = 64 * 1024
LONGEST_TOKEN: Final = 24 * 3600
"""No token of ours lives longer (seconds), so a key that signs no more is kept for so long."""
SKEW: Final = 300

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}", re.ASCII)
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_DERIVED: Final = b"muniment/identities/v1/"


class IdentityError(MunimentError):
    """The identities do not allow this."""

    code = "identity.error"


class IdentityNotFound(IdentityError):
    """There is no identity of that name."""

    code = "identity.not-found"
    hint = "`muniment identity list` shows them"


class IdentityExists(IdentityError):
    """There is an identity of that name, or with that object id, already."""

    code = "identity.exists"


class IdentityInvalid(IdentityError):
    """What was said of an identity or of an issuer is not valid."""

    code = "identity.invalid"


class Cost(msgspec.Struct, frozen=True, array_like=True):
    """What a guess at a client secret costs.  *memory* is in KiB."""

    iterations: int
    lanes: int
    memory: int


LIGHT: Final = Cost(iterations=2, lanes=1, memory=19 * 1024)
"""OWASP's least for Argon2id.  A secret of ours has 256 random bits: nobody guesses at any cost."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a roll.  An unknown member is refused, never skipped."""


class HashedSecret(_Part, frozen=True, kw_only=True):
    """A client secret, as Argon2id leaves it."""

    id: str
    salt: bytes
    digest: bytes
    cost: Cost
    created: int
    expires: int

    def __repr__(self) -> str:
        return f"HashedSecret({self.id})"

    def fits(self, secret: str) -> bool:
        """Whether *secret* is this one.  It takes as long for any text."""
        return hmac.compare_digest(hashed(secret, self.salt, self.cost), self.digest)


class ClientKey(_Part, frozen=True, kw_only=True):
    """A public key that signs a client's assertions: SubjectPublicKeyInfo (DER) and its SHA-256."""

    id: str
    der: bytes


class Application(_Part, frozen=True, kw_only=True):
    """A client: *client_id* is what it signs in with, *object_id* what policies know it by.

    A *store_administrator* may make vaults, and see how each of them is set up.
    """

    name: str
    client_id: str
    object_id: str
    created: int
    secrets: tuple[HashedSecret, ...] = ()
    keys: tuple[ClientKey, ...] = ()
    store_administrator: bool = False


class Issuer(_Part, frozen=True, kw_only=True):
    """An outside issuer of tokens.  *jwks* is pinned; without it keys are fetched from *jwks_url*.

    Without *audiences* its tokens must be made for this service, or for Key Vault.  With *tenant*
    they must say so.
    """

    issuer: str
    audiences: tuple[str, ...] = ()
    tenant: str = ""
    jwks: bytes = b""
    jwks_url: str = ""


class SigningKey(_Part, frozen=True, kw_only=True):
    """A key of the token authority.  One that retires has no private part any more."""

    kid: str
    public: bytes
    private: bytes = b""
    retires: int | None = None

    def __repr__(self) -> str:
        return f"SigningKey({self.kid})"


class Roll(_Part, frozen=True, kw_only=True):
    """All that is known.  The first signing key is the one that signs.

    *root_epoch* is that of the keyring when the key that seals this was given out.
    """

    format: int
    root_epoch: int
    tenant: str
    secret: bytes
    signing: tuple[SigningKey, ...]
    applications: tuple[Application, ...] = ()
    issuers: tuple[Issuer, ...] = ()

    def __repr__(self) -> str:
        return f"Roll({len(self.applications)} applications, {len(self.issuers)} issuers)"

    # --- looking ----------------------------------------------------------------------------------

    def named(self, name: str) -> Application:
        """The client of that name or client id.  Raise IdentityNotFound."""
        for one in self.applications:
            if name.lower() in (one.name.lower(), one.client_id):
                return one
        raise IdentityNotFound(f"there is no identity {name[:64]!r}")

    def client(self, client_id: str) -> Application | None:
        wanted = client_id.lower()
        return next((one for one in self.applications if one.client_id == wanted), None)

    def holder(self, secret_id: str) -> tuple[Application, HashedSecret] | None:
        """The client that has a secret of that id, and the secret."""
        for one in self.applications:
            for secret in one.secrets:
                if secret.id == secret_id:
                    return one, secret
        return None

    def speaks(self, object_id: str) -> bool:
        """Whether a client of ours is known by that object id."""
        return self.client_of(object_id) is not None

    def client_of(self, object_id: str) -> Application | None:
        """The client that is known by that object id: over a network nobody else has it."""
        wanted = object_id.lower()
        return next((one for one in self.applications if one.object_id == wanted), None)

    def derived(self, label: bytes) -> bytes:
        """32 bytes for the purpose *label*: HKDF-SHA256 (RFC 5869) of the service's secret."""
        return HKDF(hashes.SHA256(), 32, None, _DERIVED + label).derive(self.secret)

    # --- a new roll -------------------------------------------------------------------------------

    def adding(self, application: Application) -> Roll:
        """Raise IdentityInvalid or IdentityExists."""
        check_name(application.name)
        check_guid("the client id", application.client_id)
        check_guid("the object id", application.object_id)
        for one in self.applications:
            if one.name.lower() == application.name.lower():
                raise IdentityExists(f"there is an identity {one.name} already")
            if {one.client_id, one.object_id} & {application.client_id, application.object_id}:
                raise IdentityExists(f"the identity {one.name} has that id already")
        return replace(self, applications=(*self.applications, application))

    def removing(self, name: str) -> Roll:
        """Raise IdentityNotFound."""
        gone = self.named(name)
        return replace(self, applications=tuple(x for x in self.applications if x is not gone))

    def with_secret(self, name: str, secret: HashedSecret, keep_until: int) -> Roll:
        """The client *name* gets a secret; its others end at *keep_until* at the latest."""
        known = self.named(name)
        kept = [
            replace(one, expires=min(one.expires, keep_until))
            for one in known.secrets
            if min(one.expires, keep_until) > secret.created
        ]
        return self._changing(known, replace(known, secrets=(*kept, secret)))

    def with_keys(self, name: str, keys: tuple[ClientKey, ...]) -> Roll:
        """The client *name* signs its assertions with exactly these keys."""
        known = self.named(name)
        if len(keys) > MAX_KEYS:
            raise IdentityInvalid(f"an identity has at most {MAX_KEYS} keys")
        return self._changing(known, replace(known, keys=keys))

    def trusting(self, issuer: Issuer) -> Roll:
        """Trust *issuer* from now on, in place of what was said of it before."""
        check_issuer(issuer)
        others = tuple(one for one in self.issuers if one.issuer != issuer.issuer)
        return replace(self, issuers=(*others, issuer))

    def distrusting(self, issuer: str) -> Roll:
        """Raise IdentityNotFound."""
        others = tuple(one for one in self.issuers if one.issuer != issuer)
        if others == self.issuers:
            raise IdentityNotFound("that issuer is not trusted")
        return replace(self, issuers=others)

    def signing_with(self, key: SigningKey, now: int, *, revoking: bool = False) -> Roll:
        """Sign with *key* from now on; the keys before it verify until their tokens have ended.

        With *revoking* they are forgotten at once, and their tokens with them.
        """
        if revoking:
            return replace(self, signing=(key,))
        before = [
            replace(one, private=b"", retires=one.retires or now + LONGEST_TOKEN + SKEW)
            for one in self.signing
            if one.retires is None or one.retires > now
        ]
        return replace(self, signing=(key, *before))

    def _changing(self, old: Application, new: Application) -> Roll:
        return replace(
            self, applications=tuple(new if one is old else one for one in self.applications)
        )


class Claimed(NamedTuple):
    """Whose secret a text claims to be."""

    application: Application | None
    secret: HashedSecret


_NOBODY: Final = HashedSecret(
    id="", salt=bytes(16), digest=bytes(32), cost=LIGHT, created=0, expires=0
)


def claimed(roll: Roll, secret: str, now: int) -> Claimed:
    """What to hash for *secret*: always one thing of one cost, whether somebody has it or not."""
    found = roll.holder(secret.partition("~")[0])
    if found is None or found[1].expires <= now:
        return Claimed(None, _NOBODY)
    return Claimed(*found)


def hashed(secret: str, salt: bytes, cost: Cost) -> bytes:
    """Argon2id of *secret*, 32 bytes."""
    kdf = Argon2id(
        salt=salt,
        length=32,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory,
    )
    return kdf.derive(secret.encode("utf-8", "surrogatepass"))


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise IdentityInvalid("a name has 1 to 64 letters, digits, dots, hyphens and underscores")
    if _GUID.fullmatch(name.lower()):
        raise IdentityInvalid("a name is not a GUID: it could be taken for a client id")


def check_guid(what: str, text: str) -> None:
    if not _GUID.fullmatch(text):
        raise IdentityInvalid(f"{what} is a GUID, as 8fc84c0a-3bd7-4a3e-9f8c-1d2e3f405162")


def check_issuer(issuer: Issuer) -> None:
    if not issuer.issuer.startswith("https://") or not _is_plain(issuer.issuer):
        raise IdentityInvalid("an issuer is an https address")
    if not all(_is_plain(audience) for audience in issuer.audiences):
        raise IdentityInvalid("an audience has 1 to 512 printable characters")
    if bool(issuer.jwks) == bool(issuer.jwks_url):
        raise IdentityInvalid("the keys of an issuer come from a file or from an address")
    if issuer.jwks_url and not (
        issuer.jwks_url.startswith("https://") and _is_plain(issuer.jwks_url)
    ):
        raise IdentityInvalid("the keys of an issuer are fetched from an https address")
    if len(issuer.jwks) > MAX_JWKS:
        raise IdentityInvalid(f"the keys of an issuer have at most {MAX_JWKS:,} bytes")


def _is_plain(text: str) -> bool:
    return 1 <= len(text) <= 512 and text.isascii() and text.isprintable() and " " not in text
