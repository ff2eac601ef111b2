"""How many requests were turned away and not recorded one by one, until the counts are written.

Every client's first request comes without a token, and anybody can send more: an event for each
would let a stranger fill the disk.  So they are counted, and the count is an event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

INTERVAL = 60.0
"""Seconds between two such events."""

_MOST_VAULTS = 1024


class Counts(NamedTuple):
    """What was turned away from one vault since *since*, in Unix seconds."""

    since: int
    unauthenticated: int = 0
    throttled: int = 0


class TurnedAway:
    """The counts of one worker."""

    def __init__(self, clock: Callable[[], float], interval: float = INTERVAL) -> None:
        self.interval = interval
        self._clock = clock
        self._counts: dict[str, Counts] = {}
        self._vaults: set[str] = set()

    def expect(self, vault: str) -> None:
        """There is a vault of that name, in lower case: its counts are never given up."""
        self._vaults.add(vault)

    def unauthenticated(self, vault: str) -> None:
        counts = self._of(vault)
        self._counts[vault] = counts._replace(unauthenticated=counts.unauthenticated + 1)

    def throttled(self, vault: str) -> None:
        counts = self._of(vault)
        self._counts[vault] = counts._replace(throttled=counts.throttled + 1)

    def _of(self, vault: str) -> Counts:
        if vault not in self._counts and len(self._counts) >= _MOST_VAULTS:
            # Names are the caller's: those that name no vault must not fill the memory, and whoever
            # makes names up must not wipe out what was counted against a vault.
            self._counts = {
                name: counts for name, counts in self._counts.items() if name in self._vaults
            }
        return self._counts.get(vault) or Counts(int(self._clock()))

    def take(self) -> dict[str, Counts]:
        """The counts so far, and begin anew."""
        taken, self._counts = self._counts, {}
        return taken

    def put_back(self, vault: str, counts: Counts) -> None:
        """They could not be written: keep them for the next time."""
        now = self._of(vault)
        self._counts[vault] = Counts(
            counts.since,
            counts.unauthenticated + now.unauthenticated,
            counts.throttled + now.throttled,
        )
