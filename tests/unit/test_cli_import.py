"""A file is imported whole or not at all, and what is exported is imported again."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import import_items
from cli.import_formats import Item
from support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    yield terminal
    terminal.check()


def names(terminal: Terminal) -> list[str]:
    return [item["name"] for item in terminal.json("secret", "list")]


def test_a_dotenv_file_is_one_commit_with_an_event_each(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgres://x\nAPI_KEY='k e y'\n")
    before = len(terminal.json("log", "--log", "changes"))

    ran = terminal.must("secret", "import", ".env", "-o", "json")

    assert [item["name"] for item in ran.json] == ["DATABASE-URL", "API-KEY"]
    assert "2 secrets were set" in ran.told
    assert terminal.json("secret", "show", "API-KEY")["value"] == "k e y"
    assert len(terminal.json("log", "--log", "changes")) == before + 2


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("A=1\nhunter2\n", "line 2"),
        ("A=1\nB.C=hunter2\n", "line 2 (B.C)"),
        ("A_B=hunter2\nA-B=hunter2\n", "line 2 (A-B)"),
        ("A=1\nB=" + "hunter2" * 4000, "line 2 (B)"),
        ('{"a": "hunter2", "b": 2}', "key 'b'"),
        ('{"data": {"data": {"a": ["hunter2"]}}}', "key 'a'"),
    ],
    ids=["line", "name", "collision", "size", "json", "vault"],
)
def test_one_bad_item_and_nothing_is_imported(terminal: Terminal, text: str, named: str) -> None:
    ran = terminal.run("secret", "import", "-", "-o", "json", stdin=text)

    assert ran.status == 2
    assert named in ran.error["message"]
    assert b"hunter2" not in ran.out + ran.err
    assert names(terminal) == []


def test_keep_going_imports_the_rest_and_names_the_bad(terminal: Terminal) -> None:
    terminal.must("secret", "set", "gone", stdin="v")
    terminal.must("secret", "delete", "gone")
    text = json.dumps({"a": "1", "gone": "hunter2", "b c": "hunter2", "d": "4"})

    refused = terminal.run("secret", "import", "-", stdin=text.replace("b c", "bc"))
    ran = terminal.run("secret", "import", "-", "--keep-going", stdin=text)

    assert refused.status == 5
    assert ran.status == 1
    assert "key 'gone'" in ran.told
    assert "key 'b c'" in ran.told
    assert "hunter2" not in ran.told
    assert names(terminal) == ["a", "d"]


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ('{"a": "1", "b": 2, "c": "3"}', "key 'b'"),
        ('{"data": {"data": {"a": "1", "b": ["hunter2"], "c": "3"}}}', "key 'b'"),
        ('{"a": "1", "b": "hunter2\\ud800", "c": "3"}', "key 'b'"),
        (
            '[{"name": "a", "value": "1", "attributes": {}}, {"name": "b", "attributes": {}},'
            ' {"name": "c", "value": "3", "attributes": {}}]',
            "item 2 ('b')",
        ),
    ],
    ids=["number", "vault", "surrogate", "az"],
)
def test_keep_going_passes_over_an_item_that_is_no_secret(
    terminal: Terminal, text: str, bad: str
) -> None:
    ran = terminal.run("secret", "import", "-", "--keep-going", stdin=text)

    assert ran.status == 1
    assert f"not imported: {bad}" in ran.told
    assert "hunter2" not in ran.told
    assert names(terminal) == ["a", "c"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_that_windows_wrote_says_how_it_is_encoded(
    terminal: Terminal, encoding: str
) -> None:
    terminal.must("secret", "import", "-", stdin="GREETING=grüße\n".encode(encoding))
    assert terminal.json("secret", "show", "GREETING")["value"] == "grüße"


def test_a_file_that_is_no_text_is_told_without_its_bytes(terminal: Terminal) -> None:
    ran = terminal.run("secret", "import", "-", "-o", "json", stdin=b"A=1\nB=\xe9\n")
    assert (ran.status, ran.error["code"]) == (2, "import.malformed")
    assert ran.error["message"] == "the file is not utf-8 text: byte 6 does not fit"


def test_a_plan_changes_nothing(terminal: Terminal) -> None:
    ran = terminal.must("secret", "import", "-", "--plan", "-o", "json", stdin="A_B=hunter2\n")
    assert ran.json == [{"bytes": 7, "from": "line 1 (A_B)", "name": "A-B"}]
    assert "nothing was" in ran.told
    assert names(terminal) == []


def test_a_prefix_stands_before_each_name(terminal: Terminal) -> None:
    terminal.must("secret", "import", "-", "--prefix", "app-", stdin="A=1\n")
    assert names(terminal) == ["app-A"]


def test_what_vault_kv_get_printed(terminal: Terminal) -> None:
    kept = {"request_id": "x", "data": {"data": {"user_name": "u"}, "metadata": {"version": 3}}}
    terminal.must("secret", "import", "-", stdin=json.dumps(kept))
    assert terminal.json("secret", "show", "user-name")["value"] == "u"


def test_what_is_shown_can_be_imported_elsewhere(terminal: Terminal, tmp_path: Path) -> None:
    beside = ["--tags", "x=1", "--content-type", "t", "--expires", "2030-01-01"]
    for name in ("a", "b"):
        terminal.must("secret", "set", name, *beside, stdin=f"{name}\n")
    shown = [terminal.must("secret", "show", name, "-o", "json").out for name in ("a", "b")]
    (tmp_path / "second").mkdir()
    second = Terminal(tmp_path / "second")
    second.must("init")

    second.must("secret", "import", "-", stdin=b"".join(shown))

    there, here = second.json("secret", "show", "b"), terminal.json("secret", "show", "b")
    for key in ("value", "tags", "contentType"):
        assert there[key] == here[key]
    assert there["attributes"]["expires"] == "2030-01-01T00:00:00Z"


@pytest.mark.parametrize("form", ["json", "dotenv"])
def test_an_export_is_private_and_comes_back(terminal: Terminal, tmp_path: Path, form: str) -> None:
    values = {"A-B": 'x "y" $z \\ \n', "C": "grüße", "D": ""}
    terminal.must("secret", "import", "-", stdin=json.dumps(values))
    terminal.must("secret", "set", "off", "--enabled", "false", stdin="v")

    ran = terminal.must("secret", "export", "--file", "out", "--format", form)

    assert "off is disabled" in ran.told
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600
    assert terminal.run("secret", "export", "--file", "out").status == 5
    terminal.must("secret", "import", "out", "--prefix", "again-")
    for name, value in values.items():
        assert terminal.json("secret", "show", f"again-{name}")["value"] == value
    reads = terminal.json("log", "--operation", "secret.read")
    assert [item["name"] for item in reads[:3]] == ["A-B", "C", "D"]


def test_some_are_exported_by_name(terminal: Terminal) -> None:
    terminal.must("secret", "import", "-", stdin="A=1\nB=2\n")
    assert terminal.must("secret", "export", "B").json == {"B": "2"}
    assert terminal.run("secret", "export", "none").status == 3


def test_two_names_that_meet_in_one_variable_are_not_exported(terminal: Terminal) -> None:
    terminal.must("secret", "import", "-", stdin='{"1": "a", "-1": "b"}')
    assert terminal.run("secret", "export", "--format", "dotenv").status == 5


# --- commits --------------------------------------------------------------------------------------


def planned(count: int, size: int = 1) -> list[import_items.Planned]:
    items = [Item(f"line {number}", f"n{number}", "v" * size) for number in range(count)]
    return import_items.plan(items, "")[0]


@pytest.mark.parametrize(("count", "commits"), [(0, 0), (1, 1), (5_000, 1), (5_001, 2)])
def test_a_commit_holds_so_many(count: int, commits: int) -> None:
    parts = list(import_items.commits(planned(count)))
    assert len(parts) == commits
    assert [one for part in parts for one in part] == planned(count)


def test_a_file_beyond_one_commit_is_refused(terminal: Terminal) -> None:
    text = "".join(f"N{number}=v\n" for number in range(5_001))
    ran = terminal.run("secret", "import", "-", "-o", "json", stdin=text)
    assert (ran.status, ran.error["code"]) == (2, "import.too-large")
    assert "--keep-going" in ran.error["hint"]
    assert names(terminal) == []


def test_a_large_file_goes_in_commits_and_again_with_its_id(
    terminal: Terminal,
) -> None:
    text = "".join(f"N{number}=v\n" for number in range(5_001))
    again = ("secret", "import", "-", "--keep-going", "--request-id", "r", "-o", "json")
    first = terminal.must(*again, stdin=text).json
    assert len(first) == 5_001
    assert terminal.must(*again, stdin=text).json == first
