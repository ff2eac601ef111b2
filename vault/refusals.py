"""Why a vault says no.  Each refusal is recorded in `access` before it is given.

A refusal says what is so.  What status it has at an edge stands in that edge's table.
"""

from __future__ import annotations

from eventstore.errors import MunimentError


class VaultError(MunimentError):
    """The vault does not carry out the request.

    *about* is the secret that stands in its way, where the request itself names none: an import has
    many names, and that of a backup is sealed.  *rule* is what decided, where a rule did.
    """

    code = "vault.error"
    about: str = ""
    rule: str = ""


# --- who may ------------------------------------------------------------------------------------


class AccessDenied(VaultError):
    """No access policy gives the principal this permission."""

    code = "access.denied"
    hint = "an administrator can grant it: muniment policy set --object-id ... --secret-permissions"


class NotAdministrator(VaultError):
    """Only an administrator of the vault may do this."""

    code = "access.not-administrator"
    hint = "ask as one of them with --as, which is recorded; `muniment vault show` tells them who they are"


class NotStoreAdministrator(VaultError):
    """Only an administrator of the store may make a vault over the network."""

    code = "access.not-store-administrator"
    hint = "`muniment identity add NAME --store-administrator` registers one"


class OutsideBoundary(VaultError):
    """The vault's boundary does not let the caller in.

    *origin* is where the caller came from, in Key Vault's words.
    """

    code = "boundary.outside"
    hint = "an administrator can let the address in: muniment network-rule add --ip-address ..."

    def __init__(self, origin: str = "the caller", rule: str = "") -> None:
        super().__init__(f"{origin} is not authorized, and the caller is no trusted service")
        self.origin = origin
        self.rule = rule


class PublicAccessDisabled(VaultError):
    """The vault is reached over no network, save by trusted services that it lets in."""

    code = "boundary.public-access-disabled"
    hint = "an administrator can open it: muniment vault update --public-network-access Enabled"

    def __init__(self, message: str = "", rule: str = "") -> None:
        super().__init__(message)
        self.rule = rule


NOT_LET_IN = (AccessDenied, NotAdministrator, OutsideBoundary, PublicAccessDisabled)
"""What is said to whoever may not do it, wherever he comes from."""


# --- what was asked for is beyond a documented limit --------------------------------------------


class BadParameter(VaultError):
    """A value is beyond a documented limit."""

    code = "parameter.invalid"


class NameInvalid(BadParameter):
    """A secret's name has 1 to 127 letters, digits and hyphens."""

    code = "name.invalid"


class VersionInvalid(BadParameter):
    """A version is 32 hexadecimal digits."""

    code = "version.invalid"


class VaultNameInvalid(BadParameter):
    """A vault's name has 3 to 24 letters, digits and single hyphens, and begins with a letter."""

    code = "vault-name.invalid"


class ValueTooLarge(BadParameter):
    """A value has at most 25,600 bytes."""

    code = "value.too-large"


class ContentTypeTooLong(BadParameter):
    """A content type has at most 255 characters."""

    code = "content-type.too-long"


class TagsInvalid(BadParameter):
    """A secret has at most 15 tags, with names and values of at most 256 characters."""

    code = "tags.invalid"


class AttributesInvalid(BadParameter):
    """A time is a whole number of seconds since 1970."""

    code = "attributes.invalid"


class RetentionInvalid(BadParameter):
    """Deleted secrets are kept 7 to 90 days."""

    code = "retention.invalid"


class LocationIsFixed(BadParameter):
    """Where a vault is, is said when it is made, and never changed."""

    code = "vault.location-is-fixed"


class RetentionIsFixed(BadParameter):
    """How long what is deleted is kept is said when a vault is made, and never changed."""

    code = "vault.retention-is-fixed"


class PermissionUnknown(BadParameter):
    """There is no permission of that name."""

    code = "permission.unknown"


class PrincipalInvalid(BadParameter):
    """A principal's name has 1 to 256 printable characters."""

    code = "principal.invalid"


class PurgeProtectionIsOneWay(BadParameter):
    """Purge protection cannot be turned off again."""

    code = "vault.purge-protection-one-way"


class RangeInvalid(BadParameter):
    """An address rule is an IPv4 address or range that is not reserved, or private without leave."""

    code = "boundary.range-invalid"


class RulesTooMany(BadParameter):
    """A vault has at most 1,000 address rules and 200 virtual network rules."""

    code = "boundary.too-many-rules"


class NetworkInvalid(BadParameter):
    """A virtual network, a subnet or a rule for one is not valid."""

    code = "boundary.network-invalid"


class SubnetUnknown(BadParameter):
    """The vault knows no subnet of that id."""

    code = "boundary.subnet-unknown"
    hint = "define it with `muniment network set`, or allow it with --ignore-missing-endpoint true"


class TrustedServiceInvalid(BadParameter):
    """A trusted service is one of the list, bound to one client or one principal."""

    code = "boundary.trusted-service-invalid"
    hint = "`muniment trusted-service list --all` shows the names"


class NetworkInUse(VaultError):
    """A rule needs a subnet that would be gone."""

    code = "boundary.network-in-use"
    hint = "remove the rule first: muniment network-rule remove --subnet ID"


class NetworkNotFound(VaultError):
    """The vault knows no virtual network of that id."""

    code = "boundary.network-not-found"
    hint = "`muniment network list` shows the ids"


class RuleNotFound(VaultError):
    """There is no such network rule, or no such binding of a trusted service."""

    code = "boundary.rule-not-found"
    hint = "`muniment network-rule list` and `muniment trusted-service list` show what stands"


class PoliciesTooMany(BadParameter):
    """A vault has at most 1,024 access policies."""

    code = "policy.too-many"


class PolicyTwice(BadParameter):
    """An access policy stands once for a principal, and once for it through each client."""

    code = "policy.twice"


class VaultSettingInvalid(BadParameter):
    """A setting of a vault has a value that it cannot have."""

    code = "vault.setting-invalid"


class VaultTagsInvalid(BadParameter):
    """A vault has at most 50 tags, with names of at most 512 characters and values of 256."""

    code = "vault-tags.invalid"


class StorageNameInvalid(BadParameter):
    """A storage account or SAS definition has a name of 1 to 127 letters and digits."""

    code = "storage-name.invalid"


class StorageInvalid(BadParameter):
    """What was said of a storage account or of a SAS definition is not valid."""

    code = "storage.invalid"


class PeriodInvalid(BadParameter):
    """A period is an ISO 8601 duration, as P90D or PT4H."""

    code = "storage.period-invalid"


class SasTemplateInvalid(BadParameter):
    """The template of a SAS definition is not one that a token could be made of."""

    code = "sas.template-invalid"


class SasVersionUnknown(BadParameter):
    """The template names a service version whose text to sign is not known."""

    code = "sas.version-unknown"
    hint = "give the template another sv, for example 2020-12-06"


class PointsReversed(BadParameter):
    """The first point comes after the second."""

    code = "points.reversed"
    hint = "give the older point first: diff OLDER..NEWER, --from OLDER --to NEWER"


class PeriodNotOver(BadParameter):
    """A period that is not over cannot be shown to be complete."""

    code = "evidence.period-not-over"
    hint = "let the period end now or earlier: --to now"


class PeriodMoved(VaultError):
    """The clock stepped back: a record of the period came after it was written down."""

    code = "evidence.period-moved"
    hint = "make the bundle again"


class RestoreUnclear(BadParameter):
    """Policies are restored for the whole vault, and not for chosen secrets."""

    code = "restore.names-and-policies"
    hint = "restore the names and the policies one after the other"


class BackupInvalid(BadParameter):
    """The backup blob contains an invalid or corrupt version."""

    code = "backup.invalid"
    hint = "give the file that `secret backup` wrote, unchanged"


class BackupForeign(BadParameter):
    """The backup was made by another store."""

    code = "backup.foreign"
    hint = "a backup is restored in the store that issued it, in any of its vaults"


# --- what is so ---------------------------------------------------------------------------------


class SecretNotFound(VaultError):
    """There is no active secret, or no version, of that name."""

    code = "secret.not-found"
    hint = "`muniment secret list` shows the names; a deleted secret can be recovered"


class DeletedSecretNotFound(VaultError):
    """There is no deleted secret of that name."""

    code = "secret.deleted-not-found"
    hint = "`muniment secret list-deleted` shows the names"


class SecretErased(VaultError):
    """The secret's key was destroyed by a purge: nobody opens it again."""

    code = "secret.erased"
    hint = "the value is gone; `muniment log NAME` shows who purged it"


class SecretIsDisabled(VaultError):
    """The version is disabled, so its value is not given out."""

    code = "secret.disabled"
    hint = "enable it: muniment secret set-attributes NAME --enabled true"


class SecretIsDeleted(VaultError):
    """The name is held by a deleted secret: recover or purge it first."""

    code = "secret.is-deleted"
    hint = "muniment secret recover NAME, or muniment secret purge NAME"


class SecretExists(VaultError):
    """The name is held by an active secret, so a backup cannot be restored there."""

    code = "secret.exists"
    hint = "take another name or vault, or delete and purge what holds the name"


class PurgeIsProtected(VaultError):
    """Purge protection is on: the secret is purged when its retention is over."""

    code = "secret.purge-protected"


class PolicyNotFound(VaultError):
    """There is no access policy for that principal."""

    code = "policy.not-found"


class ErasurePending(VaultError):
    """The purge is recorded, but its key could not be destroyed yet."""

    code = "purge.erasure-pending"
    hint = "mend the disk; the next command on this store finishes the erasure first"


class BackupErased(VaultError):
    """The key of this backup was destroyed with the purge."""

    code = "backup.erased"


# --- storage accounts ---------------------------------------------------------------------------


class StorageAccountNotFound(VaultError):
    """There is no active storage account of that name."""

    code = "storage.not-found"
    hint = "`muniment storage list` shows the names; a deleted account can be recovered"


class DeletedStorageAccountNotFound(VaultError):
    """There is no deleted storage account of that name."""

    code = "storage.deleted-not-found"
    hint = "`muniment storage list-deleted` shows the names"


class StorageIsDeleted(VaultError):
    """The name is held by a deleted storage account: recover or purge it first."""

    code = "storage.is-deleted"
    hint = "muniment storage recover NAME, or muniment storage purge NAME"


class StorageExists(VaultError):
    """The name is held by an active storage account, so a backup cannot be restored there."""

    code = "storage.exists"
    hint = "take another vault, or remove and purge the account that holds the name"


class StorageKeyNotFound(VaultError):
    """The storage account has no key of that name."""

    code = "storage.key-not-found"
    hint = "`muniment storage sync NAME` asks its provider for the keys that there are"


class StorageBusy(VaultError):
    """A key of the storage account is being regenerated; ask again when that is over."""

    code = "storage.busy"
    hint = "ask again in two minutes at the latest"


class SasDefinitionNotFound(VaultError):
    """There is no active SAS definition of that name."""

    code = "sas.not-found"
    hint = "`muniment storage sas-definition list` shows the names"


class DeletedSasDefinitionNotFound(VaultError):
    """There is no deleted SAS definition of that name."""

    code = "sas.deleted-not-found"
    hint = "`muniment storage sas-definition list-deleted` shows the names"


class SasIsDeleted(VaultError):
    """The name is held by a deleted SAS definition: recover it first."""

    code = "sas.is-deleted"
    hint = "muniment storage sas-definition recover"


class SecretIsManaged(VaultError):
    """The secret is the token of a SAS definition: it is read, and changed by its definition alone."""

    code = "secret.managed"
    hint = "change the definition: muniment storage sas-definition update"


class ProviderMissing(VaultError):
    """No provider is declared for the storage account's resource."""

    code = "provider.missing"
    hint = "declare one in the file that --providers or MUNIMENT_PROVIDERS names"


class ProviderUnavailable(VaultError):
    """The storage account's provider does not answer, or what it did is not known."""

    code = "provider.unavailable"
    hint = "ask again: what was begun is finished first"


class ProviderRefused(VaultError):
    """The storage account's provider refuses."""

    code = "provider.refused"


# --- the store ----------------------------------------------------------------------------------


class StoreNotFound(VaultError):
    """There is no Muniment store at that place."""

    code = "store.not-found"
    hint = "make one with `muniment init`, or name it with --home or MUNIMENT_HOME"


class StoreExists(VaultError):
    """There is a store at that place already."""

    code = "store.exists"
    hint = "name another place; what stands there was not touched"


class VaultNotFound(VaultError):
    """The store has no vault of that name."""

    code = "vault.not-found"
    hint = "`muniment vault list` shows the names"


class VaultExists(VaultError):
    """The store has a vault of that name already, or a deleted one that holds it."""

    code = "vault.exists"


class VaultIsDeleted(VaultError):
    """The vault is deleted: it can be recovered, or purged."""

    code = "vault.is-deleted"
    hint = (
        "muniment vault recover NAME, or muniment vault purge NAME; its history is read with "
        "--vault-name and its id, which `muniment vault list-deleted` shows"
    )


class DeletedVaultNotFound(VaultError):
    """The store has no deleted vault of that name."""

    code = "vault.deleted-not-found"
    hint = "`muniment vault list-deleted` shows the names"


class VaultPurgeIsProtected(VaultError):
    """Purge protection is on: the vault is purged when its retention is over."""

    code = "vault.purge-protected"


class VaultNotChosen(VaultError):
    """The store has more than one vault, or none, so one must be named."""

    code = "vault.not-chosen"
    hint = (
        "name it with --vault-name or MUNIMENT_VAULT: `muniment vault list` and `vault list-deleted` "
        "show them, `vault create` makes one"
    )
