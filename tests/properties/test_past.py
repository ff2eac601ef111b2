"""Any point of the past is what a replay from nothing gives, and going back leads there."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from eventstore.errors import MunimentError
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
from vault.commands import (
    BackupSecret,
    Command,
    DeletePolicy,
    DeleteSecret,
    ListSecrets,
    PlanRestore,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    Restore,
    RestoreSecret,
    SetPolicy,
    SetSecret,
    UpdateSecret,
)

NAMES = [f"name-{number}" for number in range(5)]
STEPS = 220


def a_step(draw: Random, blobs: list[bytes]) -> Command[Any]:
    name, who = draw.choice(NAMES), draw.choice(["carol", "dave"])
    choices: list[Command[Any]] = [
        SetSecret(name=name, value=str(draw.randrange(3)), tags={"n": str(draw.randrange(2))}),
        SetSecret(name=name, value=str(draw.random())),
        UpdateSecret(name=name, enabled=draw.random() < 0.7, exp=draw.randrange(9)),
        DeleteSecret(name=name),
        RecoverDeletedSecret(name=name),
        PurgeDeletedSecret(name=name),
        BackupSecret(name=name),
        SetPolicy(object_id=who, secrets=(draw.choice(["get", "list"]),)),
        DeletePolicy(object_id=who),
    ]
    if blobs:
        choices.append(RestoreSecret(blob=draw.choice(blobs)))
    return draw.choice(choices)


def live(life: Life, seed: int) -> None:
    """Do what the draw says; much of it is refused."""
    draw = Random(seed)
    blobs: list[bytes] = []
    for _ in range(STEPS):
        life.clock.advance(seconds=draw.choice([0, 1, 60]))
        try:
            done = life(a_step(draw, blobs))
        except MunimentError:
            continue
        if blob := getattr(done, "blob", None):
            blobs.append(blob)


def told(rows: Rows) -> list[object]:
    """All that has a past, as it stands in *rows*."""
    found: list[object] = [rows.get(settings_key(), Settings)]
    found += sorted(map(repr, rows.secrets())) + sorted(map(repr, rows.policies()))
    for name in NAMES:
        owner = secret_key(name).owner
        found.append(rows.get(secret_key(name), Secret))
        found += [row for _, row in rows.scan(Table.VERSIONS, Version, owner)]
    return found


def compare(snapshot: Snapshot, rows: Rows) -> int:
    replayed, compared = State(), 0
    for entry in snapshot.entries():
        assert told(PastRows(rows, entry.position)) == told(replayed)
        replayed.fold([entry])
        compared += 1
    assert told(PastRows(rows, snapshot.size)) == told(replayed) == told(rows)
    return compared


@pytest.mark.parametrize("seed", range(4))
def test_every_point_is_what_a_replay_of_the_records_before_it_gives(
    tmp_path: Path, seed: int
) -> None:
    with life_in(tmp_path / "store") as life:
        live(life, seed)
        vault = life.vault
        with vault.changes.snapshot() as snapshot:
            assert compare(snapshot, vault.views.reader(snapshot.transaction)) > 60


@pytest.mark.parametrize("seed", range(4))
def test_going_back_leads_to_the_point_but_for_what_is_lost(tmp_path: Path, seed: int) -> None:
    with life_in(tmp_path / "store") as life:
        live(life, seed)
        draw = Random(seed)
        for _ in range(6):
            to = draw.randrange(2, life.vault.changes.head().size)
            plan = PlanRestore(to=to, attributes=True, policies=True, prune=True)
            planned = life(plan)
            life(Restore(plan=plan, head=planned.head))
            assert {step.action for step in life(plan).steps} <= {"lost"}
            then = {one.name for one in life(ListSecrets(as_of=to)) if one.erased_by is None}
            now = {one.name for one in life(ListSecrets())}
            lost = {step.name for step in planned.steps if step.action == "lost"}
            assert now - lost == then
