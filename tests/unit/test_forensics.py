"""Questions about the past are answered for who investigates: nothing is missed, nothing guessed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.life import Life, life_in
from support.vaults import BOB
from vault.commands import (
    Blame,
    Diff,
    Exposed,
    GetSecret,
    PlanRestore,
    Restore,
    UpdateSecret,
    WhoCould,
    WhoRead,
)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


def size(life: Life) -> int:
    return life.vault.changes.head().size


def test_a_value_that_came_back_is_still_exposed(life: Life) -> None:
    life.allow("get")
    life.set("db", "leaked")
    before = size(life)
    life(GetSecret(name="db"), BOB)
    life.set("db", "new")
    (fact,) = life(Exposed(principal=BOB.principal))
    assert fact.status == "older"

    plan = PlanRestore(to=before)
    life(Restore(plan=plan, head=life(plan).head))

    (fact,) = life(Exposed(principal=BOB.principal))
    assert fact.status == "current"


def test_who_read_names_each_reading_and_its_rule(life: Life) -> None:
    at = life.allow("get")
    life.set("db")
    life(GetSecret(name="db"), BOB)
    life(GetSecret(name="DB"), BOB)
    facts = life(WhoRead(name="db"))
    assert [(fact.principal, fact.rule) for fact in facts] == [(BOB.principal, f"policy #{at}")] * 2


def test_a_change_of_an_older_version_is_a_difference(life: Life) -> None:
    old = life.set("db", "one").version
    life.set("db", "two")
    before = size(life)
    life(UpdateSecret(name="db", version=old, enabled=False))
    (found,) = life(Diff(before=before, after=size(life)))
    assert found.kinds == ("attributes",)
    assert [(one.name, one.before, one.after) for one in found.fields] == [
        (f"{old} enabled", True, False)
    ]


def test_a_value_that_went_back_is_told_by_its_version(life: Life) -> None:
    old = life.set("db", "one").version
    life.set("db", "two")
    before = size(life)
    life.set("db", "one")
    (found,) = life(Diff(before=before, after=size(life)))
    assert found.value == f"back to {old}"


def test_points_in_the_wrong_order_are_refused(life: Life) -> None:
    life.set("db")
    life.refuses("points.reversed", Diff(before=size(life), after=1))


def test_a_name_that_never_was_is_not_found_rather_than_unchanged(life: Life) -> None:
    life.set("db")
    now = size(life)
    life.refuses("secret.not-found", Diff(before=1, after=now, names=("bd",)))
    life.refuses("secret.not-found", PlanRestore(to=2, names=("bd",)))
    life.purge("db")
    assert life(Diff(before=now, after=size(life), names=("db",)))[0].kinds == ("purged",)


def test_names_and_policies_are_not_restored_together(life: Life) -> None:
    life.set("db")
    both = PlanRestore(to=2, names=("db",), policies=True)
    life.refuses("restore.names-and-policies", both)


def test_blame_and_who_could_name_the_events(life: Life) -> None:
    at = life.allow("get", "list")
    life.set("db")
    life(UpdateSecret(name="db", exp=5))
    made = {fact.attribute: fact.position for fact in life(Blame(name="db"))}
    assert made["exp"] == made["value"] + 1
    bob = next(fact for fact in life(WhoCould(name="db")) if fact.principal == BOB.principal)
    assert (bob.permissions, bob.position) == (("get", "list"), at)
