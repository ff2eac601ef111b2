"""Views that follow their log late: in lumps, and exactly for whoever asks.

Every read of a secret is a record of `access`, and its rows in the trail lie apart: under the name,
under the principal, under the version.  Put with each commit, they make more pages of it dirty than
all else that a read writes.  Put some thousand at a time, in the order of their places, a page is
made dirty once for many of them; and the marks lie in runs, so that they fill pages of their own.

The log itself says what is not put yet.  Whoever asks is answered from the rows and, ahead of them,
from a fold of the records since: as of the very record that his snapshot ends with.

Who commits puts what is late when it is much.  A process that lives long *stays*: it spreads that
over its commits, so that none takes long, and then others leave it to that process.  If they do
not, no harm is done: to fold a record twice changes nothing (`projections.trail`), and whoever finds
that the views stand elsewhere than he left them begins anew.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import lmdb
from msgspec.structs import replace

from eventstore.errors import MunimentError
from eventstore.log import Log
from eventstore.record import Entry
from eventstore.transaction import Append, KeySource, Snapshot
from projections import state
from projections.ahead import Ahead
from projections.lumps import Lumps
from projections.rows import Rows, Table
from projections.views import Layout, Pointer, Views

MOST = 4096
"""With so many records not put yet, somebody begins to."""

FAR_TOO_MANY = 4 * MOST
"""With so many, whoever commits puts them all: who stays does not keep up."""

FEW = 64
"""So many are folded again for each question, rather than put."""


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
        self._far = FAR_TOO_MANY
        # What this process appended itself need not be opened again to be put.
        self._recent: dict[int, Entry[Any]] = {}
        self._directory = ""
        self._lock: int | None = None

    def attach(self, environment: lmdb.Environment) -> None:
        """Follow the log in *environment* from now on."""
        super().attach(environment)
        self._directory = environment.path()

    def stay(self) -> None:
        """From now on, put what is late little by little, unless another process does."""
        self._stays = True

    def close(self) -> None:
        """Leave it to others."""
        self._stays, self._lumps = False, None
        self._unlock()

    def apply(self, transaction: lmdb.Transaction[bytes], entry: Entry[Any]) -> None:
        """Nothing yet: see `before_commit`."""

    def before_commit(self, append: Append) -> None:
        """Put some of what is late, or all of it."""
        late = append.size - self._begun(append)
        try:
            if self._lumps is not None:
                self._step(append, self._lumps)
            elif late >= MOST and self._locked():
                if self._stays:
                    self._lumps = Lumps()
                else:
                    self._put_some(append)
                    self._unlock()
            if late >= self._far:
                self._put_some(append)
        except MunimentError:
            # A record does not open.  Whoever asks is told so; it is no reason to record nothing.
            self.close()
            self._far = 2 * max(late, self._far)

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
        """What the views say of the log as *snapshot* has it."""
        if self.pointer(snapshot.transaction).through is None:
            return self._ahead(snapshot, state.State(), snapshot.size)
        return self._ahead(snapshot, self.reader(snapshot.transaction), snapshot.size)

    def through(self, snapshot: Snapshot) -> int:
        """The views hold what the records before this position brought."""
        through = self.pointer(snapshot.transaction).through
        return 0 if through is None else through

    def keep_up(self, log: Log) -> None:
        """Put what is late, if it is too much to be folded for each question and nobody stays."""
        while self._is_behind(log) and self._lumps is None and self._locked():
            try:
                log.transact(self._put_some)
            finally:
                self._unlock()

    def _is_behind(self, log: Log) -> bool:
        with log.snapshot() as snapshot:
            return snapshot.size - self.through(snapshot) > FEW

    def _step(self, append: Append, lumps: Lumps) -> None:
        reader, through = self.reader(append.transaction), self.through(append)
        lumps.begin(self.pointer(append.transaction), through)
        many = len(append.appended) + 1
        start = lumps.folded
        # Not those of this transaction: it may fail yet.
        stop = min(start + 2 * many, append.head.size)
        lumps.fold(reader, self.fold, self._entries(append, start, stop))
        for position in range(start, stop):
            self._recent.pop(position, None)
        lumps.close(MOST)
        done = lumps.put(reader, 4 * many)
        if done is not None:
            lumps.stands(self._stand(append, done))

    def _begun(self, append: Append) -> int:
        """What the views are through; if an earlier release left them, they are begun anew."""
        pointer = self.pointer(append.transaction)
        if pointer.through is None:
            # It put each row with its commit, and elsewhere.
            self.clear(append.transaction, pointer)
            return self._stand(append, 0).through or 0
        return pointer.through

    def _put_some(self, append: Append) -> None:
        """Put what is late, or as much of it as one commit should.  Raise as `catch_up` does."""
        stop = min(append.size, self._begun(append) + FAR_TOO_MANY)
        reader = self.reader(append.transaction)
        reader.fill(self._ahead(append, reader, stop).puts.items())
        self._stand(append, stop)
        append.touch()
        self._far, self._recent = FAR_TOO_MANY, {}

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
        pointer = replace(self.pointer(append.transaction), through=through)
        self.point(append.transaction, pointer)
        return pointer

    # -- who puts --------------------------------------------------------------------------------

    def _locked(self) -> bool:
        """Whether it is up to this process to put what is late."""
        if self._lock is None:
            self._lock = _taken(os.path.join(self._directory, "trail.lock"))
        return self._lock is not None

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _taken(path: str) -> int | None:
    """The lock in the file *path*; None if somebody has it, or if it cannot be made."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd
