"""What the service did, in numbers, for Prometheus.

Each worker counts for itself in plain numbers, for a request is too short to spend a tenth of it on
counting.  Within a second it puts them into a file in a directory that all workers share and nobody
else may read; whoever is asked adds all files up.  So the answer is that of the whole service,
whichever worker gives it; of other workers it may be a second old; and what a worker counted before
it was replaced is not lost.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# In seconds: a read takes about one millisecond, a synced commit on a slow disk some ten.
BUCKETS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    10.0,
)
_EVERY: Final = 1.0


class LogFacts(NamedTuple):
    """How large one log of a vault is."""

    vault: str
    log: str
    size: int


class TailFacts(NamedTuple):
    """How many records of a log nobody outside vouches for, and how old the first of them is."""

    vault: str
    log: str
    records: int
    seconds: float


class Counts(msgspec.Struct):
    """What one worker counted since it started."""

    requests: list[tuple[str, int, int]]
    latency: dict[str, tuple[list[int], float]]
    commits: int
    committed: int
    unauthenticated: int


class Metrics:
    """The numbers of one worker, and of all that share *directory*."""

    def __init__(self, directory: Path | None = None) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()
        self._commits = self._committed = self._unauthenticated = 0
        # A process id may come again within the life of the service.
        self._file = directory and directory / f"{os.getpid()}-{time.time_ns()}"
        self._dirty = False
        if self._file is not None:
            atexit.register(self.publish)

    def request(self, operation: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests[operation, status] += 1
        buckets = self._buckets.get(operation)
        if buckets is None:
            buckets = self._buckets[operation] = [0] * (len(BUCKETS) + 1)
        buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds[operation] += seconds  # type: ignore[assignment]
        self._changed()

    def commit(self, requests: int) -> None:
        """One commit made *requests* durable."""
        self._commits += 1
        self._committed += requests
        self._changed()

    def unauthenticated(self) -> None:
        """A request without a token that counts; every client's first one is."""
        self._unauthenticated += 1
        self._changed()

    def text(
        self, *, ready: bool, logs: Iterable[LogFacts] = (), tails: Iterable[TailFacts] = ()
    ) -> bytes:
        """All numbers of the service as Prometheus reads them."""
        # Most workers are never asked, and need not keep what writes it in their memory.
        from server.exposition import exposed

        return exposed(_sum(self._all()), ready=ready, logs=logs, tails=tails)

    def publish(self) -> None:
        """Let the other workers see what was counted here."""
        self._dirty = False
        if self._file is None:
            return
        new = self._file.with_suffix(".new")
        # Without its numbers the service still serves.
        with suppress(OSError):
            new.write_bytes(msgspec.json.encode(self._counts()))
            new.rename(self._file)

    def _changed(self) -> None:
        if self._dirty or self._file is None:
            return
        try:
            asyncio.get_running_loop().call_later(_EVERY, self.publish)
        except RuntimeError:
            self.publish()
        else:
            self._dirty = True

    def _counts(self) -> Counts:
        return Counts(
            requests=[(*key, number) for key, number in self._requests.items()],
            latency={o: (b, self._seconds[o]) for o, b in self._buckets.items()},
            commits=self._commits,
            committed=self._committed,
            unauthenticated=self._unauthenticated,
        )

    def _all(self) -> Iterator[Counts]:
        yield self._counts()
        if self._file is None:
            return
        for path in self._file.parent.iterdir():
            if path != self._file and path.suffix != ".new":
                with suppress(OSError, msgspec.DecodeError):
                    yield msgspec.json.decode(path.read_bytes(), type=Counts)


def _sum(counts: Iterable[Counts]) -> Counts:
    requests: Counter[tuple[str, int]] = Counter()
    latency: dict[str, tuple[list[int], float]] = {}
    commits = committed = unauthenticated = 0
    for each in counts:
        for operation, status, number in each.requests:
            requests[operation, status] += number
        for operation, (buckets, seconds) in each.latency.items():
            known, sum_ = latency.get(operation, ([0] * len(buckets), 0.0))
            added = [a + b for a, b in zip(known, buckets, strict=True)]
            latency[operation] = added, sum_ + seconds
        commits += each.commits
        committed += each.committed
        unauthenticated += each.unauthenticated
    return Counts(
        requests=[(*key, number) for key, number in sorted(requests.items())],
        latency=latency,
        commits=commits,
        committed=committed,
        unauthenticated=unauthenticated,
    )
