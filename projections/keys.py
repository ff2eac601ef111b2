"""Which key number comes next, and which keys are to be destroyed.  Pure; never raises.

Numbers only go up, inside blocks that the keyring gave, so the next one follows from the log alone.
"""

from __future__ import annotations

from typing import assert_never

from eventstore.events import (
    AuditGranted,
    AuditKeyRotated,
    Change,
    ClockSteppedBack,
    KeysErased,
    RootKeyRotated,
    SecretBackedUp,
    SigningKeyRotated,
    StoreAdopted,
    VaultRestored,
)
from eventstore.keytree import FANOUT
from eventstore.record import Entry
from eventstore.rule_events import VaultCreated
from eventstore.storage_events import StorageAccountBackedUp
from projections.rows import Erasure, Keys, Put, Rows, erasure_key, keys_key

KeyEvent = (
    SigningKeyRotated
    | AuditKeyRotated
    | RootKeyRotated
    | KeysErased
    | ClockSteppedBack
    | VaultRestored
    | StoreAdopted
    | AuditGranted
)
"""The events that change no secret and no rule."""


def apply(rows: Rows, entry: Entry[KeyEvent]) -> list[Put]:
    """The rows that *entry* changes."""
    match entry.event:
        case SigningKeyRotated() as event:
            erasure = Erasure((event.retired, *event.also), ())
            return [Put(erasure_key(entry.position), erasure)]
        case KeysErased():
            cause = entry.context.cause
            return [] if cause is None else [Put(erasure_key(cause), None)]
        case RootKeyRotated():
            return _next_block(rows)
        case AuditKeyRotated() | ClockSteppedBack() | VaultRestored() | StoreAdopted():
            return []
        case AuditGranted():
            return []
        case _:
            assert_never(entry.event)


def _next_block(rows: Rows) -> list[Put]:
    # Whoever held the root key before knows the keys that were made then, also those that no
    # secret has yet: the next secret takes one that is made after the rotation.
    keys = rows.get(keys_key(), Keys)
    if keys is None:
        return []
    return [Put(keys_key(), Keys(-(-keys.next // FANOUT) * FANOUT))]


def count(rows: Rows, entry: Entry[Change]) -> list[Put]:
    """The next key number, if *entry* used a new one."""
    match entry.event:
        case VaultCreated() as event:
            return [Put(keys_key(), Keys(event.first_key))]
        case SecretBackedUp() | StorageAccountBackedUp() as event:
            used = event.backup_key
        case _ if entry.content_key is not None:
            used = entry.content_key
        case _:
            return []
    keys = rows.get(keys_key(), Keys)
    if keys is not None and used < keys.next:
        return []
    return [Put(keys_key(), Keys(used + 1))]
