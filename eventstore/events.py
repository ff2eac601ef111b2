"""What can happen in a vault: two closed unions of events, and who caused them.

An event is past and never changes meaning.  A new field goes last and has a default; a new meaning
is a new tag.  An unknown tag or field is refused, never skipped.  Values, content types and tags
are not in an event: they are its `SecretContent`, sealed under the secret's own key.  Pure.

Times inside events are Unix seconds, as Key Vault's IntDate.  An event's own time is its leaf's.
"""

from __future__ import annotations

import msgspec


class Context(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Who asked, how they were known, from where, and what let them or stopped them.

    *application* is the client that asked for the principal, if the token named one.
    """

    principal: str
    auth: str
    rule: str = ""
    outcome: str = "ok"
    address: str = ""
    agent: str = ""
    request: str = ""
    cause: int | None = None
    application: str = ""


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="type",
):
    """Something that happened."""


class SecretContent(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What only the secret's own key opens.  An update carries no value.

    A storage account's *keys* are by the names that the account gives them, each in base64.
    *template* is that of a SAS definition.
    """

    value: str | None = None
    content_type: str | None = None
    tags: dict[str, str] | None = None
    keys: dict[str, str] | None = None
    template: str | None = None

    def __repr__(self) -> str:
        return "SecretContent(...)"

    def described(self) -> bytes:
        """Content type and tags as bytes to fingerprint: equal if and only if they are."""
        tags = sorted((self.tags or {}).items())
        return b"\1" + msgspec.msgpack.encode((self.content_type, tags))


# --- changes: the vault and its rules -----------------------------------------------------------


class VaultCreated(Event, frozen=True, kw_only=True, tag="vault.created"):
    """A vault began.  Retention in days is fixed from now on.

    *first_key* is the number of the first key that the vault gives to a secret.
    """

    name: str
    retention_days: int
    purge_protection: bool
    administrators: tuple[str, ...]
    first_key: int
    resource_group: str = ""
    location: str = ""
    sku: str = "standard"
    vault_tags: dict[str, str] = {}
    enabled_for: tuple[str, ...] = ()


class VaultUpdated(Event, frozen=True, kw_only=True, tag="vault.updated"):
    """The vault's settings as they stand from now on.

    *enabled_for* is of deployment, disk-encryption and template-deployment: Key Vault's flags.
    """

    purge_protection: bool
    administrators: tuple[str, ...]
    sku: str = "standard"
    vault_tags: dict[str, str] = {}
    enabled_for: tuple[str, ...] = ()


class VaultDeleted(Event, frozen=True, kw_only=True, tag="vault.deleted"):
    """The vault answers nobody; it can be recovered until *scheduled_purge*."""

    scheduled_purge: int


class VaultRecovered(Event, frozen=True, kw_only=True, tag="vault.recovered"):
    """A deleted vault is active again, with all that is in it."""


class VaultPurged(Event, frozen=True, kw_only=True, tag="vault.purged"):
    """A deleted vault is gone: its name is free, and these keys are to be destroyed.

    They are those of all its secrets and backups, as runs: the first and the last number of each.
    The records stay, and still verify.  *open_backups* are the keys of blobs that other vaults
    issued, and that could still bring a value back.
    """

    keys: tuple[tuple[int, int], ...]
    open_backups: tuple[int, ...] = ()


class PolicySet(Event, frozen=True, kw_only=True, tag="policy.set"):
    """A principal may do exactly this from now on; with *application_id* only through that client."""

    object_id: str
    secrets: tuple[str, ...] = ()
    storage: tuple[str, ...] = ()
    application_id: str = ""


class PolicyDeleted(Event, frozen=True, kw_only=True, tag="policy.deleted"):
    """A principal may do nothing from now on, or nothing through that client."""

    object_id: str
    application_id: str = ""


class Part(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A part of the vault's boundary."""


class SubnetRule(Part, frozen=True, kw_only=True):
    """Callers from one subnet are let in.  *id* is a subnet's id in Azure's form.

    With *ignore_missing* the subnet need not be known yet; until then nobody comes from it.
    """

    id: str
    ignore_missing: bool = False


class Subnet(Part, frozen=True, kw_only=True):
    """Where callers come from: everything that is given here must fit.

    *ranges* are CIDR blocks, one of which must hold the address; the others say by what way a
    request came in: the name of a listener, of a network interface, a VLAN's number, the name of a
    network namespace.
    """

    name: str
    ranges: tuple[str, ...] = ()
    listener: str = ""
    interface: str = ""
    vlan: int | None = None
    namespace: str = ""


class VirtualNetwork(Part, frozen=True, kw_only=True):
    """A named network.  *id* is a virtual network's id in Azure's form."""

    id: str
    subnets: tuple[Subnet, ...] = ()


class TrustedService(Part, frozen=True, kw_only=True):
    """Who is taken for a trusted service: a client by its application id, or a principal.

    *service* is a name of the shipped list.
    """

    service: str
    application_id: str = ""
    object_id: str = ""


class BoundarySet(Event, frozen=True, kw_only=True, tag="boundary.set"):
    """From where the vault's secrets can be reached, as it stands from now on.

    *default_action* is Allow or Deny, *bypass* AzureServices or None, as in Key Vault's networkAcls.
    *ip_rules* are canonical IPv4 ranges.
    """

    default_action: str = "Allow"
    bypass: str = "AzureServices"
    ip_rules: tuple[str, ...] = ()
    subnet_rules: tuple[SubnetRule, ...] = ()
    public_network_access: bool = True
    allow_private_ranges: bool = False
    networks: tuple[VirtualNetwork, ...] = ()
    trusted_services: tuple[TrustedService, ...] = ()


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


# --- changes: storage accounts ------------------------------------------------------------------


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


# --- access: reads and refusals -----------------------------------------------------------------


class SecretRead(Event, frozen=True, kw_only=True, tag="secret.read"):
    """A value was given out.  *at* is the size of `changes` it was answered at.

    *as_of* is the size of `changes` at the point of the past that was asked for, if one was.
    """

    name: str
    version: str
    at: int
    as_of: int | None = None


class SecretsListed(Event, frozen=True, kw_only=True, tag="secrets.listed"):
    """The names of active secrets were given out, *count* of them."""

    at: int
    count: int
    as_of: int | None = None


class SecretVersionsListed(Event, frozen=True, kw_only=True, tag="secret-versions.listed"):
    """The versions of one secret were given out."""

    name: str
    at: int
    count: int
    as_of: int | None = None


class DeletedSecretRead(Event, frozen=True, kw_only=True, tag="deleted-secret.read"):
    """The attributes of a deleted secret were given out."""

    name: str
    at: int
    as_of: int | None = None


class DeletedSecretsListed(Event, frozen=True, kw_only=True, tag="deleted-secrets.listed"):
    """The names of deleted secrets were given out."""

    at: int
    count: int
    as_of: int | None = None


class VaultRead(Event, frozen=True, kw_only=True, tag="vault.read"):
    """The vault's settings or policies were given out."""

    what: str
    at: int
    as_of: int | None = None


class HistoryRead(Event, frozen=True, kw_only=True, tag="history.read"):
    """Records of the past were given out, without values; *what* says for which question."""

    at: int
    count: int
    name: str = ""
    what: str = "log"
    as_of: int | None = None


class HistoryVerified(Event, frozen=True, kw_only=True, tag="history.verified"):
    """The history was checked from the first record, up to so many records of each log.

    A log that was not checked counts none.
    """

    at: int
    changes: int
    access: int


class IdentityChanged(Event, frozen=True, kw_only=True, tag="identity.changed"):
    """Who may sign in to the store's service changed, or was given a token by hand.

    *change* is of: client-added, store-administrator-added, client-removed, secret-rotated,
    issuer-trusted, issuer-distrusted, signing-key-rotated, tokens-revoked, token-issued.  *client* is
    a client's name or an issuer.
    """

    at: int
    change: str
    client: str = ""
    object_id: str = ""


class RequestsTurnedAway(Event, frozen=True, kw_only=True, tag="requests.turned-away"):
    """Requests that were counted since *since* (Unix seconds) and not recorded one by one.

    *unauthenticated* named nobody, or nobody who could be believed; *throttled* came too often.
    """

    at: int
    since: int
    unauthenticated: int = 0
    throttled: int = 0


class EvidencePackaged(Event, frozen=True, kw_only=True, tag="evidence.packaged"):
    """Evidence of a period was put together to be taken out: its events without values.

    *start*, *stop*, *changes* and *access* are as in `audit.granted`; *digest* is the SHA-256 of the
    bundle's manifest, in hex.
    """

    at: int
    start: int
    stop: int
    changes: tuple[int, int]
    access: tuple[int, int]
    digest: str


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


class RequestRefused(Event, frozen=True, kw_only=True, tag="request.refused"):
    """A request was not carried out; *outcome* in the context is the code of the refusal."""

    operation: str
    at: int
    name: str = ""
    version: str = ""


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
