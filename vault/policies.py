"""What a change of the vault's rules records.  Pure."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from eventstore.events import PolicyDeleted, PolicySet, VaultUpdated
from projections.rows import Policy, Settings
from vault import access, names
from vault.commands import DeletePolicy, SetPolicy, UpdateVault
from vault.refusals import PolicyNotFound, PrincipalInvalid, PurgeProtectionIsOneWay


def set_policy(known: Policy | None, command: SetPolicy) -> PolicySet:
    """The policy that stands after *command*."""
    names.check_principal(command.object_id)
    secrets = () if known is None else known.secrets
    storage = () if known is None else known.storage
    if not isinstance(command.secrets, UnsetType):
        secrets = access.expand(command.secrets, access.SECRET_PERMISSIONS)
    if not isinstance(command.storage, UnsetType):
        storage = access.expand(command.storage, access.STORAGE_PERMISSIONS)
    return PolicySet(object_id=command.object_id, secrets=secrets, storage=storage)


def delete_policy(known: Policy | None, command: DeletePolicy) -> PolicyDeleted:
    if known is None:
        raise PolicyNotFound(f"there is no access policy for {command.object_id[:256]!r}")
    return PolicyDeleted(object_id=command.object_id)


def update_vault(settings: Settings, command: UpdateVault) -> VaultUpdated:
    """The settings that stand after *command*.  Raise PurgeProtectionIsOneWay."""
    protection, administrators = settings.purge_protection, settings.administrators
    if command.purge_protection is not UNSET:
        if protection and not command.purge_protection:
            raise PurgeProtectionIsOneWay
        protection = bool(command.purge_protection)
    if not isinstance(command.administrators, UnsetType):
        if not command.administrators:
            raise PrincipalInvalid("a vault has at least one administrator")
        for principal in command.administrators:
            names.check_principal(principal)
        administrators = tuple(dict.fromkeys(command.administrators))
    return VaultUpdated(purge_protection=protection, administrators=administrators)
