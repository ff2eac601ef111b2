"""The whole state of a vault: a fold of `changes` alone.  Pure; never raises.

`apply` says which rows an entry changes; whoever keeps the rows (LMDB, or `State` in memory) puts
them.  There is one such function, so that a live view, a rebuild and a look at the past agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from struct import Struct
from typing import Any, assert_never

from eventstore.events import (
    AuditGranted,
    AuditKeyRotated,
    Change,
    ClockSteppedBack,
    KeysErased,
    RootKeyRotated,
    SecretBackedUp,
    SecretDeleted,
    SecretPurged,
    SecretRecovered,
    SecretRestored,
    SecretSet,
    SecretUpdated,
    SecretVersionRestored,
    SigningKeyRotated,
    StoreAdopted,
    VaultRestored,
)
from eventstore.record import Entry
from eventstore.rule_events import (
    BoundarySet,
    PolicyDeleted,
    PolicySet,
    VaultCreated,
    VaultDeleted,
    VaultPurged,
    VaultRecovered,
    VaultUpdated,
)
from eventstore.storage_events import (
    SasDefinitionDeleted,
    SasDefinitionPurged,
    SasDefinitionRecovered,
    SasDefinitionRestored,
    SasDefinitionSet,
    SasDefinitionUpdated,
    StorageAccountBackedUp,
    StorageAccountDeleted,
    StorageAccountPurged,
    StorageAccountRecovered,
    StorageAccountRestored,
    StorageAccountSet,
    StorageAccountUpdated,
    StorageKeyRegenerated,
    StorageKeyRegenerating,
    StorageKeyRegenerationFailed,
    StorageKeysSynced,
)
from projections import keys, past, policies, secrets, storage, trail
from projections.rows import (
    Listing,
    Put,
    R,
    Request,
    Row,
    RowKey,
    Rows,
    Table,
    request_key,
)

_LENGTH = Struct(">I")


def apply(rows: Rows, entry: Entry[Change]) -> list[Put]:
    """All rows that *entry* changes, each at most once."""
    puts = [*_apply(rows, entry), *keys.count(rows, entry), *_requests(rows, entry)]
    return [*puts, *past.keep(rows, puts, entry.position), *trail.of_changes(rows, entry)]


def _apply(rows: Rows, entry: Entry[Any]) -> list[Put]:
    event: Change = entry.event
    match event:
        case (
            SecretSet()
            | SecretUpdated()
            | SecretDeleted()
            | SecretRecovered()
            | SecretPurged()
            | SecretBackedUp()
            | SecretRestored()
            | SecretVersionRestored()
        ):
            return secrets.apply(rows, entry)
        case (
            StorageAccountBackedUp()
            | StorageAccountDeleted()
            | StorageAccountPurged()
            | StorageAccountRecovered()
            | StorageAccountRestored()
            | StorageAccountSet()
            | StorageAccountUpdated()
            | StorageKeyRegenerated()
            | StorageKeyRegenerating()
            | StorageKeyRegenerationFailed()
            | StorageKeysSynced()
        ):
            return storage.apply(rows, entry)
        case (
            SasDefinitionDeleted()
            | SasDefinitionPurged()
            | SasDefinitionRecovered()
            | SasDefinitionRestored()
            | SasDefinitionSet()
            | SasDefinitionUpdated()
        ):
            return storage.apply_sas(rows, entry)
        case (
            VaultCreated()
            | VaultUpdated()
            | VaultDeleted()
            | VaultRecovered()
            | VaultPurged()
            | PolicySet()
            | PolicyDeleted()
            | BoundarySet()
        ):
            return policies.apply(rows, entry)
        case (
            SigningKeyRotated()
            | AuditKeyRotated()
            | RootKeyRotated()
            | VaultRestored()
            | StoreAdopted()
            | AuditGranted()
            | KeysErased()
            | ClockSteppedBack()
        ):
            return keys.apply(rows, entry)
        case _:
            assert_never(event)


def _requests(rows: Rows, entry: Entry[Any]) -> list[Put]:
    context = entry.context
    if not context.request:
        return []
    key = request_key(context.principal, context.request)
    run = rows.get(key, Request)
    if run is None or run.at + run.count != entry.position:
        # Something else came between: this is another request, which was given the same id.
        return [Put(key, Request(entry.position, 1))]
    return [Put(key, Request(run.at, run.count + 1))]


Apply = Callable[[Rows, Entry[Any]], list[Put]]
"""What an entry changes: `apply` for `changes`, `trail.apply` for `access`."""


class State(Listing):
    """The rows in memory: for a look at the past, a check, or a test."""

    def __init__(self) -> None:
        self._rows: dict[RowKey, Row] = {}

    def get(self, key: RowKey, kind: type[R]) -> R | None:
        row = self._rows.get(key)
        return row if isinstance(row, kind) else None

    def scan(
        self, table: Table, kind: type[R], owner: bytes = b"", after: bytes = b""
    ) -> Iterator[tuple[bytes, R]]:
        found = [
            (key.order, row)
            for key, row in self._rows.items()
            if key.table == table
            and key.owner == owner
            and (not after or key.order > after)
            and isinstance(row, kind)
        ]
        yield from sorted(found, key=lambda pair: pair[0])

    def fold(self, entries: Iterable[Entry[Any]], how: Apply = apply) -> State:
        """Apply *entries* in order, and give itself."""
        for entry in entries:
            self.put(how(self, entry))
        return self

    def put(self, puts: Iterable[Put]) -> None:
        for key, row in puts:
            if row is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = row

    def items(self) -> Iterator[tuple[RowKey, Row]]:
        yield from self._rows.items()


def digest(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """SHA-256 over rows in the order of their stored keys, each part after its length (u32)."""
    total, length = sha256(), _LENGTH.pack
    for key, row in items:
        total.update(b"%b%b%b%b" % (length(len(key)), key, length(len(row)), row))
    return total.digest()
