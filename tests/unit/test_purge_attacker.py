"""A purge is a purge: whoever has every byte that ever stood in the store opens nothing of it.

With a copy of every byte of every directory taken after each step, and the current root key, an
attacker opens everything that was not purged and nothing that was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from eventstore.keyring import Keyring
from eventstore.keytree import FANOUT
from eventstore.rootkey import SLOTS, FileRootKey
from eventstore.storage import open_environment
from projections.rows import Table
from support.attacker import PAGE, Opened, StoreAttacker
from support.vaults import ALICE, Clock, check, check_store, make_vault, open_store, verify_store
from vault.commands import (
    BackupSecret,
    DeleteSecret,
    GetSecret,
    ListDeletedSecrets,
    ListSecrets,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.history_commands import RotateKeys
from vault.rule_commands import DeleteVault, PurgeVault
from vault.service import Vault
from vault.store import Store

PASSPHRASE = b"correct horse"


def root_key(home: Path) -> bytes:
    keeper = FileRootKey(home.with_name("store.key"))
    return next(key for slot in SLOTS if (key := keeper.read(slot)) is not None)


class Marks(NamedTuple):
    """What may be found out about one secret: markers of all values, content types and tags."""

    open: list[str]
    gone: list[str]


class Siege:
    """Two vaults that live on while an attacker takes a copy of everything after each step."""

    def __init__(self, place: Path, provider: str) -> None:
        self.home = place / "store"
        self.clock = Clock()
        self.provider = provider
        self.store = Store.create(
            self.home, provider=provider, passphrase=lambda: PASSPHRASE, clock=self.clock
        )
        self.vault = self.store.create_vault(ALICE, "first", retention_days=7)
        self.other = self.store.create_vault(ALICE, "second")
        self.attacker = StoreAttacker(self.store.store_id, place)
        self.marks = Marks([], [])
        self._of: dict[tuple[Vault, str], list[str]] = {}
        self._count = 0

    def open(self) -> Store:
        return Store.open(self.home, passphrase=lambda: PASSPHRASE, clock=self.clock)

    def copy(self) -> None:
        self.attacker.copies_store(self.home)
        if self.provider == "passphrase":
            self.attacker.copies_slots(self.home.with_name("store.key"))

    def _mark(self, vault: Vault, name: str, what: str) -> str:
        self._count += 1
        marker = f"{what}-{self._count:03}-of-{name}-xyzzy"
        self._of.setdefault((vault, name), []).append(marker)
        return marker

    def set(self, name: str, vault: Vault | None = None, size: int = 0) -> None:
        vault = vault or self.vault
        vault.handle(
            ALICE,
            SetSecret(
                name=name,
                value=self._mark(vault, name, "value") + "." * size,
                content_type=self._mark(vault, name, "type"),
                tags={self._mark(vault, name, "tag"): self._mark(vault, name, "tag")},
            ),
        )
        self.copy()

    def update(self, name: str) -> None:
        tags = {self._mark(self.vault, name, "tag"): self._mark(self.vault, name, "tag")}
        kind = self._mark(self.vault, name, "type")
        self.vault.handle(ALICE, UpdateSecret(name=name, content_type=kind, tags=tags))
        self.copy()

    def delete(self, name: str) -> None:
        self.vault.handle(ALICE, DeleteSecret(name=name))
        self.copy()

    def recover(self, name: str) -> None:
        self.vault.handle(ALICE, RecoverDeletedSecret(name=name))
        self.copy()

    def purge(self, name: str, *, backups: bool = False) -> None:
        self.vault.handle(ALICE, PurgeDeletedSecret(name=name, backups=backups))
        self._are_gone(name)

    def back_up(self, name: str) -> bytes:
        blob = self.vault.handle(ALICE, BackupSecret(name=name)).blob
        self.attacker.gets_blob(blob)
        self.copy()
        return blob

    def restore(self, name: str, blob: bytes, vault: Vault) -> None:
        vault.handle(ALICE, RestoreSecret(blob=blob))
        self._of[vault, name] = list(self._of[self.vault, name])
        self.copy()

    def purge_other(self) -> None:
        """End the second vault, with all that is in it."""
        self.other.handle(ALICE, DeleteVault())
        self.copy()
        self.other.handle(ALICE, PurgeVault())
        for vault, name in [place for place in self._of if place[0] is self.other]:
            self.marks.gone.extend(self._of.pop((vault, name)))
        self.copy()

    def wait(self, days: int, gone: tuple[str, ...]) -> None:
        """Let time pass, by which *gone* end."""
        self.clock.advance(days=days)
        self.vault.handle(ALICE, ListDeletedSecrets())
        for name in gone:
            self._are_gone(name)

    def read_all(self) -> None:
        for vault in (self.vault, self.other):
            for item in vault.handle(ALICE, ListSecrets()):
                vault.handle(ALICE, GetSecret(name=item.name))
        self.copy()

    def rotate(self) -> None:
        self.vault.handle(ALICE, RotateKeys())
        self.copy()
        self.store.rotate_root_key(ALICE)
        self.copy()

    def rebuild(self) -> None:
        self.vault.rebuild()
        self.copy()

    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()
        self.vault, self.other = self.store.vault("first"), self.store.vault("second")
        moved = {"first": self.vault, "second": self.other}
        self._of = {(moved[vault.name], name): of for (vault, name), of in self._of.items()}
        self.copy()

    def _are_gone(self, name: str) -> None:
        self.marks.gone.extend(self._of.pop((self.vault, name)))
        self.copy()

    def root_key(self) -> bytes:
        """The current one: of two slots, one is empty."""
        [key] = [key for slot in SLOTS if (key := self.store._root.read(slot))]
        return key

    def opened(self) -> Opened:
        for of in self._of.values():
            self.marks.open.extend(of)
        return self.attacker.opens(self.root_key())


@pytest.fixture(params=["file", "passphrase"])
def siege(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Siege]:
    siege = Siege(tmp_path, request.param)
    yield siege
    siege.store.close()
    with siege.open() as store:
        for vault in store.vaults():
            check(vault)
    # The attacker's copies are whole stores as well: a purge rewrote nothing.
    for home in (siege.home, *siege.attacker.copies):
        assert len(verify_store(home)) == 4


def test_with_every_byte_ever_written_and_the_root_key_nothing_purged_opens(siege: Siege) -> None:
    # given a life with everything in it that touches a secret
    for name in ("kept", "purged", "expired", "recovered", "restored", "ended"):
        siege.set(name)
    siege.set("purged", size=9_000)
    siege.set("kept", size=20_000)
    siege.set("kept", siege.other)
    siege.update("purged")
    siege.update("kept")
    siege.read_all()
    ended = siege.back_up("ended")
    siege.restore("ended", ended, siege.other)
    siege.delete("recovered")
    siege.recover("recovered")
    siege.rebuild()
    siege.delete("purged")
    siege.rotate()
    siege.purge("purged")
    siege.set("purged")
    siege.rebuild()
    siege.reopen()
    siege.delete("ended")
    siege.purge("ended", backups=True)
    siege.delete("expired")
    siege.wait(7, ("expired",))
    siege.rotate()
    siege.update("recovered")
    siege.rebuild()
    # when the attacker opens what it can
    opened = siege.opened()
    # then it is everything that was not purged, and nothing that was
    shared = set(siege.marks.open) & set(siege.marks.gone)
    assert len(shared) == 4, "what was restored elsewhere lives on there"
    assert [mark for mark in siege.marks.open if not opened.hold(mark)] == []
    assert [mark for mark in siege.marks.gone if opened.hold(mark) and mark not in shared] == []
    assert len(siege.marks.open) > 30
    assert len(siege.marks.gone) > 15
    assert len(opened.views) > 50
    assert opened.blobs == set()


def test_no_view_and_no_metadata_of_any_time_holds_what_a_purge_must_destroy(siege: Siege) -> None:
    for name in ("a", "b"):
        siege.set(name)
        siege.update(name)
    siege.back_up("a")
    siege.delete("b")
    siege.rebuild()
    siege.read_all()
    opened = siege.opened()
    assert opened.views.keys() == siege.attacker.rows
    texts = opened.metadata | set(opened.views.values())
    assert not [m for m in siege.marks.open for text in texts if m.encode() in text]
    # and the attacker does see what an auditor may see
    assert any(b"secret.updated" in text and b"alice@example.com" in text for text in texts)


def test_a_backup_that_a_purge_left_open_is_the_one_way_back(siege: Siege) -> None:
    siege.set("db")
    siege.back_up("db")
    siege.delete("db")
    siege.purge("db")
    opened = siege.opened()
    assert len(opened.blobs) == 1
    assert not [m for m in siege.marks.gone for text in opened.contents if m.encode() in text]


def test_a_copy_of_the_key_tree_at_each_of_its_commits_does_not_help(
    siege: Siege, monkeypatch: pytest.MonkeyPatch
) -> None:
    end: Callable[..., None] = Keyring._end

    def copied(ring: Keyring, transaction: object) -> None:
        siege.copy()
        end(ring, transaction)
        siege.copy()

    siege.set("db")
    siege.delete("db")
    monkeypatch.setattr(Keyring, "_end", copied)
    siege.purge("db")
    siege.rotate()
    siege.set("kept")
    opened = siege.opened()
    assert not [mark for mark in siege.marks.gone if opened.hold(mark)]
    assert all(opened.hold(mark) for mark in siege.marks.open)


def test_before_the_purge_the_same_attacker_opens_what_is_purged_later(siege: Siege) -> None:
    siege.set("db")
    siege.delete("db")
    before = siege.attacker.opens(old_root := siege.root_key())
    siege.purge("db")
    assert all(before.hold(mark) for mark in siege.marks.gone)
    assert siege.root_key() != old_root
    # It is the root key's destruction that ends it: with the old one everything still opens.
    assert all(siege.attacker.opens(old_root).hold(mark) for mark in siege.marks.gone)
    assert not any(siege.opened().hold(mark) for mark in siege.marks.gone)


def test_the_purge_of_a_vault_closes_all_that_ever_was_in_it(siege: Siege) -> None:
    for name in ("kept", "db", "deleted", "expired"):
        siege.set(name, siege.other)
    siege.set("kept")
    siege.set("db", siege.other, size=9_000)
    for secret in ("deleted", "db"):
        siege.attacker.gets_blob(siege.other.handle(ALICE, BackupSecret(name=secret)).blob)
    siege.other.handle(ALICE, DeleteSecret(name="deleted"))
    siege.other.rebuild()
    siege.read_all()
    siege.store.rotate_root_key(ALICE)
    siege.set("late", siege.other)
    before = siege.attacker.opens(siege.root_key())
    siege.purge_other()
    opened = siege.opened()
    assert all(before.hold(mark) for mark in siege.marks.gone)
    assert [mark for mark in siege.marks.gone if opened.hold(mark)] == []
    assert [mark for mark in siege.marks.open if not opened.hold(mark)] == []
    assert len(siege.marks.gone) > 15
    assert opened.blobs == set()
    # and what an auditor may see stays
    assert any(b"vault.purged" in text for text in opened.metadata)


def a_block_used_up(home: Path, clock: Clock) -> tuple[Store, Vault]:
    """A vault whose next key is of a new block."""
    store, vault = make_vault(home, clock)
    key = 0
    while key % FANOUT != FANOUT - 1:
        vault.handle(ALICE, SetSecret(name=f"s{key}", value="a value"))
        key = vault.changes.read(vault.changes.head().size - 1).content_key or 0
    return store, vault


@pytest.mark.parametrize("by", ["its own purge", "that of its vault"])
def test_a_set_that_was_cut_off_with_a_new_block_of_keys_is_closed_by_the_purge(
    tmp_path: Path, by: str
) -> None:
    """Its pages are on the disk and the page that says so is not: as when the power goes."""
    home, clock = tmp_path / "store", Clock()
    store, vault = a_block_used_up(home, clock)
    file = vault.changes.path / "data.mdb"
    store.close()
    before = file.read_bytes()
    with open_store(home, clock) as store:
        store.vault().handle(ALICE, SetSecret(name="db", value="a-value-cut-off"))
    file.write_bytes(before[: 2 * PAGE] + file.read_bytes()[2 * PAGE :])
    (file.parent / "checkpoint").unlink()
    attacker = StoreAttacker(store.store_id, tmp_path)
    attacker.copies_store(home)
    assert attacker.opens(root_key(home)).hold("a-value-cut-off")

    with open_store(home, clock) as store:
        vault = store.vault()
        if by == "its own purge":
            vault.handle(ALICE, SetSecret(name="db", value="a-value-cut-off"))
            vault.handle(ALICE, DeleteSecret(name="db"))
            vault.handle(ALICE, PurgeDeletedSecret(name="db"))
            vault.handle(ALICE, SetSecret(name="db", value="another"))
        else:
            vault.handle(ALICE, DeleteVault())
            vault.handle(ALICE, PurgeVault())
        check(vault)
    attacker.copies_store(home)
    opened = attacker.opens(root_key(home))
    assert opened.metadata
    assert not opened.hold("a-value-cut-off")
    assert opened.hold("another") is (by == "its own purge")
    verify_store(home)


def test_keys_that_are_in_use_are_not_taken_for_lost_ones_by_a_row_that_was_put_back(
    tmp_path: Path,
) -> None:
    home, clock = tmp_path / "store", Clock()
    store, vault = a_block_used_up(home, clock)
    store.close()
    old = row_of_keys(vault)
    with open_store(home, clock) as store:
        store.vault().handle(ALICE, SetSecret(name="db", value="of the next block"))
    row_of_keys(vault, old)

    with open_store(home, clock) as store:
        store.vault().handle(ALICE, SetSecret(name="api", value="another"))
        assert store.vault().handle(ALICE, GetSecret(name="db")).value == "of the next block"
    check_store(home, clock)


def row_of_keys(vault: Vault, put_back: tuple[bytes, bytes] | None = None) -> tuple[bytes, bytes]:
    """Where the view of a closed *vault* says which key is next, and that row as it lies there."""
    environment = open_environment(vault.changes.path, create=False)
    table = environment.open_db(b"views.0", create=False)
    with environment.begin(write=True) as transaction:
        if put_back is not None:
            transaction.put(*put_back, db=table)
        rows = [(bytes(place), bytes(sealed)) for place, sealed in transaction.cursor(db=table)]
    environment.close()
    return next(row for row in rows if row[0][16] == Table.KEYS)
