"""Whether the service can do its work: record an event.  Red at the first that it could not.

Who asks comes to any worker, and so a failure of one is known to all: each of them is red then until
a commit of its own succeeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from eventstore.errors import MunimentError
from server.shared import SharedNumbers
from vault.store import Store

_QUIET = 1.0
"""Seconds after a failure before it is tried again, and between two tries: each is a commit, and
anybody may ask whether the service is ready.  On a full disk the small commit that is tried can fit
where events do not, so as long as they fail, nothing is tried."""

_FAILURE = "failure"


class Health:
    """The readiness of one worker."""

    def __init__(
        self,
        store: Store,
        shared: SharedNumbers,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._shared = shared
        self._ticks = ticks
        self._seen = 0.0
        self._next_try = 0.0
        self._red = False

    def failed(self) -> None:
        """An event could not be recorded."""
        now = self._ticks()
        self._turn_red(now)
        self._shared.change((_FAILURE,), lambda _: ((now, 0.0), None))

    def ready(self) -> bool:
        """After a failure of any worker, whether a commit succeeds again."""
        failure = self._last_failure()
        if failure > self._seen:
            self._turn_red(failure)
        if not self._red:
            return True
        if self._ticks() < self._next_try:
            return False
        try:
            for vault in self._store.vaults():
                vault.probe()
        except MunimentError:
            self.failed()
            return False
        self._red = False
        return True

    def _turn_red(self, failure: float) -> None:
        self._seen = failure
        self._red = True
        self._next_try = failure + _QUIET

    def _last_failure(self) -> float:
        known = self._shared.get(_FAILURE)
        return 0.0 if known is None else known[0]
