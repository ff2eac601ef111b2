"""How values left the vault: by a read, in a backup blob, or with a copy of the whole vault.

Found by index, never by a walk through the history: a read and a blob by the trail of its name and
by the exposure of its principal, a copy by its mark.  What a copy held is told by the rows as of its
point: a principal who copied costs a look at all secrets, since all are what it was given.
Attributes are no values: who only listed or looked is not named here.  An auditor is, who was granted
a period in which something was done with the secret, and said to have had no value.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from heapq import merge
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from eventstore.access_events import SecretRead, VaultRead
from eventstore.events import AuditGranted, SecretBackedUp
from eventstore.record import Entry
from eventstore.transaction import Snapshot
from projections.past import PastRows, since
from projections.rows import (
    Erased,
    Exposure,
    Known,
    R,
    Rows,
    Secret,
    Settings,
    Table,
    Version,
    backed_up_key,
    by_name_key,
    copied_key,
    erased_key,
    exposure_key,
    granted_key,
    owner_of,
    past_of,
    secret_key,
    settings_key,
    version_key,
)
from projections.trail import ANYBODY, COPY
from vault import answers, history, names, storage_history
from vault.history_commands import Exposed, WhoRead

if TYPE_CHECKING:
    from vault.forensics import Logs

_ZERO = "0" * 32
_POSITION_SIZE = 8
_RANK = {
    "current": 0,
    storage_history.VALID: 0,
    "older": 1,
    "deleted": 2,
    "purged": 3,
    storage_history.VOID: 4,
    storage_history.EXPIRED: 5,
}


# --- who read -------------------------------------------------------------------------------------


def who_read(logs: Logs, command: WhoRead, period: history.Period) -> Iterator[answers.ReadFact]:
    """Every time that a value of a secret was given out, oldest first."""
    names.check_name(command.name)
    version = names.check_version(command.version) if command.version else ""
    walks = (
        _walk(logs.access, logs.trail, command.name, period, by_name_key, _read_of(version)),
        _walk(
            logs.access,
            logs.trail,
            command.name,
            period,
            _copied_by_anybody,
            _copy_of(logs, version),
        ),
        _walk(
            logs.changes, logs.rows, command.name, period, backed_up_key, _backup_of(logs, version)
        ),
        _walk(logs.changes, logs.rows, command.name, period, _granted_to_anybody, _grant_of(logs)),
        _walk(
            logs.changes,
            logs.rows,
            command.name,
            period,
            _account_backed_up,
            _account_backup(version),
        ),
    )
    yield from merge(*walks, key=lambda fact: (fact.time, fact.log))


_Telling = Callable[[str, Entry[Any]], answers.ReadFact | None]


def _walk(
    snapshot: Snapshot,
    rows: Rows,
    name: str,
    period: history.Period,
    key: Callable[..., Any],
    tell: _Telling,
) -> Iterator[answers.ReadFact]:
    """What *tell* makes of the records in the period that are marked at *key*."""
    place = key(name, 0)
    first = snapshot.size_at(period.start - 1) if period.start else 0
    for position in history.positions_of(rows, place.table, place.owner, first):
        entry = snapshot.entry(position)
        if period.stop is not None and entry.time >= period.stop:
            return  # times strictly increase with positions
        fact = tell(name, entry)
        if fact is not None:
            yield fact


def _copied_by_anybody(_: str, position: int) -> Any:
    return copied_key(ANYBODY, position)


def _granted_to_anybody(_: str, position: int) -> Any:
    return granted_key(position)


def _account_backed_up(name: str, position: int) -> Any:
    return backed_up_key(owner_of(name), position)


def _account_backup(version: str) -> _Telling:
    def tell(name: str, entry: Entry[Any]) -> answers.ReadFact | None:
        if version or not storage_history.is_blob_of(entry.event, name):
            return None
        return _fact(entry, entry.event.name, entry.position, how="backup", log="changes")

    return tell


def _read_of(version: str) -> _Telling:
    def tell(name: str, entry: Entry[Any]) -> answers.ReadFact | None:
        event = entry.event
        if not version and storage_history.is_token_of(event, name):
            told = {"how": "token", "key_name": event.key_name, "expires": event.expires}
            return _fact(entry, event.name, event.at, **told)
        # A mark is not sealed: one that was put elsewhere must not name a wrong secret.
        if not isinstance(event, SecretRead) or names.folded(event.name) != names.folded(name):
            return None
        if version and event.version != version:
            return None
        return _fact(entry, event.name, event.at, version=event.version, as_of=event.as_of)

    return tell


def _backup_of(logs: Logs, version: str) -> _Telling:
    def tell(name: str, entry: Entry[Any]) -> answers.ReadFact | None:
        event, at = entry.event, entry.position
        if not isinstance(event, SecretBackedUp) or names.folded(event.name) != names.folded(name):
            return None
        if version and logs.as_of(at).get(version_key(name, version), Version) is None:
            return None
        return _fact(entry, event.name, at, how="backup", log="changes")

    return tell


def _copy_of(logs: Logs, version: str) -> _Telling:
    def tell(name: str, entry: Entry[Any]) -> answers.ReadFact | None:
        copy = _copy(entry)
        if copy is None:
            return None
        then = PastRows(logs.rows, copy.as_of)
        secret = then.get(secret_key(name), Secret)
        if secret is None or not copy.holds(logs.rows, secret):
            return None
        if version and then.get(version_key(name, version), Version) is None:
            return None
        event = entry.event
        return _fact(entry, secret.name, event.at, how="copy", as_of=event.as_of)

    return tell


def _grant_of(logs: Logs) -> _Telling:
    def tell(name: str, entry: Entry[Any]) -> answers.ReadFact | None:
        event, at = entry.event, entry.position
        if not isinstance(event, AuditGranted):
            return None
        parts = ((logs.rows, event.changes), (logs.trail, event.access))
        if not any(_concerned(rows, name, run) for rows, run in parts):
            return None
        fact = _fact(entry, name, at, how="metadata", log="changes")
        return replace(fact, principal=f"auditor:{event.auditor}")

    return tell


def _concerned(rows: Rows, name: str, run: tuple[int, int]) -> bool:
    """Whether one of the records in *run* is about *name*."""
    place = by_name_key(name, 0)
    marked = history.positions_of(rows, place.table, place.owner, run[0])
    return next(marked, run[1]) < run[1]


def _fact(entry: Entry[Any], name: str, at: int, **rest: Any) -> answers.ReadFact:
    context = entry.context
    return answers.ReadFact(
        position=entry.position,
        time=entry.time,
        principal=context.principal,
        auth=context.auth,
        name=name,
        version=rest.pop("version", ""),
        rule=context.rule,
        address=context.address,
        at=at,
        **rest,
    )


# --- copies ---------------------------------------------------------------------------------------


class _Copy(NamedTuple):
    """A copy of the vault: which size of `changes` it is of, at which it was made, and its record."""

    as_of: int
    made: int
    position: int

    def holds(self, rows: Rows, secret: Secret) -> bool:
        """Whether the secret as of then is in it: active, and not purged before it was made."""
        erased = rows.get(erased_key(secret.key), Erased)
        return secret.deleted_date is None and (erased is None or erased.at >= self.made)


def _copy(entry: Entry[Any]) -> _Copy | None:
    event = entry.event
    if not isinstance(event, VaultRead) or event.what != COPY or event.as_of is None:
        return None
    return _Copy(event.as_of, event.at, entry.position)


def _copied(rows: Rows, copies: list[_Copy]) -> Iterator[Exposure]:
    """Every version that is in one of *copies*, once: a row's past is read once for all of them."""
    ordered = sorted(copies)
    for _, known in rows.scan(Table.KNOWN_SECRETS, Known) if copies else ():
        owner = secret_key(known.name).owner
        held = [
            copy
            for first, last, secret in _spans(rows, Table.SECRETS, Secret, owner)
            for copy in _within(ordered, first, last)
            if copy.holds(rows, secret)
        ]
        ends: dict[tuple[str, int], int] = {}
        for _, last, version in _spans(rows, Table.VERSIONS, Version, owner):
            place = (version.version, version.value_at)
            ends[place] = max(last, ends.get(place, 0))
        for (version_id, made), last in ends.items():
            positions = [copy.position for copy in _within(held, made + 1, last)]
            if positions:
                low, high = min(positions), max(positions)
                yield Exposure(known.name, version_id, low, high, len(positions))


def _spans(rows: Rows, table: Table, kind: type[R], owner: bytes) -> Iterator[tuple[int, int, R]]:
    """Each row that *owner* had, with the first and the last size of `changes` that it stood at."""
    for order, row in rows.scan(past_of(table), kind, owner):
        yield since(row) + 1, int.from_bytes(order[-_POSITION_SIZE:], "big"), row
    for _, row in rows.scan(table, kind, owner):
        yield since(row) + 1, sys.maxsize, row


def _within(copies: list[_Copy], first: int, last: int) -> list[_Copy]:
    """Those of *copies*, which are in order, that are of a size from *first* to *last*."""
    return copies[bisect_left(copies, (first,)) : bisect_left(copies, (last + 1,))]


# --- exposure -------------------------------------------------------------------------------------


class _Given(NamedTuple):
    """A way in which a version was given out, and the log that says so."""

    how: str
    log: str
    row: Exposure


def exposure(logs: Logs, command: Exposed) -> list[answers.ExposureFact]:
    """Every version that the principal was ever given, those that are still current first."""
    ways: dict[str, list[_Given]] = {}
    for given in _given(logs, command.principal):
        ways.setdefault(given.row.version, []).append(given)
    time_of = {
        "changes": cache(logs.changes.time_of),
        "access": cache(logs.access.time_of),
    }
    found = [_exposed(logs, given, time_of) for given in ways.values()]
    found += storage_history.exposure(logs, command.principal, time_of["access"])
    return sorted(found, key=lambda fact: (_RANK[fact.status], names.folded(fact.name), fact.first))


def _given(logs: Logs, principal: str) -> Iterator[_Given]:
    owner = exposure_key(principal, _ZERO).owner
    for how, log, rows in (("read", "access", logs.trail), ("backup", "changes", logs.rows)):
        for _, row in rows.scan(Table.EXPOSURE, Exposure, owner):
            yield _Given(how, log, row)
    copied = copied_key(principal, 0)
    marked = history.positions_of(logs.trail, copied.table, copied.owner)
    entries = (logs.access.entry(position) for position in marked)
    copies = (_copy(entry) for entry in entries if entry.context.principal == principal)
    for row in _copied(logs.rows, [copy for copy in copies if copy is not None]):
        yield _Given("copy", "access", row)


def _exposed(
    logs: Logs, given: list[_Given], time_of: Mapping[str, Callable[[int], int]]
) -> answers.ExposureFact:
    firsts = [(time_of[one.log](one.row.first), one.log, one.row.first) for one in given]
    lasts = [(time_of[one.log](one.row.last), one.log, one.row.last) for one in given]
    (first_time, first_log, first), (last_time, last_log, last) = min(firsts), max(lasts)
    row = given[0].row
    return answers.ExposureFact(
        name=row.name,
        version=row.version,
        status=_status(logs, row),
        count=sum(one.row.count for one in given),
        first=first,
        last=last,
        first_time=first_time,
        last_time=last_time,
        how=tuple(dict.fromkeys(one.how for one in given)),
        first_log=first_log,
        last_log=last_log,
    )


def _status(logs: Logs, row: Exposure) -> str:
    secret = logs.rows.get(secret_key(row.name), Secret)
    version = logs.rows.get(version_key(row.name, row.version), Version)
    settings = logs.rows.get(settings_key(), Settings)
    if secret is None or version is None or (settings is not None and settings.purged):
        return "purged"
    if secret.deleted_date is not None:
        return "deleted"
    return "current" if _is_current(logs, secret, version) else "older"


def _is_current(logs: Logs, secret: Secret, version: Version) -> bool:
    """Whether its value is the one that is given out now: perhaps again, under a newer version."""
    now = logs.rows.get(version_key(secret.name, secret.current), Version)
    return now is not None and now.value_print == version.value_print
