"""`secret export`: names and values in one file; each value is a recorded read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import click

from cli import shapes
from cli.as_of import Then, as_of_option
from cli.command import command
from cli.problems import ExportAmbiguous
from cli.progress import Progress
from cli.secret_values import deliver, refuse_existing
from cli.session import Session
from cli.tables import counted
from cli.values import STREAM

Ask = Callable[[Any], Any]
"""A command to its answer: of now, or of the point that was given."""

_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r"})


@command("export", remote=True)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("-f", "--file", default=STREAM, metavar="FILE", help="Where to [stdout].")
@click.option("--format", "form", type=click.Choice(("json", "dotenv")), default="json")
@click.option("--yes", is_flag=True, help="Replace the file.")
@as_of_option
def export(
    session: Session,
    names: tuple[str, ...],
    file: str,
    form: str,
    yes: bool,
    as_of: str | None,
) -> None:
    """Write names and values to a file.

    All secrets, or those that are named.  The file is for its owner only, and `secret import`
    reads it back.  Disabled secrets, and with --as-of those that were purged since, are left out,
    with a note.
    """
    refuse_existing(file, yes=yes)
    with asking(session, as_of) as ask:
        values = values_of(ask, list(names) or readable(session, ask))
    deliver(file, _written(values, form).encode(), yes=yes)
    if file != STREAM:
        session.terminal.note(
            f"{counted(len(values), 'secret')} {'was' if len(values) == 1 else 'were'} "
            f"written to {file}."
        )


@contextmanager
def asking(session: Session, as_of: str | None) -> Iterator[Ask]:
    """How to ask of now, or of the point *as_of*."""
    if as_of is None:
        with session.door() as door:
            yield partial(door.handle, session.caller)
        return
    session.refuse_server("--as-of")
    with session.vault() as vault:
        yield Then(session, vault, as_of).ask


def readable(session: Session, ask: Ask) -> list[str]:
    """The names of all secrets that have a value to give out; the others are told."""
    from vault.commands import ListSecrets

    names = []
    for one in ask(ListSecrets()):
        if one.erased:
            session.terminal.note(f"left out: {one.name} was {shapes.erased_by(one.erased_by)}")
        elif one.managed:
            session.terminal.note(f"left out: {one.name} is a token, made anew when it is read")
        elif not one.attributes.enabled:
            session.terminal.note(f"left out: {one.name} is disabled")
        else:
            names.append(one.name)
    return names


def values_of(ask: Ask, names: list[str]) -> dict[str, str]:
    """Each value, read and recorded, under its secret's name."""
    from vault.commands import GetSecret

    values: dict[str, str] = {}
    with Progress("secrets") as progress:
        for name in names:
            answer = ask(GetSecret(name=name))
            values[answer.name] = answer.value or ""
            progress(len(values), len(names))
    return values


def _written(values: dict[str, str], form: str) -> str:
    if form == "json":
        import json

        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    named = by_variable((variable_name(name), value) for name, value in values.items())
    return "".join(
        f'{variable}="{value.translate(_ESCAPED)}"\n' for variable, value in named.items()
    )


def by_variable(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What is *named* by variables.  Raise ExportAmbiguous if two have one variable."""
    found: dict[str, str] = {}
    for variable, what in named:
        if variable in found:
            raise ExportAmbiguous(f"two secrets would be the variable {variable}")
        found[variable] = what
    return found


def variable_name(name: str) -> str:
    """A secret's name as a variable's: hyphens become underscores, a digit first gets one."""
    variable = name.replace("-", "_")
    return f"_{variable}" if variable[:1].isdigit() else variable
