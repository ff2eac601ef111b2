"""What both OpenAPI 3.1 descriptions are made of: the document around the paths, and JSON Schema.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.http import JSON
from vault.names import MAX_DATE, MAX_TAG_NAME, MAX_TAG_VALUE, MAX_TAGS

Schema = dict[str, Any]

DATE: Schema = {"type": "integer", "minimum": 0, "maximum": MAX_DATE}
TAGS: Schema = {
    "type": "object",
    "maxProperties": MAX_TAGS,
    "propertyNames": {"minLength": 1, "maxLength": MAX_TAG_NAME},
    "additionalProperties": {"type": "string", "maxLength": MAX_TAG_VALUE},
}
TEXT: Schema = {"type": "string"}

STATUSES = {
    "400": "What was asked for cannot be read, or is beyond a limit",
    "404": "Not found",
    "409": "In conflict with what is so",
    "413": "The body is too large",
    "429": "Too many requests",
    "500": "The outcome is not known, or something failed",
    "503": "It could not be recorded, so it was not done",
}
"""The failures that every operation may answer with, besides those of who asks."""


def document(title: str, version: str, paths: Schema, schemas: Schema) -> Schema:
    """A whole description, to be served as JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
            "schemas": schemas,
        },
    }


def path_parameters(path: str, patterns: Mapping[str, str]) -> list[Schema]:
    """Those of *patterns* that *path* names."""
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": of}}
        for name, of in patterns.items()
        if f"{{{name}}}" in path
    ]


def version_parameter(known: list[str]) -> Schema:
    version = {"type": "string", "enum": known}
    return {"name": "api-version", "in": "query", "required": True, "schema": version}


def failures(texts: Mapping[str, str]) -> Schema:
    """The responses that say no: `STATUSES`, and *texts* that are the plane's own."""
    return {
        status: {"description": text, "content": content_of("Error")}
        for status, text in sorted({**STATUSES, **texts}.items())
    }


def content_of(schema: str) -> Schema:
    """A body of JSON that is a *schema*."""
    return {JSON.partition(";")[0]: {"schema": reference(schema)}}


def reference(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


def list_of(item: str) -> Schema:
    """A page of *item*."""
    items = array_of(reference(item))
    return object_of({"value": items, "nextLink": or_null({"type": "string"})}, "value", "nextLink")


def array_of(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def object_of(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def or_null(schema: Schema) -> Schema:
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **more}
