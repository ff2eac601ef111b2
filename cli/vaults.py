"""`muniment vault create`, `show`, `list` and `update`; `-n` names the vault, as in `az keyvault`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import shapes
from cli.as_of import as_of_option
from cli.command import Greedy, command
from cli.problems import Usage
from cli.session import Session
from cli.tables import Column

if TYPE_CHECKING:
    from vault.answers import VaultFacts

RETENTION = click.option(
    "--retention-days",
    type=int,
    default=90,
    metavar="N",
    help="How long deleted secrets are kept, 7 to 90; fixed for ever [90].",
)
ONE_WAY = click.option(
    "--enable-purge-protection",
    "purge_protection",
    type=click.Choice(("true", "false"), case_sensitive=False),
    is_flag=False,
    flag_value="true",
    default="false",
    help="Nobody can purge before the retention is over; cannot be undone.",
)

_bare = click.argument("bare", metavar="[NAME]", required=False)
_name = click.option("-n", "--name", metavar="NAME", help="The vault's name.")


@command("create")
@_bare
@_name
@RETENTION
@ONE_WAY
def create(
    session: Session,
    bare: str | None,
    name: str | None,
    retention_days: int,
    purge_protection: str,
) -> None:
    """Make another vault in the store.

    You become its administrator, with every permission.
    """
    from vault.commands import ShowVault

    chosen = _chosen(session, bare, name)
    if chosen is None:
        raise Usage("name the vault: vault create NAME")
    with session.store() as store:
        vault = store.create_vault(
            session.caller,
            chosen,
            retention_days=retention_days,
            purge_protection=purge_protection == "true",
        )
        facts = vault.handle(session.caller, ShowVault())
        several = len(store.vault_names()) > 1
    _emit(session, facts)
    if several:
        session.terminal.note(
            "There are several vaults now: name one with --vault-name or MUNIMENT_VAULT."
        )


@command("show")
@_bare
@_name
@as_of_option
def show(session: Session, bare: str | None, name: str | None, as_of: str | None) -> None:
    """Show a vault's settings, sizes, keys and checkpoints.

    The verifier keys are what `muniment verify --verifier` takes: hand them to an auditor.  With
    --as-of there are no checkpoints: those of then are those that were kept.
    """
    from vault.commands import ShowVault

    _, facts = session.ask(ShowVault(), _chosen(session, bare, name), as_of=as_of)
    _emit(session, facts)


@command("list")
def list_vaults(session: Session) -> None:
    """List the vaults of the store."""
    with session.store() as store:
        found = [
            {"name": name, "vaultUri": f"https://{name}.{shapes.DOMAIN}/"}
            for name in store.vault_names()
        ]
    session.output.emit(found, [Column("NAME", "name"), Column("URI", "vaultUri")])


@command("update")
@_bare
@_name
@click.option(
    "--enable-purge-protection",
    "purge_protection",
    type=click.Choice(("true", "false"), case_sensitive=False),
    is_flag=False,
    flag_value="true",
    help="Nobody can purge before the retention is over; cannot be undone.",
)
@click.option(
    "--administrators", cls=Greedy, metavar="PRINCIPAL ...", help="All who may set policies."
)
def update(
    session: Session,
    bare: str | None,
    name: str | None,
    purge_protection: str | None,
    administrators: tuple[str, ...],
) -> None:
    """Change a vault's settings."""
    from msgspec import UNSET

    from vault.commands import UpdateVault

    if purge_protection is None and not administrators:
        raise Usage("say what to change: see --help")
    asked = UpdateVault(
        purge_protection=UNSET if purge_protection is None else purge_protection == "true",
        administrators=administrators or UNSET,
    )
    _, facts = session.ask(asked, _chosen(session, bare, name))
    _emit(session, facts)


def _chosen(session: Session, bare: str | None, name: str | None) -> str | None:
    """The vault that NAME, --name or --vault-name says.  Raise Usage where they differ."""
    if bare is not None and name is not None and bare != name:
        raise Usage("NAME and --name are not the same")
    return session.vault_name(bare or name)


def _emit(session: Session, facts: VaultFacts) -> None:
    shape = shapes.vault(facts)
    if session.output.for_people and not session.output.has_query:
        # Notes of several lines: `checkpoint show` prints them as they are.
        shape.pop("checkpoints", None)
    session.output.emit(shape)
