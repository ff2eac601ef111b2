"""Records of both logs, opened for reading, without any value.

Both logs are walked side by side in the order of their times, which strictly increase within each:
a time is found by halving, a name or a principal by its trail, and the newest records from the end.

Who asks is told how many records there are before the first is given, since the question is recorded
with their number.  So there are two walks, each up to the sizes that the logs had when it was asked,
and each in chunks with a snapshot of its own: what is held in memory, and how long LMDB must keep
old pages, does not grow with the history.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import islice, takewhile
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from eventstore.errors import PositionUnknown
from eventstore.log import Log
from eventstore.record import Entry
from eventstore.rule_events import BoundarySet
from eventstore.transaction import Snapshot
from projections.past import PastRows
from projections.rows import Mark, Rows, Table, by_name_key, by_principal_key
from projections.views import Views
from vault import names
from vault.answers import HistoryItem
from vault.history_commands import ReadHistory
from vault.points import Resolutions
from vault.refusals import PointsReversed
from vault.rules import RULE_EVENTS

CHUNK = 500
"""How many records are read from one snapshot."""

REMEMBERED = 65_536
"""So many places are kept from the first walk; if there are more, the second looks again."""

_SHOWN = {"type", "name", "object_id", "version", "at", "operation"}


class Source(NamedTuple):
    """One log at one moment, and the views that follow it."""

    snapshot: Snapshot
    rows: Rows


class Book(NamedTuple):
    """One log up to the size that it had when a question was asked."""

    log: Log
    views: Views
    size: int

    @contextmanager
    def opened(self) -> Iterator[Source]:
        """The log as it is now.  Hold it briefly."""
        with self.log.snapshot() as snapshot:
            yield Source(snapshot, self.views.rows(snapshot))


class Period(NamedTuple):
    """Times in microseconds: *start* included, *stop* not."""

    start: int
    stop: int | None


def period(points: Resolutions) -> Period:
    """What the bounds of a question are.  Raise PointsReversed."""
    since, until = points.get("since"), points.get("until")
    start, stop = 0 if since is None else since.time, None if until is None else until.time
    _refuse_reversed(start, stop)
    return Period(start, stop)


def _refuse_reversed(start: int | None, stop: int | None) -> None:
    """A period that ends before it begins is mistyped: that nothing happened in it would mislead."""
    if start is not None and stop is not None and stop < start:
        raise PointsReversed


Books = Mapping[str, Book]
Telling = Callable[[Source, HistoryItem, Entry[Any]], Any]
"""What is given of a record that fits."""


class Found(NamedTuple):
    """How many records fit; and where they are, if there are not too many to remember."""

    total: int
    places: Mapping[str, Sequence[int]] | None


def find(books: Books, command: ReadHistory) -> Found:
    """What *command* asks for.  Raise PointsReversed, or PositionUnknown for a point that is none."""
    _refuse_reversed(command.start, command.stop)
    _refuse_reversed(command.from_event, command.before_event)
    for point in (command.from_event, command.before_event):
        size = books["changes"].size
        if point is not None and point >= size:
            raise PositionUnknown(f"the log has no event #{point}; it holds {size}")
    asked = {log: books[log] for log in books if log in command.logs}
    if command.newest is None and not any(_must_look(log, command) for log in asked):
        windows = (_Window.of(log, book, command) for log, book in asked.items())
        return Found(sum(max(one.stop - one.first, 0) for one in windows), None)
    return _look(asked, command)


def _look(books: Books, command: ReadHistory) -> Found:
    backwards = command.newest is not None
    walks = [_walk(log, book, command, backwards) for log, book in books.items()]
    fitting = merge(*walks, key=itemgetter(0, 1), reverse=backwards)
    places = {log: array("Q") for log in books}
    count = 0
    for _, log, item in islice(fitting, command.newest):
        count += 1
        if backwards or count <= REMEMBERED:
            places[log].append(item.position)
    if backwards:
        return Found(count, {log: kept[::-1] for log, kept in places.items()})
    return Found(count, places if count <= REMEMBERED else None)


def tell(books: Books, command: ReadHistory, found: Found, telling: Telling) -> Iterator[Any]:
    """What *telling* makes of the records that were *found*, oldest first."""
    walks = [
        _read(log, book, command, telling, _places(log, book, command, found))
        for log, book in books.items()
        if log in command.logs
    ]
    for _, _, told in merge(*walks, key=itemgetter(0, 1)):
        yield told


def just_item(_: Source, item: HistoryItem, __: Entry[Any]) -> HistoryItem:
    """Tell the record itself."""
    return item


# --- walks ----------------------------------------------------------------------------------------


_Told = tuple[int, str, Any]
"""Time, log, and what is told: both logs are merged in this order."""


def _walk(log: str, book: Book, command: ReadHistory, backwards: bool) -> Iterator[_Told]:
    window = _Window.of(log, book, command)
    chunks = _backward(book, window) if backwards else _forward(book, window)
    yield from _read(log, book, command, just_item, chunks)


def _places(log: str, book: Book, command: ReadHistory, found: Found) -> Iterator[Sequence[int]]:
    if found.places is None:
        return _forward(book, _Window.of(log, book, command))
    kept = found.places[log]
    return (kept[at : at + CHUNK] for at in range(0, len(kept), CHUNK))


def _read(
    log: str,
    book: Book,
    command: ReadHistory,
    telling: Telling,
    chunks: Iterable[Sequence[int]],
) -> Iterator[_Told]:
    for chunk in chunks:
        told: list[_Told] = []
        with book.opened() as source:
            for position in chunk:
                entry = source.snapshot.entry(position)
                one = item(log, entry)
                if fits(one, command):
                    one = _with_change(source, one, entry)
                    told.append((entry.time, log, telling(source, one, entry)))
        yield from told


class _Window(NamedTuple):
    """Where in a log the records may be: from position *first* to *stop*, by the trail of *owner*."""

    first: int
    stop: int
    table: Table | None = None
    owner: bytes = b""

    @staticmethod
    def of(log: str, book: Book, command: ReadHistory) -> _Window:
        with book.log.snapshot() as snapshot:
            first = snapshot.size_at(command.start - 1) if command.start else 0
            stop = book.size
            if command.stop is not None:
                stop = min(stop, snapshot.size_at(command.stop - 1))
        if log == "changes":
            first = max(first, command.from_event or 0)
            stop = stop if command.before_event is None else min(stop, command.before_event)
        if not command.name and not (command.principal and log == "access"):
            return _Window(first, stop)
        book.views.keep_up(book.log)  # or each chunk would fold what is late
        if command.name:
            return _Window(first, stop, Table.BY_NAME, by_name_key(command.name, 0).owner)
        owner = by_principal_key(command.principal, 0).owner
        return _Window(first, stop, Table.BY_PRINCIPAL, owner)

    def positions(self, book: Book, most: int) -> Sequence[int]:
        """The first positions in it, at most so many."""
        if self.table is None:
            return range(self.first, min(self.stop, self.first + most))
        with book.opened() as source:
            marked = positions_of(source.rows, self.table, self.owner, self.first)
            return list(islice(takewhile(self.stop.__gt__, marked), most))


def _forward(book: Book, window: _Window) -> Iterator[Sequence[int]]:
    while chunk := window.positions(book, CHUNK):
        yield chunk
        window = window._replace(first=chunk[-1] + 1)


def _backward(book: Book, window: _Window) -> Iterator[Sequence[int]]:
    # A trail is scanned forwards only: so by parts of the log from its end, wider where marks are
    # few, and narrower where one part has more of them than a chunk may hold.
    width, stop = CHUNK, window.stop
    while stop > window.first:
        low = max(window.first, stop - width)
        chunk = window._replace(first=low, stop=stop).positions(book, CHUNK + 1)
        if len(chunk) > CHUNK:
            width //= 2
            continue
        if chunk:
            yield chunk[::-1]
        stop = low
        width = width if window.table is None else width * 2


def positions_of(rows: Rows, table: Table, owner: bytes, first: int = 0) -> Iterator[int]:
    """Where the marks of *owner* point to, from position *first* on."""
    after = (first - 1).to_bytes(8, "big") if first else b""
    for order, _ in rows.scan(table, Mark, owner, after):
        yield int.from_bytes(order, "big")


def tag(event: Any) -> str:
    """The tag of an event, as it stands in the record."""
    found: str = event.__struct_config__.tag
    return found


def operation(entry: Entry[Any]) -> str:
    """What was done, or was refused."""
    return getattr(entry.event, "operation", "") or tag(entry.event)


def item(log: str, entry: Entry[Any]) -> HistoryItem:
    """One record as it is shown."""
    event, context = entry.event, entry.context
    fields = msgspec.to_builtins(event)
    return HistoryItem(
        log=log,
        position=entry.position,
        time=entry.time,
        operation=operation(entry),
        principal=context.principal,
        auth=context.auth,
        outcome=context.outcome,
        rule=context.rule,
        name=fields.get("name") or fields.get("object_id", ""),
        version=fields.get("version", ""),
        address=context.address,
        agent=context.agent,
        request=context.request,
        cause=context.cause,
        application=context.application,
        at=fields.get("at"),
        details={key: value for key, value in fields.items() if key not in _SHOWN},
    )


def _with_change(source: Source, item: HistoryItem, entry: Entry[Any]) -> HistoryItem:
    """*item*, and if it is about a rule or a setting, what that was before and is after."""
    # What stands from then on is said whole; what they changed is told beside it.
    if not isinstance(entry.event, RULE_EVENTS):
        return item
    from projections import diff as differences  # most records are of secrets
    from projections.difference import Sides

    at = item.position
    sides = Sides(
        PastRows(source.rows, at), PastRows(source.rows, at + 1), source.rows, _no_content
    )
    fields = [one.fields for one in differences.diff(sides, [entry])]
    changed = msgspec.to_builtins(fields[0] if fields else ())
    # Lists of a thousand rules are told by what became of them.
    kept = {} if isinstance(entry.event, BoundarySet) else item.details
    return msgspec.structs.replace(item, details=kept | {"changed": changed})


def _no_content(*_: Any) -> None:
    """A rule has no content."""


def fits(item: HistoryItem, command: ReadHistory) -> bool:
    """Whether the record is one of those that *command* asks for, but for its time and number."""
    return (
        (not command.name or names.folded(command.name) in _names(item))
        and (not command.operation or item.operation == command.operation)
        and (not command.principal or item.principal == command.principal)
        and (not command.outcome or item.outcome == command.outcome)
        and (not command.refused or item.outcome != "ok")
        and (not command.address or item.address == command.address)
        and _is_between(item, command)
    )


def _names(item: HistoryItem) -> set[str]:
    """All names that the record is found by: see `projections.trail.names_of`."""
    sas, account = item.details.get("sas"), item.details.get("account")
    other = account or (f"{item.name}-{sas}" if sas else "")
    return {names.folded(item.name), names.folded(str(other))}


def _is_between(item: HistoryItem, command: ReadHistory) -> bool:
    at = item.position if item.log == "changes" else item.at
    return (command.from_event is None or (at is not None and at >= command.from_event)) and (
        command.before_event is None or (at is not None and at < command.before_event)
    )


def _must_look(log: str, command: ReadHistory) -> bool:
    """Whether only the record itself says if it fits."""
    filters = (command.name, command.operation, command.principal, command.outcome)
    return (
        any(filters)
        or command.refused
        or bool(command.address)
        or (
            log != "changes"
            and (command.from_event is not None or command.before_event is not None)
        )
    )
