"""Threads that use one vault at once, here and in another process, and keep what they were answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from eventstore.errors import MunimentError
from projections.rows import Secret, secret_key
from support.other_process import server
from support.vaults import ALICE
from vault.caller import Caller
from vault.commands import Command, DeleteSecret, GetSecret, RecoverDeletedSecret, SetSecret
from vault.service import Vault
from vault.store import Store

THREADS = 16
"""In each of the two processes."""
ROUNDS = 12
COUNTERS = 3
"""How many threads of each process count up one shared secret."""


class Done(NamedTuple):
    """One request: who asked under which id, for what, when, and how it ended."""

    thread: str
    request: str
    operation: str
    name: str
    began: float
    ended: float
    outcome: str
    version: str
    value: str


class Worker:
    """One thread: asks, and keeps the answers."""

    def __init__(self, vault: Vault, thread: str) -> None:
        self.vault, self.thread = vault, thread
        self.done: list[Done] = []

    def ask(self, command: Command[Any]) -> Any:
        request = f"{self.thread}.{len(self.done)}"
        caller = Caller(principal=ALICE.principal, auth="test", request=request)
        began, outcome, answer = time.monotonic(), "ok", None
        try:
            answer = self.vault.handle(caller, command)
        except MunimentError as refusal:
            outcome = refusal.code
        name, version = getattr(command, "name", ""), getattr(answer, "version", "")
        value = getattr(answer, "value", None) or ""
        self.done.append(
            Done(
                self.thread, request, command.records, name, began, time.monotonic(), outcome,
                version, value,
            )
        )  # fmt: skip
        return answer

    def count_up(self) -> None:
        """Add one to the shared counter, as often as the others let it."""
        for _ in range(ROUNDS):
            while True:
                at = stream_version(self.vault, "counter")
                value = int(self.ask(GetSecret(name="counter")).value)
                if self.ask(SetSecret(name="counter", value=str(value + 1), expected=at)):
                    break

    def use_secrets(self) -> None:
        """Set, read, delete and recover: a name of its own, and one that all share."""
        own = f"own-{self.thread}"
        for number in range(ROUNDS):
            self.ask(SetSecret(name=own, value=f"{self.thread} {number}"))
            self.ask(SetSecret(name="shared", value=f"{self.thread} {number}"))
            self.ask(GetSecret(name="shared"))
            self.ask(DeleteSecret(name=own))
            self.ask(RecoverDeletedSecret(name=own))
            self.ask(GetSecret(name=own))
            self.ask(DeleteSecret(name="comes-and-goes"))
            self.ask(GetSecret(name="comes-and-goes"))
            self.ask(RecoverDeletedSecret(name="comes-and-goes"))


def stream_version(vault: Vault, name: str) -> int:
    """The position of the secret's last event: what an append can be made to expect."""
    with vault.changes.snapshot() as snapshot:
        secret = vault.views.reader(snapshot.transaction).get(secret_key(name), Secret)
    assert secret is not None
    return secret.at


def all_threads(vault: Vault, process: str, start: Callable[[], object]) -> list[Done]:
    workers = [Worker(vault, f"{process}{number}") for number in range(THREADS)]
    jobs = [worker.count_up for worker in workers[:COUNTERS]]
    jobs += [worker.use_secrets for worker in workers[COUNTERS:]]
    threads = [threading.Thread(target=job) for job in jobs]
    start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [done for worker in workers for done in worker.done]


def elsewhere(home: Path) -> Connection:
    """Another process with the store in *home* open: says it is ready, waits, gives what it did."""
    context = server()
    pipe, theirs = context.Pipe()
    context.Process(target=_live, args=(theirs, home), daemon=True).start()
    theirs.close()
    return pipe


def _live(pipe: Connection, home: Path) -> None:
    with Store.open(home) as store:
        vault = store.vault()
        pipe.send("ready")
        pipe.send(all_threads(vault, "there-", pipe.recv))
