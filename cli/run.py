"""`muniment run -- CMD`: a program with chosen secrets in its environment, and in no file.

What it writes passes through `cli.masking` on its way, so that a value which is printed by accident
stands in no log.  With --no-mask it takes this process's place, and nothing of ours is around it.
Whoever may look into the process sees the values, as in any environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

import click

from cli.as_of import as_of_option
from cli.command import Greedy, command
from cli.problems import FileUnusable, Usage, ValueNotText
from cli.secret_export import Ask, asking, by_variable, readable, values_of, variable_name
from cli.session import Session
from eventstore.errors import MunimentError

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STEERING = re.compile(
    r"(LD|DYLD|GLIBC|MALLOC|PYTHON|NODE|NPM|PERL5?|RUBY|BUNDLE|GEM|JAVA|JDK|GIT|SSH|MUNIMENT)_.*"
    r"|_JAVA_OPTIONS|CLASSPATH|BASH_.*|(PYTHON|PERL5?|RUBY)[A-Z0-9]*|ENV|IFS|SHELLOPTS|PS4|PROMPT_COMMAND"
    r"|PATH|HOME|SHELL|TMPDIR|EDITOR|VISUAL|PAGER|BROWSER|TERM.*|LC_.*|LANG.*|.*_PROXY",
    re.IGNORECASE,
)
"""What a shell, a loader or an interpreter takes as orders.  Who may set any secret of a vault could
else say what is run in the name of whoever takes all of them."""


@command("run", remote=True)
@click.argument("words", metavar="-- CMD [ARG]...", nargs=-1, required=True)
@click.option("--secrets", cls=Greedy, metavar="[VAR=]NAME ...", help="These.")
@click.option("--all", "every", is_flag=True, help="All that can be read.")
@click.option("--no-mask", is_flag=True, help="Let values stand in the output.")
@as_of_option
def run(
    session: Session,
    words: tuple[str, ...],
    secrets: tuple[str, ...],
    every: bool,
    no_mask: bool,
    as_of: str | None,
) -> None:
    """Run a program with secrets in its environment.

    Each is read and recorded once.  db-password is the variable db_password, or the one that
    VAR=NAME says, and goes before a variable that was there.  --all leaves out, with a note, what
    is disabled, what would replace a variable, and what would change how programs run.

    A value in the program's output becomes ***, also in base64, JSON or a URL; values of less than
    four bytes do not.
    """
    program = _found(words[0])
    if bool(secrets) == every:
        raise Usage("name the secrets that it gets with --secrets, or say --all")
    wanted = _wanted(secrets)
    with asking(session, as_of) as ask:
        wanted = wanted or _all(session, readable(session, ask))
        variables = _values(ask, wanted)
    for variable, value in variables.items():
        if "\0" in value:
            raise ValueNotText(f"{wanted[variable]} holds a zero byte, and no variable can")
    if no_mask:
        _become(program, words, variables)
    raise click.exceptions.Exit(_watch(session, program, words, variables))


def _found(name: str) -> str:
    """The program *name*, by our PATH and no secret's.  Raise FileUnusable: nothing is read in vain."""
    import shutil

    program = shutil.which(name)
    if program is None:
        raise FileUnusable(f"{name}: there is no such program, or it may not be run")
    return program


def _wanted(secrets: Sequence[str]) -> dict[str, str]:
    """Names of secrets by their variables.  Raise Usage or ExportAmbiguous."""
    return by_variable(map(_variable_and_name, secrets))


def _variable_and_name(word: str) -> tuple[str, str]:
    variable, _, name = word.rpartition("=")
    variable = variable or variable_name(name)
    if not _VARIABLE.fullmatch(variable):
        raise Usage("--secrets takes NAME or VAR=NAME, and VAR has letters, digits and _ alone")
    return variable, name


def _all(session: Session, names: Sequence[str]) -> dict[str, str]:
    """All *names* but those whose variables somebody else than we could rely on."""
    wanted = by_variable((variable_name(name), name) for name in names)
    for variable, name in list(wanted.items()):
        if variable in os.environ:
            session.terminal.note(f"left out: {name}, since the variable {variable} is set")
            del wanted[variable]
        elif _STEERING.fullmatch(variable):
            session.terminal.note(f"left out: {name}, since {variable} may change how programs run")
            del wanted[variable]
    return wanted


def _values(ask: Ask, wanted: Mapping[str, str]) -> dict[str, str]:
    """The value for each variable; a secret that has two is read once."""
    from vault.names import folded

    names = {folded(name): name for name in wanted.values()}
    values = {folded(name): value for name, value in values_of(ask, list(names.values())).items()}
    return {variable: values[folded(name)] for variable, name in wanted.items()}


def _watch(
    session: Session, program: str, words: Sequence[str], variables: Mapping[str, str]
) -> int:
    """Run it with its output masked; give its exit status."""
    from cli import child
    from cli.masking import SHORTEST, Masking

    for variable, value in variables.items():
        if 0 < len(value.encode()) < SHORTEST:
            session.terminal.note(f"not masked: {variable} has less than {SHORTEST} bytes")
    values = list(variables.values())
    try:
        return child.run(program, words, _environ(variables), lambda: Masking(values))
    except OSError as error:
        raise _failed(program, error) from None


def _become(program: str, words: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    import signal

    # Python ignores them, and what is ignored stays so in a program that is run.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(program, list(words), _environ(variables))
    except OSError as error:
        raise _failed(program, error) from None


def _environ(variables: Mapping[str, str]) -> dict[bytes, bytes]:
    """As bytes, since the locale may have no letters for a value."""
    given = {variable.encode(): value.encode() for variable, value in variables.items()}
    return {**os.environb, **given}


def _failed(program: str, error: OSError) -> MunimentError:
    return FileUnusable(f"{program}: {error.strerror}")
