"""Versions of a secret: what a set makes, what a get gives, what an update changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.life import Life, life_in
from support.vaults import START
from vault.commands import (
    BackupSecret,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ImportSecrets,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    SetSecret,
    UpdateSecret,
)

NOW = START // 1_000_000
YEAR = 365 * 86_400


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


# --- set ----------------------------------------------------------------------------------------


def test_every_set_makes_a_new_version_even_of_the_same_value(life: Life) -> None:
    first, second = life.set("db", "same"), life.set("db", "same")
    assert first.version != second.version
    assert len(life(ListSecretVersions(name="db"))) == 2


def test_a_version_is_32_lower_case_hexadecimal_digits(life: Life) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", life.set("db").version)


def test_a_new_version_inherits_nothing_from_the_one_before(life: Life) -> None:
    life.set("db", "old", content_type="text/plain", tags={"a": "b"}, enabled=False, nbf=5, exp=9)
    life.set("db", "new")
    found = life(GetSecret(name="db"))
    assert (found.value, found.content_type, found.tags) == ("new", None, None)
    shown = found.attributes
    assert (shown.enabled, shown.nbf, shown.exp) == (True, None, None)


def test_a_set_gives_back_what_it_set_and_so_does_a_get(life: Life) -> None:
    given: dict[str, Any] = {"content_type": "text/plain", "tags": {"env": "prod", "Env": ""}}
    made = life.set("db", "s3cret", nbf=NOW - 5, exp=NOW + YEAR, **given)
    assert made == life(GetSecret(name="db")) == life(GetSecret(name="db", version=made.version))
    assert (made.value, made.content_type, made.tags) == ("s3cret", "text/plain", given["tags"])
    shown = made.attributes
    assert (shown.enabled, shown.nbf, shown.exp) == (True, NOW - 5, NOW + YEAR)
    assert (shown.created, shown.updated) == (NOW, NOW)
    assert made.deletion is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "\x00",
        "line\r\nline\n",
        "pässwörd",
        "密碼",
        "\N{LOCK}\N{KEY}",
        "e\N{COMBINING ACUTE ACCENT} is not é",
        "\N{RIGHT-TO-LEFT OVERRIDE}\N{ZERO WIDTH SPACE}",
        "\N{BYTE ORDER MARK}bom",
        '{"json": "\\u0000"}',
    ],
)
def test_a_value_comes_back_character_for_character(life: Life, value: str) -> None:
    version = life.set("db", value).version
    life.set("db", "later")
    life.reopen()
    assert life.read("db", version) == value


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("value.too-large", {"value": "\ud800"}),
        ("content-type.too-long", {"content_type": "text/\udfff"}),
        ("tags.invalid", {"tags": {"\udc80": "x"}}),
        ("tags.invalid", {"tags": {"x": "\udc80"}}),
        ("name.invalid", {"name": "a\udcff"}),
    ],
)
def test_half_a_character_is_refused(life: Life, code: str, given: dict[str, Any]) -> None:
    life.refuses(code, SetSecret(**{"name": "db", "value": "v", **given}))
    assert life(ListSecrets()) == []


def test_an_import_sets_all_or_nothing(life: Life) -> None:
    bad = ImportSecrets(items=(SetSecret(name="a", value="1"), SetSecret(name="b_", value="2")))
    life.refuses("name.invalid", bad)
    assert life(ListSecrets()) == []
    good = ImportSecrets(items=(SetSecret(name="a", value="1"), SetSecret(name="A", value="2")))
    (_, first), (_, second) = life(good).items
    assert (life.read("a"), life.read("a", first), life.read("a", second)) == ("2", "1", "2")


# --- the latest version -------------------------------------------------------------------------


def test_the_latest_is_the_one_created_last_though_all_came_in_one_second(life: Life) -> None:
    for number in range(12):
        version = life.set("db", str(number)).version
        found = life(GetSecret(name="db"))
        assert (found.value, found.version, found.attributes.created) == (str(number), version, NOW)


def test_updating_an_old_version_does_not_make_it_the_latest(life: Life) -> None:
    old = life.set("db", "old").version
    life.set("db", "new")
    life.clock.advance(days=1)
    life(UpdateSecret(name="db", version=old, tags={"touched": "yes"}))
    assert life.read("db") == "new"


def test_a_clock_that_stepped_back_does_not_change_which_is_the_latest(life: Life) -> None:
    life.set("db", "old")
    life.clock.advance(days=-3)
    life.set("db", "new")
    assert life.read("db") == "new"


def test_a_disabled_latest_version_is_refused_and_no_older_one_takes_its_place(life: Life) -> None:
    old = life.set("db", "old").version
    new = life.set("db", "new", enabled=False).version
    life.refuses("secret.disabled", GetSecret(name="db"))
    life.refuses("secret.disabled", GetSecret(name="db", version=new))
    assert life.read("db", old) == "old"


def test_a_disabled_old_version_is_refused_and_the_latest_is_not(life: Life) -> None:
    old = life.set("db", "old").version
    life.set("db", "new")
    life(UpdateSecret(name="db", version=old, enabled=False))
    life.refuses("secret.disabled", GetSecret(name="db", version=old))
    assert life.read("db") == "new"


def test_a_version_that_is_enabled_again_is_readable_again(life: Life) -> None:
    life.set("db", "v", enabled=False)
    life(UpdateSecret(name="db", enabled=True))
    assert life.read("db") == "v"


def test_all_but_reading_works_on_a_disabled_secret(life: Life) -> None:
    life.set("db", "v", enabled=False)
    assert life(UpdateSecret(name="db", tags={"a": "b"})).tags == {"a": "b"}
    assert [item.attributes.enabled for item in life(ListSecrets())] == [False]
    assert [item.attributes.enabled for item in life(ListSecretVersions(name="db"))] == [False]
    assert life(BackupSecret(name="db")).versions == 1
    assert life(DeleteSecret(name="db")).deletion is not None
    assert [item.name for item in life(ListDeletedSecrets())] == ["db"]
    life.refuses("secret.disabled", GetDeletedSecret(name="db"))
    assert life(RecoverDeletedSecret(name="db")).attributes.enabled is False
    life.refuses("secret.disabled", GetSecret(name="db"))
    life.delete("db")
    assert life(PurgeDeletedSecret(name="db")).name == "db"


@pytest.mark.parametrize(
    "dates",
    [
        {"nbf": NOW + YEAR},
        {"exp": NOW - YEAR},
        {"nbf": NOW + YEAR, "exp": NOW - YEAR},
        {"exp": NOW},
        {"exp": 0},
    ],
)
def test_a_secret_is_readable_before_its_nbf_and_after_its_exp(
    life: Life, dates: dict[str, int]
) -> None:
    version = life.set("db", "v", **dates).version
    assert life.read("db") == life.read("db", version) == "v"
    life.delete("db")
    assert life(GetDeletedSecret(name="db")).attributes.exp == dates.get("exp")


# --- update -------------------------------------------------------------------------------------

WHOLE: dict[str, Any] = {
    "content_type": "text/plain",
    "tags": {"a": "1", "b": "2"},
    "enabled": True,
    "nbf": 10,
    "exp": 20,
}


def shown(bundle: Any) -> dict[str, Any]:
    attributes = bundle.attributes
    return {
        "content_type": bundle.content_type,
        "tags": bundle.tags,
        "enabled": attributes.enabled,
        "nbf": attributes.nbf,
        "exp": attributes.exp,
    }


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"content_type": "application/json"},
        {"content_type": None},
        {"tags": {"c": "3"}},
        {"enabled": False},
        {"nbf": 30},
        {"nbf": None},
        {"exp": 40},
        {"exp": None},
        {"nbf": None, "exp": None, "tags": {"only": "this"}},
    ],
    ids=str,
)
def test_an_update_changes_what_it_names_and_keeps_the_rest(
    life: Life, change: dict[str, Any]
) -> None:
    life.set("db", "v", **WHOLE)
    answer = life(UpdateSecret(name="db", **change))
    assert shown(answer) == WHOLE | change
    [listed] = life(ListSecrets())
    assert shown(listed) == WHOLE | change
    life(UpdateSecret(name="db", enabled=True))
    assert shown(life(GetSecret(name="db"))) == WHOLE | change | {"enabled": True}


@pytest.mark.parametrize("nothing", [{}, None])
def test_an_update_can_take_all_tags_away(life: Life, nothing: dict[str, str] | None) -> None:
    life.set("db", "v", **WHOLE)
    assert not life(UpdateSecret(name="db", tags=nothing)).tags
    assert not life(GetSecret(name="db")).tags


def test_an_update_moves_updated_and_neither_created_nor_version_nor_value(life: Life) -> None:
    made = life.set("db", "v")
    life.clock.advance(days=1)
    life(UpdateSecret(name="db", tags={"a": "b"}))
    life.clock.advance(days=1)
    life(UpdateSecret(name="db", exp=7))
    found = life(GetSecret(name="db"))
    assert (found.version, found.value, found.tags) == (made.version, "v", {"a": "b"})
    assert (found.attributes.created, found.attributes.updated) == (NOW, NOW + 2 * 86_400)
    assert len(life(ListSecretVersions(name="db"))) == 1


def test_an_update_of_an_old_version_touches_that_version_alone(life: Life) -> None:
    old = life.set("db", "old", tags={"of": "old"}).version
    new = life.set("db", "new", tags={"of": "new"}).version
    life(UpdateSecret(name="db", version=old, tags={"was": "old"}))
    assert life(GetSecret(name="db", version=old)).tags == {"was": "old"}
    assert life(GetSecret(name="db", version=new)).tags == {"of": "new"}
    assert (life.read("db", old), life.read("db", new)) == ("old", "new")


def test_an_update_without_a_version_is_of_the_latest(life: Life) -> None:
    old = life.set("db", "old").version
    new = life.set("db", "new").version
    assert life(UpdateSecret(name="db", enabled=False)).version == new
    assert life.read("db", old) == "old"


def test_only_a_get_and_a_set_answer_with_a_value(life: Life) -> None:
    life.set("db", "v")
    answers = [
        life(UpdateSecret(name="db", tags={"a": "b"})),
        *life(ListSecrets()),
        *life(ListSecretVersions(name="db")),
        life(DeleteSecret(name="db")),
        life(GetDeletedSecret(name="db")),
        *life(ListDeletedSecrets()),
        life(RecoverDeletedSecret(name="db")),
    ]
    assert [answer.value for answer in answers] == [None] * len(answers)


# --- names and versions -------------------------------------------------------------------------


def test_a_name_is_the_same_in_any_case_and_is_echoed_as_first_created(life: Life) -> None:
    assert life.set("Db-Password", "1").name == "Db-Password"
    answers = [
        life.set("DB-PASSWORD", "2"),
        life(GetSecret(name="db-password")),
        life(UpdateSecret(name="dB-pASSWORD", exp=1)),
        *life(ListSecrets()),
        *life(ListSecretVersions(name="db-password")),
        life(DeleteSecret(name="DB-password")),
        life(GetDeletedSecret(name="db-PASSWORD")),
        *life(ListDeletedSecrets()),
        life(RecoverDeletedSecret(name="db-password")),
    ]
    assert {answer.name for answer in answers} == {"Db-Password"}
    assert len(life(ListSecrets())) == 1


def test_a_purged_name_can_be_made_again_in_another_case_and_knows_nothing(life: Life) -> None:
    old = life.set("Db", "old", tags={"a": "b"}).version
    life.purge("db")
    assert life.set("DB", "new").name == "DB"
    assert [item.name for item in life(ListSecretVersions(name="db"))] == ["DB"]
    life.refuses("secret.not-found", GetSecret(name="db", version=old))


def test_a_version_is_the_same_in_any_case_and_is_echoed_in_lower_case(life: Life) -> None:
    version = life.set("db", "v").version
    assert life(GetSecret(name="db", version=version.upper())).version == version
    assert life(UpdateSecret(name="db", version=version.upper(), exp=1)).version == version


def test_a_version_belongs_to_one_secret(life: Life) -> None:
    life.set("a")
    version = life.set("b").version
    life.refuses("secret.not-found", GetSecret(name="a", version=version))
    life.refuses("secret.not-found", UpdateSecret(name="a", version=version, exp=1))


def test_what_was_never_set_is_not_found(life: Life) -> None:
    for command in (
        GetSecret(name="nil"),
        GetSecret(name="nil", version="0" * 32),
        UpdateSecret(name="nil", exp=1),
        DeleteSecret(name="nil"),
        BackupSecret(name="nil"),
    ):
        life.refuses("secret.not-found", command)
    for deleted in (
        GetDeletedSecret(name="nil"),
        RecoverDeletedSecret(name="nil"),
        PurgeDeletedSecret(name="nil"),
    ):
        life.refuses("secret.deleted-not-found", deleted)


# --- conditions ---------------------------------------------------------------------------------


def test_a_change_that_expected_another_state_is_refused(life: Life) -> None:
    life(SetSecret(name="db", value="first", expected=-1))
    life.refuses("log.conflict", SetSecret(name="db", value="second", expected=-1))
    at = life.vault.changes.head().size - 1
    life(UpdateSecret(name="db", exp=5, expected=at))
    life.refuses("log.conflict", SetSecret(name="db", value="second", expected=at))
    life.refuses("log.conflict", UpdateSecret(name="db", exp=6, expected=at))
    life.refuses("log.conflict", DeleteSecret(name="db", expected=at))
    life(DeleteSecret(name="db", expected=at + 1))
