"""Publishing by itself: at an interval, and when a log has grown by so much.

One worker of all publishes; a lock on the store says which, and when it goes another takes over.
Every worker knows the unanchored tail of each log, for who asks how far others can vouch.  Nothing
waits for this: no commit, no answer.  What fails is tried again, after a pause that grows, and shows
in the tail.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from eventstore import file_lock
from eventstore.errors import MunimentError
from eventstore.log import Log
from eventstore.record import read_leaf
from eventstore.trust import Trust
from server.outside import Answer, OutsideUnreachable
from server.publishing import Outcome, Posts, WitnessDisagrees, publish
from vault.service import Vault

LOOK_SECONDS = 1.0
_FIRST_PAUSE = 5.0
_SECOND = 1_000_000


class Plan(NamedTuple):
    """To whom, and when: after so many seconds or so many records, whichever comes first."""

    trust: Trust
    authorities: tuple[str, ...]
    interval: float
    growth: int


class Tail(NamedTuple):
    """What nobody outside vouches for yet: so many records, the first so many seconds old."""

    vault: str
    log: str
    records: int
    seconds: float


def tail_of(vault: str, log: Log, trust: Trust, now: int) -> Tail:
    """The unanchored tail of *log* at *now*, in microseconds."""
    found = trust.newest(log.path)
    anchored = 0 if found is None else found.size
    with log.snapshot() as snapshot:
        missing = max(0, snapshot.size - anchored)
        first = read_leaf(snapshot.tree.leaf(anchored)).time if missing else now
    return Tail(vault, log.identity.kind_name, missing, max(0, now - first) / _SECOND)


class _State:
    """When a log was published last, and how often in a row that failed."""

    def __init__(self) -> None:
        self.next_try = 0.0
        self.failures = 0


class Publisher:
    """Publishes the logs of *vaults* by *plan*; *tell* hears what came of it."""

    def __init__(
        self,
        home: Path,
        vaults: Callable[[], list[Vault]],
        plan: Plan,
        outside: Posts,
        tell: Callable[[Outcome], None] = lambda outcome: None,
        failed: Callable[[str], None] = lambda code: None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = home / "publisher.lock"
        self._vaults = vaults
        self._plan = plan
        self._outside = outside
        self._tell = tell
        self._failed = failed
        self._ticks = ticks
        self._states: dict[str, _State] = {}
        self._fd: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        # None until they were measured: nothing known is not nothing missing.
        self.tails: tuple[Tail, ...] | None = None

    def begin(self) -> None:
        """Go on in the background until `end`."""
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Come to an end: what is being asked now is waited for, since it reads the logs."""
        self._ending = True
        if self._task is not None:
            await self._task
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    async def _run(self) -> None:
        while not self._ending:
            with suppress(MunimentError, OSError):
                await self.look()
            for _ in range(10):
                if not self._ending:
                    await asyncio.sleep(LOOK_SECONDS / 10)

    async def look(self) -> None:
        """Measure every tail, and publish what is due if this worker is the one that does."""
        tails, mine = [], self._is_mine()
        for vault in self._vaults():
            for log in (vault.changes, vault.access):
                tail = await asyncio.to_thread(self._measure, vault.name, log)
                if mine and self._is_due(log, tail):
                    await asyncio.to_thread(self._publish, log)
                    tail = await asyncio.to_thread(self._measure, vault.name, log)
                tails.append(tail)
        self.tails = tuple(tails)

    def _measure(self, vault: str, log: Log) -> Tail:
        return tail_of(vault, log, self._plan.trust, time.time_ns() // 1000)

    def _is_mine(self) -> bool:
        if self._fd is not None:
            return True
        self._fd = file_lock.take(self._lock)
        return self._fd is not None

    def _is_due(self, log: Log, tail: Tail) -> bool:
        state = self._states.setdefault(log.identity.origin, _State())
        if self._ending or not tail.records:
            return False
        if state.failures:
            return self._ticks() >= state.next_try
        return tail.records >= self._plan.growth or tail.seconds >= self._plan.interval

    def post(self, url: str, body: bytes, kind: str) -> Answer:
        """Ask, unless this is coming to an end: whoever waits for that waits for one answer."""
        if self._ending:
            raise OutsideUnreachable("the service ends")
        return self._outside.post(url, body, kind)

    def _publish(self, log: Log) -> None:
        state = self._states[log.identity.origin]
        try:
            outcome = publish(log, self._plan.trust, self._plan.authorities, self)
        except MunimentError as problem:
            self._failed(problem.code)
            self._put_off(state)
            return
        self._tell(outcome)
        if outcome.anchored and not any(isinstance(p, WitnessDisagrees) for p in outcome.problems):
            state.failures = 0
        else:
            self._put_off(state)

    def _put_off(self, state: _State) -> None:
        pause = min(_FIRST_PAUSE * 2.0**state.failures, max(_FIRST_PAUSE, self._plan.interval))
        state.failures += 1
        state.next_try = self._ticks() + pause
