"""The process that is killed, or whose disk fails: `python -m crash.driver FOLDER OPERATION TRIES`.

It opens the store, says `begin`, asks for the operation (after a refusal again with the same
request id, TRIES times at most), says `end`, and then shows that it still works: one more secret is
set and read.  What it says goes by `send` into the socket that is its standard output, so that no
`write` is counted but the store's.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

from crash.operations import OPERATIONS, VAULT, Place
from eventstore.errors import MunimentError
from eventstore.log import Log
from support.vaults import ALICE, START, Clock
from vault.commands import GetSecret, SetSecret
from vault.service import Vault
from vault.store import Store

CREATE_STORE = "create-store"
REOPEN = "reopen"
AFTERWARDS = "afterwards"
STILL_HERE = "still here"


class Run:
    """One operation asked for in one process."""

    def __init__(self, place: Place, operation: str, tries: int, listener: socket.socket) -> None:
        self._place = place
        self._operation = operation
        self._tries = tries
        self._listener = listener
        # The same salts and times in every run, so that each makes the same calls.
        self._clock = Clock(START + 1_000_000)
        self._entropy = Random(operation).randbytes

    def run(self) -> None:
        if self._operation == CREATE_STORE:
            self._attempt(CREATE_STORE, self._create)
        elif self._operation == REOPEN:
            self._attempt(REOPEN, self._reopen)
        else:
            self._ask_and_work_on()

    def _ask_and_work_on(self) -> None:
        with self._open() as store:
            vault = store.vault(VAULT)
            ask = OPERATIONS[self._operation].ask
            self._attempt(self._operation, lambda: ask(self._place, store, vault))
            self._say(notes=[_published(log) for log in (vault.changes, vault.access)])
            self._attempt(AFTERWARDS, lambda: _work_on(vault))
            self._say(notes=[log.checkpoint() for log in (vault.changes, vault.access)])

    def _create(self) -> None:
        Store.create(self._place.home, clock=self._clock, entropy=self._entropy).close()

    def _open(self) -> Store:
        return self._place.open(clock=self._clock, entropy=self._entropy)

    def _reopen(self) -> object:
        with self._open() as store:
            return _work_on(store.vault(VAULT))

    def _attempt(self, what: str, ask: Callable[[], object]) -> None:
        self._say(begin=what)
        for _ in range(self._tries):
            try:
                answer = ask()
            except MunimentError as refusal:
                self._say(refused=what, code=refusal.code, message=refusal.message)
            except Exception as escaped:
                self._say(escaped=what, problem=repr(escaped))
            else:
                self._say(done=what, answer=str(answer))
                break
        self._say(end=what)

    def _say(self, **said: object) -> None:
        self._listener.send(json.dumps(said).encode() + b"\n")


def _published(log: Log) -> str:
    """What a witness that looks now is shown."""
    return (log.path / "checkpoint").read_text(errors="replace")


def _work_on(vault: Vault) -> object:
    vault.handle(ALICE, SetSecret(name=AFTERWARDS, value=STILL_HERE))
    return vault.handle(ALICE, GetSecret(name=AFTERWARDS)).value


def main(folder: str, operation: str, tries: str) -> None:
    with socket.socket(fileno=sys.stdout.fileno()) as listener:
        Run(Place(Path(folder)), operation, int(tries), listener).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
