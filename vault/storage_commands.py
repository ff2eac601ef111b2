"""What can be asked of managed storage accounts and SAS definitions.  Pure."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from vault.answers import (
    Backup,
    Purged,
    SasBundle,
    StorageAccountBundle,
)
from vault.commands import Command
from vault.points import Point


class SetStorageAccount(Command[StorageAccountBundle], frozen=True, kw_only=True):
    """Manage a storage account in this way from now on; its keys are asked of its provider.

    *period* is in seconds.
    """

    records: ClassVar[str] = "storage-account.set"
    name: str
    resource_id: str
    active_key: str
    auto_regenerate: bool
    period: int | None = None
    enabled: bool = True
    tags: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"SetStorageAccount(name={self.name!r})"


class GetStorageAccount(Command[StorageAccountBundle], frozen=True, kw_only=True):
    """An account's attributes; never a key."""

    records: ClassVar[str] = "storage-account.read"
    name: str
    as_of: Point | None = None


class ListStorageAccounts(Command[list[StorageAccountBundle]], frozen=True, kw_only=True):
    """Active accounts by name, those greater than *after*, at most *limit* of them."""

    records: ClassVar[str] = "storage-accounts.listed"
    after: str = ""
    limit: int | None = None
    as_of: Point | None = None


class UpdateStorageAccount(Command[StorageAccountBundle], frozen=True, kw_only=True):
    """Change an account's attributes or tags; which key is active is one of them."""

    records: ClassVar[str] = "storage-account.updated"
    name: str
    active_key: str | UnsetType = UNSET
    auto_regenerate: bool | UnsetType = UNSET
    period: int | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    tags: dict[str, str] | None | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"UpdateStorageAccount(name={self.name!r})"


class DeleteStorageAccount(Command[StorageAccountBundle], frozen=True, kw_only=True):
    """Delete an account with its definitions; it can be recovered until its retention is over."""

    records: ClassVar[str] = "storage-account.deleted"
    name: str


class GetDeletedStorageAccount(Command[StorageAccountBundle], frozen=True, kw_only=True):
    """A deleted account's attributes."""

    records: ClassVar[str] = "deleted-storage-account.read"
    name: str
    as_of: Point | None = None


class ListDeletedStorageAccounts(Command[list[StorageAccountBundle]], frozen=True, kw_only=True):
    """Deleted accounts by name."""

    records: ClassVar[str] = "deleted-storage-accounts.listed"
    after: str = ""
    limit: int | None = None
    as_of: Point | None = None


class RecoverDeletedStorageAccount(Command[StorageAccountBundle], frozen=True, kw_only=True):
    """Bring a deleted account back with its definitions."""

    records: ClassVar[str] = "storage-account.recovered"
    name: str


class PurgeDeletedStorageAccount(Command[Purged], frozen=True, kw_only=True):
    """Destroy a deleted account's key, and with *backups* those of its issued backups."""

    records: ClassVar[str] = "storage-account.purged"
    name: str
    backups: bool = False


class BackupStorageAccount(Command[Backup], frozen=True, kw_only=True):
    """Issue an encrypted blob with the account, its keys and its definitions."""

    records: ClassVar[str] = "storage-account.backed-up"
    name: str


class RestoreStorageAccount(Command[StorageAccountBundle], frozen=True, kw_only=True):
    """Bring back what a blob holds, under the name it had, if that name is free."""

    records: ClassVar[str] = "storage-account.restored"
    blob: bytes

    def __repr__(self) -> str:
        return "RestoreStorageAccount(...)"


class RegenerateKey(Command[StorageAccountBundle], frozen=True, kw_only=True):
    """Have the provider make a new key; which one is active stays as it is."""

    records: ClassVar[str] = "storage-key.regenerated"
    name: str
    key_name: str


class SyncStorageKeys(Command[StorageAccountBundle], frozen=True, kw_only=True):
    """Ask the provider for the keys as they are, and record what differs."""

    records: ClassVar[str] = "storage-keys.synced"
    name: str


class SetSasDefinition(Command[SasBundle], frozen=True, kw_only=True):
    """Make tokens of *template* from now on, each valid for *period* seconds."""

    records: ClassVar[str] = "sas-definition.set"
    account: str
    name: str
    template: str
    sas_type: str
    period: int
    enabled: bool = True
    tags: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"SetSasDefinition(account={self.account!r}, name={self.name!r})"


class GetSasDefinition(Command[SasBundle], frozen=True, kw_only=True):
    """A definition with its template; no token."""

    records: ClassVar[str] = "sas-definition.read"
    account: str
    name: str
    as_of: Point | None = None


class ListSasDefinitions(Command[list[SasBundle]], frozen=True, kw_only=True):
    """The active definitions of an account, by name."""

    records: ClassVar[str] = "sas-definitions.listed"
    account: str
    after: str = ""
    limit: int | None = None
    as_of: Point | None = None


class UpdateSasDefinition(Command[SasBundle], frozen=True, kw_only=True):
    """Change a definition; what is not given stays as it is."""

    records: ClassVar[str] = "sas-definition.updated"
    account: str
    name: str
    template: str | UnsetType = UNSET
    sas_type: str | UnsetType = UNSET
    period: int | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    tags: dict[str, str] | None | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"UpdateSasDefinition(account={self.account!r}, name={self.name!r})"


class DeleteSasDefinition(Command[SasBundle], frozen=True, kw_only=True):
    """Make no more tokens; the definition can be recovered until its retention is over."""

    records: ClassVar[str] = "sas-definition.deleted"
    account: str
    name: str


class GetDeletedSasDefinition(Command[SasBundle], frozen=True, kw_only=True):
    """A deleted definition of an active account."""

    records: ClassVar[str] = "deleted-sas-definition.read"
    account: str
    name: str
    as_of: Point | None = None


class ListDeletedSasDefinitions(Command[list[SasBundle]], frozen=True, kw_only=True):
    """The deleted definitions of an account, by name."""

    records: ClassVar[str] = "deleted-sas-definitions.listed"
    account: str
    after: str = ""
    limit: int | None = None
    as_of: Point | None = None


class RecoverDeletedSasDefinition(Command[SasBundle], frozen=True, kw_only=True):
    """Bring a deleted definition back."""

    records: ClassVar[str] = "sas-definition.recovered"
    account: str
    name: str
