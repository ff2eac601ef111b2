"""Opening a store: an old copy that was put back is refused, a beginning that was cut is ended."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from eventstore.errors import (
    KeyringExists,
    LogMisplaced,
    LogTruncated,
    OutcomeUnknown,
    RecordAltered,
)
from support.life import Life
from support.vaults import ALICE, Clock, check_store, make_store, open_store
from vault.commands import GetSecret
from vault.store import Store


def test_a_log_older_than_its_own_checkpoint_is_refused_and_nothing_is_signed(
    tmp_path: Path,
) -> None:
    life = Life(tmp_path / "store")
    life.set("db", "one")
    life.store.close()
    changes = life.vault.changes.path
    old = (changes / "data.mdb").read_bytes()
    life.reopen()
    life.set("db", "two")
    life.store.close()
    new, signed = (changes / "data.mdb").read_bytes(), (changes / "checkpoint").read_bytes()

    (changes / "data.mdb").write_bytes(old)
    with pytest.raises(LogTruncated), open_store(tmp_path / "store", life.clock) as store:
        store.vault()

    assert (changes / "checkpoint").read_bytes() == signed
    (changes / "data.mdb").write_bytes(new)
    check_store(tmp_path / "store", life.clock)


@pytest.fixture
def life(tmp_path: Path) -> Life:
    life = Life(tmp_path / "store")
    life.set("db", "one")
    return life


def another_history(life: Life, other: str) -> bytes:
    """The bytes of a log that is not the one that is open: *older* than it, *forked*, or *another*."""
    file = life.vault.changes.path / "data.mdb"
    old = file.read_bytes()
    if other == "forked":
        kept = life.home.with_name("kept")
        life.store.close()
        shutil.copytree(life.home, kept)
        life.reopen()
        for number in range(5):
            life.set("db", str(number))
        life.store.close()
        old = file.read_bytes()
        shutil.rmtree(life.home)
        kept.rename(life.home)
        life.reopen()
    if other == "another":
        elsewhere = Life(life.home.with_name("elsewhere"))
        for number in range(5):
            elsewhere.set("db", str(number))
        elsewhere.store.close()
        old = (elsewhere.vault.changes.path / "data.mdb").read_bytes()
    return old


@pytest.mark.parametrize("other", ["older", "forked", "another"])
def test_a_log_that_was_exchanged_under_a_running_service_is_refused_when_it_is_opened_anew(
    life: Life, other: str
) -> None:
    old, file = another_history(life, other), life.vault.changes.path / "data.mdb"
    life.set("db", "two")
    life.set("db", "three")
    signed = (file.parent / "checkpoint").read_bytes()

    life.vault.changes._detach()  # as after a commit that failed
    new = file.read_bytes()
    file.write_bytes(old)
    for _ in range(2):
        with pytest.raises(LogTruncated if other == "older" else LogMisplaced):
            life.set("db", "four")
    assert (file.parent / "checkpoint").read_bytes() == signed

    file.write_bytes(new)
    life.set("db", "four")
    life.store.close()
    check_store(life.home, life.clock)


@pytest.mark.parametrize("few", [256, 0], ids=["by its records", "by its tree"])
@pytest.mark.parametrize("other", ["older", "forked"])
def test_a_log_that_was_put_back_in_its_place_while_it_was_open_is_not_gone_on_with(
    life: Life, other: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventstore.transaction._FEW", few)
    old, file = another_history(life, other), life.vault.changes.path / "data.mdb"
    life.set("db", "two")
    life.set("db", "three")
    signed = (file.parent / "checkpoint").read_bytes()

    new = file.read_bytes()
    file.write_bytes(old)  # what is mapped of it is that, too
    refusal = LogTruncated if other == "older" else LogMisplaced
    for ask in (partial(life.set, "db", "four"), life.vault.changes.checkpoint):
        with pytest.raises(refusal):
            ask()
    if other == "older":
        with pytest.raises(refusal):
            life.read("db")
    assert (file.parent / "checkpoint").read_bytes() == signed

    file.write_bytes(new)
    life.set("db", "four")
    life.store.close()
    check_store(life.home, life.clock)


def test_a_file_that_was_cut_short_is_refused_before_it_is_mapped(life: Life) -> None:
    life.store.close()
    file = life.vault.changes.path / "data.mdb"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 4])  # a look behind the end of a file ends the process
    with pytest.raises(RecordAltered, match="cut short"), open_store(life.home) as store:
        store.vault()

    file.write_bytes(whole)
    check_store(life.home, life.clock)


def test_a_checkpoint_that_nobody_with_keys_signed_does_not_lock_the_store(tmp_path: Path) -> None:
    life = Life(tmp_path / "store")
    life.set("db", "one")
    life.store.close()
    file = life.vault.changes.path / "checkpoint"
    origin, size, root, *rest = file.read_text().split("\n")
    file.write_text("\n".join([origin, str(int(size) + 5), root, *rest]))
    life.reopen()
    assert life.vault.handle(ALICE, GetSecret(name="db")).value == "one"
    life.store.close()
    check_store(tmp_path / "store", life.clock)


def test_a_store_whose_making_was_cut_short_is_made_by_asking_again(tmp_path: Path) -> None:
    Store.create(tmp_path / "store", clock=Clock()).close()
    (tmp_path / "store" / "store.json").unlink()
    with Store.create(tmp_path / "store", clock=Clock()) as store:
        store.create_vault(ALICE, "test-vault")
    check_store(tmp_path / "store")


def test_a_keyring_that_is_in_use_is_never_begun_anew(tmp_path: Path) -> None:
    life = Life(tmp_path / "store")
    life.store.close()
    kept = tmp_path / "store.json"
    shutil.move(tmp_path / "store" / "store.json", kept)
    with pytest.raises(KeyringExists):
        Store.create(tmp_path / "store", clock=Clock())
    shutil.move(kept, tmp_path / "store" / "store.json")
    check_store(tmp_path / "store", life.clock)


def test_a_vault_that_was_not_made_to_the_end_is_not_left_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(place: Path, _: bytes) -> None:
        raise OutcomeUnknown(f"{place}: No space left on device")

    with make_store(tmp_path / "store") as store:
        monkeypatch.setattr("vault.store.write_durably", fail)
        # Whoever keeps the exception keeps all that its frames hold.
        with pytest.raises(OutcomeUnknown) as kept:
            store.create_vault(ALICE, "a-vault")
        monkeypatch.undo()
        (folder,) = (tmp_path / "store" / "vaults").iterdir()
        (folder / "made").touch()  # it stands after all
        assert store.named("a-vault").name == "a-vault"
        assert kept.value.code == "log.outcome-unknown"
    check_store(tmp_path / "store")
