"""Key Vault's operations on secrets over REST: statuses, members and their order, and what is left out.

Source: recorded traffic of the service, as docs/azure.md tells it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.rest import BASE, Rest, rest_in
from support.vaults import START

NOW = START // 1_000_000
DAY = 86_400


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Rest]:
    with rest_in(tmp_path / "store") as rest:
        yield rest


def version_of(bundle: dict[str, str]) -> str:
    return bundle["id"].rpartition("/")[2]


# --- set and get --------------------------------------------------------------------------------


def test_a_set_answers_with_the_whole_bundle_in_key_vaults_order(rest: Rest) -> None:
    given = {
        "value": "v",
        "contentType": "text/plain",
        "tags": {"b": "1", "a": "2"},
        "attributes": {"enabled": True, "nbf": 10, "exp": 20},
    }
    answer = rest("PUT", "/secrets/db", given)
    assert (answer.status, list(answer.json)) == (
        200,
        ["value", "contentType", "id", "attributes", "tags"],
    )
    assert re.fullmatch(rf"{BASE}/secrets/db/[0-9a-f]{{32}}", answer.json["id"])
    assert list(answer.json["attributes"].items()) == [
        ("enabled", True),
        ("nbf", 10),
        ("exp", 20),
        ("created", NOW),
        ("updated", NOW),
        ("recoveryLevel", "Recoverable+Purgeable"),
        ("recoverableDays", 90),
    ]
    assert (answer.json["value"], answer.json["contentType"]) == ("v", "text/plain")
    assert answer.json["tags"] == {"a": "2", "b": "1"}
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert rest("GET", "/secrets/db").json == answer.json


def test_what_was_not_given_is_left_out_and_never_null(rest: Rest) -> None:
    made = rest.set("db")
    assert list(made) == ["value", "id", "attributes"]
    assert list(made["attributes"]) == [
        *("enabled", "created", "updated", "recoveryLevel", "recoverableDays")
    ]
    assert b"null" not in rest("GET", "/secrets/db").body


def test_null_in_a_set_is_as_absent(rest: Rest) -> None:
    given: dict[str, Any] = {"contentType": None, "tags": None, "attributes": None}
    assert list(rest.set("db", **given)) == ["value", "id", "attributes"]
    nothing = {"enabled": None, "nbf": None, "exp": None}
    assert rest.set("db", attributes=nothing)["attributes"]["enabled"] is True


@pytest.mark.parametrize("value", ["", "\0", "é€\N{LOCK}", "é" * 12_800, '"\\', "x" * 25_600])
def test_a_value_comes_back_as_it_was_given(rest: Rest, value: str) -> None:
    assert rest.set("db", value)["value"] == value
    assert rest("GET", "/secrets/db/").json["value"] == value


def test_a_new_version_inherits_nothing(rest: Rest) -> None:
    rest.set("db", contentType="t", tags={"a": "b"}, attributes={"exp": 9, "enabled": False})
    made = rest.set("db")
    assert list(made) == ["value", "id", "attributes"]
    assert (made["attributes"]["enabled"], "exp" in made["attributes"]) == (True, False)


def test_the_latest_version_is_got_with_and_without_a_slash_and_an_old_one_by_its_id(
    rest: Rest,
) -> None:
    old, new = rest.set("db", "old"), rest.set("db", "new")
    for path in ("/secrets/db", "/secrets/db/"):
        assert rest("GET", path).json == new
    assert rest("GET", f"/secrets/db/{version_of(old)}").json == old
    assert rest("GET", f"/secrets/db/{version_of(old).upper()}/").json == old


def test_a_name_is_echoed_as_first_created(rest: Rest) -> None:
    rest.set("Db")
    assert rest.set("DB")["id"].startswith(f"{BASE}/secrets/Db/")
    assert rest("GET", "/secrets/db").json["id"].startswith(f"{BASE}/secrets/Db/")


def test_a_put_to_restore_sets_a_secret_of_that_name(rest: Rest) -> None:
    assert rest.set("restore", "v")["id"].startswith(f"{BASE}/secrets/restore/")
    assert rest("GET", "/secrets/restore").json["value"] == "v"
    assert rest("DELETE", "/secrets/restore").status == 200


def test_an_expired_and_a_not_yet_valid_secret_are_given_out(rest: Rest) -> None:
    rest.set("db", attributes={"nbf": NOW + DAY, "exp": NOW - DAY})
    assert rest("GET", "/secrets/db").status == 200


# --- update -------------------------------------------------------------------------------------


def test_an_update_answers_without_the_value_and_leaves_what_it_does_not_name(rest: Rest) -> None:
    made = rest.set("db", contentType="t", tags={"a": "b"}, attributes={"nbf": 1, "exp": 2})
    rest.life.clock.advance(seconds=60)
    answer = rest("PATCH", "/secrets/db/", {"attributes": {"exp": 3}})
    assert (answer.status, list(answer.json)) == (200, ["contentType", "id", "attributes", "tags"])
    expected = {**made["attributes"], "exp": 3, "updated": NOW + 60}
    assert answer.json == {
        **{k: v for k, v in made.items() if k != "value"},
        "attributes": expected,
    }
    assert rest("GET", "/secrets/db").json == {**made, "attributes": expected}


def test_an_update_of_a_version_leaves_the_others(rest: Rest) -> None:
    old, new = rest.set("db"), rest.set("db")
    answer = rest("PATCH", f"/secrets/db/{version_of(old)}", {"tags": {"old": "1"}})
    assert (answer.json["id"], answer.json["tags"]) == (old["id"], {"old": "1"})
    assert rest("GET", "/secrets/db").json == new


def test_null_and_no_tags_clear_and_no_attributes_leave(rest: Rest) -> None:
    rest.set("db", contentType="t", tags={"a": "b"}, attributes={"nbf": 1, "exp": 2})
    rest("PATCH", "/secrets/db", {"attributes": {"exp": None}})
    answer = rest("PATCH", "/secrets/db", {"attributes": {"nbf": None, "enabled": None}})
    assert not {"exp", "nbf"} & set(answer.json["attributes"])
    assert answer.json["attributes"]["enabled"] is True
    answer = rest("PATCH", "/secrets/db", {"tags": {}, "attributes": None})
    assert ("tags" in answer.json, answer.json["contentType"]) == (False, "t")
    assert "contentType" not in rest("PATCH", "/secrets/db", {"contentType": None}).json


@pytest.mark.parametrize("given", [{"attributes": {"enabled": None}}, {"attributes": {}}, {}])
def test_an_update_that_does_not_say_enabled_leaves_a_disabled_secret_disabled(
    rest: Rest, given: dict[str, Any]
) -> None:
    rest.set("db", attributes={"enabled": False})
    assert rest("PATCH", "/secrets/db", given).json["attributes"]["enabled"] is False
    assert rest("GET", "/secrets/db").status == 403


def test_an_empty_content_type_is_legal_and_shown(rest: Rest) -> None:
    assert rest.set("db", contentType="")["contentType"] == ""
    assert rest("PATCH", "/secrets/db", {"contentType": ""}).json["contentType"] == ""


# --- delete, recover, purge ---------------------------------------------------------------------


def test_a_secret_is_deleted_shown_recovered_deleted_and_purged(rest: Rest) -> None:
    made = rest.set("db", tags={"a": "b"}, contentType="t")
    rest.life.clock.advance(seconds=5)
    deleted = rest("DELETE", "/secrets/db")
    assert (deleted.status, list(deleted.json)) == (
        200,
        [
            *("recoveryId", "deletedDate", "scheduledPurgeDate"),
            *("contentType", "id", "attributes", "tags"),
        ],
    )
    assert deleted.json["recoveryId"] == f"{BASE}/deletedsecrets/db"
    assert deleted.json["deletedDate"] == NOW + 5
    assert deleted.json["scheduledPurgeDate"] == NOW + 5 + 90 * DAY
    assert deleted.json["id"] == made["id"]
    assert rest("GET", "/deletedsecrets/db").json == deleted.json
    assert rest("GET", "/secrets/db").status == 404

    recovered = rest("POST", "/deletedsecrets/db/recover")
    assert (recovered.status, list(recovered.json)) == (
        200,
        ["contentType", "id", "attributes", "tags"],
    )
    assert rest("GET", "/secrets/db").json == made

    rest("DELETE", "/secrets/db")
    purged = rest("DELETE", "/deletedsecrets/db")
    assert (purged.status, purged.body, purged.headers) == (204, b"", {})
    assert rest("GET", "/deletedsecrets/db").status == 404
    assert rest.set("db")["id"] != made["id"]


# --- backup and restore -------------------------------------------------------------------------


def test_a_backup_comes_back_with_all_versions_under_the_ids_they_had(rest: Rest) -> None:
    old, new = rest.set("db", "old", tags={"a": "b"}), rest.set("db", "new")
    blob = rest("POST", "/secrets/db/backup")
    assert (blob.status, list(blob.json)) == (200, ["value"])
    assert re.fullmatch(r"[A-Za-z0-9_-]+", blob.json["value"])
    rest("DELETE", "/secrets/db")
    rest("DELETE", "/deletedsecrets/db")
    restored = rest("POST", "/secrets/restore", blob.json)
    assert (restored.status, list(restored.json)) == (200, ["id", "attributes"])
    assert restored.json["id"] == new["id"]
    assert rest("GET", "/secrets/db").json == new
    assert rest("GET", f"/secrets/db/{version_of(old)}").json == old


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text,
        lambda text: text + "=" * (-len(text) % 4),
        lambda text: text.replace("-", "+").replace("_", "/"),
        lambda text: text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4),
    ],
    ids=["url", "url padded", "standard", "standard padded"],
)
def test_a_blob_is_taken_in_either_alphabet_with_or_without_padding(
    rest: Rest, written: object
) -> None:
    made = rest.set("db", "x" * 300)
    text = rest("POST", "/secrets/db/backup").json["value"]
    rest.life.purge("db")
    assert callable(written)
    answer = rest("POST", "/secrets/restore", {"value": written(text)})
    assert (answer.status, answer.json.get("id")) == (200, made["id"])


# --- what an api-version shows --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ("2016-10-01", False),
        ("7.0", False),
        *((version, True) for version in ("7.1", "7.2", "7.3", "7.4", "7.5", "7.6")),
        ("2025-07-01", True),
        ("2026-04-01", True),
    ],
)
def test_recoverable_days_are_shown_from_7_1_on(rest: Rest, version: str, shown: bool) -> None:
    rest.set("db")
    query = f"api-version={version}"
    for method, path in (("GET", "/secrets/db"), ("DELETE", "/secrets/db")):
        answer = rest(method, path, query=query)
        assert answer.status == 200
        assert ("recoverableDays" in answer.json["attributes"]) is shown


@pytest.mark.parametrize(
    ("options", "level"),
    [
        ({}, "Recoverable+Purgeable"),
        ({"retention_days": 7}, "CustomizedRecoverable+Purgeable"),
        ({"purge_protection": True}, "Recoverable"),
        ({"purge_protection": True, "retention_days": 89}, "CustomizedRecoverable"),
    ],
    ids=lambda given: str(given),
)
def test_the_recovery_level_says_what_the_vault_can_undo(
    tmp_path: Path, options: dict[str, int], level: str
) -> None:
    with rest_in(tmp_path / "store", **options) as rest:
        attributes = rest.set("db")["attributes"]
        assert attributes["recoveryLevel"] == level
        assert attributes["recoverableDays"] == options.get("retention_days", 90)
