"""What a difference between two points is made of.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from eventstore.event import SecretContent
from eventstore.record import Entry
from projections.rows import Rows, SasDefinition, Secret, StorageAccount

Holder = Secret | StorageAccount | SasDefinition
"""What has a key of its own, or that of its account."""

Contents = Callable[[Holder, int], SecretContent | None]
"""The content at a position under its holder's key, or None if the key was destroyed."""


class Field(msgspec.Struct, frozen=True):
    """One attribute that differs.

    Of a list in the boundary, which may have a thousand rules, *before* holds what was taken away
    and *after* what was added.
    """

    name: str
    before: object
    after: object

    def __repr__(self) -> str:
        return f"Field(name={self.name!r})"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How one thing differs.  *causes* are positions of `changes`, oldest first.

    *kinds* are of: created, new-version, attributes, keys, deleted, recovered, purged, restored,
    recreated, policy, settings, boundary.  *value* is of: same, different, erased, `back to
    VERSION`, or empty where there is no value on one side; of a storage account it tells the keys.
    """

    what: str
    name: str
    kinds: tuple[str, ...]
    causes: tuple[int, ...]
    before: str | None = None
    after: str | None = None
    value: str = ""
    fields: tuple[Field, ...] = ()


class Sides(NamedTuple):
    """The two points: their rows, the live ones, and how contents are opened."""

    before: Rows
    after: Rows
    live: Rows
    contents: Contents


def causes(entries: list[Entry[Any]]) -> tuple[int, ...]:
    return tuple(entry.position for entry in entries)


def fields(before: object, after: object, *names: str) -> tuple[Field, ...]:
    """Those of the attributes *names* that differ."""
    pairs = [(name, getattr(before, name, None), getattr(after, name, None)) for name in names]
    return tuple(Field(*pair) for pair in pairs if pair[1] != pair[2])


def life(before: Holder | None, after: Holder | None, *, restored: bool) -> Iterable[str]:
    """What became of a thing: whether it came, went, or came back."""
    if before is None and after is not None:
        yield "restored" if restored else "created"
        if after.deleted_date is not None:
            yield "deleted"
    elif before is not None and after is None:
        yield "purged"
    elif before is not None and after is not None:
        if before.key != after.key:
            yield "purged"
            yield "restored" if restored else "recreated"
        if before.deleted_date is None and after.deleted_date is not None:
            yield "deleted"
        if before.deleted_date is not None and after.deleted_date is None:
            yield "recovered"
