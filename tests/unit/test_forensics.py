"""Questions about the past are answered for who investigates: nothing is missed, nothing guessed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.life import Life, life_in
from support.vaults import ALICE, BOB
from vault.commands import Command, GetSecret, UpdateSecret
from vault.history_commands import (
    Blame,
    CopyVault,
    Diff,
    Exposed,
    PlanRestore,
    ReadHistory,
    Replay,
    Restore,
    RotateKeys,
    ShowFields,
    WhoCould,
    WhoRead,
)
from vault.points import AfterEvent, AtCheckpoint, AtTime, Now, Point
from vault.rule_commands import ListPolicies, ShowVault, UpdateVault


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


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (ReadHistory(name="\udc80"), "parameter.invalid"),
        (ReadHistory(principal="\udc80"), "parameter.invalid"),
        (Replay(name="\udc80"), "parameter.invalid"),
        (Replay(principal="\udc80"), "parameter.invalid"),
        (Exposed(principal="\udc80"), "parameter.invalid"),
        (Diff(before=1, after=2, names=("db", "\udc80")), "parameter.invalid"),
        (ShowFields(log="changes", position=1, fields=("\udc80",)), "field.unknown"),
    ],
    ids=["log", "principal", "replay", "retold", "exposed", "diff", "fields"],
)
def test_a_question_about_what_cannot_be_written_is_refused_and_recorded(
    life: Life, question: Command[Any], code: str
) -> None:
    life.set("db")
    life.refuses(code, question)
    assert [trace.context.outcome for trace in life.traces()] == [code]


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


def test_the_answer_says_what_the_points_were(life: Life) -> None:
    life.set("db", "one")
    first = life.changes()[-1]
    life.clock.advance(seconds=60)
    life.set("db", "two")
    last = life.changes()[-1]
    points: dict[Point, tuple[int, int]] = {
        first.position + 1: (first.position + 1, first.time),
        AfterEvent(first.position): (first.position + 1, first.time),
        AtTime(last.time - 1): (first.position + 1, first.time),
        AtTime(last.time): (last.position + 1, last.time),
        Now(): (last.position + 1, last.time),
    }
    for point, expected in points.items():
        answer, found = life.vault.respond(ALICE, GetSecret(name="db", as_of=point))
        assert found == {"as_of": expected}
        assert answer.value == ("one" if expected[0] == first.position + 1 else "two")
        trace = life.traces()[-1].event
        assert (trace.at, trace.as_of) == (last.position + 1, expected[0])


@pytest.mark.parametrize("point", [99, -1, AfterEvent(99), AtTime(0), AtCheckpoint("no note")])
def test_a_point_that_is_none_is_refused_to_who_is_let_in_and_recorded(
    life: Life, point: Point
) -> None:
    life.allow("get")
    life.set("db")
    code = "checkpoint.malformed" if isinstance(point, AtCheckpoint) else "log.no-such-position"
    for command, caller in (
        (GetSecret(name="db", as_of=point), BOB),
        (ShowVault(as_of=point), ALICE),
        (Blame(name="db", as_of=point), ALICE),
        (CopyVault(as_of=point), ALICE),
    ):
        life.refuses(code, command, caller)
        refused = life.traces()[-1]
        assert (refused.context.principal, refused.context.outcome) == (caller.principal, code)


def test_a_stranger_is_refused_before_the_point_is_looked_at(life: Life) -> None:
    life.set("db")
    point = AfterEvent(99)
    asked: list[Command[Any]] = [
        GetSecret(name="db", as_of=point),
        ListPolicies(as_of=point),
        ShowVault(as_of=point),
        Blame(name="db", as_of=point),
        WhoRead(name="db", since=point),
        Replay(until=point),
        Diff(before=1, after=point),
        PlanRestore(to=point),
        Restore(plan=PlanRestore(to=point), head=3),
        CopyVault(as_of=point),
    ]
    for command in asked:
        code = "access.denied" if isinstance(command, GetSecret) else "access.not-administrator"
        refusal = life.refuses(code, command, BOB)
        assert "99" not in refusal.message
        assert life.traces()[-1].context.outcome == code


def test_a_vault_is_shown_with_the_administrators_and_keys_of_then(life: Life) -> None:
    before = life(ShowVault())
    life(RotateKeys())
    life(UpdateVault(administrators=(ALICE.principal, BOB.principal)))
    then = life(ShowVault(as_of=before.changes), BOB)
    assert then.administrators == (ALICE.principal,)
    assert (then.changes, then.verifiers) == (before.changes, before.verifiers)
    assert then.checkpoints == {}
    assert life(ShowVault()).verifiers != before.verifiers


def test_blame_names_by_whose_hand_it_then_was(life: Life) -> None:
    life.allow("set")
    life.set("db")
    at = size(life)
    life(UpdateSecret(name="db", exp=5), BOB)
    then = {fact.attribute: fact for fact in life(Blame(name="db", as_of=at))}
    now = {fact.attribute: fact for fact in life(Blame(name="db"))}
    assert (then["exp"].principal, then["exp"].value) == (ALICE.principal, None)
    assert (now["exp"].principal, now["exp"].value) == (BOB.principal, 5)


def test_a_question_about_a_point_is_recorded_with_it(life: Life) -> None:
    life.set("db")
    at = size(life)
    life.set("db")
    asked: list[Command[Any]] = [
        Blame(name="db", as_of=at),
        WhoCould(name="db", as_of=at),
        PlanRestore(to=at),
    ]
    for command in asked:
        life(command)
        assert life.traces()[-1].event.as_of == at
    life(Blame(name="db"))
    assert life.traces()[-1].event.as_of is None
