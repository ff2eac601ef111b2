"""Many callers, one commit: whoever comes while a commit runs rides along in the next one.

There is no thread for it.  The first caller to find nobody committing leads: it takes what waits,
commits it as one batch, and hands the lead to one of those that came meanwhile.  A caller sleeps on a
lock of its own, so that a commit wakes those whom it served and one leader, and nobody else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from eventstore.errors import LogBusy, OutcomeUnknown

MAX_BATCH = 1024
"""How many waiting works one commit takes."""

W = TypeVar("W")


class Ticket(Generic[W]):
    """One work, waiting for a commit; then its result, or its failure."""

    __slots__ = ("caller", "done", "failure", "result", "wake", "work")

    def __init__(self, work: W) -> None:
        self.work = work
        self.done = False
        self.result: Any = None
        self.failure: BaseException | None = None
        self.caller = threading.get_ident()
        # Only the last of the works that a caller brings wakes it: they are served in order.
        self.wake: threading.Lock | None = None


class GroupCommit(Generic[W]):
    """A queue of works; *commit* serves a batch of tickets and may raise for all of them."""

    def __init__(self, commit: Callable[[list[Ticket[W]]], None]) -> None:
        self._commit = commit
        self._lock = threading.Lock()
        self._waiting: list[Ticket[W]] = []
        self._leader: int | None = None

    def submit(self, works: Iterable[W]) -> list[Ticket[W]]:
        """Have *works* done in order, and come back when all are.  Raise LogBusy inside of one."""
        tickets = [Ticket(work) for work in works]
        if not tickets:
            return []
        last, caller = tickets[-1], threading.get_ident()
        with self._lock:
            if self._leader == caller:
                raise LogBusy("a work cannot wait for a commit of the log it works in")
            self._waiting += tickets
            if self._leader is None:
                self._leader = caller
            else:
                last.wake = threading.Lock()
                last.wake.acquire()
        if last.wake is not None:
            self._sleep(tickets, last.wake)
        # More than once if so many wait that the first batches go by without all of these.
        while not last.done:
            self._lead(tickets)
        return tickets

    def _sleep(self, tickets: list[Ticket[W]], wake: threading.Lock) -> None:
        """Wait until the works are done, or until it is this caller's turn to lead."""
        try:
            wake.acquire()
        except BaseException:
            with self._lock:
                self._withdraw(tickets)
                if self._leader == threading.get_ident():
                    self._hand_on()
            raise

    def _lead(self, tickets: list[Ticket[W]]) -> None:
        """Commit one batch, and let another lead if *tickets* are done."""
        last = tickets[-1]
        with self._lock:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        try:
            self._commit(batch)
        except Exception as problem:
            for ticket in batch:
                ticket.failure = ticket.failure or problem
        except BaseException:
            # Only this thread was interrupted, and it may have been after the commit.
            for ticket in batch:
                ticket.failure = OutcomeUnknown("the committing thread was interrupted")
            with self._lock:
                self._withdraw(tickets)
            last.done = True
            raise
        finally:
            with self._lock:
                for ticket in batch:
                    ticket.done = True
                if last.done:
                    self._hand_on()
                for ticket in batch:
                    if ticket.wake is not None and ticket is not last:
                        ticket.wake.release()

    def _withdraw(self, tickets: list[Ticket[W]]) -> None:
        """Take back those that nobody has begun.  Holds the lock."""
        gone = set(map(id, tickets))
        self._waiting = [one for one in self._waiting if id(one) not in gone]

    def _hand_on(self) -> None:
        """Let one of those who wait lead.  Holds the lock."""
        for ticket in self._waiting:
            if ticket.wake is not None:
                self._leader = ticket.caller
                ticket.wake.release()
                return
        self._leader = None
