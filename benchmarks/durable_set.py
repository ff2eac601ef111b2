"""How much of a disk's rate of synced commits is left when each commit is a signed, sealed event?

A `set` goes through `Vault.handle`: authorize, decide, seal, sign, tree, views, one synced commit,
checkpoint.  It is held against LMDB alone, which puts 440 bytes and commits, with the same flags on
the same disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path

import lmdb
from _fill import ALICE, fill, make_vault, names, sets
from _measure import Figures, Side, heading, rate, ratio, scratch, table, take_turns

from eventstore.storage import open_environment
from vault.commands import GetSecret, ImportSecrets
from vault.service import Vault

SECRETS = 2000
BATCH = 100
THREADS = 32
RAW_SIZE = 440

Work = Callable[[int], object]


def putting(environment: lmdb.Environment) -> Work:
    """One put of 440 bytes in each synced commit."""
    positions, value = count(), os.urandom(RAW_SIZE)

    def work(times: int) -> None:
        for position in islice(positions, times):
            with environment.begin(write=True) as transaction:
                transaction.put(position.to_bytes(8, "big"), value, append=True)

    return work


def setting(vault: Vault) -> Work:
    commands = sets(names(SECRETS))

    def work(times: int) -> None:
        for command in islice(commands, times):
            vault.handle(ALICE, command)

    return work


def importing(vault: Vault) -> Work:
    commands = sets(names(SECRETS))

    def work(times: int) -> None:
        for _ in range(times):
            vault.handle(ALICE, ImportSecrets(items=tuple(islice(commands, BATCH))))

    return work


def getting(vault: Vault) -> Work:
    asked = cycle(names(SECRETS))

    def work(times: int) -> None:
        for name in islice(asked, times):
            vault.handle(ALICE, GetSecret(name=name))

    return work


def in_threads(one: Callable[[], Work]) -> Work:
    """The same work of 32 callers at once, who share commits."""
    pool = ThreadPoolExecutor(THREADS)
    works = [one() for _ in range(THREADS)]

    def work(times: int) -> None:
        each = -(-times // THREADS)
        for done in [pool.submit(one, each) for one in works]:
            done.result()

    return work


def eventsourcing_appending(folder: Path) -> Work | str:
    """The same with the library `eventsourcing`: SQLite, its cipher and compressor; or why not."""
    try:
        from eventsourcing.application import Application
        from eventsourcing.cryptography import AESCipher
        from eventsourcing.domain import Aggregate, event
    except ImportError as missing:
        return f"{missing}; install eventsourcing beside muniment to compare"

    class Secret(Aggregate):
        value = ""

        @event("Set")
        def set(self, value: str) -> None:
            self.value = value

    application: Application = Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": os.fspath(folder / "events.sqlite"),
            "CIPHER_TOPIC": "eventsourcing.cryptography:AESCipher",
            "CIPHER_KEY": AESCipher.create_key(32),
            "COMPRESSOR_TOPIC": "eventsourcing.compressor:ZlibCompressor",
        }
    )
    secrets = cycle([Secret() for _ in range(SECRETS)])
    commands = sets(names(SECRETS))

    def work(times: int) -> None:
        for secret, command in islice(zip(secrets, commands, strict=False), times):
            secret.set(command.value)
            application.save(secret)

    return work


def main() -> None:
    heading(__doc__)
    with scratch() as folder:
        environment = open_environment(folder / "raw", create=True)
        store, vault = make_vault(folder / "store")
        with store:
            fill(vault, SECRETS, names(SECRETS))
            sides = [
                Side("LMDB, a put of 440 bytes", putting(environment), 400),
                Side("set", setting(vault), 200),
                Side(f"set, in commits of {BATCH}", importing(vault), 10, BATCH),
                Side(f"set, {THREADS} threads", in_threads(partial(setting, vault)), 960),
                Side("get, recorded", getting(vault), 200),
                Side(f"get, {THREADS} threads", in_threads(partial(getting, vault)), 960),
            ]
            peer = eventsourcing_appending(folder)
            if callable(peer):
                sides.append(Side("eventsourcing, SQLite, AES", peer, 200))
            report(take_turns(sides))
            if isinstance(peer, str):
                print(f"eventsourcing was not measured: {peer}")


def report(figures: list[Figures]) -> None:
    raw, single, batched, shared, read, shared_read, *peer = figures
    table(figures)
    ratio(
        "a durable set against a put of LMDB",
        single.speed_against(raw),
        "the commit (eight pages where the put has three), then Python run with cold caches",
        least=0.40,
    )
    rate(
        f"sets in commits of {BATCH}",
        batched,
        "one processor: sealing, hashing and signing each event",
        least=6000,
    )
    ratio(
        f"sets in commits of {BATCH} against puts of LMDB",
        batched.speed_against(raw),
        "the same",
        least=1.5,
    )
    ratio(
        f"sets of {THREADS} threads against puts of LMDB",
        shared.speed_against(raw),
        "switching between threads: twice the CPU time of a set in a commit of 100",
    )
    ratio(
        "a recorded get against a put of LMDB",
        read.speed_against(raw),
        "the synced commit of the read's event",
    )
    ratio(
        f"recorded gets of {THREADS} threads against puts of LMDB",
        shared_read.speed_against(raw),
        "the interpreter lock",
    )
    if peer:
        ratio(
            "a durable set against an append of eventsourcing",
            single.speed_against(peer[0]),
            "the synced commit: SQLite syncs its log once, LMDB its data and its root",
        )


if __name__ == "__main__":
    main()
