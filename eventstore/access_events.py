"""What `access` records beside its keys: what was given out, and what was refused.  Pure."""

from __future__ import annotations

from eventstore.event import Event


class SecretRead(Event, frozen=True, kw_only=True, tag="secret.read"):
    """A value was given out.  *at* is the size of `changes` it was answered at.

    *as_of* is the size of `changes` at the point of the past that was asked for, if one was.
    """

    name: str
    version: str
    at: int
    as_of: int | None = None


class SecretsListed(Event, frozen=True, kw_only=True, tag="secrets.listed"):
    """The names of active secrets were given out, *count* of them."""

    at: int
    count: int
    as_of: int | None = None


class SecretVersionsListed(Event, frozen=True, kw_only=True, tag="secret-versions.listed"):
    """The versions of one secret were given out."""

    name: str
    at: int
    count: int
    as_of: int | None = None


class DeletedSecretRead(Event, frozen=True, kw_only=True, tag="deleted-secret.read"):
    """The attributes of a deleted secret were given out."""

    name: str
    at: int
    as_of: int | None = None


class DeletedSecretsListed(Event, frozen=True, kw_only=True, tag="deleted-secrets.listed"):
    """The names of deleted secrets were given out."""

    at: int
    count: int
    as_of: int | None = None


class VaultRead(Event, frozen=True, kw_only=True, tag="vault.read"):
    """The vault's settings or policies were given out."""

    what: str
    at: int
    as_of: int | None = None


class HistoryRead(Event, frozen=True, kw_only=True, tag="history.read"):
    """Records of the past were given out, without values; *what* says for which question."""

    at: int
    count: int
    name: str = ""
    what: str = "log"
    as_of: int | None = None


class HistoryVerified(Event, frozen=True, kw_only=True, tag="history.verified"):
    """The history was checked from the first record, up to so many records of each log.

    A log that was not checked counts none.
    """

    at: int
    changes: int
    access: int


class IdentityChanged(Event, frozen=True, kw_only=True, tag="identity.changed"):
    """Who may sign in to the store's service changed, or was given a token by hand.

    *change* is of: client-added, store-administrator-added, client-removed, secret-rotated,
    issuer-trusted, issuer-distrusted, signing-key-rotated, tokens-revoked, token-issued.  *client* is
    a client's name or an issuer.
    """

    at: int
    change: str
    client: str = ""
    object_id: str = ""


class RequestsTurnedAway(Event, frozen=True, kw_only=True, tag="requests.turned-away"):
    """Requests that were counted since *since* (Unix seconds) and not recorded one by one.

    *unauthenticated* named nobody, or nobody who could be believed; *throttled* came too often.
    """

    at: int
    since: int
    unauthenticated: int = 0
    throttled: int = 0


class EvidencePackaged(Event, frozen=True, kw_only=True, tag="evidence.packaged"):
    """Evidence of a period was put together to be taken out: its events without values.

    *start*, *stop*, *changes* and *access* are as in `audit.granted`; *digest* is the SHA-256 of the
    bundle's manifest, in hex.
    """

    at: int
    start: int
    stop: int
    changes: tuple[int, int]
    access: tuple[int, int]
    digest: str


class RequestRefused(Event, frozen=True, kw_only=True, tag="request.refused"):
    """A request was not carried out; *outcome* in the context is the code of the refusal."""

    operation: str
    at: int
    name: str = ""
    version: str = ""
