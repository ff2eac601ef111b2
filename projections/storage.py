"""Managed storage accounts and their SAS definitions, as the log says they are.  Pure; never raises.

An account waits in the rotations for the next time that it must be looked at: when its rotation is
due, or when whoever began to regenerate a key has had long enough.  A deleted account waits for
nothing, nor does a disabled one.  Its definitions keep their rows while it is deleted, and are
hidden with it; a purge takes them with it.
"""

from __future__ import annotations

from typing import Any, Final, assert_never

from msgspec.structs import replace

from eventstore.record import Entry
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
from projections.rows import (
    Backup,
    Due,
    Erased,
    Erasure,
    Put,
    Rotation,
    Rows,
    SasDefinition,
    StorageAccount,
    Table,
    backup_key,
    due_key,
    erased_key,
    erasure_key,
    owner_of,
    rotation_key,
    sas_key,
    storage_key,
)

AccountEvent = (
    StorageAccountSet
    | StorageAccountUpdated
    | StorageAccountDeleted
    | StorageAccountRecovered
    | StorageAccountPurged
    | StorageAccountBackedUp
    | StorageAccountRestored
    | StorageKeyRegenerating
    | StorageKeyRegenerated
    | StorageKeyRegenerationFailed
    | StorageKeysSynced
)
DefinitionEvent = (
    SasDefinitionSet
    | SasDefinitionUpdated
    | SasDefinitionDeleted
    | SasDefinitionRecovered
    | SasDefinitionPurged
    | SasDefinitionRestored
)

LEASE: Final = 120
"""So many seconds has who asks a provider for a new key, before others finish it."""

RETRY: Final = 3600
"""So many seconds a rotation waits that the provider refused."""


def waits_until(account: StorageAccount) -> int | None:
    """When the account is to be looked at, in Unix seconds; None if never."""
    if account.deleted_date is not None:
        return None
    if account.regenerating:
        return account.regenerating_since + LEASE
    return account.next_rotation if account.enabled else None


def apply(rows: Rows, entry: Entry[AccountEvent]) -> list[Put]:
    """The rows that an event of an account changes."""
    known = rows.get(storage_key(entry.event.name), StorageAccount)
    match entry.event:
        case StorageAccountSet() | StorageAccountRestored():
            account = _set(known, entry)
            return [*_stands(known, account), *_foreign_backup(rows, entry)]
        case StorageAccountPurged() as event:
            return [] if known is None else _purged(rows, known, entry, event)
        case _ if known is None:
            return []
        case StorageAccountDeleted() as event:
            gone = replace(
                known,
                at=entry.position,
                deleted_date=_seconds(entry),
                scheduled_purge=event.scheduled_purge,
            )
            due = Due(owner_of(known.name))
            return [*_stands(known, gone), Put(due_key(event.scheduled_purge, gone.at), due)]
        case StorageAccountRecovered():
            back = replace(known, at=entry.position, deleted_date=None, scheduled_purge=None)
            return [*_stands(known, back), *_not_due(known)]
        case StorageAccountBackedUp() as event:
            backup = Backup(event.backup_key, entry.position)
            place = backup_key(owner_of(known.name), event.backup_key)
            return [*_stands(known, replace(known, at=entry.position)), Put(place, backup)]
        case (
            StorageAccountUpdated()
            | StorageKeyRegenerating()
            | StorageKeyRegenerated()
            | StorageKeyRegenerationFailed()
            | StorageKeysSynced()
        ):
            return _stands(known, _changed(known, entry))
        case _:
            assert_never(entry.event)


def _seconds(entry: Entry[Any]) -> int:
    return entry.time // 1_000_000


def _stands(known: StorageAccount | None, account: StorageAccount) -> list[Put]:
    """The account as it stands from now on, and where it waits."""
    puts = [Put(storage_key(account.name), account), *_waits_no_more(known)]
    until = waits_until(account)
    if until is not None:
        puts.append(Put(rotation_key(until, account.at), Rotation(account.name)))
    return puts


def _waits_no_more(known: StorageAccount | None) -> list[Put]:
    until = None if known is None else waits_until(known)
    if known is None or until is None:
        return []
    return [Put(rotation_key(until, known.at), None)]


def _not_due(known: StorageAccount | SasDefinition) -> list[Put]:
    if known.scheduled_purge is None:
        return []
    return [Put(due_key(known.scheduled_purge, known.at), None)]


def _set(known: StorageAccount | None, entry: Entry[Any]) -> StorageAccount:
    event: StorageAccountSet | StorageAccountRestored = entry.event
    now, at = _seconds(entry), entry.position
    created = now if known is None else known.created
    updated = now
    if isinstance(event, StorageAccountRestored):
        created, updated = event.created, event.updated
    key = -1 if entry.content_key is None else entry.content_key
    return StorageAccount(
        event.name,
        key,
        event.resource_id,
        event.account_name,
        event.active_key,
        event.auto_regenerate,
        event.period,
        event.enabled,
        created,
        updated,
        event.key_prints,
        at,
        at,
        at,
        _next(known, event, now),
    )


def _next(
    known: StorageAccount | None,
    event: StorageAccountSet | StorageAccountRestored | StorageAccountUpdated,
    now: int,
) -> int | None:
    if known is not None and (known.auto_regenerate, known.period) == (
        event.auto_regenerate,
        event.period,
    ):
        # Who says the same again each day must not put the rotation off for ever.
        return known.next_rotation
    return now + event.period if event.auto_regenerate and event.period else None


def _changed(known: StorageAccount, entry: Entry[Any]) -> StorageAccount:
    now, at = _seconds(entry), entry.position
    account = replace(known, at=at)
    match entry.event:
        case StorageAccountUpdated() as event:
            return replace(
                account,
                active_key=event.active_key,
                auto_regenerate=event.auto_regenerate,
                period=event.period,
                enabled=event.enabled,
                updated=now,
                tags_at=at,
                next_rotation=_next(known, event, now),
            )
        case StorageKeyRegenerating() as event:
            return replace(
                account,
                regenerating=event.key_name,
                regenerating_at=at,
                regenerating_since=now,
                automatic=event.automatic,
            )
        case StorageKeyRegenerated() as event:
            return _regenerated(account, event, now)
        case StorageKeyRegenerationFailed() as event:
            again = event.automatic and known.auto_regenerate
            later = now + RETRY if again else known.next_rotation
            return replace(_settled(account), next_rotation=later)
        case StorageKeysSynced() as event:
            return replace(account, key_prints=event.key_prints, keys_at=at)
        case _:
            return account


def _regenerated(account: StorageAccount, event: StorageKeyRegenerated, now: int) -> StorageAccount:
    settled = replace(
        _settled(account),
        active_key=event.active_key,
        key_prints=event.key_prints,
        keys_at=account.at,
        updated=now,
    )
    if event.automatic:
        if not account.auto_regenerate:
            return settled  # it was turned off while the provider was asked
        # Counted from now: what was missed is caught up with once.
        return replace(settled, next_rotation=now + (account.period or RETRY))
    # As Key Vault has it: a key that somebody asked for makes the account a new one.
    return replace(settled, created=now)


def _settled(account: StorageAccount) -> StorageAccount:
    return replace(
        account, regenerating="", regenerating_at=0, regenerating_since=0, automatic=False
    )


def _foreign_backup(rows: Rows, entry: Entry[Any]) -> list[Put]:
    # As for a secret: a blob that this vault did not issue is remembered, for a later receipt.
    event = entry.event
    if not isinstance(event, StorageAccountRestored):
        return []
    place = backup_key(owner_of(event.name), event.backup_key)
    if rows.get(place, Backup) is not None:
        return []
    return [Put(place, Backup(event.backup_key, entry.position, foreign=True))]


def _purged(
    rows: Rows, known: StorageAccount, entry: Entry[Any], event: StorageAccountPurged
) -> list[Put]:
    puts = [Put(storage_key(known.name), None), *_waits_no_more(known), *_not_due(known)]
    for definition in rows.sas_definitions(known.name):
        puts += [Put(sas_key(known.name, definition.name), None), *_not_due(definition)]
    owner, left = owner_of(known.name), []
    for _, backup in rows.scan(Table.BACKUPS, Backup, backup_key(owner, 0).owner):
        if backup.backup_key in event.backups:
            puts.append(Put(backup_key(owner, backup.backup_key), None))
        else:
            left.append(backup.backup_key)
    erasure = Erasure((event.key, *event.backups), tuple(left))
    erased = Erased(entry.position)
    puts.append(Put(erasure_key(entry.position), erasure))
    return [*puts, *(Put(erased_key(number), erased) for number in erasure.keys)]


# --- SAS definitions ------------------------------------------------------------------------------


def apply_sas(rows: Rows, entry: Entry[DefinitionEvent]) -> list[Put]:
    """The rows that an event of a definition changes."""
    event, at = entry.event, entry.position
    place = sas_key(event.name, event.sas)
    known = rows.get(place, SasDefinition)
    match event:
        case SasDefinitionSet() | SasDefinitionUpdated() | SasDefinitionRestored():
            return [Put(place, _defined(known, entry))]
        case _ if known is None:
            return []
        case SasDefinitionDeleted(scheduled_purge=due):
            gone = replace(known, at=at, deleted_date=_seconds(entry), scheduled_purge=due)
            name = owner_of(known.account, known.name)
            return [Put(place, gone), Put(due_key(due, at), Due(name))]
        case SasDefinitionRecovered():
            back = replace(known, at=at, deleted_date=None, scheduled_purge=None)
            return [Put(place, back), *_not_due(known)]
        case SasDefinitionPurged():
            return [Put(place, None), *_not_due(known)]
        case _:
            assert_never(event)


def _defined(known: SasDefinition | None, entry: Entry[Any]) -> SasDefinition:
    event: SasDefinitionSet | SasDefinitionUpdated | SasDefinitionRestored = entry.event
    now = _seconds(entry)
    created, updated = now if known is None else known.created, now
    if isinstance(event, SasDefinitionRestored):
        created, updated = event.created, event.updated
    return SasDefinition(
        event.name,
        event.sas,
        -1 if entry.content_key is None else entry.content_key,
        event.sas_type,
        event.period,
        event.enabled,
        created,
        updated,
        entry.position,
        entry.position,
        event.content_print,
    )
