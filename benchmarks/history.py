"""Does looking back stay quick however long the history is?

A vault of 10,000 secrets with EVENTS records (`python benchmarks/history.py 1000000`; 100,000 unless
said), eight in ten of them changes and two reads, made by the real path.  Asked are: one secret as of
a random point, the whole vault as of one, what differs between points 1,000 changes apart, who read a
secret, what a principal read, the check by the tree, and going back with all 10,000 secrets.  Printed
beside each is what limits it, measured in the same run: the floor is reading and opening the records
that the answer is made of.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from _fill import ALICE, fill, make_vault, names
from _measure import heading, scratch

from eventstore.access_events import SecretRead
from eventstore.event import Context
from eventstore.log_directory import verify_log
from eventstore.record import Draft
from eventstore.transaction import Append
from vault.caller import Caller
from vault.commands import Command, GetSecret, ListSecrets
from vault.history_commands import Diff, Exposed, PlanRestore, Restore, WhoRead
from vault.reading import Reading
from vault.service import Vault

SECRETS = 10_000
READERS = 200


def read_much(vault: Vault, reads: int, among: list[str]) -> None:
    """Append *reads* reads of random secrets to `access`, as the door records them."""
    draw = random.Random(7)
    current = {bundle.name: bundle.version for bundle in vault.handle(ALICE, ListSecrets())}
    at = vault.changes.head().size

    def work(append: Append) -> None:
        for _ in range(1000):
            name = draw.choice(among)
            who = f"service-{draw.randrange(READERS)}@example.com"
            context = Context(principal=who, auth="benchmark", rule="policy #1")
            event = SecretRead(name=name, version=current[name], at=at)
            append.append(Draft(context, event))

    for _ in range(reads // 1000):
        vault.access.transact(work)


def timed(times: int, ask: Callable[[], Any]) -> tuple[float, float]:
    """Median and worst of *times* askings, in seconds."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        found.append(time.perf_counter() - began)
    return median(found), max(found)


def tell(what: str, target: str, figure: tuple[float, float], floor: str = "") -> None:
    print(f"  {what:44} {figure[0] * 1e3:9.2f} ms [{figure[1] * 1e3:9.2f}]  {target:12} {floor}")


def main(events: int) -> None:
    heading(__doc__)
    with scratch() as folder:
        store, vault = make_vault(folder / "store")
        among = names(SECRETS)
        began = time.perf_counter()
        fill(vault, events * 8 // 10, among)
        read_much(vault, events * 2 // 10, among)
        seconds = time.perf_counter() - began
        changes, access = vault.changes.head().size, vault.access.head().size
        print(f"{changes:,} changes and {access:,} reads in {seconds:.0f} s")
        ask(vault, among, changes)
        go_back(vault, changes)
        store.close()
        check(folder / "store")


def ask(vault: Vault, among: list[str], size: int) -> None:
    draw = random.Random(1)

    def looked_back(command: Command[Any]) -> None:
        with vault.changes.snapshot() as snapshot:
            rows = vault.views.reader(snapshot.transaction)
            Reading(snapshot, rows, draw.randrange(SECRETS + 2, size)).answer(command)

    def gotten() -> None:
        at = draw.randrange(SECRETS + 2, size)
        vault.handle(ALICE, GetSecret(name=draw.choice(among), as_of=at))

    def between() -> None:
        start = draw.randrange(SECRETS + 2, size - 1000)
        vault.handle(ALICE, Diff(before=start, after=start + 1000))

    who = Caller(principal="service-7@example.com", auth="benchmark").principal
    print("  question                                        median      [worst]   target")
    tell(
        "as of: one secret, in process",
        "< 1 ms",
        timed(500, lambda: looked_back(GetSecret(name=draw.choice(among)))),
    )
    tell("as of: one secret, its reading recorded", "", timed(200, gotten))
    tell(
        f"as of: the whole vault, {SECRETS:,} secrets",
        "< 300 ms",
        timed(5, lambda: looked_back(ListSecrets())),
    )
    tell("diff: 1,000 changes apart", "< 100 ms", timed(10, between))
    tell(
        "who-read: one secret",
        "< 50 ms",
        timed(20, lambda: vault.handle(ALICE, WhoRead(name=draw.choice(among)))),
    )
    tell(
        "exposure: one principal",
        "< 50 ms",
        timed(20, lambda: vault.handle(ALICE, Exposed(principal=who))),
    )


def go_back(vault: Vault, size: int) -> None:
    to = PlanRestore(to=size - SECRETS)
    began = time.perf_counter()
    plan = vault.handle(ALICE, to)
    planned = time.perf_counter() - began
    began = time.perf_counter()
    vault.handle(ALICE, Restore(plan=to, head=plan.head))
    seconds = time.perf_counter() - began
    rate = len(plan.steps) / seconds
    print(f"  restore: {len(plan.steps):,} secrets, planned in {planned:.1f} s, ", end="")
    print(f"done in {seconds:.1f} s: {rate:,.0f} a second (target >= 3,000)")


def check(home: Path) -> None:
    total, seconds = 0, 0.0
    for directory in sorted((home / "vaults").glob("*/*/")):
        if directory.name in ("changes", "access"):
            report = verify_log(directory)
            total, seconds = total + report.size, seconds + report.seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  verify by the tree: {total:,} records in {seconds:.1f} s ", end="")
    print(f"({total / seconds:,.0f}/s; target: a million in 10 s); peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
