"""What the views keep: one struct for each table, and the keys that name their rows.

A row says where in the log something stands and what governs it.  It never holds a value, a content
type or a tag: those live in their sealed record only, so that a purge has one place to shred.  Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import islice
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from eventstore.rule_events import BoundarySet, SubnetRule, TrustedService, VirtualNetwork


class Table(IntEnum):
    """A table's number is its first byte on disk."""

    SETTINGS = 1
    SECRETS = 2
    VERSIONS = 3
    POLICIES = 4
    DUE = 5
    KEYS = 6
    ERASURES = 7
    BACKUPS = 8
    REQUESTS = 9
    KNOWN_SECRETS = 11
    KNOWN_POLICIES = 12
    BY_NAME = 13
    BY_PRINCIPAL = 14
    ERASED = 15
    EXPOSURE = 16
    LISTED = 17
    PRINTS = 18
    BACKED_UP = 19
    COPIED = 20
    BOUNDARY = 21
    GRANTED = 22
    STORAGE_ACCOUNTS = 23
    SAS_DEFINITIONS = 24
    KNOWN_STORAGE = 25
    KNOWN_SAS = 26
    ROTATIONS = 27
    TOKENS = 28
    PAST_SETTINGS = 129
    PAST_SECRETS = 130
    PAST_VERSIONS = 131
    PAST_POLICIES = 132
    PAST_BOUNDARY = 133
    PAST_STORAGE_ACCOUNTS = 134
    PAST_SAS_DEFINITIONS = 135


_PAST = {
    Table.SETTINGS: Table.PAST_SETTINGS,
    Table.SECRETS: Table.PAST_SECRETS,
    Table.VERSIONS: Table.PAST_VERSIONS,
    Table.POLICIES: Table.PAST_POLICIES,
    Table.BOUNDARY: Table.PAST_BOUNDARY,
    Table.STORAGE_ACCOUNTS: Table.PAST_STORAGE_ACCOUNTS,
    Table.SAS_DEFINITIONS: Table.PAST_SAS_DEFINITIONS,
}


class Row(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One row of a view."""


class Settings(Row, frozen=True):
    """The vault's settings.  *at* is the position of the event that says so."""

    name: str
    retention_days: int
    purge_protection: bool
    administrators: tuple[str, ...]
    created: int
    at: int
    resource_group: str = ""
    location: str = ""
    sku: str = "standard"
    vault_tags: dict[str, str] = {}
    enabled_for: tuple[str, ...] = ()
    deleted_date: int | None = None
    scheduled_purge: int | None = None
    purged: bool = False


class Boundary(Row, frozen=True):
    """From where the vault's secrets can be reached: see the event of that name."""

    default_action: str
    bypass: str
    ip_rules: tuple[str, ...]
    subnet_rules: tuple[SubnetRule, ...]
    public_network_access: bool
    allow_private_ranges: bool
    networks: tuple[VirtualNetwork, ...]
    trusted_services: tuple[TrustedService, ...]
    at: int


OPEN: Final = Boundary(
    **{name: getattr(BoundarySet(), name) for name in BoundarySet.__struct_fields__}, at=0
)
"""The boundary of a vault that never had one."""


class Secret(Row, frozen=True):
    """A secret, active or deleted.  *at* is the position of its last event: its stream version.

    *key* is the number of the key that seals this lifetime of the name.
    """

    name: str
    key: int
    current: str
    at: int
    deleted_date: int | None = None
    scheduled_purge: int | None = None


class Version(Row, frozen=True):
    """One version.  *value_at* and *content_at* are the records that hold value and tags."""

    id: bytes
    value_at: int
    content_at: int
    enabled: bool
    nbf: int | None
    exp: int | None
    created: int
    updated: int
    value_print: bytes = b""
    content_print: bytes = b""

    @property
    def version(self) -> str:
        """The version's id, as 32 hexadecimal digits."""
        return self.id.hex()


class Policy(Row, frozen=True):
    """What a principal may do; with an *application_id* only through that client."""

    object_id: str
    secrets: tuple[str, ...]
    storage: tuple[str, ...]
    at: int
    application_id: str = ""

    @property
    def holder(self) -> str:
        return holder(self.object_id, self.application_id)


class StorageAccount(Row, frozen=True):
    """A managed storage account, active or deleted.  *at* is the position of its last event.

    *key* is the number of the key that seals all of this lifetime.  *keys_at* and *tags_at* are the
    records that hold its keys and its tags; *next_rotation* is in Unix seconds.  While the provider
    is asked for a new key, *regenerating* is that key's name and *regenerating_at* the record that
    said so, *regenerating_since* its time; *automatic* if nobody asked for it.
    """

    name: str
    key: int
    resource_id: str
    account_name: str
    active_key: str
    auto_regenerate: bool
    period: int | None
    enabled: bool
    created: int
    updated: int
    key_prints: dict[str, bytes]
    keys_at: int
    tags_at: int
    at: int
    next_rotation: int | None = None
    deleted_date: int | None = None
    scheduled_purge: int | None = None
    regenerating: str = ""
    regenerating_at: int = 0
    regenerating_since: int = 0
    automatic: bool = False


class SasDefinition(Row, frozen=True):
    """A SAS definition, active or deleted.  *content_at* is the record that holds its template.

    *key* is the number of its account's key, which seals it.
    """

    account: str
    name: str
    key: int
    sas_type: str
    period: int
    enabled: bool
    created: int
    updated: int
    content_at: int
    at: int
    content_print: bytes = b""
    deleted_date: int | None = None
    scheduled_purge: int | None = None

    @property
    def secret_name(self) -> str:
        """The name of the secret that its tokens are read as."""
        return f"{self.account}-{self.name}"


class Rotation(Row, frozen=True):
    """A storage account that is to be looked at: a rotation is due, or one was not finished."""

    name: str


class Due(Row, frozen=True):
    """What is deleted and whose retention ends: a secret, or what `owner_of` makes of storage."""

    name: str


class Keys(Row, frozen=True):
    """Which key number the vault uses next."""

    next: int


class Erasure(Row, frozen=True):
    """Keys that an event said are to be destroyed, with no receipt yet; *runs* by first and last."""

    keys: tuple[int, ...]
    open_backups: tuple[int, ...]
    runs: tuple[tuple[int, int], ...] = ()

    def numbers(self) -> Iterator[int]:
        """All of them, one by one."""
        yield from self.keys
        for first, last in self.runs:
            yield from range(first, last + 1)


class Backup(Row, frozen=True):
    """A blob that holds a secret of this name, in this lifetime or an earlier one.

    One that another vault issued (*foreign*) was restored here: it could bring the value back, but
    only that vault may destroy its key.
    """

    backup_key: int
    at: int
    foreign: bool = False


class Request(Row, frozen=True):
    """Where the answer to a request id stands."""

    at: int
    count: int


class Known(Row, frozen=True):
    """A name that ever had a secret, or a principal that ever had a policy."""

    name: str


class Mark(Row, frozen=True):
    """There is such a place, and that is all that there is to know."""


class Erased(Row, frozen=True):
    """A key that a purge destroyed; *at* is the purge's position."""

    at: int


class Exposure(Row, frozen=True):
    """A version that a principal was given: first and last time as positions of the log.

    In `access` by a read, in `changes` by a backup blob.
    """

    name: str
    version: str
    first: int
    last: int
    count: int


ROWS: dict[Table, type[Row]] = {
    Table.SETTINGS: Settings,
    Table.SECRETS: Secret,
    Table.VERSIONS: Version,
    Table.POLICIES: Policy,
    Table.DUE: Due,
    Table.KEYS: Keys,
    Table.ERASURES: Erasure,
    Table.BACKUPS: Backup,
    Table.REQUESTS: Request,
    Table.KNOWN_SECRETS: Known,
    Table.KNOWN_POLICIES: Known,
    Table.BY_NAME: Mark,
    Table.BY_PRINCIPAL: Mark,
    Table.ERASED: Erased,
    Table.EXPOSURE: Exposure,
    Table.LISTED: Mark,
    Table.PRINTS: Mark,
    Table.BACKED_UP: Mark,
    Table.COPIED: Mark,
    Table.BOUNDARY: Boundary,
    Table.GRANTED: Mark,
    Table.STORAGE_ACCOUNTS: StorageAccount,
    Table.SAS_DEFINITIONS: SasDefinition,
    Table.KNOWN_STORAGE: Known,
    Table.KNOWN_SAS: Known,
    Table.ROTATIONS: Rotation,
    Table.TOKENS: Mark,
    Table.PAST_SETTINGS: Settings,
    Table.PAST_SECRETS: Secret,
    Table.PAST_VERSIONS: Version,
    Table.PAST_POLICIES: Policy,
    Table.PAST_BOUNDARY: Boundary,
    Table.PAST_STORAGE_ACCOUNTS: StorageAccount,
    Table.PAST_SAS_DEFINITIONS: SasDefinition,
}


class RowKey(NamedTuple):
    """A row's place: its table, whose it is, and its order among that owner's rows.

    On disk *owner* is hashed under a key; *order* stands as it is and holds nothing secret.
    """

    table: Table
    owner: bytes = b""
    order: bytes = b""


def settings_key() -> RowKey:
    return RowKey(Table.SETTINGS)


def secret_key(name: str) -> RowKey:
    return RowKey(Table.SECRETS, name.upper().encode())


def version_key(name: str, version: str) -> RowKey:
    return RowKey(Table.VERSIONS, name.upper().encode(), bytes.fromhex(version))


def boundary_key() -> RowKey:
    return RowKey(Table.BOUNDARY)


def holder(object_id: str, application_id: str = "") -> str:
    """Whose policy it is: a principal, or a principal through one client.

    NUL parts the two, since no principal's name has one.
    """
    return f"{object_id}\0{application_id}" if application_id else object_id


def parted(holder: str) -> tuple[str, str]:
    """The principal and the client that *holder* stands for."""
    object_id, _, application_id = holder.partition("\0")
    return object_id, application_id


def policy_key(holder: str) -> RowKey:
    return RowKey(Table.POLICIES, holder.encode())


def owner_of(account: str, sas: str = "") -> str:
    """Whose rows of storage they are: an account's, or one of its definitions'.

    NUL parts the two and ends an account, so that no secret has such a name.
    """
    return f"{account}\0{sas}"


def owned(owner: str) -> tuple[str, str] | None:
    """The account and the definition that `owner_of` made *owner* of; None for a secret's name."""
    account, parted, sas = owner.partition("\0")
    return (account, sas) if parted else None


def storage_key(account: str) -> RowKey:
    return RowKey(Table.STORAGE_ACCOUNTS, owner_of(account).upper().encode())


def sas_key(account: str, sas: str) -> RowKey:
    return RowKey(Table.SAS_DEFINITIONS, owner_of(account, sas).upper().encode())


def rotation_key(time: int, position: int) -> RowKey:
    """Where an account waits until *time*; *position* is that of its last event."""
    return RowKey(Table.ROTATIONS, b"", _u64(time) + _u64(position))


def token_key(principal: str, expires: int, position: int) -> RowKey:
    """The mark that *principal* was given a token by the record at *position*."""
    return RowKey(Table.TOKENS, principal.encode(), _u64(expires) + _u64(position))


def due_key(scheduled_purge: int, deleted_at: int) -> RowKey:
    return RowKey(Table.DUE, b"", _u64(scheduled_purge) + _u64(deleted_at))


def keys_key() -> RowKey:
    return RowKey(Table.KEYS)


def erasure_key(position: int) -> RowKey:
    return RowKey(Table.ERASURES, b"", _u64(position))


def backup_key(name: str, backup: int) -> RowKey:
    return RowKey(Table.BACKUPS, name.upper().encode(), _u64(backup))


def request_key(principal: str, request: str) -> RowKey:
    return RowKey(Table.REQUESTS, principal.encode() + b"\0" + request.encode())


def known_key(table: Table, position: int, owner: bytes = b"") -> RowKey:
    """Where a name is listed that the record at *position* brought; *table* is one of KNOWN.

    The definitions of an account are listed under it.
    """
    return RowKey(table, owner, _u64(position))


def listed_key(table: Table, owner: bytes) -> RowKey:
    """The mark that *owner* stands in the list *table* already."""
    return RowKey(Table.LISTED, bytes((table,)) + owner)


def by_name_key(name: str, position: int) -> RowKey:
    return RowKey(Table.BY_NAME, name.upper().encode(), _u64(position))


def by_principal_key(principal: str, position: int) -> RowKey:
    return RowKey(Table.BY_PRINCIPAL, principal.encode(), _u64(position))


def backed_up_key(name: str, position: int) -> RowKey:
    """The mark that the record at *position* gave out a blob of the secret."""
    return RowKey(Table.BACKED_UP, name.upper().encode(), _u64(position))


def copied_key(principal: str, position: int) -> RowKey:
    """The mark that *principal* copied the vault; the empty one is anybody."""
    return RowKey(Table.COPIED, principal.encode(), _u64(position))


def granted_key(position: int) -> RowKey:
    """The mark that the record at *position* let an auditor read a period."""
    return RowKey(Table.GRANTED, b"", _u64(position))


def print_key(name: str, value_print: bytes, version: bytes) -> RowKey:
    """The mark that *version* has a value with this fingerprint."""
    return RowKey(Table.PRINTS, name.upper().encode(), value_print + version)


def erased_key(number: int) -> RowKey:
    return RowKey(Table.ERASED, _u64(number))


def exposure_key(principal: str, version: str) -> RowKey:
    return RowKey(Table.EXPOSURE, principal.encode(), bytes.fromhex(version))


def past_key(key: RowKey, position: int) -> RowKey:
    """Where the row that stood at *key* until the record at *position* is kept."""
    return RowKey(past_of(key.table), key.owner, key.order + _u64(position))


def past_of(table: Table) -> Table:
    """The table that keeps the past of *table*."""
    return _PAST[table]


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


R = TypeVar("R", bound=Row)


class Rows(Protocol):
    """Views to read from: in LMDB, or a dict."""

    def get(self, key: RowKey, kind: type[R]) -> R | None: ...

    def scan(
        self, table: Table, kind: type[R], owner: bytes = b"", after: bytes = b""
    ) -> Iterator[tuple[bytes, R]]:
        """Orders and rows of *owner* in *table*, by order, those greater than *after*."""
        ...

    def first(
        self, table: Table, kind: type[R], owner: bytes, start: bytes, within: bytes
    ) -> R | None:
        """The row of *owner* in *table* with the lowest order from *start* on.

        None if there is none, or if its order does not begin with *within*.
        """
        ...

    def names(self) -> Sequence[str]:
        """The names that ever had a secret, and perhaps more: upper case, sorted."""
        ...

    def secrets(self, after: str = "") -> Iterator[Secret]:
        """All secrets, active and deleted, by name; those with a name greater than *after*."""
        ...

    def policies(self) -> Iterator[Policy]: ...

    def storage_accounts(self, after: str = "") -> Iterator[StorageAccount]:
        """All storage accounts, active and deleted, by name; those greater than *after*."""
        ...

    def sas_definitions(self, account: str, after: str = "") -> Iterator[SasDefinition]:
        """All definitions of an account, active and deleted, by name; those after *after*."""
        ...


class Put(NamedTuple):
    """A change to the views: the row that stands at *key* from now on, or None."""

    key: RowKey
    row: Row | None


class Listing:
    """What follows from `get` and `scan`.  For who keeps rows."""

    def first(
        self: Rows, table: Table, kind: type[R], owner: bytes, start: bytes, within: bytes
    ) -> R | None:
        """The row of the lowest order from *start* on, if its order begins with *within*."""
        for order, row in self.scan(table, kind, owner):
            if order >= start:
                return row if order.startswith(within) else None
        return None

    def names(self: Rows) -> Sequence[str]:
        """The names that ever had a secret, upper case and sorted."""
        return sorted(known.name.upper() for _, known in self.scan(Table.KNOWN_SECRETS, Known))

    def secrets(self: Rows, after: str = "") -> Iterator[Secret]:
        """All secrets, active and deleted, by name; those with a name greater than *after*."""
        found = self.names()
        for name in islice(found, bisect_right(found, after.upper()), None):
            secret = self.get(secret_key(name), Secret)
            if secret is not None:
                yield secret

    def policies(self: Rows) -> Iterator[Policy]:
        """All access policies."""
        for _, known in self.scan(Table.KNOWN_POLICIES, Known):
            policy = self.get(policy_key(known.name), Policy)
            if policy is not None:
                yield policy

    def storage_accounts(self: Rows, after: str = "") -> Iterator[StorageAccount]:
        """All storage accounts, by name; those with a name greater than *after*."""
        for name in _sorted(self.scan(Table.KNOWN_STORAGE, Known), after):
            account = self.get(storage_key(name), StorageAccount)
            if account is not None:
                yield account

    def sas_definitions(self: Rows, account: str, after: str = "") -> Iterator[SasDefinition]:
        """All definitions of an account, by name; those with a name greater than *after*."""
        owner = storage_key(account).owner
        for name in _sorted(self.scan(Table.KNOWN_SAS, Known, owner), after):
            definition = self.get(sas_key(account, name), SasDefinition)
            if definition is not None:
                yield definition


def _sorted(found: Iterator[tuple[bytes, Known]], after: str) -> list[str]:
    names = {known.name.upper() for _, known in found}
    return sorted(name for name in names if name > after.upper())
