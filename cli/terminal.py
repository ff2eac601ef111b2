"""What the terminal is: who watches, how wide, in colour or not; and what is asked there.

Data goes to standard output; prompts, notes and progress go to standard error.  Nothing is asked
where nobody can answer.  Meaning is never carried by colour alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import IO

from cli.problems import NotConfirmed, Usage

_CODES = {"bold": "1", "dim": "2", "red": "31", "yellow": "33", "green": "32"}


class Terminal:
    """The three streams of one command."""

    def __init__(self, color: str = "auto", environ: Mapping[str, str] | None = None) -> None:
        self._color = color
        self._environ = os.environ if environ is None else environ

    @property
    def answers(self) -> bool:
        """Whether somebody sits there who can be asked."""
        return is_terminal(sys.stdin)

    @property
    def width(self) -> int | None:
        """The columns of the terminal; None where output is not to be cut to any width."""
        if not is_terminal(sys.stdout):
            return None
        import shutil

        return shutil.get_terminal_size().columns

    def paint(self, text: str, style: str, stream: IO[str] | None = None) -> str:
        """*text* in a style of `_CODES`, if *stream* (standard output) takes colour."""
        if not text or not self.colours(stream or sys.stdout):
            return text
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m"

    def colours(self, stream: IO[str]) -> bool:
        """The flag or setting decides, then NO_COLOR, FORCE_COLOR, TERM=dumb, and the stream.

        Source: no-color.org and force-color.org; an empty variable counts as unset.
        """
        if self._color != "auto":
            return self._color == "always"
        if self._environ.get("NO_COLOR"):
            return False
        if self._environ.get("FORCE_COLOR"):
            return True
        return self._environ.get("TERM") != "dumb" and is_terminal(stream)

    def note(self, text: str) -> None:
        """Say something beside the data."""
        print(text, file=sys.stderr)

    def confirm(self, what: str, name: str, *, yes: bool, planned: bool = False) -> None:
        """Let *name* be typed before *what*, a sentence, comes true.  Raise NotConfirmed.

        A command that is *planned* shows with --plan what it would do.
        """
        if yes:
            return
        if not self.answers:
            ways = "--yes, or --plan to look first" if planned else "--yes"
            raise NotConfirmed(f"{what} There is no terminal to confirm it at: give {ways}.")
        print(f"{what}\nType {name} to go on: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().rstrip("\n") != name:
            raise NotConfirmed("what was typed is not the name")

    def ask_hidden(self, prompt: str, *, again: bool = False) -> str | None:
        """Ask for something without showing it; None if nobody can be asked.  Raise Usage.

        The terminal is asked even where standard input is a pipe, which may carry a secret's value.
        """
        if not (self.answers or is_terminal(sys.stderr)):
            return None
        given = _hidden(prompt)
        if given is not None and again and _hidden(f"{prompt.rstrip(': ')} again: ") != given:
            raise Usage("the two were not the same; nothing was changed")
        return given


def is_terminal(stream: IO[str] | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _hidden(prompt: str) -> str | None:
    import getpass
    import warnings

    with warnings.catch_warnings():
        # Where the echo cannot be turned off getpass would warn, and show what is typed.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except getpass.GetPassWarning:
            return None
