"""Many callers, one commit: in order, once each, and nobody left waiting."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from eventstore import group_commit
from eventstore.errors import LogBusy, OutcomeUnknown
from eventstore.group_commit import GroupCommit, Ticket

WAIT = 10


class Ledger:
    """Commits batches of numbers, and can be held up in the midst of one."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.problem: BaseException | None = None
        self.commits: GroupCommit[int] = GroupCommit(self._commit)

    def _commit(self, batch: list[Ticket[int]]) -> None:
        self.begun.set()
        assert self.free.wait(WAIT)
        problem, self.problem = self.problem, None
        if problem is not None:
            raise problem
        self.batches.append([ticket.work for ticket in batch])
        for ticket in batch:
            ticket.result = ticket.work * 10

    @property
    def committed(self) -> list[int]:
        return [work for batch in self.batches for work in batch]


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def waiting(ledger: Ledger, many: int) -> None:
    """Come back when *many* works wait."""
    until = time.monotonic() + WAIT
    while len(ledger.commits._waiting) < many:
        assert time.monotonic() < until
        time.sleep(0.001)


@contextmanager
def busy(ledger: Ledger) -> Iterator[threading.Thread]:
    """Somebody's commit of 0 goes on meanwhile, and ends afterwards."""
    ledger.free.clear()
    leader = started(lambda: ledger.commits.submit([0]))
    assert ledger.begun.wait(WAIT)
    yield leader
    ledger.free.set()
    leader.join(WAIT)
    assert not leader.is_alive()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_works_of_one_caller_are_done_in_order_and_in_one_batch(ledger: Ledger) -> None:
    tickets = ledger.commits.submit([3, 1, 2])
    assert ledger.batches == [[3, 1, 2]]
    assert [ticket.result for ticket in tickets] == [30, 10, 20]


def test_nothing_to_do_commits_nothing(ledger: Ledger) -> None:
    assert ledger.commits.submit([]) == []
    assert ledger.batches == []


def test_who_comes_during_a_commit_shares_the_next_one(ledger: Ledger) -> None:
    with busy(ledger):
        others = [
            started(lambda n=number: ledger.commits.submit([n, -n]))  # type: ignore[misc]
            for number in range(1, 9)
        ]
        waiting(ledger, 16)
    for other in others:
        other.join(WAIT)
        assert not other.is_alive()
    assert len(ledger.batches) == 2
    pairs = list(zip(ledger.batches[1][::2], ledger.batches[1][1::2], strict=True))
    assert sorted(pairs) == [(number, -number) for number in range(1, 9)]


def test_more_than_a_batch_takes_several_and_forgets_nobody(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_BATCH", 3)
    with busy(ledger):
        others = [
            started(lambda n=number: ledger.commits.submit(range(n, n + 5)))  # type: ignore[misc]
            for number in range(10, 60, 10)
        ]
        waiting(ledger, 25)
    for other in others:
        other.join(WAIT)
        assert not other.is_alive()
    assert max(map(len, ledger.batches)) == 3
    assert sorted(ledger.committed) == [0] + [n + k for n in range(10, 60, 10) for k in range(5)]


def test_a_commit_that_fails_fails_for_all_of_its_batch_and_for_no_other(ledger: Ledger) -> None:
    ledger.problem = OSError("the disk is full")
    failed = ledger.commits.submit([1, 2])
    assert [str(ticket.failure) for ticket in failed] == ["the disk is full"] * 2
    assert ledger.commits.submit([7])[0].result == 70


def test_an_interrupted_leader_lets_another_lead(ledger: Ledger) -> None:
    raised: list[BaseException] = []
    ledger.free.clear()

    def lead() -> None:
        try:
            ledger.commits.submit([0])
        except KeyboardInterrupt as interrupt:
            raised.append(interrupt)

    leader = started(lead)
    assert ledger.begun.wait(WAIT)
    other = started(lambda: ledger.commits.submit([1]))
    waiting(ledger, 1)
    ledger.problem = KeyboardInterrupt()
    ledger.free.set()
    leader.join(WAIT)
    other.join(WAIT)
    assert not other.is_alive()
    assert len(raised) == 1
    assert ledger.batches == [[1]]


def test_who_stops_waiting_takes_its_works_back(ledger: Ledger) -> None:
    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with busy(ledger):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Alarm):
                ledger.commits.submit([1, 2])
            assert ledger.commits._waiting == []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert ledger.commits.submit([5])[0].result == 50
    assert ledger.committed == [0, 5]


def test_a_work_cannot_wait_for_its_own_commit() -> None:
    refused: list[LogBusy] = []
    commits: GroupCommit[int]

    def commit(batch: list[Ticket[int]]) -> None:
        with pytest.raises(LogBusy) as caught:
            commits.submit([1])
        refused.append(caught.value)

    commits = GroupCommit(commit)
    commits.submit([0])
    assert len(refused) == 1


def test_who_rode_along_with_an_interrupted_leader_is_told_that_nothing_is_known(
    ledger: Ledger,
) -> None:
    outcome: list[Ticket[int]] = []
    with busy(ledger):
        first = started(lambda: _swallow(lambda: ledger.commits.submit([1])))
        waiting(ledger, 1)
        second = started(lambda: outcome.extend(ledger.commits.submit([2])))
        waiting(ledger, 2)
        first_batch = ledger._commit

        def interrupted(batch: list[Ticket[int]]) -> None:
            ledger.commits._commit = first_batch
            raise KeyboardInterrupt

        ledger.commits._commit = interrupted
    first.join(WAIT)
    second.join(WAIT)
    assert not second.is_alive()
    assert isinstance(outcome[0].failure, OutcomeUnknown)


def _swallow(work: Callable[[], object]) -> None:
    with suppress(KeyboardInterrupt):
        work()
