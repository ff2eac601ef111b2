"""A vault as Azure's resource manager writes one.  Pure.

Every default is written out: a tool that compares what it wants with what it finds (Terraform) would
else find a difference each time.  `enablePurgeProtection` is the exception, as in Azure: it is true
or absent.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from vault import resource_ids
from vault.answers import Boundary, Policy, Resource
from vault.resource_ids import LOCATION

Shape = dict[str, Any]

VAULTS: Final = "Microsoft.KeyVault/vaults"


class Place(NamedTuple):
    """Whose resources they are: the subscription, the tenant, and the service's domain with port."""

    subscription: str
    tenant: str
    host: str

    @property
    def scope(self) -> str:
        return f"/subscriptions/{self.subscription}"


def location_of(resource: Resource) -> str:
    return resource.location or LOCATION


def vault_id(place: Place, resource: Resource) -> str:
    return resource_ids.vault_id(place.subscription, resource.resource_group, resource.name)


def generic(place: Place, resource: Resource) -> Shape:
    """What every resource shows of itself."""
    return {
        "id": vault_id(place, resource),
        "name": resource.name,
        "type": VAULTS,
        "location": location_of(resource),
        "tags": resource.vault_tags,
    }


def vault(place: Place, resource: Resource) -> Shape:
    return {**generic(place, resource), "properties": _properties(place, resource)}


def _properties(place: Place, resource: Resource) -> Shape:
    protected = {"enablePurgeProtection": True} if resource.purge_protection else {}
    return {
        "sku": {"family": "A", "name": resource.sku},
        "tenantId": place.tenant,
        "accessPolicies": [policy(place, one) for one in resource.policies],
        "enabledForDeployment": "deployment" in resource.enabled_for,
        "enabledForDiskEncryption": "disk-encryption" in resource.enabled_for,
        "enabledForTemplateDeployment": "template-deployment" in resource.enabled_for,
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": resource.retention_days,
        "enableRbacAuthorization": False,
        **protected,
        "networkAcls": _network_acls(resource.boundary),
        "vaultUri": f"https://{resource.name.lower()}.{place.host}/",
        "provisioningState": "Succeeded",
        "publicNetworkAccess": (
            "Enabled" if resource.boundary.public_network_access else "Disabled"
        ),
    }


def policy(place: Place, one: Policy) -> Shape:
    through = {"applicationId": one.application_id} if one.application_id else {}
    return {
        "tenantId": place.tenant,
        "objectId": one.object_id,
        **through,
        "permissions": {
            "keys": [],
            "secrets": list(one.secrets),
            "certificates": [],
            "storage": list(one.storage),
        },
    }


def _network_acls(boundary: Boundary) -> Shape:
    private = {"allowPrivateRanges": True} if boundary.allow_private_ranges else {}
    return {
        "bypass": boundary.bypass,
        "defaultAction": boundary.default_action,
        "ipRules": [{"value": value} for value in boundary.ip_rules],
        "virtualNetworkRules": [
            {"id": one.id, "ignoreMissingVnetServiceEndpoint": one.ignore_missing}
            for one in boundary.subnet_rules
        ],
        **private,
    }


def policies(place: Place, resource: Resource) -> Shape:
    """What a change of access policies answers: all that stand now."""
    return {
        "id": f"{vault_id(place, resource)}/accessPolicies/",
        "type": f"{VAULTS}/accessPolicies",
        "location": location_of(resource),
        "properties": {"accessPolicies": [policy(place, one) for one in resource.policies]},
    }


def deleted(place: Place, resource: Resource) -> Shape:
    location = location_of(resource)
    provider = f"{place.scope}/providers/Microsoft.KeyVault"
    return {
        "id": f"{provider}/locations/{location}/deletedVaults/{resource.name}",
        "name": resource.name,
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": {
            "vaultId": vault_id(place, resource),
            "location": location,
            "tags": resource.vault_tags,
            "deletionDate": _date(resource.deleted_date),
            "scheduledPurgeDate": _date(resource.scheduled_purge),
            "purgeProtectionEnabled": resource.purge_protection,
        },
    }


def group(place: Place, name: str) -> Shape:
    """A resource group: a name that vaults may have, and so one that is always there."""
    return {
        "id": f"{place.scope}/resourceGroups/{name}",
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": LOCATION,
        "properties": {"provisioningState": "Succeeded"},
    }


def subscription(place: Place) -> Shape:
    return {
        "id": place.scope,
        "subscriptionId": place.subscription,
        "tenantId": place.tenant,
        "displayName": "Muniment",
        "state": "Enabled",
    }


def tenant(place: Place) -> Shape:
    return {
        "id": f"/tenants/{place.tenant}",
        "tenantId": place.tenant,
        "tenantType": "AAD",
        "displayName": "Muniment",
    }


def operation(action: str, summary: str) -> Shape:
    """One right, as a resource provider lists them."""
    shown = {"provider": "Microsoft Key Vault", "resource": "Key Vault", "operation": summary}
    return {"name": action, "isDataAction": False, "display": {**shown, "description": summary}}


def _date(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
