"""Rotates the keys of storage accounts that are due, once a minute, beside the event loop.

Every worker does, since any of them may be the last one left; the commit that claims a rotation lets
one of them have it.  A provider may take long, so it is asked in a thread, and one vault after the
other: what is slow delays rotations and no request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from eventstore.errors import MunimentError
from vault.answers import Rotated
from vault.service import Vault
from vault.store import Store

INTERVAL: Final = 60.0


class Rotating:
    """The keeper of one worker.  *told* hears of each rotation, and of what failed."""

    def __init__(
        self,
        store: Store,
        threads: ThreadPoolExecutor,
        told: Callable[[str, Rotated], None],
        interval: float = INTERVAL,
    ) -> None:
        self._store = store
        self._threads = threads
        self._told = told
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Look at once, for the service may have been down, and then again and again."""
        self._task = asyncio.create_task(self._go_on())

    async def end(self) -> None:
        """Begin nothing more, and let what was begun come to its end."""
        if self._task is not None:
            self._task.cancel()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for vault in self._vaults():
                for rotated in await loop.run_in_executor(self._threads, _rotate, vault):
                    self._told(vault.name, rotated)
            await asyncio.sleep(self._interval)

    def _vaults(self) -> list[Vault]:
        # Here and not in the thread: two that open one log at once would spoil it.
        try:
            return self._store.active()
        except (MunimentError, OSError):
            return []


def _rotate(vault: Vault) -> list[Rotated]:
    try:
        return vault.rotate_due()
    except Exception as failure:
        # Whatever it is: who stopped here would rotate no key of any vault until the next start.
        # Its text might quote a key.
        code = failure.code if isinstance(failure, MunimentError) else type(failure).__name__
        return [Rotated(name="", key_name="", outcome=code)]
