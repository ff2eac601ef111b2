"""Carrying out what changes storage accounts and SAS definitions, inside one write transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from eventstore.event import Event, SecretContent
from eventstore.record import Entry
from eventstore.storage_events import (
    SasDefinitionRestored,
    SasDefinitionSet,
    SasDefinitionUpdated,
    StorageAccountBackedUp,
)
from projections.past import PastRows
from projections.rows import (
    Backup,
    Rows,
    SasDefinition,
    Secret,
    StorageAccount,
    Table,
    backup_key,
    owner_of,
    sas_key,
    secret_key,
    storage_key,
)
from vault import answers, sas_definitions, storage, storage_backup
from vault.commands import Command
from vault.refusals import SecretExists
from vault.secrets import Decision
from vault.storage_commands import (
    BackupStorageAccount,
    DeleteSasDefinition,
    DeleteStorageAccount,
    PurgeDeletedStorageAccount,
    RecoverDeletedSasDefinition,
    RecoverDeletedStorageAccount,
    RestoreStorageAccount,
    SetSasDefinition,
    SetStorageAccount,
    UpdateSasDefinition,
    UpdateStorageAccount,
)

if TYPE_CHECKING:
    from vault.writing import Writing


class StorageWriting:
    """The part of a writing that is about storage."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._rows = writing.rows
        self._reading = writing.reading.storage

    def decide(self, command: Command[Any]) -> list[Decision]:
        """What *command* records, or the refusal."""
        facts = self._writing.facts()
        match command:
            case RestoreStorageAccount(blob=blob):
                return self._restore(blob)
            case (
                SetSasDefinition()
                | UpdateSasDefinition()
                | DeleteSasDefinition()
                | RecoverDeletedSasDefinition()
            ):
                return sas_definitions.decide(self._found_definition(command), command, facts)
            case (
                SetStorageAccount()
                | UpdateStorageAccount()
                | DeleteStorageAccount()
                | RecoverDeletedStorageAccount()
                | PurgeDeletedStorageAccount()
                | BackupStorageAccount()
            ):
                return storage.decide(self._found(command), command, facts)
            case _:
                raise TypeError(f"{type(command).__name__} changes no storage account")

    def _found(self, command: storage.StorageCommand) -> storage.Found:
        account = self._reading.account(command.name)
        asked = self._writing.asked
        if account is None:
            return storage.Found(None, asked=asked)
        match command:
            case UpdateStorageAccount() if account.deleted_date is None:
                content = SecretContent(tags=self._reading.tags(account))
                return storage.Found(account, content)
            case PurgeDeletedStorageAccount():
                return storage.Found(account, backups=self._backups(account))
            case BackupStorageAccount():
                return storage.Found(
                    account, definitions=len(_active_definitions(self._rows, account))
                )
            case _:
                return storage.Found(account, asked=asked)

    def _found_definition(
        self, command: sas_definitions.DefinitionCommand
    ) -> sas_definitions.Found:
        account = storage.active(self._reading.account(command.account), command.account)
        storage.check_name(command.name)
        known = self._rows.get(sas_key(command.account, command.name), SasDefinition)
        content = None if known is None else self._reading.described(known)
        secret = self._rows.get(secret_key(f"{command.account}-{command.name}"), Secret)
        return sas_definitions.Found(account, known, content, secret is not None)

    def _backups(self, account: StorageAccount) -> tuple[int, ...]:
        owner = backup_key(owner_of(account.name), 0).owner
        issued = self._rows.scan(Table.BACKUPS, Backup, owner)
        return tuple(one.backup_key for _, one in issued if not one.foreign)

    def _restore(self, blob: bytes) -> list[Decision]:
        header, key = self._writing.key_of_blob(blob)
        opened = storage_backup.open_blob(blob, header, key)
        held = opened.account
        known = self._rows.get(storage_key(held.name), StorageAccount)
        decided = storage_backup.restore(known, opened, self._writing.facts().new_key)
        for one in held.definitions:
            name = f"{held.name}-{one.name}"
            if self._rows.get(secret_key(name), Secret) is not None:
                exists = SecretExists(f"there is a secret {name} already")
                exists.about = name
                raise exists
        return decided

    # -- answering -------------------------------------------------------------------------------

    def answer(self, command: Command[Any], entry: Entry[Any]) -> Any:
        """The answer to a change, from what stands now."""
        event = entry.event
        match command:
            case BackupStorageAccount():
                return self._backup(entry)
            case PurgeDeletedStorageAccount():
                return None  # told by the service, with the receipt
            case (
                SetSasDefinition()
                | UpdateSasDefinition()
                | DeleteSasDefinition()
                | RecoverDeletedSasDefinition()
            ):
                definition = self._rows.get(sas_key(event.name, event.sas), SasDefinition)
                if definition is None:
                    raise sas_definitions.not_found(event.name, event.sas)
                return self._reading.sas_bundle(definition)
            case _:
                account = self._reading.account(event.name)
                if account is None:
                    raise storage.not_found(event.name)
                return self._reading.bundle(account)

    def _backup(self, entry: Entry[Any]) -> answers.Backup:
        # Asked again, the blob holds what it held, and nothing of a later account of that name.
        event: StorageAccountBackedUp = entry.event
        then = PastRows(self._rows, entry.position + 1)
        account = then.get(storage_key(event.name), StorageAccount)
        now = self._reading.account(event.name)
        if account is None or now is None or now.key != account.key:
            raise storage.not_found(event.name)
        definitions = tuple(map(self._backed_up, _active_definitions(then, account)))
        held = storage_backup.BackedUpAccount(
            name=account.name,
            resource_id=account.resource_id,
            account_name=account.account_name,
            active_key=account.active_key,
            auto_regenerate=account.auto_regenerate,
            created=account.created,
            updated=account.updated,
            keys=self._reading.keys(account),
            definitions=definitions,
            period=account.period,
            enabled=account.enabled,
            tags=self._reading.tags(account),
        )
        header, key, salt = self._writing.new_blob(event.backup_key)
        closed = storage_backup.close(header, key, salt, held)
        return answers.Backup(name=account.name, versions=len(definitions), blob=closed)

    def _backed_up(self, one: SasDefinition) -> storage_backup.BackedUpDefinition:
        content = self._reading.described(one)
        return storage_backup.BackedUpDefinition(
            name=one.name,
            sas_type=one.sas_type,
            template=content.template or "",
            period=one.period,
            created=one.created,
            updated=one.updated,
            enabled=one.enabled,
            tags=content.tags,
        )


def _active_definitions(rows: Rows, account: StorageAccount) -> list[SasDefinition]:
    return [one for one in rows.sas_definitions(account.name) if one.deleted_date is None]


def with_prints(
    event: Event, content: SecretContent, fingerprint: Callable[[bytes], bytes]
) -> Event:
    """*event* with the fingerprints of its content, as *fingerprint* makes them."""
    if isinstance(event, SasDefinitionSet | SasDefinitionUpdated | SasDefinitionRestored):
        template = (content.template or "").encode()
        return replace(event, content_print=fingerprint(template + b"\0" + content.described()))
    if content.keys is not None:
        prints = {name: fingerprint(value.encode()) for name, value in content.keys.items()}
        return replace(event, key_prints=prints)
    return event
