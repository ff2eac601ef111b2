"""An append-only log of sealed records in one LMDB environment.

The life of a change: whoever calls `transact` puts its work into the queue of `GroupCommit`.  One
caller runs what waits in one write transaction, each work seeing what those before it wrote.  Every
event is sealed, signed and put; the tree's frontier advances; the views follow through the observer;
the commit is the sync.  Only then is the new head signed and written beside the log
(`eventstore.signed_head`), and everybody answered.

The head is signed after the commit and never before.  A signature made before could reach the disk
in pages that a crash then disowns, and the next record would get the same size: two roots signed
for one size.  Ed25519 is deterministic, so whoever opens the log next signs the same bytes.

After a commit that failed or may have failed the environment is closed, opened again, and the
record at the expected position is compared: committed, not committed, or unknown.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import lmdb

from eventstore import head as heads
from eventstore.checkpoint import (
    Checkpoint,
    Signer,
    open_note,
    parse_checkpoint,
)
from eventstore.durable import failing_disk, write_durably
from eventstore.errors import (
    CheckpointMalformed,
    CheckpointSignatureInvalid,
    HistoryForked,
    LogTruncated,
    LogUnavailable,
    MunimentError,
    OutcomeUnknown,
)
from eventstore.group_commit import GroupCommit, Ticket
from eventstore.head import AuditEpoch, Epochs, Identity, Numbers, verifiers
from eventstore.open_log import Observer, OpenLog
from eventstore.pages import DATA_FILE
from eventstore.record import Kind
from eventstore.storage import Headroom, open_environment
from eventstore.transaction import Append, KeySource, Tables, Written

T = TypeVar("T")
Work = Callable[[Append], Any]


def _as_it_is(append: Append) -> None:
    """Commit the head as it is: what stands now then stands on the disk.

    A kill amid a commit, or an error, may leave a head that stands in memory only.  It must not be
    signed: if the power went, the next record would get the same size.
    """
    append.touch()


class Published(NamedTuple):
    """A checkpoint with both signatures of its log, and the note that endorses the second key.

    The key signs from position *start* on.
    """

    note: str
    start: int
    endorsement: str


class _WroteThenRefused(Exception):
    """A work raised after it had written, so the whole transaction must go."""


class Log(OpenLog):
    """One log, to be read and written.  Safe for threads; not to be used across a fork."""

    def __init__(
        self,
        path: Path,
        keys: KeySource,
        *,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        observer: Observer | None = None,
    ) -> None:
        super().__init__(path, keys, clock=clock, observer=observer)
        self._entropy = entropy
        self._commits: GroupCommit[Work] = GroupCommit(self._commit)
        self._in_doubt = False
        self._headroom = Headroom(path)
        self._written: Written | None = None

    # -- opening ---------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: Path,
        kind: Kind,
        keys: KeySource,
        *,
        log_id: bytes,
        signing_key: int,
        audit_key: int,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        observer: Observer | None = None,
    ) -> Log:
        """Make an empty log in the directory *path* and open it."""
        identity = Identity(heads.FORMAT, kind.name, log_id)
        signer = Signer(identity.origin, keys.key(signing_key))
        numbers = Numbers((signing_key,), (AuditEpoch(0, audit_key),), False)
        environment = open_environment(path, create=True)
        try:
            Tables.create(environment, identity, numbers, signer)
        except lmdb.Error as problem:
            raise LogUnavailable(f"{path}: {problem}") from None
        finally:
            environment.close()
        return cls(path, keys, clock=clock, entropy=entropy, observer=observer)

    def close(self) -> None:
        if not self._closed:
            with suppress(MunimentError):  # whoever opens it next signs
                self.sign_what_is_late()
        super().close()

    # -- the signed head -------------------------------------------------------------------------

    def checkpoint(self) -> str:
        """The signed checkpoint of the last commit, as a C2SP note."""
        if self._in_doubt:
            self.transact(_as_it_is)
        seen = self._seen
        with self.snapshot() as snapshot:
            snapshot.check_head(self._signed.signer)
            self._refuse_another(snapshot, seen)
            return self._signed.note(snapshot.head, snapshot.numbers)

    def sign_every(self, microseconds: int, later: Callable[[], None]) -> None:
        """From now on sign so seldom, and call *later* when a head is left unsigned.

        Whoever commits calls it, in whatever thread.  `sign_what_is_late` is then to be called in
        time; `close` signs as well.
        """
        self._signed.sign_every(microseconds, later)

    def sign_what_is_late(self) -> None:
        """Sign the head if the commit that made it did not."""
        self._signed.catch_up(self.publish)

    def publish(self) -> str:
        """Sign the head and put the checkpoint beside the log."""
        note = self.checkpoint()
        self._signed.put(parse_checkpoint(note).size, note)
        return note

    def sign_for_others(self) -> Published:
        """Sign the head with both keys of the epoch, and put the checkpoint beside the log."""
        from eventstore.second_key import SecondSigner, endorse_second

        self.publish()
        with self.snapshot() as snapshot:
            snapshot.check_head(self._signed.signer)
            number, epoch = snapshot.numbers.signing[-1], snapshot.epochs.signing[-1]
            note = self._signed.note(snapshot.head, snapshot.numbers)
            # Under the same snapshot: a rotation destroys the old key.
            second = SecondSigner(self.identity.origin, self._keys.key(number))
            endorsement = endorse_second(epoch.start, self._signed.signer(number), second.cosigner)
        checkpoint = parse_checkpoint(note)
        return Published(note + second.line(checkpoint), epoch.start, endorsement)

    def settle(self) -> None:
        """Sign the head if a crash left it unsigned: recovery is the normal path of opening.

        Raise LogTruncated or HistoryForked if a newer head, or another one, was signed already: an
        old copy was put back, and going on would sign two roots for one size.
        """
        standing = self._signed.standing()
        with self.snapshot() as snapshot:
            size, root, epochs = snapshot.size, snapshot.head.root(), snapshot.epochs
            self._seen = snapshot.head
        if standing is not None and (standing.size, standing.root) == (size, root):
            return
        if standing is not None and standing.size >= size:
            self._refuse_rollback(standing, size, epochs)
        self.transact(_as_it_is)

    def _refuse_rollback(self, standing: Checkpoint, size: int, epochs: Epochs) -> None:
        if not self._bears(standing, epochs):
            self._signed.discard()
            return
        # Another process may have committed and signed since the look at the file.
        if self.head().size < standing.size:
            raise LogTruncated(f"{self._path}: {size} records, but {standing.size} were signed")
        if standing.size == size:
            raise HistoryForked(f"{self._path}: another root of {size} records was signed")

    def _bears(self, checkpoint: Checkpoint, epochs: Epochs) -> bool:
        """Whether a key of this log signed *checkpoint*."""
        chain = verifiers(self.identity, epochs)
        try:
            open_note(checkpoint.note, chain[epochs.signing_index(checkpoint.size)])
        except CheckpointSignatureInvalid:
            return False
        return checkpoint.origin == self.identity.origin

    def copy(self, directory: Path) -> int:
        """Copy the log as of its last commit into the new *directory*; give its size.

        Writers go on meanwhile.  Raise LogUnavailable.
        """
        with self.snapshot() as snapshot, failing_disk(directory):
            environment = self._open_environment()
            directory.mkdir(mode=0o700)
            # LMDB copies as of a transaction only while it compacts.
            environment.copy(os.fspath(directory), compact=True, txn=snapshot.transaction)
            snapshot.check_head(self._signed.signer)
            note = self._signed.note(snapshot.head, snapshot.numbers)
            write_durably(directory / "checkpoint", note.encode())
            (directory / DATA_FILE).chmod(0o600)
            # A record of what others said that cannot be read is no reason to have no copy.
            with suppress(CheckpointMalformed):
                from eventstore import anchors  # a log is hardly ever copied

                anchors.copy(self._path, directory, snapshot.size)
            return snapshot.size

    # -- writing ---------------------------------------------------------------------------------

    def transact(self, work: Callable[[Append], T]) -> T:
        """Run *work* in a write transaction and return its result after the commit is durable.

        Works of many threads share a commit.  A work may raise before it appends anything, and
        then costs nobody else anything.  Raise LogUnavailable if it could not be recorded and
        OutcomeUnknown if it cannot be told.
        """
        (ticket,) = self.transact_all([work])
        if ticket.failure is not None:
            raise ticket.failure
        result: T = ticket.result
        return result

    def transact_all(self, works: Iterable[Callable[[Append], Any]]) -> list[Ticket[Work]]:
        """Run *works* in order in one commit; each ticket has its work's result, or its failure."""
        self._refuse_after_fork()
        return self._commits.submit(works)

    def _commit(self, batch: list[Ticket[Work]]) -> None:
        environment = self._open_environment()
        try:
            transaction = environment.begin(write=True)
        except lmdb.Error as problem:
            raise LogUnavailable(f"{self._path}: {problem}") from None
        try:
            append = Append(
                self._tables,
                transaction,
                self._keys,
                clock=self._clock,
                entropy=self._entropy,
                signer=self._signed.signer,
                written=self._written,
                observe=self._observer.apply if self._observer else None,
            )
            self._refuse_another(append, self._seen)
            self._seen = append.head
            self._run(batch, append)
            if not append.rows and not append.touched:
                transaction.abort()
                return
            if self._observer is not None:
                self._observer.before_commit(append)
            append.finish()
            self._headroom.keep(environment)
            # Fetched before the commit: another process may rotate right after it, and the old key
            # is destroyed then, but this head is still this key's to sign.
            self._signed.signer(append.numbers.signing[-1])
        except _WroteThenRefused:
            transaction.abort()
            self._commit_one_by_one(batch)
            return
        except lmdb.Error as problem:
            transaction.abort()
            raise LogUnavailable(f"{self._path}: {problem}") from None
        except BaseException:
            transaction.abort()
            raise
        try:
            transaction.commit()
            self._in_doubt = False
            self._written, self._seen = append.written, append.new_head()
        except (lmdb.Error, OSError) as problem:
            self._resolve(append, problem)
        if self._observer is not None:
            self._observer.committed(append.appended)
        self._signed.committed(
            append.size, lambda: self._signed.note(append.new_head(), append.numbers)
        )

    def _run(self, batch: list[Ticket[Work]], append: Append) -> None:
        for ticket in batch:
            written = (len(append.rows), append.touched)
            ticket.failure = None
            append.begin_work()
            try:
                ticket.result = ticket.work(append)
            except lmdb.Error:
                raise
            except Exception as refusal:
                ticket.failure = refusal
                if (len(append.rows), append.touched) != written:
                    if len(batch) == 1:
                        raise
                    raise _WroteThenRefused from None

    def _commit_one_by_one(self, batch: list[Ticket[Work]]) -> None:
        for ticket in batch:
            try:
                self._commit([ticket])
            except Exception as problem:
                ticket.failure = problem

    # -- after a failure -------------------------------------------------------------------------

    def _resolve(self, append: Append, problem: Exception) -> None:
        """Find out whether the commit that *problem* interrupted stands, and make it sure.  Law 4."""
        self._in_doubt = True
        try:
            self._detach()
            with self.snapshot() as snapshot:
                stands = any(snapshot.holds(*record) for record in append.rows.items())
            if stands:
                self._commit([Ticket(_as_it_is)])
            else:
                # LMDB put the old head back, in memory.  This needs no room on the disk.
                self._open_environment().sync(True)
                self._in_doubt = not append.rows
        except (MunimentError, lmdb.Error):
            raise OutcomeUnknown(f"{self._path}: {problem}") from None
        if not stands:
            raise LogUnavailable(f"{self._path}: {problem}") from None
