"""The schemas of storage accounts and SAS definitions.  Pure."""

from __future__ import annotations

from server.schemas import DATE, TAGS, TEXT, Schema, list_of, object_of, or_null
from vault.sas import MAX_TEMPLATE
from vault.storage import MAX_RESOURCE_ID

# Written out, without looking ahead: who makes requests of the description would throw most away.
_N = "[0-9]{1,9}"
_DAYS = f"({_N}W({_N}D)?|{_N}D)"
_TIME = f"T({_N}H({_N}M)?({_N}S)?|{_N}M({_N}S)?|{_N}S)"
_PERIOD: Schema = {"type": "string", "pattern": f"^P({_DAYS}({_TIME})?|{_TIME})$"}
_URI: Schema = {"type": "string", "format": "uri"}
_ENABLED: Schema = {"type": "boolean"}
_DELETION: Schema = {"recoveryId": TEXT, "deletedDate": DATE, "scheduledPurgeDate": DATE}


def storage_schemas(tags: Schema) -> dict[str, Schema]:
    """What requests give and answers show; *tags* is what a request may give as such."""
    given = {
        "attributes": or_null({"type": "object", "properties": {"enabled": or_null(_ENABLED)}}),
        "tags": tags,
    }
    return {
        **_given(given),
        "StorageBundle": _account({}, item=False),
        "StorageItem": _account({}, item=True),
        "DeletedStorageBundle": _account(_DELETION, item=False),
        "DeletedStorageItem": _account(_DELETION, item=True),
        "StorageList": list_of("StorageItem"),
        "DeletedStorageList": list_of("DeletedStorageItem"),
        "SasBundle": _definition({}, item=False),
        "SasItem": _definition({}, item=True),
        "DeletedSasBundle": _definition(_DELETION, item=False),
        "DeletedSasItem": _definition(_DELETION, item=True),
        "SasList": list_of("SasItem"),
        "DeletedSasList": list_of("DeletedSasItem"),
    }


def _given(shared: Schema) -> dict[str, Schema]:
    flag = {"type": "boolean"}
    resource = {"type": "string", "minLength": 1, "maxLength": MAX_RESOURCE_ID}
    template = {"type": "string", "maxLength": MAX_TEMPLATE}
    kind = {"type": "string", "enum": ["account", "service"]}
    account = {"activeKeyName": TEXT, "autoRegenerateKey": flag}
    definition = {"templateUri": template, "sasType": kind, "validityPeriod": _PERIOD}
    period = {"regenerationPeriod": or_null(_PERIOD)}
    return {
        "SetStorage": object_of(
            {"resourceId": resource, **account, **period, **shared}, "resourceId", *account
        ),
        "UpdateStorage": object_of({**_all_or_null(account), **period, **shared}),
        "RegenerateKey": object_of({"keyName": TEXT}, "keyName"),
        "SetSas": object_of({**definition, **shared}, *definition),
        "UpdateSas": object_of({**_all_or_null(definition), **shared}),
    }


def _all_or_null(properties: Schema) -> Schema:
    return {name: or_null(schema) for name, schema in properties.items()}


def _account(deletion: Schema, *, item: bool) -> Schema:
    begun = {"id": _URI, "resourceId": TEXT}
    whole = {"activeKeyName": TEXT, "autoRegenerateKey": _ENABLED}
    shown = {**deletion, **begun, **({} if item else whole)}
    more = {} if item else {"regenerationPeriod": _PERIOD}
    return _shown({**shown, **more}, *shown)


def _definition(deletion: Schema, *, item: bool) -> Schema:
    begun = {"id": _URI, "sid": _URI}
    whole = {"templateUri": TEXT, "sasType": TEXT, "validityPeriod": _PERIOD}
    shown = {**deletion, **begun, **({} if item else whole)}
    return _shown(shown, *shown)


def _shown(properties: Schema, *required: str) -> Schema:
    attributes = {
        "enabled": _ENABLED,
        "created": DATE,
        "updated": DATE,
        "recoveryLevel": TEXT,
        "recoverableDays": {"type": "integer"},
    }
    told = object_of(attributes, "enabled", "created", "updated", "recoveryLevel")
    # Not one member more: nothing could show a key by mistake.
    return {
        **object_of({**properties, "attributes": told, "tags": TAGS}, *required, "attributes"),
        "additionalProperties": False,
    }
