"""What a request to the resource manager's shape of a vault says.  Pure.

Members that are not known are passed over, as Azure does; null is as absent.  Permissions for keys and
certificates are read and let go, since there are none here.  What has one way only is refused where
it goes the other: the retention, soft delete, purge protection.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from eventstore.rule_events import SubnetRule
from server.bodies import read
from server.refusals import BodyMalformed
from vault.policies import ENABLED_FOR
from vault.refusals import PurgeProtectionIsOneWay, RetentionIsFixed
from vault.rule_commands import (
    ChangePolicies,
    Grant,
    NetworkRules,
    NewVault,
    UpdateBoundary,
    UpdateVault,
)

_LOCATION: Final = re.compile(r"[0-9a-z][0-9a-z-]{0,63}", re.ASCII)


class _Body(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A part of a body."""


class _Permissions(_Body, frozen=True):
    secrets: tuple[str, ...] | None = None
    storage: tuple[str, ...] | None = None


class _Policy(_Body, frozen=True, kw_only=True):
    tenant_id: str
    object_id: str
    application_id: str | None = None
    permissions: _Permissions


class _Address(_Body, frozen=True):
    value: str


class _Subnet(_Body, frozen=True, kw_only=True):
    id: str
    ignore_missing: bool | None = msgspec.field(
        default=None, name="ignoreMissingVnetServiceEndpoint"
    )


class _Acls(_Body, frozen=True, kw_only=True):
    bypass: str | None = None
    default_action: str | None = None
    ip_rules: tuple[_Address, ...] | None = None
    virtual_network_rules: tuple[_Subnet, ...] | None = None
    allow_private_ranges: bool | None = None


class _Sku(_Body, frozen=True, kw_only=True):
    name: str
    family: str | None = None


class Properties(_Body, frozen=True, kw_only=True):
    """The properties of a vault, each of which may be absent."""

    tenant_id: str | None = None
    sku: _Sku | None = None
    access_policies: tuple[_Policy, ...] | None = None
    enabled_for_deployment: bool | None = None
    enabled_for_disk_encryption: bool | None = None
    enabled_for_template_deployment: bool | None = None
    enable_soft_delete: bool | None = None
    soft_delete_retention_in_days: int | None = None
    enable_rbac_authorization: bool | None = None
    enable_purge_protection: bool | None = None
    create_mode: str | None = None
    network_acls: _Acls | None = None
    public_network_access: str | None = None

    @property
    def flags(self) -> tuple[bool | None, ...]:
        """In the order of `ENABLED_FOR`."""
        return (
            self.enabled_for_deployment,
            self.enabled_for_disk_encryption,
            self.enabled_for_template_deployment,
        )


class PutBody(_Body, frozen=True, kw_only=True):
    """The body of a PUT."""

    location: str
    tags: dict[str, str] | None = None
    properties: Properties


class PatchBody(_Body, frozen=True, kw_only=True):
    """The body of a PATCH."""

    tags: dict[str, str] | None = None
    properties: Properties | None = None


class _PoliciesProperties(_Body, frozen=True, kw_only=True):
    access_policies: tuple[_Policy, ...]


class _PoliciesBody(_Body, frozen=True, kw_only=True):
    properties: _PoliciesProperties


class NameBody(_Body, frozen=True, kw_only=True):
    """The body of a look whether a name is free."""

    name: str
    type: str


_put = msgspec.json.Decoder(PutBody)
_patch = msgspec.json.Decoder(PatchBody)
_policies = msgspec.json.Decoder(_PoliciesBody)
_name = msgspec.json.Decoder(NameBody)


class Stands(NamedTuple):
    """What an update is held to: how long the vault keeps what is deleted, and its flags."""

    retention_days: int
    enabled_for: tuple[str, ...]


class Making(NamedTuple):
    """What a new vault is made with."""

    retention_days: int
    purge_protection: bool
    wanted: NewVault


def read_put(body: bytes) -> PutBody:
    """Raise BodyMalformed."""
    given = read(_put, body)
    if (given.properties.create_mode or "default").lower() not in ("default", "recover"):
        raise BodyMalformed("createMode is default or recover.")
    return given


def read_patch(body: bytes) -> PatchBody:
    """Raise BodyMalformed."""
    return read(_patch, body)


def read_name(body: bytes) -> NameBody:
    """Raise BodyMalformed."""
    asked = read(_name, body)
    if asked.type.lower() != "microsoft.keyvault/vaults":
        raise BodyMalformed("The type is Microsoft.KeyVault/vaults.")
    return asked


def read_policies(body: bytes, kind: str, tenant: str) -> ChangePolicies:
    """Raise BodyMalformed."""
    given = read(_policies, body).properties.access_policies
    return ChangePolicies(kind=kind.lower(), grants=_grants(given, tenant))


def is_recovery(body: PutBody) -> bool:
    """Whether it brings a deleted vault back."""
    return (body.properties.create_mode or "default").lower() == "recover"


def location_in(text: str) -> str:
    """A location as it is kept: "West Europe" is westeurope.  Raise BodyMalformed."""
    location = text.replace(" ", "").lower()
    if not _LOCATION.fullmatch(location):
        raise BodyMalformed("The location is not valid.")
    return location


def making(body: PutBody, group: str, tenant: str) -> Making:
    """A new vault.  Raise BodyMalformed."""
    given = body.properties
    _check_whole(given, tenant)
    acls = given.network_acls or _Acls()
    rules = NetworkRules(
        default_action=_cased(acls.default_action or "Allow", "Allow", "Deny"),
        bypass=_cased(acls.bypass or "AzureServices", "AzureServices", "None"),
        ip_rules=tuple(one.value for one in acls.ip_rules or ()),
        subnet_rules=_subnets(acls.virtual_network_rules or ()),
        public_network_access=_is_public(given.public_network_access or "Enabled"),
        allow_private_ranges=bool(acls.allow_private_ranges),
    )
    wanted = NewVault(
        resource_group=group,
        location=location_in(body.location),
        sku=_sku(given),
        vault_tags=body.tags or {},
        enabled_for=_flags(given, ()),
        policies=_grants(given.access_policies or (), tenant),
        is_for_maker=False,
        boundary=rules,
    )
    days = given.soft_delete_retention_in_days
    return Making(90 if days is None else days, bool(given.enable_purge_protection), wanted)


def replacing(body: PutBody, stands: Stands, tenant: str) -> UpdateVault:
    """A whole vault in place of what stands; only its boundary stays where it is not given.

    Raise BodyMalformed or RetentionIsFixed.
    """
    _check_whole(body.properties, tenant)
    return _update(body.properties, body.tags or {}, stands._replace(enabled_for=()), tenant)


def changing(body: PatchBody, stands: Stands, tenant: str) -> UpdateVault:
    """What is given, in place of what stands.  Raise BodyMalformed or RetentionIsFixed."""
    given = body.properties or Properties()
    _check(given, tenant)
    return _update(given, UNSET if body.tags is None else body.tags, stands, tenant)


def _update(
    given: Properties, tags: dict[str, str] | UnsetType, stands: Stands, tenant: str
) -> UpdateVault:
    days = given.soft_delete_retention_in_days
    if days is not None and days != stands.retention_days:
        raise RetentionIsFixed
    protection = given.enable_purge_protection
    policies = given.access_policies
    return UpdateVault(
        purge_protection=UNSET if protection is None else protection,
        sku=UNSET if given.sku is None else _sku(given),
        vault_tags=tags,
        enabled_for=_flags(given, stands.enabled_for),
        policies=UNSET if policies is None else _grants(policies, tenant),
        boundary=_boundary(given),
    )


def _boundary(given: Properties) -> UpdateBoundary | UnsetType:
    acls, public = given.network_acls, given.public_network_access
    if acls is None and public is None:
        return UNSET
    access = UNSET if public is None else _is_public(public)
    if acls is None:
        return UpdateBoundary(public_network_access=access)
    # Rules are given as a whole, so one that is absent is gone.  What else is absent stays: its default
    # would open the vault to everybody, by a body that says nothing of it.
    action, bypass, private = acls.default_action, acls.bypass, acls.allow_private_ranges
    return UpdateBoundary(
        default_action=UNSET if action is None else _cased(action, "Allow", "Deny"),
        bypass=UNSET if bypass is None else _cased(bypass, "AzureServices", "None"),
        ip_rules=tuple(one.value for one in acls.ip_rules or ()),
        subnet_rules=_subnets(acls.virtual_network_rules or ()),
        public_network_access=access,
        allow_private_ranges=UNSET if private is None else private,
    )


# --- parts ----------------------------------------------------------------------------------------


def _check_whole(given: Properties, tenant: str) -> None:
    if given.tenant_id is None or given.sku is None:
        raise BodyMalformed("The properties tenantId and sku are required.")
    if given.access_policies is None:
        raise BodyMalformed("The parameter accessPolicies is not specified.")
    _check(given, tenant)


def _check(given: Properties, tenant: str) -> None:
    _check_tenant(given.tenant_id, tenant)
    if given.enable_rbac_authorization:
        raise BodyMalformed(
            "There are no roles here: enableRbacAuthorization is false, and access policies say who "
            "may do what."
        )
    if given.enable_purge_protection is False:
        raise PurgeProtectionIsOneWay
    if given.enable_soft_delete is False:
        raise BodyMalformed(
            'The property "enableSoftDelete" cannot be set to false: what is deleted can be recovered.'
        )


def _check_tenant(given: str | None, tenant: str) -> None:
    if given is not None and given.lower() != tenant.lower():
        raise BodyMalformed("The tenantId is not the one of this service.")


def _grants(given: tuple[_Policy, ...], tenant: str) -> tuple[Grant, ...]:
    for one in given:
        _check_tenant(one.tenant_id, tenant)
    return tuple(
        Grant(
            object_id=one.object_id,
            secrets=one.permissions.secrets or (),
            storage=one.permissions.storage or (),
            application_id=one.application_id or "",
        )
        for one in given
    )


def _subnets(given: tuple[_Subnet, ...]) -> tuple[SubnetRule, ...]:
    return tuple(SubnetRule(id=one.id, ignore_missing=bool(one.ignore_missing)) for one in given)


def _flags(given: Properties, stand: tuple[str, ...]) -> tuple[str, ...]:
    asked = zip(ENABLED_FOR, given.flags, strict=True)
    return tuple(name for name, flag in asked if (name in stand if flag is None else flag))


def _sku(given: Properties) -> str:
    return "standard" if given.sku is None else given.sku.name.lower()


def _is_public(text: str) -> bool:
    return _cased(text, "Enabled", "Disabled") == "Enabled"


def _cased(text: str, *known: str) -> str:
    """*text* as one of *known*, whatever its case.  Raise BodyMalformed."""
    for one in known:
        if one.lower() == text.lower():
            return one
    raise BodyMalformed(f"The value is one of: {', '.join(known)}.")
