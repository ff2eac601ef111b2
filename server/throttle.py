"""Key Vault's documented limits for one vault, whichever worker is asked.

They are per vault, and a client that comes twice may come to two workers: so the workers share what
is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from server.limits import OTHERS_IN_TEN_SECONDS, SETS_IN_TEN_SECONDS, Bucket
from server.shared import Pair, SharedNumbers

T = TypeVar("T")


class Throttle:
    """How many requests a vault still takes."""

    def __init__(self, shared: SharedNumbers, vault: str) -> None:
        self._shared = shared
        self._vault = vault

    def wait(self, operation: str, now: float) -> float:
        """0 if the request may go on, else the seconds to wait."""
        return self._change(operation, now, lambda bucket: bucket.take(now))

    def refused(self, operation: str, now: float) -> None:
        """Whoever was let go on may not: the place is for those who may."""
        self._change(operation, now, lambda bucket: bucket.give_back())

    def _change(self, operation: str, now: float, by: Callable[[Bucket], T]) -> T:
        kind = "sets" if operation == "SecretSet" else "others"
        most = SETS_IN_TEN_SECONDS if kind == "sets" else OTHERS_IN_TEN_SECONDS

        def changed(kept: Pair | None) -> tuple[Pair, T]:
            bucket = (
                Bucket(most / 10, most, now) if kept is None else Bucket(most / 10, most, *kept)
            )
            answer = by(bucket)
            return bucket.state, answer

        return self._shared.change(("throttle", self._vault, kind), changed)
