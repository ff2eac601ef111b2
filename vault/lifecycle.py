"""The life of a vault: what deleting, recovering and purging it record, or why not.  Pure.

* A deleted vault holds its name and answers nobody, but whoever may recover it, purge it, rotate its
  keys, read its history or give evidence of it.
* With purge protection on, nothing but the end of the retention purges it.
* A purged vault is not found; its history can be read by whoever knows its id.

A purge names whole blocks of keys.  A block is one vault's alone, and a write that failed may have
left bytes on the disk under a number that no event names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, assert_never

from eventstore.access_events import HistoryRead, VaultRead
from eventstore.event import Event
from eventstore.keytree import FANOUT
from eventstore.rule_events import VaultDeleted, VaultPurged, VaultRecovered
from projections.rows import (
    Backup,
    Keys,
    Known,
    Rows,
    Secret,
    Settings,
    StorageAccount,
    Table,
    backup_key,
    keys_key,
    owner_of,
    secret_key,
    storage_key,
)
from vault.commands import Command, kind_of
from vault.history_commands import CopyVault, PackageEvidence, RotateKeys
from vault.refusals import (
    DeletedVaultNotFound,
    VaultIsDeleted,
    VaultNotFound,
    VaultPurgeIsProtected,
)
from vault.rule_commands import DeleteVault, PurgeVault, RecoverVault
from vault.secrets import DAY

LifeCommand = DeleteVault | RecoverVault | PurgeVault

_TOLD = (HistoryRead.__struct_config__.tag, VaultRead.__struct_config__.tag)
"""What can still be asked of a vault that is deleted or purged."""
_AFTER_THE_END = (RotateKeys, DeleteVault, RecoverVault, PurgeVault, PackageEvidence)


def check_alive(settings: Settings, command: Command[Any]) -> None:
    """Raise VaultIsDeleted or VaultNotFound if the vault is past doing *command*."""
    if settings.deleted_date is None:
        return
    kind = kind_of(command)
    told = kind.records in _TOLD and kind is not CopyVault
    # What ends a vault is decided below: whoever did not hear the answer may ask once more.
    if told or kind in _AFTER_THE_END:
        return
    raise _ended(settings)


def is_over(settings: Settings, now: int) -> bool:
    """Whether the retention of a deleted vault is over, and the vault is still to be purged."""
    due = settings.scheduled_purge
    return due is not None and due <= now and not settings.purged


def decide(
    settings: Settings, command: LifeCommand, now: int, purged: Callable[[], VaultPurged]
) -> Event:
    """What *command* records, or the refusal; *purged* makes the event of a purge."""
    match command:
        case DeleteVault():
            if settings.deleted_date is not None:
                raise _ended(settings)
            return VaultDeleted(scheduled_purge=now + settings.retention_days * DAY)
        case RecoverVault():
            _check_deleted(settings)
            return VaultRecovered()
        case PurgeVault():
            _check_deleted(settings)
            if settings.purge_protection:
                raise VaultPurgeIsProtected
            return purged()
        case _:
            assert_never(command)


def purge(rows: Rows, first_key: int, given: Iterable[int]) -> VaultPurged:
    """The end of a vault: every block of keys that its secrets, accounts and backups have one of.

    And every block that it was *given*: of one that was for a write that failed, no event tells.  Its
    first block also has the keys of its logs and views, which stay: those before *first_key*.
    """
    blocks, foreign = set(given), set[int]()
    for number, is_foreign in _numbers(rows):
        if is_foreign:
            foreign.add(number)
        else:
            blocks.add(number // FANOUT)
    keys = rows.get(keys_key(), Keys)
    if keys is not None and keys.next % FANOUT:
        blocks.add(keys.next // FANOUT)
    return VaultPurged(keys=_runs(blocks, first_key), open_backups=tuple(sorted(foreign)))


def blocks_in_use(rows: Rows) -> set[int]:
    """The blocks of keys that a secret, an account or a blob has one of."""
    return {number // FANOUT for number, _ in _numbers(rows)}


def _numbers(rows: Rows) -> Iterator[tuple[int, bool]]:
    """The keys of all secrets, accounts and blobs, each with whether another vault issued the blob."""
    owners = list(rows.names())
    for _, known in rows.scan(Table.KNOWN_STORAGE, Known):
        owners.append(owner_of(known.name))
        account = rows.get(storage_key(known.name), StorageAccount)
        if account is not None:
            yield account.key, False
    for name in rows.names():
        secret = rows.get(secret_key(name), Secret)
        if secret is not None:
            yield secret.key, False
    for owner in owners:
        for _, backup in rows.scan(Table.BACKUPS, Backup, backup_key(owner, 0).owner):
            yield backup.backup_key, backup.foreign


def _runs(blocks: set[int], first_key: int) -> tuple[tuple[int, int], ...]:
    runs: list[tuple[int, int]] = []
    for block in sorted(blocks):
        first, last = max(block * FANOUT, first_key), block * FANOUT + FANOUT - 1
        if runs and runs[-1][1] + 1 == first:
            first = runs.pop()[0]
        runs.append((first, last))
    return tuple(runs)


def _ended(settings: Settings) -> VaultIsDeleted | VaultNotFound:
    if settings.purged:
        return VaultNotFound(f"the vault {settings.name} was purged")
    return is_deleted(settings)


def is_deleted(settings: Settings) -> VaultIsDeleted:
    return VaultIsDeleted(
        f"The vault {settings.name} is deleted, and its name cannot be reused; in this state, the "
        "vault can only be recovered or purged."
    )


def _check_deleted(settings: Settings) -> None:
    if settings.purged:
        raise _ended(settings)
    if settings.deleted_date is None:
        raise DeletedVaultNotFound(f"the vault {settings.name} is not deleted")
