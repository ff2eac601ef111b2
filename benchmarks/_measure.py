"""How the benchmarks measure: sides take turns in one run, and what counts is their ratio.

A machine has other work, and a disk has moods that last seconds.  So no side is measured by itself:
in each round every side runs for one slice, in an order that turns around each time, and a ratio is
made of two slices of one round.  Printed are the median of all rounds and [the worst..the best].
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

LIBRARIES = ("muniment", "cryptography", "msgspec", "lmdb", "click")
ROUNDS = 11


class Side(NamedTuple):
    """One side of a comparison: *run* does *times* things, each worth *units*, in one slice."""

    name: str
    run: Callable[[int], object]
    times: int
    units: int = 1


class Slice(NamedTuple):
    """What one slice took for each unit, in seconds: by the clock, and of processors."""

    wall: float
    cpu: float


class Figures(NamedTuple):
    """All slices of one side."""

    name: str
    slices: list[Slice]

    @property
    def wall(self) -> float:
        return median(one.wall for one in self.slices)

    @property
    def cpu(self) -> float:
        return median(one.cpu for one in self.slices)

    def speed_against(self, other: Figures) -> list[float]:
        """How many times as fast as *other*, round by round."""
        pairs = zip(self.slices, other.slices, strict=True)
        return [theirs.wall / ours.wall for ours, theirs in pairs]

    def time_against(self, other: Figures) -> list[float]:
        """How many times as long as *other*, round by round."""
        return [1 / speed for speed in self.speed_against(other)]


def take_turns(sides: Sequence[Side], rounds: int = ROUNDS) -> list[Figures]:
    """Run every side *rounds* times, after one short slice that is not counted."""
    for side in sides:
        side.run(max(1, side.times // 10))
    figures = [Figures(side.name, []) for side in sides]
    for number in range(rounds):
        turn = list(zip(sides, figures, strict=True))
        for side, found in turn if number % 2 == 0 else reversed(turn):
            found.slices.append(_slice(side))
    return figures


def _slice(side: Side) -> Slice:
    wall, cpu = time.perf_counter(), _processor_seconds()
    side.run(side.times)
    wall, cpu = time.perf_counter() - wall, _processor_seconds() - cpu
    done = side.times * side.units
    return Slice(wall / done, cpu / done)


def _processor_seconds() -> float:
    """Of this process and of the children that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


# --- printing -----------------------------------------------------------------------------------


def heading(question: str | None) -> None:
    """Print the question of a benchmark, and where and on what it is answered."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    print((question or "").strip(), end="\n\n")
    print(f"machine   {_processor()}, {os.cpu_count()} CPUs, Linux {platform.release()}")
    print(f"          load {_load()}, {_free_memory()} of memory free, scratch on {_filesystem()}")
    print(f"versions  Python {platform.python_version()}, {versions}")
    print(f"commit    {_commit()}", end="\n\n")


def table(figures: Sequence[Figures]) -> None:
    """Print every side's median: units a second, and microseconds by clock and processor."""
    width = max(len(one.name) for one in figures)
    print(f"{'':{width}}  {'a second':>10}  {'us each':>10}  {'us of CPU':>10}")
    for one in figures:
        wall, cpu = one.wall * 1e6, one.cpu * 1e6
        print(f"{one.name:{width}}  {1 / one.wall:10,.0f}  {wall:10,.1f}  {cpu:10,.1f}")
    print(f"load at the end {_load()}", end="\n\n")


def ratio(
    what: str,
    found: Sequence[float],
    limited_by: str,
    *,
    least: float | None = None,
    most: float | None = None,
) -> None:
    """Print a ratio with its target, and what keeps it from being better."""
    low, high = min(found), max(found)
    worst, best = (high, low) if most is not None else (low, high)
    print(f"{what}: {median(found):.2f} [{worst:.2f}..{best:.2f}]{_verdict(found, least, most)}")
    print(f"    limited by {limited_by}", end="\n\n")


def rate(what: str, found: Figures, limited_by: str, *, least: float | None = None) -> None:
    """Print units a second, where the target is one on a machine of a stated speed."""
    rates = [1 / one.wall for one in found.slices]
    spread = f"[{min(rates):,.0f}..{max(rates):,.0f}]"
    print(f"{what}: {median(rates):,.0f} a second {spread}{_verdict(rates, least, None)}")
    print(f"    limited by {limited_by}", end="\n\n")


def _verdict(found: Sequence[float], least: float | None, most: float | None) -> str:
    if least is not None:
        return f"   target >= {least:,}: {'reached' if median(found) >= least else 'MISSED'}"
    if most is not None:
        return f"   target <= {most:,}: {'reached' if median(found) <= most else 'MISSED'}"
    return ""


# --- where it runs --------------------------------------------------------------------------------


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on a disk: in MUNIMENT_BENCH_DIR, or where temporary files outlive a reboot."""
    with tempfile.TemporaryDirectory(prefix="muniment-", dir=_scratch_parent()) as folder:
        yield Path(folder)


def _scratch_parent() -> str:
    # Not /tmp: on many machines that is memory, where a sync costs nothing and means nothing.
    return os.environ.get("MUNIMENT_BENCH_DIR", "/var/tmp")


def _filesystem() -> str:
    return _said("df", "--output=fstype", _scratch_parent()).split("\n")[-1] or "?"


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _free_memory() -> str:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable"):
            return f"{int(line.split()[1]) / 1024**2:.1f} GiB"
    return "?"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _commit() -> str:
    return _said("git", "describe", "--always", "--dirty=, with changes") or "not in a checkout"


def _said(*command: str) -> str:
    here = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
