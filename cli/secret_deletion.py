"""The end of a secret, and the way back: `secret delete`, `show-deleted`, `recover`, `purge`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli import shapes
from cli.as_of import as_of_option
from cli.command import command
from cli.reference import Reference
from cli.secret_options import secret_argument
from cli.session import Session
from cli.tables import counted


@command("delete", remote=True)
@secret_argument(versions=False)
def delete(session: Session, secret: Reference) -> None:
    """Delete a secret; it can be recovered.

    All its versions go, and come back together with `secret recover`.
    """
    from vault.commands import DeleteSecret

    vault, answer = session.ask(DeleteSecret(name=secret.name), secret.vault)
    session.output.emit(shapes.item(vault, answer, versioned=True))


@command("show-deleted", remote=True)
@secret_argument(versions=False)
@as_of_option
def show_deleted(session: Session, secret: Reference, as_of: str | None) -> None:
    """Show a deleted secret.

    Its value is not given out before it is recovered.
    """
    from vault.commands import GetDeletedSecret

    vault, answer = session.ask(GetDeletedSecret(name=secret.name), secret.vault, as_of=as_of)
    session.output.emit(shapes.item(vault, answer, versioned=True))


@command("recover", remote=True)
@secret_argument(versions=False)
def recover(session: Session, secret: Reference) -> None:
    """Bring a deleted secret back.

    It comes back with all its versions.
    """
    from vault.commands import RecoverDeletedSecret

    vault, answer = session.ask(RecoverDeletedSecret(name=secret.name), secret.vault)
    session.output.emit(shapes.item(vault, answer, versioned=True))


def tell_backups(session: Session, backups: Sequence[int] | None) -> None:
    """Say that backups bring back what was purged: a receipt has only the numbers of their keys."""
    if backups:
        session.terminal.note(
            f"{counted(len(backups), 'backup')} of it can still be restored, for --backups was not "
            "given: `muniment log NAME` shows when each was issued, and to whom."
        )


@command("purge", remote=True)
@secret_argument(versions=False)
@click.option("--backups", is_flag=True, help="Destroy also the keys of its issued backups.")
@click.option("--plan", is_flag=True, help="Show what would be destroyed, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(session: Session, secret: Reference, backups: bool, plan: bool, yes: bool) -> None:
    """Destroy a deleted secret's key, for ever.

    The records stay and still verify; nobody opens them again.  The answer is the erasure's
    receipt.
    """
    from vault.commands import GetDeletedSecret, PurgeDeletedSecret

    if backups:
        session.refuse_server("--backups")
    if plan:
        vault, found = session.ask(GetDeletedSecret(name=secret.name), secret.vault)
        session.output.emit(shapes.item(vault, found) | {"wouldDestroyBackups": backups})
        return
    what = f"All versions of {secret.name} will be closed for ever."
    session.terminal.confirm(what, secret.name, yes=yes, planned=True)
    asked = PurgeDeletedSecret(name=secret.name, backups=backups)
    _, answer = session.ask(asked, secret.vault)
    session.output.emit(shapes.purged(answer))
    tell_backups(session, answer.open_backups)
