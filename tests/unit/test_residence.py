"""A worker does not hold all of the log that it ever looked at."""

from __future__ import annotations

import sys
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
            for start, size in residence.maps_of_stores():
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
    store, _ = make_vault(tmp_path / "store")
    now = [0]
    with store:
        one = residence.Residence(lambda: now[0])
        now[0] = residence.MOST
        one.look()
        assert not given
        now[0] += 1
        one.look()
        assert len(given) == 3  # two logs and the keyring
        given.clear()
        now[0] += residence.MOST
        one.look()
        assert not given


def test_no_other_map_is_touched(tmp_path: Path) -> None:
    before = set(residence.maps_of_stores())
    store, _ = make_vault(tmp_path / "store")
    with store:
        assert len(set(residence.maps_of_stores()) - before) == 3
    assert set(residence.maps_of_stores()) == before
