"""Back to a point, and a period retold: first what it would do, then events, never a value."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.terminal import Terminal

BOB = "bob@example.com"
MARK = "MARKER"
OLD, NEW = f"{MARK}-old", f"{MARK}-new"


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A vault in which much went wrong after #5, where all was well.  It is only read."""
    terminal = Terminal(tmp_path_factory.mktemp("past"))
    terminal.must("init")
    for name in ("db", "gone", "lost"):
        terminal.must("secret", "set", name, stdin=OLD)
    terminal.must("policy", "set", "--object-id", BOB, "--secret-permissions", "get")
    terminal.must("secret", "set", "db", stdin=NEW)
    terminal.must("secret", "delete", "gone")
    terminal.must("secret", "delete", "lost")
    terminal.must("secret", "purge", "lost", "--yes")
    terminal.must("policy", "delete", "--object-id", BOB)
    terminal.must("secret", "set", "new", stdin=NEW)
    yield terminal
    terminal.check()


@pytest.fixture
def terminal(past: Terminal, tmp_path: Path) -> Iterator[Terminal]:
    """A copy of it, to be changed."""
    shutil.copytree(past.home, tmp_path / "store")
    shutil.copytree(f"{past.home}.key", tmp_path / "store.key")
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.check()


def value(terminal: Terminal, name: str) -> str:
    return terminal.must("secret", "show", name, "--query", "value", "-o", "tsv").text.strip()


def steps(told: dict) -> list[tuple[str, str]]:
    return [(step["action"], step["name"]) for step in told["steps"]]


def size(terminal: Terminal) -> int:
    return terminal.json("vault", "show")["records"]["changes"]


# --- plan, yes, done ------------------------------------------------------------------------------


def test_a_plan_says_what_would_be_done_and_does_nothing(past: Terminal) -> None:
    before = size(past)
    told = past.json("restore", "--to", "#5", "--plan")
    assert steps(told) == [("value", "db"), ("recover", "gone"), ("lost", "lost")]
    assert told["done"] is False
    assert told["to"]["position"] == 5
    assert size(past) == before

    table = past.must("restore", "--to", "#5", "--plan")
    assert "erased by #9" in table.text
    assert "1 lost to a purge" in table.told
    assert MARK not in table.text + table.told


def test_attributes_of_older_versions_come_back_on_request(terminal: Terminal) -> None:
    point = f"#{size(terminal) - 1}"
    old, new = (one["id"][-32:] for one in terminal.json("secret", "list-versions", "db"))
    for version in (old, new):
        change = ("set-attributes", "db", "--version", version, "--enabled", "false")
        terminal.must("secret", *change, "--tags", f"of={version}")
    assert terminal.json("restore", "--to", point, "db", "--plan")["steps"] == []
    told = terminal.json("restore", "--to", point, "--attributes", "--yes")
    assert {(step["action"], step["version"]) for step in told["steps"]} == {
        ("attributes", old),
        ("attributes", new),
    }
    assert terminal.json("diff", f"{point}..now") == []
    assert terminal.json("restore", "--to", point, "--attributes", "--plan")["steps"] == []


def test_a_restore_brings_back_what_is_not_lost(terminal: Terminal) -> None:
    told = terminal.json("restore", "--to", "#5", "--yes")
    assert told["done"] is True
    assert (value(terminal, "db"), value(terminal, "gone")) == (OLD, OLD)
    assert terminal.run("secret", "show", "lost").status == 3
    assert value(terminal, "new") == NEW
    assert terminal.json("diff", "#5..now", "db")[0]["value"] == "same"
    restored = terminal.json("log", "--operation", "vault.restored")
    assert restored[0]["details"]["to"] == 6
    assert steps(terminal.json("restore", "--to", "#5", "--yes")) == [("lost", "lost")]


def test_a_restore_of_what_is_named(terminal: Terminal) -> None:
    assert steps(terminal.json("restore", "--to", "#5", "gone", "--yes")) == [("recover", "gone")]
    assert value(terminal, "db") == NEW


def test_policies_and_what_was_not_there_on_request(terminal: Terminal) -> None:
    told = terminal.json("restore", "--to", "#5", "--policies", "--prune", "--yes")
    assert ("policy", BOB) in steps(told)
    assert ("delete", "new") in steps(told)
    terminal.must("secret", "show", "db", "--as", BOB)
    assert terminal.run("secret", "show", "new").status == 3
    terminal.must("secret", "recover", "new")


def test_nothing_to_do_appends_nothing(past: Terminal) -> None:
    before = size(past)
    assert past.json("restore", "--to", "now", "--yes")["steps"] == []
    assert size(past) == before


def test_without_a_terminal_a_yes_is_needed(past: Terminal) -> None:
    before = size(past)
    ran = past.run("restore", "--to", "#5")
    assert (ran.status, ran.text) == (2, "")
    assert "recover" in ran.told, "the plan is shown all the same"
    assert size(past) == before


def test_at_a_terminal_the_vaults_name_is_typed(terminal: Terminal) -> None:
    status, screen = terminal.type("restore", "--to", "#5", answers={"Type main": "other\n"})
    assert status == 2
    assert value(terminal, "db") == NEW
    status, screen = terminal.type("restore", "--to", "#5", answers={"Type main": "main\n"})
    assert status == 0, screen
    assert "erased by #9" in screen
    assert value(terminal, "db") == OLD


def test_restoring_takes_no_permission_to_read(terminal: Terminal) -> None:
    (me,) = terminal.json("vault", "show")["administrators"]
    terminal.must("policy", "set", "--object-id", me, "--secret-permissions", "list")
    terminal.must("restore", "--to", "#5", "--yes")
    assert terminal.run("secret", "show", "db").status == 4


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), 2),
        (("--to", "#99", "--plan"), 3),
        (("--to", "soon", "--plan"), 2),
        (("--to", "#5", "no/name", "--plan"), 2),
        (("--to", "#5", "--into", "other", "--prune", "--yes"), 2),
        (("--to", "#5", "--plan", "--as", BOB), 4),
    ],
)
def test_a_restore_that_is_refused(past: Terminal, arguments: tuple[str, ...], status: int) -> None:
    before = size(past)
    assert past.run("restore", *arguments).status == status
    assert size(past) == before


# --- into a new vault ----------------------------------------------------------------------------


def test_a_new_vault_is_made_as_it_stood(terminal: Terminal) -> None:
    before = size(terminal)
    (plan, *_), told = (
        terminal.json("restore", "--to", "#5", "--into", "old", "--plan"),
        terminal.must("restore", "--to", "#5", "--into", "old", "--plan"),
    )
    assert plan == {"action": "copy", "name": "db"}
    assert "erased by #9" in told.text
    assert len(terminal.json("vault", "list")) == 1

    made = terminal.json("restore", "--to", "#5", "--into", "old", "--yes")

    assert (made["secrets"], made["lost"]) == (2, ["lost"])
    shown = terminal.json("secret", "show", "db", "--vault-name", "old")
    assert shown["value"] == OLD
    assert terminal.json("vault", "show", "main")["records"]["changes"] == before
    assert terminal.run("secret", "show", "db", "--vault-name", "old", "--as", BOB).status == 4


def test_whoever_is_no_administrator_makes_no_copy_of_a_vault(terminal: Terminal) -> None:
    ran = terminal.run("restore", "--to", "#5", "--into", "mine", "--yes", "--as", BOB)
    assert ran.status == 4
    assert len(terminal.json("vault", "list")) == 1
    assert terminal.json("log", "--principal", BOB)[-1]["outcome"] == "access.not-administrator"


def test_a_copy_needs_a_free_name_and_a_yes(past: Terminal) -> None:
    assert past.run("restore", "--to", "#5", "--into", "main", "--yes").status == 5
    assert past.run("restore", "--to", "#5", "--into", "x", "--yes").status == 2
    assert past.run("restore", "--to", "#5", "--into", "other").status == 2
    assert len(past.json("vault", "list")) == 1


# --- replay ---------------------------------------------------------------------------------------


def test_a_replay_tells_each_operation_with_before_and_after(past: Terminal) -> None:
    text = past.must("replay", "--from", "#6", "--to", "#8").text
    first, *changed = text.splitlines()
    assert "changes #6" in first
    assert "secret.set  db" in first
    assert "    secret db: new-version" in changed
    assert "      value: different" in changed
    assert any("changes #7" in line and "secret.deleted  gone" in line for line in changed)
    assert "changes #8" not in text
    assert MARK not in text


def test_a_replay_for_machines(past: Terminal) -> None:
    assert past.run("secret", "delete", "db", "--as", BOB).status == 4
    items = list(map(json.loads, past.must("replay", "-o", "jsonl").text.splitlines()))
    policy = next(item for item in items if item["operation"] == "policy.deleted")
    assert policy["changed"][0]["fields"][0]["before"] == ["get"]
    assert items[-1]["outcome"] == "access.denied"
    assert [item["time"] for item in items] == sorted(item["time"] for item in items)


def test_a_replay_of_one_name_or_one_principal(past: Terminal) -> None:
    assert {item["name"] for item in past.json("replay", "--name", "gone")} == {"gone"}
    assert past.json("replay", "--principal", "nobody@example.com") == []


def test_a_replay_at_a_speed_waits_in_proportion(past: Terminal) -> None:
    at_once = past.must("replay", "--to", "#6", "-o", "jsonl").text
    fast = past.must("replay", "--to", "#6", "-o", "jsonl", "--speed", "1000")
    assert fast.text == at_once
    slow = past.must("replay", "--from", "#4", "--to", "#6", "--speed", "2")
    assert slow.text.count("changes #") == 2


def test_a_replay_step_by_step(past: Terminal) -> None:
    status, screen = past.type(
        "replay", "--step", answers={"vault.created": "\n", "policy.set": "q\n"}
    )
    assert status == 0
    assert "policy.set" in screen
    assert "secret.set" not in screen


@pytest.mark.parametrize(
    "arguments",
    [
        ("--step",),
        ("--step", "--speed", "2"),
        ("--speed", "0"),
        ("--speed", "2", "-o", "json"),
        ("--from", "x"),
    ],
)
def test_a_replay_that_makes_no_sense_is_a_usage_error(
    past: Terminal, arguments: tuple[str, ...]
) -> None:
    assert past.run("replay", *arguments).status == 2
