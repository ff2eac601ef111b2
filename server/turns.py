"""Group commit without threads: what one turn of the event loop brings goes to a vault at once.

While a commit waits for the disk, requests arrive; they are all asked in the next turn and share one
commit of each log.  Every answer is given out after that commit, like any other.

Requests reach the loop one by one, and a commit costs as much as several of them.  Callers who were
answered together come back together, some dozen microseconds apart: so a turn waits for as many as
the one before had, but not for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

from eventstore.errors import MunimentError
from vault.caller import Caller
from vault.commands import Command
from vault.open_vault import SIGN_EVERY
from vault.service import Vault
from vault.together import Ask

MOST_AT_ONCE = 128
"""How many requests one turn takes; more wait for the next, so that no answer waits for hundreds."""

_PATIENCE = 300e-6
"""Seconds that the loop may go round and bring nobody while a turn waits for those whom it expects: less
than a commit takes.  In all, and not for each of them: else a turn that callers trickle into would wait
until it is full, and so would each one behind it, since it expects as many."""

OPEN_TURN = 32
"""Of so many turns one waits for whoever may come.  Else callers who came to be in two groups, one on
its way while the other is answered, would stay so, and need two commits where one would do."""


class Turns:
    """The requests to one vault, in turns."""

    def __init__(
        self,
        vault: Vault,
        committed: Callable[[int], None],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._clock = clock
        self._loop = _running_loop()
        self._vault = vault
        self._committed = committed
        self._waiting: list[tuple[Ask, asyncio.Future[Any]]] = []
        self._expected = 1
        self._turns = 0
        self._signing: asyncio.TimerHandle | None = None
        vault.stay(self._sign_later)

    def ask(self, caller: Caller, command: Command[Any]) -> asyncio.Future[Any]:
        """The vault's answer, in time; or the refusal."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((Ask(caller, command), future))
        if len(self._waiting) == 1:
            # Behind all that is ready now, so that it rides along.
            loop.call_soon(self._gather, 0, 0.0, _PATIENCE)
        return future

    def _gather(self, had: int, came_by: float, left: float) -> None:
        """Let come who is coming, and as many as are expected, but be idle for no more than *left*.

        The loop *came_by* last when there were *had* of them.  It goes round, since no timer of it is
        that fine.
        """
        found, now = len(self._waiting), self._clock()
        if found == had:
            left -= now - came_by
        awaited = found != had or (found < self._expected and left > 0)
        if awaited and found < MOST_AT_ONCE:
            asyncio.get_running_loop().call_soon(self._gather, found, now, left)
        else:
            self._take_turn()

    def _take_turn(self) -> None:
        batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._take_turn)
        self._turns += 1
        self._expected = len(batch) if self._turns % OPEN_TURN else MOST_AT_ONCE
        answers = self._answers([ask for ask, _ in batch])
        self._committed(len(batch))
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue  # who asked has gone; what was recorded stays
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _sign_later(self) -> None:
        """Sign before long.  Not only turns commit: threads do that wait for providers, too."""
        loop = self._loop or _running_loop()
        with suppress(RuntimeError):  # the loop is closed: whoever closes the vault signs
            if loop is not None:
                loop.call_soon_threadsafe(self._begin_to_wait)

    def _begin_to_wait(self) -> None:
        if self._signing is None:
            self._signing = asyncio.get_running_loop().call_later(SIGN_EVERY / 1e6, self._sign)

    def _sign(self) -> None:
        self._signing = None
        with suppress(MunimentError):  # the next commit signs, or fails and is told of
            self._vault.sign_what_is_late()

    def _answers(self, asks: list[Ask]) -> list[Any]:
        try:
            return self._vault.handle_all(asks)
        except Exception as problem:
            # Each caller is told, and the loop goes on.
            return [problem] * len(asks)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
