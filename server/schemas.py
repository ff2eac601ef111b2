"""Pieces of JSON Schema that the description of the data plane is made of.  Pure."""

from __future__ import annotations

from typing import Any

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


def list_of(item: str) -> Schema:
    """A page of *item*."""
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{item}"}}
    return object_of({"value": items, "nextLink": or_null({"type": "string"})}, "value", "nextLink")


def object_of(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def or_null(schema: Schema) -> Schema:
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **more}
