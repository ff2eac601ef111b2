"""The rules of storage accounts: what a command records, given what is so, or why not.  Pure.

Rules that are not obvious:

* A set asks the provider for the keys before it is decided; what it was told counts only if nobody
  regenerated a key meanwhile.
* The active key signs; a rotation gives the other key a new value first, and then makes it active, so
  that a token of the day before is good until the next rotation.
* An account that rotates by itself needs two keys and a period of a day at least.
* The name of a deleted account is held: it cannot be set or restored before recover or purge.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeVar, assert_never

from msgspec import UNSET

from eventstore.event import SecretContent
from eventstore.storage_events import (
    StorageAccountBackedUp,
    StorageAccountDeleted,
    StorageAccountPurged,
    StorageAccountRecovered,
    StorageAccountSet,
    StorageAccountUpdated,
    StorageKeyRegenerated,
    StorageKeyRegenerating,
    StorageKeyRegenerationFailed,
    StorageKeysSynced,
)
from projections.rows import StorageAccount
from projections.storage import LEASE
from vault import names, periods
from vault.refusals import (
    DeletedStorageAccountNotFound,
    ProviderRefused,
    ProviderUnavailable,
    PurgeIsProtected,
    StorageAccountNotFound,
    StorageBusy,
    StorageInvalid,
    StorageIsDeleted,
    StorageKeyNotFound,
    StorageNameInvalid,
)
from vault.sas import ACCOUNT_NAME
from vault.secrets import Decision, Facts, given
from vault.storage_commands import (
    BackupStorageAccount,
    DeleteStorageAccount,
    PurgeDeletedStorageAccount,
    RecoverDeletedStorageAccount,
    SetStorageAccount,
    UpdateStorageAccount,
)

LEAST_REGENERATION: Final = periods.DAY
MAX_RESOURCE_ID: Final = 2048
_NAME = re.compile(r"[0-9a-zA-Z]{1,127}", re.ASCII)

T = TypeVar("T")

StorageCommand = (
    SetStorageAccount
    | UpdateStorageAccount
    | DeleteStorageAccount
    | RecoverDeletedStorageAccount
    | PurgeDeletedStorageAccount
    | BackupStorageAccount
)


class Asked(NamedTuple):
    """What a provider said of an account, and which record held its keys when it was asked."""

    keys: dict[str, str]
    account_name: str = ""
    keys_at: int | None = None

    def __repr__(self) -> str:
        return f"Asked(account_name={self.account_name!r}, keys_at={self.keys_at})"


class Found(NamedTuple):
    """What is so: the account of that name, its tags, its blobs, and what its provider said."""

    account: StorageAccount | None
    content: SecretContent | None = None
    backups: tuple[int, ...] = ()
    definitions: int = 0
    asked: Asked | None = None


def decide(found: Found, command: StorageCommand, facts: Facts) -> list[Decision]:
    """What *command* records given what was *found*, or the refusal."""
    match command:
        case SetStorageAccount():
            return [_set(found, command, facts)]
        case UpdateStorageAccount():
            return [_update(found, command)]
        case DeleteStorageAccount(name=name):
            account = active(found.account, name)
            due = facts.now + facts.settings.retention_days * periods.DAY
            return [Decision(StorageAccountDeleted(name=account.name, scheduled_purge=due))]
        case RecoverDeletedStorageAccount(name=name):
            return [Decision(StorageAccountRecovered(name=deleted(found.account, name).name))]
        case PurgeDeletedStorageAccount(name=name):
            account = deleted(found.account, name)
            if facts.settings.purge_protection:
                raise PurgeIsProtected("purge protection is on: the account is purged by itself")
            return [purge(account, found.backups if command.backups else ())]
        case BackupStorageAccount(name=name):
            account = active(found.account, name)
            event = StorageAccountBackedUp(
                name=account.name, backup_key=facts.new_key(), definitions=found.definitions
            )
            return [Decision(event)]
        case _:
            assert_never(command)


# --- setting and updating -------------------------------------------------------------------------


def check_set(account: StorageAccount | None, command: SetStorageAccount, now: int) -> None:
    """Raise what is wrong with *command* before its provider is asked."""
    check_name(command.name)
    resource = command.resource_id
    if not (1 <= len(resource) <= MAX_RESOURCE_ID and resource.isprintable()):
        raise StorageInvalid(f"a resource's id has 1 to {MAX_RESOURCE_ID:,} printable characters")
    if not names.is_text(resource):
        raise StorageInvalid("the resource's id is not text that UTF-8 can write")
    names.check_tags(command.tags)
    _check_period(command.period, command.auto_regenerate)
    if account is not None and account.deleted_date is not None:
        raise is_deleted(account)
    if account is not None:
        refuse_busy(account, now)


def _set(found: Found, command: SetStorageAccount, facts: Facts) -> Decision:
    account, asked = found.account, found.asked
    check_set(account, command, facts.now)
    if asked is None or asked.keys_at != (None if account is None else account.keys_at):
        raise StorageBusy("a key was regenerated while the provider was asked")
    if not ACCOUNT_NAME.fullmatch(asked.account_name):
        raise StorageInvalid("the provider knows no name that a token of the account is signed for")
    _check_keys(asked.keys, command.active_key, command.auto_regenerate)
    event = StorageAccountSet(
        name=command.name if account is None else account.name,
        resource_id=command.resource_id,
        account_name=asked.account_name,
        active_key=command.active_key,
        auto_regenerate=command.auto_regenerate,
        period=command.period,
        enabled=command.enabled,
        key_prints={},
    )
    content = SecretContent(keys=asked.keys, tags=command.tags or None)
    return Decision(event, content, facts.new_key() if account is None else account.key)


def _update(found: Found, command: UpdateStorageAccount) -> Decision:
    account = active(found.account, command.name)
    if isinstance(command.tags, dict):
        names.check_tags(command.tags)
    event = StorageAccountUpdated(
        name=account.name,
        changed=changed(command, "active_key", "auto_regenerate", "period", "enabled", "tags"),
        active_key=given(command.active_key, account.active_key),
        auto_regenerate=given(command.auto_regenerate, account.auto_regenerate),
        period=given(command.period, account.period),
        enabled=given(command.enabled, account.enabled),
    )
    _check_period(event.period, event.auto_regenerate)
    _check_keys(account.key_prints, event.active_key, event.auto_regenerate)
    known = None if found.content is None else found.content.tags
    content = SecretContent(tags=given(command.tags, known) or None)
    return Decision(event, content, account.key)


def changed(command: object, *fields: str) -> tuple[str, ...]:
    """Those of *fields* that the command gives."""
    return tuple(name for name in fields if getattr(command, name) is not UNSET)


def _check_period(period: int | None, auto_regenerate: bool) -> None:
    if period is not None:
        periods.check(period, LEAST_REGENERATION)
    elif auto_regenerate:
        raise StorageInvalid("an account that regenerates its keys by itself needs a period")


def _check_keys(keys: dict[str, str] | dict[str, bytes], active_key: str, auto: bool) -> None:
    if active_key not in keys:
        raise StorageKeyNotFound(f"the account has no key {active_key[:64]!a}")
    if auto and len(keys) < 2:
        raise StorageInvalid("an account with one key cannot regenerate it by itself: it is active")


# --- regenerating ---------------------------------------------------------------------------------


def refuse_busy(account: StorageAccount, now: int) -> None:
    """Raise StorageBusy while somebody may still be asking for a new key."""
    if account.regenerating and now < account.regenerating_since + LEASE:
        raise StorageBusy(f"the key {account.regenerating} of {account.name} is being regenerated")


def inactive(account: StorageAccount) -> str:
    """The key that a rotation gives a new value: the one after the active one."""
    keys = sorted(account.key_prints)
    at = keys.index(account.active_key) if account.active_key in keys else -1
    return keys[(at + 1) % len(keys)]


def begin(account: StorageAccount, key_name: str, *, automatic: bool = False) -> Decision:
    """What is recorded before the provider is asked.  Raise StorageKeyNotFound."""
    if key_name not in account.key_prints:
        raise StorageKeyNotFound(f"{account.name} has no key {key_name[:64]!a}")
    return Decision(
        StorageKeyRegenerating(name=account.name, key_name=key_name, automatic=automatic)
    )


def check_regenerated(
    account: StorageAccount, before: dict[str, str], keys: dict[str, str]
) -> None:
    """Raise unless *keys* are all of the account's, that key with another value than *before*.

    Half an answer would lose the active key, and an old value is none that was made anew.
    """
    if not before.keys() <= keys.keys():
        raise ProviderUnavailable("the provider's answer lacks a key that the account has")
    if (
        account.regenerating in before
        and keys[account.regenerating] == before[account.regenerating]
    ):
        raise ProviderRefused(f"the provider gave {account.regenerating} no new value")


def finish(account: StorageAccount, keys: dict[str, str]) -> Decision:
    """What is recorded of the keys as they are afterwards."""
    if account.regenerating not in keys:
        return fail(account, StorageKeyNotFound.code)
    event = StorageKeyRegenerated(
        name=account.name,
        key_name=account.regenerating,
        active_key=account.regenerating if account.automatic else account.active_key,
        automatic=account.automatic,
        key_prints={},
    )
    return Decision(event, SecretContent(keys=keys), account.key)


def fail(account: StorageAccount, reason: str) -> Decision:
    """What is recorded if the provider refused."""
    event = StorageKeyRegenerationFailed(
        name=account.name,
        key_name=account.regenerating,
        reason=reason,
        automatic=account.automatic,
    )
    return Decision(event)


def sync(account: StorageAccount, known: dict[str, str], keys: dict[str, str]) -> Decision:
    """What is recorded of the keys that the provider has, where *known* were the last."""
    drifted = {name for name in known.keys() | keys.keys() if known.get(name) != keys.get(name)}
    event = StorageKeysSynced(name=account.name, key_prints={}, drifted=tuple(sorted(drifted)))
    return Decision(event, SecretContent(keys=keys), account.key)


# --- what there is --------------------------------------------------------------------------------


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise StorageNameInvalid(f"the name {name[:140]!a} is not 1 to 127 letters and digits")


def active(account: StorageAccount | None, name: str) -> StorageAccount:
    """*account* if it is active.  Raise StorageAccountNotFound."""
    check_name(name)
    if account is None or account.deleted_date is not None:
        raise not_found(name)
    return account


def deleted(account: StorageAccount | None, name: str) -> StorageAccount:
    """*account* if it is deleted.  Raise DeletedStorageAccountNotFound."""
    check_name(name)
    if account is None or account.deleted_date is None:
        raise DeletedStorageAccountNotFound(f"Deleted storage account not found: {name}")
    return account


def not_found(name: str) -> StorageAccountNotFound:
    return StorageAccountNotFound(f"Storage account not found: {name}")


def is_deleted(account: StorageAccount) -> StorageIsDeleted:
    refusal = StorageIsDeleted(
        f"Storage account {account.name} is currently in a deleted but recoverable state, and its "
        "name cannot be reused; in this state, it can only be recovered or purged."
    )
    refusal.about = account.name
    return refusal


def purge(account: StorageAccount, backups: tuple[int, ...] = ()) -> Decision:
    """The end of an account's lifetime, and of the blobs whose keys are *backups*."""
    return Decision(StorageAccountPurged(name=account.name, key=account.key, backups=backups))
