"""A commit that failed, or that said so: what stands, what is answered, and what may be signed.

strace cannot make a write fail that took place all the same, and a real disk can.  Here the log's
environment is one whose commits do as they are told.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb
import pytest

from crash.carving import notes_in, signed_by, sizes_with_two_roots
from eventstore.errors import LogUnavailable, OutcomeUnknown
from eventstore.storage import open_environment
from support.vaults import ALICE, Clock, check_store, make_vault, open_store
from vault.commands import GetSecret, ListSecrets, SetSecret
from vault.configuration import default_root_directory
from vault.refusals import SecretNotFound
from vault.service import Vault
from vault.store import Store

STANDS = "the commit takes place, and an error is told"
FAILS = "the commit does not take place"
KEPT = SetSecret(name="kept", value="kept-value")
FRESH = SetSecret(name="fresh", value="fresh-value")


class Disk:
    """What the next commits do; after them all is well."""

    def __init__(self) -> None:
        self.next: list[str] = []
        self.opens = True
        self.opens_access = True

    def open(self, path: Path, **options: Any) -> Any:
        if not self.opens or (path.name == "access" and not self.opens_access):
            raise LogUnavailable("injected")
        return Environment(open_environment(path, **options), self)


class Environment:
    """An LMDB environment on a `Disk`."""

    def __init__(self, real: lmdb.Environment, disk: Disk) -> None:
        self._real = real
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def begin(self, write: bool = False) -> Any:
        begun = self._real.begin(write=write)
        return Transaction(begun, self._disk) if write else begun


class Transaction:
    """A write transaction on a `Disk`."""

    def __init__(self, real: lmdb.Transaction[bytes], disk: Disk) -> None:
        self._real = real
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def commit(self) -> None:
        what = self._disk.next.pop(0) if self._disk.next else ""
        if what == FAILS:
            self._real.abort()
        else:
            self._real.commit()
        if what:
            raise lmdb.DiskError("injected")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def store(
    tmp_path: Path, disk: Disk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    made, vault = make_vault(tmp_path / "store", clock)
    with made:
        vault.handle(ALICE, KEPT)
    monkeypatch.setattr("eventstore.open_log.open_environment", disk.open)
    made = open_store(tmp_path / "store", clock)
    vault = made.vault()
    yield made
    notes = notes_in(tmp_path)
    vault.handle(ALICE, SetSecret(name="later", value="later-value"))
    assert vault.handle(ALICE, GetSecret(name="later")).value == "later-value"
    assert sizes_with_two_roots(signed_by(made, [*notes, *notes_in(tmp_path)])) == []
    made.close()
    check_store(tmp_path / "store", clock)


@pytest.fixture
def vault(store: Store) -> Vault:
    return store.vault()


def published(vault: Vault) -> str:
    return (vault.changes.path / "checkpoint").read_text()


def test_a_commit_that_stands_after_an_error_is_committed_again_and_answered(
    vault: Vault, disk: Disk
) -> None:
    disk.next = [STANDS]
    vault.handle(ALICE, FRESH)
    assert vault.handle(ALICE, GetSecret(name="fresh")).value == "fresh-value"
    assert published(vault) == vault.changes.checkpoint()


@pytest.mark.parametrize("second", [FAILS, STANDS])
def test_a_commit_that_may_stand_in_memory_only_is_neither_answered_nor_signed(
    vault: Vault, disk: Disk, second: str
) -> None:
    before = published(vault)
    disk.next = [STANDS, second]
    with pytest.raises(OutcomeUnknown):
        vault.handle(ALICE, FRESH)
    assert published(vault) == before
    disk.next = [FAILS]
    with pytest.raises(LogUnavailable):
        vault.changes.checkpoint()
    # The disk is mended.
    assert vault.changes.checkpoint() == published(vault) != before
    assert vault.handle(ALICE, GetSecret(name="fresh")).value == "fresh-value"


def test_a_commit_that_does_not_stand_is_said_not_to(vault: Vault, disk: Disk) -> None:
    before = published(vault)
    disk.next = [FAILS]
    with pytest.raises(LogUnavailable):
        vault.handle(ALICE, FRESH)
    with pytest.raises(SecretNotFound):
        vault.handle(ALICE, GetSecret(name="fresh"))
    assert published(vault) == before == vault.changes.checkpoint()


def test_a_log_that_could_not_be_reopened_is_reopened_by_whoever_comes_next(
    vault: Vault, disk: Disk
) -> None:
    disk.next, disk.opens = [STANDS], False
    with pytest.raises(OutcomeUnknown):
        vault.handle(ALICE, FRESH)
    with pytest.raises(LogUnavailable):
        vault.handle(ALICE, GetSecret(name="kept"))
    disk.opens = True
    assert vault.handle(ALICE, GetSecret(name="kept")).value == "kept-value"
    assert vault.handle(ALICE, GetSecret(name="fresh")).value == "fresh-value"


def test_a_commit_that_fails_while_others_read_hurts_none_of_them(vault: Vault, disk: Disk) -> None:
    done = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not done.is_set():
            with vault.changes.snapshot() as snapshot:
                places = [entry.position for entry in snapshot.entries()]
                if places != [*range(snapshot.size)] or vault.changes.head().size < len(places):
                    wrong.append(places)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for what in (FAILS, STANDS) * 10:
            disk.next = [what]
            try:
                vault.handle(ALICE, FRESH)
            except LogUnavailable:
                assert what == FAILS
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert wrong == []


def test_a_vault_that_could_not_be_opened_is_opened_when_the_disk_is_mended(
    store: Store, disk: Disk, tmp_path: Path, clock: Clock
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store.home, copy / "store")
    shutil.copytree(default_root_directory(store.home), copy / "store.key")
    with open_store(copy / "store", clock) as again:
        disk.opens_access = False
        with pytest.raises(LogUnavailable):
            again.vault()
        disk.opens_access = True
        assert again.vault().handle(ALICE, GetSecret(name="kept")).value == "kept-value"
    shutil.rmtree(copy)


def many(count: int, work: Callable[[int], object]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_who_waits_behind_more_than_one_batch_is_answered_after_the_commit(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventstore.group_commit.MAX_BATCH", 2)
    answered = []

    def ask(number: int) -> None:
        answered.append(vault.handle(ALICE, SetSecret(name=f"s{number}", value="v")))

    many(40, ask)
    assert None not in answered
    listed = {one.name for one in vault.handle(ALICE, ListSecrets())}
    assert listed >= {f"s{number}" for number in range(40)}


def test_a_work_sees_its_own_writes_whoever_reads_meanwhile(vault: Vault) -> None:
    """In the midst of each write another thread reads, as the server's threads do."""

    def read() -> None:
        vault.handle(ALICE, GetSecret(name="kept"))

    entropy = vault._entropy

    def read_elsewhere(size: int) -> bytes:
        many(1, lambda _: read())
        return entropy(size)

    vault._entropy = read_elsewhere
    assert vault.handle(ALICE, FRESH).value == "fresh-value"
    assert vault.handle(ALICE, GetSecret(name="fresh")).value == "fresh-value"


def test_views_that_are_rebuilt_while_others_write_miss_nothing(vault: Vault) -> None:
    def work(number: int) -> None:
        for round in range(15):
            if number == 0:
                rebuilt = vault.rebuild()
                assert rebuilt.before == rebuilt.after
            else:
                vault.handle(ALICE, SetSecret(name=f"s{number}-{round}", value="v"))

    many(5, work)
    assert len(vault.handle(ALICE, ListSecrets())) == 1 + 4 * 15
