"""A point of a vault's past, as it is asked for, and what it turned out to be.  Pure.

Positions order and clocks label: a time means the last record that is not later, and from then on
only the size of `changes` counts.  `vault.resolving` finds it, for who is let in.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from eventstore.errors import (
    CheckpointMalformed,
    CheckpointSignatureInvalid,
    HistoryForked,
    PositionUnknown,
)


class Now(msgspec.Struct, frozen=True):
    """As of the newest event.  A clock that stepped back hides none of them."""


class AtTime(msgspec.Struct, frozen=True):
    """As of a time, in microseconds since 1970."""

    time: int


class AfterEvent(msgspec.Struct, frozen=True):
    """As of right after the event at *position* of `changes`."""

    position: int


class AtCheckpoint(msgspec.Struct, frozen=True):
    """As of a signed checkpoint of `changes`."""

    note: str


Point = int | Now | AtTime | AfterEvent | AtCheckpoint
"""A point; an int is the size that `changes` had."""


class Resolved(NamedTuple):
    """The size of `changes` at a point, and the time of its last record then (0 if none).

    Where a period begins or ends at a time, *time* is that time.
    """

    size: int
    time: int


Resolutions = dict[str, Resolved]
"""What the points in a command are, each under the name of its field."""

REFUSALS = (PositionUnknown, CheckpointMalformed, CheckpointSignatureInvalid, HistoryForked)
"""What is raised for a point that is none."""
