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


def wait_for(place: Path) -> int:
    """The lock in the file *place*, once nobody else has it; close it.  Raise LogUnavailable."""
    with failing_disk(place):
        return _locked(place, fcntl.LOCK_EX)


def take(place: Path) -> int | None:
    """The lock in the file *place*; None if somebody has it now.  Raise LogUnavailable."""
    with failing_disk(place):
        try:
            return _locked(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None


@contextmanager
def held(place: Path) -> Iterator[None]:
    """Have the lock in the file *place* for a while.  Raise LogUnavailable if that cannot be."""
    fd = wait_for(place)
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
