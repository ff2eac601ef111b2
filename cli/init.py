"""`muniment init`: a store, its root key beside it, and a first vault, ready to use."""

from __future__ import annotations

import click

from cli.command import command
from cli.session import Session
from cli.vaults import ONE_WAY, RETENTION

FIRST_VAULT = "main"


@command("init")
@click.argument("name", metavar="[VAULT]", required=False)
@click.option("--no-vault", is_flag=True, help="Make no vault; `vault create` does.")
@click.option(
    "--provider",
    type=click.Choice(("file", "passphrase")),
    default="file",
    help="How the root key is kept [file].",
)
@RETENTION
@ONE_WAY
def init(
    session: Session,
    name: str | None,
    no_vault: bool,
    provider: str,
    retention_days: int,
    purge_protection: str,
) -> None:
    """Make a store and its first vault.

    The root key is put beside the store and never inside it, so that a copy of the store is not a
    copy of the key.  You become the vault's administrator.  The vault is called `main` unless you
    say otherwise.
    """
    from vault.configuration import default_root_directory
    from vault.store import Store

    def passphrase() -> bytes:
        return session.new_passphrase(session.settings.resolve("passphrase_file").value)

    home = session.home.absolute()
    vault_name = None if no_vault else name or session.vault_name() or FIRST_VAULT
    if vault_name is not None:
        _check(vault_name, retention_days)
    made = Store.create(
        home, provider=provider, root_directory=session.root_directory, passphrase=passphrase
    )
    with made as store:
        if vault_name is not None:
            store.create_vault(
                session.caller,
                vault_name,
                retention_days=retention_days,
                purge_protection=purge_protection == "true",
            )
    root = session.root_directory or default_root_directory(home)
    session.output.emit(
        {"home": str(home), "provider": provider, "rootKey": str(root), "vault": vault_name}
    )
    session.terminal.note(
        f"Copy {home} as often as you like; keep {root} apart from the copies, and safe."
    )


def _check(vault_name: str, retention_days: int) -> None:
    """Refuse before anything is made: a store without its vault would have to be explained."""
    from vault.names import check_retention, check_vault_name

    check_vault_name(vault_name)
    check_retention(retention_days)
