"""Answers about storage accounts from one snapshot, and tokens made while they are read.

A token is made of the definition's template under the account's active key, and is kept nowhere: who
reads twice gets two.  No other answer is made with a key.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from eventstore.errors import KeyErased
from eventstore.event import SecretContent
from eventstore.storage_events import (
    DeletedSasDefinitionRead,
    DeletedSasDefinitionsListed,
    DeletedStorageAccountRead,
    DeletedStorageAccountsListed,
    SasDefinitionRead,
    SasDefinitionsListed,
    SasTokenIssued,
    StorageAccountRead,
    StorageAccountsListed,
)
from projections.rows import (
    Rows,
    SasDefinition,
    StorageAccount,
    sas_key,
    storage_key,
)
from vault import answers, names, sas, sas_definitions, storage
from vault.commands import Command
from vault.refusals import SecretErased, SecretIsDisabled, StorageKeyNotFound
from vault.storage_commands import (
    GetDeletedSasDefinition,
    GetDeletedStorageAccount,
    GetSasDefinition,
    GetStorageAccount,
    ListDeletedSasDefinitions,
    ListDeletedStorageAccounts,
    ListSasDefinitions,
    ListStorageAccounts,
)

if TYPE_CHECKING:
    from vault.reading import Answered, Reading


class StorageReading:
    """The part of a reading that is about storage."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._rows = reading.rows

    def answer(self, command: Command[Any]) -> Answered:
        """Answer a read.  Raise the refusal."""
        from vault.reading import Answered, seen

        told = partial(seen, at=self._reading.snapshot.size, as_of=self._reading.as_of)
        match command:
            case GetStorageAccount(name=name):
                account = storage.active(self.account(name), name)
                return Answered(self.bundle(account), told(StorageAccountRead, name=account.name))
            case GetDeletedStorageAccount(name=name):
                account = storage.deleted(self.account(name), name)
                event = told(DeletedStorageAccountRead, name=account.name)
                return Answered(self.bundle(account), event)
            case ListStorageAccounts() | ListDeletedStorageAccounts():
                gone = isinstance(command, ListDeletedStorageAccounts)
                listed = self._accounts(command.after, command.limit, gone=gone)
                kind = DeletedStorageAccountsListed if gone else StorageAccountsListed
                return Answered(listed, told(kind, count=len(listed)))
            case _:
                return self._answer_sas(command, told)

    def _answer_sas(self, command: Command[Any], told: Any) -> Answered:
        from vault.reading import Answered

        match command:
            case GetSasDefinition(account=of, name=name):
                definition = sas_definitions.active(self.definition(of, name), of, name)
                event = told(SasDefinitionRead, name=definition.account, sas=definition.name)
                return Answered(self.sas_bundle(definition), event)
            case GetDeletedSasDefinition(account=of, name=name):
                definition = sas_definitions.deleted(self.definition(of, name), of, name)
                event = told(DeletedSasDefinitionRead, name=definition.account, sas=definition.name)
                return Answered(self.sas_bundle(definition), event)
            case ListSasDefinitions(account=of) | ListDeletedSasDefinitions(account=of):
                gone = isinstance(command, ListDeletedSasDefinitions)
                account = storage.active(self.account(of), of)
                found = self._definitions(account, command.after, gone=gone)
                listed = [self.sas_bundle(one) for one in islice(found, command.limit)]
                kind = DeletedSasDefinitionsListed if gone else SasDefinitionsListed
                return Answered(listed, told(kind, name=account.name, count=len(listed)))
            case _:
                raise TypeError(f"{type(command).__name__} is not a read")

    # -- rows ------------------------------------------------------------------------------------

    def account(self, name: str) -> StorageAccount | None:
        storage.check_name(name)
        return self._rows.get(storage_key(name), StorageAccount)

    def definition(self, account: str, name: str) -> SasDefinition | None:
        """A definition of an active account.  Raise StorageAccountNotFound."""
        storage.active(self.account(account), account)
        storage.check_name(name)
        return self._rows.get(sas_key(account, name), SasDefinition)

    def _accounts(
        self, after: str, limit: int | None, *, gone: bool
    ) -> list[answers.StorageAccountBundle]:
        found = (
            account
            for account in self._rows.storage_accounts(after)
            if (account.deleted_date is not None) is gone
        )
        return [self.bundle(account) for account in islice(found, limit)]

    def _definitions(
        self, account: StorageAccount, after: str, *, gone: bool
    ) -> Iterator[SasDefinition]:
        for one in self._rows.sas_definitions(account.name, after):
            if (one.deleted_date is not None) is gone:
                yield one

    # -- records ---------------------------------------------------------------------------------

    def keys(self, account: StorageAccount) -> dict[str, str]:
        """The account's keys as they were last known.  Raise SecretErased."""
        return self._content(account, account.keys_at).keys or {}

    def tags(self, account: StorageAccount) -> dict[str, str] | None:
        return self._content(account, account.tags_at).tags

    def described(self, definition: SasDefinition) -> SecretContent:
        """A definition's template and tags.  Raise SecretErased."""
        return self._content(definition, definition.content_at)

    def _content(self, of: StorageAccount | SasDefinition, position: int) -> SecretContent:
        try:
            return self._reading.snapshot.content(position, of.key)
        except KeyErased:
            raise SecretErased(f"{of.name} was erased by a purge") from None

    # -- answers ---------------------------------------------------------------------------------

    def bundle(self, account: StorageAccount) -> answers.StorageAccountBundle:
        """An account as it is shown; what a purge has closed since is named and left out."""
        erased = False
        try:
            tags = self.tags(account)
        except SecretErased:
            tags, erased = None, True
        return answers.StorageAccountBundle(
            name=account.name,
            resource_id=account.resource_id,
            active_key_name=account.active_key,
            auto_regenerate_key=account.auto_regenerate,
            regeneration_period=account.period,
            attributes=self._attributes(account.enabled, account.created, account.updated),
            tags=tags,
            deletion=_deletion(account),
            next_rotation=account.next_rotation,
            regenerating=account.regenerating,
            erased=erased,
            erased_by=self._reading.erased_by(account) if erased else None,
        )

    def sas_bundle(self, definition: SasDefinition) -> answers.SasBundle:
        """A definition as it is shown."""
        try:
            content, erased = self.described(definition), False
        except SecretErased:
            content, erased = SecretContent(), True
        return answers.SasBundle(
            account=definition.account,
            name=definition.name,
            secret_name=definition.secret_name,
            sas_type=definition.sas_type,
            template=content.template,
            validity_period=definition.period,
            attributes=self._attributes(definition.enabled, definition.created, definition.updated),
            tags=content.tags,
            deletion=_deletion(definition),
            erased=erased,
            erased_by=self._reading.erased_by(definition) if erased else None,
        )

    def _attributes(
        self, enabled: bool, created: int | None, updated: int | None, exp: int | None = None
    ) -> answers.Attributes:
        return answers.Attributes(
            enabled=enabled,
            nbf=None,
            exp=exp,
            created=created,
            updated=updated,
            recovery_level=self._reading.recovery_level,
            recoverable_days=self._reading.settings.retention_days,
        )

    # -- tokens ----------------------------------------------------------------------------------

    def token(self, secret_name: str, now: int) -> Answered | None:
        """A new token, if the name is that of a definition's secret.  Raise the refusal."""
        from vault.reading import Answered

        found = managed(self._rows, secret_name)
        if found is None:
            return None
        account, definition = found
        if self._reading.as_of is not None:
            raise sas_definitions.is_managed(definition.secret_name)
        if not (account.enabled and definition.enabled):
            raise SecretIsDisabled("Operation get is not allowed on a disabled secret.")
        made = self._mint(account, definition, now + definition.period)
        event = SasTokenIssued(
            name=definition.secret_name,
            account=account.name,
            sas=definition.name,
            key_name=account.active_key,
            expires=made.expires,
            at=self._reading.snapshot.size,
        )
        return Answered(self._secret(account, definition, made), event)

    def _mint(self, account: StorageAccount, definition: SasDefinition, expires: int) -> sas.Token:
        key = self.keys(account).get(account.active_key)
        if key is None:
            raise StorageKeyNotFound(f"{account.name} has no key {account.active_key} any more")
        said = self.described(definition).template or ""
        template = sas_definitions.read(account, definition.sas_type, said)
        return sas.mint(template, account.account_name, b64decode(key), expires)

    def _secret(
        self, account: StorageAccount, definition: SasDefinition, made: sas.Token | None = None
    ) -> answers.SecretBundle:
        enabled = account.enabled and definition.enabled
        return answers.SecretBundle(
            name=definition.secret_name,
            version="",
            attributes=self._attributes(
                enabled, None, None, None if made is None else made.expires
            ),
            content_type=sas_definitions.CONTENT_TYPE,
            value=None if made is None else made.value,
            managed=True,
        )

    def managed(self, after: str) -> Iterator[answers.SecretBundle]:
        """The secrets that definitions stand for, by name; those greater than *after*."""
        for account in self._rows.storage_accounts():
            if account.deleted_date is None:
                for one in self._managed_of(account, after.upper()):
                    yield self._secret(account, one)

    def _managed_of(self, account: StorageAccount, after: str) -> Iterator[SasDefinition]:
        # A hyphen comes before every letter and digit: so the names of one account's secrets lie
        # together, and the next account's behind them.
        prefix = names.folded(account.name) + "-"
        if after.startswith(prefix):
            return self._definitions(account, after.removeprefix(prefix), gone=False)
        return self._definitions(account, "", gone=False) if after < prefix else iter(())


def _deletion(row: StorageAccount | SasDefinition) -> answers.Deletion | None:
    if row.deleted_date is None or row.scheduled_purge is None:
        return None
    return answers.Deletion(deleted_date=row.deleted_date, scheduled_purge_date=row.scheduled_purge)


def held(rows: Rows, secret_name: str) -> SasDefinition | None:
    """The definition, in whatever state, that no secret of this name may stand beside."""
    parts = sas_definitions.parts(secret_name)
    return None if parts is None else rows.get(sas_key(*parts), SasDefinition)


def managed(rows: Rows, secret_name: str) -> tuple[StorageAccount, SasDefinition] | None:
    """The active account and the active definition that the secret is a token of."""
    definition = held(rows, secret_name)
    if definition is None or definition.deleted_date is not None:
        return None
    account = rows.get(storage_key(definition.account), StorageAccount)
    if account is None or account.deleted_date is not None:
        return None
    return account, definition
