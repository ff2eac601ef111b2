"""A witness that is killed, or whose disk fails, at any step never cosigns two roots for one size.

Four threads submit two histories of one log.  The process is killed at each of its writes and syncs
in turn, or that call fails, and is started again until one run ends well.  What it answered, over
all runs, is the judge: one root for each size, all of one branch, and never fewer than before.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from crash.strace import TESTS, missing
from crash.witness_driver import BRANCHES, LAST
from eventstore.checkpoint import parse_checkpoint
from eventstore.witness import Witness
from support.witnesses import witness_in

pytestmark = pytest.mark.crash

_CALLS = ("pwrite64", "pwritev", "fdatasync", "fsync", "ftruncate", "write")
_LINE = re.compile(r"^(\d+) +(\w+)\((.*)$")


@pytest.fixture(autouse=True)
def _strace() -> None:
    if told := missing():
        pytest.skip(told)


def run(place: Path, *faults: str) -> tuple[list[str], list[str]]:
    """What a run said, and its calls on the witness's files."""
    trace = place.with_name("trace")
    command = ["strace", "-f", "-y", "-s", "0", "-o", os.fspath(trace), "-e", "signal=none"]
    command += ["-e", f"trace={','.join(_CALLS)}"]
    for fault in faults:
        command += ["-e", f"inject={fault}"]
    command += [sys.executable, "-B", "-m", "crash.witness_driver", os.fspath(place)]
    environment = {**os.environ, "PYTHONPATH": os.fspath(TESTS), "PYTHONSAFEPATH": "1"}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    return ran.stdout.splitlines(), trace.read_text().splitlines()


def steps(trace: Sequence[str], place: Path) -> list[tuple[str, int]]:
    """The calls on the witness's files, by name and number: strace counts each thread's own."""
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, int], None] = {}
    for line in trace:
        if (match := _LINE.match(line)) is not None:
            thread, name, rest = match.groups()
            seen[thread, name] += 1
            if os.fspath(place) in rest:
                found[name, seen[thread, name]] = None
    return list(found)


def check_cosigned(said: Sequence[str], place: Path) -> None:
    """One root a size, of one branch; each cosignature is valid; the state is the newest of them."""
    witness = Witness(place)
    last = witness.last(BRANCHES["a"].signer.verifier.name)
    key = witness.key
    witness.close()
    roots: dict[int, set[bytes]] = {}
    beyond = set()
    for line in said:
        words = line.split(" ")
        if len(words) != 3 or not words[2] or len(words[2]) % 2:
            continue  # "done", or cut short by the kill
        size, log = int(words[0]), BRANCHES[words[1]]
        note = log.note(size) + bytes.fromhex(words[2]).decode()
        assert key.time_in(note) is not None
        roots.setdefault(size, set()).add(log.root(size))
        if size > 10:
            beyond.add(words[1])
    assert all(len(found) == 1 for found in roots.values()), roots
    assert len(beyond) <= 1
    if roots:
        assert last is not None
        assert last.size >= max(roots)
        assert {last.root} == roots.get(last.size, {last.root})


def fresh(place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    witness_in(place, *BRANCHES.values()).close()
    return place


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("how", ["signal=KILL", "error=EIO", "error=ENOSPC"])
def test_at_every_step_one_history_is_cosigned(tmp_path: Path, how: str) -> None:
    place = fresh(tmp_path / "witness")
    said, trace = run(place)
    assert said[-1] == "done"
    check_cosigned(said, place)
    rehearsed = steps(trace, place)
    assert len(rehearsed) > LAST
    # Each commit is the same few calls: those of the first commits, and some of the later ones.
    chosen = [*rehearsed[:12], *rehearsed[12::6]]
    hurt = 0
    for name, nth in chosen:
        place = fresh(tmp_path / "witness")
        first, trace = run(place, f"{name}:{how}:when={nth}")
        hurt += first[-1:] != ["done"] or any("(INJECTED" in line for line in trace)
        check_cosigned(first, place)
        second, _ = run(place)
        assert second[-1] == "done"
        check_cosigned([*first, *second], place)
    assert hurt >= len(chosen) // 2


def test_a_witness_killed_at_any_moment_goes_on_where_it_was(tmp_path: Path) -> None:
    place = fresh(tmp_path / "witness")
    said: list[str] = []
    environment = {**os.environ, "PYTHONPATH": os.fspath(TESTS), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-B", "-m", "crash.witness_driver", os.fspath(place)]
    for lines in range(1, 12):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(lines):
                said.append(child.stdout.readline().rstrip("\n"))
            child.kill()
            said += child.stdout.read().splitlines()
        check_cosigned(said, place)
    witness = Witness(place)
    last = witness.last(BRANCHES["a"].signer.verifier.name)
    witness.close()
    assert last is not None
    assert parse_checkpoint(last.note).size > 1
