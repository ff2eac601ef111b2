"""`secret export`: names and values in one file; each value is a recorded read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from cli.as_of import as_of_option, point
from cli.command import command
from cli.problems import ExportAmbiguous
from cli.progress import Progress
from cli.secret_values import deliver, refuse_existing
from cli.session import Session
from cli.tables import counted
from cli.values import STREAM

if TYPE_CHECKING:
    from vault.service import Vault

_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r"})


@command("export")
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
    with session.vault() as vault:
        size = None if as_of is None else point(session, vault, as_of).size
        wanted = list(names) or _readable(session, vault, size)
        values = _values(session, vault, wanted, size)
    deliver(file, _written(values, form).encode(), yes=yes)
    if file != STREAM:
        session.terminal.note(
            f"{counted(len(values), 'secret')} {'was' if len(values) == 1 else 'were'} "
            f"written to {file}."
        )


def _readable(session: Session, vault: Vault, size: int | None) -> list[str]:
    from vault.commands import ListSecrets

    names = []
    for one in vault.handle(session.caller, ListSecrets(as_of=size)):
        if one.erased_by is not None:
            session.terminal.note(f"left out: {one.name} was erased by #{one.erased_by}")
        elif not one.attributes.enabled:
            session.terminal.note(f"left out: {one.name} is disabled")
        else:
            names.append(one.name)
    return names


def _values(
    session: Session, vault: Vault, names: Iterable[str], size: int | None
) -> dict[str, str]:
    from vault.commands import GetSecret

    wanted = list(names)
    values: dict[str, str] = {}
    with Progress("secrets") as progress:
        for name in wanted:
            answer = vault.handle(session.caller, GetSecret(name=name, as_of=size))
            values[answer.name] = answer.value or ""
            progress(len(values), len(wanted))
    return values


def _written(values: dict[str, str], form: str) -> str:
    if form == "json":
        import json

        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    lines: dict[str, str] = {}
    for name, value in values.items():
        variable = variable_name(name)
        if variable in lines:
            raise ExportAmbiguous(f"two secrets would be the variable {variable}")
        lines[variable] = f'{variable}="{value.translate(_ESCAPED)}"\n'
    return "".join(lines.values())


def variable_name(name: str) -> str:
    """A secret's name as a variable's: hyphens become underscores, a digit first gets one."""
    variable = name.replace("-", "_")
    return f"_{variable}" if variable[:1].isdigit() else variable
