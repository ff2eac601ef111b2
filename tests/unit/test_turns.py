"""What reaches a server one by one shares a commit, and nobody waits for somebody who does not come."""

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import perf_counter

import pytest

from server.turns import MOST_AT_ONCE, OPEN_TURN, Turns
from support.vaults import ALICE, Clock, check_store, make_vault
from vault.commands import GetSecret, SetSecret
from vault.service import Vault

HOME = "store"


@pytest.fixture
def vault(tmp_path: Path):
    clock = Clock()
    store, vault = make_vault(tmp_path / HOME, clock)
    with store:
        vault.handle(ALICE, SetSecret(name="s", value="v"))
        yield vault
    check_store(tmp_path / HOME, clock)


def standing() -> float:
    """A clock by which no time goes by: whoever is expected is waited for."""
    return 0.0


def asked(
    vault: Vault, *rounds: tuple[int, int], clock: Callable[[], float] = perf_counter
) -> list[int]:
    """How many requests each turn took.

    In each of *rounds* so many callers come, with so many passes of the loop between two of them;
    the next ones come when all of these are answered.
    """
    sizes: list[int] = []

    async def life() -> None:
        turns = Turns(vault, sizes.append, clock)
        for callers, passes in rounds:
            answers = []
            for _ in range(callers):
                answers.append(turns.ask(ALICE, GetSecret(name="s")))
                for _ in range(passes):
                    await asyncio.sleep(0)
            assert [(await one).value for one in answers] == ["v"] * callers

    asyncio.run(life())
    return sizes


def test_callers_who_come_one_after_the_other_share_a_turn(vault: Vault) -> None:
    assert asked(vault, (5, 1)) == [5]


def test_nobody_waits_for_who_never_came(vault: Vault) -> None:
    assert asked(vault, (3, 20)) == [1, 1, 1]


def test_who_was_answered_together_is_waited_for(vault: Vault) -> None:
    assert asked(vault, (3, 0), (3, 20), clock=standing) == [3, 3]


def test_but_not_for_long(vault: Vault) -> None:
    # By this clock each pass of the loop takes a second.
    ticks = count()
    sizes = asked(vault, (3, 0), (3, 20), clock=lambda: float(next(ticks)))
    assert sizes == [3, 1, 1, 1]


def test_callers_who_trickle_in_are_not_gathered_until_the_turn_is_full(vault: Vault) -> None:
    # Each pass of the loop takes 100 us, and every other one brings somebody.
    ticks = count()
    sizes = asked(vault, (20, 0), (40, 2), clock=lambda: next(ticks) * 100e-6)
    assert sizes[0] == 20
    assert max(sizes[1:]) <= 6


def test_now_and_then_a_turn_waits_for_whoever_may_come(vault: Vault) -> None:
    # Else two who came to be served in turns of one would stay so for ever.
    sizes = asked(vault, (OPEN_TURN, 20), (MOST_AT_ONCE, 20), clock=standing)
    assert sizes == [1] * OPEN_TURN + [MOST_AT_ONCE]


def test_a_crowd_is_served_in_turns_of_a_certain_size(vault: Vault) -> None:
    assert asked(vault, (MOST_AT_ONCE + 2, 0)) == [MOST_AT_ONCE, 2]
