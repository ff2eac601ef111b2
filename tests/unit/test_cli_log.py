"""The log on its way out: read on from where somebody stopped, followed, and in the forms of others."""

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.terminal import SCRIPT, Terminal

MARK = "MARKER"
BOB = "bob@example.com"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    terminal.must("secret", "set", "a", stdin=MARK)
    terminal.must("secret", "show", "a", "-o", "none")
    yield terminal
    terminal.check()


def read(text: str) -> list[tuple[str, int]]:
    """Which records the lines of `-o jsonl` are."""
    items = map(json.loads, text.splitlines())
    return [(item["log"], item["position"]) for item in items]


# --- filters --------------------------------------------------------------------------------------


def test_refusals_with_their_reason(terminal: Terminal) -> None:
    assert terminal.run("secret", "show", "a", "--as", BOB).status == 4
    (refused,) = terminal.json("log", "--principal", BOB, "--outcome", "refused")
    assert (refused["operation"], refused["outcome"]) == ("secret.read", "access.denied")


def test_a_local_command_has_no_address(terminal: Terminal) -> None:
    assert terminal.json("log", "--address", "192.0.2.7") == []


def refused_then_busy(terminal: Terminal) -> None:
    """Two refusals, and then readings that no filter for refusals may count."""
    for name in ("x", "y"):
        assert terminal.run("secret", "show", name, "--as", BOB).status == 4
    terminal.must("secret", "show", "a", "-o", "none")


def test_the_last_of_them_are_the_newest_that_match(terminal: Terminal) -> None:
    refused_then_busy(terminal)
    for outcome in ("refused", "access.denied"):
        found = terminal.json("log", "--outcome", outcome, "--last", "1")
        assert [item["name"] for item in found] == ["y"]
    found = terminal.json("log", "--to", "#2", "--log", "changes", "--last", "1")
    assert [item["position"] for item in found] == [1]
    found = terminal.json("log", "--from", "#1", "--log", "changes", "--last", "5")
    assert [item["position"] for item in found] == [1, 2]
    assert terminal.json("log", "--address", "192.0.2.7", "--last", "1") == []


def test_following_begins_with_the_newest_that_match(terminal: Terminal) -> None:
    refused_then_busy(terminal)
    with Following(terminal, "-o", "jsonl", "--outcome", "refused", "--last", "1") as following:
        (line,) = following.lines("access.denied")
    assert json.loads(line)["name"] == "y"


@pytest.mark.parametrize(
    ("filters", "near"),
    [
        (("--operation", "secret.sett"), "secret.set"),
        (("--outcome", "acess.denied"), "access.denied"),
    ],
)
def test_a_word_that_no_record_has_is_refused_rather_than_empty(
    terminal: Terminal, filters: tuple[str, str], near: str
) -> None:
    ran = terminal.run("log", *filters, "-o", "json")
    assert (ran.status, ran.text) == (2, "")
    assert near in ran.error["message"]


def test_that_no_record_fits_is_told_to_people(terminal: Terminal) -> None:
    assert terminal.must("log", "misspelt").told == "No record fits.\n"
    ran = terminal.must("log", "other", "-o", "json")
    assert (ran.text, ran.told) == ("[]\n", "")


def test_a_kept_checkpoint_is_where_a_log_begins_or_ends(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_bytes(terminal.must("checkpoint", "show").out)
    terminal.must("secret", "set", "b", stdin="later")
    since = terminal.must("log", "--from", "@kept", "--log", "changes", "-o", "jsonl")
    assert read(since.text) == [("changes", 2), ("changes", 3)]
    assert since.told.startswith("--from #2, ")
    before = terminal.must("log", "--to", "@kept", "--log", "changes", "-o", "jsonl")
    assert read(before.text) == [("changes", 0), ("changes", 1)]
    after = ("--after", "changes:2,access:0")
    gone_on = terminal.must("log", "--from", "@kept", *after, "--log", "changes", "-o", "jsonl")
    assert read(gone_on.text) == [("changes", 3)]
    assert gone_on.told.startswith("--from #2, ")


def test_a_checkpoint_of_another_log_is_no_place_in_this_one(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_bytes(terminal.must("checkpoint", "show", "--log", "access").out)
    ran = terminal.run("log", "--from", "@kept", "-o", "json")
    assert (ran.status, ran.error["code"]) == (20, "checkpoint.signature-invalid")


def test_a_narrow_terminal_still_names_each_record(terminal: Terminal) -> None:
    _, screen = terminal.type("log", "--log", "changes", "--no-pager", columns=60)
    found = [line.split("  ") for line in screen.splitlines()[1:] if line]
    assert [line[0] for line in found] == ["changes #0", "changes #1", "changes #2"]
    assert all(len(line[1]) == 20 and line[1].startswith("20") for line in found)


@pytest.mark.parametrize("flag", ["--from", "--to"])
def test_a_position_beyond_the_head_is_told(terminal: Terminal, flag: str) -> None:
    ran = terminal.run("log", flag, "#99999", "-o", "json")
    assert (ran.status, ran.error["code"], ran.text) == (3, "log.no-such-position", "")
    assert "no event #99999" in ran.error["message"]


def test_a_long_log_is_one_table_and_one_list(terminal: Terminal, tmp_path: Path) -> None:
    items = "".join(f"NAME{number}=x\n" for number in range(1200))
    terminal.must("secret", "import", "-", "--format", "dotenv", stdin=items)
    lines = terminal.must("log", "--log", "changes").text.splitlines()
    assert len(lines) == 1 + 3 + 1200
    assert lines[-1].split()[:2] == ["changes", "#1202"]
    assert lines[-1].split()[-1] == "ok", "nothing is cut where there is no terminal"
    told = terminal.json("log", "--log", "changes")
    assert [item["position"] for item in told] == list(range(1203))
    tsv = terminal.must("log", "--log", "changes", "-o", "tsv").text.splitlines()
    assert len(tsv) == 1203
    names = terminal.must("log", "--log", "changes", "--query", "[].name", "-o", "tsv").text
    assert len(names.splitlines()) == 1203
    assert terminal.must("log", "-o", "none").text == ""
    terminal.must("log", "--cursor", "cur", "-o", "none", "--log", "changes")
    assert (tmp_path / "cur").read_text() == "changes:1202\n"


# --- a cursor -------------------------------------------------------------------------------------


def test_a_cursor_goes_on_where_it_stopped(terminal: Terminal, tmp_path: Path) -> None:
    first = read(terminal.must("log", "--cursor", "cur", "-o", "jsonl").text)
    terminal.must("secret", "set", "b", stdin=MARK)
    second = read(terminal.must("log", "--cursor", "cur", "-o", "jsonl").text)

    assert ("changes", 2) in first
    assert ("changes", 3) in second
    assert not set(first) & set(second)
    for log in ("changes", "access"):
        positions = [position for name, position in first + second if name == log]
        assert positions == list(range(len(positions))), "nothing twice, and nothing left out"
    assert stat.S_ISREG((tmp_path / "cur").stat().st_mode)


def test_a_cursor_moves_past_what_was_filtered_out(terminal: Terminal, tmp_path: Path) -> None:
    arguments = ("log", "--log", "changes", "--operation", "secret.deleted", "--cursor", "cur")
    assert terminal.must(*arguments).text == ""
    assert (tmp_path / "cur").read_text() == "changes:2\n"


def test_a_position_of_each_log_is_a_cursor(terminal: Terminal) -> None:
    ran = terminal.must("log", "--after", "changes:1", "--log", "changes", "-o", "jsonl")
    assert read(ran.text) == [("changes", 2)]
    assert ran.told == "--after changes:2\n"


def test_a_cursor_beyond_the_end_is_told(terminal: Terminal) -> None:
    ran = terminal.run("log", "--after", "changes:2,access:999", "-o", "json")
    assert (ran.status, ran.error["code"]) == (3, "log.no-such-position")
    assert "lost its end" in ran.error["message"]


@pytest.mark.parametrize("text", ["x", "changes", "changes:-1", "changes:1,changes:2", "other:3"])
def test_what_is_no_cursor_is_refused(terminal: Terminal, tmp_path: Path, text: str) -> None:
    assert terminal.run("log", "--after", text).status == 2
    (tmp_path / "cur").write_text(text)
    assert terminal.run("log", "--cursor", "cur").status == 2
    assert (tmp_path / "cur").read_text() == text


@pytest.mark.parametrize(
    "arguments",
    [
        ("--after", "changes:1", "--cursor", "c"),
        ("--after", "changes:1", "--last", "1"),
        ("--follow", "--to", "now"),
        ("--follow", "-o", "json"),
        ("--follow", "--query", "[0]"),
        ("--file", "x"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    terminal: Terminal, arguments: tuple[str, ...]
) -> None:
    assert terminal.run("log", *arguments).status == 2


# --- following ------------------------------------------------------------------------------------


class Following:
    """`muniment log --follow`, running; it ends with the context."""

    def __init__(self, terminal: Terminal, *arguments: str) -> None:
        self._child = subprocess.Popen(
            [SCRIPT, "log", "--follow", "--interval", "0.05", *arguments],
            cwd=terminal.directory,
            env=terminal.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def lines(self, until: str) -> list[str]:
        """All lines up to the first that holds *until*."""
        assert self._child.stdout
        found: list[str] = []
        while not found or until not in found[-1]:
            line = self._child.stdout.readline().decode()
            assert line, (found, self._child.communicate())
            found.append(line)
        return found

    def end(self) -> tuple[int, str]:
        self._child.send_signal(signal.SIGINT)
        out, _ = self._child.communicate(timeout=30)
        return self._child.returncode, out.decode()

    def __enter__(self) -> "Following":
        return self

    def __exit__(self, *_: object) -> None:
        with self._child as child:
            child.kill()


def test_follow_tells_what_comes(terminal: Terminal) -> None:
    with Following(terminal, "-o", "jsonl", "--last", "1") as following:
        assert len(following.lines("secret.read")) == 1
        terminal.must("secret", "set", "later", stdin=MARK)
        told = following.lines('"later"')
        status, rest = following.end()

    assert status == 130
    assert MARK not in "".join(told) + rest


def test_follow_shows_only_what_is_asked_for(terminal: Terminal) -> None:
    with Following(terminal, "b", "--operation", "secret.set", "--log", "changes") as following:
        terminal.must("secret", "set", "c", stdin=MARK)
        terminal.must("secret", "set", "b", stdin=MARK)
        (line,) = following.lines("secret.set")
    assert "  b  " in line


def test_who_follows_does_not_wake_himself(terminal: Terminal) -> None:
    with Following(terminal, "-o", "jsonl") as following:
        following.lines("secret.read")
        before = terminal.json("vault", "show")["records"]["access"]
        time.sleep(2.0)
        after = terminal.json("vault", "show")["records"]["access"]

    # `vault show` is recorded, and seen once by who follows; forty looks at the log are not.
    assert after - before <= 4


def written(file: str) -> str:
    return Path(file).read_text() if os.path.exists(file) else ""


def test_follow_goes_on_from_a_cursor_after_a_stop(terminal: Terminal, tmp_path: Path) -> None:
    out = str(tmp_path / "siem.jsonl")
    arguments = ("--cursor", "cur", "--format", "auditevent", "--file", out)
    for name in ("x", "y"):
        with Following(terminal, *arguments) as following:
            terminal.must("secret", "set", name, stdin=MARK)
            end = time.monotonic() + 20
            while time.monotonic() < end and f"/secrets/{name}/" not in written(out):
                time.sleep(0.05)
            following.end()

    lines = [json.loads(line)["properties"]["muniment"] for line in written(out).splitlines()]
    changes = [line["position"] for line in lines if line["log"] == "changes"]
    assert changes == [0, 1, 2, 3, 4]
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o600


# --- the forms of others --------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["auditevent", "ocsf", "rfc5424"])
def test_each_record_is_a_line_without_a_value(terminal: Terminal, form: str) -> None:
    terminal.run("secret", "show", 'a"]\n<110>1', "--as", BOB)
    ran = terminal.must("log", "--format", form)
    lines = ran.text.splitlines()
    assert len(lines) == 5
    assert MARK not in ran.text
    if form == "rfc5424":
        assert all(line.startswith("<1") for line in lines)
    else:
        assert all(json.loads(line) for line in lines)


def test_a_log_in_the_form_of_others_goes_to_a_file_of_its_own(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.must("log", "--format", "ocsf", "--file", "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600
    assert terminal.run("log", "--format", "ocsf", "--file", "out").status == 5
    terminal.must("log", "--format", "ocsf", "--file", "out", "--last", "1", "--yes")
    assert len((tmp_path / "out").read_text().splitlines()) == 1
