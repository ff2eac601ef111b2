"""The vault's settings and who may do what, as the log says.  Pure; never raises."""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from eventstore.events import PolicyDeleted, PolicySet, VaultCreated, VaultUpdated
from eventstore.record import Entry
from projections.rows import Policy, Put, Rows, Settings, policy_key, settings_key

RuleEvent = VaultCreated | VaultUpdated | PolicySet | PolicyDeleted


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
            )
            return [Put(settings_key(), settings)]
        case VaultUpdated() as event:
            known = rows.get(settings_key(), Settings)
            if known is None:
                return []
            settings = replace(
                known,
                purge_protection=event.purge_protection,
                administrators=event.administrators,
                at=at,
            )
            return [Put(settings_key(), settings)]
        case PolicySet() as event:
            policy = Policy(event.object_id, event.secrets, event.storage, at)
            return [Put(policy_key(event.object_id), policy)]
        case PolicyDeleted() as event:
            return [Put(policy_key(event.object_id), None)]
        case _:
            assert_never(entry.event)
