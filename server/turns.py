"""Group commit without threads: what one turn of the event loop brings goes to a vault at once.

While a commit waits for the disk, requests arrive; they are all asked in the next turn and share one
commit of each log.  Every answer is given out after that commit, like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from vault.caller import Caller
from vault.commands import Command
from vault.service import Vault
from vault.together import Ask

MOST_AT_ONCE = 128
"""How many requests one turn takes; more wait for the next, so that no answer waits for hundreds."""


class Turns:
    """The requests to one vault, in turns."""

    def __init__(self, vault: Vault, committed: Callable[[int], None]) -> None:
        self._vault = vault
        self._committed = committed
        self._waiting: list[tuple[Ask, asyncio.Future[Any]]] = []

    def ask(self, caller: Caller, command: Command[Any]) -> asyncio.Future[Any]:
        """The vault's answer, in time; or the refusal."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((Ask(caller, command), future))
        if len(self._waiting) == 1:
            # Behind all that is ready now, so that it rides along.
            loop.call_soon(self._take_turn)
        return future

    def _take_turn(self) -> None:
        batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._take_turn)
        answers = self._answers([ask for ask, _ in batch])
        self._committed(len(batch))
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue  # who asked has gone; what was recorded stays
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _answers(self, asks: list[Ask]) -> list[Any]:
        try:
            return self._vault.handle_all(asks)
        except Exception as problem:
            # Each caller is told, and the loop goes on.
            return [problem] * len(asks)
