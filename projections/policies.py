"""The vault's settings and who may do what, as the log says.  Pure; never raises."""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import asdict, replace

from eventstore.record import Entry
from eventstore.rule_events import (
    BoundarySet,
    PolicyDeleted,
    PolicySet,
    VaultCreated,
    VaultDeleted,
    VaultPurged,
    VaultRecovered,
    VaultUpdated,
)
from projections.rows import (
    Boundary,
    Erasure,
    Policy,
    Put,
    Rows,
    Settings,
    boundary_key,
    erasure_key,
    holder,
    policy_key,
    settings_key,
)

RuleEvent = (
    VaultCreated
    | VaultUpdated
    | VaultDeleted
    | VaultRecovered
    | VaultPurged
    | PolicySet
    | PolicyDeleted
    | BoundarySet
)


def apply(rows: Rows, entry: Entry[RuleEvent]) -> list[Put]:
    """The rows that *entry* changes."""
    at = entry.position
    match entry.event:
        case VaultCreated() as event:
            settings = Settings(
                event.name,
                event.retention_days,
                event.purge_protection,
                event.administrators,
                entry.time // 1_000_000,
                at,
                event.resource_group,
                event.location,
                event.sku,
                event.vault_tags,
                event.enabled_for,
            )
            return [Put(settings_key(), settings)]
        case VaultPurged() as event:
            erasure = Erasure((), event.open_backups, event.keys)
            return [*_settings(rows, entry), Put(erasure_key(at), erasure)]
        case VaultUpdated() | VaultDeleted() | VaultRecovered():
            return _settings(rows, entry)
        case PolicySet() as event:
            who = holder(event.object_id, event.application_id)
            policy = Policy(event.object_id, event.secrets, event.storage, at, event.application_id)
            return [Put(policy_key(who), policy)]
        case PolicyDeleted() as event:
            return [Put(policy_key(holder(event.object_id, event.application_id)), None)]
        case BoundarySet() as event:
            return [Put(boundary_key(), Boundary(**asdict(event), at=at))]
        case _:
            assert_never(entry.event)


def _settings(rows: Rows, entry: Entry[RuleEvent]) -> list[Put]:
    known = rows.get(settings_key(), Settings)
    if known is None:
        return []
    settings = replace(known, at=entry.position)
    match entry.event:
        case VaultUpdated() as event:
            settings = replace(
                settings,
                purge_protection=event.purge_protection,
                administrators=event.administrators,
                sku=event.sku,
                vault_tags=event.vault_tags,
                enabled_for=event.enabled_for,
            )
        case VaultDeleted() as event:
            settings = replace(
                settings,
                deleted_date=entry.time // 1_000_000,
                scheduled_purge=event.scheduled_purge,
            )
        case VaultRecovered():
            settings = replace(settings, deleted_date=None, scheduled_purge=None)
        case VaultPurged():
            settings = replace(settings, purged=True)
        case _:
            pass
    return [Put(settings_key(), settings)]
