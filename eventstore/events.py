"""What can happen in a vault: two closed unions of events.  Pure.

Here stand the unions, and what happens to secrets, keys and clocks; what happens to a vault itself, to
storage accounts, and what `access` records stand in modules of their own.
"""

from __future__ import annotations

from eventstore.access_events import (
    DeletedSecretRead,
    DeletedSecretsListed,
    EvidencePackaged,
    HistoryRead,
    HistoryVerified,
    IdentityChanged,
    RequestRefused,
    RequestsTurnedAway,
    SecretRead,
    SecretsListed,
    SecretVersionsListed,
    VaultRead,
)
from eventstore.event import Event
from eventstore.rule_events import (
    BoundarySet,
    PolicyDeleted,
    PolicySet,
    VaultCreated,
    VaultDeleted,
    VaultPurged,
    VaultRecovered,
    VaultUpdated,
)
from eventstore.storage_events import (
    DeletedSasDefinitionRead,
    DeletedSasDefinitionsListed,
    DeletedStorageAccountRead,
    DeletedStorageAccountsListed,
    SasDefinitionDeleted,
    SasDefinitionPurged,
    SasDefinitionRead,
    SasDefinitionRecovered,
    SasDefinitionRestored,
    SasDefinitionSet,
    SasDefinitionsListed,
    SasDefinitionUpdated,
    SasTokenIssued,
    StorageAccountBackedUp,
    StorageAccountDeleted,
    StorageAccountPurged,
    StorageAccountRead,
    StorageAccountRecovered,
    StorageAccountRestored,
    StorageAccountSet,
    StorageAccountsListed,
    StorageAccountUpdated,
    StorageKeyRegenerated,
    StorageKeyRegenerating,
    StorageKeyRegenerationFailed,
    StorageKeysSynced,
)

# --- changes: the past, brought back -------------------------------------------------------------


class VaultRestored(Event, frozen=True, kw_only=True, tag="vault.restored"):
    """The vault goes back to how it stood when `changes` had *to* records; what follows does it.

    *origin* is the log id of the vault that is brought back, if it is another one.
    """

    to: int
    names: int
    origin: str = ""


# --- changes: secrets ---------------------------------------------------------------------------


class SecretSet(Event, frozen=True, kw_only=True, tag="secret.set"):
    """A new version of a secret became current.

    The fingerprints, 8 bytes each, tell the values of one secret apart, and its content types with
    tags, and tell nothing else: they are made under the secret's own key, and mean nothing any more
    once that is destroyed.
    """

    name: str
    version: str
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    value_print: bytes = b""
    content_print: bytes = b""


class SecretUpdated(Event, frozen=True, kw_only=True, tag="secret.updated"):
    """A version's attributes, content type and tags as they stand from now on."""

    name: str
    version: str
    changed: tuple[str, ...]
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    content_print: bytes = b""


class SecretDeleted(Event, frozen=True, kw_only=True, tag="secret.deleted"):
    """A secret can no longer be read; it can be recovered until *scheduled_purge*."""

    name: str
    scheduled_purge: int


class SecretRecovered(Event, frozen=True, kw_only=True, tag="secret.recovered"):
    """A deleted secret is active again, with all its versions."""

    name: str


class SecretPurged(Event, frozen=True, kw_only=True, tag="secret.purged"):
    """A deleted secret is gone, and its key is to be destroyed."""

    name: str
    key: int
    backups: tuple[int, ...] = ()


class SecretBackedUp(Event, frozen=True, kw_only=True, tag="secret.backed-up"):
    """A blob with all versions was issued, sealed under a backup key of its own."""

    name: str
    backup_key: int
    versions: int


class SecretRestored(Event, frozen=True, kw_only=True, tag="secret.restored"):
    """A secret came back from a blob, or from a point of another vault; its versions follow.

    The current one is the last.  *origin* is the log id of the vault that it comes from.
    """

    name: str
    versions: int
    origin: str
    backup_key: int | None = None


class SecretVersionRestored(Event, frozen=True, kw_only=True, tag="secret.version-restored"):
    """One version that came back from a blob, with the times it had."""

    name: str
    version: str
    created: int
    updated: int
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    value_print: bytes = b""
    content_print: bytes = b""


# --- changes: what others are shown --------------------------------------------------------------


class AuditGranted(Event, frozen=True, kw_only=True, tag="audit.granted"):
    """An auditor may read the metadata of a period for ever; no value, and no other period.

    *grant* is the grant's id and *auditor* the fingerprint of the auditor's key, both in hex.
    *start* and *stop* are the period in microseconds; *changes* and *access* the records of it in
    each log: the first position, and the one after the last.
    """

    grant: str
    auditor: str
    start: int
    stop: int
    changes: tuple[int, int]
    access: tuple[int, int]
    label: str = ""


# --- changes and access: keys and clocks --------------------------------------------------------


class SigningKeyRotated(Event, frozen=True, kw_only=True, tag="signing-key.rotated"):
    """The last event that the old key signed: it endorses the new one.

    The keys to be destroyed now are *retired* and *also*, the retired keys of the other log.
    """

    verifier: str
    key: int
    retired: int
    also: tuple[int, ...] = ()


class AuditKeyRotated(Event, frozen=True, kw_only=True, tag="audit-key.rotated"):
    """Metadata from the next record on is sealed under a new audit key."""

    key: int


class RootKeyRotated(Event, frozen=True, kw_only=True, tag="root-key.rotated"):
    """The store's root key got a new value and the old one was destroyed."""

    root_epoch: int
    provider: str
    assurance: str


class StoreAdopted(Event, frozen=True, kw_only=True, tag="store.adopted"):
    """The store was made from a copy that had so many records; from here on it is another one.

    *instance* is an id that only this store has.
    """

    instance: str
    changes: int
    access: int


class KeysErased(Event, frozen=True, kw_only=True, tag="keys.erased"):
    """Erasure receipt: these keys are destroyed, and so is the root key that could reach them.

    *open_backups* are the keys of issued blobs that could still bring the value back.  *runs* are
    further keys, the first and the last number of each run: a vault may have a million of them.
    """

    keys: tuple[int, ...]
    root_epoch: int
    provider: str
    assurance: str
    open_backups: tuple[int, ...] = ()
    runs: tuple[tuple[int, int], ...] = ()


class ClockSteppedBack(Event, frozen=True, kw_only=True, tag="clock.stepped-back"):
    """The clock showed *observed* although the log already stood at *last* (microseconds)."""

    observed: int
    last: int


Change = (
    VaultCreated
    | VaultUpdated
    | VaultDeleted
    | VaultRecovered
    | VaultPurged
    | PolicySet
    | PolicyDeleted
    | BoundarySet
    | VaultRestored
    | SecretSet
    | SecretUpdated
    | SecretDeleted
    | SecretRecovered
    | SecretPurged
    | SecretBackedUp
    | SecretRestored
    | SecretVersionRestored
    | StorageAccountSet
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
    | SasDefinitionSet
    | SasDefinitionUpdated
    | SasDefinitionDeleted
    | SasDefinitionRecovered
    | SasDefinitionPurged
    | SasDefinitionRestored
    | RootKeyRotated
    | StoreAdopted
    | KeysErased
    | AuditGranted
    | SigningKeyRotated
    | AuditKeyRotated
    | ClockSteppedBack
)

Access = (
    SecretRead
    | SecretsListed
    | SecretVersionsListed
    | DeletedSecretRead
    | DeletedSecretsListed
    | VaultRead
    | HistoryRead
    | HistoryVerified
    | IdentityChanged
    | StorageAccountRead
    | StorageAccountsListed
    | DeletedStorageAccountRead
    | DeletedStorageAccountsListed
    | SasDefinitionRead
    | SasDefinitionsListed
    | DeletedSasDefinitionRead
    | DeletedSasDefinitionsListed
    | SasTokenIssued
    | RequestsTurnedAway
    | EvidencePackaged
    | RequestRefused
    | SigningKeyRotated
    | AuditKeyRotated
    | ClockSteppedBack
)
