"""Lists: what stands in them, in which order, and page after page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.life import Life, life_in
from support.vaults import START
from vault.answers import SecretBundle
from vault.commands import (
    DeleteSecret,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    UpdateSecret,
)

MIXED = ["b", "A1", "a-1", "Z", "a", "0", "-", "a0", "AA", "C"]
IN_ORDER = ["-", "0", "a", "a-1", "a0", "A1", "AA", "b", "C", "Z"]


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


def pages(
    ask: Callable[[str, int], list[SecretBundle]], mark: Callable[[SecretBundle], str], limit: int
) -> list[list[str]]:
    """Walk from page to page as a client does, until one is empty."""
    found: list[list[str]] = []
    after = ""
    while page := ask(after, limit):
        found.append([mark(item) for item in page])
        after = found[-1][-1]
    return found


def test_secrets_are_listed_by_name_in_upper_case(life: Life) -> None:
    for name in MIXED:
        life.set(name)
    assert [item.name for item in life(ListSecrets())] == IN_ORDER


def test_deleted_secrets_are_listed_by_name_in_upper_case_and_no_more_among_the_others(
    life: Life,
) -> None:
    for name in MIXED:
        life.set(name)
        life.delete(name)
    assert [item.name for item in life(ListDeletedSecrets())] == IN_ORDER
    assert life(ListSecrets()) == []


def test_versions_are_listed_by_version_id_and_not_by_time(life: Life) -> None:
    made = [life.set("db").version for _ in range(12)]
    listed = [item.version for item in life(ListSecretVersions(name="db"))]
    assert listed == sorted(made)
    assert listed != made, "twelve random ids came in order: run again"


def test_a_list_shows_the_latest_version_of_each_secret(life: Life) -> None:
    old = life.set("db", tags={"of": "old"}, exp=1).version
    new = life.set("db", enabled=False, tags={"of": "new"}, content_type="text/plain").version
    life(UpdateSecret(name="db", version=old, tags={"of": "older"}))
    [item] = life(ListSecrets())
    assert (item.version, item.tags, item.content_type) == (new, {"of": "new"}, "text/plain")
    assert (item.attributes.enabled, item.attributes.exp) == (False, None)


def test_an_item_of_the_deleted_list_says_when_it_was_deleted_and_will_be_gone(life: Life) -> None:
    life.set("db", tags={"a": "b"})
    life.clock.advance(days=1)
    life.delete("db")
    [item] = life(ListDeletedSecrets())
    assert item.deletion is not None
    assert item.deletion.deleted_date == START // 1_000_000 + 86_400
    assert item.deletion.scheduled_purge_date == item.deletion.deleted_date + 90 * 86_400
    assert item.tags == {"a": "b"}


def test_an_empty_vault_lists_nothing(life: Life) -> None:
    assert life(ListSecrets()) == life(ListDeletedSecrets()) == []


def test_an_unknown_and_a_deleted_secret_have_no_versions(life: Life) -> None:
    life.set("db")
    life(DeleteSecret(name="db"))
    assert life(ListSecretVersions(name="db")) == []
    assert life(ListSecretVersions(name="nil")) == []


def test_versions_of_one_secret_are_not_listed_with_those_of_another(life: Life) -> None:
    mine = {life.set("db").version, life.set("DB").version}
    for other in ("d", "db-", "db0", "dbb"):
        life.set(other)
    assert {item.version for item in life(ListSecretVersions(name="db"))} == mine


@pytest.mark.parametrize("limit", [1, 3, 5, 10, 11])
def test_pages_of_secrets_give_every_name_once_and_in_order(life: Life, limit: int) -> None:
    for name in MIXED:
        life.set(name)
    found = pages(
        lambda after, most: life(ListSecrets(after=after, limit=most)),
        lambda item: item.name,
        limit,
    )
    assert [name for page in found for name in page] == IN_ORDER
    assert {len(page) for page in found[:-1]} <= {limit}


@pytest.mark.parametrize("limit", [1, 4, 10])
def test_pages_of_deleted_secrets_give_every_name_once_and_in_order(life: Life, limit: int) -> None:
    for name in MIXED:
        life.set(name)
        life.delete(name)
    found = pages(
        lambda after, most: life(ListDeletedSecrets(after=after, limit=most)),
        lambda item: item.name,
        limit,
    )
    assert [name for page in found for name in page] == IN_ORDER


@pytest.mark.parametrize("limit", [1, 4, 7, 8])
def test_pages_of_versions_give_every_version_once_and_in_order(life: Life, limit: int) -> None:
    made = [life.set("db").version for _ in range(7)]
    found = pages(
        lambda after, most: life(ListSecretVersions(name="db", after=after, limit=most)),
        lambda item: item.version,
        limit,
    )
    assert [name for page in found for name in page] == sorted(made)


def test_a_page_begins_after_a_name_in_any_case_that_need_not_be_there(life: Life) -> None:
    for name in MIXED:
        life.set(name)
    life.purge("b")
    for after in ("b", "B"):
        assert [item.name for item in life(ListSecrets(after=after))] == ["C", "Z"]


def test_a_secret_deleted_between_two_pages_does_not_hide_those_after_it(life: Life) -> None:
    for name in ("a", "b", "c", "d"):
        life.set(name)
    assert [item.name for item in life(ListSecrets(limit=2))] == ["a", "b"]
    life.delete("b")
    assert [item.name for item in life(ListSecrets(after="b", limit=2))] == ["c", "d"]
