"""Backups: one blob holds all versions, comes back in the store that made it, and can be ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.life import Life, life_in
from support.vaults import ALICE, make_store
from vault.answers import SecretBundle
from vault.commands import (
    BackupSecret,
    DeleteSecret,
    GetSecret,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.service import Vault


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


def a_past(life: Life) -> str:
    """Four versions of `Db` over some days, the second disabled; give that one's id."""
    life.set("Db", "one", content_type="a/b", tags={"n": "1"}, nbf=1, exp=2)
    life.clock.advance(days=1)
    off = life.set("db", "", enabled=False, tags={"n": "2"}).version
    third = life.set("db", "three").version
    life.clock.advance(days=1)
    life(UpdateSecret(name="db", version=third, content_type="c/d", tags={"n": "3"}, exp=9))
    life.set("db", "f\N{LATIN SMALL LETTER O WITH DIAERESIS}ur")
    life.clock.advance(days=1)
    return off


def whole(vault: Vault, name: str) -> tuple[list[SecretBundle], str]:
    """All versions with the values that may be read, and the current one's id."""
    listed = vault.handle(ALICE, ListSecretVersions(name=name))
    found = [
        vault.handle(ALICE, GetSecret(name=name, version=item.version))
        if item.attributes.enabled
        else item
        for item in listed
    ]
    return found, vault.handle(ALICE, GetSecret(name=name)).version


# --- what comes back ----------------------------------------------------------------------------


def test_a_restored_secret_is_the_one_that_was_backed_up(life: Life) -> None:
    off = a_past(life)
    before = whole(life.vault, "db")
    backup = life(BackupSecret(name="DB"))
    assert (backup.name, backup.versions) == ("Db", 4)
    life.purge("db")
    life.clock.advance(days=5)
    answer = life(RestoreSecret(blob=backup.blob))
    assert (answer.name, answer.version, answer.value) == ("Db", before[1], None)
    assert whole(life.vault, "db") == before
    life(UpdateSecret(name="db", version=off, enabled=True))
    assert life.read("db", off) == ""


def test_a_blob_is_restored_in_another_vault_of_the_store(life: Life) -> None:
    a_past(life)
    blob = life(BackupSecret(name="db")).blob
    other = life.store.create_vault(ALICE, "other")
    other.handle(ALICE, RestoreSecret(blob=blob))
    assert whole(other, "db") == whole(life.vault, "db")
    life.purge("db")
    assert (
        other.handle(ALICE, GetSecret(name="db")).value
        == "f\N{LATIN SMALL LETTER O WITH DIAERESIS}ur"
    )


def test_a_blob_holds_what_stood_when_it_was_made(life: Life) -> None:
    life.set("db", "then", tags={"a": "then"})
    blob = life(BackupSecret(name="db")).blob
    life(UpdateSecret(name="db", tags={"a": "later"}))
    life.set("db", "later")
    life.purge("db")
    life(RestoreSecret(blob=blob))
    assert (life.read("db"), life(GetSecret(name="db")).tags) == ("then", {"a": "then"})
    assert len(life(ListSecretVersions(name="db"))) == 1


def test_a_set_after_a_restore_becomes_the_latest(life: Life) -> None:
    a_past(life)
    blob = life(BackupSecret(name="db")).blob
    life.purge("db")
    life(RestoreSecret(blob=blob))
    life.set("db", "five")
    assert life.read("db") == "five"
    assert len(life(ListSecretVersions(name="db"))) == 5


def test_a_restored_secret_can_be_backed_up_deleted_and_recovered(life: Life) -> None:
    life.set("db", "v")
    blob = life(BackupSecret(name="db")).blob
    life.purge("db")
    life(RestoreSecret(blob=blob))
    again = life(BackupSecret(name="db")).blob
    life.delete("db")
    life(RecoverDeletedSecret(name="db"))
    life.purge("db")
    life(RestoreSecret(blob=again))
    assert life.read("db") == "v"


def test_a_blob_can_be_restored_more_than_once(life: Life) -> None:
    life.set("db", "v")
    blob = life(BackupSecret(name="db")).blob
    for _ in range(3):
        life.purge("db")
        life(RestoreSecret(blob=blob))
        assert life.read("db") == "v"


# --- what is refused ----------------------------------------------------------------------------


def test_a_restore_needs_a_free_name(life: Life) -> None:
    life.set("Db", "v")
    blob = life(BackupSecret(name="db")).blob
    life.refuses("secret.exists", RestoreSecret(blob=blob))
    life.delete("db")
    life.refuses("secret.is-deleted", RestoreSecret(blob=blob))
    life(PurgeDeletedSecret(name="db"))
    life.set("DB", "other")
    life.refuses("secret.exists", RestoreSecret(blob=blob))
    assert life.read("db") == "other"


def test_a_blob_that_was_cut_or_lengthened_is_refused(life: Life) -> None:
    life.set("db", "v")
    blob = life(BackupSecret(name="db")).blob
    life.purge("db")
    for size in (*range(120), len(blob) // 2, len(blob) - 1):
        life.refuses("backup.invalid", RestoreSecret(blob=blob[:size]))
    life.refuses("backup.invalid", RestoreSecret(blob=blob + b"\0"))
    life.refuses("backup.invalid", RestoreSecret(blob=bytes(4728)))
    assert life(ListSecrets()) == []
    life(RestoreSecret(blob=blob))
    assert life.read("db") == "v"


def test_a_blob_with_any_byte_altered_is_refused(life: Life) -> None:
    life.set("db", "v")
    blob = life(BackupSecret(name="db")).blob
    life.purge("db")
    codes = set()
    for at in (*range(130), *range(130, len(blob), 17), len(blob) - 1):
        altered = bytearray(blob)
        altered[at] ^= 1
        with pytest.raises(Exception) as caught:  # noqa: PT011
            life(RestoreSecret(blob=bytes(altered)))
        codes.add(getattr(caught.value, "code", repr(caught.value)))
    assert codes <= {"backup.invalid", "backup.foreign", "backup.erased"}
    assert life(ListSecrets()) == []


def test_a_blob_of_another_store_is_refused(life: Life, tmp_path: Path) -> None:
    with make_store(tmp_path / "elsewhere") as store:
        foreign = store.create_vault(ALICE, "test-vault")
        foreign.handle(ALICE, SetSecret(name="db", value="v"))
        blob = foreign.handle(ALICE, BackupSecret(name="db")).blob
    life.refuses("backup.foreign", RestoreSecret(blob=blob))


def test_a_blob_names_no_secret_and_shows_no_value(life: Life) -> None:
    life.set("a-telling-name", "a telling value", tags={"telling": "tag"}, content_type="tell/ing")
    blob = life(BackupSecret(name="a-telling-name")).blob
    assert b"tell" not in blob


# --- after a purge ------------------------------------------------------------------------------


def test_a_purge_names_the_backups_that_could_still_bring_the_value_back(life: Life) -> None:
    life.set("db", "v")
    life.set("other", "w")
    blobs = [life(BackupSecret(name="db")).blob for _ in range(2)]
    life(BackupSecret(name="other"))
    life.delete("db")
    answer = life(PurgeDeletedSecret(name="db"))
    assert len(answer.open_backups) == 2
    for blob in blobs:
        life(RestoreSecret(blob=blob))
        assert life.read("db") == "v"
        life.purge("db")


def test_a_purge_with_its_backups_ends_them_and_no_others(life: Life) -> None:
    life.set("db", "v")
    life.set("other", "w")
    blobs = [life(BackupSecret(name="db")).blob for _ in range(2)]
    kept = life(BackupSecret(name="other")).blob
    life.delete("db")
    assert life(PurgeDeletedSecret(name="db", backups=True)).open_backups == ()
    for blob in blobs:
        life.refuses("backup.erased", RestoreSecret(blob=blob))
    life.purge("other")
    life(RestoreSecret(blob=kept))
    assert life.read("other") == "w"


def test_the_blob_that_a_secret_came_back_from_counts_among_its_backups(life: Life) -> None:
    life.set("db", "v")
    blob = life(BackupSecret(name="db")).blob
    life.purge("db")
    life(RestoreSecret(blob=blob))
    life.delete("db")
    assert len(life(PurgeDeletedSecret(name="db")).open_backups) == 1
    life(RestoreSecret(blob=blob))
    life.delete("db")
    assert life(PurgeDeletedSecret(name="db", backups=True)).open_backups == ()
    life.refuses("backup.erased", RestoreSecret(blob=blob))


def test_a_receipt_names_a_blob_that_another_vault_issued_and_leaves_it_to_that_vault(
    life: Life,
) -> None:
    other = life.store.create_vault(ALICE, "other-vault")
    life.set("db", "worth keeping")
    blob = life(BackupSecret(name="db")).blob
    other.handle(ALICE, RestoreSecret(blob=blob))
    other.handle(ALICE, DeleteSecret(name="db"))

    purged = other.handle(ALICE, PurgeDeletedSecret(name="db", backups=True))

    assert len(purged.open_backups) == 1
    other.handle(ALICE, RestoreSecret(blob=blob))
    assert other.handle(ALICE, GetSecret(name="db")).value == "worth keeping"


def test_a_later_purge_ends_the_blobs_of_an_earlier_lifetime(life: Life) -> None:
    life.set("db")
    blob = life(BackupSecret(name="db")).blob
    life.purge("db")
    life(RestoreSecret(blob=blob))

    life.purge("db", backups=True)

    life.refuses("backup.erased", RestoreSecret(blob=blob))
