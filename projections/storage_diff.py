"""What differs in storage accounts and SAS definitions between two points.  Pure.

Keys are compared by fingerprint and never shown; that one of them changed is told by its name.
"""

from __future__ import annotations

from typing import Any, Final

from eventstore.record import Entry
from eventstore.storage_events import SasDefinitionRestored, StorageAccountRestored
from projections.difference import Difference, Field, Sides, causes, fields, life
from projections.rows import SasDefinition, StorageAccount, sas_key, storage_key

WHAT_ACCOUNT: Final = "storage-account"
WHAT_DEFINITION: Final = "sas-definition"
ACCOUNT: Final = ("resource_id", "active_key", "auto_regenerate", "period", "enabled")
DEFINITION: Final = ("sas_type", "period", "enabled")


def account(sides: Sides, entries: list[Entry[Any]]) -> Difference | None:
    """How the account that *entries* are about differs."""
    name = entries[0].event.name
    before, after = (rows.get(storage_key(name), StorageAccount) for rows in sides[:2])
    restored = any(isinstance(entry.event, StorageAccountRestored) for entry in entries)
    kinds = list(life(before, after, restored=restored))
    found: tuple[Field, ...] = ()
    value = ""
    if before is not None and after is not None:
        found = fields(before, after, *ACCOUNT) + _tags(sides, before, after)
        if found:
            kinds.append("attributes")
        value, changed = _keys(before, after)
        if changed:
            kinds.append("keys")
            found += (Field("keys changed", (), changed),)
    return _difference(WHAT_ACCOUNT, before or after, kinds, entries, value, found)


def _keys(before: StorageAccount, after: StorageAccount) -> tuple[str, tuple[str, ...]]:
    """Whether the keys are the same, and the names of those that are not."""
    if before.key != after.key:
        return "erased", ()
    old, new = before.key_prints, after.key_prints
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return "different" if changed else "same", tuple(changed)


def _tags(sides: Sides, before: StorageAccount, after: StorageAccount) -> tuple[Field, ...]:
    if before.tags_at == after.tags_at:
        return ()
    old = sides.contents(before, before.tags_at)
    new = sides.contents(after, after.tags_at)
    return () if old is None or new is None else fields(old, new, "tags")


def definition(sides: Sides, entries: list[Entry[Any]]) -> Difference | None:
    """How the definition that *entries* are about differs."""
    key = sas_key(entries[0].event.name, entries[0].event.sas)
    before, after = (rows.get(key, SasDefinition) for rows in sides[:2])
    restored = any(isinstance(entry.event, SasDefinitionRestored) for entry in entries)
    kinds = list(life(before, after, restored=restored))
    found: tuple[Field, ...] = ()
    if before is not None and after is not None:
        found = fields(before, after, *DEFINITION) + _content(sides, before, after)
        if found:
            kinds.append("attributes")
    return _difference(WHAT_DEFINITION, before or after, kinds, entries, "", found)


def _content(sides: Sides, before: SasDefinition, after: SasDefinition) -> tuple[Field, ...]:
    if before.content_at == after.content_at:
        return ()
    old = sides.contents(before, before.content_at)
    new = sides.contents(after, after.content_at)
    return () if old is None or new is None else fields(old, new, "template", "tags")


def _difference(
    what: str,
    shown: StorageAccount | SasDefinition | None,
    kinds: list[str],
    entries: list[Entry[Any]],
    value: str,
    found: tuple[Field, ...],
) -> Difference | None:
    if shown is None or not kinds:
        return None
    return Difference(
        what=what,
        name=shown.secret_name if isinstance(shown, SasDefinition) else shown.name,
        kinds=tuple(kinds),
        causes=causes(entries),
        value=value,
        fields=found,
    )
