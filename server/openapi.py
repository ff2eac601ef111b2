"""The OpenAPI 3.1 description of the data plane, made from the table of routes.  Pure.

`$skiptoken` is not described: a client follows a `nextLink` as it is.
"""

from __future__ import annotations

from server.http import JSON
from server.query import LARGEST_PAGE
from server.route import Route
from server.routes import ROUTES
from server.schemas import DATE, TAGS, TEXT, Schema, list_of, object_of, or_null
from server.storage_schemas import storage_schemas
from server.versions import NEWEST, STORAGE_VERSIONS, VERSIONS
from vault.access import permission_of
from vault.names import MAX_CONTENT_TYPE, MAX_VALUE_BYTES

_CONTENT_TYPE: Schema = {"type": "string", "maxLength": MAX_CONTENT_TYPE}
_STATUSES = {
    "400": "What was asked for cannot be read, or is beyond a limit",
    "401": "No valid token; the challenge says where to get one",
    "403": "Not allowed, by policy, by the secret's state or by purge protection",
    "404": "Not found",
    "409": "In conflict with what is so",
    "413": "The body is too large",
    "429": "Too many requests",
    "500": "The outcome is not known, or something failed",
    "503": "It could not be recorded, so it was not done",
}


def openapi() -> Schema:
    """The description, to be served as JSON."""
    paths: dict[str, Schema] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Muniment: Azure Key Vault's data plane for secrets and storage accounts",
            "version": NEWEST,
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
    permission = permission_of(route.kind).replace(" ", "/")
    suffix = "Version" if route.path.endswith("{version}") else ""
    described: Schema = {
        "operationId": route.operation + suffix,
        "summary": route.summary,
        "description": f"Needs the permission {permission}.",
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {**_answer(route), **_errors()},
    }
    if route.takes:
        described["requestBody"] = {"required": True, "content": _json(route.takes)}
    return described


def _path_parameters(route: Route) -> list[Schema]:
    letters = "0-9a-zA-Z" if route.storage else "0-9a-zA-Z-"
    patterns = {
        "name": f"^[{letters}]{{1,127}}$",
        "version": "^[0-9a-fA-F]{32}$",
        "sas": "^[0-9a-zA-Z]{1,127}$",
    }
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": of}}
        for name, of in patterns.items()
        if f"{{{name}}}" in route.path
    ]


def _query_parameters(route: Route) -> list[Schema]:
    known = STORAGE_VERSIONS if route.storage else list(VERSIONS)
    version = {"type": "string", "enum": known}
    found: list[Schema] = [
        {"name": "api-version", "in": "query", "required": True, "schema": version}
    ]
    if route.gives.endswith("List"):
        size = {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": LARGEST_PAGE}
        found.append({"name": "maxresults", "in": "query", "schema": size})
    return found


def _answer(route: Route) -> Schema:
    if not route.gives:
        return {"204": {"description": "Done"}}
    return {"200": {"description": "Done", "content": _json(route.gives)}}


def _errors() -> Schema:
    return {
        status: {"description": text, "content": _json("Error")}
        for status, text in _STATUSES.items()
    }


def _json(schema: str) -> Schema:
    return {JSON.partition(";")[0]: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _schemas() -> Schema:
    given = {"enabled": or_null({"type": "boolean"}), "nbf": or_null(DATE)}
    given["exp"] = or_null(DATE)
    beside = {
        "contentType": or_null(_CONTENT_TYPE),
        "tags": or_null(TAGS),
        "attributes": or_null({"type": "object", "properties": given}),
    }
    value = {"type": "string", "maxLength": MAX_VALUE_BYTES}
    deletion = {"recoveryId": TEXT, "deletedDate": DATE, "scheduledPurgeDate": DATE}
    return {
        "SetSecret": object_of({"value": value, **beside}, "value"),
        "UpdateSecret": object_of(beside),
        "Blob": object_of({"value": {"type": "string", "pattern": "^[A-Za-z0-9_+/=-]*$"}}, "value"),
        "SecretBundle": _secret({}),
        "DeletedSecretBundle": _secret(deletion),
        "SecretList": list_of("SecretBundle"),
        "DeletedSecretList": list_of("DeletedSecretBundle"),
        **storage_schemas(beside["tags"]),
        "Error": object_of({"error": _error()}, "error"),
    }


def _secret(deletion: Schema) -> Schema:
    attributes = {
        "enabled": {"type": "boolean"},
        **dict.fromkeys(("nbf", "exp", "created", "updated"), DATE),
        "recoveryLevel": TEXT,
        "recoverableDays": {"type": "integer"},
    }
    shown = {
        **deletion,
        "value": TEXT,
        "contentType": TEXT,
        "id": {"type": "string", "format": "uri"},
        # A token of a SAS definition: it has no version, and no dates of its own.
        "managed": {"type": "boolean"},
        "attributes": object_of(attributes, "enabled", "recoveryLevel"),
        "tags": TAGS,
    }
    return object_of(shown, *deletion, "id", "attributes")


def _error() -> Schema:
    inner = object_of({"code": TEXT}, "code")
    return object_of({"code": TEXT, "message": TEXT, "innererror": inner}, "code", "message")
