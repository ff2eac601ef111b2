"""A worker does not hold all of the log that it ever looked at."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from server import residence
from support.vaults import ALICE, check, make_vault
from vault.commands import GetSecret, SetSecret

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's /proc")


def held() -> int:
    """Bytes of stores' files that this process holds."""
    found, rss = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            rss = line.endswith("/data.mdb")
        elif rss and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found


def test_what_was_looked_at_is_given_back_and_can_be_looked_at_again(tmp_path: Path) -> None:
    store, vault = make_vault(tmp_path / "store")
    with store:
        for number in range(30):
            vault.handle(ALICE, SetSecret(name=f"s{number}", value="v" * 20_000))
        assert [vault.handle(ALICE, GetSecret(name=f"s{one}")).value for one in range(30)] == [
            "v" * 20_000
        ] * 30
        before = held()
        assert before > 600_000
        with vault.changes.snapshot() as snapshot:
            for start, size in residence.maps_of([vault.changes]):
                residence.give_back(start, size)
            assert held() < before / 2
            # Also amid a transaction.
            assert [entry.event.name for entry in snapshot.entries(2, 32)] == [
                f"s{one}" for one in range(30)
            ]
        assert vault.handle(ALICE, GetSecret(name="s7")).value == "v" * 20_000
        check(vault)


def test_it_is_given_back_only_when_it_is_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(residence, "give_back", lambda start, size: given.append((start, size)))
    store, vault = make_vault(tmp_path / "store")
    now = [0]
    with store:
        one = residence.Residence(lambda: [vault.changes, vault.access], lambda: now[0])
        now[0] = residence.MOST
        one.look()
        assert not given
        now[0] += 1
        one.look()
        assert len(given) == 2
        given.clear()
        now[0] += residence.MOST
        one.look()
        assert not given


def test_no_other_map_is_touched(tmp_path: Path) -> None:
    store, vault = make_vault(tmp_path / "store")
    (other, another) = make_vault(tmp_path / "other")
    with store, other:
        ours = set(residence.maps_of([vault.changes, vault.access]))
        theirs = set(residence.maps_of([another.changes, another.access]))
        assert (len(ours), len(theirs), ours & theirs) == (2, 2, set())
        assert list(residence.maps_of([])) == []
    assert not list(residence.maps_of([vault.changes, vault.access]))


def test_a_log_is_not_closed_by_another_thread_while_it_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, vault = make_vault(tmp_path / "store")
    with store:
        # As a thread does whose commit failed: what was mapped there may be anything, a moment later.
        closing = threading.Thread(target=vault.changes._detach)
        mapped: list[bool] = []

        def close_meanwhile(start: int, size: int) -> None:
            if not closing.ident:
                closing.start()
                closing.join(0.2)
            mapped.append((start, size) in residence.maps_of([vault.changes, vault.access]))

        monkeypatch.setattr(residence, "give_back", close_meanwhile)
        now = [0]
        one = residence.Residence(lambda: [vault.changes, vault.access], lambda: now[0])
        now[0] = residence.MOST + 1
        one.look()
        closing.join()
        assert mapped == [True, True]


@pytest.mark.parametrize("said", [PermissionError("sandbox"), ValueError("another system")])
def test_where_the_system_does_not_say_a_worker_serves_all_the_same(said: Exception) -> None:
    def shared() -> int:
        raise said

    async def life() -> None:
        one = residence.Residence(list, shared)
        one.begin()
        assert len(asyncio.all_tasks()) == 1  # this one: nobody looks
        one.end()

    asyncio.run(life())
