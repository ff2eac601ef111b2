"""The newest signed checkpoint, in a file beside the log, for everybody who has no key.

It can always be made again from the head, so it is written in place and not synced: a rename would
put a directory change into the file system's journal, and the next commit's sync would wait for it
(tried: half the rate).  It never goes back: a writer that comes late leaves the newer one.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventstore.checkpoint import MAX_NOTE_SIZE, Checkpoint, parse_checkpoint
from eventstore.errors import CheckpointMalformed

_MOST_DIGITS = 20


class CheckpointFile:
    """`checkpoint` in a log's directory, locked while it is read or written."""

    def __init__(self, directory: Path) -> None:
        self._fd = os.open(directory / "checkpoint", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._thread = threading.Lock()

    def read(self) -> Checkpoint | None:
        """The checkpoint that stands there, not yet believed; None if there is none."""
        with self._locked(fcntl.LOCK_SH):
            note = os.pread(self._fd, MAX_NOTE_SIZE, 0)
        if not note:
            return None
        try:
            return parse_checkpoint(note.decode())
        except UnicodeDecodeError:
            raise CheckpointMalformed from None

    def replace(self, size: int, note: str) -> None:
        """Put *note* there unless a checkpoint of a larger size already stands.  Raise OSError."""
        written = note.encode()
        with self._locked(fcntl.LOCK_EX):
            standing = os.pread(self._fd, MAX_NOTE_SIZE, 0)
            if _size(standing) > size:
                return
            if os.pwrite(self._fd, written, 0) != len(written):
                raise OSError("the checkpoint was not written whole")
            if len(standing) > len(written):
                os.ftruncate(self._fd, len(written))

    def discard(self) -> None:
        """Take away what no key of the log signed.  Raise OSError."""
        with self._locked(fcntl.LOCK_EX):
            os.ftruncate(self._fd, 0)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        with self._thread:
            fcntl.flock(self._fd, how)
            try:
                yield
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._fd)


def _size(note: bytes) -> int:
    """The size that *note* names, or -1: enough to know which of two is newer."""
    lines = note.split(b"\n", 2)
    named = len(lines) == 3 and lines[1].isdigit() and len(lines[1]) <= _MOST_DIGITS
    return int(lines[1]) if named else -1
