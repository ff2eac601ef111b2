"""The end of a vault, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import KeyErased, LogUnavailable, MunimentError
from eventstore.events import KeysErased, SecretBackedUp
from eventstore.keyring import Keyring
from eventstore.record import Entry
from eventstore.rule_events import VaultPurged
from support.other_process import OtherProcess, Refused
from support.vaults import ALICE, MALLORY, Clock, check_store, make_store, open_store
from vault.caller import Caller
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    GetSecret,
    ListSecrets,
    RestoreSecret,
    SetSecret,
)
from vault.history_commands import CopyVault, Exposed, ReadHistory, RotateKeys, WhoCould, WhoRead
from vault.points import Now
from vault.refusals import (
    DeletedVaultNotFound,
    ErasurePending,
    VaultExists,
    VaultIsDeleted,
    VaultNotChosen,
    VaultNotFound,
)
from vault.rule_commands import (
    DeleteVault,
    ListPolicies,
    PurgeVault,
    RecoverVault,
    SetPolicy,
    ShowVault,
    UpdateVault,
)
from vault.service import Vault
from vault.store import Store

DATA_PLANE: list[Command[Any]] = [
    GetSecret(name="db"),
    SetSecret(name="db", value="new"),
    ListSecrets(),
    DeleteSecret(name="db"),
]
RULES: list[Command[Any]] = [UpdateVault(purge_protection=True), CopyVault(as_of=1), DeleteVault()]
STILL_TOLD: list[Command[Any]] = [
    ShowVault(),
    ListPolicies(),
    ReadHistory(),
    WhoRead(name="db"),
    RotateKeys(),
]


class Town:
    """A store with two vaults, of which `old` is to go."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = Clock()
        self.store = make_store(home, self.clock)
        self.old = self.store.create_vault(ALICE, "old", retention_days=7)
        self.kept = self.store.create_vault(ALICE, "kept")
        for vault in (self.old, self.kept):
            vault.handle(ALICE, SetSecret(name="db", value=f"value of {vault.name}"))

    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.home, self.clock)

    def delete(self) -> None:
        self.old.handle(ALICE, DeleteVault())

    def purge(self) -> Any:
        return self.old.handle(ALICE, PurgeVault())

    def refuses(self, command: Command[Any], caller: Caller = ALICE) -> str:
        with pytest.raises(MunimentError) as caught:
            self.old.handle(caller, command)
        return caught.value.code

    def entries(self, vault: Vault | None = None) -> list[Entry[Any]]:
        with (vault or self.old).changes.snapshot() as snapshot:
            return list(snapshot.entries())


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path / "store")
    yield town
    town.store.close()
    check_store(town.home, town.clock)


# --- deleted --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [*DATA_PLANE, *RULES], ids=lambda one: type(one).__name__)
def test_a_deleted_vault_does_nothing_and_gives_nothing(town: Town, command: Command[Any]) -> None:
    town.delete()
    before = len(town.entries())
    assert town.refuses(command) == "vault.is-deleted"
    assert len(town.entries()) == before
    with town.old.access.snapshot() as snapshot:
        assert list(snapshot.entries())[-1].context.outcome == "vault.is-deleted"


@pytest.mark.parametrize("command", STILL_TOLD, ids=lambda one: type(one).__name__)
def test_its_history_is_still_told_and_its_keys_still_rotate(
    town: Town, command: Command[Any]
) -> None:
    town.old.handle(ALICE, GetSecret(name="db"))
    town.delete()
    assert town.old.handle(ALICE, command)
    town.purge()
    assert town.old.handle(ALICE, command)


def test_a_deletion_asked_for_twice_is_one(town: Town) -> None:
    asked = Caller(principal=ALICE.principal, auth="test", request="once")
    town.old.handle(asked, DeleteVault())
    before = len(town.entries())
    town.old.handle(asked, DeleteVault())
    assert (len(town.entries()), town.refuses(DeleteVault())) == (before, "vault.is-deleted")


def test_only_an_administrator_ends_a_vault(town: Town) -> None:
    assert town.refuses(DeleteVault(), MALLORY) == "access.not-administrator"
    town.delete()
    assert town.refuses(RecoverVault(), MALLORY) == "access.not-administrator"
    assert town.refuses(PurgeVault(), MALLORY) == "access.not-administrator"


def test_recover_brings_back_all_that_was_in_it(town: Town) -> None:
    town.delete()
    town.old.handle(ALICE, RecoverVault())
    assert town.old.handle(ALICE, GetSecret(name="db")).value == "value of old"
    assert town.store.vault("old") is town.old
    assert town.refuses(RecoverVault()) == "vault.deleted-not-found"
    assert town.refuses(PurgeVault()) == "vault.deleted-not-found"


def test_the_store_tells_active_deleted_and_purged_apart(town: Town) -> None:
    assert town.store.vault_names() == ["kept", "old"]
    with pytest.raises(VaultNotChosen):
        town.store.vault()
    with pytest.raises(DeletedVaultNotFound):
        town.store.deleted_vault("old")
    town.delete()
    assert (town.store.vault_names(), town.store.deleted()) == (["kept"], [town.old])
    assert town.store.vault() is town.kept
    with pytest.raises(VaultIsDeleted):
        town.store.vault("OLD")
    assert town.store.vault(town.old.id) is town.store.deleted_vault("Old") is town.old
    town.purge()
    assert town.store.deleted() == []
    with pytest.raises(VaultNotFound):
        town.store.vault("old")
    with pytest.raises(DeletedVaultNotFound):
        town.store.deleted_vault("old")
    assert town.store.vault(town.old.id) is town.old


def test_the_name_of_a_deleted_vault_is_held_until_it_is_purged(town: Town) -> None:
    town.delete()
    with pytest.raises(VaultExists):
        town.store.create_vault(ALICE, "Old")
    with pytest.raises(VaultExists):
        town.store.restore_into(ALICE, town.kept, town.kept.changes.head().size, "old")
    for times in range(2):
        vault = town.store.create_vault(ALICE, "old") if times else town.old
        if times:
            vault.handle(ALICE, DeleteVault())
        vault.handle(ALICE, PurgeVault())
    third = town.store.create_vault(ALICE, "old")
    third.handle(ALICE, SetSecret(name="db", value="third"))
    town.reopen()
    assert town.store.vault("old").handle(ALICE, GetSecret(name="db")).value == "third"
    assert len([one for one in town.store.vaults() if one.name == "old"]) == 3


def test_another_process_notices_at_once(town: Town) -> None:
    other = OtherProcess(town.home)
    get = GetSecret(name="db")
    assert other.do(town.clock(), "old", ALICE, get).value == "value of old"
    town.delete()
    assert other.do(town.clock(), "old", ALICE, get) == Refused("vault.is-deleted")
    town.old.handle(ALICE, RecoverVault())
    assert other.do(town.clock(), "old", ALICE, get).value == "value of old"
    town.delete()
    town.purge()
    assert other.do(town.clock(), "old", ALICE, get) == Refused("vault.not-found")
    made = town.store.create_vault(ALICE, "old")
    made.handle(ALICE, SetSecret(name="db", value="anew"))
    assert other.do(town.clock(), "old", ALICE, get).value == "anew"
    other.end()


# --- purged ---------------------------------------------------------------------------------------


def test_a_purge_destroys_the_keys_of_every_secret_and_every_backup(town: Town) -> None:
    for name in ("a", "b", "gone"):
        town.old.handle(ALICE, SetSecret(name=name, value="v"))
        town.old.handle(ALICE, BackupSecret(name=name))
    blob = town.old.handle(ALICE, BackupSecret(name="a")).blob
    town.old.handle(ALICE, DeleteSecret(name="gone"))
    used = [one.content_key for one in town.entries() if one.content_key is not None]
    used += [
        one.event.backup_key for one in town.entries() if isinstance(one.event, SecretBackedUp)
    ]
    town.delete()
    answer = town.purge()
    purged, receipt = town.entries()[-2:]
    assert isinstance(purged.event, VaultPurged)
    assert isinstance(receipt.event, KeysErased)
    assert (answer.position, answer.receipt) == (purged.position, receipt.position)
    assert (receipt.context.cause, receipt.event.runs) == (purged.position, purged.event.keys)
    for number in used:
        with pytest.raises(KeyErased):
            town.store.keyring.key(number)
    with pytest.raises(MunimentError) as caught:
        town.kept.handle(ALICE, RestoreSecret(blob=blob))
    assert caught.value.code == "backup.erased"


def test_a_purge_of_many_secrets_names_their_keys_as_runs(town: Town) -> None:
    for number in range(200):
        town.old.handle(ALICE, SetSecret(name=f"s-{number}", value="v"))
    town.delete()
    town.purge()
    [purged] = [one.event for one in town.entries() if isinstance(one.event, VaultPurged)]
    assert len(purged.keys) <= 2
    assert sum(last - first for first, last in purged.keys) > 200
    assert town.kept.handle(ALICE, GetSecret(name="db")).value == "value of kept"


def test_a_blob_of_another_vault_is_named_in_the_receipt(town: Town) -> None:
    town.kept.handle(ALICE, SetSecret(name="shared", value="v"))
    blob = town.kept.handle(ALICE, BackupSecret(name="shared")).blob
    town.old.handle(ALICE, RestoreSecret(blob=blob))
    town.delete()
    assert len(town.purge().open_backups) == 1


def test_purge_protection_leaves_a_purge_to_the_end_of_the_retention(town: Town) -> None:
    town.old.handle(ALICE, UpdateVault(purge_protection=True))
    town.delete()
    assert town.refuses(PurgeVault()) == "vault.purge-protected"
    town.clock.advance(days=7.1)
    assert town.refuses(PurgeVault()) == "vault.not-found"
    [purged] = [one for one in town.entries() if isinstance(one.event, VaultPurged)]
    assert (purged.context.principal, purged.context.rule) == ("muniment", "retention")


def test_after_the_retention_whoever_comes_next_finds_the_name_free(town: Town) -> None:
    town.delete()
    town.clock.advance(days=6.9)
    assert town.store.deleted() == [town.old]
    town.clock.advance(days=0.2)
    town.reopen()
    assert town.store.deleted() == []
    assert town.store.create_vault(ALICE, "old").name == "old"
    [gone] = [one for one in town.store.vaults() if one.settings.purged]
    assert isinstance(town.entries(gone)[-1].event, KeysErased)


def test_a_secret_that_is_due_in_a_purged_vault_is_not_purged_again(town: Town) -> None:
    town.old.handle(ALICE, DeleteSecret(name="db"))
    town.delete()
    town.purge()
    before = len(town.entries())
    town.clock.advance(days=30)
    assert town.refuses(GetSecret(name="db")) == "vault.not-found"
    assert len(town.entries()) == before


def test_who_was_given_a_value_of_a_purged_vault_is_told_that_it_is_purged(town: Town) -> None:
    town.old.handle(ALICE, GetSecret(name="db"))
    town.delete()
    town.purge()
    [fact] = town.old.handle(ALICE, Exposed(principal=ALICE.principal))
    assert fact.status == "purged"


def test_who_could_tells_of_nobody_whom_an_ended_vault_would_answer(town: Town) -> None:
    def could(command: WhoCould) -> list[tuple[str, tuple[str, ...]]]:
        return [(one.principal, one.permissions) for one in town.old.handle(ALICE, command)]

    now = WhoCould(name="db")
    town.old.handle(ALICE, SetPolicy(object_id="bob", secrets=("get",)))
    then = WhoCould(name="db", as_of=town.old.changes.head().size)
    assert ("bob", ("get",)) in could(now)
    town.delete()
    assert could(now) == [(ALICE.principal, ("recover vault",))]
    assert ("bob", ("get",)) in could(then)
    town.purge()
    assert could(now) == []


def test_a_purge_asked_for_twice_is_one(town: Town) -> None:
    town.delete()
    asked = Caller(principal=ALICE.principal, auth="test", request="once")
    first = town.old.handle(asked, PurgeVault())
    assert town.old.handle(asked, PurgeVault()) == first
    assert town.refuses(PurgeVault()) == "vault.not-found"
    assert [one.position for one in town.entries() if isinstance(one.event, VaultPurged)] == [
        first.position
    ]


def test_an_erasure_that_failed_is_finished_by_whoever_asks_for_the_name(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.delete()
    destroy: Callable[..., Any] = Keyring.destroy

    def broken(ring: Keyring, numbers: Any) -> Any:
        raise LogUnavailable("no disk")

    monkeypatch.setattr(Keyring, "destroy", broken)
    with pytest.raises(ErasurePending):
        town.purge()
    with pytest.raises(ErasurePending):
        town.store.vault("old")
    assert town.store.vault("kept") is town.kept
    monkeypatch.setattr(Keyring, "destroy", destroy)
    town.reopen()
    assert town.store.vault_names() == ["kept"]
    [gone] = [one for one in town.store.vaults() if one.settings.purged]
    assert isinstance(town.entries(gone)[-1].event, KeysErased)


def test_rebuild_rotation_and_copies_go_on_with_vaults_that_ended(
    town: Town, tmp_path: Path
) -> None:
    from vault.backing import adopt, backup

    second = town.store.create_vault(ALICE, "second")
    second.handle(ALICE, DeleteVault())
    town.delete()
    town.purge()
    for vault in (town.old, second):
        rebuilt = vault.rebuild()
        assert rebuilt.before == rebuilt.after
    town.store.rotate_root_key(ALICE)
    copied = backup(town.store, tmp_path / "copy", ALICE)
    assert len(copied.records) == 6
    keys = town.home.with_name("store.key")
    with adopt(tmp_path / "made", tmp_path / "copy", ALICE, root_directory=keys) as made:
        assert (made.vault_names(), [one.name for one in made.deleted()]) == (["kept"], ["second"])
        made.deleted_vault("second").handle(ALICE, RecoverVault())
        assert made.vault("second").handle(ALICE, ListSecrets()) == []


def test_the_point_of_a_deletion_is_told_by_a_difference(town: Town) -> None:
    from vault.history_commands import Diff

    before = town.old.changes.head().size
    town.delete()
    [one] = town.old.handle(ALICE, Diff(before=before, after=Now()))
    assert (one.what, one.causes) == ("settings", (before,))


def test_a_store_of_nothing_but_ended_vaults_still_opens(tmp_path: Path) -> None:
    clock = Clock()
    with make_store(tmp_path / "store", clock) as store:
        vault = store.create_vault(ALICE, "only")
        vault.handle(ALICE, DeleteVault())
    with Store.open(tmp_path / "store", clock=clock) as store:
        assert store.vault_names() == []
        with pytest.raises(VaultNotChosen):
            store.vault()
