"""The door of the terminal: one command in, data and an exit status out.  No traceback ever leaves.

An error goes to standard error as `muniment: MESSAGE` and a line that says what to do; with
`-o json` or `-o jsonl` as one object `{"error": {"code", "message", "hint", "exit"}}`.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from cli.grammar import GRAMMAR, LazyGroup

PROGRAM = "muniment"
COMPLETE = "_MUNIMENT_COMPLETE"


def _version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"{PROGRAM} {version(PROGRAM)}")
        context.exit()


root = LazyGroup(
    PROGRAM,
    GRAMMAR,
    "An event-sourced, audit-first secret store: every change is signed, every read is recorded.",
)
root.params.append(
    click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_version,
        help="Show the version and exit.",
    )
)


def main() -> NoReturn:
    """Run the command line and leave."""
    # What is imported stays until the end: looking through it for garbage costs a tenth of a
    # command, and taking it apart at the end another fifth.  The store is closed by then.
    gc.set_threshold(100_000, 50, 50)
    _fill_closed_streams()
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 1
    os._exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit status."""
    given = list(arguments)
    try:
        _speak_utf8()
        if instruction := os.environ.get(COMPLETE):
            from click.shell_completion import shell_complete

            return shell_complete(root, {}, PROGRAM, COMPLETE, instruction)
        with root.make_context(PROGRAM, list(given)) as context:
            root.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except BaseException as error:
        from cli.failure import report

        return report(error, given)
    return 0


def _fill_closed_streams() -> None:
    """Put something in the place of a stream that the caller closed.

    Else the next file that is opened gets its number, and that is one of the store's.  What is
    written to standard output, or read from standard input, fails then as on any other bad stream.
    """
    ways = (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_WRONLY))
    for number, (name, mode, way) in enumerate(ways):
        if getattr(sys, name) is not None:
            continue
        opened = os.open(os.devnull, way)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _speak_utf8() -> None:
    # A value is written as the bytes that it came as, whatever the locale says.
    for stream in (sys.stdout, sys.stderr):
        if stream.encoding.lower() != "utf-8" and hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8")


if __name__ == "__main__":
    main()
