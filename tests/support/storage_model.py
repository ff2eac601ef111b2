"""What managed storage is to its users: a dict of accounts, each with a dict of definitions.

The keys that an account is known by are those that the provider had when it was last asked.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from msgspec import UNSET

from support.providers import RESOURCE, FileProvider
from vault import answers, storage_commands

if TYPE_CHECKING:
    from support.vault_model import VaultModel

NEEDS = {
    storage_commands.SetStorageAccount: {"set"},
    storage_commands.SyncStorageKeys: {"set"},
    storage_commands.GetStorageAccount: {"get"},
    storage_commands.GetDeletedStorageAccount: {"get"},
    storage_commands.ListStorageAccounts: {"list"},
    storage_commands.ListDeletedStorageAccounts: {"list"},
    storage_commands.UpdateStorageAccount: {"update", "set"},
    storage_commands.DeleteStorageAccount: {"delete"},
    storage_commands.RecoverDeletedStorageAccount: {"recover"},
    storage_commands.PurgeDeletedStorageAccount: {"purge"},
    storage_commands.RegenerateKey: {"regeneratekey"},
    storage_commands.SetSasDefinition: {"setsas"},
    storage_commands.UpdateSasDefinition: {"setsas"},
    storage_commands.GetSasDefinition: {"getsas"},
    storage_commands.GetDeletedSasDefinition: {"getsas"},
    storage_commands.ListSasDefinitions: {"listsas"},
    storage_commands.ListDeletedSasDefinitions: {"listsas"},
    storage_commands.DeleteSasDefinition: {"deletesas"},
    storage_commands.RecoverDeletedSasDefinition: {"recover"},
}
DAY = 86_400


@dataclass
class Life:
    """What an account and a definition have in common."""

    name: str
    created: int
    updated: int = 0
    at: int = 0
    enabled: bool = True
    tags: dict[str, str] | None = None
    deleted: int | None = None
    due: int = 0


@dataclass
class Definition(Life):
    template: str = ""
    sas_type: str = "account"
    period: int = 0


@dataclass
class Account(Life):
    active_key: str = ""
    auto: bool = False
    period: int | None = None
    next: int | None = None
    keys: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, Definition] = field(default_factory=dict)


class StorageModel:
    """The storage part of a vault's model."""

    def __init__(self, model: VaultModel, provider: FileProvider, refusal: type[Exception]) -> None:
        self._model = model
        self._provider = provider
        self._refusal = refusal
        self.accounts: dict[str, Account] = {}

    def handle(self, command: Any, given: Any) -> Any:
        """What must be answered."""
        name = type(command).__name__
        return getattr(self, f"_{name}")(command, given)

    # -- what is so ------------------------------------------------------------------------------

    def _account(self, name: str, *, gone: bool = False) -> Account:
        found = self.accounts.get(name.upper())
        if found is None or (found.deleted is not None) is not gone:
            raise self._refusal("storage.deleted-not-found" if gone else "storage.not-found")
        return found

    def _definition(self, command: Any, *, gone: bool = False) -> Definition:
        found = self._account(command.account).definitions.get(command.name.upper())
        if found is None or (found.deleted is not None) is not gone:
            raise self._refusal("sas.deleted-not-found" if gone else "sas.not-found")
        return found

    def held(self, secret: str) -> bool:
        """Whether a definition has that secret's name, in whatever state."""
        account, _, sas = secret.upper().partition("-")
        return account in self.accounts and sas in self.accounts[account].definitions

    def managed(self, secret: str) -> tuple[Account, Definition] | None:
        account, _, sas = secret.upper().partition("-")
        if not self.held(secret):
            return None
        found = self.accounts[account], self.accounts[account].definitions[sas]
        return None if any(one.deleted is not None for one in found) else found

    def all_managed(self) -> Iterator[tuple[Account, Definition]]:
        for account in self.accounts.values():
            for definition in account.definitions.values():
                if account.deleted is None and definition.deleted is None:
                    yield account, definition

    def due(self) -> Iterator[tuple[Life, Account | None]]:
        """Accounts, and definitions with their account, that were deleted."""
        for account in self.accounts.values():
            yield account, None
            for definition in account.definitions.values():
                yield definition, account

    def _attributes(self, of: Life) -> answers.Attributes:
        return self.attributes(of.enabled, of.created, of.updated)

    def attributes(
        self, enabled: bool, created: int | None, updated: int | None, exp: int | None = None
    ) -> answers.Attributes:
        model = self._model
        level = ("" if model.days == 90 else "Customized") + "Recoverable"
        return answers.Attributes(
            enabled=enabled,
            nbf=None,
            exp=exp,
            created=created,
            updated=updated,
            recovery_level=level if model.protected else level + "+Purgeable",
            recoverable_days=model.days,
        )

    @staticmethod
    def _deletion(of: Life) -> answers.Deletion | None:
        if of.deleted is None:
            return None
        return answers.Deletion(deleted_date=of.deleted, scheduled_purge_date=of.due)

    def _bundle(self, account: Account) -> answers.StorageAccountBundle:
        return answers.StorageAccountBundle(
            name=account.name,
            resource_id=RESOURCE,
            active_key_name=account.active_key,
            auto_regenerate_key=account.auto,
            regeneration_period=account.period,
            attributes=self._attributes(account),
            tags=account.tags,
            deletion=self._deletion(account),
            next_rotation=account.next,
        )

    def _sas_bundle(self, account: Account, one: Definition) -> answers.SasBundle:
        return answers.SasBundle(
            account=account.name,
            name=one.name,
            secret_name=f"{account.name}-{one.name}",
            sas_type=one.sas_type,
            template=one.template,
            validity_period=one.period,
            attributes=self._attributes(one),
            tags=one.tags,
            deletion=self._deletion(one),
        )

    def _changed(self, operation: str, of: Life, name: str) -> int:
        of.at = self._model.change(operation, name)
        return self._model.changes.seconds(of.at)

    # -- accounts --------------------------------------------------------------------------------

    def _SetStorageAccount(self, command: storage_commands.SetStorageAccount, given: Any) -> Any:
        known = self.accounts.get(command.name.upper())
        if known is not None and known.deleted is not None:
            raise self._refusal("storage.is-deleted")
        if command.active_key not in self._provider.keys:
            raise self._refusal("storage.key-not-found")
        account = known or Account(command.name, 0)
        time = self._changed("storage-account.set", account, account.name)
        account.created = time if known is None else account.created
        account.updated, account.enabled = time, command.enabled
        account.tags, account.active_key = command.tags or None, command.active_key
        account.auto, account.period = command.auto_regenerate, command.period
        account.next = time + account.period if account.auto and account.period else None
        account.keys = self._provider.keys
        self.accounts[account.name.upper()] = account
        return self._bundle(account)

    def _UpdateStorageAccount(
        self, command: storage_commands.UpdateStorageAccount, given: Any
    ) -> Any:
        account = self._account(command.name)
        time = self._changed("storage-account.updated", account, account.name)
        account.updated = time
        if command.active_key is not UNSET:
            account.active_key = str(command.active_key)
        if command.enabled is not UNSET:
            account.enabled = bool(command.enabled)
        if command.tags is not UNSET:
            account.tags = command.tags or None
        if command.auto_regenerate is not UNSET:
            account.auto = bool(command.auto_regenerate)
            account.next = time + account.period if account.auto and account.period else None
        return self._bundle(account)

    def _DeleteStorageAccount(self, command: Any, given: Any) -> Any:
        account = self._account(command.name)
        account.deleted = self._changed("storage-account.deleted", account, account.name)
        account.due = account.deleted + self._model.days * DAY
        return self._bundle(account)

    def _RecoverDeletedStorageAccount(self, command: Any, given: Any) -> Any:
        account = self._account(command.name, gone=True)
        self._changed("storage-account.recovered", account, account.name)
        account.deleted = None
        return self._bundle(account)

    def _PurgeDeletedStorageAccount(self, command: Any, given: Any) -> Any:
        account = self._account(command.name, gone=True)
        if self._model.protected:
            raise self._refusal("secret.purge-protected")
        self._changed("storage-account.purged", account, account.name)
        self._model.receipts(1)
        del self.accounts[account.name.upper()]
        return answers.Purged(
            name=account.name,
            position=account.at,
            receipt=self._model.changes.size - 1,
            provider="file",
            assurance=given.assurance,
            open_backups=(),
        )

    def _RegenerateKey(self, command: storage_commands.RegenerateKey, given: Any) -> Any:
        account = self._account(command.name)
        if command.key_name not in account.keys:
            raise self._refusal("storage.key-not-found")
        self._changed("storage-key.regenerating", account, account.name)
        time = self._changed("storage-key.regenerated", account, account.name)
        account.created = account.updated = time
        account.keys = self._provider.keys
        return self._bundle(account)

    def _SyncStorageKeys(self, command: Any, given: Any) -> Any:
        account = self._account(command.name)
        self._changed("storage-keys.synced", account, account.name)
        account.keys = self._provider.keys
        return self._bundle(account)

    def rotated(self, now: int, told: list[answers.Rotated]) -> None:
        """Each that is due, in the order in which it became so, once."""
        due = [
            one
            for one in self.accounts.values()
            if one.next is not None and one.next <= now and one.enabled and one.deleted is None
        ]
        due.sort(key=lambda one: (one.next or 0, one.at))
        expected = []
        for account in due:
            key = "key2" if account.active_key == "key1" else "key1"
            for operation in ("storage-key.regenerating", "storage-key.regenerated"):
                account.at = self._model.changes.append(
                    self._model.now, operation, "muniment", "rotation", account.name
                )
            account.updated = self._model.changes.seconds(account.at)
            account.next = account.updated + (account.period or 0)
            account.active_key = key
            expected.append(answers.Rotated(name=account.name, key_name=key, outcome="ok"))
        assert told == expected
        if len(due) == 1:
            due[0].keys = self._provider.keys
        for account in due[:-1]:
            account.keys = {}  # overtaken by the next one of the same resource: not asked for again
        if due:
            due[-1].keys = self._provider.keys

    def _GetStorageAccount(self, command: Any, given: Any) -> Any:
        account = self._account(command.name)
        self._model.read("storage-account.read", account.name)
        return self._bundle(account)

    def _GetDeletedStorageAccount(self, command: Any, given: Any) -> Any:
        account = self._account(command.name, gone=True)
        self._model.read("deleted-storage-account.read", account.name)
        return self._bundle(account)

    def _ListStorageAccounts(self, command: Any, given: Any) -> Any:
        gone = isinstance(command, storage_commands.ListDeletedStorageAccounts)
        self._model.read("deleted-storage-accounts.listed" if gone else "storage-accounts.listed")
        fit = [name for name, one in self.accounts.items() if (one.deleted is not None) is gone]
        names = [name for name in sorted(fit) if name > command.after.upper()][: command.limit]
        return [self._bundle(self.accounts[name]) for name in names]

    _ListDeletedStorageAccounts = _ListStorageAccounts

    # -- definitions -----------------------------------------------------------------------------

    def _SetSasDefinition(self, command: storage_commands.SetSasDefinition, given: Any) -> Any:
        account = self._account(command.account)
        known = account.definitions.get(command.name.upper())
        if known is not None and known.deleted is not None:
            raise self._refusal("sas.is-deleted")
        if f"{command.account}-{command.name}".upper() in self._model.secrets:
            raise self._refusal("secret.exists")
        one = known or Definition(command.name, 0)
        time = self._changed("sas-definition.set", one, account.name)
        one.created = time if known is None else one.created
        one.updated, one.enabled, one.tags = time, command.enabled, command.tags or None
        one.template, one.sas_type, one.period = command.template, command.sas_type, command.period
        account.definitions[one.name.upper()] = one
        return self._sas_bundle(account, one)

    def _UpdateSasDefinition(
        self, command: storage_commands.UpdateSasDefinition, given: Any
    ) -> Any:
        one, account = self._definition(command), self._account(command.account)
        one.updated = self._changed("sas-definition.updated", one, account.name)
        if command.enabled is not UNSET:
            one.enabled = bool(command.enabled)
        if command.period is not UNSET:
            one.period = int(command.period)
        return self._sas_bundle(account, one)

    def _DeleteSasDefinition(self, command: Any, given: Any) -> Any:
        one, account = self._definition(command), self._account(command.account)
        one.deleted = self._changed("sas-definition.deleted", one, account.name)
        one.due = one.deleted + self._model.days * DAY
        return self._sas_bundle(account, one)

    def _RecoverDeletedSasDefinition(self, command: Any, given: Any) -> Any:
        one, account = self._definition(command, gone=True), self._account(command.account)
        self._changed("sas-definition.recovered", one, account.name)
        one.deleted = None
        return self._sas_bundle(account, one)

    def _GetSasDefinition(self, command: Any, given: Any) -> Any:
        gone = isinstance(command, storage_commands.GetDeletedSasDefinition)
        one, account = self._definition(command, gone=gone), self._account(command.account)
        self._model.read(f"{'deleted-' * gone}sas-definition.read", account.name)
        return self._sas_bundle(account, one)

    _GetDeletedSasDefinition = _GetSasDefinition

    def _ListSasDefinitions(self, command: Any, given: Any) -> Any:
        gone = isinstance(command, storage_commands.ListDeletedSasDefinitions)
        account = self._account(command.account)
        self._model.read(f"{'deleted-' * gone}sas-definitions.listed", account.name)
        found = sorted(account.definitions.items())
        return [
            self._sas_bundle(account, one)
            for name, one in found
            if (one.deleted is not None) is gone and name > command.after.upper()
        ][: command.limit]

    _ListDeletedSasDefinitions = _ListSasDefinitions

    # -- tokens ----------------------------------------------------------------------------------

    def token(self, account: Account, one: Definition, given: Any) -> answers.SecretBundle:
        if not (account.enabled and one.enabled):
            raise self._refusal("secret.disabled")
        self._model.read("sas-token.issued", f"{account.name}-{one.name}")
        expires = self._model.now // 1_000_000 + one.period
        if account.keys:
            assert _is_signed(given.value, account.keys[account.active_key])
        return self.secret(account, one, given.value, expires)

    def secret(
        self, account: Account, one: Definition, value: str | None = None, exp: int | None = None
    ) -> answers.SecretBundle:
        return answers.SecretBundle(
            name=f"{account.name}-{one.name}",
            version="",
            attributes=self.attributes(account.enabled and one.enabled, None, None, exp),
            content_type="application/vnd.ms-sastoken-storage",
            value=value,
            managed=True,
        )


def _is_signed(token: str, key: str) -> bool:
    """Whether an account token for `shop` is signed with *key*."""
    parts = {name: one[0] for name, one in parse_qs(token[1:], strict_parsing=True).items()}
    names = ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv")
    text = "".join(f"{line}\n" for line in ("shop", *(parts.get(name, "") for name in names)))
    mac = hmac.digest(b64decode(key), text.encode(), "sha256")
    return parts["sig"] == b64encode(mac).decode()
