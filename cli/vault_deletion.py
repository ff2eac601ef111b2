"""The end of a vault, and the way back: `vault delete`, `list-deleted`, `show-deleted`, `recover`, `purge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import shapes
from cli.command import command
from cli.problems import Usage
from cli.session import Session
from cli.tables import WHOLE, Column
from cli.vault_options import bare_name, name_option

if TYPE_CHECKING:
    from vault.service import Vault


_COLUMNS = [
    Column("NAME", "name"),
    Column("DELETED", "deletionDate"),
    Column("PURGED ON", "scheduledPurgeDate"),
    Column("PURGE PROTECTION", "purgeProtectionEnabled"),
    Column("ID", "id", WHOLE),
]


@command("delete")
@bare_name
@name_option
def delete(session: Session, bare: str | None, name: str | None) -> None:
    """Delete a vault; it can be recovered.

    It answers nobody from then on, and comes back with all that is in it with `vault recover`.  Its
    history can be read meanwhile: name it by its id.
    """
    from vault.rule_commands import DeleteVault

    with session.vault(_named(session, bare, name)) as vault:
        vault.handle(session.caller, DeleteVault())
        session.output.emit(_deleted(vault))


@command("list-deleted")
def list_deleted(session: Session) -> None:
    """List the deleted vaults."""
    with session.store() as store:
        found = [_deleted(vault) for vault in store.deleted()]
    session.output.emit(found, _COLUMNS)


@command("show-deleted")
@bare_name
@name_option
def show_deleted(session: Session, bare: str | None, name: str | None) -> None:
    """Show a deleted vault.

    Its id names it in `--vault-name` of the commands that read history.
    """
    from vault.rule_commands import ShowVault

    with session.store() as store:
        vault = store.deleted_vault(_named(session, bare, name))
        vault.handle(session.caller, ShowVault())
        session.output.emit(_deleted(vault))


@command("recover")
@bare_name
@name_option
def recover(session: Session, bare: str | None, name: str | None) -> None:
    """Bring a deleted vault back.

    It comes back with its secrets, policies and network rules.
    """
    from vault.rule_commands import RecoverVault

    with session.store() as store:
        vault = store.deleted_vault(_named(session, bare, name))
        shape = shapes.vault(vault.handle(session.caller, RecoverVault()))
    shape.pop("checkpoints", None)
    session.output.emit(shape)


@command("purge")
@bare_name
@name_option
@click.option("--plan", is_flag=True, help="Show what would be destroyed, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(session: Session, bare: str | None, name: str | None, plan: bool, yes: bool) -> None:
    """Destroy the keys of a deleted vault, for ever.

    Those of all its secrets, and of all backups that it issued.  The records stay and still verify;
    nobody opens a value again, and the name is free.  The answer is the erasure's receipt.
    """
    from vault.rule_commands import PurgeVault, ShowVault

    with session.store() as store:
        vault = store.deleted_vault(_named(session, bare, name))
        if plan:
            vault.handle(session.caller, ShowVault())
            session.output.emit(_deleted(vault) | {"wouldDestroy": "all secrets and backups"})
            return
        what = f"All secrets of the vault {vault.name}, and its backups, will be closed for ever."
        session.terminal.confirm(what, vault.name, yes=yes, planned=True)
        answer = vault.handle(session.caller, PurgeVault())
    session.output.emit(shapes.purged_vault(answer))


def _named(session: Session, bare: str | None, name: str | None) -> str:
    """The vault that NAME, --name or --vault-name says.  Raise Usage where they differ.

    It is said in the command itself: what a shell was once told to ask is not what shall end.
    """
    if bare is not None and name is not None and bare != name:
        raise Usage("NAME and --name are not the same")
    said = session.settings.resolve("vault")
    chosen = bare or name or (said.value if said.origin == "--vault-name" else None)
    if chosen is None:
        raise Usage("name the vault: NAME, --name or --vault-name")
    return session.vault_name(chosen) or chosen


def _deleted(vault: Vault) -> shapes.Shape:
    return shapes.deleted_vault(vault.id, vault.settings)
