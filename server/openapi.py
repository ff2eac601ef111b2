"""The OpenAPI 3.1 description of the data plane, made from the table of routes.  Pure.

`$skiptoken` is not described: a client follows a `nextLink` as it is.
"""

from __future__ import annotations

from server.query import LARGEST_PAGE
from server.route import Route
from server.routes import ROUTES
from server.schemas import (
    DATE,
    TAGS,
    TEXT,
    Schema,
    content_of,
    document,
    failures,
    list_of,
    object_of,
    or_null,
    path_parameters,
    version_parameter,
)
from server.storage_schemas import storage_schemas
from server.versions import NEWEST, STORAGE_VERSIONS, VERSIONS
from vault.access import permission_of
from vault.names import MAX_CONTENT_TYPE, MAX_VALUE_BYTES

_CONTENT_TYPE: Schema = {"type": "string", "maxLength": MAX_CONTENT_TYPE}
_FAILURES = {
    "401": "No valid token; the challenge says where to get one",
    "403": "Not allowed, by policy, by the secret's state or by purge protection",
}


def openapi() -> Schema:
    """The description, to be served as JSON."""
    paths: dict[str, Schema] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    title = "Muniment: Azure Key Vault's data plane for secrets and storage accounts"
    return document(title, NEWEST, paths, _schemas())


def _operation(route: Route) -> Schema:
    permission = permission_of(route.kind).replace(" ", "/")
    suffix = "Version" if route.path.endswith("{version}") else ""
    described: Schema = {
        "operationId": route.operation + suffix,
        "summary": route.summary,
        "description": f"Needs the permission {permission}.",
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {**_answer(route), **failures(_FAILURES)},
    }
    if route.takes:
        described["requestBody"] = {"required": True, "content": content_of(route.takes)}
    return described


def _path_parameters(route: Route) -> list[Schema]:
    letters = "0-9a-zA-Z" if route.storage else "0-9a-zA-Z-"
    patterns = {
        "name": f"^[{letters}]{{1,127}}$",
        "version": "^[0-9a-fA-F]{32}$",
        "sas": "^[0-9a-zA-Z]{1,127}$",
    }
    return path_parameters(route.path, patterns)


def _query_parameters(route: Route) -> list[Schema]:
    known = STORAGE_VERSIONS if route.storage else list(VERSIONS)
    found = [version_parameter(known)]
    if route.gives.endswith("List"):
        size = {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": LARGEST_PAGE}
        found.append({"name": "maxresults", "in": "query", "schema": size})
    return found


def _answer(route: Route) -> Schema:
    if not route.gives:
        return {"204": {"description": "Done"}}
    return {"200": {"description": "Done", "content": content_of(route.gives)}}


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
