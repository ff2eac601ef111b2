"""Two copies of a store that went different ways: what each changed, and what differs now."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.terminal import Ran, Terminal

MARK = "MARKER"
BOB = "bob@example.com"
COMMON = 5
"""#2 and #3 set `db` and `other`, #4 a policy of Bob's: so many records have both copies."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    terminal = Terminal(tmp_path_factory.mktemp("original"))
    terminal.must("init")
    for name in ("db", "other"):
        terminal.must("secret", "set", name, "--tags", "owner=a", stdin=f"{MARK}-{name}")
    terminal.must("policy", "set", "--object-id", BOB, "--secret-permissions", "get")
    return terminal


@pytest.fixture
def copies(original: Terminal, tmp_path: Path) -> Iterator[tuple[Terminal, Terminal]]:
    both = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copytree(original.home, tmp_path / name / "store")
        shutil.copytree(f"{original.home}.key", tmp_path / name / "store.key")
        both.append(Terminal(tmp_path / name))
    yield both[0], both[1]
    for copy in both:
        copy.check()


def diff(copies: tuple[Terminal, Terminal], *arguments: str) -> Ran:
    one, two = copies
    return one.run("diff", str(one.home), str(two.home), *arguments)


def changes(copies: tuple[Terminal, Terminal]) -> dict:
    ran = diff(copies, "-o", "json")
    assert ran.status == 0, ran
    assert MARK not in ran.text + ran.told
    (found,) = (log for log in ran.json if log["log"] == "changes")
    assert found["lastCommon"] == COMMON - 1
    return found


def kinds(differences: list[dict]) -> list[tuple[str, list[str], list[int]]]:
    return [(one["name"], one["kinds"], one["causes"]) for one in differences]


def test_each_copy_tells_what_it_changed_and_by_which_events(
    copies: tuple[Terminal, Terminal],
) -> None:
    one, two = copies
    one.must("secret", "set", "db", "--tags", "owner=a", stdin=f"{MARK}-new")
    one.must("secret", "set", "db", "--tags", "owner=b", stdin=f"{MARK}-db")
    one.must("policy", "delete", "--object-id", BOB)
    two.must("secret", "set", "sly", stdin=f"{MARK}-sly")
    two.must("secret", "delete", "other")
    two.must("secret", "purge", "other", "--yes")
    first_version = one.json("secret", "list-versions", "db", "--as-of", "#2")[0]["id"][-32:]

    found = changes(copies)

    assert found["state"] == "forked"
    assert kinds(found["changedFirst"]) == [
        (BOB, ["policy"], [7]),
        ("db", ["new-version", "attributes"], [5, 6]),
    ]
    assert found["changedFirst"][1]["value"] in ("same", f"back to {first_version}")
    assert kinds(found["changedSecond"]) == [
        ("other", ["purged"], [6, 7]),
        ("sly", ["created"], [5]),
    ]


def test_the_heads_are_compared_thing_by_thing(copies: tuple[Terminal, Terminal]) -> None:
    one, two = copies
    one.must("secret", "set", "db", "--tags", "owner=b", stdin=f"{MARK}-new")
    one.must("policy", "delete", "--object-id", BOB)
    two.must("secret", "set", "sly", stdin=f"{MARK}-sly")
    two.must("secret", "delete", "other")

    heads = {head["name"]: head for head in changes(copies)["heads"]}

    assert list(heads) == [BOB, "db", "other", "sly"]
    assert (heads["db"]["first"], heads["db"]["value"]) == ("active", "different")
    assert heads["db"]["fields"] == [
        {"name": "tags", "first": {"owner": "b"}, "second": {"owner": "a"}}
    ]
    assert [heads["other"][key] for key in ("first", "second", "value")] == [
        "active",
        "deleted",
        "same",
    ]
    assert [heads["sly"][key] for key in ("first", "second", "value")] == [
        "absent",
        "active",
        None,
    ]
    assert (heads[BOB]["first"], heads[BOB]["second"]) == ("absent", "set")


def test_one_value_in_both_is_the_same_however_it_came(copies: tuple[Terminal, Terminal]) -> None:
    for copy in copies:
        copy.must("secret", "set", "db", "--tags", "owner=a", stdin=f"{MARK}-agreed")
    (db,) = changes(copies)["heads"]
    assert (db["value"], db["fields"]) == ("same", [])
    assert db["firstVersion"] != db["secondVersion"]


def test_values_under_different_keys_are_not_comparable(
    copies: tuple[Terminal, Terminal],
) -> None:
    one, two = copies
    two.must("secret", "delete", "db")
    two.must("secret", "purge", "db", "--yes")
    two.must("secret", "set", "db", "--tags", "owner=a", stdin=f"{MARK}-db")
    for copy in copies:
        copy.must("secret", "set", "fresh", stdin=f"{MARK}-fresh")

    heads = {head["name"]: head["value"] for head in changes((one, two))["heads"]}

    assert heads == {"db": "not comparable", "fresh": "not comparable"}


def test_what_both_did_alike_does_not_differ_now(copies: tuple[Terminal, Terminal]) -> None:
    for copy in copies:
        copy.must("policy", "delete", "--object-id", BOB)
        copy.must("secret", "delete", "other")
    found = changes(copies)
    assert [one["name"] for one in found["changedFirst"]] == [BOB, "other"]
    assert found["changedFirst"] == [one | {"copy": "first"} for one in found["changedSecond"]]
    assert found["heads"] == []


def test_a_copy_that_is_behind_has_changed_nothing_and_is_not_asked(
    copies: tuple[Terminal, Terminal],
) -> None:
    copies[1].must("secret", "set", "db", stdin=f"{MARK}-new")
    before = [len(copy.json("log", "--log", "access")) for copy in copies]

    found = changes(copies)

    assert found["state"] == "the second goes on"
    assert (found["changedFirst"], kinds(found["changedSecond"])) == (
        [],
        [("db", ["new-version", "attributes"], [5])],
    )
    assert [head["name"] for head in found["heads"]] == ["db"]
    asked = [
        copy.json("log", "--log", "access")[count:]
        for copy, count in zip(copies, before, strict=True)
    ]
    assert [item["operation"] for item in asked[0]][:1] == ["history.read"]
    assert "diff" not in {item["details"].get("what") for item in asked[0]}
    assert "diff" in {item["details"].get("what") for item in asked[1]}


def test_the_short_forms_of_a_diff_of_copies(copies: tuple[Terminal, Terminal]) -> None:
    one, two = copies
    one.must("secret", "set", "x", stdin=MARK)
    one.must("secret", "set", "y", stdin=MARK)
    two.must("secret", "delete", "db")
    assert diff(copies, "--stat", "-o", "json").json == [
        {"copy": "first", "change": "created", "count": 2},
        {"copy": "second", "change": "deleted", "count": 1},
    ]
    assert diff(copies, "--name-only").text == "x\ny\ndb\n"
    assert diff(copies, "--name-only", "--exit-code").status == 1
    assert diff(copies, "--name-only").status == 0
    assert len(diff(copies, "-o", "jsonl").text.splitlines()) == 2
    assert diff(copies, "--stat", "--name-only").status == 2
    assert diff(copies, "--stat", "--keyless").status == 2
    assert diff(copies, "--reveal").status == 2


def test_people_see_what_changed_and_what_differs(copies: tuple[Terminal, Terminal]) -> None:
    copies[1].must("secret", "set", "db", stdin=f"{MARK}-new")
    text = diff(copies).text
    assert "What each did since" in text
    assert "Where they differ now" in text
    rows = [line.split() for line in text.splitlines()]
    assert any(row[:4] == ["second", "secret", "db", "new-version,"] for row in rows)
    assert any(row[:3] == ["secret", "db", "active"] and "different" in row for row in rows)
    assert MARK not in text


def test_without_the_keys_of_a_copy_the_heads_are_not_guessed(
    copies: tuple[Terminal, Terminal],
) -> None:
    for copy in copies:
        copy.must("secret", "set", "db", stdin=f"{MARK}-new")
    key = copies[1].home.with_name("store.key")
    key.rename(key.with_name("away"))
    found = changes(copies)
    assert [one["name"] for one in found["changedFirst"]] == ["db"]
    assert (found["changedSecond"], found["heads"]) == ([], None)
    key.with_name("away").rename(key)


def test_who_is_no_administrator_learns_nothing_and_the_attempt_is_recorded(
    copies: tuple[Terminal, Terminal],
) -> None:
    for copy in copies:
        copy.must("secret", "set", "db", stdin=f"{MARK}-new")
    ran = diff(copies, "-o", "json", "--as", BOB)
    assert all(not log["onlyFirst"] + log["onlySecond"] for log in ran.json)
    assert "is not told" in ran.told
    for copy in copies:
        refused = copy.json("log", "--principal", BOB, "--outcome", "refused")
        assert [item["operation"] for item in refused] == ["history.read"]


def test_different_stores_are_said_to_be_no_copies(original: Terminal, tmp_path: Path) -> None:
    stranger = Terminal(tmp_path)
    stranger.must("init")
    ran = original.run("diff", str(original.home), str(stranger.home), "-o", "json")
    assert (ran.status, ran.error["code"], ran.text) == (2, "copies.unrelated", "")
    stranger.check()
