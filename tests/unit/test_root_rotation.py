"""Who held the root key once, and has a copy of the store of then, is shut out by a rotation of it.

Not from what was there: those keys he has seen.  But no secret that is made afterwards is his.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eventstore.errors import KeyErased
from eventstore.rootkey import SLOTS, FileRootKey
from support.attacker import StoreAttacker
from support.vaults import ALICE, Clock, check_store, make_store, open_store
from vault.commands import BackupSecret, SetSecret
from vault.history_commands import RotateKeys
from vault.store import Store


def root_key(home: Path) -> bytes:
    keeper = FileRootKey(home.with_name("store.key"))
    return next(key for slot in SLOTS if (key := keeper.read(slot)) is not None)


def a_store(home: Path, clock: Clock) -> Store:
    """Two vaults, each with a secret, whose blocks of keys were begun and not used up."""
    store = make_store(home, clock)
    for name in ("one", "two"):
        vault = store.create_vault(ALICE, name)
        vault.handle(ALICE, SetSecret(name="early", value=f"early-in-{name}"))
    return store


def rotated(store: Store) -> Store:
    store.rotate_root_key(ALICE)
    return store


def rotated_and_opened_again(store: Store) -> Store:
    store.rotate_root_key(ALICE)
    store.close()
    return open_store(store.home, Clock())


@pytest.mark.parametrize("rotate", [rotated, rotated_and_opened_again])
def test_a_secret_made_after_a_rotation_is_closed_to_who_held_the_root_key_before(
    tmp_path: Path, rotate: Callable[[Store], Store]
) -> None:
    home, clock = tmp_path / "store", Clock()
    store = a_store(home, clock)
    thief = StoreAttacker(store.store_id, tmp_path)
    thief.copies_store(home)
    stolen = root_key(home)

    store = rotate(store)
    for vault in store.vaults():
        vault.handle(ALICE, SetSecret(name="late", value=f"late-in-{vault.name}"))
        vault.handle(ALICE, SetSecret(name="later", value=f"later-in-{vault.name}"))
    thief.copies_store(home)
    store.close()

    opened = thief.opens(stolen)
    for name in ("one", "two"):
        assert opened.hold(f"early-in-{name}"), "or the thief cannot open anything"
        assert not opened.hold(f"late-in-{name}")
        assert not opened.hold(f"later-in-{name}")
    check_store(home, clock)


def test_so_is_a_backup_that_was_issued_after_it(tmp_path: Path) -> None:
    home, clock = tmp_path / "store", Clock()
    store = a_store(home, clock)
    thief = StoreAttacker(store.store_id, tmp_path)
    thief.gets_blob(store.vault("one").handle(ALICE, BackupSecret(name="early")).blob)
    thief.copies_store(home)
    stolen = root_key(home)

    store.rotate_root_key(ALICE)
    thief.gets_blob(store.vault("two").handle(ALICE, BackupSecret(name="early")).blob)
    thief.copies_store(home)
    store.close()

    (blob,) = thief.opens(stolen).blobs
    assert b"early-in-one" in blob
    check_store(home, clock)


def test_a_rotation_of_the_signing_keys_destroys_the_old_ones_of_both_logs(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", clock := Clock())
    vault = store.named("one")
    logs = (vault.changes, vault.access)
    old = [log.numbers().signing[-1] for log in logs]
    vault.handle(ALICE, RotateKeys(audit=False))
    for log, number in zip(logs, old, strict=True):
        assert store.keyring.key(log.numbers().signing[-1])
        with pytest.raises(KeyErased):
            store.keyring.key(number)
    store.close()
    check_store(tmp_path / "store", clock)
