"""Secrets, their versions and the deleted ones, as the log says they are.  Pure; never raises.

The newest created version is the current one, whatever its attributes.  A purge takes the rows and
leaves an erasure behind, which the receipt settles.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from eventstore.events import (
    SecretBackedUp,
    SecretDeleted,
    SecretPurged,
    SecretRecovered,
    SecretRestored,
    SecretSet,
    SecretUpdated,
    SecretVersionRestored,
)
from eventstore.record import Entry
from projections.rows import (
    Backup,
    Due,
    Erased,
    Erasure,
    Mark,
    Put,
    Rows,
    Secret,
    Table,
    Version,
    backup_key,
    due_key,
    erased_key,
    erasure_key,
    print_key,
    secret_key,
    version_key,
)

SecretEvent = (
    SecretSet
    | SecretUpdated
    | SecretDeleted
    | SecretRecovered
    | SecretPurged
    | SecretBackedUp
    | SecretRestored
    | SecretVersionRestored
)


def seconds(entry: Entry[SecretEvent]) -> int:
    """When the entry was recorded, in Unix seconds."""
    return entry.time // 1_000_000


def apply(rows: Rows, entry: Entry[SecretEvent]) -> list[Put]:
    """The rows that *entry* changes."""
    match entry.event:
        case SecretSet() | SecretVersionRestored() as event:
            return _new_version(rows, entry, event)
        case SecretUpdated() as event:
            return _updated(rows, entry, event)
        case SecretDeleted() as event:
            return _deleted(rows, entry, event)
        case SecretRecovered() as event:
            return _recovered(rows, entry, event)
        case SecretPurged() as event:
            return _purged(rows, entry, event)
        case SecretBackedUp() as event:
            return _backed_up(rows, entry, event)
        case SecretRestored() as event:
            return _restored(rows, entry, event)
        case _:
            assert_never(entry.event)


def _new_version(
    rows: Rows, entry: Entry[SecretEvent], event: SecretSet | SecretVersionRestored
) -> list[Put]:
    key, at = secret_key(event.name), entry.position
    secret = rows.get(key, Secret)
    if secret is None:
        number = -1 if entry.content_key is None else entry.content_key
        secret = Secret(event.name, number, event.version, at)
    else:
        secret = Secret(
            secret.name, secret.key, event.version, at, secret.deleted_date, secret.scheduled_purge
        )
    created = updated = seconds(entry)
    if isinstance(event, SecretVersionRestored):
        created, updated = event.created, event.updated
    version = Version(
        bytes.fromhex(event.version),
        at,
        at,
        event.enabled,
        event.nbf,
        event.exp,
        created,
        updated,
        event.value_print,
        event.content_print,
    )
    puts = [Put(key, secret), Put(version_key(event.name, event.version), version)]
    if event.value_print:
        puts.append(Put(print_key(event.name, event.value_print, version.id), Mark()))
    return puts


def _updated(rows: Rows, entry: Entry[SecretEvent], event: SecretUpdated) -> list[Put]:
    key, place = secret_key(event.name), version_key(event.name, event.version)
    secret, version = rows.get(key, Secret), rows.get(place, Version)
    if secret is None or version is None:
        return []
    version = replace(
        version,
        content_at=entry.position,
        enabled=event.enabled,
        nbf=event.nbf,
        exp=event.exp,
        updated=seconds(entry),
        content_print=event.content_print,
    )
    return [Put(key, replace(secret, at=entry.position)), Put(place, version)]


def _deleted(rows: Rows, entry: Entry[SecretEvent], event: SecretDeleted) -> list[Put]:
    key, at = secret_key(event.name), entry.position
    secret = rows.get(key, Secret)
    if secret is None:
        return []
    due = event.scheduled_purge
    gone = replace(secret, at=at, deleted_date=seconds(entry), scheduled_purge=due)
    return [Put(key, gone), Put(due_key(due, at), Due(secret.name))]


def _recovered(rows: Rows, entry: Entry[SecretEvent], event: SecretRecovered) -> list[Put]:
    key = secret_key(event.name)
    secret = rows.get(key, Secret)
    if secret is None or secret.scheduled_purge is None:
        return []
    back = replace(secret, at=entry.position, deleted_date=None, scheduled_purge=None)
    return [Put(key, back), Put(due_key(secret.scheduled_purge, secret.at), None)]


def _purged(rows: Rows, entry: Entry[SecretEvent], event: SecretPurged) -> list[Put]:
    key = secret_key(event.name)
    secret = rows.get(key, Secret)
    if secret is None or secret.scheduled_purge is None:
        return []
    puts = [Put(key, None), Put(due_key(secret.scheduled_purge, secret.at), None)]
    for _, version in rows.scan(Table.VERSIONS, Version, key.owner):
        puts.append(Put(version_key(event.name, version.version), None))
        if version.value_print:
            puts.append(Put(print_key(event.name, version.value_print, version.id), None))
    open_backups = []
    for _, backup in rows.scan(Table.BACKUPS, Backup, backup_key(event.name, 0).owner):
        if backup.backup_key in event.backups:
            puts.append(Put(backup_key(event.name, backup.backup_key), None))
        else:
            open_backups.append(backup.backup_key)
    erasure = Erasure((event.key, *event.backups), tuple(open_backups))
    puts.append(Put(erasure_key(entry.position), erasure))
    erased = Erased(entry.position)
    return [*puts, *(Put(erased_key(number), erased) for number in erasure.keys)]


def _backed_up(rows: Rows, entry: Entry[SecretEvent], event: SecretBackedUp) -> list[Put]:
    key = secret_key(event.name)
    secret = rows.get(key, Secret)
    if secret is None:
        return []
    backup = Backup(event.backup_key, entry.position)
    return [
        Put(key, replace(secret, at=entry.position)),
        Put(backup_key(event.name, event.backup_key), backup),
    ]


def _restored(rows: Rows, entry: Entry[SecretEvent], event: SecretRestored) -> list[Put]:
    # The versions that follow bring the secret's rows.  A blob that this vault did not issue is
    # remembered here, so that a later receipt names it among those that could bring it back.
    if event.backup_key is None:
        return []
    key = backup_key(event.name, event.backup_key)
    if rows.get(key, Backup) is not None:
        return []
    return [Put(key, Backup(event.backup_key, entry.position, foreign=True))]
