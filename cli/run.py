"""`muniment run -- CMD`: a program with secrets in its environment, and in no file.

The store is closed before the program begins, which takes this process's place: its streams, its
signals and its exit status are its own.  Whoever may look into the process sees the values, as in
any environment.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from cli.as_of import as_of_option
from cli.command import Greedy, command
from cli.problems import ExportAmbiguous, FileUnusable, ValueNotText
from cli.secret_export import asking, readable, values_of, variable_name
from cli.session import Session


@command("run", remote=True)
@click.argument("words", metavar="-- CMD [ARG]...", nargs=-1, required=True)
@click.option("--secrets", cls=Greedy, metavar="NAME ...", help="Only these [all].")
@as_of_option
def run(
    session: Session, words: tuple[str, ...], secrets: tuple[str, ...], as_of: str | None
) -> None:
    """Run a program with secrets in its environment.

    All secrets, or those that are named, each read and recorded: db-password is the variable
    db_password.  They go before variables of the same name.  Disabled secrets are left out, with a
    note.
    """
    _look_for(words[0])
    with asking(session, as_of) as ask:
        values = values_of(ask, list(secrets) or readable(session, ask))
    _become(words, _variables(values))


def _look_for(program: str) -> None:
    """Raise FileUnusable if there is no such program: nothing is read in vain."""
    import shutil

    if shutil.which(program) is None:
        raise FileUnusable(f"{program}: there is no such program, or it may not be run")


def _variables(values: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        variable = variable_name(name)
        if variable in found:
            raise ExportAmbiguous(f"two secrets would be the variable {variable}")
        if "\0" in value:
            raise ValueNotText(f"{name} holds a zero byte, and no variable can")
        found[variable] = value
    return found


def _become(words: tuple[str, ...], variables: dict[str, str]) -> NoReturn:
    import signal

    # Python ignores it, and what is ignored stays so in a program that is run.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(words[0], words, {**os.environ, **variables})
    except OSError as error:
        raise FileUnusable(f"{words[0]}: {error.strerror}") from None
