"""How things stand at the heads of two copies that have a history in common.  Pure.

Each copy tells how what it touched stood where they parted, and how it stands now; what only the
other touched still stands as it did then.  Values are compared by fingerprint, which means something
only if both are under the key that the secret had when the copies parted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from eventstore.rule_events import BoundarySet
from projections import storage_diff
from projections.diff import BOUNDARY, POLICY, SETTINGS, differing
from projections.difference import Contents, Field, Holder
from projections.rows import (
    Boundary,
    Policy,
    Rows,
    SasDefinition,
    Secret,
    Settings,
    StorageAccount,
    Version,
    boundary_key,
    policy_key,
    sas_key,
    secret_key,
    settings_key,
    storage_key,
    version_key,
)

NOT_COMPARABLE = "not comparable"


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """How one thing stands: `active`, `deleted`, `absent`, or `set` if it is no secret.

    *same_key* says that its key is the one from where the copies parted.
    """

    state: str
    version: str | None = None
    fields: dict[str, object] = {}
    value_print: bytes = b""
    same_key: bool = True

    def __repr__(self) -> str:
        return f"Stand(state={self.state!r}, version={self.version!r})"


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that a copy touched: how it stood where the copies parted, and how it stands."""

    what: str
    name: str
    then: Stand
    now: Stand


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that differs between two heads.

    *value* is of: same, different, not comparable, or empty where one of them has none.
    """

    what: str
    name: str
    states: tuple[str, str]
    versions: tuple[str | None, str | None]
    value: str
    fields: tuple[Field, ...]


def touched(what: str, name: str, then: Rows, now: Rows, contents: Contents) -> Touched:
    """How a thing stood and stands in one copy."""
    if what in (storage_diff.WHAT_ACCOUNT, storage_diff.WHAT_DEFINITION):
        before, after = (_storage(rows, what, name, contents) for rows in (then, now))
        return Touched(what=what, name=name, then=before, now=after)
    if what != "secret":
        before, after = (_rule(rows, what, name) for rows in (then, now))
        return Touched(what=what, name=name, then=before, now=after)
    was = then.get(secret_key(name), Secret)
    key = None if was is None else was.key
    before, after = (_secret(rows, name, key, contents) for rows in (then, now))
    return Touched(what=what, name=name, then=before, now=after)


def _rule(rows: Rows, what: str, name: str) -> Stand:
    row: Policy | Settings | Boundary | BoundarySet | None
    shown: tuple[str, ...]
    if what == "policy":
        row, shown = rows.get(policy_key(name), Policy), POLICY
    elif what == "boundary":
        row, shown = rows.get(boundary_key(), Boundary), BOUNDARY
        row = row or BoundarySet()  # a vault without a boundary is open, as one that says nothing
    else:
        row, shown = rows.get(settings_key(), Settings), SETTINGS
    if row is None:
        return Stand(state="absent")
    return Stand(state="set", fields={field: getattr(row, field) for field in shown})


def _storage(rows: Rows, what: str, name: str, contents: Contents) -> Stand:
    row: StorageAccount | SasDefinition | None
    if what == storage_diff.WHAT_ACCOUNT:
        row = rows.get(storage_key(name), StorageAccount)
    else:
        row = rows.get(sas_key(*name.split("-", 1)), SasDefinition)
    if row is None:
        return Stand(state="absent")
    if isinstance(row, StorageAccount):
        place = row.tags_at
        shown, told = list(storage_diff.ACCOUNT), ["tags"]
    else:
        place = row.content_at
        shown, told = list(storage_diff.DEFINITION), ["template", "tags"]
    fields: dict[str, object] = {field: getattr(row, field) for field in shown}
    content = contents(row, place)
    if content is not None:
        fields |= {field: getattr(content, field) for field in told}
    return Stand(state=_state(row), fields=fields)


def _state(row: Holder) -> str:
    return "active" if row.deleted_date is None else "deleted"


def _secret(rows: Rows, name: str, key: int | None, contents: Contents) -> Stand:
    secret = rows.get(secret_key(name), Secret)
    if secret is None:
        return Stand(state="absent")
    version = rows.get(version_key(name, secret.current), Version)
    if version is None:
        return Stand(state="absent")
    fields: dict[str, object] = {
        "enabled": version.enabled,
        "nbf": version.nbf,
        "exp": version.exp,
    }
    content = contents(secret, version.content_at)
    if content is not None:
        fields |= {"content_type": content.content_type, "tags": content.tags}
    return Stand(
        state=_state(secret),
        version=version.version,
        fields=fields,
        value_print=version.value_print,
        same_key=secret.key == key,
    )


def apart(first: Iterable[Touched], second: Iterable[Touched]) -> Iterator[Apart]:
    """What differs between the heads of the two copies, by kind of thing and name."""
    sides = [{_place(one): one for one in side} for side in (first, second)]
    for place in sorted(sides[0].keys() | sides[1].keys()):
        mine, theirs = (side.get(place) for side in sides)
        known = mine or theirs
        assert known is not None
        # Who did not touch it has it as it was when they parted.
        stands = tuple(known.then if one is None else one.now for one in (mine, theirs))
        found = _compare(known, stands[0], stands[1])
        if found is not None:
            yield found


def _place(one: Touched) -> tuple[str, str]:
    folded = ("secret", storage_diff.WHAT_ACCOUNT, storage_diff.WHAT_DEFINITION)
    return one.what, one.name.upper() if one.what in folded else one.name


def _compare(known: Touched, first: Stand, second: Stand) -> Apart | None:
    value = _value(first, second)
    shown = {**first.fields, **second.fields}
    if known.what == "boundary":
        fields = differing(first.fields, second.fields)
    else:
        pairs = [(name, first.fields.get(name), second.fields.get(name)) for name in shown]
        fields = tuple(Field(*pair) for pair in pairs if pair[1] != pair[2])
    same = first.state == second.state and first.version == second.version
    if same and not fields and value in ("", "same"):
        return None
    return Apart(
        what=known.what,
        name=known.name,
        states=(first.state, second.state),
        versions=(first.version, second.version),
        value=value,
        fields=fields,
    )


def _value(first: Stand, second: Stand) -> str:
    if first.version is None or second.version is None:
        return ""
    if not (first.same_key and second.same_key and first.value_print and second.value_print):
        return NOT_COMPARABLE
    return "same" if first.value_print == second.value_print else "different"
