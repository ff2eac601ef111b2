"""A document's console blocks: how they are read, how output is compared, how they are run.

A document promises what its blocks show.  Every fenced block whose language is `console` is a
transcript, all those of one document are one session, and the session is run as written:

    $ COMMAND       run by bash; the next lines are what it prints, stdout and stderr together
    > MORE          the command goes on: a here-document, or a line that ended in a backslash
    ...             any lines, also none
    a … b           any text within the line, also none
    [exit N]        after the output: the exit status, where it is not 0

A session starts in an empty directory, with a home and a store of its own, and reads nothing from
standard input that a command does not itself redirect.  `cd`, `export` and background jobs last
until the end of the document; what still runs then is killed.

A block that must not be run is not a `console` block: call it `sh` or `text`.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>[\w-]*)")
EXIT = re.compile(r"^\[exit (\d+)\]$")


class TranscriptIsMalformed(Exception):
    """A console block cannot be read: it has no command, or no end."""


@dataclass
class Step:
    """One command of a document, and what it is said to print and return."""

    line: int
    command: str
    expected: list[str] = field(default_factory=list)
    exit: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a command did print and return; *exit* is None if it never came back."""

    output: list[str]
    exit: int | None


def parse(text: str) -> list[Step]:
    """Return the steps of all console blocks of the Markdown *text*, in order."""
    steps: list[Step] = []
    for block in _blocks(text):
        steps.extend(_steps(block))
    return steps


def _blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """Yield each console block as its numbered lines, without the block's indent."""
    block: list[tuple[int, str]] | None = None
    closing: str | None = None
    start = indent = 0
    for number, line in enumerate(text.splitlines(), 1):
        if closing is None:
            if opening := FENCE.match(line):
                closing, indent, start = opening["fence"], len(opening["indent"]), number
                block = [] if opening["language"] == "console" else None
        elif line.strip() == closing:
            if block is not None:
                yield block
            closing = block = None
        elif block is not None:
            block.append((number, line[indent:] if line[:indent].isspace() else line))
    if block is not None:
        raise TranscriptIsMalformed(f"line {start}: the block does not end")


def _steps(block: list[tuple[int, str]]) -> list[Step]:
    steps: list[Step] = []
    for number, line in block:
        if line.startswith("$ "):
            steps.append(Step(number, line[2:]))
        elif not steps:
            raise TranscriptIsMalformed(f"line {number}: output stands before any command")
        elif (line == ">" or line.startswith("> ")) and not steps[-1].expected:
            steps[-1].command += "\n" + line[2:]
        else:
            steps[-1].expected.append(line)
    for step in steps:
        step.expected = _without_blank_end(step.expected)
        if step.expected and (status := EXIT.match(step.expected[-1])):
            step.exit = int(status[1])
            step.expected = _without_blank_end(step.expected[:-1])
    return steps


def _without_blank_end(lines: list[str]) -> list[str]:
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def matches(expected: list[str], output: list[str]) -> bool:
    """Whether *output* is what *expected* shows, by the rules above."""
    pattern = "".join(
        "(?:.*\n)*"
        if line == "..."
        else ".*".join(re.escape(part) for part in line.split("…")) + "\n"
        for line in _without_blank_end(expected)
    )
    return bool(re.fullmatch(pattern, "".join(line + "\n" for line in _without_blank_end(output))))


def run(steps: list[Step], directory: Path, path: str, timeout: float) -> list[Outcome]:
    """Run *steps* as one session in the empty *directory*, with *path* as its PATH.

    Each command's output goes to a file and not through a pipe, so that a server which was left in
    the background holds nothing up.
    """
    home, work, log = directory / "home", directory / "work", directory / "log"
    for folder in (home, work, log):
        folder.mkdir()
    script = []
    for number, step in enumerate(steps):
        (log / f"{number}.sh").write_text(step.command + "\n", encoding="utf-8")
        script.append(f'. "{log}/{number}.sh" </dev/null >"{log}/{number}.out" 2>&1')
        script.append(f'echo $? >"{log}/{number}.exit"')
    session = subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-c", "\n".join(script)],
        cwd=work,
        env={
            "COLUMNS": "100",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "MUNIMENT_HOME": str(home / "muniment"),
            "PATH": path,
            "TERM": "dumb",
            "TZ": "UTC",
        },
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    # A step that hung has no exit status, and the comparison says so.
    try:
        with suppress(subprocess.TimeoutExpired):
            session.wait(timeout)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(session.pid, signal.SIGKILL)
        session.wait()
    return [_outcome(log, number) for number in range(len(steps))]


def _outcome(log: Path, number: int) -> Outcome:
    output, status = log / f"{number}.out", log / f"{number}.exit"
    return Outcome(
        output.read_text(encoding="utf-8", errors="replace").splitlines()
        if output.exists()
        else [],
        int(status.read_text()) if status.exists() else None,
    )


def first_difference(steps: list[Step], outcomes: list[Outcome], name: str) -> str | None:
    """Return what to tell of the first step that went otherwise than *name* shows, or None."""
    for step, outcome in zip(steps, outcomes, strict=True):
        if outcome.exit is None:
            said = "it hung, or it ended the session"
        elif outcome.exit != step.exit:
            said = f"exit status {outcome.exit}, and not {step.exit}"
        elif not matches(step.expected, outcome.output):
            said = "it printed something else"
        else:
            continue
        difference = unified_diff(
            step.expected, _without_blank_end(outcome.output), name, "printed", lineterm=""
        )
        return "\n".join((f"{name}:{step.line}: $ {step.command}", said, *difference))
    return None
