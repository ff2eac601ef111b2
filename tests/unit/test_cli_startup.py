"""Commands are imported when they are run, and only what they need."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.grammar import GRAMMAR, Grammar, Verb, load
from support.terminal import Terminal


def verbs_in(grammar: Grammar, *nouns: str) -> Iterator[tuple[str, Verb]]:
    for word, found in grammar.items():
        if isinstance(found, Verb):
            yield " ".join((*nouns, word)), found
        else:
            yield from verbs_in(found, *nouns, word)


VERBS = dict(verbs_in(GRAMMAR))
HEAVY = ("cryptography", "lmdb", "server", "jmespath", "msgspec", "asyncio", "ssl", "vault.service")


def imported(tmp_path: Path, *arguments: str) -> set[str]:
    """The modules that stand in memory after a command."""
    script = (
        "import json, sys; from cli.main import run; status = run(sys.argv[1:]);"
        "print(json.dumps([status, *sys.modules]), file=sys.stderr)"
    )
    child = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        env=Terminal(tmp_path).environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    status, *modules = json.loads(child.stderr.splitlines()[-1])
    assert status == 0, child.stderr
    return set(modules)


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("completion", "bash"), ("secret", "--help")],
    ids=" ".join,
)
def test_what_needs_no_store_imports_nothing_heavy(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert not imported(tmp_path, *arguments) & set(HEAVY)


def test_showing_a_secret_imports_no_other_command(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    terminal.must("secret", "set", "a", stdin="value")

    modules = imported(tmp_path, "secret", "show", "a")

    others = {"cli.secret_import", "cli.doctor", "cli.log", "cli.verify", "cli.points", "cli.demo"}
    needless = {"jmespath", "tomllib", "importlib.metadata", "getpass", "difflib", "asyncio"}
    assert not modules & (others | needless)
    needed_to_write = {"vault.writing", "vault.repeats", "vault.policies", "vault.backup"}
    needed_to_look_back = {"projections.diff", "projections.forks", "vault.forensics"}
    needed_to_serve = {"vault.together", "projections.rebuild", "vault.boundary", "vault.ranges"}
    needed_to_copy = {"eventstore.anchors"}
    assert not modules & (needed_to_write | needed_to_look_back | needed_to_serve | needed_to_copy)
    needed_for_a_server = {
        "cli.remote",
        "cli.wire",
        "cli.wire_answers",
        "ssl",
        "urllib3",
        "http",
        "email",
    }
    assert not modules & needed_for_a_server
    assert not [name for name in modules if name.partition(".")[0] == "server"]


@pytest.mark.parametrize("name", VERBS)
def test_a_summary_is_the_commands_own_first_line(name: str) -> None:
    command = load(VERBS[name])

    assert command.name == name.split()[-1]
    assert (command.help or "").strip().splitlines()[0] == VERBS[name].summary


@pytest.mark.parametrize("name", VERBS)
def test_every_command_explains_itself_without_a_store(tmp_path: Path, name: str) -> None:
    ran = Terminal(tmp_path).must(*name.split(), "--help")

    assert f"Usage: muniment {name}" in ran.text
    assert VERBS[name].summary in " ".join(ran.text.split())


@pytest.mark.parametrize("name", sorted(set(VERBS) - {"completion", "demo"}))
def test_every_command_has_the_common_options(name: str) -> None:
    options = {option for param in load(VERBS[name]).params for option in param.opts}

    assert {"-o", "--output", "--query", "--home", "--vault-name", "--as"} <= options


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert Terminal(tmp_path).must("--version").text.startswith("muniment 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(tmp_path: Path, shell: str) -> None:
    assert "_MUNIMENT_COMPLETE" in Terminal(tmp_path).must("completion", shell).text


def test_a_shell_completes_verbs(tmp_path: Path) -> None:
    asked = {
        "_MUNIMENT_COMPLETE": "bash_complete",
        "COMP_WORDS": "muniment secret list-",
        "COMP_CWORD": "2",
    }
    words = Terminal(tmp_path).must(environ=asked).text.split()

    assert [word.partition(",")[2] for word in words] == ["list-versions", "list-deleted"]


def test_a_group_alone_shows_its_verbs_and_is_a_usage_error(tmp_path: Path) -> None:
    ran = Terminal(tmp_path).run("secret")

    assert ran.status == 2
    assert "list-versions" in ran.told


def test_no_option_of_a_command_hides_another() -> None:
    for name, verb in VERBS.items():
        command = load(verb)
        options = [opt for param in command.params for opt in param.opts]
        arguments = [p for p in command.params if isinstance(p, click.Argument)]
        assert len(options) == len(set(options)), name
        # Two words in a row are easily exchanged; a version is never taken for a name.
        assert len(arguments) <= (2 if name == "who-read" else 1), name
