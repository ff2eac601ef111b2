"""What can be asked of a vault.  Imperative, closed, and checked by `vault.names` before use.  Pure.

A command names the answer it leads to.  `UNSET` in an update means unchanged, `None` means cleared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from eventstore.events import SubnetRule, TrustedService, VirtualNetwork
from vault.answers import (
    Aftermath,
    AuditGrant,
    Backup,
    BlameFact,
    Boundary,
    CouldFact,
    Explanation,
    ExposureFact,
    HistoryItem,
    Imported,
    Policy,
    Purged,
    PurgedVault,
    ReadFact,
    ReplayStep,
    Resource,
    RestorePlan,
    SasBundle,
    SecretBundle,
    StorageAccountBundle,
    VaultFacts,
)
from vault.caller import Arrival
from vault.points import Point

if TYPE_CHECKING:
    # Named in quotes below: most commands of a terminal never look at what differs.
    from eventstore.disclosure import Shown  # noqa: F401
    from projections.difference import Difference  # noqa: F401

A = TypeVar("A")


class Command(msgspec.Struct, Generic[A], frozen=True, kw_only=True):
    """Something asked of a vault, with the answer *A*.

    *records* is the tag of the event that it leads to; a refusal is recorded under it as well.
    *as_of*, in a read, is the point of the past that is asked for; who may ask is a matter of the
    policies of today, and what a point is, is told to nobody else.
    """

    records: ClassVar[str]


# --- secrets ------------------------------------------------------------------------------------


class SetSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Make a new version and make it current.

    *expected* is an append condition: the position of the secret's last event (-1: no such secret).
    """

    records: ClassVar[str] = "secret.set"
    name: str
    value: str
    content_type: str | None = None
    tags: dict[str, str] | None = None
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    expected: int | None = None

    def __repr__(self) -> str:
        return f"SetSecret(name={self.name!r})"


class ImportSecrets(Command[Imported], frozen=True, kw_only=True):
    """Set many secrets in one commit, one event each: all of them or none."""

    records: ClassVar[str] = "secret.set"
    items: tuple[SetSecret, ...]


class GetSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Give out a value.  An empty *version* is the newest created, whatever its attributes."""

    records: ClassVar[str] = "secret.read"
    name: str
    version: str = ""
    as_of: Point | None = None


class UpdateSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Change a version's attributes, content type or tags; never its value."""

    records: ClassVar[str] = "secret.updated"
    name: str
    version: str = ""
    content_type: str | None | UnsetType = UNSET
    tags: dict[str, str] | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    nbf: int | None | UnsetType = UNSET
    exp: int | None | UnsetType = UNSET
    expected: int | None = None

    def __repr__(self) -> str:
        return f"UpdateSecret(name={self.name!r}, version={self.version!r})"


class DeleteSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Delete a secret with all its versions; it can be recovered until its retention is over."""

    records: ClassVar[str] = "secret.deleted"
    name: str
    expected: int | None = None


class ListSecrets(Command[list[SecretBundle]], frozen=True, kw_only=True):
    """The newest version of each active secret, by name; no values.

    Names greater than *after* (compared in upper case), at most *limit* of them.
    """

    records: ClassVar[str] = "secrets.listed"
    after: str = ""
    limit: int | None = None
    as_of: Point | None = None


class ListSecretVersions(Command[list[SecretBundle]], frozen=True, kw_only=True):
    """All versions of a secret, by version id; of an unknown or deleted one, none."""

    records: ClassVar[str] = "secret-versions.listed"
    name: str
    after: str = ""
    limit: int | None = None
    as_of: Point | None = None


class GetDeletedSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """The newest version of a deleted secret, without its value."""

    records: ClassVar[str] = "deleted-secret.read"
    name: str
    as_of: Point | None = None


class ListDeletedSecrets(Command[list[SecretBundle]], frozen=True, kw_only=True):
    """The newest version of each deleted secret, by name."""

    records: ClassVar[str] = "deleted-secrets.listed"
    after: str = ""
    limit: int | None = None
    as_of: Point | None = None


class RecoverDeletedSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Bring a deleted secret back with all its versions."""

    records: ClassVar[str] = "secret.recovered"
    name: str


class PurgeDeletedSecret(Command[Purged], frozen=True, kw_only=True):
    """Destroy a deleted secret's key, and with *backups* those of its issued backups."""

    records: ClassVar[str] = "secret.purged"
    name: str
    backups: bool = False


class BackupSecret(Command[Backup], frozen=True, kw_only=True):
    """Issue an encrypted blob with all versions."""

    records: ClassVar[str] = "secret.backed-up"
    name: str


class RestoreSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Bring back what a blob holds, under the name it had, if that name is free."""

    records: ClassVar[str] = "secret.restored"
    blob: bytes

    def __repr__(self) -> str:
        return "RestoreSecret(...)"


class Malformed(Command[None], frozen=True, kw_only=True):
    """A request that cannot be read: authorized as *kind*, then refused with *problem*."""

    kind: type[Command[Any]]
    problem: Exception
    name: str = ""

    @property
    def records(self) -> str:  # type: ignore[override]
        return self.kind.records


# --- storage accounts ---------------------------------------------------------------------------


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


# --- the vault and its rules --------------------------------------------------------------------


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One access policy as it is given; `all` stands for every permission."""

    object_id: str
    secrets: tuple[str, ...] = ()
    storage: tuple[str, ...] = ()
    application_id: str = ""


class NetworkRules(msgspec.Struct, frozen=True, kw_only=True):
    """What Key Vault's `networkAcls` and `publicNetworkAccess` say, all of it."""

    default_action: str = "Allow"
    bypass: str = "AzureServices"
    ip_rules: tuple[str, ...] = ()
    subnet_rules: tuple[SubnetRule, ...] = ()
    public_network_access: bool = True
    allow_private_ranges: bool = False


class NewVault(msgspec.Struct, frozen=True, kw_only=True):
    """What a vault is made with, besides its name, retention, purge protection and maker.

    *policies* stand beside the maker's own; with *is_for_maker* false that one is not given.
    """

    resource_group: str = ""
    location: str = ""
    sku: str = "standard"
    vault_tags: dict[str, str] = {}
    enabled_for: tuple[str, ...] = ()
    policies: tuple[Grant, ...] = ()
    is_for_maker: bool = True
    boundary: NetworkRules = NetworkRules()
    networks: tuple[VirtualNetwork, ...] = ()
    trusted_services: tuple[TrustedService, ...] = ()


class ShowVault(Command[VaultFacts], frozen=True, kw_only=True):
    """The vault's settings, sizes, verifier keys and signed checkpoints (of now only)."""

    records: ClassVar[str] = "vault.read"
    as_of: Point | None = None


class DescribeVault(Command[Resource], frozen=True, kw_only=True):
    """The settings, the policies and the boundary together, as they stand: a resource."""

    records: ClassVar[str] = "vault.read"


class UpdateVault(Command[VaultFacts], frozen=True, kw_only=True):
    """Change the vault's settings, and with them its policies and its boundary: all or nothing.

    Purge protection can only be turned on.  *policies* replaces all that there are; *boundary* as
    NetworkRules leaves virtual networks and trusted services as they are, and as UpdateBoundary all
    that it does not name.  An event is recorded for each thing
    that becomes another one; if none does, the settings are recorded as they stand.
    """

    records: ClassVar[str] = "vault.updated"
    purge_protection: bool | UnsetType = UNSET
    administrators: tuple[str, ...] | UnsetType = UNSET
    sku: str | UnsetType = UNSET
    vault_tags: dict[str, str] | UnsetType = UNSET
    enabled_for: tuple[str, ...] | UnsetType = UNSET
    policies: tuple[Grant, ...] | UnsetType = UNSET
    boundary: NetworkRules | UpdateBoundary | UnsetType = UNSET


class ChangePolicies(Command[list[Policy]], frozen=True, kw_only=True):
    """Change many access policies at once, as the resource provider's `accessPolicies` do.

    *kind*: `add` adds permissions to what stands; `replace` gives each principal that is named
    exactly these, and leaves all others as they are; `remove` takes permissions away, and with the
    last of them the policy.
    """

    records: ClassVar[str] = "policy.set"
    kind: str
    grants: tuple[Grant, ...]


class DeleteVault(Command[VaultFacts], frozen=True, kw_only=True):
    """Delete the vault with all that is in it; it can be recovered until its retention is over."""

    records: ClassVar[str] = "vault.deleted"


class RecoverVault(Command[VaultFacts], frozen=True, kw_only=True):
    """Bring the deleted vault back, with all that was in it."""

    records: ClassVar[str] = "vault.recovered"


class PurgeVault(Command[PurgedVault], frozen=True, kw_only=True):
    """Destroy the keys of all secrets and backups of the deleted vault, and give its name free."""

    records: ClassVar[str] = "vault.purged"


class SetPolicy(Command[Policy], frozen=True, kw_only=True):
    """Say what a principal may do.  `all` stands for every permission; UNSET leaves as it is.

    With *application_id* it may do so only through that client.
    """

    records: ClassVar[str] = "policy.set"
    object_id: str
    secrets: tuple[str, ...] | UnsetType = UNSET
    storage: tuple[str, ...] | UnsetType = UNSET
    application_id: str = ""


class DeletePolicy(Command[Policy], frozen=True, kw_only=True):
    """Take everything from a principal, or with *application_id* what it may do through a client."""

    records: ClassVar[str] = "policy.deleted"
    object_id: str
    application_id: str = ""


class ListPolicies(Command[list[Policy]], frozen=True, kw_only=True):
    """All access policies, by principal."""

    records: ClassVar[str] = "vault.read"
    as_of: Point | None = None


# --- the boundary -------------------------------------------------------------------------------


class ShowBoundary(Command[Boundary], frozen=True, kw_only=True):
    """From where the vault's secrets can be reached."""

    records: ClassVar[str] = "vault.read"
    as_of: Point | None = None


class UpdateBoundary(Command[Boundary], frozen=True, kw_only=True):
    """Replace parts of the boundary as a whole."""

    records: ClassVar[str] = "boundary.set"
    default_action: str | UnsetType = UNSET
    bypass: str | UnsetType = UNSET
    ip_rules: tuple[str, ...] | UnsetType = UNSET
    subnet_rules: tuple[SubnetRule, ...] | UnsetType = UNSET
    public_network_access: bool | UnsetType = UNSET
    allow_private_ranges: bool | UnsetType = UNSET
    networks: tuple[VirtualNetwork, ...] | UnsetType = UNSET
    trusted_services: tuple[TrustedService, ...] | UnsetType = UNSET


class AddNetworkRules(Command[Boundary], frozen=True, kw_only=True):
    """Let callers in from more ranges and subnets."""

    records: ClassVar[str] = "boundary.set"
    ip_rules: tuple[str, ...] = ()
    subnet_rules: tuple[SubnetRule, ...] = ()


class RemoveNetworkRules(Command[Boundary], frozen=True, kw_only=True):
    """Take rules away; each must stand."""

    records: ClassVar[str] = "boundary.set"
    ip_rules: tuple[str, ...] = ()
    subnet_ids: tuple[str, ...] = ()


class SetNetwork(Command[Boundary], frozen=True, kw_only=True):
    """Define a virtual network, or define it anew."""

    records: ClassVar[str] = "boundary.set"
    network: VirtualNetwork


class DeleteNetwork(Command[Boundary], frozen=True, kw_only=True):
    """Forget a virtual network; no rule may need it."""

    records: ClassVar[str] = "boundary.set"
    id: str


class BindTrustedService(Command[Boundary], frozen=True, kw_only=True):
    """Take a client or a principal for a trusted service."""

    records: ClassVar[str] = "boundary.set"
    bound: TrustedService


class UnbindTrustedService(Command[Boundary], frozen=True, kw_only=True):
    """Take it for one no longer."""

    records: ClassVar[str] = "boundary.set"
    bound: TrustedService


BoundaryChange = (
    UpdateBoundary
    | AddNetworkRules
    | RemoveNetworkRules
    | SetNetwork
    | DeleteNetwork
    | BindTrustedService
    | UnbindTrustedService
)


# --- history and keys ---------------------------------------------------------------------------


class ReadHistory(Command[list[HistoryItem]], frozen=True, kw_only=True):
    """Records of both logs, oldest first, without values.

    *start* and *stop* are microseconds (start included, stop not); *from_event* and *before_event*
    positions of `changes`, and of `access` what was answered there.  *refused* is any outcome but
    ok.  *newest* keeps the last so many of those that fit.
    """

    records: ClassVar[str] = "history.read"
    name: str = ""
    logs: tuple[str, ...] = ("changes", "access")
    start: int = 0
    stop: int | None = None
    operation: str = ""
    principal: str = ""
    outcome: str = ""
    refused: bool = False
    address: str = ""
    from_event: int | None = None
    before_event: int | None = None
    newest: int | None = None


class WhoRead(Command[list[ReadFact]], frozen=True, kw_only=True):
    """Every time a value of *name* was given out, oldest first; *since* included, *until* not."""

    records: ClassVar[str] = "history.read"
    name: str
    version: str = ""
    since: Point | None = None
    until: Point | None = None


class Exposed(Command[list[ExposureFact]], frozen=True, kw_only=True):
    """Every version that *principal* ever read, those that are still current first."""

    records: ClassVar[str] = "history.read"
    principal: str


class Blame(Command[list[BlameFact]], frozen=True, kw_only=True):
    """Which event made each attribute of a version, by default the current one, what it is."""

    records: ClassVar[str] = "history.read"
    name: str
    version: str = ""
    as_of: Point | None = None


class BlameBoundary(Command[list[BlameFact]], frozen=True, kw_only=True):
    """Which event made each part of the boundary stand."""

    records: ClassVar[str] = "history.read"
    as_of: Point | None = None


class WhoCould(Command[list[CouldFact]], frozen=True, kw_only=True):
    """Who could do what with *name*, and from where, by the policies and the boundary as they stood.

    With *permission*, only who could do that, and the administrators, who could grant it.
    """

    records: ClassVar[str] = "history.read"
    name: str
    permission: str = ""
    as_of: Point | None = None


class Explain(Command[Explanation], frozen=True, kw_only=True):
    """Whether somebody would be let in to do something, and by which rules; nothing is done.

    *permission* is one for secrets, or `storage/` and one for storage accounts.  Without an *arrival* the caller comes over no network.
    """

    records: ClassVar[str] = "history.read"
    principal: str
    permission: str
    name: str = ""
    address: str = ""
    application: str = ""
    arrival: Arrival | None = None
    as_of: Point | None = None


class Diff(Command["list[Difference]"], frozen=True, kw_only=True):
    """What differs between two points; of *names* only, if any."""

    records: ClassVar[str] = "history.read"
    before: Point
    after: Point
    names: tuple[str, ...] = ()


class DiffFork(Command[Aftermath], frozen=True, kw_only=True):
    """What differs since another copy of the vault parted from this one, to compare their heads.

    They have the first *common* records of `changes` in common; this one had *size* of them.
    """

    records: ClassVar[str] = "history.read"
    common: int
    size: int


class Replay(Command[list[ReplayStep]], frozen=True, kw_only=True):
    """Retell a period, each record with what it changed; *since* included, *until* not."""

    records: ClassVar[str] = "history.read"
    name: str = ""
    principal: str = ""
    since: Point | None = None
    until: Point | None = None


class PlanRestore(Command[RestorePlan], frozen=True, kw_only=True):
    """What going back to the point *to* would do.

    Deleted secrets come back, changed ones get the old value as a new version.  *attributes* also
    puts attributes, content types and tags back where the value did not change; *policies* the
    access policies and the boundary; *prune* deletes what was not there.
    """

    records: ClassVar[str] = "history.read"
    to: Point
    names: tuple[str, ...] = ()
    attributes: bool = False
    policies: bool = False
    prune: bool = False


class Restore(Command[RestorePlan], frozen=True, kw_only=True):
    """Do what *plan* says, if `changes` still has the *head* records that its plan saw."""

    records: ClassVar[str] = "vault.restored"
    plan: PlanRestore
    head: int


class ShowFields(Command["Shown"], frozen=True, kw_only=True):
    """Open chosen *fields* of the record at *position* of *log*, to be shown to an outsider.

    A field is `context.NAME` or `event.NAME`; a name alone is looked for in both; `all` is each.
    """

    records: ClassVar[str] = "history.read"
    log: str
    position: int
    fields: tuple[str, ...]


class PackageEvidence(Command[Any], frozen=True, kw_only=True):
    """Put together what shows an outsider all operations of a period, and no value.

    *since* included, *until* not.  *against* are kept checkpoints that it shall be shown to extend.
    Answered by a `vault.packaging.Packaging`, which knows the disk and so is not named here.
    """

    records: ClassVar[str] = "evidence.packaged"
    until: Point
    since: Point | None = None
    against: tuple[str, ...] = ()


class CopyVault(Command[None], frozen=True, kw_only=True):
    """Be copied, with all values, as of a point: recorded before anything is read."""

    records: ClassVar[str] = "vault.read"
    as_of: Point


class RecordVerification(Command[None], frozen=True, kw_only=True):
    """Say in `access` that the history was verified, up to so many records of each log."""

    records: ClassVar[str] = "history.verified"
    changes: int
    access: int


class GrantAudit(Command[AuditGrant], frozen=True, kw_only=True):
    """Seal the metadata of a period to an auditor's public key: for ever, and no value.

    *auditor* is the key, 32 bytes; *since* is included and *until* not, nor anything to come.
    """

    records: ClassVar[str] = "audit.granted"
    auditor: bytes
    since: Point
    until: Point
    label: str = ""


class RotateKeys(Command[list[HistoryItem]], frozen=True, kw_only=True):
    """Rotate the signing keys, the audit keys, or both, of both logs."""

    records: ClassVar[str] = "signing-key.rotated"
    signing: bool = True
    audit: bool = True
