"""What does a purge cost in a large store, when it really destroys a key?

A purge is an event, a re-keyed path in the key tree with a new root key, the old root key's slot
destroyed, and a receipt.  It is held against the same writes with nothing in them: as many synced
LMDB commits, and one slot written and destroyed.  The store has given out 100,000 keys.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice

import lmdb
from _fill import ALICE, fill, make_vault, names
from _measure import Figures, Side, heading, ratio, scratch, table, take_turns

from eventstore.keytree import FANOUT
from eventstore.rootkey import FileRootKey
from eventstore.storage import open_environment
from vault.commands import DeleteSecret, PurgeDeletedSecret
from vault.service import Vault

KEYS = 100_000
PURGES = 10
ROUNDS = 11

COMMITS = 3
"""The event, the key tree, the receipt; tests/unit/test_counts.py holds a purge to them."""

Work = Callable[[int], object]


def purging(vault: Vault, deleted: Iterator[str]) -> Work:
    def work(times: int) -> None:
        for name in islice(deleted, times):
            vault.handle(ALICE, PurgeDeletedSecret(name=name))

    return work


def writing_as_much(environment: lmdb.Environment, slots: FileRootKey) -> Work:
    """Three commits of one put each, a slot written and destroyed."""
    value = os.urandom(2048)

    def work(times: int) -> None:
        for number in range(times):
            slots.write(number % 2, value[:32])
            for key in range(COMMITS):
                with environment.begin(write=True) as transaction:
                    transaction.put(bytes((key,)), value)
            slots.destroy(number % 2)

    return work


def main() -> None:
    heading(__doc__)
    with scratch() as folder:
        environment = open_environment(folder / "raw", create=True)
        store, vault = make_vault(folder / "store")
        with store:
            store.keyring.allocate(KEYS // FANOUT)
            to_purge = names((PURGES + 1) * ROUNDS)
            fill(vault, len(to_purge), to_purge)
            for name in to_purge:
                vault.handle(ALICE, DeleteSecret(name=name))
            writing = writing_as_much(environment, FileRootKey(folder / "slots"))
            sides = [
                Side("the same writes alone", writing, PURGES),
                Side("purge", purging(vault, iter(to_purge)), PURGES),
            ]
            report(take_turns(sides, ROUNDS))


def report(figures: list[Figures]) -> None:
    writes, purge = figures
    table(figures)
    print(f"one durable purge among {KEYS:,} keys: {purge.wall * 1e3:.1f} ms, {COMMITS} commits")
    ratio(
        "a purge against the same writes alone",
        purge.time_against(writes),
        "syncs: each commit has two, a slot written two and destroyed three",
    )


if __name__ == "__main__":
    main()
