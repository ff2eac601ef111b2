"""What a service refuses to do for strangers and for those who ask too often, without a socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventstore.errors import LogUnavailable
from server.health import Health
from server.limits import REFUSALS_A_SECOND, REFUSALS_AT_ONCE, RefusalLimit
from server.turned_away import TurnedAway
from support.vaults import check_store, make_vault
from vault.service import Vault


def test_names_that_are_made_up_wipe_out_no_count_of_a_vault() -> None:
    counted = TurnedAway(clock=lambda: 7.0)
    counted.expect("one")
    for number in range(5000):
        counted.unauthenticated("one")
        counted.unauthenticated(f"made-up-{number}")
    taken = counted.take()
    assert taken["one"] == (7, 5000, 0)
    assert len(taken) <= 1024


def test_refusals_that_were_under_way_at_once_have_to_be_waited_for() -> None:
    limit = RefusalLimit()
    recorded = now = 0
    for now in range(60):
        # A thousand requests come before the first of them is refused.
        admitted = sum(limit.wait("mallory", now) == 0 for _ in range(1000))
        for _ in range(admitted):
            limit.refused("mallory", now)
        recorded += admitted
    assert recorded <= REFUSALS_AT_ONCE + REFUSALS_A_SECOND * now + 1000
    assert limit.wait("alice", now) == 0


def test_while_it_is_red_a_service_tries_once_a_second_however_many_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []
    now = 0.0

    def unwritable(vault: Vault) -> None:
        tries.append(now)
        raise LogUnavailable

    store, _ = make_vault(tmp_path / "store")
    with store, monkeypatch.context() as patch:
        patch.setattr(Vault, "probe", unwritable)
        health = Health(store, lambda: now)
        assert health.ready()
        health.failed()
        assert not health.ready()
        assert tries == []
        for _ in range(30):
            now += 0.1
            assert not health.ready()
        assert 2 <= len(tries) <= 4
        patch.undo()
        now += 1
        assert health.ready()
    check_store(tmp_path / "store")
