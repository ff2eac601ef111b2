"""Which records concern a name or a principal, and which versions a principal has read.  Pure.

Kept for both logs: a mark for each record under the name that it is about.  For `access`, where the
many records are, also one under its principal, and the exposure of each principal: every version it
ever read, with how often and when, which is what must be changed after that principal leaked.
"""

from __future__ import annotations

from typing import Any

from eventstore.events import SecretRead
from eventstore.record import Entry
from projections.rows import (
    Exposure,
    Mark,
    Put,
    Rows,
    by_name_key,
    by_principal_key,
    exposure_key,
)

_MARK = Mark()


def name_of(event: Any) -> str:
    """The secret's name that *event* is about, or the principal whose policy it is, or nothing."""
    name: str = getattr(event, "name", "") or getattr(event, "object_id", "")
    return name


def marks(entry: Entry[Any]) -> list[Put]:
    """The mark of *entry* under the name that it is about."""
    name = name_of(entry.event)
    return [Put(by_name_key(name, entry.position), _MARK)] if name else []


def apply(rows: Rows, entry: Entry[Any]) -> list[Put]:
    """All rows of `access` that *entry* changes."""
    puts = [*marks(entry), Put(by_principal_key(entry.context.principal, entry.position), _MARK)]
    if isinstance(entry.event, SecretRead):
        puts.append(_exposed(rows, entry, entry.event))
    return puts


def _exposed(rows: Rows, entry: Entry[Any], event: SecretRead) -> Put:
    key, at = exposure_key(entry.context.principal, event.version), entry.position
    known = rows.get(key, Exposure)
    first, count = (at, 0) if known is None else (known.first, known.count)
    return Put(key, Exposure(event.name, event.version, first, at, count + 1))
