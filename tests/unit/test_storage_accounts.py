"""Storage accounts: their life, their names, and who may do what with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import RequestIdReused
from eventstore.keytree import FANOUT
from support.providers import OTHER, RESOURCE, FileProvider, key
from support.storage import DAY, Place, storage_place
from support.vaults import ALICE, BOB
from vault import lifecycle
from vault.access import STORAGE_NEEDS, STORAGE_PERMISSIONS
from vault.answers import StorageAccountBundle
from vault.caller import Caller
from vault.commands import (
    Command,
    DeleteSecret,
    GetSecret,
    ListSecrets,
    PurgeDeletedSecret,
    RestoreSecret,
    SetSecret,
)
from vault.providers import Declared, Providers
from vault.refusals import (
    AccessDenied,
    BackupErased,
    BackupForeign,
    BackupInvalid,
    DeletedStorageAccountNotFound,
    PeriodInvalid,
    ProviderMissing,
    ProviderUnavailable,
    PurgeIsProtected,
    StorageAccountNotFound,
    StorageExists,
    StorageInvalid,
    StorageIsDeleted,
    StorageKeyNotFound,
    StorageNameInvalid,
    TagsInvalid,
)
from vault.rule_commands import SetPolicy
from vault.storage_commands import (
    BackupStorageAccount,
    DeleteSasDefinition,
    DeleteStorageAccount,
    GetDeletedStorageAccount,
    GetStorageAccount,
    ListDeletedStorageAccounts,
    ListSasDefinitions,
    ListStorageAccounts,
    PurgeDeletedStorageAccount,
    RecoverDeletedStorageAccount,
    RegenerateKey,
    RestoreStorageAccount,
    SetStorageAccount,
    SyncStorageKeys,
    UpdateStorageAccount,
)
from vault.store import Store


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with storage_place(tmp_path / "store") as place:
        yield place


def names(listed: list[StorageAccountBundle]) -> list[str]:
    return [one.name for one in listed]


def test_an_account_is_answered_with_all_that_was_said_of_it_and_no_key(place: Place) -> None:
    answer = place.set_account(tags={"team": "shop"})

    assert (answer.name, answer.resource_id) == ("shop", RESOURCE)
    assert (answer.active_key_name, answer.auto_regenerate_key) == ("key1", True)
    assert answer.regeneration_period == 90 * DAY
    assert answer.tags == {"team": "shop"}
    assert answer.attributes.enabled
    created = answer.attributes.created
    assert created is not None
    assert answer.next_rotation == created + 90 * DAY
    assert place.ask(GetStorageAccount(name="SHOP")) == answer
    assert place.provider.calls == ["list"]


def test_a_vault_manages_no_account_of_another_vaults_provider(tmp_path: Path) -> None:
    provider = FileProvider(tmp_path / "provider.json")
    declared = Providers([Declared("hers", "/subscriptions/1", provider, ("hers",))])
    command = SetStorageAccount(
        name="shop", resource_id=RESOURCE, active_key="key1", auto_regenerate=False
    )
    with Store.create(tmp_path / "store", providers=declared) as store:
        hers, his = store.create_vault(ALICE, "Hers"), store.create_vault(BOB, "his")
        assert hers.handle(ALICE, command).name == "shop"
        with pytest.raises(ProviderMissing):
            his.handle(BOB, command)
    assert provider.calls == ["list"]


def test_a_set_over_an_account_replaces_it_and_keeps_when_it_was_made(place: Place) -> None:
    first = place.set_account(tags={"team": "shop"})
    place.clock.advance(days=1)
    second = place.set_account("SHOP", resource_id=OTHER, active_key="key2", enabled=False)

    assert (second.name, second.resource_id, second.active_key_name) == ("shop", OTHER, "key2")
    assert second.tags is None
    assert second.attributes.created == first.attributes.created
    assert second.attributes.updated != first.attributes.updated
    assert not second.attributes.enabled


def test_an_update_changes_what_it_names_and_nothing_else(place: Place) -> None:
    before = place.set_account(tags={"team": "shop"})
    place.clock.advance(days=1)
    after = place.ask(UpdateStorageAccount(name="shop", active_key="key2"))

    assert after.active_key_name == "key2"
    assert (after.tags, after.regeneration_period) == (before.tags, before.regeneration_period)
    assert after.next_rotation == before.next_rotation
    assert after.attributes.updated > before.attributes.updated
    cleared = place.ask(UpdateStorageAccount(name="shop", tags={}, auto_regenerate=False))
    assert cleared.tags is None
    assert cleared.next_rotation is None
    assert place.provider.calls == ["list"]


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"name": "with-hyphen"}, StorageNameInvalid),
        ({"name": ""}, StorageNameInvalid),
        ({"active_key": "key3"}, StorageKeyNotFound),
        ({"period": None}, StorageInvalid),
        ({"period": DAY - 1}, PeriodInvalid),
        ({"resource_id": ""}, StorageInvalid),
        ({"resource_id": "a\nb"}, StorageInvalid),
        ({"resource_id": "/elsewhere/shop"}, ProviderMissing),
        ({"resource_id": RESOURCE.replace("/1/", "/12/")}, ProviderMissing),
        ({"tags": {"": "x"}}, TagsInvalid),
    ],
)
def test_a_set_that_cannot_be_is_refused_and_recorded(
    place: Place, changed: dict[str, object], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal) as refused:
        place.set_account(**changed)  # type: ignore[arg-type]
    last = place.entries("access")[-1]
    assert last.event.operation == "storage-account.set"
    assert last.context.outcome == refused.value.code  # type: ignore[attr-defined]
    assert place.ask(ListStorageAccounts()) == []


def test_an_update_that_could_not_be_set_is_refused(place: Place) -> None:
    place.set_account(auto_regenerate=False, period=None)
    for update, refusal in (
        (UpdateStorageAccount(name="shop", active_key="key3"), StorageKeyNotFound),
        (UpdateStorageAccount(name="shop", auto_regenerate=True), StorageInvalid),
        (UpdateStorageAccount(name="shop", period=60), PeriodInvalid),
        (UpdateStorageAccount(name="other", enabled=False), StorageAccountNotFound),
    ):
        with pytest.raises(refusal):
            place.ask(update)


@pytest.mark.parametrize("keys", [{"key1": "abc"}, {"key1": key(1)[:-4]}, {"a b": key(1)}])
def test_what_a_provider_gives_must_be_keys(place: Place, keys: dict[str, str]) -> None:
    place.provider.spoilt = keys
    with pytest.raises(ProviderUnavailable) as refused:
        place.set_account()
    assert not any(value in refused.value.message for value in keys.values())


# --- deleted accounts -----------------------------------------------------------------------------


def test_a_deleted_account_is_hidden_and_comes_back_with_its_definitions(place: Place) -> None:
    place.set_account()
    place.set_sas()
    gone = place.ask(DeleteStorageAccount(name="shop"))

    assert gone.deletion.scheduled_purge_date == gone.deletion.deleted_date + 90 * DAY
    assert place.ask(ListStorageAccounts()) == []
    assert place.ask(ListSecrets()) == []
    assert names(place.ask(ListDeletedStorageAccounts())) == ["shop"]
    assert place.ask(GetDeletedStorageAccount(name="shop")) == gone
    for asked in (GetStorageAccount(name="shop"), ListSasDefinitions(account="shop")):
        with pytest.raises(StorageAccountNotFound):
            place.ask(asked)
    with pytest.raises(StorageIsDeleted):
        place.set_account()

    place.ask(RecoverDeletedStorageAccount(name="shop"))
    assert place.ask(ListDeletedStorageAccounts()) == []
    assert [one.name for one in place.ask(ListSasDefinitions(account="shop"))] == ["all"]
    assert place.token().value


def test_a_purge_destroys_the_accounts_key_and_all_that_it_sealed(place: Place) -> None:
    place.set_account(tags={"team": "shop"})
    place.set_sas()
    size = place.vault.changes.head().size
    place.ask(DeleteStorageAccount(name="shop"))
    purged = place.ask(PurgeDeletedStorageAccount(name="shop"))

    assert purged.receipt > purged.position
    with pytest.raises(DeletedStorageAccountNotFound):
        place.ask(GetDeletedStorageAccount(name="shop"))
    then = place.ask(GetStorageAccount(name="shop", as_of=size))
    assert (then.tags, then.erased, then.erased_by) == (None, True, purged.position)
    definition = place.ask(ListSasDefinitions(account="shop", as_of=size))[0]
    assert (definition.template, definition.erased) == (None, True)
    again = place.set_account()
    assert again.tags is None
    assert place.ask(ListSasDefinitions(account="shop")) == []


def test_a_deleted_account_is_purged_when_its_retention_is_over(place: Place) -> None:
    place.set_account()
    place.set_sas("one")
    place.set_sas("two")
    place.ask(DeleteStorageAccount(name="shop"))
    place.clock.advance(days=91)

    assert place.ask(ListDeletedStorageAccounts()) == []
    events = [type(event).__name__ for event in place.history()]
    assert events[-2:] == ["StorageAccountPurged", "KeysErased"]


def test_purge_protection_holds_for_accounts(tmp_path: Path) -> None:
    with storage_place(tmp_path / "store", purge_protection=True) as place:
        place.set_account()
        place.ask(DeleteStorageAccount(name="shop"))
        with pytest.raises(PurgeIsProtected):
            place.ask(PurgeDeletedStorageAccount(name="shop"))


def test_the_end_of_a_vault_takes_the_keys_of_its_accounts_and_their_blobs(place: Place) -> None:
    for number in range(FANOUT):
        place.ask(SetSecret(name=f"s{number}", value="x"))
    place.set_account()
    place.ask(BackupStorageAccount(name="shop"))
    for number in range(FANOUT):
        place.ask(DeleteSecret(name=f"s{number}"))
        place.ask(PurgeDeletedSecret(name=f"s{number}"))
    with place.vault.changes.snapshot() as snapshot:
        rows = place.vault.views.reader(snapshot.transaction)
        (account,) = rows.storage_accounts()
        runs = lifecycle.purge(rows, 0, ()).keys
    taken = {number for first, last in runs for number in range(first, last + 1)}
    (blob,) = [one.backup_key for one in place.history() if hasattr(one, "backup_key")]
    assert {account.key, blob} <= taken


# --- blobs ----------------------------------------------------------------------------------------


def test_a_blob_brings_an_account_back_with_its_definitions_and_dates(place: Place) -> None:
    made = place.set_account(tags={"team": "shop"})
    definition = place.set_sas(tags={"for": "web"})
    place.set_sas("gone")
    place.ask(DeleteSasDefinition(account="shop", name="gone"))
    blob = place.ask(BackupStorageAccount(name="shop"))
    assert blob.versions == 1
    with pytest.raises(StorageExists):
        place.ask(RestoreStorageAccount(blob=blob.blob))
    with pytest.raises(BackupInvalid):
        place.ask(RestoreSecret(blob=blob.blob))
    place.ask(DeleteStorageAccount(name="shop"))
    with pytest.raises(StorageIsDeleted):
        place.ask(RestoreStorageAccount(blob=blob.blob))
    purged = place.ask(PurgeDeletedStorageAccount(name="shop"))
    assert purged.open_backups
    place.clock.advance(days=3)

    back = place.ask(RestoreStorageAccount(blob=blob.blob))

    assert (back.attributes, back.tags) == (made.attributes, made.tags)
    assert place.ask(ListSasDefinitions(account="shop")) == [definition]
    assert place.token().value


def test_a_purge_with_backups_leaves_a_blob_that_opens_no_more(place: Place) -> None:
    place.set_account()
    blob = place.ask(BackupStorageAccount(name="shop"))
    place.ask(DeleteStorageAccount(name="shop"))
    purged = place.ask(PurgeDeletedStorageAccount(name="shop", backups=True))

    assert purged.open_backups == ()
    with pytest.raises(BackupErased):
        place.ask(RestoreStorageAccount(blob=blob.blob))


@pytest.mark.parametrize("place_of_bit", [0, 20, 44, 60, -1])
def test_a_blob_that_was_altered_is_refused(place: Place, place_of_bit: int) -> None:
    place.set_account()
    blob = bytearray(place.ask(BackupStorageAccount(name="shop")).blob)
    blob[place_of_bit] ^= 1
    with pytest.raises((BackupInvalid, BackupForeign)):
        place.ask(RestoreStorageAccount(blob=bytes(blob)))


# --- lists ----------------------------------------------------------------------------------------


def test_a_list_is_by_name_whatever_its_case_and_goes_on_after_a_name(place: Place) -> None:
    for name in ("b", "C", "a"):
        place.set_account(name)
    assert names(place.ask(ListStorageAccounts())) == ["a", "b", "C"]
    assert names(place.ask(ListStorageAccounts(after="A", limit=1))) == ["b"]
    assert names(place.ask(ListStorageAccounts(after="B"))) == ["C"]


# --- who may --------------------------------------------------------------------------------------

COMMANDS: list[tuple[Command[Any], str]] = [
    (GetStorageAccount(name="shop"), "get"),
    (ListStorageAccounts(), "list"),
    (UpdateStorageAccount(name="shop", enabled=True), "update"),
    (RegenerateKey(name="shop", key_name="key2"), "regeneratekey"),
    (SyncStorageKeys(name="shop"), "set"),
    (BackupStorageAccount(name="shop"), "backup"),
    (DeleteStorageAccount(name="shop"), "delete"),
]


@pytest.mark.parametrize(("command", "permission"), COMMANDS)
def test_each_operation_needs_the_storage_permission_of_its_name(
    place: Place, command: Command[Any], permission: str
) -> None:
    place.set_account()
    others = tuple({*STORAGE_PERMISSIONS} - set(STORAGE_NEEDS[type(command)]))
    place.ask(SetPolicy(object_id=BOB.principal, storage=others, secrets=("all",)))
    with pytest.raises(AccessDenied, match=f"storage {permission} permission"):
        place.ask(command, BOB)
    place.ask(SetPolicy(object_id=BOB.principal, storage=(permission,), secrets=()))
    place.ask(command, BOB)


def test_storage_permissions_open_no_secret_and_so_no_token(place: Place) -> None:
    place.set_account()
    place.set_sas()
    place.ask(SetPolicy(object_id=BOB.principal, storage=("all",), secrets=()))
    with pytest.raises(AccessDenied, match="secrets get permission"):
        place.ask(GetSecret(name="shop-all"), BOB)
    place.ask(SetPolicy(object_id=BOB.principal, storage=(), secrets=("get",)))
    assert place.ask(GetSecret(name="shop-all"), BOB).value


# --- the same request twice -----------------------------------------------------------------------


def asked_as(request: str) -> Caller:
    return Caller(principal=ALICE.principal, auth=ALICE.auth, request=request)


def test_a_set_that_comes_twice_asks_the_provider_once(place: Place) -> None:
    command = SetStorageAccount(
        name="shop", resource_id=RESOURCE, active_key="key1", auto_regenerate=False
    )
    first = place.ask(command, asked_as("1"))
    assert place.ask(command, asked_as("1")) == first
    assert place.provider.calls == ["list"]
    assert place.vault.changes.head().size == 3
    other = SetStorageAccount(
        name="shop", resource_id=RESOURCE, active_key="key2", auto_regenerate=False
    )
    with pytest.raises(RequestIdReused):
        place.ask(other, asked_as("1"))


def test_every_other_change_that_comes_twice_is_carried_out_once(place: Place) -> None:
    place.set_account()
    changes: tuple[Command[Any], ...] = (
        UpdateStorageAccount(name="shop", enabled=False),
        RegenerateKey(name="shop", key_name="key2"),
        SyncStorageKeys(name="shop"),
        BackupStorageAccount(name="shop"),
        DeleteStorageAccount(name="shop"),
        RecoverDeletedStorageAccount(name="shop"),
    )
    for number, command in enumerate(changes):
        caller = asked_as(str(number))
        first = place.ask(command, caller)
        size, made = place.vault.changes.head().size, place.provider.made
        again = place.ask(command, caller)
        assert again == first or isinstance(command, BackupStorageAccount)
        assert (place.vault.changes.head().size, place.provider.made) == (size, made)
