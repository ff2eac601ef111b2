"""Keys of storage accounts: `storage regenerate-key`, `sync` and `rotate-due`.  None is printed."""

from __future__ import annotations

import click

from cli import storage_shapes
from cli.command import command
from cli.problems import RotationFailed
from cli.session import Session
from cli.storage_accounts import emit
from cli.storage_options import Account, account_argument
from cli.tables import counted


@command("regenerate-key")
@account_argument
@click.option("--key-name", required=True, metavar="KEY", help="Which key.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def regenerate_key(session: Session, account: Account, key_name: str, yes: bool) -> None:
    """Have a key of a storage account made anew.

    Every token that the old one signed is refused from then on.  Which key is active stays as it is.
    """
    from vault.storage_commands import RegenerateKey

    what = f"Tokens that {key_name} of {account.name} signed will be refused from now on."
    session.terminal.confirm(what, account.name, yes=yes)
    asked = RegenerateKey(name=account.name, key_name=key_name)
    emit(session, *session.ask(asked, account.vault))


@command("sync")
@account_argument
def sync(session: Session, account: Account) -> None:
    """Ask for a storage account's keys as they are.

    What differs from what the vault had is recorded, by the key's name.
    """
    from vault.storage_commands import SyncStorageKeys

    emit(session, *session.ask(SyncStorageKeys(name=account.name), account.vault))


@command("rotate-due")
def rotate_due(session: Session) -> None:
    """Rotate the keys that are due.

    And finish what was begun and not finished.  The service does this every minute; without one, run
    it from a timer.
    """
    with session.vault() as vault:
        told = vault.rotate_due()
    rows = [storage_shapes.rotated(one) for one in told]
    session.output.emit(rows, storage_shapes.ROTATED)
    failed = sum(one.outcome != "ok" for one in told)
    if failed:
        raise RotationFailed(f"{failed:,} of {counted(len(told), 'rotation')} failed")
    session.terminal.note(f"{counted(len(told), 'rotation')} done.")
