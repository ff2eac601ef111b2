"""Whether the service can do its work: record an event.  Red at the first that it could not."""

from __future__ import annotations

from eventstore.errors import MunimentError
from vault.store import Store


class Health:
    """The readiness of one worker."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._red = False

    def failed(self) -> None:
        """An event could not be recorded."""
        self._red = True

    def ready(self) -> bool:
        """After a failure, whether a commit succeeds again."""
        if not self._red:
            return True
        try:
            for vault in self._store.vaults():
                vault.probe()
        except MunimentError:
            return False
        self._red = False
        return True
