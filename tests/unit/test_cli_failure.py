"""Failures are told in words or in JSON, with a status, and never by a traceback or a value."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cli import failure, main
from support.terminal import SCRIPT, Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def test_words_and_a_way_out(terminal: Terminal) -> None:
    ran = terminal.run("secret", "list")
    assert ran.status == 10
    assert ran.told.splitlines() == [
        f"muniment: there is no store in {terminal.home}",
        "  make one with `muniment init`, or name it with --home or MUNIMENT_HOME",
    ]


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (("secret", "list", "-o", "json"), {}),
        (("secret", "list", "-ojson"), {}),
        (("secret", "list", "--output=jsonl"), {}),
        (("secret", "list"), {"MUNIMENT_OUTPUT": "json"}),
    ],
)
def test_an_object_where_json_was_asked_for(
    terminal: Terminal, arguments: tuple[str, ...], environ: dict[str, str]
) -> None:
    ran = terminal.run(*arguments, environ=environ)
    assert ran.out == b""
    assert json.loads(ran.told) == {
        "error": {
            "code": "store.not-found",
            "message": f"there is no store in {terminal.home}",
            "hint": "make one with `muniment init`, or name it with --home or MUNIMENT_HOME",
            "exit": 10,
        }
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("secret", "shwo"),
        ("secret", "show", "a", "--no-such-option"),
        ("secret", "show", "a", "--maxresults", "3"),
        ("secret", "list", "--maxresults", "0"),
        ("secret", "list", "-o", "yaml"),
        ("secret", "list", "--query", "["),
        ("secret", "set", "a", "--expires", "tomorrow"),
        ("secret", "set", "a", "--enabled", "maybe"),
        ("log", "--from", "yesterday"),
        ("policy", "set", "--object-id", "x"),
        ("--home", "x", "secret", "list"),
        ("completion", "tcsh"),
        ("init", "x"),
    ],
    ids=" ".join,
)
def test_a_command_line_that_says_nothing_is_status_2(
    terminal: Terminal, arguments: tuple[str, ...]
) -> None:
    terminal.must("init")
    ran = terminal.run(*arguments)
    assert ran.status == 2, ran
    assert ran.told.startswith("muniment: ")
    assert "Traceback" not in ran.told


@pytest.mark.parametrize(
    ("flags", "environ", "painted"),
    [
        ((), {}, False),
        (("--color", "always"), {}, True),
        ((), {"FORCE_COLOR": "1"}, True),
        (("--color=never",), {"FORCE_COLOR": "1"}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        ((), {"MUNIMENT_COLOR": "never", "FORCE_COLOR": "1"}, False),
        (("--color", "nonsense"), {"FORCE_COLOR": "1"}, True),
    ],
)
def test_a_failure_is_painted_as_the_flag_and_the_settings_say(
    terminal: Terminal, flags: tuple[str, ...], environ: dict[str, str], painted: bool
) -> None:
    ran = terminal.run("secret", "list", *flags, environ=environ)
    assert ran.status in (2, 10)
    assert ("\x1b[31mmuniment:" in ran.told) == painted


def test_usage_is_json_too(terminal: Terminal) -> None:
    ran = terminal.run("secret", "show", "--nope", "-o", "json")
    assert (ran.status, ran.error["code"], ran.error["exit"]) == (2, "usage", 2)
    assert ran.error["hint"] == "muniment secret show --help"


def test_a_similar_verb_is_proposed(terminal: Terminal) -> None:
    assert "list-versions" in terminal.run("secret", "list-version").told


# --- what nobody foresaw --------------------------------------------------------------------------


class Secretive(Exception):
    """An exception whose text is a value."""


def raise_unforeseen(secret: str) -> None:
    raise Secretive(f"cannot handle {secret}")


def unforeseen(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(main.root, "make_context", lambda *_: raise_unforeseen("hunter2"))
    return main.run(["secret", "list"])


def test_the_unforeseen_is_told_by_its_class_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MUNIMENT_DEBUG", raising=False)
    assert unforeseen(monkeypatch) == 1
    told = capsys.readouterr().err
    assert "muniment: unforeseen: Secretive" in told
    assert "hunter2" not in told
    assert "Traceback" not in told


def test_debugging_shows_where_and_no_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUNIMENT_DEBUG", "1")
    assert unforeseen(monkeypatch) == 1
    told = capsys.readouterr().err
    assert "raise_unforeseen" in told
    assert "cannot handle hunter2" not in told


def test_an_operating_system_error_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert failure.report(PermissionError(13, "Permission denied", "/x"), []) == 1
    assert "muniment: /x: Permission denied" in capsys.readouterr().err


# --- the ends of streams --------------------------------------------------------------------------


def test_a_reader_who_leaves_is_no_reason_to_complain(terminal: Terminal) -> None:
    terminal.must("init")
    reading, writing = os.pipe()
    os.close(reading)
    child = subprocess.run(
        [SCRIPT, "log"], env=terminal.environ, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert child.stderr == b""
    assert child.returncode == 1


def test_an_interrupt_is_130(terminal: Terminal) -> None:
    terminal.must("init")
    child = subprocess.Popen(
        [SCRIPT, "secret", "set", "a"],
        env=terminal.environ,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    # It waits for its standard input to end.
    time.sleep(1.5)
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=20)
    assert child.returncode == 130
    assert told.startswith(b"muniment: Interrupted")
    assert b"Traceback" not in told


def test_who_is_not_asked_is_told_how_to_look_first(terminal: Terminal) -> None:
    terminal.must("init")
    ran = terminal.run("secret", "purge", "a", "-o", "json")
    assert ran.error["message"].endswith("give --yes, or --plan to look first.")
    assert ran.error["hint"] == "nothing was changed"


# --- streams that the caller closed ---------------------------------------------------------------


def closing(
    terminal: Terminal, streams: str, *arguments: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose *streams*, as a shell closes them, are not there."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {streams}', "sh", str(SCRIPT), *arguments],
        capture_output=True,
        cwd=terminal.directory,
        env=terminal.environ,
        timeout=30,
    )


def test_a_closed_output_is_a_failure_and_no_traceback(terminal: Terminal) -> None:
    terminal.must("init")
    terminal.must("secret", "set", "a", stdin="v")
    ran = closing(terminal, ">&-", "secret", "list")
    assert (ran.returncode, ran.stderr) == (1, b"muniment: Bad file descriptor\n")
    assert closing(terminal, ">&-", "secret", "delete", "a", "-o", "none").returncode == 0
    terminal.check()


def test_a_closed_input_is_no_empty_value(terminal: Terminal) -> None:
    terminal.must("init")
    ran = closing(terminal, "<&-", "secret", "set", "a")
    assert (ran.returncode, ran.stderr) == (1, b"muniment: -: Bad file descriptor\n")
    assert terminal.json("secret", "list") == []


def test_what_is_told_to_nobody_does_not_stand_among_the_data(terminal: Terminal) -> None:
    terminal.must("init")
    ran = closing(terminal, "2>&-", "secret", "list", "--as-of", "#1", "-o", "json")
    assert (ran.returncode, ran.stdout) == (0, b"[]\n")
    assert closing(terminal, "2>&-", "secret", "show", "nope").returncode == 3
