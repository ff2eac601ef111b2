"""The OpenAPI 3.1 description of the control plane, made from its table of routes.  Pure.

`$skiptoken` is not described: a client follows a `nextLink` as it is.
"""

from __future__ import annotations

from server.arm import ROUTES, VERSIONS, Route
from server.schemas import (
    TEXT,
    Schema,
    array_of,
    content_of,
    document,
    failures,
    object_of,
    path_parameters,
    reference,
    version_parameter,
)

_FLAG: Schema = {"type": "boolean"}
_GUID: Schema = {"type": "string", "format": "uuid"}
_FAILURES = {
    "401": "No valid token for the resource manager",
    "403": "Not an administrator of the vault, or of the store",
    "405": "Not allowed: purge protection is on",
}
_PATTERNS = {
    "subscription": "^[0-9a-f-]{36}$",
    "group": "^[0-9A-Za-z_().-]{1,90}$",
    "vault": "^[a-zA-Z](-?[0-9a-zA-Z]){2,11}$",
    "location": "^[0-9a-z]{1,20}$",
    "kind": "^(add|replace|remove)$",
}


def arm_openapi() -> Schema:
    """The description, to be served as JSON."""
    paths: dict[str, Schema] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    title = "Muniment: vaults as resources of Azure's resource manager"
    return document(title, VERSIONS[-1], paths, _schemas())


def _operation(route: Route) -> Schema:
    described: Schema = {
        "operationId": route.operation,
        "summary": route.summary,
        "parameters": [*path_parameters(route.path, _PATTERNS), *_query_parameters(route)],
        "responses": {**_answers(route), **failures(_FAILURES)},
    }
    if route.action:
        described["description"] = f"The right to it is called {route.action}."
    if route.takes:
        described["requestBody"] = {"required": True, "content": content_of(route.takes)}
    return described


def _query_parameters(route: Route) -> list[Schema]:
    found = [version_parameter(list(VERSIONS))]
    if route.gives in ("VaultList", "DeletedVaultList", "ResourceList"):
        size = {"type": "integer", "minimum": 1, "maximum": 99_999}
        found.append({"name": "$top", "in": "query", "required": False, "schema": size})
    return found


def _answers(route: Route) -> Schema:
    done: Schema = {"description": "Done"}
    match route.operation:
        case "VaultPut":
            made = {"description": "Made", "content": content_of(route.gives)}
            return {"200": {**done, "content": content_of(route.gives)}, "201": made}
        case "VaultDelete":
            return {"200": done, "204": {"description": "There was none"}}
        case "GroupHead":
            return {"204": done}
        case _ if not route.gives:
            return {"200": done}
        case _:
            return {"200": {**done, "content": content_of(route.gives)}}


# --- what is taken and given ----------------------------------------------------------------------


def _schemas() -> Schema:
    tags = {"type": "object", "additionalProperties": TEXT}
    policies = object_of({"accessPolicies": array_of(reference("Policy"))}, "accessPolicies")
    named = {"id": TEXT, "name": TEXT, "type": TEXT}
    located = {**named, "location": TEXT, "tags": tags}
    vault = {**located, "properties": _properties(*_MATERIALISED)}
    shown = ("id", "name", "type", "location", "tags", "properties")
    return {
        "PutVault": object_of(
            {"location": TEXT, "tags": tags, "properties": _properties("tenantId", "sku")},
            "location",
            "properties",
        ),
        "PatchVault": object_of({"tags": tags, "properties": _properties()}),
        "Policies": object_of({**named, "location": TEXT, "properties": policies}, "properties"),
        "CheckName": object_of(
            {"name": TEXT, "type": {"const": "Microsoft.KeyVault/vaults"}}, "name", "type"
        ),
        "Policy": _policy(),
        "Vault": object_of(vault, *shown),
        "VaultList": _list(reference("Vault")),
        "ResourceList": _list(object_of(located, *shown[:5])),
        "DeletedVault": _deleted(tags),
        "DeletedVaultList": _list(reference("DeletedVault")),
        "NameAvailability": object_of(
            {"nameAvailable": _FLAG, "reason": TEXT, "message": TEXT}, "nameAvailable"
        ),
        "Group": object_of(
            {**named, "location": TEXT, "properties": {"type": "object"}}, *shown[:4]
        ),
        "GroupList": _list(reference("Group")),
        "Subscription": object_of({"id": TEXT, "subscriptionId": _GUID, "tenantId": _GUID}, "id"),
        "SubscriptionList": _list(reference("Subscription")),
        "TenantList": _list(object_of({"id": TEXT, "tenantId": _GUID}, "id", "tenantId")),
        "OperationList": _list(object_of({"name": TEXT, "display": {"type": "object"}}, "name")),
        "EmptyList": object_of({"value": {"type": "array", "maxItems": 0}}, "value"),
        "Error": object_of(
            {"error": object_of({"code": TEXT, "message": TEXT}, "code", "message")}, "error"
        ),
    }


_MATERIALISED = (
    "sku",
    "tenantId",
    "accessPolicies",
    "enabledForDeployment",
    "enabledForDiskEncryption",
    "enabledForTemplateDeployment",
    "enableSoftDelete",
    "softDeleteRetentionInDays",
    "enableRbacAuthorization",
    "networkAcls",
    "vaultUri",
    "provisioningState",
    "publicNetworkAccess",
)
"""What every answer says of a vault, whatever was said when it was made."""


def _properties(*required: str) -> Schema:
    flags = (
        "enabledForDeployment",
        "enabledForDiskEncryption",
        "enabledForTemplateDeployment",
        "enableSoftDelete",
        "enableRbacAuthorization",
        "enablePurgeProtection",
    )
    sku = object_of({"family": TEXT, "name": {"enum": ["standard", "premium"]}}, "name")
    return object_of(
        {
            "sku": sku,
            "tenantId": _GUID,
            "accessPolicies": array_of(reference("Policy")),
            **dict.fromkeys(flags, _FLAG),
            "softDeleteRetentionInDays": {"type": "integer", "minimum": 7, "maximum": 90},
            "networkAcls": _network_acls(),
            "createMode": {"enum": ["default", "recover"]},
            "vaultUri": TEXT,
            "provisioningState": TEXT,
            "publicNetworkAccess": {"enum": ["Enabled", "Disabled"]},
        },
        *required,
    )


def _network_acls() -> Schema:
    subnet = {"id": TEXT, "ignoreMissingVnetServiceEndpoint": _FLAG}
    return object_of(
        {
            "bypass": {"enum": ["AzureServices", "None"]},
            "defaultAction": {"enum": ["Allow", "Deny"]},
            "ipRules": array_of(object_of({"value": TEXT}, "value")),
            "virtualNetworkRules": array_of(object_of(subnet, "id")),
            "allowPrivateRanges": _FLAG,
        }
    )


def _policy() -> Schema:
    kinds = ("keys", "secrets", "certificates", "storage")
    permissions = object_of({kind: array_of(TEXT) for kind in kinds})
    parts = {"tenantId": _GUID, "objectId": TEXT, "applicationId": TEXT}
    return object_of({**parts, "permissions": permissions}, "tenantId", "objectId", "permissions")


def _deleted(tags: Schema) -> Schema:
    date = {"type": "string", "format": "date-time"}
    properties = {
        "vaultId": TEXT,
        "location": TEXT,
        "tags": tags,
        "deletionDate": date,
        "scheduledPurgeDate": date,
        "purgeProtectionEnabled": _FLAG,
    }
    shown = {"id": TEXT, "name": TEXT, "type": TEXT}
    return object_of(
        {**shown, "properties": object_of(properties, *properties)}, *shown, "properties"
    )


def _list(item: Schema) -> Schema:
    return object_of({"value": array_of(item), "nextLink": TEXT}, "value")
