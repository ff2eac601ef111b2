"""The past of storage: who was given what, what it is worth, what changed, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.providers import OTHER, key
from support.storage import DAY, TEMPLATE, Place, storage_place
from support.vaults import ALICE, BOB
from vault.answers import ExposureFact, RestorePlan, RestoreStep
from vault.commands import GetSecret, SetSecret
from vault.exporting import Origin, audit_event, ocsf
from vault.history_commands import (
    Blame,
    Diff,
    DiffFork,
    Exposed,
    PlanRestore,
    ReadHistory,
    Restore,
    WhoRead,
)
from vault.refusals import SecretNotFound
from vault.rule_commands import SetPolicy
from vault.storage_commands import (
    BackupStorageAccount,
    DeleteSasDefinition,
    DeleteStorageAccount,
    GetSasDefinition,
    GetStorageAccount,
    ListSasDefinitions,
    ListStorageAccounts,
    PurgeDeletedStorageAccount,
    RegenerateKey,
    UpdateSasDefinition,
    UpdateStorageAccount,
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with storage_place(tmp_path / "store") as place:
        place.set_account(tags={"team": "shop"})
        place.set_sas()
        place.ask(SetPolicy(object_id=BOB.principal, secrets=("get",)))
        yield place


def size(place: Place) -> int:
    return place.vault.changes.head().size


# --- as of ----------------------------------------------------------------------------------------


def test_an_account_and_its_definitions_are_shown_as_they_were(place: Place) -> None:
    account = place.ask(GetStorageAccount(name="shop"))
    definition = place.ask(GetSasDefinition(account="shop", name="all"))
    then = size(place)
    place.clock.advance(days=1)
    place.ask(UpdateStorageAccount(name="shop", active_key="key2", tags={}))
    place.ask(UpdateSasDefinition(account="shop", name="all", period=60))
    place.ask(DeleteStorageAccount(name="shop"))

    assert place.ask(GetStorageAccount(name="shop", as_of=then)) == account
    assert place.ask(ListStorageAccounts(as_of=then)) == [account]
    assert place.ask(GetSasDefinition(account="shop", name="all", as_of=then)) == definition
    assert place.ask(ListSasDefinitions(account="shop", as_of=then)) == [definition]


# --- who was given a token ------------------------------------------------------------------------


def test_who_read_names_every_token_by_the_secret_and_by_the_account(place: Place) -> None:
    place.set_sas("read")
    place.ask(GetSecret(name="shop-all"), BOB)
    token = place.token("shop-read")
    place.ask(BackupStorageAccount(name="shop"))

    by_secret = place.ask(WhoRead(name="SHOP-all"))
    assert [(one.principal, one.how, one.name) for one in by_secret] == [
        (BOB.principal, "token", "shop-all")
    ]
    by_account = place.ask(WhoRead(name="shop"))
    assert [(one.how, one.name) for one in by_account] == [
        ("token", "shop-all"),
        ("token", "shop-read"),
        ("backup", "shop"),
    ]
    assert (by_account[1].key_name, by_account[1].expires) == ("key1", token.attributes.exp)
    with pytest.raises(SecretNotFound):
        place.ask(WhoRead(name="shop-never"))


def exposed(place: Place, who: str = BOB.principal) -> list[ExposureFact]:
    found: list[ExposureFact] = place.ask(Exposed(principal=who))
    return found


def test_exposure_says_which_tokens_are_good_until_when_and_by_which_key(place: Place) -> None:
    place.ask(GetSecret(name="shop-all"), BOB)
    place.clock.advance(seconds=60)
    newest = place.ask(GetSecret(name="shop-all"), BOB)
    (fact,) = exposed(place)
    assert (fact.name, fact.status, fact.key_name, fact.count) == ("shop-all", "valid", "key1", 2)
    assert fact.expires == newest.attributes.exp
    assert fact.how == ("token",)

    place.ask(RegenerateKey(name="shop", key_name="key2"))
    assert [one.status for one in exposed(place)] == ["valid"]
    place.ask(RegenerateKey(name="shop", key_name="key1"))
    assert [one.status for one in exposed(place)] == ["void"]
    place.clock.advance(days=1)
    assert [one.status for one in exposed(place)] == ["expired"]
    assert exposed(place, "nobody") == []


def test_a_token_outlives_the_deletion_and_the_purge_of_its_account_here(place: Place) -> None:
    place.ask(GetSecret(name="shop-all"), BOB)
    place.ask(DeleteStorageAccount(name="shop"))
    assert [one.status for one in exposed(place)] == ["valid"]
    place.ask(PurgeDeletedStorageAccount(name="shop"))
    assert [one.status for one in exposed(place)] == ["valid"]


def test_a_token_outlives_that_its_account_stands_for_another_resource(place: Place) -> None:
    place.ask(GetSecret(name="shop-all"), BOB)
    place.set_account(resource_id=OTHER)
    assert [one.status for one in exposed(place)] == ["valid"]


def test_tokens_that_are_still_good_stand_before_what_is_over(place: Place) -> None:
    place.set_sas("short", period=60)
    place.ask(GetSecret(name="shop-short"), BOB)
    place.clock.advance(seconds=61)
    place.ask(GetSecret(name="shop-all"), BOB)
    assert [(one.name, one.status) for one in exposed(place)] == [
        ("shop-all", "valid"),
        ("shop-short", "expired"),
    ]


# --- what changed, and by whose hand --------------------------------------------------------------


def test_a_diff_tells_attributes_and_which_keys_changed_and_no_key(place: Place) -> None:
    before = size(place)
    place.ask(UpdateStorageAccount(name="shop", enabled=False, tags={"team": "web"}))
    place.ask(RegenerateKey(name="shop", key_name="key2"))
    place.ask(UpdateSasDefinition(account="shop", name="all", period=60))
    place.ask(DeleteSasDefinition(account="shop", name="all"))

    account, definition = place.ask(Diff(before=before, after=size(place)))

    assert (account.what, account.name, account.value) == ("storage-account", "shop", "different")
    assert account.kinds == ("attributes", "keys")
    told = {field.name: (field.before, field.after) for field in account.fields}
    assert told == {
        "enabled": (True, False),
        "tags": ({"team": "shop"}, {"team": "web"}),
        "keys changed": ((), ("key2",)),
    }
    assert (definition.what, definition.name) == ("sas-definition", "shop-all")
    assert definition.kinds == ("deleted", "attributes")
    assert [(one.name, one.before, one.after) for one in definition.fields] == [
        ("period", 14_400, 60)
    ]
    assert place.ask(Diff(before=before, after=size(place), names=("shop-all",))) == [definition]


def test_a_diff_tells_how_accounts_come_and_go(place: Place) -> None:
    before = size(place)
    place.set_account("web")
    created = place.ask(Diff(before=before, after=size(place)))
    assert [(one.name, one.kinds) for one in created] == [("web", ("created",))]
    place.ask(DeleteStorageAccount(name="shop"))
    place.ask(PurgeDeletedStorageAccount(name="shop"))
    gone = place.ask(Diff(before=before, after=size(place), names=("shop",)))
    assert [(one.name, one.kinds) for one in gone] == [("shop", ("purged",))]


def test_two_copies_compare_by_what_storage_touched(place: Place) -> None:
    common = size(place)
    place.ask(UpdateStorageAccount(name="shop", enabled=False))
    place.ask(DeleteSasDefinition(account="shop", name="all"))
    aftermath = place.ask(DiffFork(common=common, size=size(place)))
    account, definition = aftermath.touched
    assert (account.then.fields["enabled"], account.now.fields["enabled"]) == (True, False)
    assert (definition.then.state, definition.now.state) == ("active", "deleted")


def test_blame_names_the_event_behind_each_attribute(place: Place) -> None:
    place.ask(UpdateStorageAccount(name="shop", tags={"a": "b"}))
    updated = size(place) - 1
    place.ask(RegenerateKey(name="shop", key_name="key2"))
    facts = {one.attribute: one for one in place.ask(Blame(name="shop"))}
    assert facts["tags"].position == updated
    assert facts["tags"].value == {"a": "b"}
    assert facts["key key2"].operation == "storage-key.regenerated"
    assert facts["key key1"].operation == "storage-account.set"
    assert facts["key key2"].value is None
    place.ask(UpdateSasDefinition(account="shop", name="all", period=60))
    facts = {one.attribute: one for one in place.ask(Blame(name="shop-all"))}
    assert (facts["period"].value, facts["period"].operation) == (60, "sas-definition.updated")
    assert facts["template"].operation == "sas-definition.set"
    with pytest.raises(SecretNotFound):
        place.ask(Blame(name="web"))


def test_the_log_of_a_name_is_that_of_an_account_or_of_its_definitions_secret(
    place: Place,
) -> None:
    place.ask(SetSecret(name="shop-x-y", value="x"))
    place.token()
    operations = [one.operation for one in place.ask(ReadHistory(name="shop"))]
    assert operations == ["storage-account.set", "sas-definition.set", "sas-token.issued"]
    operations = [one.operation for one in place.ask(ReadHistory(name="Shop-All"))]
    assert operations == ["sas-definition.set", "sas-token.issued"]


def test_other_forms_name_what_a_record_is_about(place: Place) -> None:
    place.token()
    place.ask(GetSasDefinition(account="shop", name="all"))
    place.ask(RegenerateKey(name="shop", key_name="key2"))
    origin = Origin("v", "https://v.vault.localhost")
    told = {one.operation: one for one in place.ask(ReadHistory())}
    for operation, name, place_, kind in (
        ("storage-account.set", "StorageAccountSet", "storage/shop", "Storage account"),
        ("sas-definition.read", "SasDefinitionGet", "storage/shop/sas/all", "SAS definition"),
        ("sas-token.issued", "SecretGet", "secrets/shop-all", "Secret"),
        (
            "storage-key.regenerated",
            "StorageAccountRegenerateKey",
            "storage/shop",
            "Storage account",
        ),
    ):
        shape = audit_event(origin, told[operation])
        assert shape["operationName"] == name
        assert shape["properties"]["id"] == f"{origin.uri}/{place_}"
        assert ocsf(origin, told[operation])["resources"][0]["type"] == kind


# --- the way back ---------------------------------------------------------------------------------


def planned(place: Place, to: int, **how: Any) -> RestorePlan:
    found: RestorePlan = place.ask(PlanRestore(to=to, **how))
    return found


def steps(plan: RestorePlan) -> list[tuple[str, str, str]]:
    return [(one.action, one.what, one.name) for one in plan.steps]


def test_going_back_brings_attributes_and_definitions_and_never_a_key(place: Place) -> None:
    before = place.ask(GetStorageAccount(name="shop"))
    definition = place.ask(GetSasDefinition(account="shop", name="all"))
    to = size(place)
    place.ask(UpdateStorageAccount(name="shop", active_key="key2", tags={}, period=30 * DAY))
    place.ask(RegenerateKey(name="shop", key_name="key1"))
    place.ask(UpdateSasDefinition(account="shop", name="all", template=TEMPLATE + "&sip=1.2.3.4"))
    place.ask(DeleteSasDefinition(account="shop", name="all"))
    place.ask(DeleteStorageAccount(name="shop"))

    plan = planned(place, to)
    assert steps(plan) == [
        ("recover", "storage-account", "shop"),
        ("attributes", "storage-account", "shop"),
        ("kept", "storage-account", "shop"),
        ("recover", "sas-definition", "shop-all"),
        ("attributes", "sas-definition", "shop-all"),
    ]
    kept = next(one for one in plan.steps if one.action == "kept")
    assert kept.after == ("key1",)
    done = place.ask(Restore(plan=PlanRestore(to=to), head=plan.head))
    assert done == plan

    after = place.ask(GetStorageAccount(name="shop"))
    assert (after.active_key_name, after.tags) == ("key1", before.tags)
    assert after.regeneration_period == before.regeneration_period
    back = place.ask(GetSasDefinition(account="shop", name="all"))
    assert (back.template, back.validity_period) == (definition.template, 14_400)
    assert place.provider.keys == {"key1": key(5), "key2": key(2)}
    assert [step.action for step in planned(place, to).steps] == ["kept"]


def test_going_back_says_what_a_purge_took_and_prunes_what_was_not_there(place: Place) -> None:
    to = size(place)
    place.set_account("web")
    place.set_sas("new")
    assert steps(planned(place, to)) == []
    pruned = planned(place, to, prune=True)
    assert steps(pruned) == [
        ("delete", "sas-definition", "shop-new"),
        ("delete", "storage-account", "web"),
    ]
    place.ask(Restore(plan=PlanRestore(to=to, prune=True), head=pruned.head))
    assert [one.name for one in place.ask(ListStorageAccounts())] == ["shop"]
    place.ask(DeleteStorageAccount(name="shop"))
    purged = place.ask(PurgeDeletedStorageAccount(name="shop"))
    lost = RestoreStep(
        action="lost", name="shop", what="storage-account", erased_by=purged.position
    )
    assert planned(place, to).steps == (lost,)


def test_a_definition_that_its_retention_took_is_set_again(place: Place) -> None:
    to = size(place)
    place.ask(DeleteSasDefinition(account="shop", name="all"))
    place.clock.advance(days=91)
    plan = planned(place, to, names=("shop-all",))
    assert steps(plan) == [("set", "sas-definition", "shop-all")]
    place.ask(Restore(plan=PlanRestore(to=to, names=("shop-all",)), head=plan.head))
    assert place.ask(GetSasDefinition(account="shop", name="all")).template == TEMPLATE


def test_only_what_is_named_goes_back(place: Place) -> None:
    place.set_sas("other")
    to = size(place)
    place.ask(DeleteSasDefinition(account="shop", name="all"))
    place.ask(DeleteSasDefinition(account="shop", name="other"))
    assert len(planned(place, to).steps) == 2
    assert len(planned(place, to, names=("shop",)).steps) == 2
    assert steps(planned(place, to, names=("shop-other",))) == [
        ("recover", "sas-definition", "shop-other")
    ]


def test_a_copy_of_the_vault_has_no_account_and_so_no_token(place: Place) -> None:
    place.ask(SetSecret(name="db", value="x"))
    copied = place.store.restore_into(ALICE, place.vault, size(place), "second-vault")
    assert copied.secrets == 1
    second = place.store.vault("second-vault")
    assert second.handle(ALICE, ListStorageAccounts()) == []
    with pytest.raises(SecretNotFound):
        second.handle(ALICE, GetSecret(name="shop-all"))
    assert [one.how for one in place.ask(WhoRead(name="shop-all"))] == []


def test_a_rebuild_makes_the_same_views(place: Place) -> None:
    place.token()
    place.ask(RegenerateKey(name="shop", key_name="key2"))
    rebuilt = place.vault.rebuild()
    assert rebuilt.before == rebuilt.after
