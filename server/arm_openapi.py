"""The OpenAPI 3.1 description of the control plane, made from its table of routes.  Pure.

`$skiptoken` is not described: a client follows a `nextLink` as it is.
"""

from __future__ import annotations

from typing import Any

from server.arm import ROUTES, VERSIONS, Route
from server.http import JSON

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_GUID: Schema = {"type": "string", "format": "uuid"}
_STATUSES = {
    "400": "What was asked for cannot be read, or is beyond a limit",
    "401": "No valid token for the resource manager",
    "403": "Not an administrator of the vault, or of the store",
    "404": "Not found",
    "405": "Not allowed: purge protection is on",
    "409": "In conflict with what is so",
    "413": "The body is too large",
    "429": "Too many requests",
    "500": "The outcome is not known, or something failed",
    "503": "It could not be recorded, so it was not done",
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
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Muniment: vaults as resources of Azure's resource manager",
            "version": VERSIONS[-1],
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
            "schemas": _schemas(),
        },
    }


def _operation(route: Route) -> Schema:
    described: Schema = {
        "operationId": route.operation,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {**_answers(route), **_errors()},
    }
    if route.action:
        described["description"] = f"The right to it is called {route.action}."
    if route.takes:
        described["requestBody"] = {"required": True, "content": _json(route.takes)}
    return described


def _path_parameters(route: Route) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": of}}
        for name, of in _PATTERNS.items()
        if f"{{{name}}}" in route.path
    ]


def _query_parameters(route: Route) -> list[Schema]:
    version: Schema = {"type": "string", "enum": list(VERSIONS)}
    found = [{"name": "api-version", "in": "query", "required": True, "schema": version}]
    if route.gives in ("VaultList", "DeletedVaultList", "ResourceList"):
        size = {"type": "integer", "minimum": 1, "maximum": 99_999}
        found.append({"name": "$top", "in": "query", "required": False, "schema": size})
    return found


def _answers(route: Route) -> Schema:
    done: Schema = {"description": "Done"}
    match route.operation:
        case "VaultPut":
            made = {"description": "Made", "content": _json(route.gives)}
            return {"200": {**done, "content": _json(route.gives)}, "201": made}
        case "VaultDelete":
            return {"200": done, "204": {"description": "There was none"}}
        case "GroupHead":
            return {"204": done}
        case _ if not route.gives:
            return {"200": done}
        case _:
            return {"200": {**done, "content": _json(route.gives)}}


def _errors() -> Schema:
    return {
        status: {"description": text, "content": _json("Error")}
        for status, text in _STATUSES.items()
    }


def _json(schema: str) -> Schema:
    return {JSON.partition(";")[0]: {"schema": _ref(schema)}}


def _ref(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


# --- what is taken and given ----------------------------------------------------------------------


def _schemas() -> Schema:
    tags = {"type": "object", "additionalProperties": _TEXT}
    policies = _object({"accessPolicies": _array(_ref("Policy"))}, "accessPolicies")
    named = {"id": _TEXT, "name": _TEXT, "type": _TEXT}
    located = {**named, "location": _TEXT, "tags": tags}
    vault = {**located, "properties": _properties(*_MATERIALISED)}
    shown = ("id", "name", "type", "location", "tags", "properties")
    return {
        "PutVault": _object(
            {"location": _TEXT, "tags": tags, "properties": _properties("tenantId", "sku")},
            "location",
            "properties",
        ),
        "PatchVault": _object({"tags": tags, "properties": _properties()}),
        "Policies": _object({**named, "location": _TEXT, "properties": policies}, "properties"),
        "CheckName": _object(
            {"name": _TEXT, "type": {"const": "Microsoft.KeyVault/vaults"}}, "name", "type"
        ),
        "Policy": _policy(),
        "Vault": _object(vault, *shown),
        "VaultList": _list(_ref("Vault")),
        "ResourceList": _list(_object(located, *shown[:5])),
        "DeletedVault": _deleted(tags),
        "DeletedVaultList": _list(_ref("DeletedVault")),
        "NameAvailability": _object(
            {"nameAvailable": _FLAG, "reason": _TEXT, "message": _TEXT}, "nameAvailable"
        ),
        "Group": _object(
            {**named, "location": _TEXT, "properties": {"type": "object"}}, *shown[:4]
        ),
        "GroupList": _list(_ref("Group")),
        "Subscription": _object({"id": _TEXT, "subscriptionId": _GUID, "tenantId": _GUID}, "id"),
        "SubscriptionList": _list(_ref("Subscription")),
        "TenantList": _list(_object({"id": _TEXT, "tenantId": _GUID}, "id", "tenantId")),
        "OperationList": _list(_object({"name": _TEXT, "display": {"type": "object"}}, "name")),
        "EmptyList": _object({"value": {"type": "array", "maxItems": 0}}, "value"),
        "Error": _object(
            {"error": _object({"code": _TEXT, "message": _TEXT}, "code", "message")}, "error"
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
    sku = _object({"family": _TEXT, "name": {"enum": ["standard", "premium"]}}, "name")
    return _object(
        {
            "sku": sku,
            "tenantId": _GUID,
            "accessPolicies": _array(_ref("Policy")),
            **dict.fromkeys(flags, _FLAG),
            "softDeleteRetentionInDays": {"type": "integer", "minimum": 7, "maximum": 90},
            "networkAcls": _network_acls(),
            "createMode": {"enum": ["default", "recover"]},
            "vaultUri": _TEXT,
            "provisioningState": _TEXT,
            "publicNetworkAccess": {"enum": ["Enabled", "Disabled"]},
        },
        *required,
    )


def _network_acls() -> Schema:
    subnet = {"id": _TEXT, "ignoreMissingVnetServiceEndpoint": _FLAG}
    return _object(
        {
            "bypass": {"enum": ["AzureServices", "None"]},
            "defaultAction": {"enum": ["Allow", "Deny"]},
            "ipRules": _array(_object({"value": _TEXT}, "value")),
            "virtualNetworkRules": _array(_object(subnet, "id")),
            "allowPrivateRanges": _FLAG,
        }
    )


def _policy() -> Schema:
    kinds = ("keys", "secrets", "certificates", "storage")
    permissions = _object({kind: _array(_TEXT) for kind in kinds})
    parts = {"tenantId": _GUID, "objectId": _TEXT, "applicationId": _TEXT}
    return _object({**parts, "permissions": permissions}, "tenantId", "objectId", "permissions")


def _deleted(tags: Schema) -> Schema:
    date = {"type": "string", "format": "date-time"}
    properties = {
        "vaultId": _TEXT,
        "location": _TEXT,
        "tags": tags,
        "deletionDate": date,
        "scheduledPurgeDate": date,
        "purgeProtectionEnabled": _FLAG,
    }
    shown = {"id": _TEXT, "name": _TEXT, "type": _TEXT}
    return _object({**shown, "properties": _object(properties, *properties)}, *shown, "properties")


def _list(item: Schema) -> Schema:
    return _object({"value": _array(item), "nextLink": _TEXT}, "value")


def _array(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}
