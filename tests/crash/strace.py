"""Running the driver under strace: first to see which calls it makes, then to make one of them fail.

A call is named by its system call, and by how many of the same went before it in that process:
that is how strace counts.  Only the calls that the operation makes on the files in its folder are
ever failed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

CALLS = (
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "fdatasync", "fsync", "msync"),
    *("sync_file_range", "fallocate", "ftruncate", "truncate", "unlink", "unlinkat"),
    *("rename", "renameat", "renameat2", "mkdir", "mkdirat", "link", "linkat"),
)
SAID = "sendto"
TESTS = Path(__file__).parent.parent

_LINE = re.compile(r"^\d+ +(\w+)\((.*)$")


class Call(NamedTuple):
    """The *nth* call of *name* in the process.  *shown* is how strace shows it."""

    name: str
    nth: int
    shown: str


class Fault(NamedTuple):
    """A call, and what becomes of it: `signal=KILL` or `error=EIO`.

    *length* more calls of its name fail as well.
    """

    call: Call
    how: str
    length: int = 0

    @property
    def is_signal(self) -> bool:
        return self.how.startswith("signal=")

    @property
    def option(self) -> str:
        last = f"..{self.call.nth + self.length}" if self.length else ""
        return f"inject={self.call.name}:{self.how}:when={self.call.nth}{last}"


class Ended(NamedTuple):
    """What a run said, which calls it made, and what strace failed."""

    said: list[dict[str, Any]]
    trace: list[str]
    status: int
    errors: str

    def told(self, kind: str, what: str) -> list[dict[str, Any]]:
        return [one for one in self.said if one.get(kind) == what]

    def is_done(self, what: str) -> bool:
        return bool(self.told("done", what))

    def codes(self, what: str) -> list[str]:
        return [one["code"] for one in self.told("refused", what)]

    @property
    def notes(self) -> list[str]:
        return [note for one in self.said for note in one.get("notes", ())]

    @property
    def injected(self) -> list[str]:
        return [line for line in self.trace if "(INJECTED" in line]


def missing() -> str:
    """Why strace cannot be used here; empty if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-o", os.devnull, "-e", "trace=write", "true"],
        capture_output=True,
        text=True,
    )
    return "" if tried.returncode == 0 else f"strace cannot trace here: {tried.stderr.strip()}"


def run(folder: Path, operation: str, tries: int = 1, faults: tuple[Fault, ...] = ()) -> Ended:
    """Run the driver on *folder*, with *faults*."""
    trace = folder.with_name(folder.name + ".trace")
    options = [option for fault in faults for option in ("-e", fault.option)]
    command = ["strace", "-f", "-y", "-s", "0", "-o", os.fspath(trace)]
    if not any(fault.is_signal for fault in faults):
        command.append("--seccomp-bpf")  # quicker, but under it strace delivers no signal
    command += ["-e", "signal=none", "-e", f"trace={','.join([*CALLS, SAID])}", *options]
    command += [sys.executable, "-B", "-m", "crash.driver"]
    command += [os.fspath(folder), operation, str(tries)]
    environment = {**os.environ, "PYTHONPATH": os.fspath(TESTS), "PYTHONSAFEPATH": "1"}
    ours, its = socket.socketpair()
    with (
        ours,
        ours.makefile("r") as heard,
        its,
        subprocess.Popen(
            command, stdout=its.fileno(), stderr=subprocess.PIPE, text=True, env=environment
        ) as process,
    ):
        its.close()
        said = [json.loads(line) for line in heard]
        _, errors = process.communicate()
    lines = trace.read_text().splitlines()
    trace.unlink()
    return Ended(said, lines, process.returncode, errors)


def calls_of(rehearsed: Ended, folder: Path) -> list[Call]:
    """The calls on files in *folder* from the first `begin` to the first `end`, answer included."""
    return list(_calls(rehearsed.trace, os.fspath(folder)))


def _calls(trace: list[str], folder: str) -> Iterator[Call]:
    seen: Counter[str] = Counter()
    for line in trace:
        match = _LINE.match(line)
        if match is None:
            continue
        name, rest = match.groups()
        seen[name] += 1
        # The driver says begin, done, end.
        if name == SAID and seen[SAID] == 2:
            yield Call(name, 2, "the answer")
            return
        if name != SAID and seen[SAID] == 1 and folder in rest:
            yield Call(name, seen[name], f"{name}({rest}")
