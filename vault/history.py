"""Records of both logs, opened for reading, without any value.

Both logs are walked in the order of their times.  Clocks only label: each log is in the order of
its positions, and a filter by time skips and does not stop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import merge
from typing import Any

import msgspec

from eventstore.record import Entry
from eventstore.transaction import Snapshot
from vault import names
from vault.answers import HistoryItem
from vault.commands import ReadHistory

_SHOWN = {"type", "name", "object_id", "version", "at", "operation"}


def read(snapshots: dict[str, Snapshot], command: ReadHistory) -> list[HistoryItem]:
    """The records that *command* asks for, oldest first."""
    walks = [_walk(name, snapshot) for name, snapshot in snapshots.items() if name in command.logs]
    merged = merge(*walks, key=lambda item: (item.time, item.log, item.position))
    wanted: Iterable[HistoryItem] = (item for item in merged if _fits(item, command))
    return list(wanted if command.newest is None else deque(wanted, command.newest))


def _walk(log: str, snapshot: Snapshot) -> Iterator[HistoryItem]:
    for entry in snapshot.entries():
        yield item(log, entry)


def item(log: str, entry: Entry[Any]) -> HistoryItem:
    """One record as it is shown."""
    event, context = entry.event, entry.context
    fields = msgspec.to_builtins(event)
    refused = fields.get("operation", "")
    return HistoryItem(
        log=log,
        position=entry.position,
        time=entry.time,
        operation=refused or fields["type"],
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
        item.time >= command.start
        and (command.stop is None or item.time < command.stop)
        and (not command.name or names.folded(item.name) == names.folded(command.name))
        and (not command.operation or item.operation == command.operation)
        and (not command.principal or item.principal == command.principal)
        and (not command.outcome or item.outcome == command.outcome)
    )
