"""The trail follows late, and whoever asks is told of every record all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import lmdb
import pytest
from msgspec.structs import replace

from eventstore.errors import LogUnavailable, SealBroken
from eventstore.transaction import Append
from projections import late, trail
from projections.late import LateViews
from projections.lumps import Lumps
from projections.rows import (
    Exposure,
    Mark,
    Put,
    RowKey,
    Table,
    by_name_key,
    by_principal_key,
    exposure_key,
)
from projections.state import State
from support.late import NAMES, another, late_vault, let_little_be_much, read, reads_of
from support.vaults import ALICE, check, make_vault, stale_rows
from vault.caller import Caller
from vault.commands import Command, GetSecret, SetSecret
from vault.history_commands import Blame, Exposed, ReadHistory, Replay, WhoRead
from vault.refusals import SecretNotFound
from vault.service import Vault
from vault.store import Store
from vault.together import Ask


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    let_little_be_much(monkeypatch)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with late_vault(tmp_path / "store") as vault:
        yield vault


def through(vault: Vault) -> int:
    with vault.access.snapshot() as snapshot:
        return vault.trail.through(snapshot)


def lateness(vault: Vault) -> int:
    return vault.access.head().size - through(vault)


def test_a_read_puts_no_row(vault: Vault) -> None:
    before = through(vault)
    read(vault)
    assert (through(vault), lateness(vault)) == (before, vault.access.head().size - before)
    with vault.access.snapshot() as snapshot:
        assert list(vault.trail.reader(snapshot.transaction).opened()) == []


def test_a_read_needs_no_key_of_the_trail(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise AssertionError("the trail's keys were fetched for a read")

    monkeypatch.setattr(vault.trail, "_known", None)
    with monkeypatch.context() as patch:
        patch.setattr(vault.trail, "_sealer", refuse)
        read(vault)
    assert reads_of(vault) == 1


@pytest.mark.parametrize("stays", [False, True])
def test_every_question_sees_every_read_whatever_is_late(
    vault: Vault, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "FEW", 100)  # so that all that is late is folded for the question
    if stays:
        vault.stay(lambda: None)
    seen = set()
    given: Counter[str] = Counter()
    for number in range(1, 100):
        name = NAMES[number % 3]
        version = read(vault, name)
        given[name] += 1
        if number % 7 == 0:
            seen.add(lateness(vault))
            assert reads_of(vault, name) == given[name]
            facts = vault.handle(ALICE, Exposed(principal=ALICE.principal))
            assert {fact.version: fact.count for fact in facts}[version] == given[name]
    assert len(seen) > 3
    assert through(vault) > 0


def test_who_stays_puts_what_is_late_with_its_commits_and_is_never_far_behind(
    vault: Vault,
) -> None:
    vault.stay(lambda: None)
    stood = []
    for _ in range(300):
        read(vault)
        stood.append(through(vault))
        assert lateness(vault) <= 4 * late.MOST
    assert stood == sorted(stood)
    assert len(set(stood)) > 10
    assert reads_of(vault, "db") == 300


def test_who_does_not_stay_puts_it_all_at_once(vault: Vault) -> None:
    for _ in range(200):
        read(vault)
        assert lateness(vault) < late.MOST
    assert reads_of(vault, "db") == 200


def test_many_at_once_are_followed_as_well(vault: Vault) -> None:
    vault.stay(lambda: None)
    asks = [Ask(ALICE, GetSecret(name=NAMES[at % 3])) for at in range(20)]
    for _ in range(40):
        vault.handle_all(asks)
        assert lateness(vault) <= 4 * late.MOST + len(asks)
    assert sum(reads_of(vault, name) for name in NAMES) == 800


def test_a_transaction_that_fails_leaves_nothing_of_what_it_put(vault: Vault) -> None:
    vault.stay(lambda: None)

    def full(_: object) -> None:
        raise lmdb.MapFullError("no room")

    for number in range(120):
        if number % 5 == 0:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("eventstore.transaction.Append.finish", full)
                with pytest.raises(LogUnavailable, match="no room"):
                    read(vault)
        read(vault)
    assert reads_of(vault, "db") == 120
    assert stale_rows(vault) == []


def test_rows_that_were_put_in_vain_are_put_again(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The commit that follows puts none, as few records are late behind what was folded.
    vault.stay(lambda: None)
    step, steps, failed = LateViews._step, count(), []

    def step_in_vain(self: LateViews, append: Append, lumps: Lumps) -> None:
        step(self, append, lumps)
        if lumps._left and next(steps) % 2:  # amid a lump
            failed.append(append.size)
            raise lmdb.MapFullError("no room")

    monkeypatch.setattr(LateViews, "_step", step_in_vain)
    reads = 0
    while reads < 120:
        with suppress(LogUnavailable):
            read(vault)
            reads += 1
    assert len(failed) > 2
    assert reads_of(vault, "db") == 120
    assert stale_rows(vault) == []


def test_two_who_put_what_is_late_do_not_disturb_each_other(vault: Vault) -> None:
    vault.stay(lambda: None)
    other = another(vault)
    for number in range(1, 200):
        read(vault, NAMES[number % 3])
        if number % 17 == 0:
            vault.access.transact(other.catch_up)
            assert lateness(vault) == 0
    assert stale_rows(vault) == []
    assert sum(reads_of(vault, name) for name in NAMES) == 199


def test_what_another_process_puts_is_left_to_it(vault: Vault) -> None:
    other = another(vault)
    assert other._lock.take()
    for _ in range(3 * late.MOST):
        read(vault)
    assert through(vault) == 0
    assert reads_of(vault, "db") == 3 * late.MOST
    for _ in range(late.FAR_TOO_MANY):
        read(vault)
    assert through(vault) > 0  # it did not keep up
    other.close()
    assert reads_of(vault, "db") == 3 * late.MOST + late.FAR_TOO_MANY


def test_a_late_record_that_does_not_open_stops_the_question_and_no_read(vault: Vault) -> None:
    read(vault)
    position = vault.access.head().size - 1
    vault.trail._recent.clear()

    def alter(append: Append) -> None:
        key = position.to_bytes(8, "big")
        row = bytearray(append.row(position))
        row[-20] ^= 1
        append.transaction.put(key, bytes(row), db=append._tables.records)
        append.touch()

    vault.access.transact(alter)
    for _ in range(4 * late.MOST):
        read(vault)
    assert through(vault) == 0
    with pytest.raises(SealBroken):
        vault.handle(ALICE, WhoRead(name="db"))
    vault.access.transact(alter)  # back again
    assert reads_of(vault, "db") == 4 * late.MOST + 1


def test_a_rebuild_puts_what_is_late_and_finds_the_same(vault: Vault) -> None:
    for _ in range(late.MOST - 5):
        read(vault)
    assert lateness(vault) > 0
    rebuilt = vault.rebuild()
    assert rebuilt.before == rebuilt.after
    read(vault)
    assert reads_of(vault, "db") == late.MOST - 4


def test_the_trail_of_an_earlier_release_is_made_anew(vault: Vault) -> None:
    for _ in range(5):
        read(vault)

    def as_it_was(append: Append) -> None:
        pointer = replace(vault.trail.pointer(append.transaction), through=None)
        vault.trail.point(append.transaction, pointer)
        append.touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LateViews, "before_commit", lambda *_: None)
        vault.access.transact(as_it_was)
    with vault.access.snapshot() as snapshot:
        assert len(vault.trail.pointer(snapshot.transaction).encoded()) > 1
        assert vault.trail.pointer(snapshot.transaction).encoded()[0] == 0x93  # an array of three
    assert reads_of(vault, "db") == 5
    read(vault)
    with vault.access.snapshot() as snapshot:
        assert vault.trail.pointer(snapshot.transaction).encoded()[0] == 0x94


@pytest.mark.parametrize(
    ("command", "looks"),
    [
        (WhoRead(name="db"), True),
        (Exposed(principal=ALICE.principal), True),
        (ReadHistory(logs=("access",), name="db"), True),
        (ReadHistory(logs=("access",), principal=ALICE.principal), True),
        (Replay(name="db"), True),
        (ReadHistory(logs=("changes", "access")), False),
        (ReadHistory(logs=("changes",), name="db"), False),
        (Blame(name="db"), False),
    ],
)
def test_only_who_looks_at_the_trail_puts_what_is_late(
    vault: Vault, command: Command[Any], looks: bool
) -> None:
    for _ in range(late.FEW + 2):
        read(vault)
    vault.handle(ALICE, command)
    assert (through(vault) > 0) is looks


def test_refusals_and_principals_are_found_while_they_are_late(vault: Vault) -> None:
    mallory = Caller(principal="mallory@example.com", auth="test")
    for _ in range(3):
        with pytest.raises(Exception, match="permission"):
            vault.handle(mallory, GetSecret(name="db"))
    with pytest.raises(SecretNotFound):
        vault.handle(ALICE, GetSecret(name="gone"))
    asked = ReadHistory(logs=("access",), principal=mallory.principal)
    assert len(vault.handle(ALICE, asked)) == 3
    by_name = ReadHistory(logs=("access",), name="gone", newest=5)
    assert [item.outcome for item in vault.handle(ALICE, by_name)] == ["secret.not-found"]


def test_marks_lie_in_runs_and_are_found_across_them(vault: Vault) -> None:
    reader_of = vault.trail.reader
    positions = [5, 2047, 2048, 2049, 9 * 2048 + 3, 10**9, 10**15]

    def work(append: Append) -> None:
        rows = reader_of(append.transaction)
        puts = [_mark(by_name_key("db", at)) for at in reversed(positions)]
        puts += [_mark(by_name_key("api", at + 1)) for at in positions]
        puts += [_mark(by_principal_key("db", at)) for at in positions]
        rows.put(puts)
        found = [order for order, _ in rows.scan(Table.BY_NAME, Mark, b"DB")]
        assert found == [at.to_bytes(8, "big") for at in positions]
        for cut in range(len(positions)):
            after = positions[cut].to_bytes(8, "big")
            rest = [order for order, _ in rows.scan(Table.BY_NAME, Mark, b"DB", after)]
            assert rest == [at.to_bytes(8, "big") for at in positions[cut + 1 :]]
        assert not list(rows.scan(Table.BY_NAME, Mark, b"MAIL"))
        raise _Undone

    with pytest.raises(_Undone):
        vault.access.transact(work)


class _Undone(Exception):
    """Nothing of the work is kept."""


def _mark(key: RowKey) -> Put:
    return Put(key, Mark())


def test_to_fold_a_record_twice_changes_nothing(vault: Vault) -> None:
    for number in range(30):
        read(vault, NAMES[number % 3])
    with vault.access.snapshot() as snapshot:
        entries = list(snapshot.entries())
    once = State().fold(entries, trail.apply)
    twice = State().fold(entries, trail.apply).fold(entries[7:], trail.apply)
    assert dict(once.items()) == dict(twice.items())
    key = exposure_key(ALICE.principal, entries[-1].event.version)
    assert once.get(key, Exposure) == twice.get(key, Exposure)


def test_a_vault_that_is_closed_leaves_it_to_others(tmp_path: Path) -> None:
    store, vault = make_vault(tmp_path / "store")
    with store:
        vault.handle(ALICE, SetSecret(name="db", value="x"))
        vault.stay(lambda: None)
        for _ in range(5 * late.MOST):
            read(vault)
    with Store.open(tmp_path / "store") as again:
        one = again.vault("test-vault")
        assert one.trail._lock.take()
        assert reads_of(one, "db") == 5 * late.MOST
        check(one)
