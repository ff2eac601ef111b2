"""Answers as `az keyvault` prints them: its names, its order (alphabetical), nulls included.  Pure.

Times are RFC 3339 in UTC.  An id names the vault as a host: that of the server that answered, or
for a store one under `vault.localhost`, which no other machine can own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.moments import SECOND, rfc3339

if TYPE_CHECKING:
    from cli.wire_answers import PurgedAfar
    from eventstore.checkpoint import Checkpoint
    from projections.difference import Difference
    from projections.forks import Apart
    from projections.rows import Settings
    from vault.answers import (
        Attributes,
        BlameFact,
        CouldFact,
        ExposureFact,
        HistoryItem,
        Policy,
        Purged,
        PurgedVault,
        ReadFact,
        ReplayStep,
        RestoreStep,
        SecretBundle,
        VaultFacts,
    )

Shape = dict[str, Any]

DOMAIN = "vault.localhost"

ENABLED_FOR = {
    "deployment": "enabledForDeployment",
    "disk-encryption": "enabledForDiskEncryption",
    "template-deployment": "enabledForTemplateDeployment",
}


def secret_id(vault: str, name: str, version: str = "", collection: str = "secrets") -> str:
    """The id under *vault*, a name or the address of the server that answered."""
    tail = f"/{version}" if version else ""
    place = vault if "://" in vault else f"https://{vault}.{DOMAIN}"
    return f"{place}/{collection}/{name}{tail}"


def bundle(vault: str, answer: SecretBundle, *, versioned: bool = True) -> Shape:
    """One version of a secret; a list's item has an id without the version.

    What a purge has closed is left out, and `erasedBy` is that purge (null if this copy of the log
    does not have it).
    """
    shape: Shape = {
        "attributes": attributes(answer.attributes),
        "contentType": answer.content_type,
        "id": secret_id(vault, answer.name, answer.version if versioned else ""),
        "kid": None,
        "managed": answer.managed or None,
        "name": answer.name,
        "tags": answer.tags or {},
        "value": answer.value,
    }
    if answer.deletion is not None:
        shape |= {
            "deletedDate": rfc3339(answer.deletion.deleted_date * SECOND),
            "recoveryId": secret_id(vault, answer.name, collection="deletedsecrets"),
            "scheduledPurgeDate": rfc3339(answer.deletion.scheduled_purge_date * SECOND),
        }
    if answer.erased:
        del shape["contentType"], shape["tags"]
        shape["erasedBy"] = answer.erased_by
    return dict(sorted(shape.items()))


def item(vault: str, answer: SecretBundle, *, versioned: bool = False) -> Shape:
    """A bundle without a value, as lists and changes give it."""
    shape = bundle(vault, answer, versioned=versioned)
    del shape["value"]
    return shape


def attributes(answer: Attributes) -> Shape:
    return {
        "created": date(answer.created),
        "enabled": answer.enabled,
        "expires": date(answer.exp),
        "notBefore": date(answer.nbf),
        "recoverableDays": answer.recoverable_days,
        "recoveryLevel": answer.recovery_level,
        "updated": date(answer.updated),
    }


def purged(answer: Purged | PurgedAfar) -> Shape:
    opened = answer.open_backups
    return {
        "assurance": answer.assurance,
        "name": answer.name,
        "openBackups": None if opened is None else list(opened),
        "position": answer.position,
        "provider": answer.provider,
        "receipt": answer.receipt,
    }


def purged_vault(answer: PurgedVault) -> Shape:
    return {
        "assurance": answer.assurance,
        "id": answer.id,
        "keys": answer.keys,
        "name": answer.name,
        "openBackups": list(answer.open_backups),
        "position": answer.position,
        "provider": answer.provider,
        "receipt": answer.receipt,
    }


def deleted_vault(vault_id: str, settings: Settings) -> Shape:
    """A deleted vault, in the words of az; *vault_id* names it where its history is read."""
    gone = (settings.deleted_date or 0, settings.scheduled_purge or 0)
    return {
        "deletionDate": rfc3339(gone[0] * SECOND),
        "id": vault_id,
        "name": settings.name,
        "purgeProtectionEnabled": settings.purge_protection,
        "scheduledPurgeDate": rfc3339(gone[1] * SECOND),
    }


def policy(answer: Policy) -> Shape:
    return {
        "applicationId": answer.application_id or None,
        "objectId": answer.object_id,
        "permissions": {"secrets": list(answer.secrets), "storage": list(answer.storage)},
        "position": answer.position,
    }


def vault(answer: VaultFacts) -> Shape:
    from vault.resource_ids import LOCATION, RESOURCE_GROUP

    return {
        "administrators": list(answer.administrators),
        **({"checkpoints": answer.checkpoints} if answer.checkpoints else {}),
        "created": rfc3339(answer.created * SECOND),
        **{flag: word in answer.enabled_for for word, flag in ENABLED_FOR.items()},
        "enablePurgeProtection": answer.purge_protection,
        "enableSoftDelete": True,
        "location": answer.location or LOCATION,
        "name": answer.name,
        "records": {"access": answer.access, "changes": answer.changes},
        "resourceGroup": answer.resource_group or RESOURCE_GROUP,
        "sku": answer.sku,
        "softDeleteRetentionInDays": answer.retention_days,
        "tags": answer.vault_tags,
        "vaultUri": f"https://{answer.name}.{DOMAIN}/",
        "verifiers": answer.verifiers,
    }


def history(answer: HistoryItem) -> Shape:
    """One record of either log; `at` is the position of `changes` that a read was answered at."""
    return {
        "log": answer.log,
        "position": answer.position,
        "time": rfc3339(answer.time),
        "operation": answer.operation,
        "principal": answer.principal,
        "name": answer.name or None,
        "version": answer.version or None,
        "outcome": answer.outcome,
        "rule": answer.rule or None,
        "auth": answer.auth,
        "application": answer.application or None,
        "address": answer.address or None,
        "agent": answer.agent or None,
        "request": answer.request or None,
        "cause": answer.cause,
        "at": answer.at,
        "details": answer.details,
    }


def read(answer: ReadFact) -> Shape:
    """One time that a value was given out.  `asOf` is the last event that counted, if not now.

    The version is null where all that there were were given out.
    """
    return {
        "log": answer.log,
        "position": answer.position,
        "time": rfc3339(answer.time),
        "principal": answer.principal,
        "how": answer.how,
        "name": answer.name,
        "version": answer.version or None,
        "rule": answer.rule or None,
        "auth": answer.auth,
        "address": answer.address or None,
        "at": answer.at,
        "asOf": None if answer.as_of is None else answer.as_of - 1,
        **_signed(answer),
    }


def _signed(answer: ReadFact | ExposureFact) -> Shape:
    """Of a token, which key signed it and when it expires."""
    if not answer.key_name:
        return {}
    return {"keyName": answer.key_name, "expires": date(answer.expires)}


def exposure(answer: ExposureFact) -> Shape:
    """A version that a principal was given, and how; positions are of the log beside them."""
    return {
        "status": answer.status,
        "name": answer.name,
        "version": answer.version or None,
        "how": list(answer.how),
        "count": answer.count,
        "first": answer.first,
        "firstLog": answer.first_log,
        "firstTime": rfc3339(answer.first_time),
        "last": answer.last,
        "lastLog": answer.last_log,
        "lastTime": rfc3339(answer.last_time),
        **_signed(answer),
    }


def could(answer: CouldFact) -> Shape:
    """Who could do what; `from` is empty for who is let in over no network."""
    return {
        "principal": answer.principal,
        "application": answer.application or None,
        "permissions": list(answer.permissions),
        "from": list(answer.origins),
        "rule": answer.rule,
        "position": answer.position,
    }


def blame(answer: BlameFact) -> Shape:
    """Which event set an attribute; of the value itself it is only said who set it."""
    closed = {"erasedBy": answer.erased_by} if answer.erased else None
    return {
        "attribute": _named(answer.attribute),
        **(closed or {"value": _shown(answer.attribute, answer.value)}),
        "position": answer.position,
        "time": rfc3339(answer.time),
        "operation": answer.operation,
        "principal": answer.principal,
    }


def difference(answer: Difference) -> Shape:
    """How one thing differs; a value is only the same, different or that of another version."""
    return {
        "what": answer.what,
        "name": via(answer.name),
        "kinds": list(answer.kinds),
        "before": answer.before,
        "after": answer.after,
        "value": answer.value or None,
        "fields": [
            {
                "name": _named(field.name),
                "before": _shown(field.name, field.before),
                "after": _shown(field.name, field.after),
            }
            for field in answer.fields
        ],
        "causes": list(answer.causes),
    }


def apart(answer: Apart) -> Shape:
    """How one thing differs between the heads of two copies."""
    return {
        "what": answer.what,
        "name": via(answer.name),
        "first": answer.states[0],
        "second": answer.states[1],
        "firstVersion": answer.versions[0],
        "secondVersion": answer.versions[1],
        "value": answer.value or None,
        "fields": [
            {
                "name": _named(field.name),
                "first": _shown(field.name, field.before),
                "second": _shown(field.name, field.after),
            }
            for field in answer.fields
        ],
    }


def restore_step(answer: RestoreStep) -> Shape:
    return {
        "action": answer.action,
        "name": via(answer.name),
        "version": answer.version or None,
        "before": _side(answer.before),
        "after": _side(answer.after),
        "erasedBy": answer.erased_by,
        "wider": list(answer.wider),
        "what": answer.what,
    }


def _side(side: Any) -> Any:
    """One side of a rule, with the names and forms of other answers."""
    if not isinstance(side, dict):
        return side
    return {_named(name): _shown(name, value) for name, value in side.items()}


def via(holder: str) -> str:
    """Whose policy it is: a principal, or one through a client."""
    return holder.replace("\0", " via ")


def replay_step(answer: ReplayStep) -> Shape:
    """A record, and what it changed."""
    return history(answer.item) | {
        "changed": [difference(one) for one in answer.differences],
    }


def checkpoint(log: str, read: Checkpoint) -> Shape:
    return {
        "log": log,
        "note": read.note,
        "origin": read.origin,
        "root": read.root.hex(),
        "size": read.size,
    }


def erased_by(position: int | None) -> str:
    """What is told of a thing that a purge has closed."""
    return "erased by a purge" if position is None else f"erased by #{position}"


def date(seconds: int | None) -> str | None:
    """A date of Key Vault's, which counts in seconds."""
    return None if seconds is None else rfc3339(seconds * SECOND)


_NAMES = {
    "active_key": "activeKeyName",
    "allow_private_ranges": "allowPrivateRanges",
    "auto_regenerate": "autoRegenerateKey",
    "content_type": "contentType",
    "default_action": "defaultAction",
    "deleted_date": "deletionDate",
    "enabled_for": "enabledFor",
    "ip_rules": "ipRules",
    "public_network_access": "publicNetworkAccess",
    "resource_group": "resourceGroup",
    "resource_id": "resourceId",
    "sas_type": "sasType",
    "scheduled_purge": "scheduledPurgeDate",
    "subnet_rules": "virtualNetworkRules",
    "trusted_services": "trustedServices",
    "vault_tags": "tags",
    "exp": "expires",
    "nbf": "notBefore",
    "object_id": "objectId",
    "purge_protection": "enablePurgeProtection",
    "retention_days": "softDeleteRetentionInDays",
}


def _named(name: str) -> str:
    """An attribute as other answers call it; that of an older version has its number before it."""
    version, space, attribute = name.rpartition(" ")
    return version + space + _NAMES.get(attribute, attribute)


def _shown(name: str, value: Any) -> Any:
    """An attribute's value as other answers show it."""
    if name.rpartition(" ")[2] in ("exp", "nbf", "deleted_date", "scheduled_purge"):
        return date(value)
    if name == "period" and value is not None:
        from vault.periods import text

        return text(value)
    from cli import boundary_shapes  # most answers show no rule

    if name == "public_network_access":
        return boundary_shapes.access(value)
    if isinstance(value, tuple):
        return [boundary_shapes.part(one) for one in value]
    return boundary_shapes.part(value)
