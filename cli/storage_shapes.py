"""Storage accounts and SAS definitions as `az keyvault storage` printed them.  Pure.

Its names, its order (alphabetical), nulls included; `nextRotation` and `regenerating` are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.shapes import DOMAIN, Shape, attributes, date, secret_id
from cli.tables import Column

if TYPE_CHECKING:
    from vault.answers import Deletion, Rotated, SasBundle, StorageAccountBundle

ACCOUNTS = [
    Column("NAME", "name"),
    Column("ENABLED", "_enabled"),
    Column("ACTIVE KEY", "activeKeyName"),
    Column("NEXT ROTATION", "nextRotation"),
    Column("RESOURCE", "resourceId"),
    Column("TAGS", "tags"),
]
DEFINITIONS = [
    Column("NAME", "name"),
    Column("ENABLED", "_enabled"),
    Column("TYPE", "sasType"),
    Column("VALID FOR", "validityPeriod"),
    Column("SECRET", "_secret"),
    Column("TAGS", "tags"),
]
ROTATED = [Column("NAME", "name"), Column("KEY", "keyName"), Column("OUTCOME", "outcome")]


def account(vault: str, answer: StorageAccountBundle) -> Shape:
    """An account; what a purge has closed is left out."""
    from vault.periods import text

    period = answer.regeneration_period
    shape: Shape = {
        "activeKeyName": answer.active_key_name,
        "attributes": _attributes(answer),
        "autoRegenerateKey": answer.auto_regenerate_key,
        "id": _id(vault, f"storage/{answer.name}"),
        "name": answer.name,
        "nextRotation": date(answer.next_rotation),
        "regenerating": answer.regenerating or None,
        "regenerationPeriod": None if period is None else text(period),
        "resourceId": answer.resource_id,
        "tags": answer.tags or {},
    }
    if answer.erased:
        del shape["tags"]
        shape["erasedBy"] = answer.erased_by
    return _with_deletion(vault, f"deletedstorage/{answer.name}", shape, answer.deletion)


def definition(vault: str, answer: SasBundle) -> Shape:
    """A SAS definition; what a purge has closed is left out."""
    from vault.periods import text

    place = f"{answer.account}/sas/{answer.name}"
    shape: Shape = {
        "attributes": _attributes(answer),
        "id": _id(vault, f"storage/{place}"),
        "name": answer.name,
        "sasType": answer.sas_type,
        "secretId": secret_id(vault, answer.secret_name),
        "tags": answer.tags or {},
        "templateUri": answer.template,
        "validityPeriod": text(answer.validity_period),
    }
    if answer.erased:
        del shape["tags"], shape["templateUri"]
        shape["erasedBy"] = answer.erased_by
    return _with_deletion(vault, f"deletedstorage/{place}", shape, answer.deletion)


def rotated(answer: Rotated) -> Shape:
    return {"keyName": answer.key_name, "name": answer.name, "outcome": answer.outcome}


def row(shape: Shape) -> Shape:
    """An account or a definition as a row of a table."""
    secret = shape.get("secretId", "").rpartition("/")[2]
    return shape | {"_enabled": shape["attributes"]["enabled"], "_secret": secret}


def _attributes(answer: StorageAccountBundle | SasBundle) -> Shape:
    shape = attributes(answer.attributes)
    # A key has no such dates: its tokens have.
    del shape["expires"], shape["notBefore"]
    return shape


def _with_deletion(vault: str, place: str, shape: Shape, deletion: Deletion | None) -> Shape:
    if deletion is not None:
        shape |= {
            "deletedDate": date(deletion.deleted_date),
            "recoveryId": _id(vault, place),
            "scheduledPurgeDate": date(deletion.scheduled_purge_date),
        }
    return dict(sorted(shape.items()))


def _id(vault: str, place: str) -> str:
    host = vault if "://" in vault else f"https://{vault}.{DOMAIN}"
    return f"{host}/{place}"
