"""Access policies in numbers: added, replaced and taken away, also those through one client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from support.life import Life, life_in
from support.vaults import ALICE, BOB
from vault.commands import GetSecret
from vault.policies import MAX_POLICIES
from vault.rule_commands import (
    ChangePolicies,
    DeletePolicy,
    Grant,
    ListPolicies,
    SetPolicy,
    UpdateVault,
)

CAROL = Grant(object_id="carol", secrets=("get", "list"))
PORTAL = Grant(object_id="carol", secrets=("set",), application_id="portal")


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


def stands(life: Life) -> dict[tuple[str, str], tuple[str, ...]]:
    """What everybody but Alice may do with secrets."""
    listed = life(ListPolicies())
    return {
        (one.object_id, one.application_id): one.secrets
        for one in listed
        if one.object_id != ALICE.principal
    }


def test_adding_keeps_what_stands_and_touches_nobody_else(life: Life) -> None:
    life.allow("get")
    life(ChangePolicies(kind="add", grants=(CAROL,)))
    life(ChangePolicies(kind="add", grants=(Grant(object_id="carol", secrets=("set",)),)))
    assert stands(life) == {
        ("carol", ""): ("get", "list", "set"),
        (BOB.principal, ""): ("get",),
    }


def test_replacing_touches_only_who_is_named(life: Life) -> None:
    life.allow("get")
    life(ChangePolicies(kind="add", grants=(CAROL, PORTAL)))
    [answer] = life(ChangePolicies(kind="replace", grants=(replace(CAROL, secrets=("purge",)),)))
    assert (answer.object_id, answer.secrets) == ("carol", ("purge",))
    assert stands(life)["carol", ""] == ("purge",)
    assert stands(life)["carol", "portal"] == ("set",)
    assert stands(life)[BOB.principal, ""] == ("get",)


def test_removing_takes_the_named_permissions_and_with_the_last_the_policy(life: Life) -> None:
    life(ChangePolicies(kind="add", grants=(CAROL,)))
    life(ChangePolicies(kind="remove", grants=(replace(CAROL, secrets=("list",)),)))
    assert stands(life) == {("carol", ""): ("get",)}
    life(ChangePolicies(kind="remove", grants=(replace(CAROL, secrets=("all",)),)))
    assert stands(life) == {}
    life.refuses("policy.not-found", ChangePolicies(kind="remove", grants=(CAROL,)))


def test_many_changes_are_all_or_nothing(life: Life) -> None:
    unknown = Grant(object_id="dave", secrets=("fly",))
    life.refuses("permission.unknown", ChangePolicies(kind="add", grants=(CAROL, unknown)))
    life.refuses("policy.twice", ChangePolicies(kind="replace", grants=(CAROL, CAROL)))
    life.refuses("vault.setting-invalid", ChangePolicies(kind="add", grants=()))
    life.refuses("vault.setting-invalid", ChangePolicies(kind="merge", grants=(CAROL,)))


def test_a_vault_has_at_most_1024_policies(life: Life) -> None:
    full = tuple(Grant(object_id=f"p{n}", secrets=("get",)) for n in range(MAX_POLICIES - 1))
    life(ChangePolicies(kind="add", grants=full))
    life.refuses("policy.too-many", SetPolicy(object_id="one more", secrets=("get",)))
    life.refuses("policy.too-many", ChangePolicies(kind="add", grants=(CAROL,)))
    life(SetPolicy(object_id="p0", secrets=("list",)))
    more = (*full, CAROL, PORTAL)
    life.refuses("policy.too-many", UpdateVault(policies=more))
    life(UpdateVault(policies=full[:1]))
    assert len(life(ListPolicies())) == 1


def test_a_policy_through_a_client_counts_only_where_that_client_asks(life: Life) -> None:
    life.set("db")
    life(SetPolicy(object_id=BOB.principal, secrets=("get",), application_id="portal"))
    life.refuses("access.denied", GetSecret(name="db"), BOB)
    life.refuses("access.denied", GetSecret(name="db"), replace(BOB, application="other"))
    assert life(GetSecret(name="db"), replace(BOB, application="portal")).value
    life.refuses("policy.not-found", DeletePolicy(object_id=BOB.principal))
    life(DeletePolicy(object_id=BOB.principal, application_id="portal"))
    life.refuses("access.denied", GetSecret(name="db"), replace(BOB, application="portal"))


def test_the_id_of_a_client_is_the_same_in_any_case(life: Life) -> None:
    life.set("db")
    life(SetPolicy(object_id=BOB.principal, secrets=("get",), application_id="3F1C-Portal"))
    for written in ("3F1C-Portal", "3f1c-portal"):
        assert life(GetSecret(name="db"), replace(BOB, application=written)).value
    grant = Grant(object_id=BOB.principal, secrets=("list",), application_id="3f1C-PORTAL")
    life(ChangePolicies(kind="add", grants=(grant,)))
    assert stands(life) == {(BOB.principal, "3f1c-portal"): ("get", "list")}
    life.refuses(
        "policy.twice", UpdateVault(policies=(grant, replace(grant, application_id="3f1c-portal")))
    )
    life(DeletePolicy(object_id=BOB.principal, application_id="3F1C-PORTAL"))
    assert stands(life) == {}
