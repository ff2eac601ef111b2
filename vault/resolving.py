"""What the points in a command are, in the snapshot that answers it.

Asked only once the caller is let in: the size of a log, and when what was recorded, is told to
nobody else.
"""

from __future__ import annotations

from functools import cache
from typing import Any, assert_never

from eventstore import head as heads
from eventstore.checkpoint import open_note, parse_checkpoint
from eventstore.errors import (
    CheckpointSignatureInvalid,
    HistoryForked,
    PositionUnknown,
)
from eventstore.transaction import Snapshot
from vault.commands import Command
from vault.history_commands import Restore
from vault.points import AfterEvent, AtCheckpoint, AtTime, Now, Point, Resolutions, Resolved

_STATE = "as_of"
_POINTS = (_STATE, "before", "after", "to")
_BOUNDS = ("since", "until")
_ALL = _POINTS + _BOUNDS


class Seen:
    """What a request has seen of `changes`: the size, and what the points in it are."""

    def __init__(self) -> None:
        self.size = 0
        self.points: Resolutions = {}

    @property
    def as_of(self) -> Resolved | None:
        return self.points.get(_STATE)

    @property
    def as_of_size(self) -> int | None:
        return None if self.as_of is None else self.as_of.size


def resolved(snapshot: Snapshot, command: Command[Any]) -> Resolutions:
    """What each point in *command* is.  Raise one of `vault.points.REFUSALS`."""
    asked: Command[Any] = command.plan if isinstance(command, Restore) else command
    # Most commands have no point in them, and each request asks.
    if not any(getattr(asked, name) is not None for name in _held(type(asked), _ALL)):
        return {}
    found = {name: resolve(snapshot, point) for name, point in _points_in(asked, _POINTS)}
    if _STATE in found and not found[_STATE].size:
        raise PositionUnknown("the vault did not exist yet")
    for name, point in _points_in(asked, _BOUNDS):
        # Until now is no bound: the newest change is older than what was read after it.
        if name != "until" or not isinstance(point, Now):
            found[name] = _bound(snapshot, point)
    return found


def _points_in(command: Command[Any], names: tuple[str, ...]) -> list[tuple[str, Point]]:
    # A list's `after` is a name, and no point.
    held = [(name, getattr(command, name)) for name in _held(type(command), names)]
    return [(name, one) for name, one in held if one is not None and isinstance(one, Point)]


@cache
def _held(kind: type[Command[Any]], names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in kind.__struct_fields__]


def resolve(snapshot: Snapshot, point: Point) -> Resolved:
    """The size of `changes` at *point*, and the time of its last record.  Raise as `resolved`."""
    match point:
        case int():
            size = point
        case Now():
            size = snapshot.size
        case AtTime(time=time):
            size = snapshot.size_at(time)
        case AfterEvent(position=position):
            size = position + 1
        case AtCheckpoint(note=note):
            size = _size_of(snapshot, note)
        case _:
            assert_never(point)
    if not 0 <= size <= snapshot.size:
        raise PositionUnknown(f"the log has no event #{size - 1}; it holds {snapshot.size}")
    return Resolved(size, snapshot.time_of(size - 1) if size else 0)


def _bound(snapshot: Snapshot, point: Point) -> Resolved:
    # Between two changes much may have been read: of a time, the time itself is the bound.
    found = resolve(snapshot, point)
    return found._replace(time=point.time) if isinstance(point, AtTime) else found


def _size_of(snapshot: Snapshot, note: str) -> int:
    checkpoint = parse_checkpoint(note)
    if checkpoint.origin != snapshot.identity.origin:
        raise CheckpointSignatureInvalid("the checkpoint is of another log")
    chain = heads.verifiers(snapshot.identity, snapshot.epochs)
    open_note(note, chain[snapshot.epochs.signing_index(checkpoint.size)])
    if checkpoint.size > snapshot.size or not snapshot.tree.extends(
        checkpoint.size, checkpoint.root
    ):
        raise HistoryForked("the log does not extend the history that the checkpoint fixed")
    return checkpoint.size
