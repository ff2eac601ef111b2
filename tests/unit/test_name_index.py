"""The sorted names that lists are read from: never one too few, whatever was given up meanwhile."""

from pathlib import Path

import pytest

from projections.name_index import NameIndex
from projections.rows import Known, Put, Table, known_key
from projections.state import State
from support.vaults import ALICE, Clock, check_store, make_vault
from vault.commands import DeleteSecret, ListDeletedSecrets, ListSecrets, SetSecret
from vault.service import Vault

HOME = "store"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(tmp_path: Path, clock: Clock):
    store, vault = make_vault(tmp_path / HOME, clock)
    with store:
        yield vault
    check_store(tmp_path / HOME, clock)


def rows_of(**positions: int) -> State:
    rows = State()
    rows.put(Put(known_key(Table.KNOWN_SECRETS, at), Known(name)) for name, at in positions.items())
    return rows


def listed(vault: Vault, **how: object) -> list[str]:
    return [one.name for one in vault.handle(ALICE, ListSecrets(**how))]  # type: ignore[arg-type]


def test_pages_follow_each_other_by_name_whatever_the_order_of_arrival(vault: Vault) -> None:
    names = ["m", "B", "a", "Z", "c", "d"]
    for name in names:
        vault.handle(ALICE, SetSecret(name=name, value="v"))
        assert listed(vault) == sorted((one.name for one in named(vault)), key=str.upper)
    assert listed(vault, limit=4) == ["a", "B", "c", "d"]
    assert listed(vault, after="d", limit=4) == ["m", "Z"]
    assert listed(vault, after="Z") == []


def named(vault: Vault) -> list:
    return vault.handle(ALICE, ListSecrets())


def test_deleted_ones_leave_one_list_for_the_other(vault: Vault) -> None:
    for name in "abc":
        vault.handle(ALICE, SetSecret(name=name, value="v"))
    vault.handle(ALICE, DeleteSecret(name="b"))
    assert listed(vault, limit=2) == ["a", "c"]
    assert [one.name for one in vault.handle(ALICE, ListDeletedSecrets())] == ["b"]


def test_a_rebuild_and_another_process_of_the_same_names_change_nothing(vault: Vault) -> None:
    for name in "abc":
        vault.handle(ALICE, SetSecret(name=name, value="v"))
    vault.rebuild()
    vault.handle(ALICE, SetSecret(name="aa", value="v"))
    assert listed(vault) == ["a", "aa", "b", "c"]


def test_a_look_into_an_older_snapshot_loses_no_newer_name() -> None:
    index = NameIndex()
    assert index.names(rows_of(b=3, a=7)) == ("A", "B")
    assert set(index.names(rows_of(b=3))) >= {"B"}
    assert index.names(rows_of(b=3, a=7, c=9)) == ("A", "B", "C")


def test_a_name_that_was_given_up_makes_way_for_what_came_in_its_place() -> None:
    index = NameIndex()
    index.names(rows_of(b=3, lost=7))
    assert {"B", "KEPT"} <= set(index.names(rows_of(b=3, kept=7)))
    assert {"B", "KEPT", "LATER"} <= set(index.names(rows_of(b=3, kept=7, later=8)))
