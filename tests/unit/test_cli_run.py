"""`muniment run`: a program with secrets in its environment, which stand in none of its output."""

from __future__ import annotations

import os
import signal
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
    return terminal.must("run", "--no-mask", *options, "--", "sh", "-c", script).text


def test_a_program_finds_each_chosen_secret_as_a_variable(terminal: Terminal) -> None:
    both = ("--secrets", "db-password", "other")
    assert variable(terminal, "db_password", *both) == "line 1\nlïne 2"
    assert variable(terminal, "other", *both) == "o"
    assert variable(terminal, "HOME", *both) == terminal.environ["HOME"]
    assert variable(terminal, "URL", "--secrets", "URL=other") == "o"
    terminal.check()


def test_only_what_is_named_is_given_and_read_and_that_once(terminal: Terminal) -> None:
    assert variable(terminal, "db_password", "--secrets", "other", "AGAIN=OTHER") == "unset"
    assert terminal.json("who-read", "db-password") == []
    (read,) = terminal.json("who-read", "other")
    assert read["how"] == "read"


def test_a_secret_that_is_named_goes_before_a_variable_that_was_there(terminal: Terminal) -> None:
    show = ("run", "--no-mask", "--secrets", "other", "--", "printenv", "other")
    assert terminal.must(*show, environ={"other": "mine"}).text == "o\n"


def test_all_leaves_out_what_somebody_could_turn_a_program_with(terminal: Terminal) -> None:
    for name in ("PATH", "LD-PRELOAD", "BASH-ENV", "NODE-OPTIONS", "PYTHONPATH", "home"):
        terminal.must("secret", "set", name, stdin="/tmp/evil")
    terminal.must("secret", "set-attributes", "db-password", "--enabled", "false")
    ran = terminal.must("run", "--all", "--", "env", environ={"OTHER": "x"})
    assert "/tmp/evil" not in ran.text
    assert "***" not in ran.text
    assert "other=o" in ran.text.splitlines()
    assert sorted(line.split(",")[0] for line in ran.told.splitlines() if "left out" in line) == [
        "left out: BASH-ENV",
        "left out: LD-PRELOAD",
        "left out: NODE-OPTIONS",
        "left out: PATH",
        "left out: PYTHONPATH",
        "left out: db-password is disabled",
        "left out: home",
    ]
    assert {one["name"] for one in terminal.json("log") if one["operation"] == "secret.read"} == {
        "other"
    }
    kept = terminal.must("run", "--all", "--", "printenv", "other", environ={"other": "mine"})
    assert kept.text == "mine\n"


@pytest.mark.parametrize(
    "words",
    [(), ("--all", "--secrets", "other"), ("--secrets", "1A=other"), ("--secrets", "A=")],
)
def test_what_it_gets_must_be_said(terminal: Terminal, words: tuple[str, ...]) -> None:
    ran = terminal.run("run", *words, "--", "echo", "ran")
    assert (ran.status, ran.text) == (2, "")


@pytest.mark.parametrize("options", [(), ("--no-mask",)])
def test_no_secret_says_which_program_is_run(terminal: Terminal, options: tuple[str, ...]) -> None:
    evil = terminal.directory / "evil"
    evil.mkdir()
    (evil / "true").write_text("#!/bin/sh\necho evil\n")
    (evil / "true").chmod(0o700)
    terminal.must("secret", "set", "PATH", stdin=str(evil))
    ran = terminal.must("run", *options, "--secrets", "PATH", "--", "true")
    assert ran.text == ""


def test_two_secrets_for_one_variable_are_refused(terminal: Terminal) -> None:
    ran = terminal.run("run", "--secrets", "a-b", "a_b=other", "--", "echo", "ran")
    assert (ran.status, ran.text) == (5, "")
    assert "two secrets would be the variable a_b" in ran.told


def test_a_program_gets_the_values_of_then(terminal: Terminal) -> None:
    terminal.must("secret", "set", "other", stdin="newer")
    assert variable(terminal, "other", "--as-of", "#3", "--secrets", "other") == "o"


# --- the output -----------------------------------------------------------------------------------


def test_a_value_in_the_output_is_masked(terminal: Terminal) -> None:
    script = 'echo "it is $db_password"; echo "$db_password" >&2; echo "<$other>"'
    ran = terminal.must("run", "--secrets", "db-password", "other", "--", "sh", "-c", script)
    assert ran.text == "it is ***\n<o>\n"
    assert ran.told == "not masked: other has less than 4 bytes\n***\n"


def test_a_value_that_comes_in_pieces_is_masked(terminal: Terminal) -> None:
    terminal.must("secret", "set", "db-password", stdin="correct horse")
    script = "printf 'corr'; sleep 0.2; printf 'ect ho'; sleep 0.2; printf 'rse, correct'"
    ran = terminal.must("run", "--secrets", "db-password", "--", "sh", "-c", script)
    assert ran.text == "***, correct"


def test_output_and_errors_of_one_place_stay_in_order(terminal: Terminal) -> None:
    script = "for i in 1 2 3 4; do echo out; echo err >&2; done"
    inner = f'"{SCRIPT}" run --secrets db-password -- sh -c "{script}" 2>&1'
    ran = subprocess.run(["sh", "-c", inner], env=terminal.environ, capture_output=True, timeout=30)
    assert ran.stdout == b"out\nerr\n" * 4


def test_much_output_passes_whole(terminal: Terminal) -> None:
    script = "yes 0123456789abcdef | head -c 3000000"
    ran = terminal.must("run", "--secrets", "db-password", "--", "sh", "-c", script)
    assert (len(ran.out), set(ran.out.split(b"\n")[:-1])) == (3_000_000, {b"0123456789abcdef"})


def test_a_program_at_a_terminal_has_one_too(terminal: Terminal) -> None:
    script = (
        "tty >/dev/null && test -t 1 && test -t 2 && stty size && "
        'printf "say: " && read it && echo "<$it>" && echo "$db_password" && exit 7'
    )
    run = ("run", "--secrets", "db-password", "--", "sh", "-c", script)
    status, screen = terminal.type(*run, answers={"say: ": "hello\n"})
    assert status == 7
    assert screen.splitlines()[-3:] == ["say: hello", "<hello>", "***"]


def test_what_is_typed_to_interrupt_reaches_the_program_alone(terminal: Terminal) -> None:
    script = "trap 'echo caught; exit 9' INT; printf 'ready '; while :; do sleep 0.05; done"
    run = ("run", "--secrets", "db-password", "--", "sh", "-c", script)
    status, screen = terminal.type(*run, answers={"ready ": "\x03"})
    assert (status, "caught" in screen) == (9, True)


def test_a_terminal_is_as_before_when_the_program_has_gone(terminal: Terminal) -> None:
    run = f'"{SCRIPT}" run --secrets db-password -- true'
    status, screen = terminal.type("-c", f"stty -a >a; {run}; stty -a >b; cmp a b", program="sh")
    assert (status, screen) == (0, "")


@pytest.mark.parametrize(("number", "status"), [("TERM", 143), ("INT", 130), ("USR1", 138)])
def test_a_signal_ends_the_program(terminal: Terminal, number: str, status: int) -> None:
    child = subprocess.Popen(
        [SCRIPT, "run", "--secrets", "db-password", "--", "sh", "-c", "echo $$; exec sleep 30"],
        env=terminal.environ,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    program = int(child.stdout.readline())
    child.send_signal(getattr(signal, f"SIG{number}"))
    assert child.wait(10) == status
    child.stdout.close()
    with pytest.raises(ProcessLookupError):
        os.kill(program, 0)


@pytest.mark.parametrize("options", [(), ("--no-mask",)])
def test_its_input_and_exit_status_are_its_own(
    terminal: Terminal, options: tuple[str, ...]
) -> None:
    ran = terminal.run(
        "run", *options, "--secrets", "other", "--", "sh", "-c", "cat; exit 42", stdin="through"
    )
    assert (ran.status, ran.text) == (42, "through")


def test_a_program_whose_reader_is_gone_ends_as_it_always_does(terminal: Terminal) -> None:
    ran = subprocess.run(
        ["sh", "-c", '"$0" run --secrets db-password -- yes | head -n 1', str(SCRIPT)],
        env=terminal.environ,
        capture_output=True,
        timeout=30,
    )
    assert (ran.stdout, ran.stderr) == (b"y\n", b"")


def test_without_a_program_nothing_is_read(terminal: Terminal) -> None:
    ran = terminal.run("run", "--secrets", "other", "--", "no-such-program", "-o", "json")
    assert (ran.status, ran.told.startswith("muniment: no-such-program: ")) == (1, True)
    assert terminal.run("run").status == 2
    assert terminal.json("who-read", "other") == []


def test_what_cannot_be_a_variable_is_refused(terminal: Terminal) -> None:
    terminal.must("secret", "set", "zero", stdin=b"a\0b")
    ran = terminal.run("run", "--secrets", "zero", "--", "true")
    assert (ran.status, "zero holds a zero byte" in ran.told) == (2, True)


def test_who_may_not_read_runs_nothing(terminal: Terminal) -> None:
    ran = terminal.run("run", "--as", "bob", "--secrets", "other", "--", "echo", "ran")
    assert (ran.status, ran.text) == (4, "")


@pytest.mark.parametrize("options", [(), ("--no-mask",)])
def test_a_value_is_given_also_where_the_locale_has_no_letters_for_it(
    terminal: Terminal, options: tuple[str, ...]
) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    script = 'printf %s "$db_password" | wc -c'
    run = ("run", *options, "--secrets", "db-password", "--", "sh", "-c", script)
    assert terminal.must(*run, environ=plain).text.strip() == "14"


@pytest.mark.parametrize("options", [(), ("--no-mask",)])
def test_a_program_finds_what_its_caller_opened_for_it(
    terminal: Terminal, options: tuple[str, ...]
) -> None:
    run = ("run", *options, "--secrets", "other", "--", "sh", "-c", "cat <&9")
    ran = subprocess.run(
        ["sh", "-c", 'echo it | { exec "$0" "$@" 9<&0 </dev/null; }', str(SCRIPT), *run],
        env=terminal.environ,
        capture_output=True,
        timeout=30,
    )
    assert (ran.returncode, ran.stdout) == (0, b"it\n")


@pytest.mark.parametrize("options", [(), ("--no-mask",)])
def test_no_signal_that_python_ignores_is_ignored_in_the_program(
    terminal: Terminal, options: tuple[str, ...]
) -> None:
    script = "ulimit -f 1; head -c 100000 /dev/zero >file"
    ran = terminal.run("run", *options, "--secrets", "other", "--", "sh", "-c", script)
    assert ran.status == 128 + signal.SIGXFSZ


def test_a_program_that_closes_its_terminal_goes_on(terminal: Terminal) -> None:
    script = "exec <&- >&- 2>&-; sleep 0.3; exit 7"
    run = ("run", "--secrets", "db-password", "--", "sh", "-c", script)
    assert terminal.type(*run) == (7, "")


def test_output_that_has_no_room_is_told_as_that(terminal: Terminal) -> None:
    run = ("run", "--secrets", "db-password", "--", "echo", "it")
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [SCRIPT, *run], env=terminal.environ, stdout=full, stderr=subprocess.PIPE, timeout=30
        )
    assert ran.returncode == 1
    assert ran.stderr.startswith(b"muniment: the program's output has no place: No space left")
