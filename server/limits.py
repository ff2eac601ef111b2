"""How often a request may come.  Time is an argument.  Pure.

Key Vault's documented limits are per vault: 300 sets and 4,000 other requests in ten seconds.  They
are off by default.  Refusals have limits of their own that are always on: each is an event, and
nobody may fill the disk with them, nor take the time of those who are let in.  What is turned away is
counted, and the count is an event too, so that a flood cannot silence the log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

SETS_IN_TEN_SECONDS = 300
OTHERS_IN_TEN_SECONDS = 4000
REFUSALS_A_SECOND = 50
REFUSALS_AT_ONCE = 200
ALL_REFUSALS_A_SECOND = 200
ALL_REFUSALS_AT_ONCE = 1000
SPARE_REFUSALS_A_SECOND = 1
SPARE_REFUSALS_AT_ONCE = 20
_REMEMBERED = 4096


class Bucket:
    """A token bucket: *rate* a second, at most *most* at once."""

    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, rate: float, most: float, at: float, left: float | None = None) -> None:
        """*left* of them were left at the time *at*; all, if it is not told."""
        self._rate = rate
        self._most = most
        self._left = most if left is None else left
        self._at = at

    @property
    def state(self) -> tuple[float, float]:
        """Since when how many are left, to make the same bucket of."""
        return self._at, self._left

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

    def give_back(self) -> None:
        """What was taken was not used."""
        self._left = min(self._most, self._left + 1)

    def empty(self, now: float) -> float:
        """In how many seconds there will be one; nothing is taken."""
        self._refill(now)
        return 0.0 if self._left >= 1 else (1 - self._left) / self._rate

    def _refill(self, now: float) -> None:
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now


class Buckets:
    """A bucket for each of those who were heard of last."""

    def __init__(self, rate: float, most: float) -> None:
        self._rate = rate
        self._most = most
        self._of: OrderedDict[Hashable, Bucket] = OrderedDict()

    def spend(self, key: Hashable, now: float) -> None:
        bucket = self._of.get(key)
        if bucket is None:
            bucket = self._of[key] = Bucket(self._rate, self._most, now)
            if len(self._of) > _REMEMBERED:
                self._of.popitem(last=False)
        self._of.move_to_end(key)
        bucket.spend(now)

    def empty(self, key: Hashable, now: float) -> float:
        bucket = self._of.get(key)
        return 0.0 if bucket is None else bucket.empty(now)


class RefusalLimit:
    """How many refusals are recorded one by one: of a caller, of a principal, and of all.

    A caller is a principal that comes one way.  Whoever uses somebody's token elsewhere, and is
    refused there, is another caller: else a thief outside of the boundary could keep the principal
    out that is inside.  Since addresses cost nothing all callers together have a limit too; while it
    is reached, a principal has little of its own left, and then only those go on who are let in.

    It is known only afterwards that a request was refused, and as many as there are connections can
    be under way by then.  Those are recorded too, and have to be waited for: in the long run nobody
    has more than the rate.
    """

    def __init__(self) -> None:
        self._callers = Buckets(REFUSALS_A_SECOND, REFUSALS_AT_ONCE)
        self._principals = Buckets(SPARE_REFUSALS_A_SECOND, SPARE_REFUSALS_AT_ONCE)
        self._all = Bucket(ALL_REFUSALS_A_SECOND, ALL_REFUSALS_AT_ONCE, 0.0)

    def refused(self, principal: str, way: Hashable, now: float) -> None:
        """Count a refusal that was recorded."""
        self._callers.spend((principal, way), now)
        self._principals.spend(principal, now)
        self._all.spend(now)

    def wait(self, principal: str, way: Hashable, now: float) -> float:
        """0 if *principal* may ask by that *way*, else the seconds until it may."""
        return self._callers.empty((principal, way), now)

    def wait_if_refused(self, principal: str, now: float) -> float:
        """0 if one more refusal of *principal* may be recorded, whatever way it came."""
        if not self._all.empty(now):
            return 0.0
        return self._principals.empty(principal, now)
