"""Give back the pages of the store's files that were read through their maps.

LMDB reads a file through a map of it, and each page that was looked at counts as this process's
memory until the kernel needs it: the longer a worker serves, the more of its logs it seems to hold.
The pages are the kernel's cache and stay there; what is given back is only this process's hold on
them, and the next look takes it again.  Source: madvise(2), MADV_DONTNEED on a shared file mapping.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

EVERY: Final = 1.0
"""Seconds between two looks."""
MOST: Final = 16 << 20
"""Bytes of mapped files that may come to be held in between."""

_DONTNEED: Final = 4
_FILE: Final = "/data.mdb"
_STATM: Final = Path("/proc/self/statm")
_MAPS: Final = Path("/proc/self/maps")


class Residence:
    """This process's hold on mapped files, and what it gives back of it."""

    def __init__(self, shared: Callable[[], int] | None = None) -> None:
        self._shared = shared or shared_bytes
        self._least = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Look now and then, if this system can be asked."""
        if _STATM.exists() and _MAPS.exists():
            self._least = self._shared()
            self._task = asyncio.create_task(self._look())

    def end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            self.look()

    def look(self) -> None:
        """Give back what is too much."""
        if self._shared() - self._least > MOST:
            for start, size in maps_of_stores():
                give_back(start, size)
            self._least = self._shared()


def shared_bytes() -> int:
    """How many bytes of mapped files this process holds.  Source: proc_pid_statm(5)."""
    return int(_STATM.read_text().split()[2]) * os.sysconf("SC_PAGE_SIZE")


def maps_of_stores() -> Iterator[tuple[int, int]]:
    """Where LMDB's maps begin, and how many bytes they span.  Source: proc_pid_maps(5).

    A map that may be written to is nobody's of ours, and is left alone.
    """
    for line in _MAPS.read_text().splitlines():
        parts = line.split(maxsplit=5)
        if len(parts) == 6 and parts[5].endswith(_FILE) and parts[1] == "r--s":
            start, end = (int(one, 16) for one in parts[0].split("-"))
            yield start, end - start


def give_back(start: int, size: int) -> None:
    """Let go of the pages from *start* on.  A kernel that will not is no failure."""
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _DONTNEED)
