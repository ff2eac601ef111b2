"""Files and directories whose bytes are on the disk when the call returns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventstore.errors import LogUnavailable, OutcomeUnknown


def write_durably(path: Path, text: bytes) -> None:
    """Put a file there, whole or not at all.  Raise OSError, or OutcomeUnknown if it may stand."""
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    os.rename(new, path)
    try:
        sync_directory(path.parent)
    except OSError as problem:
        raise OutcomeUnknown(f"{path}: {problem.strerror}") from None


def sync_directory(directory: Path) -> None:
    """Sync the names in *directory*: a synced file that nothing names is lost all the same."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def failing_disk(place: Path) -> Iterator[None]:
    """A failure of the disk in here is told as LogUnavailable."""
    try:
        yield
    except OSError as problem:
        raise LogUnavailable(f"{place}: {problem.strerror}") from None
