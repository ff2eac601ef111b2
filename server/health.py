"""Whether the service can do its work: record an event.  Red at the first that it could not."""

from __future__ import annotations

import time
from collections.abc import Callable

from eventstore.errors import MunimentError
from vault.store import Store

_QUIET = 1.0
"""Seconds after a failure before it is tried again, and between two tries: each is a commit, and
anybody may ask whether the service is ready.  On a full disk the small commit that is tried can fit
where events do not, so as long as they fail, nothing is tried."""


class Health:
    """The readiness of one worker."""

    def __init__(self, store: Store, ticks: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._ticks = ticks
        self._next_try = 0.0
        self._red = False

    def failed(self) -> None:
        """An event could not be recorded."""
        self._red = True
        self._next_try = self._ticks() + _QUIET

    def ready(self) -> bool:
        """After a failure, whether a commit succeeds again."""
        if not self._red:
            return True
        if self._ticks() < self._next_try:
            return False
        self._next_try = self._ticks() + _QUIET
        try:
            for vault in self._store.vaults():
                vault.probe()
        except MunimentError:
            return False
        self._red = False
        return True
