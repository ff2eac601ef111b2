"""The keeper of a worker goes on, whatever one vault does."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from eventstore.errors import LogUnavailable
from server.rotating import Rotating
from vault.answers import Rotated
from vault.store import Store

DONE = Rotated(name="shop", key_name="key2", outcome="ok")


class Failing:
    """A vault that cannot rotate; what it says of it may hold a key."""

    name = "failing"

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    def rotate_due(self) -> list[Rotated]:
        raise self._failure


class Well:
    name = "well"

    def rotate_due(self) -> list[Rotated]:
        return [DONE]


class Vaults:
    """A store of these two."""

    def __init__(self, *vaults: Any) -> None:
        self._vaults = vaults

    def active(self) -> list[Any]:
        return list(self._vaults)


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(RuntimeError("a key"), "RuntimeError"), (LogUnavailable("a key"), "log.not-recorded")],
    ids=["unforeseen", "foreseen"],
)
def test_a_vault_that_fails_keeps_no_other_and_no_later_rotation_waiting(
    failure: Exception, outcome: str
) -> None:
    told: list[tuple[str, str]] = []

    async def look_twice() -> None:
        twice = asyncio.Event()

        def tell(vault: str, rotated: Rotated) -> None:
            told.append((vault, rotated.outcome))
            if len(told) == 4:
                twice.set()

        store = cast(Store, Vaults(Failing(failure), Well()))
        keeper = Rotating(store, ThreadPoolExecutor(1), tell, interval=0)
        keeper.begin()
        try:
            await asyncio.wait_for(twice.wait(), 5)
        finally:
            await keeper.end()

    asyncio.run(look_twice())
    assert told[:4] == [("failing", outcome), ("well", "ok")] * 2
