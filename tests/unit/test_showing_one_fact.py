"""`prove --show`: one fact of one record leaves the house, and nothing else of it."""

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eventstore.checkpoint import parse_verifier
from eventstore.disclosure import parse_fact
from eventstore.errors import MunimentError
from support.public import each_byte_changed
from support.terminal import Terminal

SCRIPT = Path(__file__).parents[2] / "docs" / "check_shown.py"


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    terminal = Terminal(tmp_path_factory.mktemp("fact"))
    terminal.must("init")
    terminal.must("secret", "set", "db-password", stdin="hunter2")
    terminal.must("secret", "set", "other-name", stdin="hunter3")
    terminal.must("policy", "set", "--object-id", "eve@example.com", "--secret-permissions", "get")
    terminal.must("secret", "show", "db-password", "--as", "eve@example.com", "-o", "none")
    return terminal


@pytest.fixture(scope="module")
def reading(terminal: Terminal) -> str:
    """That eve read a version, and nothing else."""
    [read] = terminal.json("who-read", "db-password")
    shown = terminal.must(
        *("prove", str(read["position"]), "--log", "access"),
        *("--show", "type,principal,name,version"),
    )
    (terminal.directory / "fact").write_bytes(shown.out)
    (terminal.directory / "key").write_text(terminal.json("vault", "show")["verifiers"]["access"])
    return shown.text


def script(terminal: Terminal, file: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", SCRIPT, file, "key"],
        cwd=terminal.directory,
        capture_output=True,
        text=True,
    )


def test_who_gets_the_file_learns_the_fact(terminal: Terminal, reading: str) -> None:
    checked = terminal.json("prove", "--check", "fact", "--verifier", "key")
    shown = checked["shown"]
    assert shown["event.type"] == "secret.read"
    assert shown["context.principal"] == "eve@example.com"
    assert shown["event.name"] == "db-password"
    assert len(shown["event.version"]) == 32
    assert set(shown) == {"event.type", "context.principal", "event.name", "event.version"}


def test_the_file_holds_nothing_that_was_not_to_be_shown(reading: str) -> None:
    fact = parse_fact(reading)
    raw = reading.encode() + b"".join(
        base64.b64decode(word)
        for line in reading.splitlines()
        for word in line.split(" ")[1:]
        if len(word) % 4 == 0 and word.isascii() and "." not in word and word.isalnum()
    )
    assert b"policy #" not in raw
    assert b"asserted by" not in raw
    assert len(fact.shown.opened) == 4 < len(fact.shown.fields)


def test_a_script_of_about_a_hundred_lines_reads_it(terminal: Terminal, reading: str) -> None:
    assert len(SCRIPT.read_text().splitlines()) <= 130
    done = script(terminal, "fact")
    assert done.returncode == 0, done
    assert "context.principal: 'eve@example.com'" in done.stdout
    assert "event.name: 'db-password'" in done.stdout


def test_the_log_part_is_a_proof_that_other_tools_read(terminal: Terminal, reading: str) -> None:
    (terminal.directory / "tlog-proof").write_text(reading.partition("\n\n")[2])
    terminal.must("prove", "--check", "tlog-proof", "--verifier", "key")


def test_any_changed_byte_is_refused(terminal: Terminal, reading: str) -> None:
    verifier = parse_verifier((terminal.directory / "key").read_text())
    for changed in each_byte_changed(reading.encode()):
        with pytest.raises((MunimentError, UnicodeDecodeError)):
            parse_fact(changed.decode()).check([verifier])


def test_the_script_refuses_changed_bytes_too(terminal: Terminal, reading: str) -> None:
    text = reading.encode()
    for at in range(0, len(text), 41):
        changed = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
        (terminal.directory / "changed").write_bytes(changed)
        done = script(terminal, "changed")
        assert done.returncode == 20, (at, done)
        assert done.stdout.startswith("refused: ")


def test_a_value_from_another_record_is_refused(terminal: Terminal, reading: str) -> None:
    other = terminal.must("prove", "2", "--show", "name", "--log", "changes").text
    lines = [line for line in other.splitlines() if line.startswith("shown event.name")]
    swapped = "\n".join(
        lines[0] if line.startswith("shown event.name") else line for line in reading.split("\n")
    )
    (terminal.directory / "swapped").write_text(swapped)
    refused = terminal.run("prove", "--check", "swapped", "--verifier", "key", "-o", "json")
    assert (refused.status, refused.error["code"]) == (20, "proof.invalid")
    assert script(terminal, "swapped").returncode == 20


def test_showing_is_a_reading_and_recorded(terminal: Terminal, reading: str) -> None:
    last = terminal.json("log", "--operation", "history.read", "--last", "1")[0]
    terminal.must("prove", "0", "--show", "all")
    new = terminal.json("log", "--operation", "history.read", "--log", "access")
    assert [one for one in new if one["details"].get("what") == "prove"]
    assert last["operation"] == "history.read"


def test_all_shows_every_field_that_is_there(terminal: Terminal) -> None:
    fact = parse_fact(terminal.must("prove", "2", "--show", "all").text)
    assert fact.shown.fields == tuple(fact.shown.opened)
    assert {"context.principal", "event.name", "event.value_print", "content_key"} <= {
        field.path for field in fact.shown.opened
    }


def test_only_who_may_read_the_history_may_show_it(terminal: Terminal) -> None:
    refused = terminal.run(
        *("prove", "2", "--show", "name", "-o", "json", "--as", "eve@example.com")
    )
    assert (refused.status, refused.error["code"]) == (4, "access.not-administrator")


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("prove", "2", "--show", "value"), 2, "field.unknown"),
        (("prove", "2", "--show", ","), 2, "usage"),
        (("prove", "--show", "name", "--since", "key"), 2, "usage"),
        (("prove", "999", "--show", "name"), 3, "log.no-such-position"),
    ],
)
def test_what_cannot_be_shown_is_said(
    terminal: Terminal, arguments: tuple[str, ...], status: int, code: str
) -> None:
    refused = terminal.run(*arguments, "-o", "json")
    assert (refused.status, refused.error["code"]) == (status, code)


def test_without_the_root_key_nothing_is_shown(terminal: Terminal, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(terminal.home, copy)
    away = Terminal(tmp_path)
    away.environ["MUNIMENT_HOME"] = os.fspath(copy)
    assert away.run("prove", "2").status == 0
    assert away.run("prove", "2", "--show", "name").status == 11
