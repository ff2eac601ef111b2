"""Records as they come: both logs read on from a cursor, again and again.

Looking whether a log has grown is free; asking for what is new is a question that the vault records
like any other.  So a log is asked only if somebody else has written to it.  Two who follow one vault
would still wake each other for ever: whoever sees nothing but such questions waits longer each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cli.cursor import Cursor
from cli.session import Session

if TYPE_CHECKING:
    from vault.answers import HistoryItem
    from vault.commands import ReadHistory
    from vault.service import Vault

_LONGEST = 64
"""How many times its interval a follower waits at most."""

_QUESTION = "history.read"


class News(NamedTuple):
    """Records after a cursor, by time, and the cursor that has them behind it."""

    items: list[HistoryItem]
    cursor: Cursor


class Follower:
    """One reader of a vault's logs."""

    def __init__(self, session: Session, vault: Vault, asked: ReadHistory, cursor: Cursor) -> None:
        self._session = session
        self._vault = vault
        self._asked = asked
        self.cursor = cursor
        self._quiet: dict[str, int] = {}

    def news(self) -> list[HistoryItem]:
        """What was recorded since the cursor, which moves.  Raise PositionUnknown."""
        before, questions = self._sizes(), 0
        found: list[HistoryItem] = []
        for log in self._asked.logs:
            if before[log] - 1 != self.cursor.of(log) and before[log] != self._quiet.get(log):
                found += self._ask(log, before[log])
                questions += 1
        after = self._sizes()
        if after["access"] == before["access"] + questions:
            # All that came since are our own questions.
            self._quiet["access"] = after["access"]
        return sorted(found, key=lambda item: (item.time, item.log))

    def follow(self, interval: float, tell: Callable[[Sequence[HistoryItem]], None]) -> None:
        """Give what is new to *tell*, until somebody interrupts."""
        waits = 1
        while True:
            time.sleep(interval * waits)
            found = self.news()
            tell(found)
            if found:
                idle = all(item.operation == _QUESTION for item in found)
                waits = min(waits * 2, _LONGEST) if idle else 1

    def newest(self, asked: ReadHistory) -> list[HistoryItem]:
        """What *asked* finds, with the cursor at the end of both logs."""
        sizes = self._sizes()
        found = self._vault.handle(self._session.caller, asked)
        for log in self._asked.logs:
            last = [sizes[log] - 1, *(item.position for item in found if item.log == log)]
            self.cursor = self.cursor.moved(log, max(last))
        return found

    def forget_filters(self) -> None:
        """From now on all records are asked for; whoever is told picks."""
        from msgspec.structs import replace

        self._asked = replace(
            self._asked, name="", operation="", principal="", outcome="", newest=None
        )

    def _sizes(self) -> dict[str, int]:
        return {
            "changes": self._vault.changes.head().size,
            "access": self._vault.access.head().size,
        }

    def _ask(self, log: str, size: int) -> list[HistoryItem]:
        from msgspec.structs import replace

        seen = self.cursor.of(log)
        start = max(self._asked.start, self._time_after(log, seen, size))
        asked = replace(self._asked, logs=(log,), start=start)
        found = self._vault.handle(self._session.caller, asked)
        last = max([size - 1, *(item.position for item in found)])
        self.cursor = self.cursor.moved(log, last)
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
