"""The end of a storage account, and the way back: `storage remove`, `recover`, `purge`, `backup`."""

from __future__ import annotations

import click

from cli import shapes, storage_shapes
from cli.as_of import as_of_option
from cli.command import command, limit_option
from cli.secret_deletion import tell_backups
from cli.secret_values import deliver, refuse_existing
from cli.session import Session
from cli.storage_accounts import emit
from cli.storage_options import Account, account_argument
from cli.tables import DELETED
from cli.values import STREAM, read_bytes


@command("remove")
@account_argument
def remove(session: Session, account: Account) -> None:
    """Delete a storage account here; it can be recovered.

    Its definitions go with it, and no token is made any more.  Nothing is done to the account itself,
    and tokens that were given out stay good until they expire.
    """
    from vault.storage_commands import DeleteStorageAccount

    emit(session, *session.ask(DeleteStorageAccount(name=account.name), account.vault))


@command("list-deleted")
@limit_option
@as_of_option
def list_deleted(session: Session, maxresults: int | None, as_of: str | None) -> None:
    """List the deleted storage accounts.

    Each with when it is purged by itself.
    """
    from vault.storage_commands import ListDeletedStorageAccounts

    vault, answers = session.ask(ListDeletedStorageAccounts(limit=maxresults), as_of=as_of)
    told = [storage_shapes.account(vault, answer) for answer in answers]
    session.output.emit(told, DELETED)


@command("show-deleted")
@account_argument
@as_of_option
def show_deleted(session: Session, account: Account, as_of: str | None) -> None:
    """Show a deleted storage account.

    Never a key.
    """
    from vault.storage_commands import GetDeletedStorageAccount

    asked = GetDeletedStorageAccount(name=account.name)
    emit(session, *session.ask(asked, account.vault, as_of=as_of))


@command("recover")
@account_argument
def recover(session: Session, account: Account) -> None:
    """Bring a deleted storage account back.

    It comes back with its definitions; a rotation that was missed is caught up with.
    """
    from vault.storage_commands import RecoverDeletedStorageAccount

    emit(session, *session.ask(RecoverDeletedStorageAccount(name=account.name), account.vault))


@command("purge")
@account_argument
@click.option("--backups", is_flag=True, help="Destroy also the keys of its issued backups.")
@click.option("--plan", is_flag=True, help="Show what would be destroyed, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(session: Session, account: Account, backups: bool, plan: bool, yes: bool) -> None:
    """Destroy what the vault holds of a deleted storage account, for ever.

    Its keys, templates and tags are closed; the records stay and still verify.  Nothing is done to
    the account itself.
    """
    from vault.storage_commands import GetDeletedStorageAccount, PurgeDeletedStorageAccount

    if plan:
        asked = GetDeletedStorageAccount(name=account.name)
        vault, found = session.ask(asked, account.vault)
        told = storage_shapes.account(vault, found)
        session.output.emit(told | {"wouldDestroyBackups": backups})
        return
    what = f"All that the vault holds of {account.name} will be closed for ever."
    session.terminal.confirm(what, account.name, yes=yes, planned=True)
    _, answer = session.ask(
        PurgeDeletedStorageAccount(name=account.name, backups=backups), account.vault
    )
    session.output.emit(shapes.purged(answer))
    tell_backups(session, answer.open_backups)


@command("backup")
@account_argument
@click.option("-f", "--file", required=True, metavar="FILE", help="Where to; - is stdout.")
@click.option("--yes", is_flag=True, help="Replace the file.")
def backup(session: Session, account: Account, file: str, yes: bool) -> None:
    """Write a storage account to an encrypted file.

    With its keys and its definitions.  Only the store that issued it can restore it, until it is
    purged with --backups.
    """
    from vault.storage_commands import BackupStorageAccount

    refuse_existing(file, yes=yes)
    _, answer = session.ask(BackupStorageAccount(name=account.name), account.vault)
    deliver(file, answer.blob, yes=yes)
    if file != STREAM:
        session.output.emit({"definitions": answer.versions, "file": file, "name": answer.name})


@command("restore")
@click.option("-f", "--file", required=True, metavar="FILE", help="The backup; - is stdin.")
def restore(session: Session, file: str) -> None:
    """Bring back the storage account that a backup holds.

    The name must be free.  Its keys are those of the backup's day.
    """
    from vault.storage_commands import RestoreStorageAccount

    vault, answer = session.ask(RestoreStorageAccount(blob=read_bytes(file)))
    emit(session, vault, answer)
    session.terminal.note(f"Keys may have changed since: muniment storage sync {answer.name}")
