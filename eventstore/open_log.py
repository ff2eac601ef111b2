"""A log that is open in this process, as it can be read: its environment, and snapshots of it.

After a commit that failed or may have failed the environment is closed and opened again, since what
LMDB had mapped is not to be trusted then.  That waits for those who read, and whoever comes next
waits for it.  What stands there then must be the same log, gone on at most.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import lmdb

from eventstore.errors import LogBusy, LogMisplaced, LogTruncated, LogUnavailable
from eventstore.event import SecretContent
from eventstore.head import Epochs, Head, Identity, Numbers
from eventstore.record import Entry
from eventstore.signed_head import SignedHead
from eventstore.storage import open_environment
from eventstore.transaction import Append, KeySource, Snapshot, Tables


class Observer(Protocol):
    """What follows the log inside its transactions: the views."""

    def attach(self, environment: lmdb.Environment) -> None: ...

    def apply(self, transaction: lmdb.Transaction[bytes], entry: Entry[Any]) -> None:
        """Follow a record that was appended."""
        ...

    def before_commit(self, append: Append) -> None:
        """Follow the records of a whole transaction."""
        ...

    def committed(self, entries: Sequence[Entry[Any]]) -> None:
        """Know that these records are on the disk."""
        ...


class OpenLog:
    """One log, open in this process.  Safe for threads; not to be used across a fork."""

    def __init__(
        self,
        path: Path,
        keys: KeySource,
        *,
        clock: Callable[[], int],
        observer: Observer | None = None,
    ) -> None:
        self._path = path
        self._keys = keys
        self._clock = clock
        self._observer = observer
        self._pid = os.getpid()
        self._reading = threading.Condition()
        self._readers: Counter[int] = Counter()
        self._leaving = False
        self._environment: lmdb.Environment | None = None
        self._closed = False
        self._seen: Head | None = None
        self._tables: Tables
        self._attach()
        try:
            self._signed = SignedHead(path, self.identity.origin, keys, clock)
        except LogUnavailable:
            self._detach()
            raise

    @property
    def identity(self) -> Identity:
        return self._tables.identity

    @property
    def path(self) -> Path:
        return self._path

    # -- the environment -------------------------------------------------------------------------

    def _attach(self) -> None:
        environment = open_environment(self._path, create=False)
        try:
            tables = Tables.open(environment)
            self._check_opened(environment, tables)
            self._tables = tables
            if self._observer is not None:
                self._observer.attach(environment)
        except lmdb.Error as problem:
            environment.close()
            raise LogUnavailable(f"{self._path}: {problem}") from None
        except BaseException:
            environment.close()
            raise
        self._environment = environment

    def _check_opened(self, environment: lmdb.Environment, tables: Tables) -> None:
        """Raise if this is not the log that was open here before.

        Who has no keys can write any head: only one that a holder of the keys wrote tells what
        happened.
        """
        if self._seen is None or not self._seen.size:
            return
        if tables.identity != self._tables.identity:
            raise self._another()
        with environment.begin() as transaction:
            found = Snapshot(tables, transaction, self._keys)
            found.check_head(self._signed.signer)
            self._refuse_another(found, self._seen)

    def _refuse_another(self, found: Snapshot, seen: Head | None) -> None:
        """Raise if *found* is not what was *seen* here before it, nor went on from that.

        A file can be put back under a log that is open: the map of it shows what is in it now.  A
        checkpoint beside it may be as old: going on would sign two roots for one size.
        """
        self._refuse_less(found, seen)
        if seen is None or not seen.size or found.head == seen:
            return
        if not found.extends(seen):
            raise self._another()

    def _refuse_less(self, found: Snapshot, seen: Head | None) -> None:
        if seen is not None and found.size < seen.size:
            raise LogTruncated(f"{self._path}: {found.size} records, where {seen.size} were")

    def _another(self) -> LogMisplaced:
        return LogMisplaced(f"{self._path}: another log stands where this one was")

    def _detach(self) -> None:
        """Close the environment when nobody reads from it.  Whoever comes next opens it anew."""
        with self._reading:
            # New readers wait meanwhile: if they kept coming, there would never be none.
            self._leaving = True
            try:
                while self._readers:
                    self._reading.wait()
            finally:
                self._leaving = False
                self._reading.notify_all()
            if self._environment is not None:
                self._environment.close()
                self._environment = None

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._environment is not None:
                self._environment.close()
                self._environment = None
            self._signed.close()

    def _refuse_after_fork(self) -> None:
        if os.getpid() != self._pid:
            raise LogBusy("the log was opened before this process was forked")

    def _open_environment(self) -> lmdb.Environment:
        self._refuse_after_fork()
        if self._closed:
            raise LogUnavailable("the log is closed")
        with self._reading:
            if self._environment is None:
                # It could not be opened again after a commit had failed.
                self._attach()
            assert self._environment is not None
            return self._environment

    # -- reading ---------------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """A consistent view of the log as of its last commit.  Hold it briefly."""
        reader = threading.get_ident()
        with self._reading:
            # A thread that reads already is waited for, and so must not wait itself.
            while self._leaving and reader not in self._readers:
                self._reading.wait()
            environment = self._open_environment()
            self._readers[reader] += 1
        seen = self._seen  # before the transaction begins, so that what it shows is no older
        try:
            with environment.begin() as transaction:
                found = Snapshot(self._tables, transaction, self._keys)
                self._refuse_less(found, seen)
                yield found
        except lmdb.Error as problem:
            raise LogUnavailable(f"{self._path}: {problem}") from None
        finally:
            with self._reading:
                self._readers[reader] -= 1
                if not self._readers[reader]:
                    del self._readers[reader]
                if self._leaving:
                    self._reading.notify_all()

    def now(self) -> int:
        """What the clock shows, in microseconds."""
        return self._clock()

    def head(self) -> Head:
        with self.snapshot() as snapshot:
            return snapshot.head

    def epochs(self) -> Epochs:
        with self.snapshot() as snapshot:
            return snapshot.epochs

    def numbers(self) -> Numbers:
        with self.snapshot() as snapshot:
            return snapshot.numbers

    def read(self, position: int) -> Entry[Any]:
        """The record at *position*, its metadata opened.  Raise PositionUnknown."""
        with self.snapshot() as snapshot:
            return snapshot.entry(position)

    def content(self, position: int, key: int) -> SecretContent:
        """The content of the record at *position*.  Raise KeyErased after a purge."""
        with self.snapshot() as snapshot:
            return snapshot.content(position, key)
