"""Any point of the past is what a replay from nothing gives, and going back leads there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from eventstore.errors import MunimentError
from eventstore.events import SecretPurged
from eventstore.transaction import Snapshot
from projections.past import PastRows
from projections.rows import (
    Rows,
    Secret,
    Settings,
    Table,
    Version,
    secret_key,
    settings_key,
)
from projections.state import State
from support.life import Life, life_in
from support.vaults import ALICE
from vault.answers import Backup
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
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
from vault.history_commands import PlanRestore, Restore
from vault.reading import Reading
from vault.rule_commands import DeletePolicy, ListPolicies, SetPolicy, UpdateVault

NAMES = [f"name-{number}" for number in range(4)]
PRINCIPALS = ["carol", "dave"]
EXAMPLES = os.environ.get("MUNIMENT_EXAMPLES")

Step = Callable[[Life, list[bytes]], Command[Any] | None]
"""What to ask next; it may look at the vault as it is, and at the blobs that were issued."""


def _restored(number: int) -> Step:
    return lambda _, blobs: RestoreSecret(blob=blobs[number % len(blobs)]) if blobs else None


def _gone_back(number: int, prune: bool) -> Step:
    def step(life: Life, _: list[bytes]) -> Command[Any]:
        head = life.vault.changes.head().size
        plan = PlanRestore(to=2 + number % (head - 1), attributes=True, policies=True, prune=prune)
        return Restore(plan=plan, head=head)

    return step


def _always(command: Command[Any]) -> Step:
    return lambda *_: command


names = st.sampled_from(NAMES)
# Few values, so that a value often goes back to what it was.
values = st.sampled_from(["one", "two", "three"])
tags = st.sampled_from([None, {}, {"n": "1"}])
dates = st.sampled_from([None, 1, 2])
sets = st.builds(SetSecret, name=names, value=values, tags=tags, enabled=st.booleans(), exp=dates)
steps = st.one_of(
    st.one_of(
        sets,
        st.builds(ImportSecrets, items=st.lists(sets, min_size=1, max_size=3).map(tuple)),
        st.builds(UpdateSecret, name=names, tags=tags, enabled=st.booleans(), exp=dates),
    ).map(_always),
    st.one_of(
        st.builds(DeleteSecret, name=names),
        st.builds(RecoverDeletedSecret, name=names),
        st.builds(PurgeDeletedSecret, name=names),
        st.builds(BackupSecret, name=names),
    ).map(_always),
    st.one_of(
        st.builds(
            SetPolicy,
            object_id=st.sampled_from(PRINCIPALS),
            secrets=st.sampled_from([("get",), ("list",)]),
        ),
        st.builds(DeletePolicy, object_id=st.sampled_from(PRINCIPALS)),
        st.builds(
            UpdateVault,
            administrators=st.sampled_from(PRINCIPALS).map(lambda who: (ALICE.principal, who)),
        ),
    ).map(_always),
    st.builds(_restored, st.integers(0, 9)),
    st.builds(_gone_back, st.integers(0, 999), st.booleans()),
)
waits = st.sampled_from([0, 1, 60, -3600])
histories = st.lists(st.tuples(waits, steps), min_size=40, max_size=120)
History = list[tuple[int, Step]]

lived = settings(
    max_examples=int(EXAMPLES or 40),
    derandomize=EXAMPLES is None,
    # To shrink takes minutes, and CI has none to spare: the longer run does.
    phases=[phase for phase in Phase if EXAMPLES or phase != Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@contextmanager
def a_life_of(history: History) -> Iterator[Life]:
    """A vault in which *history* was asked for; much of it is refused."""
    with TemporaryDirectory() as place, life_in(Path(place) / "store") as life:
        blobs: list[bytes] = []
        for wait, step in history:
            life.clock.advance(seconds=wait)
            command = step(life, blobs)
            if command is None:
                continue
            try:
                done = life(command)
            except MunimentError:
                continue
            if isinstance(done, Backup):
                blobs.append(done.blob)
        yield life


def told(rows: Rows) -> list[object]:
    """All that has a past, as it stands in *rows*."""
    found: list[object] = [rows.get(settings_key(), Settings)]
    found += sorted(map(repr, rows.secrets())) + sorted(map(repr, rows.policies()))
    for name in NAMES:
        owner = secret_key(name).owner
        found.append(rows.get(secret_key(name), Secret))
        found += [row for _, row in rows.scan(Table.VERSIONS, Version, owner)]
    return found


def answered(reading: Reading) -> list[object]:
    """All that can be asked of a vault as of a point, but for who erased what later."""
    asked: list[Command[Any]] = [ListSecrets(), ListDeletedSecrets(), ListPolicies()]
    asked += [ListSecretVersions(name=name) for name in NAMES]
    found = [one for command in asked for one in reading.answer(command).answer]
    return [replace(one, erased_by=None) if hasattr(one, "erased_by") else one for one in found]


def compare_every_position(snapshot: Snapshot, rows: Rows) -> None:
    """What stands in *rows* as of each size, against a fold of the records before it."""
    replayed = State()
    for entry in snapshot.entries():
        size = entry.position
        assert told(PastRows(rows, size)) == told(replayed)
        if size:
            then = Reading(snapshot, rows, size)
            assert answered(then) == answered(Reading(snapshot, replayed))
        replayed.fold([entry])
    assert told(PastRows(rows, snapshot.size)) == told(replayed) == told(rows)
    assert answered(Reading(snapshot, rows)) == answered(Reading(snapshot, replayed))


def test_every_point_is_what_a_replay_of_the_records_before_it_gives() -> None:
    sizes, purges = [], 0

    @lived
    @given(history=histories)
    def compare_all_of(history: History) -> None:
        nonlocal purges
        with a_life_of(history) as life, life.vault.changes.snapshot() as snapshot:
            compare_every_position(snapshot, life.vault.views.reader(snapshot.transaction))
            sizes.append(snapshot.size)
            purges += sum(isinstance(one.event, SecretPurged) for one in snapshot.entries())

    compare_all_of()
    # Worth comparing: long histories, in which what was listed was purged since.
    assert max(sizes) > 80
    assert purges > 10


@lived
@given(history=histories, numbers=st.lists(st.integers(0, 999), min_size=3, max_size=3))
def test_going_back_leads_to_the_point_but_for_what_is_lost(
    history: History, numbers: list[int]
) -> None:
    with a_life_of(history) as life:
        for number in numbers:
            to = 2 + number % (life.vault.changes.head().size - 1)
            plan = PlanRestore(to=to, attributes=True, policies=True, prune=True)
            planned = life(plan)
            life(Restore(plan=plan, head=planned.head))
            assert {step.action for step in life(plan).steps} <= {"lost"}
            then = {one.name for one in life(ListSecrets(as_of=to)) if not one.erased}
            now = {one.name for one in life(ListSecrets())}
            lost = {step.name for step in planned.steps if step.action == "lost"}
            assert now - lost == then
