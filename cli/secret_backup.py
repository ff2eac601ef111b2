"""`secret backup` and `secret restore`: all versions of a secret in an encrypted file."""

from __future__ import annotations

import click

from cli import shapes
from cli.command import command
from cli.reference import Reference
from cli.secret_options import secret_argument
from cli.secret_values import deliver, refuse_existing
from cli.session import Session
from cli.values import STREAM, read_bytes


@command("backup", remote=True)
@secret_argument(versions=False)
@click.option("-f", "--file", required=True, metavar="FILE", help="Where to; - is stdout.")
@click.option("--yes", is_flag=True, help="Replace the file.")
def backup(session: Session, secret: Reference, file: str, yes: bool) -> None:
    """Write all versions to an encrypted file.

    Only the store that issued it can restore it, until it is purged with --backups.
    """
    from vault.commands import BackupSecret

    refuse_existing(file, yes=yes)
    _, answer = session.ask(BackupSecret(name=secret.name), secret.vault)
    deliver(file, answer.blob, yes=yes)
    if file != STREAM:
        session.output.emit({"file": file, "name": answer.name, "versions": answer.versions})


@command("restore", remote=True)
@click.option("-f", "--file", required=True, metavar="FILE", help="The backup; - is stdin.")
def restore(session: Session, file: str) -> None:
    """Bring back what a backup holds.

    The name must be free.  Versions, dates and attributes come back as they were.
    """
    from vault.commands import RestoreSecret

    vault, answer = session.ask(RestoreSecret(blob=read_bytes(file)))
    session.output.emit(shapes.item(vault, answer, versioned=True))
