"""A value comes in by a stream, a file or a hidden prompt, and goes out as the same bytes."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.terminal import Terminal

ODD = "  grüße\t漢字\r\n\n\x00 end "


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    yield terminal
    terminal.check()


def shown(terminal: Terminal, name: str = "a") -> str:
    value: str = terminal.json("secret", "show", name)["value"]
    return value


def test_standard_input_is_stored_as_it_is(terminal: Terminal) -> None:
    terminal.must("secret", "set", "a", stdin=ODD)
    assert shown(terminal) == ODD


def test_a_locale_without_utf8_changes_nothing(terminal: Terminal) -> None:
    environ = {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    terminal.must("secret", "set", "a", stdin="grüße", environ=environ)
    out = terminal.must("secret", "show", "a", "--query", "value", "-o", "tsv", environ=environ).out
    assert out == "grüße\n".encode()


def test_trim_strips_white_space_around(terminal: Terminal) -> None:
    terminal.must("secret", "set", "a", "--trim", stdin=" v \n")
    assert shown(terminal) == "v"


def test_an_empty_value_is_legal_and_said(terminal: Terminal) -> None:
    assert "the value is empty" in terminal.must("secret", "set", "a").told
    assert shown(terminal) == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("a", "--value", "hunter2"),
        ("a", "--value=hunter2"),
        ("--name", "a", "--value", "hunter2", "-o", "json"),
        ("a", "hunter2"),
        ("a", "--password=hunter2"),
        ("a", "-phunter2"),
    ],
    ids=" ".join,
)
def test_a_value_as_an_argument_is_refused_and_not_repeated(
    terminal: Terminal, arguments: tuple[str, ...]
) -> None:
    ran = terminal.run("secret", "set", *arguments, stdin="v")

    assert ran.status == 2
    assert b"hunter2" not in ran.out + ran.err
    assert terminal.json("secret", "list") == []


def test_value_is_explained(terminal: Terminal) -> None:
    ran = terminal.run("secret", "set", "a", "--value", "hunter2", "-o", "json")
    assert ran.error["code"] == "usage.value-as-argument"
    assert "standard input" in ran.error["hint"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16le", "utf-16be", "ascii", "base64", "hex"])
def test_a_file_comes_back_as_the_same_bytes(
    terminal: Terminal, tmp_path: Path, encoding: str
) -> None:
    text = "plain text\n"
    raw = bytes(range(256)) if encoding in ("base64", "hex") else text.encode(encoding)
    (tmp_path / "in").write_bytes(raw)

    set_ = terminal.json("secret", "set", "a", "--file", "in", "--encoding", encoding)
    terminal.must("secret", "download", "a", "--file", "out")

    assert set_["tags"] == {"file-encoding": encoding}
    assert (tmp_path / "out").read_bytes() == raw
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600
    assert terminal.must("secret", "download", "a", "--file", "-").out == raw


def test_a_binary_file_is_refused_with_the_way_out(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\xff\xfe\x00hunter2")
    ran = terminal.run("secret", "set", "a", "--file", "in", "-o", "json")
    assert (ran.status, ran.error["code"]) == (2, "value.not-text")
    assert "--encoding base64" in ran.error["hint"]
    assert b"hunter2" not in ran.err


def test_a_download_never_replaces_unasked(terminal: Terminal, tmp_path: Path) -> None:
    terminal.must("secret", "set", "a", stdin="v")
    (tmp_path / "out").write_text("mine")
    (tmp_path / "out").chmod(0o644)
    reads = len(terminal.json("log", "--operation", "secret.read"))

    assert terminal.run("secret", "download", "a", "--file", "out").status == 5
    assert (tmp_path / "out").read_text() == "mine"
    assert len(terminal.json("log", "--operation", "secret.read")) == reads
    terminal.must("secret", "download", "a", "--file", "out", "--yes")
    assert (tmp_path / "out").read_text() == "v"
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


def test_a_download_follows_no_link(terminal: Terminal, tmp_path: Path) -> None:
    terminal.must("secret", "set", "a", stdin="v")
    (tmp_path / "out").symlink_to("target")
    assert terminal.run("secret", "download", "a", "--file", "out").status == 5
    assert not (tmp_path / "target").exists()


def test_a_value_that_is_no_base64_is_not_downloaded_as_such(terminal: Terminal) -> None:
    terminal.must("secret", "set", "a", stdin="hunter2!")
    ran = terminal.run("secret", "download", "a", "--file", "out", "--encoding", "base64")
    assert ran.status == 2
    assert b"hunter2" not in ran.err


def test_a_file_without_a_name_is_no_empty_value(terminal: Terminal) -> None:
    ran = terminal.run("secret", "set", "a", "--file", "", stdin="")
    assert (ran.status, "--file is empty" in ran.told) == (2, True)
    assert terminal.json("secret", "list") == []


def test_a_file_that_is_not_there(terminal: Terminal) -> None:
    ran = terminal.run("secret", "set", "a", "--file", "none", "-o", "json")
    assert (ran.status, ran.error["code"]) == (1, "file.unusable")
    assert ran.error["message"] == "none: No such file or directory"


def test_what_can_be_no_value_is_not_read_to_its_end(terminal: Terminal) -> None:
    ran = terminal.run("secret", "set", "a", "--file", "/dev/zero", "-o", "json")
    assert (ran.status, ran.error["code"]) == (2, "file.too-large")
    much = b"x" * (1 << 20)
    assert terminal.run("secret", "set", "a", "-o", "json", stdin=much + b"x").status == 2
    assert terminal.run("secret", "set", "a", stdin=much).status == 2  # too large for a value
    assert terminal.run("secret", "show", "a").status == 3


@pytest.mark.parametrize("size", [25_600, 25_601])
def test_a_value_has_a_limit(terminal: Terminal, size: int) -> None:
    assert terminal.run("secret", "set", "a", stdin="x" * size).status == (
        2 if size > 25_600 else 0
    )


# --- at a terminal --------------------------------------------------------------------------------


def test_a_terminal_asks_twice_and_shows_nothing(terminal: Terminal) -> None:
    status, screen = terminal.type(
        "secret", "set", "a", answers={"Value:": "hunter2\n", "Value again:": "hunter2\n"}
    )
    assert status == 0
    assert "hunter2" not in screen
    assert shown(terminal) == "hunter2"


def test_two_different_answers_set_nothing(terminal: Terminal) -> None:
    status, screen = terminal.type(
        "secret", "set", "a", answers={"Value:": "one\n", "Value again:": "two\n"}
    )
    assert status == 2
    assert "not the same" in screen
    assert terminal.json("secret", "list") == []


def test_an_interrupted_prompt_sets_nothing(terminal: Terminal) -> None:
    status, screen = terminal.type("secret", "set", "a", answers={"Value:": "\x03"})
    assert status == 130
    assert "Traceback" not in screen
    assert terminal.json("secret", "list") == []


def test_a_value_does_not_move_the_cursor(terminal: Terminal) -> None:
    terminal.must("secret", "set", "a", stdin="\x1b[2Jx")
    assert "\\x1b[2Jx" in terminal.type("secret", "show", "a")[1]
