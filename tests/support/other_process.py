"""A second process that has the same store open, and that can be killed.

A fork of a server that has the packages loaded, so that one more costs milliseconds.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec import UNSET

from eventstore.errors import MunimentError
from support.providers import FileProvider, providers
from support.vaults import Clock
from vault.caller import Caller
from vault.commands import Command
from vault.store import Store


def server() -> ForkServerContext:
    """Forks processes with the packages loaded: the installed ones, as in every test."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vault.store"])
    with pytest.MonkeyPatch.context() as patch:
        # It starts as `python -c`, which would look for packages in the current directory first.
        patch.setenv("PYTHONSAFEPATH", "1")
        forkserver.ensure_running()
    return context


class Refused(NamedTuple):
    """What a refusal tells: its code."""

    code: str


class StillClock(Clock):
    """A clock that moves only when it is told to."""

    def __call__(self) -> int:
        return self.now


def outcome(store: Store, vault: str, caller: Caller, command: Command[Any]) -> Any:
    """The answer, or the refusal."""
    try:
        return store.vault(vault).handle(caller, command)
    except MunimentError as refusal:
        return Refused(refusal.code)


class OtherProcess:
    """The process, its store opened by the first thing that it is asked to do there."""

    def __init__(self, home: Path) -> None:
        context = server()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_live, args=(theirs, home), daemon=True)
        self._process.start()
        theirs.close()

    def do(self, now: int, vault: str, caller: Caller, command: Command[Any]) -> Any:
        """What `outcome` gives there, at the time *now*."""
        self._pipe.send((now, vault, caller, [_packed(command)]))
        return self._pipe.recv()

    def killed_amid(
        self, now: int, vault: str, caller: Caller, commands: list[Command[Any]], after: int
    ) -> Iterator[Any]:
        """Have it do *commands*, kill it after so many outcomes, and give all that came."""
        self._pipe.send((now, vault, caller, [_packed(command) for command in commands]))
        for _ in range(after):
            yield self._pipe.recv()
        self._process.kill()
        self._process.join()
        try:
            while True:
                yield self._pipe.recv()
        except (EOFError, OSError):  # or cut off amid an outcome, or before it heard the question
            self._pipe.close()

    def end(self) -> None:
        """Let it close its store."""
        if self._process.is_alive():
            self._pipe.send(None)
            self._process.join()
            assert self._process.exitcode == 0
            self._pipe.close()


def _packed(command: Command[Any]) -> tuple[type[Command[Any]], dict[str, Any]]:
    # UNSET pickles as a name in whichever module has one, and that may be a test.
    fields = {name: getattr(command, name) for name in command.__struct_fields__}
    return type(command), {name: value for name, value in fields.items() if value is not UNSET}


def _live(pipe: Connection, home: Path) -> None:
    clock = StillClock()
    made = providers(FileProvider(home.parent / "provider.json"))
    with Store.open(home, clock=clock, providers=made) as store:
        while (heard := pipe.recv()) is not None:
            clock.now, vault, caller, commands = heard
            for kind, asked in commands:
                pipe.send(outcome(store, vault, caller, kind(**asked)))
