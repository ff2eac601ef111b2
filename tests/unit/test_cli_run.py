"""`muniment run`: a program with secrets in its environment, and nothing of ours around it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.terminal import SCRIPT, Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    terminal.must("secret", "set", "db-password", stdin="line 1\nlïne 2")
    terminal.must("secret", "set", "other", stdin="o")
    return terminal


def variable(terminal: Terminal, name: str, *options: str) -> str:
    script = f'printf %s "${{{name}-unset}}"'
    return terminal.must("run", *options, "--", "sh", "-c", script).text


def test_a_program_finds_each_secret_as_a_variable(terminal: Terminal) -> None:
    assert variable(terminal, "db_password") == "line 1\nlïne 2"
    assert variable(terminal, "other") == "o"
    assert variable(terminal, "HOME") == terminal.environ["HOME"]
    terminal.check()


def test_only_what_is_named_is_given_and_read(terminal: Terminal) -> None:
    assert variable(terminal, "db_password", "--secrets", "other") == "unset"
    assert terminal.json("who-read", "db-password") == []
    (read,) = terminal.json("who-read", "other")
    assert read["how"] == "read"


def test_a_secret_goes_before_a_variable_that_was_there(terminal: Terminal) -> None:
    ran = terminal.must("run", "--", "sh", "-c", "printf %s $other", environ={"other": "mine"})
    assert ran.text == "o"


def test_a_program_gets_the_values_of_then(terminal: Terminal) -> None:
    terminal.must("secret", "set", "other", stdin="newer")
    assert variable(terminal, "other", "--as-of", "#3") == "o"


def test_its_input_and_exit_status_are_its_own(terminal: Terminal) -> None:
    ran = terminal.run("run", "--", "sh", "-c", "cat; exit 42", stdin="through")
    assert (ran.status, ran.text) == (42, "through")


def test_a_program_whose_reader_is_gone_ends_as_it_always_does(terminal: Terminal) -> None:
    ran = subprocess.run(
        ["sh", "-c", '"$0" run -- yes | head -n 1', str(SCRIPT)],
        env=terminal.environ,
        capture_output=True,
        timeout=30,
    )
    assert (ran.stdout, ran.stderr) == (b"y\n", b"")


def test_without_a_program_nothing_is_read(terminal: Terminal) -> None:
    ran = terminal.run("run", "--", "no-such-program", "-o", "json")
    assert (ran.status, ran.told.startswith("muniment: no-such-program: ")) == (1, True)
    assert terminal.run("run").status == 2
    assert terminal.json("who-read", "other") == []


def test_what_cannot_be_a_variable_is_refused(terminal: Terminal) -> None:
    terminal.must("secret", "set", "zero", stdin=b"a\0b")
    ran = terminal.run("run", "--", "true")
    assert (ran.status, "zero holds a zero byte" in ran.told) == (2, True)


def test_who_may_not_read_runs_nothing(terminal: Terminal) -> None:
    ran = terminal.run("run", "--as", "bob", "--secrets", "other", "--", "echo", "ran")
    assert (ran.status, ran.text) == (4, "")
