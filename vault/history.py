"""Records of both logs, opened for reading, without any value.

Both logs are walked side by side in the order of their times, which strictly increase within each:
a time is found by halving, a name or a principal by its trail, and the newest records from the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice, takewhile
from typing import Any, NamedTuple

import msgspec

from eventstore.record import ACCESS, Entry
from eventstore.transaction import Snapshot
from projections.rows import Mark, Rows, Table, by_name_key, by_principal_key
from vault import names
from vault.answers import HistoryItem
from vault.commands import ReadHistory

_SHOWN = {"type", "name", "object_id", "version", "at", "operation"}


class Source(NamedTuple):
    """One log at one moment, and the trail through it."""

    snapshot: Snapshot
    rows: Rows


def read(sources: dict[str, Source], command: ReadHistory) -> list[HistoryItem]:
    """The records that *command* asks for, oldest first."""
    backwards = command.newest is not None
    walks = [
        _walk(name, source, command, backwards)
        for name, source in sources.items()
        if name in command.logs
    ]
    merged = merge(*walks, key=lambda item: (item.time, item.log), reverse=backwards)
    found = list(islice((one for one in merged if _fits(one, command)), command.newest))
    return found[::-1] if backwards else found


def _walk(log: str, source: Source, command: ReadHistory, backwards: bool) -> Iterator[HistoryItem]:
    positions = _positions(source, command)
    for position in reversed(positions) if backwards else positions:
        yield item(log, source.snapshot.entry(position))


def _positions(source: Source, command: ReadHistory) -> Sequence[int]:
    """Where the records may be: by the trail of a name, or in `access` of a principal."""
    snapshot = source.snapshot
    first = snapshot.size_at(command.start - 1) if command.start else 0
    stop = snapshot.size if command.stop is None else snapshot.size_at(command.stop - 1)
    if command.name:
        table, owner = Table.BY_NAME, by_name_key(command.name, 0).owner
    elif command.principal and snapshot.identity.kind is ACCESS:
        table, owner = Table.BY_PRINCIPAL, by_principal_key(command.principal, 0).owner
    else:
        return range(first, stop)
    return list(takewhile(stop.__gt__, positions_of(source.rows, table, owner, first)))


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
        at=fields.get("at"),
        details={key: value for key, value in fields.items() if key not in _SHOWN},
    )


def _fits(item: HistoryItem, command: ReadHistory) -> bool:
    return (
        (not command.name or names.folded(item.name) == names.folded(command.name))
        and (not command.operation or item.operation == command.operation)
        and (not command.principal or item.principal == command.principal)
        and (not command.outcome or item.outcome == command.outcome)
    )
