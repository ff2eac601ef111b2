"""A hot copy of a whole store, and a store made from one.

A copy is taken while writers go on.  Of each vault `access` is copied before `changes`, so that no
read in the copy names a record that the copy lacks; the keyring is copied last, so that it has a
key for every record.  The root key is never copied: a copy opens with the root key of its day, or
its logs with the keyring of today.

Taking over a copy gives it a root key and signing keys of its own, and says so in every vault: from
then on it and its original can be told apart.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from eventstore.access_events import VaultRead
from eventstore.durable import sync_directory, write_durably
from eventstore.errors import RootKeyMissing
from eventstore.event import Context
from eventstore.events import StoreAdopted
from eventstore.record import Draft
from projections.rebuild import Progress
from vault import names
from vault.caller import Caller
from vault.configuration import Passphrase, default_root_directory, read_configuration
from vault.open_vault import OpenVault
from vault.refusals import StoreExists
from vault.store import IDENTITIES, Store, check_place
from vault.trace import store_owner


class BackedUp(NamedTuple):
    """Where a copy lies, how many records each log has in it, and which root key opens it."""

    directory: Path
    records: dict[str, int]
    root_epoch: int


def backup(
    store: Store, directory: Path, caller: Caller, progress: Progress | None = None
) -> BackedUp:
    """Copy *store* into the new directory *directory*, and say so first in each vault.

    Raise StoreExists or LogUnavailable.
    """
    if directory.exists() and any(directory.iterdir()):
        raise StoreExists(f"{directory} is not empty")
    vaults = store.vaults()
    for vault in vaults:
        _say_copied(vault, caller)
    records: dict[str, int] = {}
    (directory / "vaults").mkdir(parents=True, mode=0o700)
    directory.chmod(0o700)
    for done, vault in enumerate(vaults):
        place = directory / "vaults" / vault.changes.path.parent.name
        place.mkdir(mode=0o700)
        # Several that were purged may have had one name.
        shown = vault.id if vault.settings.purged else vault.name
        for log in (vault.access, vault.changes):
            records[f"{shown}/{log.path.name}"] = log.copy(place / log.path.name)
        write_durably(place / "made", b"")
        if progress is not None:
            progress(done + 1, len(vaults))
    if (identities := store.home / IDENTITIES).exists():
        write_durably(directory / IDENTITIES, identities.read_bytes())
    store.keyring.copy(directory / "keyring")
    # Last, since a directory without it is not a store.
    write_durably(directory / "store.json", (store.home / "store.json").read_bytes())
    return BackedUp(directory, records, store.keyring.root_epoch)


def _say_copied(vault: OpenVault, caller: Caller) -> None:
    # The copy is sealed as the store is: whoever has the store may make it.
    names.check_caller(caller)
    at = vault.changes.head().size
    vault.record_read(caller, "store", VaultRead(what="store-backup", at=at))


def adopt(
    home: Path,
    source: Path,
    caller: Caller,
    *,
    root_directory: Path,
    passphrase: Passphrase | None = None,
) -> Store:
    """Make the store *home* from the copy in *source* and the root key in *root_directory*.

    Neither is touched.  Raise StoreExists, StoreNotFound, RootKeyMissing or RootKeyWrong.
    """
    check_place(home)
    if home.is_dir() and any(home.iterdir()):
        raise StoreExists(f"{home} is not empty")
    configuration = read_configuration(source)
    if not root_directory.is_dir():
        raise RootKeyMissing(f"there is no root key in {root_directory}")
    keys = default_root_directory(home)
    if keys.exists():
        raise StoreExists(f"there is a root key in {keys} already")
    shutil.copytree(source, home, dirs_exist_ok=True)
    shutil.copytree(root_directory, keys)
    home.chmod(0o700)
    keys.chmod(0o700)
    # Its root key is beside it, wherever that of the original is.
    made = replace(configuration, root="", instance=os.urandom(16).hex())
    write_durably(home / "store.json", msgspec.json.encode(made) + b"\n")
    sync_directory(home.parent)
    store = Store.open(home, root_directory=keys, passphrase=passphrase)
    try:
        _take_over(store, caller)
    except BaseException:
        store.close()
        raise
    return store


def _take_over(store: Store, caller: Caller) -> None:
    store.rotate_root_key(caller)
    context = store_owner(caller)
    for vault in store.vaults():
        _say_adopted(vault, context, store.configuration.instance)


def _say_adopted(vault: OpenVault, context: Context, instance: str) -> None:
    """Say that *vault* goes on in another store, and give it signing keys of its own."""
    event = StoreAdopted(
        instance=instance, changes=vault.changes.head().size, access=vault.access.head().size
    )
    vault.changes.transact(lambda append: append.append(Draft(context, event)))
    vault.keeping.rotate(context, signing=True, audit=False)
