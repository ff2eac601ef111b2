"""Numbers that all workers of a service share, each under a name.

For what must hold of the service and not of one worker.  A number stands in a file of its own, in a
directory that goes with the service.  The file's name is an HMAC of the number's, which may hold the
name of a secret.  A lock of the kernel guards it (flock(2)), and goes with a worker that is killed.
Without a directory there is one worker alone, and its memory does.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

Pair = tuple[float, float]
"""What a name stands for: two numbers, of which what they mean is their owner's."""

_LAYOUT: Final = struct.Struct("<dd")


class SharedNumbers:
    """Pairs of numbers by name.  A name that was never given has none."""

    def __init__(self, key: bytes, directory: Path | None = None) -> None:
        """*key* is the service's alone, the same for all of its workers."""
        self._key = key
        self._directory = directory
        self._here: dict[str, Pair] = {}
        if directory is not None:
            directory.mkdir(mode=0o700, exist_ok=True)

    def get(self, *name: str) -> Pair | None:
        """What stands under *name*."""
        place = self._place(name)
        if self._directory is None:
            return self._here.get(place)
        try:
            # Nothing is made: whoever asks for names that are not there leaves no file behind.
            stored = (self._directory / place).read_bytes()
        except OSError:
            return self._here.get(place)
        return _read(stored)

    def change(self, name: tuple[str, ...], by: Callable[[Pair | None], tuple[Pair, T]]) -> T:
        """Put what *by* makes of the pair under *name*, with nobody in between; give its answer."""
        place = self._place(name)
        if self._directory is not None:
            # On a full disk a worker counts for itself: the service goes on.
            with suppress(OSError):
                return _changed(self._directory / place, by)
        self._here[place], answer = by(self._here.get(place))
        return answer

    def _place(self, name: tuple[str, ...]) -> str:
        return hmac.digest(self._key, "\0".join(name).encode(), "sha256").hex()


def _changed(file: Path, by: Callable[[Pair | None], tuple[Pair, T]]) -> T:
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        new, answer = by(_read(os.pread(fd, _LAYOUT.size, 0)))
        os.pwrite(fd, _LAYOUT.pack(*new), 0)
        return answer
    finally:
        os.close(fd)


def _read(stored: bytes) -> Pair | None:
    # One that was made just now is empty still.
    return _LAYOUT.unpack(stored) if len(stored) == _LAYOUT.size else None
