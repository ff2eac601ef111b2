"""`muniment key rotate` and `muniment key change-passphrase`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import shapes
from cli.command import command
from cli.session import Session
from cli.tables import WHOLE, Column

if TYPE_CHECKING:
    from eventstore.keyring import Erasure
    from vault.store import Store


_COLUMNS = [
    Column("VAULT", "vault"),
    Column("RECORD", "_record", WHOLE),
    Column("OPERATION", "operation"),
    Column("NEW VERIFIER KEY", "_verifier", WHOLE),
]


@command("rotate")
@click.option("--root", is_flag=True, help="The root key of the store.")
@click.option("--signing", is_flag=True, help="The signing keys of both logs.")
@click.option("--audit", is_flag=True, help="The audit keys of both logs.")
def rotate(session: Session, root: bool, signing: bool, audit: bool) -> None:
    """Rotate the root, signing and audit keys.

    All of them, unless some are named.  Signing and audit keys are those of the vault that is
    named, or of every vault.  Old signing keys are destroyed; each new one is endorsed by them.
    """
    if not (root or signing or audit):
        root = signing = audit = True
    with session.store() as store:
        rotated = _rotate_vaults(session, store, signing, audit) if signing or audit else []
        erasure = store.rotate_root_key(session.caller) if root else None
    root_key = None if erasure is None else _erasure(erasure)
    output = session.output
    if not output.for_people or output.has_query:
        output.emit({"root": root_key, "rotated": rotated})
        return
    output.emit([_row(shape) for shape in rotated], _COLUMNS)
    output.emit({"root": root_key} if root_key else None)


def _row(shape: shapes.Shape) -> shapes.Shape:
    return shape | {
        "_record": f"{shape['log']} #{shape['position']}",
        "_verifier": shape["details"].get("verifier"),
    }


def _rotate_vaults(
    session: Session, store: Store, signing: bool, audit: bool
) -> list[shapes.Shape]:
    from vault.history_commands import RotateKeys

    named = session.vault_name()
    vaults = store.vaults() if named is None else [store.vault(named)]
    asked = RotateKeys(signing=signing, audit=audit)
    return [
        {"vault": vault.name} | shapes.history(item)
        for vault in vaults
        for item in vault.handle(session.caller, asked)
    ]


@command("change-passphrase")
@click.option("--new-passphrase-file", metavar="FILE", help="Take the new one from a file.")
def change_passphrase(session: Session, new_passphrase_file: str | None) -> None:
    """Choose another passphrase.

    The root key gets a new value too: an old copy of it and the old passphrase no longer open this
    store.  Whoever copied the store as well, while they did, keeps the keys it held.
    """
    with session.store() as store:
        new = session.new_passphrase(new_passphrase_file, "--new-passphrase-file")
        erasure = store.change_passphrase(session.caller, new)
    session.output.emit({"root": _erasure(erasure)})


def _erasure(erasure: Erasure) -> shapes.Shape:
    return {
        "assurance": erasure.assurance,
        "epoch": erasure.root_epoch,
        "provider": erasure.provider,
    }
