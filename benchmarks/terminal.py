"""How long does somebody at a terminal wait for `muniment secret show`?

From start to end, as a process: interpreter, imports, the store opened, the read recorded and synced,
the value printed.  It is held against an interpreter that only imports the four packages that the
store stands on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from _measure import Figures, Side, heading, ratio, scratch, table, take_turns

ROUNDS = 31

PACKAGES = (
    "import click, lmdb, msgspec; from cryptography.hazmat.primitives.ciphers.aead import AESGCM"
)
MUNIMENT = os.fspath(Path(sys.executable).with_name("muniment"))

Work = Callable[[int], object]


def run(home: Path, *command: str, given: bytes | None = None) -> None:
    environment = {**os.environ, "MUNIMENT_HOME": os.fspath(home)}
    environment.pop("PYTHONPATH", None)
    subprocess.run(command, env=environment, input=given, check=True, capture_output=True)


def running(home: Path, *command: str) -> Work:
    def work(times: int) -> None:
        for _ in range(times):
            run(home, *command)

    return work


def main() -> None:
    heading(__doc__)
    with scratch() as folder:
        home = folder / "store"
        run(home, MUNIMENT, "init", "bench-vault")
        run(home, MUNIMENT, "secret", "set", "db-password", given=b"correct horse battery staple")
        sides = [
            Side("python, the four packages", running(home, sys.executable, "-c", PACKAGES), 4),
            Side("python alone", running(home, sys.executable, "-c", "pass"), 4),
            Side("secret show", running(home, MUNIMENT, "secret", "show", "db-password"), 4),
            Side("--help", running(home, MUNIMENT, "--help"), 4),
            Side("--version", running(home, MUNIMENT, "--version"), 4),
        ]
        report(take_turns(sides, ROUNDS))


def report(figures: list[Figures]) -> None:
    packages, _, show, help_, version = figures
    table(figures)
    ratio(
        "secret show against the four packages",
        show.time_against(packages),
        "imports; the work itself is a few milliseconds",
        most=1.4,
    )
    ratio("--help against the four packages", help_.time_against(packages), "importing click")
    ratio(
        "--version against the four packages",
        version.time_against(packages),
        "importing click, and importlib.metadata",
    )


if __name__ == "__main__":
    main()
