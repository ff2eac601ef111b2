"""The signed head of a log: when it is signed, and what stands signed beside the log.

Whoever commits signs.  A log that serves many signs some times a second and answers before: whoever
comes after a crash signs what was not signed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from eventstore.checkpoint import Checkpoint, Signer, sign_checkpoint
from eventstore.checkpoint_file import CheckpointFile
from eventstore.durable import failing_disk
from eventstore.errors import CheckpointMalformed, LogUnavailable
from eventstore.head import Head, Numbers
from eventstore.transaction import KeySource


class SignedHead:
    """The signatures over the head of the log *origin*, and the newest of them in a file."""

    def __init__(self, path: Path, origin: str, keys: KeySource, clock: Callable[[], int]) -> None:
        self._path = path
        self._origin = origin
        self._keys = keys
        self._clock = clock
        self._signer: tuple[int, Signer] | None = None
        self._every = 0
        self._later: Callable[[], None] = lambda: None
        self._at = 0
        self._is_late = False
        try:
            self._file = CheckpointFile(path)
        except OSError as problem:
            raise LogUnavailable(f"{path}: {problem.strerror}") from None

    def close(self) -> None:
        self._file.close()

    def signer(self, number: int) -> Signer:
        """Who signs with key *number*."""
        known = self._signer
        if known is None or known[0] != number:
            known = self._signer = (number, Signer(self._origin, self._keys.key(number)))
        return known[1]

    def note(self, head: Head, numbers: Numbers) -> str:
        """The signed checkpoint of *head*."""
        return sign_checkpoint(head.size, head.root(), self.signer(numbers.signing[-1]))

    def sign_every(self, microseconds: int, later: Callable[[], None]) -> None:
        """From now on sign so seldom, and call *later* when a head is left unsigned."""
        self._every, self._later = microseconds, later

    def committed(self, size: int, note: Callable[[], str]) -> None:
        """Sign the head of *size* that was committed, unless one was signed a moment ago."""
        if 0 <= self._clock() - self._at < self._every:
            if not self._is_late:
                self._is_late = True
                self._later()
        else:
            self.put(size, note())
            self._is_late = False

    def catch_up(self, publish: Callable[[], object]) -> None:
        """Have *publish* sign the head if the commit that made it did not."""
        if self._is_late:
            # Before the look at the head: what others commit behind that look is unsigned again.
            self._is_late = False
            try:
                publish()
            except BaseException:
                self._is_late = True
                raise

    def put(self, size: int, note: str) -> None:
        """Put *note* beside the log.

        The commit is durable already; a checkpoint that cannot be written now (a full disk) is
        written with the next commit or at the next opening, and `doctor` says that it lags.
        """
        self._at = self._clock()
        with suppress(OSError):
            self._file.replace(size, note)

    def standing(self) -> Checkpoint | None:
        """What stands beside the log, not yet believed; None if it is none."""
        try:
            return self._file.read()
        except CheckpointMalformed:
            return None
        except OSError as problem:
            raise LogUnavailable(f"{self._path}: {problem.strerror}") from None

    def discard(self) -> None:
        """Take away what no key of the log signed."""
        with failing_disk(self._path):
            self._file.discard()
