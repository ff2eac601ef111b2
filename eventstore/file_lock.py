"""Locks that lie in files: one holder at a time on this machine.

Closing the file gives a lock back, and so does death.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventstore.durable import failing_disk


def take(place: Path) -> int | None:
    """The lock in the file *place*; None if somebody has it now.  Raise LogUnavailable.

    Whoever closes what this gives, gives the lock back.
    """
    with failing_disk(place):
        try:
            return _locked(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None


@contextmanager
def held(place: Path) -> Iterator[None]:
    """Wait for the lock in the file *place*, and have it for a while.  Raise LogUnavailable."""
    with failing_disk(place):
        fd = _locked(place, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(fd)


def _locked(place: Path, how: int) -> int:
    fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, how)
    except BaseException:
        os.close(fd)
        raise
    return fd
