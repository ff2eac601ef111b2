"""Positions order and clocks label: whatever the clock shows, times grow, and a fall is told once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventstore.events import ClockSteppedBack
from eventstore.record import Entry
from support.other_process import StillClock
from support.vaults import ALICE, BOB, check_store, make_vault, open_store
from vault.commands import GetSecret, ImportSecrets, SetSecret
from vault.history_commands import ReadHistory
from vault.refusals import AccessDenied

MS, SECOND, HOUR = 1_000, 1_000_000, 3_600_000_000
TOLERATED = 50 * MS

jumps = st.one_of(
    st.integers(-2, 2),
    st.integers(-60 * MS, 60 * MS),
    st.sampled_from([-TOLERATED - 1, -TOLERATED, -TOLERATED + 1, TOLERATED]),
    st.integers(-100 * HOUR, 100 * HOUR),
)


class Place:
    """A vault with a clock to turn, and what the clock showed at each thing that was done."""

    def __init__(self, home: Path) -> None:
        self.home, self.clock = home, StillClock()
        self.store, self.vault = make_vault(home, self.clock)
        self.shown: list[int] = []

    def jump(self, by: int) -> None:
        """The clock moves, then something is changed and read."""
        self.clock.now += by
        self.shown.append(self.clock.now)
        self.vault.handle(ALICE, SetSecret(name="db", value="x"))
        self.vault.handle(ALICE, GetSecret(name="db"))

    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.home, self.clock)
        self.vault = self.store.vault()

    def entries(self, log: str) -> list[Entry[Any]]:
        with getattr(self.vault, log).snapshot() as snapshot:
            return list(snapshot.entries())

    def falls(self, log: str = "changes") -> list[tuple[int, int]]:
        """What the clock was said to show, and the last time before."""
        events = (entry.event for entry in self.entries(log))
        return [(e.observed, e.last) for e in events if isinstance(e, ClockSteppedBack)]


@contextmanager
def a_place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as directory:
        place = Place(Path(directory) / "store")
        yield place
        place.store.close()
        check_store(place.home, place.clock)


@pytest.fixture
def place() -> Iterator[Place]:
    with a_place() as place:
        yield place


def check_times(entries: list[Entry[Any]], shown: list[int]) -> None:
    """Times grow with positions, show the clock where it is ahead, and each fall is told once."""
    assert [entry.position for entry in entries] == list(range(len(entries)))
    times = [entry.time for entry in entries]
    assert all(earlier < later for earlier, later in pairwise(times))

    waiting, fallen, told = list(reversed(shown)), False, None
    for before, entry in zip([None, *entries], entries, strict=False):
        last = 0 if before is None else before.time
        if isinstance(entry.event, ClockSteppedBack):
            assert told is None, "told twice for one thing done"
            told = (entry.event.observed, entry.event.last)
            assert told == (waiting[-1], last)
            assert not fallen, "told again before the clock caught up"
            assert last - waiting[-1] > TOLERATED, "a small lag was told"
            fallen = True
            continue
        now = waiting.pop()
        assert entry.time == (now if now > last else last + 1)
        assert fallen or last - now <= TOLERATED, "a fall was not told"
        if now >= entry.time:
            fallen = False
        told = None
    assert waiting == []


@settings(max_examples=60, deadline=None, derandomize=True)
@given(steps=st.lists(jumps | st.just("reopen"), max_size=25))
@example(steps=[-HOUR, 0, "reopen", 0, 2 * HOUR, -HOUR, 0])
@example(steps=[-TOLERATED, 1, -TOLERATED - 1])
def test_times_grow_and_a_fall_is_told_once_however_the_clock_jumps(
    steps: list[int | str],
) -> None:
    with a_place() as place:
        created = [place.clock.now] * 2  # the vault, and its first policy
        for step in steps:
            if isinstance(step, str):
                place.reopen()
            else:
                place.jump(step)
        check_times(place.entries("changes"), created + place.shown)
        check_times(place.entries("access"), place.shown)


def test_a_step_back_stands_in_the_history_with_both_times(place: Place) -> None:
    place.jump(SECOND)
    last = place.clock.now
    place.jump(-HOUR)
    told = place.vault.handle(ALICE, ReadHistory(operation="clock.stepped-back"))
    assert sorted(item.log for item in told) == ["access", "changes"]
    for item in told:
        assert item.details == {"observed": last - HOUR, "last": last}
        assert (item.principal, item.outcome) == ("muniment", "ok")


def test_a_clock_that_stays_behind_is_told_of_once(place: Place) -> None:
    place.jump(0)
    place.jump(-HOUR)
    for _ in range(10):
        place.jump(MS)
        place.jump(-MS)
    assert len(place.falls()) == len(place.falls("access")) == 1


def test_a_clock_that_falls_further_while_behind_is_one_fall(place: Place) -> None:
    place.jump(-HOUR)
    place.jump(-HOUR)
    assert len(place.falls()) == 1


def test_after_it_caught_up_the_next_fall_is_told_again(place: Place) -> None:
    for _ in range(3):
        place.jump(-HOUR)
        place.jump(HOUR + SECOND)
    assert len(place.falls()) == 3


def test_a_fall_is_remembered_over_a_reopening(place: Place) -> None:
    place.jump(-HOUR)
    place.reopen()
    place.jump(MS)
    assert len(place.falls()) == 1


@pytest.mark.parametrize(("lag", "told"), [(TOLERATED, 0), (TOLERATED + 1, 1)])
def test_a_small_lag_is_not_told(place: Place, lag: int, told: int) -> None:
    place.jump(SECOND)
    place.clock.now -= lag
    place.vault.handle(ALICE, SetSecret(name="db", value="x"))
    assert len(place.falls()) == told


def test_small_steps_back_are_told_once_they_add_up(place: Place) -> None:
    place.jump(SECOND)
    for _ in range(10):
        place.jump(-20 * MS)
    assert len(place.falls()) == 1


def test_a_refusal_under_a_fallen_clock_is_told_too(place: Place) -> None:
    place.jump(0)
    place.clock.now -= HOUR
    with pytest.raises(AccessDenied):
        place.vault.handle(BOB, GetSecret(name="db"))
    assert len(place.falls("access")) == 1


def test_a_long_import_runs_ahead_of_the_clock_and_is_no_fall(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each record is a microsecond after the one before it: an import of 50,001 runs ahead as far.
    monkeypatch.setattr("eventstore.transaction.CLOCK_TOLERANCE", 50)
    place.jump(SECOND)
    items = tuple(SetSecret(name=f"s{number}", value="x") for number in range(60))
    retried = type(ALICE)(principal=ALICE.principal, auth="test", request="the import")
    first = place.vault.handle(retried, ImportSecrets(items=items))
    assert place.falls() == []
    assert place.vault.handle(retried, ImportSecrets(items=items)) == first


def test_the_dates_that_users_see_never_go_back(place: Place) -> None:
    first = place.vault.handle(ALICE, SetSecret(name="db", value="1")).attributes
    assert first.created is not None
    place.clock.now -= 100 * HOUR
    second = place.vault.handle(ALICE, SetSecret(name="db", value="2")).attributes
    assert second.created is not None
    assert second.created >= first.created
