"""Every way that a value left is told: by a read, in a backup blob, with a copy of the vault."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.life import Life, life_in
from support.vaults import ALICE, BOB
from vault.commands import (
    BackupSecret,
    Command,
    GetDeletedSecret,
    GetSecret,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    UpdateSecret,
)
from vault.history_commands import CopyVault, Exposed, ReadHistory, Replay, WhoRead
from vault.points import AtTime, Now


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


def size(life: Life) -> int:
    return life.vault.changes.head().size


def ways(life: Life, name: str, version: str = "") -> list[tuple[str, str]]:
    return [(one.principal, one.how) for one in life(WhoRead(name=name, version=version))]


def exposed(life: Life, principal: str) -> dict[str, tuple[str, tuple[str, ...], int]]:
    """Of each version that the principal was given: its status, how, and how often."""
    facts = life(Exposed(principal=principal))
    return {fact.version: (fact.status, fact.how, fact.count) for fact in facts}


def test_a_backup_gives_out_every_version_that_there_was(life: Life) -> None:
    life.allow("backup")
    old, new = (life.set("db", value).version for value in ("one", "two"))
    at = size(life)
    life(BackupSecret(name="DB"), BOB)
    later = life.set("db", "three").version

    (fact,) = life(WhoRead(name="db"))
    assert (fact.principal, fact.how, fact.log) == (BOB.principal, "backup", "changes")
    assert (fact.position, fact.name, fact.version) == (at, "db", "")
    assert fact.time == life.changes()[at].time
    assert ways(life, "db", old) == [(BOB.principal, "backup")]
    assert ways(life, "db", later) == []
    assert exposed(life, BOB.principal) == {
        old: ("older", ("backup",), 1),
        new: ("older", ("backup",), 1),
    }


def test_a_version_that_was_given_in_many_ways_is_told_once(life: Life) -> None:
    version = life.set("db").version
    life(GetSecret(name="db"))
    life(BackupSecret(name="db"))
    life(BackupSecret(name="db"))
    life(CopyVault(as_of=size(life)))

    (fact,) = life(Exposed(principal=ALICE.principal))
    assert (fact.version, fact.status, fact.count) == (version, "current", 4)
    assert fact.how == ("read", "backup", "copy")
    assert (fact.first_log, fact.last_log) == ("access", "access")
    assert fact.first_time < fact.last_time
    assert ways(life, "db") == [
        (ALICE.principal, how) for how in ("read", "backup", "backup", "copy")
    ]


def test_a_copy_gives_out_what_was_active_at_its_point(life: Life) -> None:
    old = life.set("db", "one").version
    life.set("gone")
    life.delete("gone")
    point = size(life)
    new = life.set("db", "two").version
    life.set("later")
    life.store.restore_into(ALICE, life.vault, point, "copied")

    (fact,) = life(WhoRead(name="db"))
    assert (fact.principal, fact.how, fact.as_of) == (ALICE.principal, "copy", point)
    assert ways(life, "db", new) == ways(life, "later") == ways(life, "gone") == []
    assert exposed(life, ALICE.principal) == {old: ("older", ("copy",), 1)}
    life.store.vault("copied").close()


def test_many_copies_give_out_what_each_of_them_held(life: Life) -> None:
    """Checked against what the lists say of each point."""
    draw = random.Random(3)
    expected: Counter[str] = Counter()
    for _ in range(80):
        name = draw.choice(("a", "b", "c"))
        listed = {one.name for one in life(ListSecrets())}
        gone = {one.name for one in life(ListDeletedSecrets())}
        step = draw.random()
        if name in gone:
            if step < 0.5:
                life(PurgeDeletedSecret(name=name))
            else:
                life(RecoverDeletedSecret(name=name))
        elif name in listed and step < 0.2:
            life.delete(name)
        elif name in listed and step < 0.4:
            life(UpdateSecret(name=name, enabled=draw.random() < 0.5))
        elif step < 0.8:
            life.set(name)
        else:
            point = draw.randrange(2, size(life) + 1)
            life(CopyVault(as_of=point))
            for one in life(ListSecrets(as_of=point)):
                if one.erased_by is None:
                    versions = life(ListSecretVersions(name=one.name, as_of=point))
                    expected.update(version.version for version in versions)

    assert len(expected) > 10
    facts = life(Exposed(principal=ALICE.principal))
    assert {fact.version: fact.count for fact in facts} == expected
    assert {fact.how for fact in facts} == {("copy",)}


def test_a_purge_before_the_copy_kept_the_value_in_and_one_after_did_not(life: Life) -> None:
    for name in ("before", "after"):
        life.set(name)
    point = size(life)
    life.purge("before")
    life(CopyVault(as_of=point))
    life.purge("after")

    assert ways(life, "before") == []
    assert ways(life, "after") == [(ALICE.principal, "copy")]
    (fact,) = life(Exposed(principal=ALICE.principal))
    assert (fact.name, fact.status) == ("after", "purged")


def test_a_blob_of_a_purged_secret_is_still_told(life: Life) -> None:
    version = life.set("db").version
    life(BackupSecret(name="db"))
    life.delete("db")
    life(PurgeDeletedSecret(name="db", backups=True))
    newer = life.set("db").version

    assert exposed(life, ALICE.principal) == {version: ("purged", ("backup",), 1)}
    assert ways(life, "db", version) == [(ALICE.principal, "backup")]
    assert ways(life, "db", newer) == []


def test_a_period_bounds_every_way(life: Life) -> None:
    life.set("db")
    marks = [life.clock.now]
    given: list[Command[Any]] = [GetSecret(name="db"), BackupSecret(name="db")]
    for command in (*given, CopyVault(as_of=size(life))):
        life(command)
        life.clock.advance(seconds=1)
        marks.append(life.clock.now)
    for at, how in enumerate(("read", "backup", "copy")):
        (fact,) = life(WhoRead(name="db", since=AtTime(marks[at]), until=AtTime(marks[at + 1])))
        assert fact.how == how


def test_a_period_until_now_holds_what_was_read_after_the_newest_change(life: Life) -> None:
    life.set("db")
    life.clock.advance(seconds=1)
    life(GetSecret(name="db"))
    (fact,) = life(WhoRead(name="db", since=AtTime(0), until=Now()))
    assert (fact.how, fact.log) == ("read", "access")
    assert fact.position in [one.item.position for one in life(Replay(until=Now()))]


def test_a_period_that_ends_before_it_begins_is_refused_rather_than_empty(life: Life) -> None:
    life.set("db")
    late, early = AtTime(life.clock.now), AtTime(life.clock.now - 1)
    life.refuses("points.reversed", WhoRead(name="db", since=late, until=early))
    life.refuses("points.reversed", Replay(since=late, until=early))
    life.refuses("points.reversed", ReadHistory(start=late.time, stop=early.time))
    life.refuses("points.reversed", ReadHistory(from_event=2, before_event=1))
    assert life(WhoRead(name="db", since=late, until=late)) == []


def test_a_secret_that_never_was_is_not_found_rather_than_unread(life: Life) -> None:
    life.allow("get")
    life.refuses("secret.not-found", GetSecret(name="bd"), BOB)
    life.refuses("secret.not-found", WhoRead(name="bd"))
    life.refuses("secret.not-found", WhoRead(name=BOB.principal.partition("@")[0]))
    life.set("db")
    life.purge("db")
    assert ways(life, "DB") == []


def test_who_only_looked_at_attributes_was_given_no_value(life: Life) -> None:
    life.allow("list", "get")
    life.set("db")
    life(ListSecretVersions(name="db"), BOB)
    life.delete("db")
    life(GetDeletedSecret(name="db"), BOB)
    assert ways(life, "db") == []
    assert exposed(life, BOB.principal) == {}


def test_a_blob_for_one_is_no_exposure_of_another(life: Life) -> None:
    life.allow("backup")
    life.set("db")
    life(BackupSecret(name="db"), BOB)
    life(CopyVault(as_of=size(life)))
    assert {how for _, how, _ in exposed(life, BOB.principal).values()} == {("backup",)}
    assert {how for _, how, _ in exposed(life, ALICE.principal).values()} == {("copy",)}
