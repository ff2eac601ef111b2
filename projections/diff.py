"""What differs between two points of a vault, and which events did it.  Pure.

Only names that a record in between concerns are looked at, so the cost follows the changes and not
the history.  Values are compared by fingerprint and never shown: same, different, or that of an earlier version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from eventstore.events import SecretRestored, SecretUpdated
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
    VirtualNetwork,
)
from projections import storage, storage_diff
from projections.difference import Difference, Field, Sides, causes, fields, life
from projections.rows import (
    Boundary,
    Mark,
    Policy,
    Rows,
    Secret,
    Settings,
    Table,
    Version,
    boundary_key,
    holder,
    policy_key,
    secret_key,
    settings_key,
    version_key,
)
from projections.trail import name_of


class _Touched(NamedTuple):
    secrets: dict[str, list[Entry[Any]]]
    policies: dict[str, list[Entry[Any]]]
    accounts: dict[str, list[Entry[Any]]]
    definitions: dict[tuple[str, str], list[Entry[Any]]]
    settings: list[Entry[Any]]
    boundary: list[Entry[Any]]


def diff(sides: Sides, between: Iterable[Entry[Any]]) -> list[Difference]:
    """All differences, by kind of thing and name; *between* are the records from A to B."""
    touched = _touched(between)
    found = [_settings(sides, touched.settings)] if touched.settings else []
    found += [_boundary(sides, touched.boundary)] if touched.boundary else []
    found += [_policy(sides, name, touched.policies[name]) for name in sorted(touched.policies)]
    found += [_secret(sides, touched.secrets[name]) for name in sorted(touched.secrets)]
    found += [storage_diff.account(sides, one) for _, one in sorted(touched.accounts.items())]
    found += [storage_diff.definition(sides, one) for _, one in sorted(touched.definitions.items())]
    return [difference for difference in found if difference is not None]


def _touched(between: Iterable[Entry[Any]]) -> _Touched:
    touched = _Touched({}, {}, {}, {}, [], [])
    for entry in between:
        match entry.event:
            case (
                VaultCreated() | VaultUpdated() | VaultDeleted() | VaultRecovered() | VaultPurged()
            ):
                touched.settings.append(entry)
            case PolicySet() | PolicyDeleted() as event:
                who = holder(event.object_id, event.application_id)
                touched.policies.setdefault(who, []).append(entry)
            case BoundarySet():
                touched.boundary.append(entry)
            case event if isinstance(event, storage.AccountEvent):
                touched.accounts.setdefault(event.name.upper(), []).append(entry)
            case event if isinstance(event, storage.DefinitionEvent):
                place = (event.name.upper(), event.sas.upper())
                touched.definitions.setdefault(place, []).append(entry)
            case event if name := name_of(event):
                touched.secrets.setdefault(name.upper(), []).append(entry)
            case _:
                pass
    return touched


# --- rules ----------------------------------------------------------------------------------------

SETTINGS = (
    "name",
    "retention_days",
    "purge_protection",
    "administrators",
    "resource_group",
    "location",
    "sku",
    "vault_tags",
    "enabled_for",
    "deleted_date",
    "scheduled_purge",
    "purged",
)
BOUNDARY = BoundarySet.__struct_fields__
POLICY = ("secrets", "storage")


def _settings(sides: Sides, entries: list[Entry[Any]]) -> Difference | None:
    before = sides.before.get(settings_key(), Settings)
    after = sides.after.get(settings_key(), Settings)
    found = fields(before, after, *SETTINGS)
    if not found:
        return None
    return Difference(
        what="settings",
        name="" if after is None else after.name,
        kinds=("settings",),
        causes=causes(entries),
        fields=found,
    )


def _boundary(sides: Sides, entries: list[Entry[Any]]) -> Difference | None:
    found = boundary_fields(*(rows.get(boundary_key(), Boundary) for rows in sides[:2]))
    if not found:
        return None
    return Difference(
        what="boundary", name="", kinds=("boundary",), causes=causes(entries), fields=found
    )


def boundary_fields(before: Boundary | None, after: Boundary | None) -> tuple[Field, ...]:
    """What differs; a vault without a boundary is open, as one is that says nothing."""
    sides = [before or BoundarySet(), after or BoundarySet()]
    return differing(*({name: getattr(side, name) for name in BOUNDARY} for side in sides))


def differing(
    before: Mapping[str, object], after: Mapping[str, object], shown: Iterable[str] = BOUNDARY
) -> tuple[Field, ...]:
    """What differs between two boundaries; of a list only what is in one of them."""
    found = []
    for name in shown:
        was, now = before.get(name), after.get(name)
        if isinstance(was, tuple) and isinstance(now, tuple):
            old, new = pieces(was), pieces(now)
            was = tuple(one for one in old if one not in new)
            now = tuple(one for one in new if one not in old)
        if was != now:
            found.append(Field(name, was, now))
    return tuple(found)


def pieces(listed: tuple[object, ...]) -> dict[object, None]:
    """The parts of a list, in their order; a network comes apart into its subnets."""
    found: dict[object, None] = {}
    for one in listed:
        if isinstance(one, VirtualNetwork) and one.subnets:
            found |= {replace(one, subnets=(subnet,)): None for subnet in one.subnets}
        else:
            found[one] = None
    return found


def _policy(sides: Sides, name: str, entries: list[Entry[Any]]) -> Difference | None:
    before = sides.before.get(policy_key(name), Policy)
    after = sides.after.get(policy_key(name), Policy)
    found = fields(before, after, *POLICY)
    if (before is None) == (after is None) and not found:
        return None
    return Difference(
        what="policy", name=name, kinds=("policy",), causes=causes(entries), fields=found
    )


# --- secrets --------------------------------------------------------------------------------------


def _secret(sides: Sides, entries: list[Entry[Any]]) -> Difference | None:
    name = name_of(entries[0].event)
    before, after = (rows.get(secret_key(name), Secret) for rows in sides[:2])
    restored = any(isinstance(entry.event, SecretRestored) for entry in entries)
    kinds = list(life(before, after, restored=restored))
    old, new = _current(sides.before, before), _current(sides.after, after)
    differing: tuple[Field, ...] = ()
    value = ""
    if before is not None and after is not None and old is not None and new is not None:
        differing = _attributes(sides, (before, old), (after, new))
        if before.current != after.current or before.key != after.key:
            kinds.append("new-version")
            value = _value(sides, (before, old), (after, new))
        elif differing:
            value = "same"
        differing += _older_versions(sides, before, after, entries)
        if differing:
            kinds.append("attributes")
    if not kinds:
        return None
    shown = after or before
    assert shown is not None
    return Difference(
        what="secret",
        name=shown.name,
        kinds=tuple(kinds),
        causes=causes(entries),
        before=None if before is None else before.current,
        after=None if after is None else after.current,
        value=value,
        fields=differing,
    )


def _older_versions(
    sides: Sides, before: Secret, after: Secret, entries: list[Entry[Any]]
) -> tuple[Field, ...]:
    """What differs in versions that are not the newest; each field begins with its version."""
    touched = {entry.event.version for entry in entries if isinstance(entry.event, SecretUpdated)}
    found: list[Field] = []
    for version in sorted(touched - {after.current}):
        old, new = (rows.get(version_key(after.name, version), Version) for rows in sides[:2])
        if old is not None and new is not None:
            differing = _attributes(sides, (before, old), (after, new))
            found += [Field(f"{version} {one.name}", one.before, one.after) for one in differing]
    return tuple(found)


def _current(rows: Rows, secret: Secret | None) -> Version | None:
    if secret is None:
        return None
    return rows.get(version_key(secret.name, secret.current), Version)


_Side = tuple[Secret, Version]


def _attributes(sides: Sides, before: _Side, after: _Side) -> tuple[Field, ...]:
    found = fields(before[1], after[1], "enabled", "nbf", "exp")
    if before[1].content_print == after[1].content_print and before[0].key == after[0].key:
        return found
    old = sides.contents(before[0], before[1].content_at)
    new = sides.contents(after[0], after[1].content_at)
    if old is None or new is None:
        return found
    return found + fields(old, new, "content_type", "tags")


def _value(sides: Sides, before: _Side, after: _Side) -> str:
    (was, old), (now, new) = before, after
    if was.key != now.key or not new.value_print:
        return "erased"
    if old.value_print == new.value_print:
        return "same"
    earlier = [
        version
        for version in _with_print(sides, now.name, new.value_print)
        if version.value_at < new.value_at
    ]
    if earlier:
        return f"back to {max(earlier, key=lambda one: one.value_at).version}"
    return "different"


def _with_print(sides: Sides, name: str, value_print: bytes) -> Iterable[Version]:
    """The versions whose value has that fingerprint."""
    owner = secret_key(name).owner
    for order, _ in sides.live.scan(Table.PRINTS, Mark, owner, value_print):
        if not order.startswith(value_print):
            return
        version = sides.after.get(version_key(name, order[len(value_print) :].hex()), Version)
        if version is not None:
            yield version
