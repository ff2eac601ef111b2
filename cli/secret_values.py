"""Values in and out: `secret set`, `secret show`, `secret download`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

import click

from cli import shapes
from cli.as_of import as_of_option
from cli.command import command
from cli.problems import FileInTheWay, ValueOnCommandLine
from cli.reference import Reference
from cli.secret_options import Given, attribute_options, secret_argument
from cli.session import Session
from cli.values import ENCODING_TAG, ENCODINGS, STREAM, read_value, to_bytes, write_private


def _refuse_value(_: click.Context, __: click.Parameter, given: str | None) -> None:
    if given is not None:
        _refuse()


def _refuse() -> NoReturn:
    # The shell's history and the process list have it by now; the vault at least does not.
    raise ValueOnCommandLine("--value is not taken: everybody on this machine can read arguments")


@command("set", remote=True)
@secret_argument(versions=False)
@click.option("-f", "--file", metavar="FILE", help="Take the value from a file; - is stdin.")
@click.option("-e", "--encoding", type=click.Choice(ENCODINGS), help="How its bytes are text.")
@click.option("--trim", is_flag=True, help="Strip white space around the value.")
@attribute_options
@click.option("--value", hidden=True, expose_value=False, callback=_refuse_value, is_eager=True)
def set_secret(
    session: Session,
    secret: Reference,
    file: str | None,
    encoding: str | None,
    trim: bool,
    beside: Given,
) -> None:
    """Make a new version of a secret.

    The value is read from standard input, from --file, or at a hidden prompt; it is stored as it
    is, with its last newline unless --trim strips it.
    """
    from vault.commands import SetSecret

    tags = beside.tag_map()
    nbf, exp = (beside.date(name, session.now) for name in ("not_before", "expires"))
    value = read_value(session.terminal, file, encoding, trim=trim)
    if not value:
        session.terminal.note("note: the value is empty")
    if encoding is not None or file not in (None, STREAM):
        tags = (tags or {}) | {ENCODING_TAG: encoding or "utf-8"}
    asked = SetSecret(
        name=secret.name,
        value=value,
        content_type=beside.content_type,
        tags=tags,
        enabled=beside.is_enabled is not False,
        nbf=nbf,
        exp=exp,
    )
    vault, answer = session.ask(asked, secret.vault)
    # As `az` does, the answer repeats the value to programs; on a terminal it stays hidden.
    told = shapes.item(vault, answer, versioned=True)
    if session.output.for_people:
        session.output.emit(told)
    else:
        session.output.emit(shapes.bundle(vault, answer))


@command("show", remote=True)
@secret_argument(versions=True)
@as_of_option
def show(session: Session, secret: Reference, as_of: str | None) -> None:
    """Print a secret with its value.

    The read is recorded before the value is printed.  With --as-of it is the value of then, and
    whoever may read it now may read it.
    """
    from vault.commands import GetSecret

    asked = GetSecret(name=secret.name, version=secret.version)
    vault, answer = session.ask(asked, secret.vault, as_of=as_of)
    session.output.emit(shapes.bundle(vault, answer))


@command("download", remote=True)
@secret_argument(versions=True)
@click.option("-f", "--file", required=True, metavar="FILE", help="Where to; - is stdout.")
@click.option("-e", "--encoding", type=click.Choice(ENCODINGS), help="[as the value was set]")
@click.option("--yes", is_flag=True, help="Replace the file.")
@as_of_option
def download(
    session: Session,
    secret: Reference,
    file: str,
    encoding: str | None,
    yes: bool,
    as_of: str | None,
) -> None:
    """Write a secret's value to a file.

    The bytes are those that `secret set --file` was given; only the owner may read the file.
    """
    from vault.commands import GetSecret

    asked = GetSecret(name=secret.name, version=secret.version)
    refuse_existing(file, yes=yes)
    _, answer = session.ask(asked, secret.vault, as_of=as_of)
    kept_as = (answer.tags or {}).get(ENCODING_TAG, "utf-8")
    known = kept_as if kept_as in ENCODINGS else "utf-8"
    deliver(file, to_bytes(answer.value or "", encoding or known), yes=yes)


def refuse_existing(file: str, *, yes: bool) -> None:
    """Refuse before the value is read and the read recorded."""
    import os

    if file != STREAM and not yes and os.path.lexists(file):
        raise FileInTheWay(f"{file} exists")


def deliver(file: str, content: bytes, *, yes: bool) -> None:
    """Write *content* to a private file, or to standard output for `-`."""
    deliver_each(file, [content], yes=yes)


def deliver_each(file: str, parts: Iterable[bytes], *, yes: bool) -> None:
    """Write *parts* one after the other, as `deliver` does."""
    import sys

    if file != STREAM:
        write_private(file, parts, replace=yes)
        return
    sys.stdout.flush()
    sys.stdout.buffer.writelines(parts)
    sys.stdout.buffer.flush()
