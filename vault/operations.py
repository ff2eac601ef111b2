"""How others name what Muniment records, and what Key Vault answers for each outcome.  Pure.

Sources: Key Vault logging (learn.microsoft.com/azure/key-vault/general/logging), OCSF 1.3 classes
3004 and 6003.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from vault.answers import HistoryItem

OK: Final = "ok"

API, ENTITY = 6003, 3004
CREATE, READ, UPDATE, DELETE, OTHER = 1, 2, 3, 4, 99
"""The numbers of OCSF's classes and activities."""


class Operation(NamedTuple):
    """How others name an operation: Key Vault's word, and OCSF's class and activity."""

    name: str
    class_uid: int
    activity: int


OPERATIONS: Final[Mapping[str, Operation]] = {
    "secret.set": Operation("SecretSet", API, CREATE),
    "secret.read": Operation("SecretGet", API, READ),
    "secret.updated": Operation("SecretUpdate", API, UPDATE),
    "secret.deleted": Operation("SecretDelete", API, DELETE),
    "secret.recovered": Operation("SecretRecover", API, UPDATE),
    "secret.purged": Operation("SecretPurge", API, DELETE),
    "secret.backed-up": Operation("SecretBackup", API, READ),
    "secret.restored": Operation("SecretRestore", API, CREATE),
    "secret.version-restored": Operation("SecretVersionRestore", API, CREATE),
    "secrets.listed": Operation("SecretList", API, READ),
    "secret-versions.listed": Operation("SecretListVersions", API, READ),
    "deleted-secret.read": Operation("SecretGetDeleted", API, READ),
    "deleted-secrets.listed": Operation("SecretListDeleted", API, READ),
    "storage-account.set": Operation("StorageAccountSet", API, CREATE),
    "storage-account.read": Operation("StorageAccountGet", API, READ),
    "storage-account.updated": Operation("StorageAccountUpdate", API, UPDATE),
    "storage-account.deleted": Operation("StorageAccountDelete", API, DELETE),
    "storage-account.recovered": Operation("StorageAccountRecover", API, UPDATE),
    "storage-account.purged": Operation("StorageAccountPurge", API, DELETE),
    "storage-account.backed-up": Operation("StorageAccountBackup", API, READ),
    "storage-account.restored": Operation("StorageAccountRestore", API, CREATE),
    "storage-accounts.listed": Operation("StorageAccountList", API, READ),
    "deleted-storage-account.read": Operation("StorageAccountGetDeleted", API, READ),
    "deleted-storage-accounts.listed": Operation("StorageAccountListDeleted", API, READ),
    "storage-key.regenerating": Operation("StorageAccountRegenerateKeyBegin", API, UPDATE),
    "storage-key.regenerated": Operation("StorageAccountRegenerateKey", API, UPDATE),
    "storage-key.regeneration-failed": Operation("StorageAccountRegenerateKey", API, UPDATE),
    "storage-keys.synced": Operation("StorageAccountSyncKeys", API, UPDATE),
    "sas-definition.set": Operation("SasDefinitionSet", API, CREATE),
    "sas-definition.read": Operation("SasDefinitionGet", API, READ),
    "sas-definition.updated": Operation("SasDefinitionUpdate", API, UPDATE),
    "sas-definition.deleted": Operation("SasDefinitionDelete", API, DELETE),
    "sas-definition.recovered": Operation("SasDefinitionRecover", API, UPDATE),
    "sas-definition.purged": Operation("SasDefinitionPurge", API, DELETE),
    "sas-definition.restored": Operation("SasDefinitionRestore", API, CREATE),
    "sas-definitions.listed": Operation("SasDefinitionList", API, READ),
    "deleted-sas-definition.read": Operation("SasDefinitionGetDeleted", API, READ),
    "deleted-sas-definitions.listed": Operation("SasDefinitionListDeleted", API, READ),
    # A token is read as a secret, and Key Vault logs it as one.
    "sas-token.issued": Operation("SecretGet", API, READ),
    "vault.created": Operation("VaultPut", ENTITY, CREATE),
    "vault.read": Operation("VaultGet", ENTITY, READ),
    "vault.updated": Operation("VaultPatch", ENTITY, UPDATE),
    "vault.deleted": Operation("VaultDelete", ENTITY, DELETE),
    "vault.recovered": Operation("VaultRecover", ENTITY, UPDATE),
    "vault.purged": Operation("VaultPurge", ENTITY, DELETE),
    "vault.restored": Operation("VaultRestore", ENTITY, UPDATE),
    "store.adopted": Operation("StoreAdopt", ENTITY, UPDATE),
    # Key Vault changes access policies and network rules by a patch of the vault.
    "boundary.set": Operation("VaultPatch", ENTITY, UPDATE),
    "policy.set": Operation("VaultPatch", ENTITY, UPDATE),
    "policy.deleted": Operation("VaultPatch", ENTITY, UPDATE),
    "history.read": Operation("HistoryRead", API, READ),
    "history.verified": Operation("HistoryVerify", API, READ),
    "audit.granted": Operation("AuditGrant", ENTITY, CREATE),
    "evidence.packaged": Operation("EvidencePackage", API, READ),
    "identity.changed": Operation("IdentityChange", ENTITY, UPDATE),
    "requests.turned-away": Operation("Authentication", API, OTHER),
    "signing-key.rotated": Operation("SigningKeyRotate", ENTITY, UPDATE),
    "audit-key.rotated": Operation("AuditKeyRotate", ENTITY, UPDATE),
    "root-key.rotated": Operation("RootKeyRotate", ENTITY, UPDATE),
    "keys.erased": Operation("KeysErase", ENTITY, DELETE),
    "clock.stepped-back": Operation("ClockStepBack", ENTITY, OTHER),
}
"""Names that Key Vault does not have are ours, by its rule: the object, then the verb."""

STATUSES: Final[Mapping[str, int]] = {
    OK: 200,
    "access.denied": 403,
    "access.not-administrator": 403,
    "boundary.outside": 403,
    "boundary.public-access-disabled": 403,
    "secret.disabled": 403,
    "access.not-store-administrator": 403,
    "secret.purge-protected": 403,
    "vault.purge-protected": 405,
    "secret.managed": 403,
    "secret.not-found": 404,
    "secret.deleted-not-found": 404,
    "secret.erased": 404,
    "policy.not-found": 404,
    "storage.not-found": 404,
    "storage.deleted-not-found": 404,
    "storage.key-not-found": 404,
    "sas.not-found": 404,
    "sas.deleted-not-found": 404,
    "backup.erased": 404,
    "key.erased": 404,
    "boundary.network-not-found": 404,
    "boundary.rule-not-found": 404,
    "vault.not-found": 404,
    "vault.is-deleted": 404,
    "vault.deleted-not-found": 404,
    "log.no-such-position": 404,
    "secret.is-deleted": 409,
    "secret.exists": 409,
    "secret.being-deleted": 409,
    "vault.exists": 409,
    "boundary.network-in-use": 409,
    "storage.is-deleted": 409,
    "storage.exists": 409,
    "storage.busy": 409,
    "sas.is-deleted": 409,
    "provider.missing": 409,
    "provider.refused": 409,
    "provider.unavailable": 503,
    "log.conflict": 409,
    "request.id-reused": 409,
    "purge.erasure-pending": 503,
}
"""What Key Vault answers for an outcome; what is not here is a bad request."""


def operation(word: str) -> Operation:
    """How others name what Muniment calls *word*.  A word that is new here names itself."""
    found = OPERATIONS.get(word)
    if found is not None:
        return found
    parts = re.split(r"[^0-9A-Za-z]+", word)
    return Operation("".join(part.capitalize() for part in parts), API, OTHER)


def status(item: HistoryItem) -> int:
    """The status that Key Vault gives for such an outcome."""
    if item.operation == "secret.purged" and item.outcome == OK:
        return 204
    if item.operation == "requests.turned-away":
        # To count them went well; what was counted did not.
        return 401 if item.details.get("unauthenticated") else 429
    return STATUSES.get(item.outcome, 400)
