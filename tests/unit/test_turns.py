"""What reaches a server one by one shares a commit, and nobody waits for somebody who does not come."""

import asyncio
from pathlib import Path

import pytest

from server.turns import MOST_AT_ONCE, Turns
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


def asked(vault: Vault, callers: int, passes: int) -> list[int]:
    """How many requests each turn took, if *passes* of the loop lie between two callers."""
    sizes: list[int] = []

    async def life() -> None:
        turns = Turns(vault, sizes.append)
        answers = []
        for _ in range(callers):
            answers.append(turns.ask(ALICE, GetSecret(name="s")))
            for _ in range(passes):
                await asyncio.sleep(0)
        assert [(await one).value for one in answers] == ["v"] * callers

    asyncio.run(life())
    return sizes


def test_callers_who_come_one_after_the_other_share_a_turn(vault: Vault) -> None:
    assert asked(vault, callers=5, passes=1) == [5]


def test_nobody_waits_long_for_others(vault: Vault) -> None:
    assert asked(vault, callers=3, passes=20) == [1, 1, 1]


def test_a_crowd_is_served_in_turns_of_a_certain_size(vault: Vault) -> None:
    assert asked(vault, callers=MOST_AT_ONCE + 2, passes=0) == [MOST_AT_ONCE, 2]
