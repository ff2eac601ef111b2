"""A point of a vault's past, and what it resolves to.  Pure but for the log that it asks.

Positions order and clocks label: a time resolves to the last record that is not later, and from
then on only the size of `changes` counts.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

import msgspec

from eventstore import head as heads
from eventstore.checkpoint import open_note, parse_checkpoint
from eventstore.errors import CheckpointSignatureInvalid, HistoryForked, PositionUnknown
from eventstore.transaction import Snapshot


class AtTime(msgspec.Struct, frozen=True):
    """As of a time, in microseconds since 1970."""

    time: int


class AfterEvent(msgspec.Struct, frozen=True):
    """As of right after the event at *position* of `changes`."""

    position: int


class AtCheckpoint(msgspec.Struct, frozen=True):
    """As of a signed checkpoint of `changes`."""

    note: str


Point = AtTime | AfterEvent | AtCheckpoint


class Resolved(NamedTuple):
    """The size of `changes` at a point, and the time of its last record then (0 if none)."""

    size: int
    time: int


def resolve(snapshot: Snapshot, point: Point) -> Resolved:
    """Raise PositionUnknown, CheckpointMalformed, CheckpointSignatureInvalid or HistoryForked."""
    match point:
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
