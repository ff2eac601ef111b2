"""The OpenAPI 3.1 description of the data plane, made from the table of routes.  Pure.

`$skiptoken` is not described: a client follows a `nextLink` as it is.
"""

from __future__ import annotations

from typing import Any

from server.http import JSON
from server.query import LARGEST_PAGE
from server.routes import ROUTES, Route
from server.versions import NEWEST, VERSIONS
from vault.access import NEEDS
from vault.names import (
    MAX_CONTENT_TYPE,
    MAX_DATE,
    MAX_TAG_NAME,
    MAX_TAG_VALUE,
    MAX_TAGS,
    MAX_VALUE_BYTES,
)

Schema = dict[str, Any]

_DATE: Schema = {"type": "integer", "minimum": 0, "maximum": MAX_DATE}
_TAGS: Schema = {
    "type": "object",
    "maxProperties": MAX_TAGS,
    "propertyNames": {"minLength": 1, "maxLength": MAX_TAG_NAME},
    "additionalProperties": {"type": "string", "maxLength": MAX_TAG_VALUE},
}
_TEXT: Schema = {"type": "string"}
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
            "title": "Muniment: Azure Key Vault's data plane for secrets",
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
    permission = NEEDS[route.kind]
    suffix = "Version" if route.path.endswith("{version}") else ""
    described: Schema = {
        "operationId": route.operation + suffix,
        "summary": route.summary,
        "description": f"Needs the permission secrets/{permission}.",
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {**_answer(route), **_errors()},
    }
    if route.takes:
        described["requestBody"] = {"required": True, "content": _json(route.takes)}
    return described


def _path_parameters(route: Route) -> list[Schema]:
    patterns = {"name": "^[0-9a-zA-Z-]{1,127}$", "version": "^[0-9a-fA-F]{32}$"}
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": of}}
        for name, of in patterns.items()
        if f"{{{name}}}" in route.path
    ]


def _query_parameters(route: Route) -> list[Schema]:
    version = {"type": "string", "enum": list(VERSIONS)}
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
    given = {"enabled": _or_null({"type": "boolean"}), "nbf": _or_null(_DATE)}
    given["exp"] = _or_null(_DATE)
    beside = {
        "contentType": _or_null(_CONTENT_TYPE),
        "tags": _or_null(_TAGS),
        "attributes": _or_null({"type": "object", "properties": given}),
    }
    value = {"type": "string", "maxLength": MAX_VALUE_BYTES}
    deletion = {"recoveryId": _TEXT, "deletedDate": _DATE, "scheduledPurgeDate": _DATE}
    return {
        "SetSecret": _object({"value": value, **beside}, "value"),
        "UpdateSecret": _object(beside),
        "Blob": _object({"value": {"type": "string", "pattern": "^[A-Za-z0-9_+/=-]*$"}}, "value"),
        "SecretBundle": _secret({}),
        "DeletedSecretBundle": _secret(deletion),
        "SecretList": _list("SecretBundle"),
        "DeletedSecretList": _list("DeletedSecretBundle"),
        "Error": _object({"error": _error()}, "error"),
    }


def _secret(deletion: Schema) -> Schema:
    attributes = {
        "enabled": {"type": "boolean"},
        **dict.fromkeys(("nbf", "exp", "created", "updated"), _DATE),
        "recoveryLevel": _TEXT,
        "recoverableDays": {"type": "integer"},
    }
    shown = {
        **deletion,
        "value": _TEXT,
        "contentType": _TEXT,
        "id": {"type": "string", "format": "uri"},
        "attributes": _object(attributes, "enabled", "created", "updated", "recoveryLevel"),
        "tags": _TAGS,
    }
    return _object(shown, *deletion, "id", "attributes")


def _list(item: str) -> Schema:
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{item}"}}
    return _object({"value": items, "nextLink": _or_null({"type": "string"})}, "value", "nextLink")


def _error() -> Schema:
    inner = _object({"code": _TEXT}, "code")
    return _object({"code": _TEXT, "message": _TEXT, "innererror": inner}, "code", "message")


def _object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}
