"""Whatever a vault lived through, every point of its past is what a fold of the log up to it gives.

Generated histories: names that come again, versions, policies, retention, backups, and going back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from eventstore.errors import MunimentError
from projections.past import KINDS, PastRows
from projections.rows import Rows, Secret, Settings, Table, Version, secret_key, settings_key
from projections.state import State
from support.life import Life, life_in
from support.vaults import BOB, MALLORY
from vault.answers import Policy, RestorePlan
from vault.commands import (
    BackupSecret,
    DeletePolicy,
    DeleteSecret,
    GetSecret,
    ListPolicies,
    ListSecrets,
    PlanRestore,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    Restore,
    RestoreSecret,
    SetPolicy,
    SetSecret,
    UpdateSecret,
    UpdateVault,
)

pytestmark = pytest.mark.slow

# Two names that differ in case only are one secret.
NAMES = ["db", "DB", "api"]
PEOPLE = [BOB.principal, MALLORY.principal]
Step = Callable[[Life], Any]

names = st.sampled_from(NAMES)
people = st.sampled_from(PEOPLE)
values = st.sampled_from(["one", "two"])
permissions = st.sets(st.sampled_from(["get", "list", "set"])).map(lambda some: tuple(sorted(some)))
tags = st.none() | st.dictionaries(st.just("env"), st.sampled_from(["prod", "test"]))
dates = st.none() | st.just(4_000_000_000)


def restored(name: str) -> Step:
    def step(life: Life) -> None:
        blob = life(BackupSecret(name=name)).blob
        life.purge(name)
        life(RestoreSecret(blob=blob))

    return step


def gone_back(back: int) -> Step:
    def step(life: Life) -> None:
        size = life.vault.changes.head().size
        go_back(life, PlanRestore(to=max(1, size - back)))

    return step


def waited(days: int) -> Step:
    return lambda life: life.clock.advance(days=days)


def asked(command: Any) -> Step:
    return lambda life: life(command)


sets = st.builds(SetSecret, name=names, value=values, tags=tags, exp=dates)
steps = st.lists(
    st.one_of(
        sets.map(asked),
        sets.map(asked),
        st.builds(UpdateSecret, name=names, tags=tags, enabled=st.booleans(), exp=dates).map(asked),
        st.builds(DeleteSecret, name=names).map(asked),
        st.builds(RecoverDeletedSecret, name=names).map(asked),
        st.builds(PurgeDeletedSecret, name=names).map(asked),
        st.builds(SetPolicy, object_id=people, secrets=permissions).map(asked),
        st.builds(DeletePolicy, object_id=people).map(asked),
        st.builds(UpdateVault, purge_protection=st.just(False)).map(asked),
        names.map(restored),
        st.integers(1, 6).map(gone_back),
        st.sampled_from([3, 8]).map(waited),
    ),
    min_size=4,
    max_size=16,
)
quick = settings(
    max_examples=80,
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def live_through(life: Life, history: list[Step]) -> None:
    for step in history:
        with suppress(MunimentError):  # what is refused changes nothing
            step(life)


def facts(rows: Rows) -> dict[str, Any]:
    """All that has a past, by what it is."""
    owners = [secret_key(name).owner for name in NAMES]
    return {
        "settings": rows.get(settings_key(), Settings),
        "secrets": sorted(rows.secrets(), key=lambda row: row.name),
        "named": [rows.get(secret_key(name), Secret) for name in NAMES],
        "versions": [list(rows.scan(Table.VERSIONS, Version, owner)) for owner in owners],
        "policies": sorted(rows.policies(), key=lambda row: row.object_id),
    }


class Stood(NamedTuple):
    """What is told of an active secret, but for version, dates and the name's case."""

    value: str | None
    described: tuple[Any, ...]


def stands(life: Life, size: int | None = None) -> dict[str, Stood]:
    """The active secrets, as they are or as they were when `changes` had *size* records."""
    found = {}
    for item in life(ListSecrets(as_of=size)):
        enabled, value = item.attributes.enabled, None
        if enabled and item.erased_by is None:
            value = life(GetSecret(name=item.name, as_of=size)).value
        described = (
            item.content_type,
            item.tags,
            enabled,
            item.attributes.nbf,
            item.attributes.exp,
        )
        found[item.name.upper()] = Stood(value, described)
    return found


def tell(policy: Policy) -> tuple[Any, ...]:
    return policy.object_id, policy.secrets, policy.storage


def go_back(life: Life, plan: PlanRestore) -> RestorePlan:
    head = life.vault.changes.head().size
    return life(Restore(plan=plan, head=head))


@quick
@given(history=steps)
def test_every_point_of_the_past_is_what_the_log_up_to_there_says(history: list[Step]) -> None:
    with (
        tempfile.TemporaryDirectory() as place,
        life_in(Path(place) / "s", retention_days=7) as life,
    ):
        # when a vault has lived
        live_through(life, history)
        entries = life.changes()
        # then at each size the rows kept by position are those of a fold from nothing
        with life.vault.changes.snapshot() as snapshot:
            live = life.vault.views.reader(snapshot.transaction)
            folded = State()
            for size in range(len(entries) + 1):
                assert facts(PastRows(live, size)) == facts(folded), f"as of size {size}"
                folded.fold(entries[size : size + 1])
            assert facts(live) == facts(folded)


@quick
@given(history=steps, later=steps, data=st.data())
def test_after_going_back_there_is_nothing_left_to_go_back_to(
    history: list[Step], later: list[Step], data: st.DataObject
) -> None:
    with (
        tempfile.TemporaryDirectory() as place,
        life_in(Path(place) / "s", retention_days=7) as life,
    ):
        # given a point in the midst of a life
        live_through(life, history)
        to = life.vault.changes.head().size
        live_through(life, later)
        what = data.draw(st.fixed_dictionaries(dict.fromkeys(CHOICES, st.booleans())))
        plan = PlanRestore(to=to, **what)
        # when it goes back there
        before = stands(life)
        then = stands(life, to)
        done = go_back(life, plan)
        # then what cannot come back is all that a second plan would name
        again = life(plan)
        assert {step.action for step in again.steps} <= {"lost"}
        lost = {step.name.upper() for step in done.steps if step.action == "lost"}
        assert {step.name.upper() for step in again.steps} == lost
        # and all else stands as it stood there, as far as was asked
        now = stands(life)
        assert now.keys() - lost >= then.keys() - lost
        for name in then.keys() - lost:
            assert now[name].value == then[name].value
            if what["attributes"]:
                assert now[name] == then[name]
        if what["prune"]:
            assert now.keys() - lost == then.keys() - lost
        else:
            assert before.keys() <= now.keys()
        policies = life(ListPolicies()), life(ListPolicies(as_of=to))
        if what["policies"]:
            assert [tell(one) for one in policies[0]] == [tell(one) for one in policies[1]]


CHOICES = ("attributes", "policies", "prune")


def test_the_tables_with_a_past_are_those_that_are_compared_here() -> None:
    assert set(KINDS) == {Table.SETTINGS, Table.SECRETS, Table.VERSIONS, Table.POLICIES}
