"""History is retold whole and in order, in chunks, and recorded before the first record is given."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from eventstore.access_events import HistoryRead, SecretRead
from eventstore.errors import LogUnavailable
from eventstore.event import Context
from eventstore.record import Draft
from eventstore.transaction import Append
from support.life import Life, life_in
from support.vaults import ALICE, BOB
from vault import history
from vault.answers import HistoryItem
from vault.commands import Command, GetSecret
from vault.history_commands import ReadHistory, Replay
from vault.refusals import SecretNotFound

VERSION = "0" * 32


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


def read_often(life: Life, times: int) -> None:
    """Records in `access` as readings leave them."""

    def work(append: Append) -> None:
        for number in range(times):
            context = Context(principal=f"p{number % 3}", auth="test", rule="policy #1")
            append.append(Draft(context, SecretRead(name="db", version=VERSION, at=2)))

    life.vault.access.transact(work)


def busy(life: Life) -> None:
    """Both logs grow side by side; some requests are refused."""
    draw = random.Random(1)
    life.allow("get")
    for _ in range(60):
        name = draw.choice(("a", "b", "c"))
        who = draw.choice((ALICE, BOB))
        if draw.random() < 0.5:
            life.set(name)
        else:
            try:
                life(GetSecret(name=name), who)
            except SecretNotFound:
                life.set(name)


def places(items: list[HistoryItem]) -> list[tuple[str, int]]:
    return [(item.log, item.position) for item in items]


QUESTIONS = [
    ReadHistory(),
    ReadHistory(name="b"),
    ReadHistory(principal=BOB.principal),
    ReadHistory(operation="secret.read"),
    ReadHistory(outcome="secret.not-found"),
    ReadHistory(refused=True),
    ReadHistory(logs=("access",), name="a"),
    ReadHistory(from_event=20),
    ReadHistory(from_event=9, before_event=21, name="c"),
    ReadHistory(address="192.0.2.7"),
]


@pytest.mark.parametrize("remembered", [0, 3, 65_536])
@pytest.mark.parametrize("chunk", [1, 2, 7, 500])
def test_what_is_told_does_not_depend_on_the_chunks(
    life: Life, monkeypatch: pytest.MonkeyPatch, chunk: int, remembered: int
) -> None:
    busy(life)
    everything = life(ReadHistory())
    monkeypatch.setattr(history, "CHUNK", chunk)
    monkeypatch.setattr(history, "REMEMBERED", remembered)
    for asked in QUESTIONS:
        seen = len(life.traces())
        told = life(asked)
        known = {"access": seen, "changes": len(life.changes())}
        expected = [
            item
            for item in [*everything, *life(ReadHistory())[len(everything) :]]
            if item.log in asked.logs
            and item.position < known[item.log]
            and history.fits(item, asked)
        ]
        assert places(told) == places(expected)
        assert [item.time for item in told] == sorted(item.time for item in told)


@pytest.mark.parametrize("chunk", [1, 3, 500])
@pytest.mark.parametrize("asked", QUESTIONS)
def test_the_newest_are_the_last_of_those_that_match(
    life: Life, monkeypatch: pytest.MonkeyPatch, asked: ReadHistory, chunk: int
) -> None:
    monkeypatch.setattr(history, "CHUNK", chunk)
    busy(life)
    stop = life.clock.now + 1
    matching = places(life(replace(asked, stop=stop)))
    for many in (1, 2, 5, 1000):
        assert places(life(replace(asked, stop=stop, newest=many))) == matching[-many:]


@pytest.mark.parametrize("asked", [ReadHistory(name="db"), Replay()])
def test_it_is_recorded_with_its_number_before_the_first_is_given(
    life: Life, asked: Command[list[object]]
) -> None:
    life.set("db")
    life(GetSecret(name="db"))
    before = len(life.traces())
    told = life.vault.stream(ALICE, asked)
    (trace,) = life.traces()[before:]
    assert isinstance(trace.event, HistoryRead)
    assert trace.event.count == len(list(told)) > 0


def test_nothing_is_given_that_could_not_be_recorded(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise LogUnavailable("no space")

    monkeypatch.setattr(life.vault.access, "transact", full)
    with pytest.raises(LogUnavailable):
        life.vault.stream(ALICE, ReadHistory())


def test_what_is_recorded_meanwhile_is_not_told(life: Life) -> None:
    life.set("db")
    told = life.vault.stream(ALICE, ReadHistory())
    first = next(told)
    life.set("db")
    assert [first.position, *(item.position for item in told)] == [0, 1, 2]


def grown(life: Life) -> int:
    """By how many pages `access` grows with so many commits."""
    before = _pages(life)
    for _ in range(60):
        read_often(life, 1)
    return _pages(life) - before


def _pages(life: Life) -> int:
    environment = life.vault.access._environment
    assert environment is not None
    return int(environment.info()["last_pgno"])


def test_who_reads_slowly_does_not_make_the_store_grow(life: Life) -> None:
    """A snapshot that was kept open between two records would let LMDB reuse no page."""
    read_often(life, 1200)
    grown(life)
    alone = grown(life)
    told = life.vault.stream(ALICE, ReadHistory())
    next(told)
    assert grown(life) <= alone + 50
    with life.vault.access.snapshot():
        assert grown(life) > alone + 50, "the measure tells a snapshot that is held"


@pytest.mark.parametrize(
    "asked",
    [
        ReadHistory(),
        ReadHistory(name="db"),
        ReadHistory(name="db", newest=50),
        Replay(),
    ],
    ids=["all", "of a name", "the newest", "replayed"],
)
def test_memory_does_not_grow_with_the_history(
    life: Life, monkeypatch: pytest.MonkeyPatch, asked: Command[list[object]]
) -> None:
    monkeypatch.setattr(history, "CHUNK", 100)
    monkeypatch.setattr(history, "REMEMBERED", 100)
    peaks = []
    for more in (1200, 4800):
        read_often(life, more)
        peaks.append(_peak(life, asked))
    # Lists of all that is told would take five times as much.
    assert peaks[1] < peaks[0] * 1.5, peaks


def _peak(life: Life, asked: Command[list[object]]) -> int:
    """The most bytes in use while the history is told and thrown away."""
    deque(life.vault.stream(ALICE, asked), maxlen=0)  # caches are filled by now
    gc.collect()
    tracemalloc.start()
    try:
        deque(life.vault.stream(ALICE, asked), maxlen=0)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("asked", [ReadHistory(from_event=99), ReadHistory(before_event=99)])
def test_a_position_beyond_the_head_is_none(life: Life, asked: ReadHistory) -> None:
    life.refuses("log.no-such-position", asked)
