"""Give back the pages of the store's files that were read through their maps.

LMDB reads a file through a map of it, and each page that was looked at counts as this process's
memory until the kernel needs it: the longer a worker serves, the more of its logs it seems to hold.
The pages are the kernel's cache and stay there; what is given back is only this process's hold on
them, and the next look takes it again.  Source: madvise(2), MADV_DONTNEED on a shared file mapping.

On any other memory the same call would destroy what is there.  So it is done only under a snapshot of
the log: a thread whose commit failed closes a log and opens it anew, but not while somebody reads.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from eventstore.errors import MunimentError
from eventstore.log import Log
from eventstore.pages import DATA_FILE

EVERY: Final = 1.0
"""Seconds between two looks.  Who reads a whole vault all the time takes all of it again in between, for
the kernel maps sixteen pages with each; looking ten times a second kept nothing lower (tried)."""
MOST: Final = 16 << 20
"""Bytes of mapped files that may come to be held in between."""

_DONTNEED: Final = 4
_STATM: Final = Path("/proc/self/statm")
_MAPS: Final = Path("/proc/self/maps")
_UNKNOWN: Final = (OSError, ValueError, IndexError)
"""This system does not say, or not as Linux does."""


class Residence:
    """This process's hold on the files of its logs, and what it gives back of it."""

    def __init__(
        self, logs: Callable[[], Iterable[Log]], shared: Callable[[], int] | None = None
    ) -> None:
        self._logs = logs
        self._shared = shared or shared_bytes
        self._least = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Look now and then, if this system can be asked."""
        with suppress(*_UNKNOWN):
            next(_maps())
            self._least = self._shared()
            self._task = asyncio.create_task(self._go_on())

    def end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _go_on(self) -> None:
        with suppress(*_UNKNOWN):
            while True:
                await asyncio.sleep(EVERY)
                self.look()

    def look(self) -> None:
        """Give back what is too much."""
        if self._shared() - self._least > MOST:
            with ExitStack() as held:
                for start, size in maps_of([log for log in self._logs() if _is_held(held, log)]):
                    give_back(start, size)
            self._least = self._shared()


def _is_held(held: ExitStack, log: Log) -> bool:
    """Keep *log* mapped where it is; not if it cannot be opened just now."""
    with suppress(MunimentError):
        held.enter_context(log.snapshot())
        return True
    return False


def shared_bytes() -> int:
    """How many bytes of mapped files this process holds.  Source: proc_pid_statm(5)."""
    return int(_STATM.read_text().split()[2]) * os.sysconf("SC_PAGE_SIZE")


def maps_of(logs: Iterable[Log]) -> Iterator[tuple[int, int]]:
    """Where LMDB's maps of *logs* begin, and how many bytes they span.

    A map that may be written to is nobody's of ours, and is left alone.
    """
    # The id of the vault is random, and the folders above it may have other names for the kernel.
    ends = tuple(f"/{log.path.parent.name}/{log.path.name}/{DATA_FILE}" for log in logs)
    for parts in _maps():
        if len(parts) == 6 and parts[5].endswith(ends) and parts[1] == "r--s":
            start, end = (int(one, 16) for one in parts[0].split("-"))
            yield start, end - start


def _maps() -> Iterator[list[str]]:
    """What is mapped.  Source: proc_pid_maps(5)."""
    for line in _MAPS.read_text().splitlines():
        yield line.split(maxsplit=5)


def give_back(start: int, size: int) -> None:
    """Let go of the pages from *start* on.  A kernel that will not is no failure."""
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _DONTNEED)
