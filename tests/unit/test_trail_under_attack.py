"""Two that put what is late at once, positions that lie, rows and records that do not open."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from eventstore.log import Log
from eventstore.record import Draft, Entry
from eventstore.transaction import Append
from projections import late
from projections.late import LateViews
from projections.rebuild import rebuild
from projections.rows import Put, Rows, by_name_key
from projections.views import Views
from support.late import NAMES, another, late_vault, let_little_be_much, read, reads_of
from support.vaults import ALICE, stale_rows
from vault.history_commands import ReadHistory
from vault.service import Vault


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    let_little_be_much(monkeypatch)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with late_vault(tmp_path / "store") as vault:
        yield vault


def transact_alone(log: Log, work: object) -> None:
    """As somebody who writes the files would: nobody follows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LateViews, "before_commit", lambda *_: None)
        log.transact(work)  # type: ignore[arg-type]


def leave_late(vault: Vault, reads: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LateViews, "before_commit", lambda *_: None)
        for _ in range(reads):
            read(vault)


def folded_by(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The positions of the records that are folded from now on."""
    folded: list[int] = []
    fold = vault.trail.fold

    def counted(rows: Rows, entry: Entry[Any]) -> list[Put]:
        folded.append(entry.position)
        return fold(rows, entry)

    monkeypatch.setattr(vault.trail, "fold", counted)
    return folded


# --- who puts -------------------------------------------------------------------------------------


def test_a_question_to_who_stays_and_is_far_behind_leaves_him_the_lock(vault: Vault) -> None:
    leave_late(vault, late.FAR_TOO_MANY + 3 * late.MOST)
    vault.trail.stay()
    assert reads_of(vault) == late.FAR_TOO_MANY + 3 * late.MOST
    assert vault.trail._lumps is None or vault.trail._lock.is_had()


@pytest.mark.parametrize("seed", range(8))
def test_two_who_stay_count_right_even_if_somebody_takes_the_lock_s_file_away(
    vault: Vault, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So many that a lump is put by several commits, between which the other one's come.
    for name, many in (("MOST", 64), ("FAR_TOO_MANY", 256), ("FEW", 2)):
        monkeypatch.setattr(late, name, many)
    chance = random.Random(seed)
    one, two = vault.trail, another(vault)
    one.stay()
    two.stay()
    for number in range(600):
        if number % 40 == 0:
            (vault.access.path / "trail.lock").unlink(missing_ok=True)
        often, seldom = (one, two) if number // 50 % 2 else (two, one)
        vault.access._observer = chance.choice((often, often, seldom))
        read(vault, chance.choice(NAMES))
    vault.access._observer = one
    two.close()
    assert stale_rows(vault) == []


def test_a_question_ends_while_others_read_without_end(vault: Vault) -> None:
    leave_late(vault, 10)
    put = vault.trail._put_alone

    def put_while_others_read(append: Append) -> bool:
        done = put(append)
        for _ in range(2 * late.FEW):
            append.append(append_as_read)
        return done

    append_as_read = _draft_of(vault)
    vault.trail._put_alone = put_while_others_read  # type: ignore[method-assign]
    assert reads_of(vault) == 10 + 2 * late.FEW


def _draft_of(vault: Vault) -> Draft:
    entry = vault.access.read(vault.access.head().size - 1)
    return Draft(entry.context, entry.event)


# --- what lies ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", [10**9, 2**63, -5])
def test_a_position_that_cannot_be_hides_no_read(vault: Vault, lie: int) -> None:
    for _ in range(6):
        read(vault)

    def forge(append: Append) -> None:
        pointer = vault.trail.pointer(append.transaction)
        vault.trail.point(append.transaction, replace(pointer, through=lie))
        append.touch()

    transact_alone(vault.access, forge)
    assert reads_of(vault) == 6
    read(vault)
    assert reads_of(vault) == 7
    transact_alone(vault.access, forge)
    vault.rebuild()
    read(vault)
    assert reads_of(vault) == 8


@pytest.mark.parametrize("kind", ["access", "changes"])
def test_a_rebuild_heals_a_row_that_does_not_open_and_says_so(vault: Vault, kind: str) -> None:
    for _ in range(late.MOST):
        read(vault)
    log, views = (vault.access, vault.trail) if kind == "access" else (vault.changes, vault.views)
    transact_alone(log, lambda append: _spoil_a_row(views, append))
    read(vault) if kind == "access" else None
    rebuilt = vault.rebuild()
    assert rebuilt.before != rebuilt.after
    assert reads_of(vault) == late.MOST + (kind == "access")


def _spoil_a_row(views: Views, append: Append) -> None:
    table = views._table(views.pointer(append.transaction))
    with append.transaction.cursor(db=table) as cursor:
        place, sealed = next((place, sealed) for place, sealed in cursor if sealed)
    spoiled = sealed[:-1] + bytes([sealed[-1] ^ 1])
    append.transaction.put(place, spoiled, db=table)
    append.touch()


@pytest.mark.parametrize("stays", [False, True])
def test_a_late_record_that_does_not_open_is_not_come_to_with_each_read(
    vault: Vault, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_late(vault, 40)

    def alter(append: Append) -> None:
        key = (39).to_bytes(8, "big")
        row = bytearray(append.row(39))
        row[-20] ^= 1
        append.transaction.put(key, bytes(row), db=append._tables.records)
        append.touch()

    transact_alone(vault.access, alter)
    vault.trail._recent.clear()
    if stays:
        vault.trail.stay()
    folded = folded_by(vault, monkeypatch)
    for _ in range(late.FAR_TOO_MANY - 1):
        read(vault)
    assert len(folded) <= 2 * 40
    transact_alone(vault.access, alter)  # back again
    assert reads_of(vault) == 40 + late.FAR_TOO_MANY - 1


def test_a_pointer_that_is_none_stops_questions_and_no_read(vault: Vault) -> None:
    def forge(append: Append) -> None:
        append.transaction.put(b"views", b"none")
        append.touch()

    stood: list[bytes] = []
    with vault.access.snapshot() as snapshot:
        stood.append(snapshot.transaction.get(b"views", b""))
    transact_alone(vault.access, forge)
    read(vault)
    with pytest.raises(Exception, match="not decodable"):
        reads_of(vault)

    def mend(append: Append) -> None:
        append.transaction.put(b"views", stood[0])
        append.touch()

    transact_alone(vault.access, mend)
    assert reads_of(vault) == 1


# --- threads, and cost ----------------------------------------------------------------------------


def test_a_thread_s_rows_are_those_of_its_own_snapshot(vault: Vault) -> None:
    read(vault)
    vault.access.transact(vault.trail.catch_up)
    with vault.access.snapshot() as old:
        stood = vault.trail.pointer(old.transaction)
        key = by_name_key("db", 0)
        plain = vault.trail._live_sealer(stood).place(key)
        rebuild(vault.access, vault.trail, vault.trail._keys.allocate())  # type: ignore[attr-defined]
        with vault.access.snapshot() as new:
            newer = vault.trail.pointer(new.transaction)
        assert vault.trail.pointer(old.transaction) == stood != newer

        class Meanwhile(tuple[int, int, int]):
            """Another thread reads from a newer snapshot, just when this one has compared."""

            def __ne__(self, other: object) -> bool:
                vault.trail._known = None
                vault.trail._live_sealer(newer)
                return tuple.__ne__(self, other)

        mine = (stood.generation, stood.view_key, stood.index_key)
        sealer = vault.trail._sealer(stood)
        vault.trail._known = (Meanwhile(mine), sealer)
        assert vault.trail._live_sealer(stood) is sealer
        assert sealer.place(key) == plain


def test_records_that_are_asked_for_by_no_name_are_told_without_a_fold(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        read(vault)
    folded = folded_by(vault, monkeypatch)
    assert len(vault.handle(ALICE, ReadHistory(logs=("access",)))) == 4
    assert folded == []
