"""Records as they come: both logs read on from a cursor, again and again.

Looking whether a log has grown is free; asking for what is new is a question that the vault records
like any other.  So a log is asked only if somebody else has written to it.  Two who follow one vault
would still wake each other for ever: whoever sees nothing but such questions waits longer each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

from cli.cursor import Cursor
from cli.session import Session

if TYPE_CHECKING:
    from vault.answers import HistoryItem
    from vault.history_commands import ReadHistory
    from vault.points import Resolutions
    from vault.service import Vault

_LONGEST = 64
"""How many times its interval a follower waits at most."""

_PART = 500
"""How many records are told before the cursor moves."""

_QUESTION = "history.read"


def _order(item: HistoryItem) -> tuple[int, str]:
    return item.time, item.log


class Follower:
    """One reader of a vault's logs."""

    def __init__(self, session: Session, vault: Vault, asked: ReadHistory, cursor: Cursor) -> None:
        self._session = session
        self._vault = vault
        self._asked = asked
        self.cursor = cursor
        self.points: Resolutions = {}
        self._quiet: dict[str, int] = {}

    def news(self) -> Iterator[list[HistoryItem]]:
        """What was recorded since the cursor, in parts; it moves behind each, the last is empty.

        Raise PositionUnknown.
        """
        before = self._sizes()
        walks = [
            self._ask(log, before[log])
            for log in self._asked.logs
            if before[log] - 1 != self.cursor.of(log) and before[log] != self._quiet.get(log)
        ]
        after = self._sizes()
        if after["access"] == before["access"] + len(walks):
            # All that came since are our own questions.
            self._quiet["access"] = after["access"]
        yield from self._moving(merge(*walks, key=_order), before)

    def newest(self) -> Iterator[list[HistoryItem]]:
        """The newest records that were asked for, with the cursor at the end of both logs."""
        before = self._sizes()
        return self._moving(self._asked_for(self._asked), before)

    def follow(self, interval: float, tell: Callable[[Sequence[HistoryItem]], None]) -> None:
        """Give what is new to *tell*, until somebody interrupts."""
        waits = 1
        while True:
            time.sleep(interval * waits)
            some = only_questions = False
            for found in self.news():
                tell(found)
                idle = all(item.operation == _QUESTION for item in found)
                only_questions = idle and (only_questions or not some)
                some = some or bool(found)
            if some:
                waits = min(waits * 2, _LONGEST) if only_questions else 1

    def forget_filters(self) -> None:
        """From now on all records are asked for; whoever is told picks."""
        from vault.history_commands import ReadHistory

        self._asked = ReadHistory(logs=self._asked.logs, start=self._asked.start)

    def _moving(
        self, found: Iterator[HistoryItem], sizes: dict[str, int]
    ) -> Iterator[list[HistoryItem]]:
        while some := list(islice(found, _PART)):
            for item in some:
                self._move(item.log, item.position)
            yield some
        for log in self._asked.logs:
            self._move(log, sizes[log] - 1)
        yield []

    def _move(self, log: str, position: int) -> None:
        self.cursor = self.cursor.moved(log, max(position, self.cursor.of(log)))

    def _sizes(self) -> dict[str, int]:
        return {
            "changes": self._vault.changes.head().size,
            "access": self._vault.access.head().size,
        }

    def _ask(self, log: str, size: int) -> Iterator[HistoryItem]:
        from msgspec.structs import replace

        seen = self.cursor.of(log)
        start = max(self._asked.start, self._time_after(log, seen, size))
        asked = replace(self._asked, logs=(log,), start=start)
        return self._asked_for(asked)

    def _asked_for(self, asked: ReadHistory) -> Iterator[HistoryItem]:
        found, self.points = self._vault.retell(self._session.caller, asked)
        return found

    def _time_after(self, log: str, seen: int, size: int) -> int:
        """The first moment after the record that was seen last: times increase with positions."""
        from eventstore.errors import PositionUnknown

        if seen < 0:
            return 0
        if seen >= size:
            raise PositionUnknown(
                f"{log} has {size} records, and the cursor stands at #{seen}: "
                "it is of another vault, or the log has lost its end"
            )
        with getattr(self._vault, log).snapshot() as snapshot:
            last: int = snapshot.time_of(seen)
        return last + 1
