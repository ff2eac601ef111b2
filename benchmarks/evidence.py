"""How long does it take to make evidence of a period and to check it, and in how much memory?

A vault with EVENTS records (`python benchmarks/evidence.py 1000000`; 100,000 unless said), two in ten
of them changes and eight reads, and one with a tenth of them.  Each bundle is made and checked by a
process of its own: `audit package` and `verify.py`, which takes nothing from this package.  Printed
are seconds, records a second, the size of the bundle and the most memory; flat is what hardly grows
with ten times the records.  The floor beside it is SHA-256 over the bundle.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import time
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from _fill import ALICE, fill, make_vault, names
from _measure import heading, scratch

from eventstore.access_events import SecretRead
from eventstore.event import Context
from eventstore.record import Draft
from eventstore.transaction import Append
from vault.commands import ListSecrets
from vault.service import Vault

READERS = 200
CHANGES = 0.2


class Ran(NamedTuple):
    """What a process took: seconds, and the most memory in MiB."""

    seconds: float
    memory: float


def read_much(vault: Vault, reads: int) -> None:
    """Append *reads* reads to `access`, as the door records them."""
    bundles = vault.handle(ALICE, ListSecrets())
    at, given = vault.changes.head().size, cycle(bundles)
    for start in range(0, reads, 1000):

        def work(append: Append, many: int = min(1000, reads - start)) -> None:
            for number, bundle in enumerate(islice(given, many)):
                who = f"service-{number % READERS}@example.com"
                context = Context(principal=who, auth="benchmark", rule="policy #1")
                append.append(
                    Draft(context, SecretRead(name=bundle.name, version=bundle.version, at=at))
                )

        vault.access.transact(work)


def run(*arguments: str | Path, status: int = 0) -> Ran:
    """Run a Python in a process of its own.

    Its memory is what is its own: pages of the store's file are the page cache's, which lends them.
    """
    began, most = time.perf_counter(), 0
    child = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while child.poll() is None:
        most = max(most, _anonymous(child.pid))
        time.sleep(0.02)
    assert child.returncode == status, arguments
    return Ran(time.perf_counter() - began, most / 1024)


def _anonymous(process: int) -> int:
    try:
        said = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+)", said)
    return int(found[1]) if found else 0


def make(home: Path, events: int) -> None:
    """Make the vault, and write down its public keys."""
    store, vault = make_vault(home / "store")
    with store:
        fill(vault, int(events * CHANGES), names(max(10, events // 100)))
        read_much(vault, events - int(events * CHANGES))
        keys = [log.epochs().signing[0].verifier for log in (vault.changes, vault.access)]
    (home / "keys").write_text("\n".join(keys))
    (home / "verify.py").write_bytes(
        Path(sysconfig.get_path("purelib"), "cli/bundle_verifier.py").read_bytes()
    )


def measure(home: Path, events: int) -> tuple[Ran, Ran]:
    """Make a vault, its evidence, and check it."""
    run(__file__, "make", home, str(events))
    os.environ |= {"MUNIMENT_HOME": str(home / "store"), "MUNIMENT_STATE": str(home / "state")}
    command = "import sys; from cli.main import main; sys.argv[0] = 'muniment'; main()"
    bundle = home / "bundle.zip"
    made = run("-c", command, "audit", "package", "--out", bundle, "--as", ALICE.principal)
    check = run("-I", home / "verify.py", bundle, "--key", home / "keys", status=21)
    report(events, bundle, made, check)
    return made, check


def report(events: int, bundle: Path, made: Ran, check: Ran) -> None:
    began = time.perf_counter()
    with bundle.open("rb") as file:
        found = hashlib.sha256()
        while data := file.read(1 << 20):
            found.update(data)
    floor = time.perf_counter() - began
    print(
        f"{events:,} records, {bundle.stat().st_size / 2**20:,.1f} MiB; SHA-256 of it {floor:.2f} s"
    )
    for name, ran in (("made", made), ("checked", check)):
        rate = events / ran.seconds
        print(f"  {name:8} {ran.seconds:7.2f} s  {rate:9,.0f}/s  {ran.memory:6.0f} MiB", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["make"]:
        make(Path(sys.argv[2]), int(sys.argv[3]))
        return
    heading(__doc__)
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with scratch() as small, scratch() as large:
        few, many = measure(small, events // 10), measure(large, events)
    for name, one, ten in zip(("made", "checked"), few, many, strict=True):
        print(f"{name:8} ten times the records take {ten.memory / one.memory:.2f} times the memory")


if __name__ == "__main__":
    main()
