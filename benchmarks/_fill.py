"""Vaults to measure on: real-shaped secrets, as many as asked, in commits of any size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path

from vault.caller import Caller
from vault.commands import ImportSecrets, SetSecret
from vault.service import Vault
from vault.store import Store

ALICE = Caller(principal="alice@example.com", auth="benchmark")


def make_vault(home: Path) -> tuple[Store, Vault]:
    """A store in *home* with one vault of Alice's."""
    store = Store.create(home)
    return store, store.create_vault(ALICE, "bench-vault")


def names(many: int) -> list[str]:
    return [f"service-{number // 8:05}-connection-{number % 8}" for number in range(many)]


def sets(among: list[str]) -> Iterator[SetSecret]:
    """New versions of the secrets *among*, one after the other and without end.

    A value has about 200 bytes: a connection string, which a sealed content of the smallest size
    (256 bytes with its tags) holds.
    """
    for name, number in zip(cycle(among), count(), strict=False):
        password = f"{number * 2_654_435_761 % 2**64:016x}" * 6
        value = f"Server=tcp:{name}.db.example.com,5432;Database=shop;User=app;Password={password};"
        yield SetSecret(name=name, value=value, tags={"owner": "billing"})


def fill(vault: Vault, events: int, among: list[str], in_commits_of: int = 1000) -> None:
    """Set *events* versions of the secrets *among*."""
    waiting = islice(sets(among), events)
    while items := tuple(islice(waiting, in_commits_of)):
        vault.handle(ALICE, ImportSecrets(items=items))
