"""What a change of the vault's settings and policies records.  Pure.

Source: vaults and accessPolicies of the Key Vault resource provider.  There `replace` touches only
the principals that it names, whatever a what-if says of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from msgspec import UNSET, UnsetType

from eventstore.event import Event
from eventstore.rule_events import PolicyDeleted, PolicySet, VaultUpdated
from projections.rows import Policy, Rows, Settings, holder, policy_key
from vault import access, names
from vault.refusals import (
    PoliciesTooMany,
    PolicyNotFound,
    PolicyTwice,
    PrincipalInvalid,
    PurgeProtectionIsOneWay,
    VaultSettingInvalid,
    VaultTagsInvalid,
)
from vault.rule_commands import ChangePolicies, DeletePolicy, Grant, SetPolicy, UpdateVault

V = TypeVar("V")

MAX_POLICIES: Final = 1024
MAX_TAGS: Final = 50
MAX_TAG_NAME: Final = 512
MAX_TAG_VALUE: Final = 256
SKUS: Final = ("standard", "premium")
ENABLED_FOR: Final = ("deployment", "disk-encryption", "template-deployment")
KINDS: Final = ("add", "replace", "remove")


# --- policies -------------------------------------------------------------------------------------


def known_policy(rows: Rows, object_id: str, application_id: str) -> Policy | None:
    """The policy that stands.  Raise PrincipalInvalid."""
    names.check_principal(object_id)
    if application_id:
        names.check_principal(application_id)
    return rows.get(policy_key(holder(object_id, application_id.lower())), Policy)


def set_policy(rows: Rows, command: SetPolicy) -> PolicySet:
    """The policy that stands after *command*."""
    known = known_policy(rows, command.object_id, command.application_id)
    secrets = () if known is None else known.secrets
    storage = () if known is None else known.storage
    if not isinstance(command.secrets, UnsetType):
        secrets = access.expand(command.secrets, access.SECRET_PERMISSIONS)
    if not isinstance(command.storage, UnsetType):
        storage = access.expand(command.storage, access.STORAGE_PERMISSIONS)
    if known is None:
        _check_number(sum(1 for _ in rows.policies()) + 1)
    return PolicySet(
        object_id=command.object_id,
        secrets=secrets,
        storage=storage,
        application_id=command.application_id.lower(),
    )


def delete_policy(rows: Rows, command: DeletePolicy) -> PolicyDeleted:
    known = known_policy(rows, command.object_id, command.application_id)
    if known is None:
        raise _not_found(command.object_id, command.application_id)
    return PolicyDeleted(object_id=known.object_id, application_id=known.application_id)


def change_policies(rows: Rows, command: ChangePolicies) -> list[Event]:
    """An event for each grant.  Raise PolicyNotFound for one to remove that does not stand."""
    if command.kind not in KINDS or not command.grants:
        raise VaultSettingInvalid(f"say {', '.join(KINDS)}, and at least one access policy")
    wanted = _by_holder(command.grants)
    events = [_changed(rows, command.kind, grant) for grant in wanted.values()]
    new = sum(1 for who in wanted if rows.get(policy_key(who), Policy) is None)
    if new:
        _check_number(sum(1 for _ in rows.policies()) + new)
    return events


def _changed(rows: Rows, kind: str, grant: PolicySet) -> Event:
    known = known_policy(rows, grant.object_id, grant.application_id)
    if kind == "replace" or (kind == "add" and known is None):
        return grant
    if known is None:
        raise _not_found(grant.object_id, grant.application_id)
    if kind == "add":
        secrets = access.expand(known.secrets + grant.secrets, access.SECRET_PERMISSIONS)
        storage = access.expand(known.storage + grant.storage, access.STORAGE_PERMISSIONS)
    else:
        secrets = tuple(one for one in known.secrets if one not in grant.secrets)
        storage = tuple(one for one in known.storage if one not in grant.storage)
        if not secrets and not storage:
            return PolicyDeleted(object_id=known.object_id, application_id=known.application_id)
    return PolicySet(
        object_id=known.object_id,
        secrets=secrets,
        storage=storage,
        application_id=known.application_id,
    )


def replace_policies(rows: Rows, grants: tuple[Grant, ...]) -> list[Event]:
    """What makes *grants* all the policies that there are; nothing for what stays."""
    wanted = _by_holder(grants)
    _check_number(len(wanted))
    stands = {policy.holder: policy for policy in rows.policies()}
    gone = [policy for who, policy in sorted(stands.items()) if who not in wanted]
    events: list[Event] = [
        PolicyDeleted(object_id=policy.object_id, application_id=policy.application_id)
        for policy in gone
    ]
    return events + [grant for who, grant in wanted.items() if not _stands(stands.get(who), grant)]


def founding(grants: tuple[Grant, ...], maker: str, *, is_for_maker: bool) -> list[PolicySet]:
    """The policies that a new vault has; that of its maker gives everything."""
    wanted = _by_holder(grants)
    if is_for_maker:
        everything = PolicySet(
            object_id=maker,
            secrets=access.SECRET_PERMISSIONS,
            storage=access.STORAGE_PERMISSIONS,
        )
        wanted = {maker: everything} | {who: one for who, one in wanted.items() if who != maker}
    _check_number(len(wanted))
    return list(wanted.values())


def _by_holder(grants: Iterable[Grant]) -> dict[str, PolicySet]:
    found: dict[str, PolicySet] = {}
    for grant in grants:
        names.check_principal(grant.object_id)
        if grant.application_id:
            names.check_principal(grant.application_id)
        application_id = grant.application_id.lower()
        who = holder(grant.object_id, application_id)
        if who in found:
            raise PolicyTwice(f"two access policies are for {grant.object_id[:256]!r}")
        found[who] = PolicySet(
            object_id=grant.object_id,
            secrets=access.expand(grant.secrets, access.SECRET_PERMISSIONS),
            storage=access.expand(grant.storage, access.STORAGE_PERMISSIONS),
            application_id=application_id,
        )
    return found


def _stands(known: Policy | None, grant: PolicySet) -> bool:
    return known is not None and (known.secrets, known.storage) == (grant.secrets, grant.storage)


def _check_number(count: int) -> None:
    if count > MAX_POLICIES:
        raise PoliciesTooMany(f"{count:,} access policies; a vault has at most {MAX_POLICIES:,}")


def _not_found(object_id: str, application_id: str) -> PolicyNotFound:
    through = f" through {application_id[:256]!r}" if application_id else ""
    return PolicyNotFound(f"there is no access policy for {object_id[:256]!r}{through}")


# --- settings -------------------------------------------------------------------------------------


def update_vault(settings: Settings, command: UpdateVault) -> VaultUpdated:
    """The settings that stand after *command*.  Raise PurgeProtectionIsOneWay, or what is wrong."""
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
    return VaultUpdated(
        purge_protection=protection,
        administrators=administrators,
        sku=check_sku(_asked(command.sku, settings.sku)),
        vault_tags=check_vault_tags(_asked(command.vault_tags, settings.vault_tags)),
        enabled_for=check_enabled_for(_asked(command.enabled_for, settings.enabled_for)),
    )


def _asked(given: V | UnsetType, stands: V) -> V:
    return stands if isinstance(given, UnsetType) else given


def is_as(settings: Settings, event: VaultUpdated) -> bool:
    """Whether *event* leaves *settings* as they are."""
    return all(getattr(settings, name) == getattr(event, name) for name in event.__struct_fields__)


def check_sku(sku: str) -> str:
    """*sku* as it is stored.  It changes nothing here: there are no hardware keys."""
    if sku.lower() not in SKUS:
        raise VaultSettingInvalid(f"the sku is {' or '.join(SKUS)}, not {sku[:40]!r}")
    return sku.lower()


def check_enabled_for(enabled_for: Iterable[str]) -> tuple[str, ...]:
    asked = {one.lower() for one in enabled_for}
    if unknown := asked - set(ENABLED_FOR):
        raise VaultSettingInvalid(f"a vault is enabled for {', '.join(ENABLED_FOR)}: {unknown}")
    return tuple(one for one in ENABLED_FOR if one in asked)


def check_vault_tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > MAX_TAGS:
        raise VaultTagsInvalid(f"{len(tags)} tags were given; the limit is {MAX_TAGS}")
    for name, value in tags.items():
        if not 1 <= len(name) <= MAX_TAG_NAME or not names.is_text(name):
            raise VaultTagsInvalid(f"the name of a tag has 1 to {MAX_TAG_NAME} characters")
        if len(value) > MAX_TAG_VALUE or not names.is_text(value):
            raise VaultTagsInvalid(f"the value of a tag has at most {MAX_TAG_VALUE} characters")
    return tags
