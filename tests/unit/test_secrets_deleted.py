"""Soft delete: a deleted secret is kept, comes back whole, or is gone for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.events import KeysErased, SecretPurged
from support.life import Life, life_in
from support.vaults import START
from vault.commands import (
    BackupSecret,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ImportSecrets,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.rule_commands import ShowVault, UpdateVault

NOW = START // 1_000_000
DAY = 86_400


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


# --- delete and recover -------------------------------------------------------------------------


def test_a_deleted_secret_is_not_found_in_any_version_by_any_command(life: Life) -> None:
    old, new = life.set("db").version, life.set("db").version
    life.delete("db")
    for command in (
        GetSecret(name="db"),
        GetSecret(name="db", version=old),
        GetSecret(name="db", version=new),
        UpdateSecret(name="db", exp=1),
        UpdateSecret(name="db", version=old, exp=1),
        DeleteSecret(name="db"),
        BackupSecret(name="db"),
    ):
        life.refuses("secret.not-found", command)


def test_the_name_of_a_deleted_secret_is_held(life: Life) -> None:
    life.set("Db")
    blob = life(BackupSecret(name="db")).blob
    life.delete("db")
    life.refuses("secret.is-deleted", SetSecret(name="DB", value="v"))
    life.refuses("secret.is-deleted", ImportSecrets(items=(SetSecret(name="db", value="v"),)))
    life.refuses("secret.is-deleted", RestoreSecret(blob=blob))
    assert [item.name for item in life(ListDeletedSecrets())] == ["Db"]


def test_a_deletion_says_when_it_was_and_when_all_will_be_gone(life: Life) -> None:
    life.set("db")
    life.clock.advance(days=2)
    answer = life.delete("db")
    assert answer.deletion is not None
    assert answer.deletion.deleted_date == NOW + 2 * DAY
    assert answer.deletion.scheduled_purge_date == NOW + 92 * DAY
    assert life(GetDeletedSecret(name="db")) == answer


def test_an_active_secret_is_not_a_deleted_one(life: Life) -> None:
    life.set("db")
    for command in (
        GetDeletedSecret(name="db"),
        RecoverDeletedSecret(name="db"),
        PurgeDeletedSecret(name="db"),
    ):
        life.refuses("secret.deleted-not-found", command)
    assert life.read("db") == "a value"


def test_recover_brings_back_every_version_as_it_was(life: Life) -> None:
    life.set("Db", "1", content_type="a/b", tags={"n": "1"}, nbf=1, exp=2)
    off = life.set("db", "2", enabled=False).version
    life.clock.advance(days=1)
    life(UpdateSecret(name="db", version=off, tags={"n": "2"}))
    last = life.set("db", "3", tags={"n": "3"}).version
    before = life(ListSecretVersions(name="db"))
    values = {item.version: life.read("db", item.version) for item in before if item.version != off}
    life.delete("db")
    life.clock.advance(days=89)
    answer = life(RecoverDeletedSecret(name="DB"))
    assert (answer.name, answer.version, answer.deletion) == ("Db", last, None)
    assert life(ListSecretVersions(name="db")) == before
    assert {version: life.read("db", version) for version in values} == values
    assert life.read("db") == "3"
    life.refuses("secret.disabled", GetSecret(name="db", version=off))
    assert life(ListDeletedSecrets()) == []


def test_a_recovered_secret_can_be_set_updated_and_deleted_again(life: Life) -> None:
    life.set("db", "1")
    for value in ("2", "3"):
        life.delete("db")
        life(RecoverDeletedSecret(name="db"))
        life.set("db", value)
    assert life.read("db") == "3"
    assert len(life(ListSecretVersions(name="db"))) == 3


# --- purge --------------------------------------------------------------------------------------


def test_a_purged_secret_is_gone_and_its_name_is_free(life: Life) -> None:
    life.set("db", "old")
    life.delete("db")
    answer = life(PurgeDeletedSecret(name="DB"))
    assert (answer.name, answer.provider, answer.open_backups) == ("db", "file", ())
    assert answer.receipt > answer.position
    life.refuses("secret.deleted-not-found", RecoverDeletedSecret(name="db"))
    life.refuses("secret.deleted-not-found", PurgeDeletedSecret(name="db"))
    life.refuses("secret.not-found", GetSecret(name="db"))
    assert life(ListSecrets()) == life(ListDeletedSecrets()) == []
    assert life(ListSecretVersions(name="db")) == []
    life.set("db", "new")
    assert life.read("db") == "new"


def test_a_purge_of_one_secret_leaves_the_others_readable(life: Life) -> None:
    for name in ("a", "b", "c"):
        life.set(name, f"of {name}")
    life.purge("b")
    life.reopen()
    assert (life.read("a"), life.read("c")) == ("of a", "of c")


def test_a_purge_leaves_a_receipt_that_names_the_destroyed_key_and_how_well(life: Life) -> None:
    life.set("db")
    life.delete("db")
    answer = life(PurgeDeletedSecret(name="db"))
    entries = life.changes()
    purged, receipt = entries[answer.position], entries[answer.receipt]
    assert isinstance(purged.event, SecretPurged)
    assert isinstance(receipt.event, KeysErased)
    assert (receipt.event.keys, receipt.context.cause) == ((purged.event.key,), answer.position)
    assert receipt.event.assurance == answer.assurance != ""


# --- retention ----------------------------------------------------------------------------------


@pytest.mark.parametrize("protected", [False, True])
def test_a_deleted_secret_is_gone_by_itself_when_its_retention_is_over(
    tmp_path: Path, protected: bool
) -> None:
    with life_in(tmp_path / "store", retention_days=7, purge_protection=protected) as life:
        life.set("db", "old", tags={"a": "b"})
        life.set("other", "stays")
        life.delete("db")
        life.clock.advance(days=7, seconds=-1)
        assert life(GetDeletedSecret(name="db")).name == "db"
        life.clock.advance(seconds=1)
        assert life(ListDeletedSecrets()) == []
        life.refuses("secret.deleted-not-found", RecoverDeletedSecret(name="db"))
        life.set("db", "new")
        assert (life.read("db"), life.read("other")) == ("new", "stays")
        [purged] = [entry for entry in life.changes() if isinstance(entry.event, SecretPurged)]
        [receipt] = [entry for entry in life.changes() if isinstance(entry.event, KeysErased)]
        assert (purged.context.principal, purged.context.rule) == ("muniment", "retention")
        assert (receipt.event.keys, receipt.context.cause) == (
            (purged.event.key,),
            purged.position,
        )


def test_a_store_that_was_closed_over_the_end_of_a_retention_catches_up(tmp_path: Path) -> None:
    with life_in(tmp_path / "store", retention_days=7) as life:
        for name in ("a", "b"):
            life.set(name)
            life.delete(name)
            life.clock.advance(days=1)
        life.clock.advance(days=6)
        life.reopen()
        assert life(ListDeletedSecrets()) == []
        purged = [entry.event.name for entry in life.changes() if type(entry.event) is SecretPurged]
        assert purged == ["a", "b"]


def test_only_what_is_due_is_purged(tmp_path: Path) -> None:
    with life_in(tmp_path / "store", retention_days=7) as life:
        for name in ("a", "b", "c"):
            life.set(name)
            life.delete(name)
            life.clock.advance(days=3)
        assert [item.name for item in life(ListDeletedSecrets())] == ["b", "c"]


def test_recovering_stops_the_purge_that_was_scheduled(tmp_path: Path) -> None:
    with life_in(tmp_path / "store", retention_days=7) as life:
        life.set("db", "v")
        life.delete("db")
        life.clock.advance(days=6)
        life(RecoverDeletedSecret(name="db"))
        life.clock.advance(days=6)
        assert life.read("db") == "v"
        life.delete("db")
        life.clock.advance(days=6)
        assert life(GetDeletedSecret(name="db")).name == "db"
        life.clock.advance(days=1)
        assert life(ListDeletedSecrets()) == []


def test_the_end_of_a_retention_leaves_backups_open_and_says_so(tmp_path: Path) -> None:
    with life_in(tmp_path / "store", retention_days=7) as life:
        life.set("db", "v")
        blob = life(BackupSecret(name="db")).blob
        life.delete("db")
        life.clock.advance(days=7)
        assert life(ListDeletedSecrets()) == []
        [receipt] = [entry.event for entry in life.changes() if type(entry.event) is KeysErased]
        assert len(receipt.open_backups) == 1
        life(RestoreSecret(blob=blob))
        assert life.read("db") == "v"


# --- purge protection ---------------------------------------------------------------------------


def test_purge_protection_refuses_a_purge_and_nothing_is_lost(tmp_path: Path) -> None:
    with life_in(tmp_path / "store", purge_protection=True) as life:
        life.set("db", "v")
        life.delete("db")
        life.refuses("secret.purge-protected", PurgeDeletedSecret(name="db"))
        life.refuses("secret.purge-protected", PurgeDeletedSecret(name="db", backups=True))
        life(RecoverDeletedSecret(name="db"))
        assert life.read("db") == "v"


def test_purge_protection_is_one_way(life: Life) -> None:
    assert life(UpdateVault(purge_protection=False)).purge_protection is False
    assert life(UpdateVault(purge_protection=True)).purge_protection is True
    life.refuses("vault.purge-protection-one-way", UpdateVault(purge_protection=False))
    assert life(UpdateVault(purge_protection=True)).purge_protection is True
    life.reopen()
    assert life(ShowVault()).purge_protection is True


def test_purge_protection_also_holds_what_was_deleted_before_it(life: Life) -> None:
    life.set("db")
    life.delete("db")
    life(UpdateVault(purge_protection=True))
    life.refuses("secret.purge-protected", PurgeDeletedSecret(name="db"))


@pytest.mark.parametrize(
    ("days", "protected", "level"),
    [
        (90, False, "Recoverable+Purgeable"),
        (90, True, "Recoverable"),
        (89, False, "CustomizedRecoverable+Purgeable"),
        (89, True, "CustomizedRecoverable"),
        (7, False, "CustomizedRecoverable+Purgeable"),
        (7, True, "CustomizedRecoverable"),
    ],
)
def test_every_answer_says_how_recoverable_a_secret_is(
    tmp_path: Path, days: int, protected: bool, level: str
) -> None:
    options = {"retention_days": days, "purge_protection": protected}
    with life_in(tmp_path / "store", **options) as life:
        answers = [
            life.set("db"),
            life(GetSecret(name="db")),
            life(UpdateSecret(name="db", exp=1)),
            *life(ListSecrets()),
            *life(ListSecretVersions(name="db")),
            deleted := life.delete("db"),
            life(GetDeletedSecret(name="db")),
            *life(ListDeletedSecrets()),
            life(RecoverDeletedSecret(name="db")),
        ]
        shown = {
            (answer.attributes.recovery_level, answer.attributes.recoverable_days)
            for answer in answers
        }
        assert shown == {(level, days)}
        assert deleted.deletion is not None
        assert deleted.deletion.scheduled_purge_date == NOW + days * DAY


def test_turning_purge_protection_on_changes_the_recovery_level_at_once(life: Life) -> None:
    life.set("db")
    life(UpdateVault(purge_protection=True))
    assert life(GetSecret(name="db")).attributes.recovery_level == "Recoverable"
