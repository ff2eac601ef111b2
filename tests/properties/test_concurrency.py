"""Two processes and 32 threads in one vault: nothing is lost, doubled or out of order.

Every thread keeps what it did, when it began and when it was answered.  Afterwards the history is
read by itself, and everything that was answered must follow from it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import lmdb
import pytest

from eventstore.errors import LogConflict
from support.crowd import COUNTERS, ROUNDS, THREADS, Done, all_threads, elsewhere
from support.vaults import ALICE, check_store
from vault.answers import HistoryItem
from vault.commands import SetSecret
from vault.history_commands import ReadHistory
from vault.store import Store, system_clock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def commits(log: Path) -> int:
    with lmdb.open(str(log), readonly=True, lock=False) as environment:
        return int(environment.info()["last_txnid"])


class Past(NamedTuple):
    """What was done, by those who did it, and what the vault's history says."""

    done: list[Done]
    changes: list[HistoryItem]
    access: list[HistoryItem]
    commits: dict[str, int]
    records: dict[str, int]
    seconds: float


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    home = tmp_path_factory.mktemp("together") / "store"
    with Store.create(home) as store:
        vault = store.create_vault(ALICE, "test-vault")
        vault.handle(ALICE, SetSecret(name="counter", value="0"))
        vault.handle(ALICE, SetSecret(name="comes-and-goes", value="x"))
        [directory] = (home / "vaults").iterdir()
        sizes = {log: getattr(vault, log).head().size for log in ("changes", "access")}
    before = {log: commits(directory / log) for log in sizes}

    pipe = elsewhere(home)
    with Store.open(home) as store:
        assert pipe.recv() == "ready"
        began = time.monotonic()
        done = all_threads(store.vault(), "here-", lambda: pipe.send("go"))
        done += pipe.recv()
        seconds = time.monotonic() - began
    after = {log: commits(directory / log) - before[log] for log in sizes}
    with Store.open(home) as store:
        vault = store.vault()
        written = {log: getattr(vault, log).head().size - sizes[log] for log in sizes}
        changes = vault.handle(ALICE, ReadHistory(logs=("changes",)))
        access = vault.handle(ALICE, ReadHistory(logs=("access",)))
    yield Past(done, changes, access, after, written, seconds)
    check_store(home, system_clock)


def answered(past: Past, *operations: str) -> list[Done]:
    return [one for one in past.done if one.outcome == "ok" and one.operation in operations]


CHANGES = ("secret.set", "secret.deleted", "secret.recovered")


def test_every_answered_change_stands_in_the_log_once_and_no_other(past: Past) -> None:
    recorded = Counter((item.request, item.operation, item.name) for item in past.changes)
    told = Counter((one.request, one.operation, one.name) for one in answered(past, *CHANGES))
    assert told == Counter({key: count for key, count in recorded.items() if key[0]})
    assert set(told.values()) == {1}
    versions = {item.request: item.version for item in past.changes}
    assert all(versions[one.request] == one.version for one in answered(past, "secret.set"))


def test_every_read_and_every_refusal_stands_in_the_access_log_once(past: Past) -> None:
    recorded = Counter((item.request, item.operation, item.outcome) for item in past.access)
    told = Counter(
        (one.request, one.operation, one.outcome)
        for one in past.done
        if one.outcome != "ok" or one.operation == "secret.read"
    )
    assert told == Counter({key: count for key, count in recorded.items() if key[0]})


@pytest.mark.parametrize("log", ["changes", "access"])
def test_positions_have_no_gap_and_times_follow_them(past: Past, log: str) -> None:
    items: list[HistoryItem] = getattr(past, log)
    assert [item.position for item in items] == list(range(len(items)))
    assert [item.time for item in items] == sorted({item.time for item in items})


@pytest.mark.parametrize("log", ["changes", "access"])
def test_what_was_answered_before_another_was_asked_stands_before_it(past: Past, log: str) -> None:
    position = {item.request: item.position for item in getattr(past, log) if item.request}
    here = [one for one in past.done if one.request in position]
    by_end = sorted(here, key=lambda one: one.ended)
    highest, ended = -1, 0
    for one in sorted(here, key=lambda one: one.began):
        while by_end[ended].ended < one.began:
            highest = max(highest, position[by_end[ended].request])
            ended += 1
        assert position[one.request] > highest


def test_no_update_is_lost_under_an_append_condition(past: Past) -> None:
    sets = [item for item in past.changes if item.name == "counter"]
    values = {one.version: one.value for one in answered(past, "secret.set")}
    counted = [int(values[item.version]) for item in sets[1:]]
    assert counted == list(range(1, 2 * COUNTERS * ROUNDS + 1))
    refused = [one for one in past.done if one.outcome == LogConflict.code]
    assert refused, "nobody was in anybody's way: the test shows nothing"


def test_a_value_that_was_read_is_the_one_that_stood_where_the_trace_says(past: Past) -> None:
    traces = {item.request: item for item in past.access}
    values = {one.version: one.value for one in answered(past, "secret.set")}
    reads = [one for one in answered(past, "secret.read") if one.version in values]
    assert len(reads) > THREADS * ROUNDS
    for one in reads:
        at = traces[one.request].at
        assert at is not None
        before = [item for item in past.changes[:at] if item.name == one.name]
        current = [item.version for item in before if item.operation == "secret.set"][-1]
        assert (one.version, one.value) == (current, values[current])
        assert before[-1].operation != "secret.deleted"


def test_commits_are_shared(past: Past) -> None:
    for log in ("changes", "access"):
        assert past.commits[log] < past.records[log] / 2, log
