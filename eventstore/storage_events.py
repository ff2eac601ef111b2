"""What can happen to managed storage accounts and SAS definitions, and who asked for them.  Pure."""

from __future__ import annotations

from eventstore.event import Event


class StorageAccountSet(Event, frozen=True, kw_only=True, tag="storage-account.set"):
    """A storage account is managed from now on, in exactly this way.

    *resource_id* is what its provider knows it by, *account_name* the name that its tokens are signed
    for, *period* the seconds between two rotations.
    *key_prints*, 8 bytes each by the key's name, tell values of one key apart and nothing else: as
    those of a secret.
    """

    name: str
    resource_id: str
    account_name: str
    active_key: str
    auto_regenerate: bool
    key_prints: dict[str, bytes]
    period: int | None = None
    enabled: bool = True


class StorageAccountUpdated(Event, frozen=True, kw_only=True, tag="storage-account.updated"):
    """An account's attributes and tags as they stand from now on; its keys are as they were."""

    name: str
    changed: tuple[str, ...]
    active_key: str
    auto_regenerate: bool
    period: int | None = None
    enabled: bool = True


class StorageAccountDeleted(Event, frozen=True, kw_only=True, tag="storage-account.deleted"):
    """An account signs no token, with all its definitions; it can be recovered until then."""

    name: str
    scheduled_purge: int


class StorageAccountRecovered(Event, frozen=True, kw_only=True, tag="storage-account.recovered"):
    """A deleted account is active again, with all its definitions."""

    name: str


class StorageAccountPurged(Event, frozen=True, kw_only=True, tag="storage-account.purged"):
    """A deleted account is gone with its definitions, and its key is to be destroyed."""

    name: str
    key: int
    backups: tuple[int, ...] = ()


class StorageAccountBackedUp(Event, frozen=True, kw_only=True, tag="storage-account.backed-up"):
    """A blob with the account was issued, sealed under a backup key of its own."""

    name: str
    backup_key: int
    definitions: int


class StorageAccountRestored(Event, frozen=True, kw_only=True, tag="storage-account.restored"):
    """An account came back from a blob, with the times it had; its definitions follow."""

    name: str
    origin: str
    backup_key: int
    definitions: int
    resource_id: str
    account_name: str
    active_key: str
    auto_regenerate: bool
    key_prints: dict[str, bytes]
    created: int
    updated: int
    period: int | None = None
    enabled: bool = True


class StorageKeyRegenerating(Event, frozen=True, kw_only=True, tag="storage-key.regenerating"):
    """The provider is about to be asked for a new key; *automatic* if nobody asked for it.

    One that was asked before, and of which it is not known what it did, is the cause.
    """

    name: str
    key_name: str
    automatic: bool = False


class StorageKeyRegenerated(Event, frozen=True, kw_only=True, tag="storage-key.regenerated"):
    """A key has a new value, and *active_key* signs from now on.  The cause is the one before."""

    name: str
    key_name: str
    active_key: str
    key_prints: dict[str, bytes]
    automatic: bool = False


class StorageKeyRegenerationFailed(
    Event, frozen=True, kw_only=True, tag="storage-key.regeneration-failed"
):
    """The provider refused to make a new key; *reason* is the code of its refusal."""

    name: str
    key_name: str
    reason: str
    automatic: bool = False


class StorageKeysSynced(Event, frozen=True, kw_only=True, tag="storage-keys.synced"):
    """The keys are those that the provider has; *drifted* are the names of those that differed."""

    name: str
    key_prints: dict[str, bytes]
    drifted: tuple[str, ...] = ()


class SasDefinitionSet(Event, frozen=True, kw_only=True, tag="sas-definition.set"):
    """Tokens of account *name* are made of this definition from now on.

    *sas_type* is account or service, *period* the seconds that a token is valid.
    """

    name: str
    sas: str
    sas_type: str
    period: int
    enabled: bool = True
    content_print: bytes = b""


class SasDefinitionUpdated(Event, frozen=True, kw_only=True, tag="sas-definition.updated"):
    """A definition, its template and its tags as they stand from now on."""

    name: str
    sas: str
    changed: tuple[str, ...]
    sas_type: str
    period: int
    enabled: bool = True
    content_print: bytes = b""


class SasDefinitionDeleted(Event, frozen=True, kw_only=True, tag="sas-definition.deleted"):
    """No token is made of a definition; it can be recovered until *scheduled_purge*."""

    name: str
    sas: str
    scheduled_purge: int


class SasDefinitionRecovered(Event, frozen=True, kw_only=True, tag="sas-definition.recovered"):
    """A deleted definition is active again."""

    name: str
    sas: str


class SasDefinitionPurged(Event, frozen=True, kw_only=True, tag="sas-definition.purged"):
    """A deleted definition is gone.  What it said is closed when its account is purged."""

    name: str
    sas: str


class SasDefinitionRestored(Event, frozen=True, kw_only=True, tag="sas-definition.restored"):
    """One definition that came back with its account, with the times it had."""

    name: str
    sas: str
    sas_type: str
    period: int
    created: int
    updated: int
    enabled: bool = True
    content_print: bytes = b""


class StorageAccountRead(Event, frozen=True, kw_only=True, tag="storage-account.read"):
    """A storage account's attributes were given out, and no key."""

    name: str
    at: int
    as_of: int | None = None


class StorageAccountsListed(Event, frozen=True, kw_only=True, tag="storage-accounts.listed"):
    """The names of managed storage accounts were given out."""

    at: int
    count: int
    as_of: int | None = None


class DeletedStorageAccountRead(
    Event, frozen=True, kw_only=True, tag="deleted-storage-account.read"
):
    """The attributes of a deleted storage account were given out."""

    name: str
    at: int
    as_of: int | None = None


class DeletedStorageAccountsListed(
    Event, frozen=True, kw_only=True, tag="deleted-storage-accounts.listed"
):
    """The names of deleted storage accounts were given out."""

    at: int
    count: int
    as_of: int | None = None


class SasDefinitionRead(Event, frozen=True, kw_only=True, tag="sas-definition.read"):
    """A SAS definition was given out, with its template and without a token."""

    name: str
    sas: str
    at: int
    as_of: int | None = None


class SasDefinitionsListed(Event, frozen=True, kw_only=True, tag="sas-definitions.listed"):
    """The SAS definitions of one account were given out."""

    name: str
    at: int
    count: int
    as_of: int | None = None


class DeletedSasDefinitionRead(Event, frozen=True, kw_only=True, tag="deleted-sas-definition.read"):
    """A deleted SAS definition was given out."""

    name: str
    sas: str
    at: int
    as_of: int | None = None


class DeletedSasDefinitionsListed(
    Event, frozen=True, kw_only=True, tag="deleted-sas-definitions.listed"
):
    """The deleted SAS definitions of one account were given out."""

    name: str
    at: int
    count: int
    as_of: int | None = None


class SasTokenIssued(Event, frozen=True, kw_only=True, tag="sas-token.issued"):
    """A shared access signature was made and given out; it is kept nowhere.

    *name* is that of the secret it was read as, *key_name* of the key that signed it as it stood
    when `changes` had *at* records, *expires* when it ends (Unix seconds).
    """

    name: str
    account: str
    sas: str
    key_name: str
    expires: int
    at: int
