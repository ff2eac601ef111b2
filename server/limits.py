"""How often a request may come.  Time is an argument.  Pure.

Key Vault's documented limits are per vault: 300 sets and 4,000 other requests in ten seconds.  They
are off by default.  Refusals have a limit of their own that is always on: each is an event, and
nobody may fill the disk with them.  What is turned away is counted, and the count is an event too,
so that a flood cannot silence the log.
"""

from __future__ import annotations

from collections import OrderedDict

SETS_IN_TEN_SECONDS = 300
OTHERS_IN_TEN_SECONDS = 4000
REFUSALS_A_SECOND = 50
REFUSALS_AT_ONCE = 200
_REMEMBERED = 4096


class Bucket:
    """A token bucket: *rate* a second, at most *most* at once."""

    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate = rate
        self._most = most
        self._left = most
        self._at = now

    def take(self, now: float) -> float:
        """Take one; 0 if there was one, else in how many seconds there will be."""
        wait = self.empty(now)
        if wait == 0:
            self._left -= 1
        return wait

    def spend(self, now: float) -> None:
        """Take one, whether there is one or not."""
        self._refill(now)
        self._left -= 1

    def empty(self, now: float) -> float:
        """In how many seconds there will be one; nothing is taken."""
        self._refill(now)
        return 0.0 if self._left >= 1 else (1 - self._left) / self._rate

    def _refill(self, now: float) -> None:
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now


class Throttle:
    """Key Vault's documented limits for one vault."""

    def __init__(self, now: float) -> None:
        self._sets = Bucket(SETS_IN_TEN_SECONDS / 10, SETS_IN_TEN_SECONDS, now)
        self._others = Bucket(OTHERS_IN_TEN_SECONDS / 10, OTHERS_IN_TEN_SECONDS, now)

    def wait(self, operation: str, now: float) -> float:
        """0 if the request may go on, else the seconds to wait."""
        return (self._sets if operation == "SecretSet" else self._others).take(now)


class RefusalLimit:
    """How many refusals of one principal are recorded one by one.

    It is known only afterwards that a request was one, and as many as there are connections can be
    under way by then.  Those are recorded too, and have to be waited for: in the long run no
    principal has more than the rate.
    """

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def refused(self, principal: str, now: float) -> None:
        """Count a refusal that was recorded."""
        bucket = self._buckets.get(principal)
        if bucket is None:
            bucket = Bucket(REFUSALS_A_SECOND, REFUSALS_AT_ONCE, now)
            self._buckets[principal] = bucket
            if len(self._buckets) > _REMEMBERED:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(principal)
        bucket.spend(now)

    def wait(self, principal: str, now: float) -> float:
        """0 if *principal* may ask, else the seconds until it may."""
        bucket = self._buckets.get(principal)
        return 0.0 if bucket is None else bucket.empty(now)
