"""`muniment store backup` and `store import`: a hot copy of a whole store, and a store made of one.

A copy never holds the root key: whoever has only the copy has nothing that opens.
"""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote

import click

from cli.command import command
from cli.progress import Progress
from cli.session import Session

_BACKED_UP = """\
The copy holds every record and the keyring, and not the root key: that is in {root}.
  To use it    muniment store import {directory} --root-key {keys}
  It opens     with root key epoch {epoch} only.  Keep that key apart from the copy, and safe.
  A purge      destroys this epoch and makes the next: from then on these records open only with
               the keyring of a newer copy, and what was purged opens nowhere.  So take a new copy
               after each purge or rotation of the root key.
  Without key  muniment verify --home {directory}"""

_IMPORTED = """\
The store in {home} has its own root key now, in {root}, and its own signing keys; an event in every
vault says so.  The copy and the root key that it came with were not touched, and the original may go
on beside it: this account keeps apart what it has seen of each."""


@command("backup")
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def backup(session: Session, directory: Path) -> None:
    """Copy the whole store while others write to it.

    The copy is consistent: it has whatever any record in it refers to.  The root key stays where
    it is.
    """
    from vault.backing import backup as back_up
    from vault.configuration import root_directory_of

    with session.store() as store:
        with Progress("vaults") as progress:
            made = back_up(store, directory, session.caller, progress)
        root = session.root_directory or root_directory_of(store.home, store.configuration)
    session.output.emit(
        {
            "directory": str(made.directory.absolute()),
            "records": dict(sorted(made.records.items())),
            "rootKey": str(root),
            "rootKeyEpoch": made.root_epoch,
        }
    )
    session.terminal.note(
        _BACKED_UP.format(
            directory=quote(os.fspath(made.directory)),
            root=root,
            keys=quote(os.fspath(root)),
            epoch=made.root_epoch,
        )
    )


@command("import")
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--plan", is_flag=True, help="Show what would be taken over, and change nothing.")
def import_store(session: Session, directory: Path, plan: bool) -> None:
    """Make a store of a copy, and say so in it.

    The store is made where --home says; --root-key names the root key that opens the copy.  It gets
    a root key and signing keys of its own, so that it and its original can be told apart.
    """
    from vault.backing import adopt
    from vault.configuration import default_root_directory, read_configuration

    home = session.home.absolute()
    root = session.root_directory or default_root_directory(directory)
    read_configuration(directory)
    if plan:
        session.output.emit(_plan(home, directory, root))
        return
    adopted = adopt(
        home, directory, session.caller, root_directory=root, passphrase=session.passphrase()
    )
    with adopted as store:
        vaults = store.vault_names()
        for vault in store.vaults():
            session.accept(vault)
        session.accept_vaults(store)
    keys = default_root_directory(home)
    session.output.emit({"home": str(home), "rootKey": str(keys), "vaults": vaults})
    session.terminal.note(_IMPORTED.format(home=home, root=keys))


def _plan(home: Path, directory: Path, root: Path) -> dict[str, object]:
    from cli.doctor_files import signed_sizes

    sizes = signed_sizes(directory)
    return {
        "home": str(home),
        "homeIsFree": not (home / "store.json").exists(),
        "records": {str(log.relative_to(directory)): sizes[log] for log in sorted(sizes)},
        "rootKey": str(root),
        "rootKeyIsThere": root.is_dir(),
    }
