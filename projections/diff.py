"""What differs between two points of a vault, and which events did it.  Pure.

Only names that a record in between concerns are looked at, so the cost follows the changes and not
the history.  Values are compared and never shown: same, different, or that of an earlier version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from eventstore.events import (
    PolicyDeleted,
    PolicySet,
    SecretContent,
    SecretRestored,
    VaultCreated,
    VaultUpdated,
)
from eventstore.record import Entry
from projections.rows import (
    Policy,
    Rows,
    Secret,
    Settings,
    Table,
    Version,
    policy_key,
    secret_key,
    settings_key,
    version_key,
)
from projections.trail import name_of

Contents = Callable[[Secret, int], SecretContent | None]
"""The content at a position under a secret's key, or None if the key was destroyed."""

_COMPARED = 100
"""How many earlier versions a value is compared with."""


class Field(msgspec.Struct, frozen=True):
    """One attribute that differs."""

    name: str
    before: object
    after: object

    def __repr__(self) -> str:
        return f"Field(name={self.name!r})"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How one thing differs.  *causes* are positions of `changes`, oldest first.

    *kinds* are of: created, new-version, attributes, deleted, recovered, purged, restored,
    recreated, policy, settings.  *value* is of: same, different, erased, `back to VERSION`, or
    empty where there is no value on one side.
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
    """The two points: their rows, and how contents are opened."""

    before: Rows
    after: Rows
    contents: Contents


class _Touched(NamedTuple):
    secrets: dict[str, list[Entry[Any]]]
    policies: dict[str, list[Entry[Any]]]
    settings: list[Entry[Any]]


def diff(sides: Sides, between: Iterable[Entry[Any]]) -> list[Difference]:
    """All differences, by kind of thing and name; *between* are the records from A to B."""
    touched = _touched(between)
    found = [_settings(sides, touched.settings)] if touched.settings else []
    found += [_policy(sides, name, touched.policies[name]) for name in sorted(touched.policies)]
    found += [_secret(sides, touched.secrets[name]) for name in sorted(touched.secrets)]
    return [difference for difference in found if difference is not None]


def _touched(between: Iterable[Entry[Any]]) -> _Touched:
    touched = _Touched({}, {}, [])
    for entry in between:
        match entry.event:
            case VaultCreated() | VaultUpdated():
                touched.settings.append(entry)
            case PolicySet(object_id=who) | PolicyDeleted(object_id=who):
                touched.policies.setdefault(who, []).append(entry)
            case event if name := name_of(event):
                touched.secrets.setdefault(name.upper(), []).append(entry)
            case _:
                pass
    return touched


def _causes(entries: list[Entry[Any]]) -> tuple[int, ...]:
    return tuple(entry.position for entry in entries)


# --- rules ----------------------------------------------------------------------------------------


def _settings(sides: Sides, entries: list[Entry[Any]]) -> Difference | None:
    before = sides.before.get(settings_key(), Settings)
    after = sides.after.get(settings_key(), Settings)
    fields = _fields(before, after, "name", "retention_days", "purge_protection", "administrators")
    if not fields:
        return None
    return Difference(
        what="settings",
        name="" if after is None else after.name,
        kinds=("settings",),
        causes=_causes(entries),
        fields=fields,
    )


def _policy(sides: Sides, name: str, entries: list[Entry[Any]]) -> Difference | None:
    before = sides.before.get(policy_key(name), Policy)
    after = sides.after.get(policy_key(name), Policy)
    fields = _fields(before, after, "secrets", "storage")
    if (before is None) == (after is None) and not fields:
        return None
    return Difference(
        what="policy", name=name, kinds=("policy",), causes=_causes(entries), fields=fields
    )


def _fields(before: object, after: object, *names: str) -> tuple[Field, ...]:
    pairs = [(name, getattr(before, name, None), getattr(after, name, None)) for name in names]
    return tuple(Field(*pair) for pair in pairs if pair[1] != pair[2])


# --- secrets --------------------------------------------------------------------------------------


def _secret(sides: Sides, entries: list[Entry[Any]]) -> Difference | None:
    name = name_of(entries[0].event)
    before, after = (rows.get(secret_key(name), Secret) for rows in sides[:2])
    kinds = list(_life(before, after, entries))
    old, new = _current(sides.before, before), _current(sides.after, after)
    fields: tuple[Field, ...] = ()
    value = ""
    if before is not None and after is not None and old is not None and new is not None:
        fields = _attributes(sides, (before, old), (after, new))
        if before.current != after.current or before.key != after.key:
            kinds.append("new-version")
            value = _value(sides, (before, old), (after, new))
        elif fields:
            value = "same"
        if fields:
            kinds.append("attributes")
    if not kinds:
        return None
    shown = after or before
    assert shown is not None
    return Difference(
        what="secret",
        name=shown.name,
        kinds=tuple(kinds),
        causes=_causes(entries),
        before=None if before is None else before.current,
        after=None if after is None else after.current,
        value=value,
        fields=fields,
    )


def _life(before: Secret | None, after: Secret | None, entries: list[Entry[Any]]) -> Iterable[str]:
    restored = any(isinstance(entry.event, SecretRestored) for entry in entries)
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


def _current(rows: Rows, secret: Secret | None) -> Version | None:
    if secret is None:
        return None
    return rows.get(version_key(secret.name, secret.current), Version)


_Side = tuple[Secret, Version]


def _attributes(sides: Sides, before: _Side, after: _Side) -> tuple[Field, ...]:
    fields = _fields(before[1], after[1], "enabled", "nbf", "exp")
    old = sides.contents(before[0], before[1].content_at)
    new = sides.contents(after[0], after[1].content_at)
    if old is None or new is None:
        return fields
    return fields + _fields(old, new, "content_type", "tags")


def _value(sides: Sides, before: _Side, after: _Side) -> str:
    new = sides.contents(after[0], after[1].value_at)
    if new is None:
        return "erased"
    old = sides.contents(before[0], before[1].value_at)
    if old is not None and old.value == new.value:
        return "same"
    earlier = [
        version
        for _, version in sides.after.scan(Table.VERSIONS, Version, secret_key(after[0].name).owner)
        if version.value_at < after[1].value_at
    ]
    for version in sorted(earlier, key=lambda one: -one.value_at)[:_COMPARED]:
        content = sides.contents(after[0], version.value_at)
        if content is not None and content.value == new.value:
            return f"back to {version.version}"
    return "erased" if old is None else "different"
