"""Between which two moments a record came, by the word of others.  Pure.

A log's own times are its operator's.  Whoever saw a checkpoint from outside bounds the records that
it covers from above, and, if it is a witness, those that it does not cover yet from below.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple


class Seen(NamedTuple):
    """That *source* vouches for the log's first *size* records at *time* (microseconds, UTC).

    *witnessed* says that the source tells the newest checkpoint from an older one.  A witness does
    and a time-stamping authority does not: it stamps whatever it is given.  *since* is the time that
    counts from below, if that is another: of several witnesses each bound is what enough of them say.
    """

    size: int
    time: int
    source: str
    witnessed: bool
    since: int | None = None


class Brackets:
    """The bracket of any record, by all that was *seen*."""

    def __init__(self, seen: Iterable[Seen]) -> None:
        found = sorted(seen, key=lambda one: one.size)
        self._sizes = [one.size for one in found]
        # The last word on this many or fewer, and the first on this many or more.
        self._after = list(accumulate([None, *found], _later))[1:]
        self._before = list(accumulate([None, *reversed(found)], _earlier))[:0:-1]

    def of(self, position: int) -> tuple[Seen | None, Seen | None]:
        """The last word from before the record at *position* came, and the first from after that.

        Any word on more records bounds it from above.  From below it is only bounded by a witness:
        an old checkpoint can be stamped today, but a witness that knows a newer one refuses it.
        """
        at = bisect_right(self._sizes, position)
        after = self._after[at - 1] if at else None
        before = self._before[at] if at < len(self._before) else None
        return after, before and before._replace(since=None)


def _later(known: Seen | None, one: Seen | None) -> Seen | None:
    if one is None or not one.witnessed:
        return known
    if one.since is not None:
        one = one._replace(time=one.since, since=None)
    return one if known is None or one.time > known.time else known


def _earlier(known: Seen | None, one: Seen | None) -> Seen | None:
    if one is None or (known is not None and known.time <= one.time):
        return known
    return one


def bracket(seen: Iterable[Seen], position: int) -> tuple[Seen | None, Seen | None]:
    """The bracket of one record; see `Brackets.of`."""
    return Brackets(seen).of(position)
