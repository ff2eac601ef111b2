"""Records in the forms that others read: Key Vault's AuditEvent, OCSF, and RFC 5424.  Pure.

One record is one line, and a line says nothing that the record does not.  What a form wants and a
record lacks is left out, never made up: there is no duration, no request URI, no API version and no
TLS version, since a record does not hold them.  `httpStatusCode` is not what was sent but what Key
Vault answers for this outcome; `resourceId` has no subscription, for there is none.  What Muniment
has and the form lacks stands under `muniment` or `unmapped`, so that a line leads back to its
record, and the record can be proved.

Sources: Key Vault logging (learn.microsoft.com/azure/key-vault/general/logging), OCSF 1.3 classes
3004 and 6003, RFC 5424 sections 6 and 6.3.3.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from vault.answers import HistoryItem
from vault.operations import (
    API,
    CREATE,
    DELETE,
    ENTITY,
    OK,
    READ,
    UPDATE,
    Operation,
    operation,
    status,
)

Shape = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029]")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


class Origin(NamedTuple):
    """The vault that a record is of: its name and its URI, without a slash at the end."""

    vault: str
    uri: str


_ACTIVITIES = {CREATE: "Create", READ: "Read", UPDATE: "Update", DELETE: "Delete"}
_CLASSES = {API: ("API Activity", 6), ENTITY: ("Entity Management", 3)}
_CATEGORIES = {3: "Identity & Access Management", 6: "Application Activity"}

_SIGNATURES = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def line(form: str, origin: Origin, item: HistoryItem) -> str:
    """*item* in the form of that name, on one line without its end."""
    made = FORMS[form](origin, item)
    if isinstance(made, str):
        return made
    # JSON leaves these as they are, and many a reader takes them for the end of a line.
    return _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", msgspec.json.encode(made).decode())


# --- Key Vault's AuditEvent -----------------------------------------------------------------------


def audit_event(origin: Origin, item: HistoryItem) -> Shape:
    """Key Vault's record, field for field, as its diagnostic setting writes it in JSON lines."""
    code = status(item)
    return _known(
        {
            "time": _rfc3339(item.time),
            "category": "AuditEvent",
            "operationName": operation(item.operation).name,
            "resultType": "Success" if code < 400 else "Failure",
            "resultSignature": _SIGNATURES[code],
            "resultDescription": "" if item.outcome == OK else item.outcome,
            "correlationId": item.request,
            "callerIpAddress": item.address,
            "identity": {"claim": _claim(item)},
            "properties": _known(
                {
                    "id": _identifier(origin, item),
                    "clientInfo": item.agent,
                    "httpStatusCode": code,
                    "isAccessPolicyMatch": item.rule.startswith("policy "),
                    "secretProperties": _secret_properties(item),
                    "muniment": _ours(item),
                }
            ),
            "resourceId": f"/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/{origin.vault.upper()}",
        }
    )


def _claim(item: HistoryItem) -> Shape:
    """Who asked: a GUID is an object id, a name with @ a user principal name."""
    if _GUID.fullmatch(item.principal):
        kind = "oid"
    else:
        kind = "upn" if "@" in item.principal else "unique_name"
    return _known({kind: item.principal, "appid": item.application, "ipaddr": item.address})


def _secret_properties(item: HistoryItem) -> Shape | None:
    if item.outcome != OK or item.operation not in ("secret.set", "secret.updated"):
        return None
    attributes = {name: item.details.get(name) for name in ("nbf", "exp")}
    return {"attributes": {"enabled": item.details.get("enabled", True), **_known(attributes)}}


_COLLECTIONS = {
    "secret": "secrets",
    "secret-versions": "secrets",
    "deleted-secret": "deletedsecrets",
    "sas-token": "secrets",
    "storage-account": "storage",
    "storage-key": "storage",
    "storage-keys": "storage",
    "deleted-storage-account": "deletedstorage",
    "sas-definition": "storage",
    "sas-definitions": "storage",
    "deleted-sas-definition": "deletedstorage",
    "deleted-sas-definitions": "deletedstorage",
}


def _identifier(origin: Origin, item: HistoryItem) -> str:
    """The URI of what the record is about."""
    subject = item.operation.partition(".")[0]
    collection = _COLLECTIONS.get(subject)
    if not item.name or collection is None:
        return origin.uri
    sas = str(item.details.get("sas", "")) if "storage" in collection else ""
    of = (origin.uri, collection, item.name, item.version, "sas" if sas else "", sas)
    return "/".join(filter(None, of))


def _ours(item: HistoryItem) -> Shape:
    return _known(
        {
            "log": item.log,
            "position": item.position,
            "operation": item.operation,
            "name": item.name,
            "version": item.version,
            "auth": item.auth,
            "application": item.application,
            "rule": item.rule,
            "cause": item.cause,
            "at": item.at,
            "details": item.details,
        }
    )


# --- OCSF -----------------------------------------------------------------------------------------


def ocsf(origin: Origin, item: HistoryItem) -> Shape:
    """An OCSF 1.3 event: Entity Management for the vault and its rules, API Activity for the rest.

    API Activity demands where a request came from; one without an address came from this host.
    """
    known = operation(item.operation)
    class_name, category = _CLASSES[known.class_uid]
    code = status(item)
    succeeded = code < 400
    return _known(
        {
            "activity_id": known.activity,
            "activity_name": _ACTIVITIES.get(known.activity, known.name),
            "category_uid": category,
            "category_name": _CATEGORIES[category],
            "class_uid": known.class_uid,
            "class_name": class_name,
            "type_uid": known.class_uid * 100 + known.activity,
            "time": item.time // 1000,
            "severity_id": 1 if succeeded else 2,
            "severity": "Informational" if succeeded else "Low",
            "status_id": 1 if succeeded else 2,
            "status": "Success" if succeeded else "Failure",
            "status_code": str(code) if not succeeded and item.outcome == OK else item.outcome,
            "metadata": _metadata(origin, item),
            "actor": {"user": {"name": item.principal, "uid": item.principal}},
            "http_request": _known({"user_agent": item.agent}),
            **(_entity if known.class_uid == ENTITY else _api)(origin, item, known),
            "unmapped": _ours(item),
        }
    )


def _metadata(origin: Origin, item: HistoryItem) -> Shape:
    return _known(
        {
            "version": "1.3.0",
            "product": {"name": "Muniment", "vendor_name": "Muniment"},
            "uid": f"{origin.vault}/{item.log}/{item.position}",
            "sequence": item.position,
            "log_name": item.log,
            "event_code": item.operation,
            "correlation_uid": item.request,
            "original_time": _rfc3339(item.time),
        }
    )


def _api(origin: Origin, item: HistoryItem, known: Operation) -> Shape:
    resource = {"name": item.name, "uid": _identifier(origin, item), "version": item.version}
    return {
        "api": _known(
            {
                "operation": known.name,
                "service": {"name": origin.vault},
                "request": _known({"uid": item.request}),
            }
        ),
        "resources": [_known({**resource, "type": _kind(item)})] if item.name else [],
        "src_endpoint": {"ip": item.address} if item.address else {"name": "localhost"},
    }


def _kind(item: HistoryItem) -> str:
    if "sas" in item.details and not item.operation.startswith("sas-token"):
        return "SAS definition"
    return "Storage account" if "storage" in item.operation else "Secret"


def _entity(origin: Origin, item: HistoryItem, known: Operation) -> Shape:
    kind = item.operation.partition(".")[0]
    return {
        "entity": {
            "name": item.name or origin.vault,
            "uid": origin.uri,
            "type": "access policy" if kind == "policy" else kind.replace("-", " "),
        },
        "comment": known.name,
        "src_endpoint": _known({"ip": item.address}),
    }


# --- RFC 5424 -------------------------------------------------------------------------------------

_LOG_AUDIT = 13
_WARNING, _INFORMATIONAL = 4, 6
_ENTERPRISE = "muniment@32473"
"""32473 is the enterprise number for examples (RFC 5612): we have none of our own."""


def rfc5424(origin: Origin, item: HistoryItem) -> str:
    """A syslog line: facility 13 (log audit), all facts as structured data.

    The host is nil: which one the request came to is not on record.
    """
    severity = _INFORMATIONAL if item.outcome == OK else _WARNING
    facts = {
        "vault": origin.vault,
        "log": item.log,
        "position": item.position,
        "principal": item.principal,
        "auth": item.auth,
        "outcome": item.outcome,
        "rule": item.rule,
        "application": item.application,
        "name": item.name,
        "version": item.version,
        "address": item.address,
        "agent": item.agent,
        "request": item.request,
        "cause": item.cause,
        "at": item.at,
    }
    data = "".join(f' {name}="{_param(str(fact))}"' for name, fact in _known(facts).items())
    words = (item.operation, item.name, "by", item.principal, item.outcome)
    message = " ".join(_visible(word) for word in words if word)
    # RFC 5424, 6.4: a message that is UTF-8 and no ASCII begins with the byte order mark.
    mark = "" if message.isascii() else "\N{ZERO WIDTH NO-BREAK SPACE}"
    return (
        f"<{_LOG_AUDIT * 8 + severity}>1 {_rfc3339(item.time)} - muniment - {item.operation[:32]} "
        f"[{_ENTERPRISE}{data}] {mark}{message}"
    )


def _param(text: str) -> str:
    """A parameter's value: `"`, `\\` and `]` escaped, and no control character in it."""
    return re.sub(r'(["\\\]])', r"\\\1", _visible(text))


def _visible(text: str) -> str:
    """*text* with what could break a line, or move a cursor, written out."""
    return "".join(
        letter
        if letter == " " or unicodedata.category(letter)[0] not in "CZ"
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


# --- all ------------------------------------------------------------------------------------------


def _known(facts: Mapping[str, Any]) -> Shape:
    """*facts* without those that are not known."""
    return {name: fact for name, fact in facts.items() if fact not in (None, "", {}, [])}


def _rfc3339(time: int) -> str:
    """Microseconds since 1970, always with all six digits, so that texts sort as times."""
    moment = _EPOCH + timedelta(microseconds=time)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


FORMS: Final[Mapping[str, Callable[[Origin, HistoryItem], Shape | str]]] = {
    "auditevent": audit_event,
    "ocsf": ocsf,
    "rfc5424": rfc5424,
}
