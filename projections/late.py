"""Views that follow their log late: in lumps, and exactly for whoever asks.

Every read of a secret is a record of `access`, and its rows in the trail lie apart: under the name,
under the principal, under the version.  Put with each commit, they make more pages of it dirty than
all else that a read writes.  Put some thousand at a time, in the order of their places, a page is
made dirty once for many of them; and the marks lie in runs, so that they fill pages of their own.

The log itself says what is not put yet.  Whoever asks is answered from the rows and, ahead of them,
from a fold of the records since: as of the very record that his snapshot ends with.

Who commits puts what is late when it is much.  A process that lives long *stays*: it spreads that
over its commits, so that none takes long, and then others leave it to that process.  If they do
not, but put it all in one transaction, no harm is done: to fold a record twice changes nothing
(`projections.trail`), and whoever finds that the views stand elsewhere than he left them begins anew.

Two that put little by little would be harm: the slower one would put an older row over a newer one,
and the position would say that it is the newer one.  So that is done by whoever has `trail.lock`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lmdb
from msgspec.structs import replace

from eventstore import file_lock
from eventstore.errors import LogUnavailable, MunimentError
from eventstore.log import Log
from eventstore.record import Entry
from eventstore.transaction import Append, KeySource, Snapshot
from projections import state
from projections.ahead import Ahead, OnDemand
from projections.lumps import Lumps
from projections.rows import Rows, Table
from projections.sealer import Layout
from projections.views import Pointer, Views

MOST = 4096
"""With so many records not put yet, somebody begins to."""

FAR_TOO_MANY = 4 * MOST
"""With so many, whoever commits puts them all: who stays does not keep up.  And so many are put by
one commit at most."""

FEW = 64
"""So many are folded again for each question, rather than put."""

STEP = 64
"""So many are folded at once by who stays: with each commit a few would cost as much as these."""


class LateViews(Views):
    """The live views of a log that many write and few ask; an observer of it."""

    # Its rows are opened by the thousand, and seldom twice.
    layout = Layout(kept=0, runs=frozenset((Table.BY_NAME, Table.BY_PRINCIPAL)))

    def __init__(
        self, keys: KeySource, entropy: Callable[[int], bytes], apply: state.Apply
    ) -> None:
        super().__init__(keys, entropy, apply)
        self._stays = False
        self._lumps: Lumps | None = None
        self._tried = 0
        # What this process appended itself need not be opened again to be put.
        self._recent: dict[int, Entry[Any]] = {}
        self._lock = _Lock("")

    def attach(self, environment: lmdb.Environment) -> None:
        """Follow the log in *environment* from now on."""
        super().attach(environment)
        self._lock.lies_in(environment.path())

    def stay(self) -> None:
        """From now on, put what is late little by little, unless another process does."""
        self._stays = True

    def close(self) -> None:
        """Leave it to others."""
        self._stays = False
        self._leave()

    def _leave(self) -> None:
        self._lumps = None
        self._lock.give_back()

    def apply(self, transaction: lmdb.Transaction[bytes], entry: Entry[Any]) -> None:
        """Nothing yet: see `before_commit`."""

    def before_commit(self, append: Append) -> None:
        """Put some of what is late, or all of it."""
        if append.size < self._tried:
            return
        try:
            self._put_if_much(append)
        except MunimentError:
            # A record does not open.  Whoever asks is told so; it is no reason to record nothing,
            # nor to come to it again with each commit.
            self._leave()
            self._tried = append.size + FAR_TOO_MANY

    def _put_if_much(self, append: Append) -> None:
        late = append.size - self._begun(append)
        if self._lumps is not None and not self._lock.is_had():
            self._leave()
        if self._lumps is not None:
            # In each transaction: that this one is committed says nothing of one before, which failed.
            self._lumps.begin(self.pointer(append.transaction), self.through(append))
            if append.head.size - self._lumps.folded >= STEP:
                self._step(append, self._lumps)
        elif late >= MOST and self._lock.take():
            if self._stays:
                self._lumps = Lumps()
            else:
                self._put_some(append)
                self._lock.give_back()
        if late >= FAR_TOO_MANY:
            self._put_some(append)

    def committed(self, entries: Sequence[Entry[Any]]) -> None:
        """Remember what was committed, until it is put."""
        if len(self._recent) >= MOST:
            self._recent = {}  # another process puts it
        self._recent.update((entry.position, entry) for entry in entries)
        if self._lumps is not None:
            self._lumps.committed()

    def catch_up(self, append: Append) -> None:
        """Put all that is late.  Raise what keeps a record from being opened."""
        while self._begun(append) < append.size:
            self._put_some(append)
        append.touch()

    def rows(self, snapshot: Snapshot) -> Rows:
        """What the views say of the log as *snapshot* has it.  It must be open as long."""
        return OnDemand(lambda: self._rows(snapshot))

    def _rows(self, snapshot: Snapshot) -> Rows:
        stands = _through(self.pointer(snapshot.transaction), snapshot) is not None
        below = self.reader(snapshot.transaction) if stands else state.State()
        return self._ahead(snapshot, below, snapshot.size)

    def through(self, snapshot: Snapshot) -> int:
        """The views hold what the records before this position brought."""
        return _through(self.pointer(snapshot.transaction), snapshot) or 0

    def standing(self, pointer: Pointer, through: int) -> Pointer:
        """*pointer* to rows that hold what the records before that position brought."""
        return replace(pointer, through=through)

    def keep_up(self, log: Log) -> None:
        """Put what is late, if it is too much to be folded for each question and nobody stays."""
        # Not what others append meanwhile: who commits all the time would never let this end.
        size = log.head().size
        while self._is_behind(log, size) and log.transact(self._put_alone):
            pass

    def _is_behind(self, log: Log, size: int) -> bool:
        with log.snapshot() as snapshot:
            return size - self.through(snapshot) > FEW

    def _put_alone(self, append: Append) -> bool:
        """Put some, unless that is up to who stays."""
        if self._lumps is not None or not self._lock.take():
            return False
        try:
            self._put_some(append)
        finally:
            self._lock.give_back()
        return True

    def _step(self, append: Append, lumps: Lumps) -> None:
        reader, start = self.reader(append.transaction), lumps.folded
        # Not those of this transaction: it may fail yet.
        stop = min(start + 2 * max(STEP, len(append.appended)), append.head.size)
        lumps.fold(reader, self.fold, self._entries(append, start, stop))
        for position in range(start, stop):
            self._recent.pop(position, None)
        lumps.close(MOST)
        done = lumps.put(reader, 4 * (stop - start))
        if done is not None:
            lumps.stands(self._stand(append, done))

    def _begun(self, append: Append) -> int:
        """What the views are through; if that cannot be, they are begun anew."""
        pointer = self.pointer(append.transaction)
        through = _through(pointer, append)
        if through is None:
            self.clear(append.transaction, pointer)
            self.swap(append.transaction, self.standing(pointer, 0))
            return 0
        return through

    def _put_some(self, append: Append) -> None:
        """Put what is late, or as much of it as one commit should.  Raise as `catch_up` does."""
        stop = min(append.size, self._begun(append) + FAR_TOO_MANY)
        reader = self.reader(append.transaction)
        reader.fill(self._ahead(append, reader, stop).puts.items())
        self._stand(append, stop)
        append.touch()
        self._tried, self._recent = 0, {}

    def _ahead(self, snapshot: Snapshot, below: Rows, stop: int) -> Ahead:
        """What is late of the records before *stop*, folded ahead of the rows *below*."""
        ahead = Ahead(below)
        for entry in self._entries(snapshot, self.through(snapshot), stop):
            ahead.put(self.fold(ahead, entry))
        return ahead

    def _entries(self, snapshot: Snapshot, start: int, stop: int) -> Iterable[Entry[Any]]:
        known = self._recent.get
        for position in range(start, stop):
            yield known(position) or snapshot.entry(position)

    def _stand(self, append: Append, through: int) -> Pointer:
        pointer = self.standing(self.pointer(append.transaction), through)
        self.point(append.transaction, pointer)
        return pointer


def _through(pointer: Pointer, snapshot: Snapshot) -> int | None:
    """What the views at *pointer* are through; None if their rows are not to be used.

    An earlier release put each row with its commit, and elsewhere.  And no views can be through
    records that the log does not have: what would be appended there would never be put.
    """
    through = pointer.through
    return through if through is not None and 0 <= through <= snapshot.size else None


class _Lock:
    """`trail.lock`, for who puts what is late; nobody waits for it."""

    def __init__(self, directory: str) -> None:
        self._fd: int | None = None
        self.lies_in(directory)

    def lies_in(self, directory: str) -> None:
        self._path = Path(directory, "trail.lock")

    def take(self) -> bool:
        """Take the lock.  Not if somebody has it, or if its file cannot be made."""
        self.give_back()
        with suppress(LogUnavailable):
            self._fd = file_lock.take(self._path)
        return self._fd is not None

    def is_had(self) -> bool:
        """Whether this is still the lock that others look at: its file may have been taken away."""
        try:
            return self._fd is not None and os.path.samestat(
                os.fstat(self._fd), os.stat(self._path)
            )
        except OSError:
            return False

    def give_back(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
