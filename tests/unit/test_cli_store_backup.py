"""A hot copy of a whole store, and a store made of one: all of it, but never the root key."""

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    terminal.must("secret", "set", "db", stdin="MARKER")
    terminal.must("secret", "show", "db", "-o", "none")
    yield terminal
    terminal.check()


def test_a_copy_verifies_without_a_key_and_does_not_hold_one(
    terminal: Terminal, tmp_path: Path
) -> None:
    made = terminal.json("store", "backup", "copy")
    # The copy has the record that it was made.
    assert (made["records"]["main/changes"], made["records"]["main/access"]) == (3, 2)
    assert made["rootKey"] == f"{terminal.home}.key"
    terminal.must("verify", "--every-signature", "--home", "copy")
    assert terminal.run("secret", "list", "--home", "copy").status == 11
    assert not (tmp_path / "copy.key").exists()
    assert b"MARKER" not in b"".join(
        path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file()
    )


def test_the_user_is_told_what_opens_the_copy(terminal: Terminal) -> None:
    told = terminal.must("store", "backup", "copy").told
    assert f"muniment store import copy --root-key {terminal.home}.key" in told
    assert len(told.splitlines()) <= 24, "one screen"


def test_the_commands_that_are_told_can_be_run_as_they_stand(
    terminal: Terminal, tmp_path: Path
) -> None:
    told = terminal.must("store", "backup", "a copy").told
    (line,) = (line for line in told.splitlines() if "store import" in line)
    words = shlex.split(line.partition("To use it")[2])
    assert words[:4] == ["muniment", "store", "import", "a copy"]
    terminal.must(*words[1:], "--home", str(tmp_path / "drill"))


def test_a_copy_goes_where_nothing_is(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    assert terminal.run("store", "backup", "there").status == 5
    assert (tmp_path / "there" / "file").read_text() == "mine"


def test_a_copy_becomes_a_store_of_its_own(terminal: Terminal, tmp_path: Path) -> None:
    terminal.must("store", "backup", "copy")
    key = f"{terminal.home}.key"
    planned = terminal.json("store", "import", "copy", "--root-key", key, "--home", "new", "--plan")
    assert planned["homeIsFree"]
    assert not (tmp_path / "new").exists()

    # The copy and its original are one log to who has seen either: another account takes it over.
    new = {"MUNIMENT_HOME": str(tmp_path / "new"), "MUNIMENT_STATE": str(tmp_path / "other")}
    imported = ("store", "import", "copy", "--root-key", key, "-o", "json")
    made = terminal.must(*imported, environ=new).json

    assert made["vaults"] == ["main"]
    shown = terminal.must("secret", "show", "db", "--query", "value", "-o", "tsv", environ=new)
    assert shown.text == "MARKER\n"
    adopted = terminal.must("log", "--operation", "store.adopted", "-o", "jsonl", environ=new)
    assert adopted.text.count("\n") == 1
    terminal.must("verify", "--every-signature", environ=new)
    assert terminal.must("rebuild", "-o", "json", environ=new).json["viewsWereRight"]

    ran = terminal.run("diff", "store", "new", "--keyless", "-o", "json")
    changes = next(log for log in ran.json if log["log"] == "changes")
    assert (changes["state"], changes["lastCommon"]) == ("the second goes on", 2)


def test_a_store_of_a_copy_has_its_root_key_beside_it(terminal: Terminal, tmp_path: Path) -> None:
    first = {"MUNIMENT_HOME": str(tmp_path / "first")}
    terminal.must("init", "--root-key", str(tmp_path / "safe"), environ=first)
    terminal.must("store", "backup", "copy", environ=first)
    new = {"MUNIMENT_HOME": str(tmp_path / "new"), "MUNIMENT_STATE": str(tmp_path / "other")}
    terminal.must("store", "import", "copy", "--root-key", str(tmp_path / "safe"), environ=new)

    terminal.must("secret", "list", environ=new)
    terminal.must("secret", "list", environ=first)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("import", "none", "--home", "new"), 10),
        (("import", "copy", "--home", "new"), 11),
        (("import", "copy"), 5),
        (("import", "copy", "--home", "new", "--root-key", "wrong.key"), 12),
    ],
)
def test_what_cannot_be_taken_over_is_refused(
    terminal: Terminal, tmp_path: Path, arguments: tuple[str, ...], status: int
) -> None:
    terminal.must("store", "backup", "copy")
    terminal.must("init", "--home", "wrong")
    if arguments == ("import", "copy"):
        shutil.copytree(f"{terminal.home}.key", tmp_path / "copy.key")
    assert terminal.run("store", *arguments).status == status


def test_a_copy_of_the_store_is_on_record_in_it(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.must("init", "main")
    terminal.must("store", "backup", "copy")
    items = terminal.must("log", "-o", "json").json
    told = [one["details"]["what"] for one in items if one["operation"] == "vault.read"]
    assert told == ["store-backup"]
