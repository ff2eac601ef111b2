"""How a failure is told: a message and a way out for people, one JSON object for programs.

Whatever was not foreseen is told by its class alone, for its text might quote a value.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from cli.exits import exit_status
from cli.problems import (
    FileUnusable,
    Internal,
    Interrupted,
    OutputGone,
    TerminalError,
    Usage,
)
from cli.settings import COLORS, Settings
from eventstore.errors import MunimentError


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Tell *error* on standard error and give the exit status."""
    if isinstance(error, BrokenPipeError):
        _close_output()
        return exit_status(OutputGone())
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and error.ctx is not None:
        print(error.ctx.get_help(), file=sys.stderr)
        return exit_status(Usage())
    known, hint = _known(error)
    if isinstance(known, Internal) and os.environ.get("MUNIMENT_DEBUG"):
        _show_where(error)
    status = exit_status(known)
    if _wants_json(arguments):
        _print_json(known, hint, status)
    else:
        _print_text(known.message, hint, _color(arguments))
    return status


def _known(error: BaseException) -> tuple[MunimentError, str]:
    """The error as one that has a code, and its hint."""
    match error:
        case MunimentError():
            return error, error.hint
        case click.UsageError():
            return Usage(error.format_message()), _usage_hint(error)
        case click.ClickException():
            return TerminalError(error.format_message()), ""
        case KeyboardInterrupt() | EOFError() | click.Abort():
            return Interrupted(), ""
        case OSError() if error.strerror:
            where = f"{error.filename}: " if error.filename else ""
            return FileUnusable(f"{where}{error.strerror}"), ""
        case _:
            return Internal(f"unforeseen: {type(error).__name__}"), Internal.hint


def _usage_hint(error: click.UsageError) -> str:
    if error.ctx is None:
        return ""
    if isinstance(error, click.NoSuchOption) and isinstance(error.ctx.command, click.Group):
        return "options stand after the verb: muniment secret show NAME --output json"
    return f"{error.ctx.command_path} --help"


def _print_text(message: str, hint: str, color: str) -> None:
    from cli.tables import visible
    from cli.terminal import Terminal

    lines = [visible(line) for line in message.splitlines()] or [""]
    painted = Terminal(color).paint("muniment:", "red", sys.stderr)
    print(painted, "\n".join(lines), file=sys.stderr)
    if hint:
        print(f"  {hint}", file=sys.stderr)


def _print_json(error: MunimentError, hint: str, status: int) -> None:
    import json

    told = {"code": error.code, "message": error.message, "hint": hint, "exit": status}
    print(json.dumps({"error": told}, ensure_ascii=False), file=sys.stderr)


def _wants_json(arguments: Sequence[str]) -> bool:
    return _asked(arguments, "output", "-o") in ("json", "jsonl")


def _color(arguments: Sequence[str]) -> str:
    # What is no choice may be the failure that is told.
    asked = _asked(arguments, "color")
    return asked if asked in COLORS else "auto"


def _asked(arguments: Sequence[str], name: str, short: str = "") -> str | None:
    """What a flag or setting says; found without the parser, which may be what failed."""
    asked = _flag(arguments, f"--{name}", short)
    if asked is not None:
        return asked
    try:
        return Settings({}).resolve(name).value
    except MunimentError:
        return None


def _flag(arguments: Sequence[str], flag: str, short: str) -> str | None:
    asked: str | None = None
    words = list(arguments)
    for at, word in enumerate(words):
        if word == "--":
            break
        if word in (flag, short):
            asked = words[at + 1] if at + 1 < len(words) else asked
        elif word.startswith(f"{flag}="):
            asked = word.partition("=")[2]
        elif short and word.startswith(short) and not word.startswith("--"):
            asked = word[2:]
    return asked


def _close_output() -> None:
    # Python would flush once more at exit, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_where(error: BaseException) -> None:
    """The frames of *error* and its class; neither its text nor any local variable."""
    import traceback

    for line in traceback.format_list(traceback.extract_tb(error.__traceback__)):
        print(line, end="", file=sys.stderr)
    print(type(error).__qualname__, file=sys.stderr)
