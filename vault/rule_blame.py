"""Since when each part of the boundary stands, and by whose hand.

Every boundary that ever stood is a row with its position, so they are walked from the first to the
last: a part that stays keeps the event that brought it.
"""

from __future__ import annotations

from collections.abc import Iterator

from eventstore.transaction import Snapshot
from projections.diff import BOUNDARY, pieces
from projections.rows import OPEN, Boundary, Rows, Table, boundary_key
from vault import answers, history

_Part = tuple[str, object]


def blame(changes: Snapshot, rows: Rows, size: int) -> Iterator[answers.BlameFact]:
    """Which event made each part of the boundary stand as of *size*; *rows* are the live ones."""
    since: dict[_Part, int] = dict.fromkeys(_parts(OPEN), OPEN.at)
    for boundary in _stood(rows):
        if boundary.at < size:
            since = {part: since.get(part, boundary.at) for part in _parts(boundary)}
    for (name, value), position in since.items():
        entry = changes.entry(position)
        yield answers.BlameFact(
            attribute=name,
            value=value,
            position=position,
            time=entry.time,
            operation=history.operation(entry),
            principal=entry.context.principal,
        )


def _stood(rows: Rows) -> Iterator[Boundary]:
    """Every boundary that stood, oldest first."""
    for _, boundary in rows.scan(Table.PAST_BOUNDARY, Boundary):
        yield boundary
    live = rows.get(boundary_key(), Boundary)
    if live is not None:
        yield live


def _parts(boundary: Boundary) -> Iterator[_Part]:
    for name in BOUNDARY:
        value = getattr(boundary, name)
        listed = pieces(value) if isinstance(value, tuple) else (value,)
        yield from ((name, one) for one in listed)
