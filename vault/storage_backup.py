"""A storage account in one encrypted blob: its keys, tags and active definitions.  Pure.

In the container of `vault.backup`, sealed under a label of its own: a blob of an account is none of a
secret.  The keys in it are those of its day: after a restore the provider may have others, and
`storage sync` fetches them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from eventstore.errors import SealBroken, WrongKey
from eventstore.event import SecretContent
from eventstore.storage_events import SasDefinitionRestored, StorageAccountRestored
from projections.rows import StorageAccount
from vault import backup, names, periods, sas, storage
from vault.providers import checked
from vault.refusals import BackupInvalid, StorageExists, VaultError
from vault.secrets import Decision

_LABEL = b"storage-backup"


class BackedUpDefinition(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One definition in a blob."""

    name: str
    sas_type: str
    template: str
    period: int
    created: int
    updated: int
    enabled: bool = True
    tags: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"BackedUpDefinition(name={self.name!r})"


class BackedUpAccount(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """An account in a blob."""

    name: str
    resource_id: str
    account_name: str
    active_key: str
    auto_regenerate: bool
    created: int
    updated: int
    keys: dict[str, str]
    definitions: tuple[BackedUpDefinition, ...] = ()
    period: int | None = None
    enabled: bool = True
    tags: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"BackedUpAccount(name={self.name!r})"


class Blob(NamedTuple):
    """An opened blob."""

    account: BackedUpAccount
    origin: str
    backup_key: int

    def __repr__(self) -> str:
        return f"Blob(name={self.account.name!r})"


_decoder = msgspec.msgpack.Decoder(BackedUpAccount)


def close(header: backup.Header, key: bytes, salt: bytes, account: BackedUpAccount) -> bytes:
    """Seal *account* into a blob."""
    return backup.close_payload(header, key, salt, _LABEL, msgspec.msgpack.encode(account))


def open_blob(blob: bytes, header: backup.Header, key: bytes) -> Blob:
    """Open *blob*.  Raise BackupInvalid."""
    try:
        account = _decoder.decode(backup.open_payload(blob, key, _LABEL))
        _check(account)
    except (SealBroken, WrongKey, msgspec.DecodeError, UnicodeDecodeError, VaultError):
        raise BackupInvalid from None
    return Blob(account, header.log_id.hex(), header.backup_key)


def _check(account: BackedUpAccount) -> None:
    storage.check_name(account.name)
    names.check_tags(account.tags)
    checked(account.keys)
    if account.period is not None:
        periods.check(account.period, storage.LEAST_REGENERATION)
    folded = {names.folded(one.name) for one in account.definitions}
    if len(folded) < len(account.definitions):
        raise BackupInvalid
    for one in account.definitions:
        storage.check_name(one.name)
        sas.read(one.sas_type, one.template)
        periods.check(one.period, periods.MINUTE)
        names.check_tags(one.tags)
    for date in _dates(account):
        names.check_date("date", date)


def _dates(account: BackedUpAccount) -> tuple[int, ...]:
    of_definitions = (date for one in account.definitions for date in (one.created, one.updated))
    return (account.created, account.updated, *of_definitions)


def restore(known: StorageAccount | None, blob: Blob, new_key: Callable[[], int]) -> list[Decision]:
    """What bringing *blob* back records: the account, then each of its definitions."""
    held = blob.account
    if known is not None and known.deleted_date is not None:
        raise storage.is_deleted(known)
    if known is not None:
        exists = StorageExists(f"there is a storage account {known.name} already")
        exists.about = known.name
        raise exists
    key = new_key()
    first = StorageAccountRestored(
        name=held.name,
        origin=blob.origin,
        backup_key=blob.backup_key,
        definitions=len(held.definitions),
        resource_id=held.resource_id,
        account_name=held.account_name,
        active_key=held.active_key,
        auto_regenerate=held.auto_regenerate,
        key_prints={},
        created=held.created,
        updated=held.updated,
        period=held.period,
        enabled=held.enabled,
    )
    content = SecretContent(keys=held.keys, tags=held.tags)
    return [
        Decision(first, content, key),
        *(_definition(held, one, key) for one in held.definitions),
    ]


def _definition(account: BackedUpAccount, one: BackedUpDefinition, key: int) -> Decision:
    event = SasDefinitionRestored(
        name=account.name,
        sas=one.name,
        sas_type=one.sas_type,
        period=one.period,
        created=one.created,
        updated=one.updated,
        enabled=one.enabled,
    )
    return Decision(event, SecretContent(template=one.template, tags=one.tags), key)
