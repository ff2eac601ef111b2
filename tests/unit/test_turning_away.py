"""What a service refuses to do for strangers and for those who ask too often, without a socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from eventstore.errors import (
    LogMisplaced,
    LogTruncated,
    LogUnavailable,
    MunimentError,
    OutcomeUnknown,
)
from server.health import Health
from server.limits import (
    ALL_REFUSALS_A_SECOND,
    ALL_REFUSALS_AT_ONCE,
    REFUSALS_A_SECOND,
    REFUSALS_AT_ONCE,
    SETS_IN_TEN_SECONDS,
    SPARE_REFUSALS_A_SECOND,
    SPARE_REFUSALS_AT_ONCE,
    RefusalLimit,
)
from server.serving import Options
from server.shared import SharedNumbers
from server.start import service_of
from server.turned_away import TurnedAway
from support.managed import managed_in
from support.vaults import check_store, make_vault
from vault.refusals import SecretNotFound
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
        admitted = sum(limit.wait("mallory", "here", now) == 0 for _ in range(1000))
        for _ in range(admitted):
            limit.refused("mallory", "here", now)
        recorded += admitted
    assert recorded <= REFUSALS_AT_ONCE + REFUSALS_A_SECOND * now + 1000
    assert limit.wait("alice", "here", now) == 0


def recorded(limit: RefusalLimit, seconds: int, crowd: list[tuple[str, str]]) -> int:
    """How many refusals are recorded if all of *crowd* ask 20 times a second, one by one."""
    count = 0
    for tick in range(seconds * 20):
        now = tick / 20
        for principal, way in crowd:
            if limit.wait(principal, way, now) or limit.wait_if_refused(principal, now):
                continue
            limit.refused(principal, way, now)
            count += 1
    return count


@pytest.mark.parametrize(("principals", "ways"), [(1, 1), (1, 500), (50, 10), (500, 1)])
def test_a_flood_has_a_bound_however_many_take_part_in_it(principals: int, ways: int) -> None:
    seconds = 30
    crowd = [(f"p{one}", f"w{other}") for one in range(principals) for other in range(ways)]
    all_of_them = ALL_REFUSALS_AT_ONCE + ALL_REFUSALS_A_SECOND * seconds
    spare = principals * (SPARE_REFUSALS_AT_ONCE + SPARE_REFUSALS_A_SECOND * seconds)
    own = len(crowd) * (REFUSALS_AT_ONCE + REFUSALS_A_SECOND * seconds)
    found = recorded(RefusalLimit(), seconds, crowd)
    assert found <= min(own, all_of_them + spare)
    assert found >= min(len(crowd) * 20 * seconds, REFUSALS_A_SECOND * seconds) / 2


def test_addresses_without_end_help_a_flood_no_more_than_one() -> None:
    limit = RefusalLimit()
    count = 0
    for number in range(20_000):
        now, way = number / 2000, f"2001:db8::{number:x}"
        if not limit.wait("mallory", way, now) and not limit.wait_if_refused("mallory", now):
            limit.refused("mallory", way, now)
            count += 1
    most = ALL_REFUSALS_AT_ONCE + SPARE_REFUSALS_AT_ONCE
    assert count <= most + (ALL_REFUSALS_A_SECOND + SPARE_REFUSALS_A_SECOND) * 10


def test_amid_a_flood_a_principal_that_takes_no_part_is_recorded_one_by_one() -> None:
    limit = RefusalLimit()
    for number in range(2 * ALL_REFUSALS_AT_ONCE):
        limit.refused("mallory", number, 0)
    assert limit.wait_if_refused("mallory", 0) > 0
    for _ in range(SPARE_REFUSALS_AT_ONCE - 1):
        assert not limit.wait_if_refused("bob", 0)
        limit.refused("bob", "here", 0)


def test_a_thief_who_is_refused_elsewhere_does_not_hold_the_owner_of_a_token_back() -> None:
    limit = RefusalLimit()
    for _ in range(10 * REFUSALS_AT_ONCE):
        limit.refused("alice", "there", 0)
    assert limit.wait("alice", "there", 0) > 0
    assert limit.wait("alice", "here", 0) == 0


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
        health = Health(store, SharedNumbers(b"k" * 32), lambda: now)
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


def test_a_failure_of_one_worker_turns_all_red_until_each_of_them_can_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 5.0
    tried = []
    store, _ = make_vault(tmp_path / "store")
    with store, monkeypatch.context() as patch:
        patch.setattr(Vault, "probe", lambda vault: tried.append(vault))
        shared = [SharedNumbers(b"k" * 32, tmp_path / "shared") for _ in range(3)]
        failing, other = (Health(store, numbers, lambda: now) for numbers in shared[:2])
        assert other.ready()
        assert tried == []
        failing.failed()
        later = Health(store, shared[2], lambda: now)
        for worker in (failing, other, later):
            assert not worker.ready()
        now += 1
        for count, worker in enumerate((failing, other, later), 1):
            assert worker.ready()
            assert worker.ready()
            assert len(tried) == count
    check_store(tmp_path / "store")


def test_who_is_refused_uses_up_nothing_of_what_the_vault_takes_in_ten_seconds(
    tmp_path: Path,
) -> None:
    value = {"value": "v"}
    with managed_in(tmp_path / "store", throttled=True) as managed:
        managed.make("acme", managed.policy("root", "set"))
        statuses = [
            managed.data("PUT", "/secrets/db", value, who="bob", peer=f"198.51.100.{number // 100}")
            for number in range(SETS_IN_TEN_SECONDS + 1)
        ]
        assert {answer.inner for answer in statuses} == {"AccessDenied"}
        assert managed.data("PUT", "/secrets/db", value).status == 200


@pytest.mark.parametrize(
    ("failure", "stays_ready"),
    [
        (LogUnavailable(), False),
        (OutcomeUnknown(), False),
        (LogTruncated(), False),
        (LogMisplaced(), False),
        (SecretNotFound(), True),
    ],
)
def test_what_keeps_an_event_from_being_recorded_makes_the_service_red_and_a_refusal_does_not(
    tmp_path: Path, failure: MunimentError, stays_ready: bool
) -> None:
    store, _ = make_vault(tmp_path / "store")
    store.close()
    service = service_of(Options(home=str(tmp_path / "store"), tls=None))
    try:
        assert service.ready()
        service._note(failure, "alice", "a way")
        assert service.ready() is stays_ready
    finally:
        asyncio.run(service.end())
    check_store(tmp_path / "store")
