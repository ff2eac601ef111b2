"""The files under docs/deploy name what exists, and systemd's own judge finds nothing in them."""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from cli.grammar import GRAMMAR, Verb, load
from support.served import missing
from support.terminal import SCRIPT

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"


def unit(name: str) -> dict[str, dict[str, list[str]]]:
    """A unit's sections; a key may come more than once."""
    read: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in (DEPLOY / name).read_text(encoding="utf-8").splitlines():
        if re.fullmatch(r"\[\w+\]", line):
            section = read.setdefault(line[1:-1], {})
        elif line and not line.startswith("#"):
            key, mark, value = line.partition("=")
            assert mark, line
            section.setdefault(key, []).append(value)
    return read


def served(words: list[str]) -> dict[str, object]:
    """What `muniment serve` makes of its words; an option that it does not know is an error."""
    verb = GRAMMAR[words[0]]
    assert isinstance(verb, Verb)
    return load(verb).make_context(words[0], words[1:]).params


def test_the_units_command_line_is_understood() -> None:
    words = shlex.split(unit("muniment.service")["Service"]["ExecStart"][0])
    given = served(words[1:])
    assert words[0].endswith("/bin/muniment")
    assert (given["port"], given["domain"], given["workers"]) == (443, "vault.example.com", 2)


def test_every_directory_that_is_written_is_one_that_systemd_makes() -> None:
    service = unit("muniment.service")["Service"]
    made = {f"%S/{name}" for name in service["StateDirectory"][0].split()}
    given = served(shlex.split(service["ExecStart"][0])[1:])
    written = {str(given[name]) for name in ("home", "root_key", "tls", "state")}
    assert written == made


def test_the_passphrase_is_a_credential_and_no_argument() -> None:
    service = unit("muniment.service")["Service"]
    name = service["LoadCredential"][0].partition(":")[0]
    given = served(shlex.split(service["ExecStart"][0])[1:])
    assert given["passphrase_file"] == f"${{CREDENTIALS_DIRECTORY}}/{name}"


def test_the_socket_is_the_services_port() -> None:
    given = served(shlex.split(unit("muniment.service")["Service"]["ExecStart"][0])[1:])
    assert unit("muniment.socket")["Socket"]["ListenStream"] == [str(given["port"])]
    assert unit("muniment.service")["Unit"]["Requires"] == ["muniment.socket"]


@pytest.mark.parametrize(
    "setting",
    ["NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "MemoryDenyWriteExecute",
     "RestrictNamespaces", "LockPersonality", "RestrictSUIDSGID", "PrivateIPC"],
)  # fmt: skip
def test_the_unit_is_hardened(setting: str) -> None:
    service = unit("muniment.service")["Service"]
    assert service[setting] == ["true"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] == [""]


@pytest.fixture
def judge(tmp_path: Path) -> str:
    """`systemd-analyze`; the units lie in *tmp_path*, with a program that is there."""
    program = shutil.which("systemd-analyze")
    if program is None:
        missing("there is no systemd-analyze: install the package systemd")
    for name in ("muniment.service", "muniment.socket"):
        text = (DEPLOY / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/muniment/bin/muniment", str(SCRIPT)))
    return program


def told(*command: str | Path) -> str:
    """All that it says.  It must end well."""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_systemd_understands_every_line_of_the_units(judge: str, tmp_path: Path) -> None:
    units = [tmp_path / "muniment.service", tmp_path / "muniment.socket"]
    heard = told(judge, "verify", "--man=no", *units)
    # A setting that it does not know, it tells and ends well; other units of the machine are not ours.
    assert [line for line in heard.splitlines() if "muniment" in line] == []


def test_systemd_finds_the_service_little_exposed(judge: str, tmp_path: Path) -> None:
    service = tmp_path / "muniment.service"
    # In tenths: what is left is the network, local sockets, and the system's own files.
    told(judge, "security", "--offline=yes", "--no-pager", "--threshold=11", service)


def asked_of_systemd(
    tmp_path: Path, *words: str
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """What `muniment-admin` asks `systemd-run` for: properties, variables, and the command."""
    stand_in = tmp_path / "systemd-run"
    stand_in.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    stand_in.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    ran = subprocess.run(
        [DEPLOY / "muniment-admin", *words],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    given = ran.stdout.split("\0")[:-1]
    start = given.index("/usr/bin/env")
    assert "--description=muniment-admin" in given[:start]
    pairs = {
        kind: dict(
            word.removeprefix(kind).split("=", 1) for word in given[:start] if word.startswith(kind)
        )
        for kind in ("--property=", "--setenv=")
    }
    return pairs["--property="], pairs["--setenv="], given[start + 1 :]


def test_the_administrators_command_runs_as_the_service_does(tmp_path: Path) -> None:
    service = unit("muniment.service")["Service"]
    properties, variables, command = asked_of_systemd(tmp_path, "doctor")
    assert {name: [value] for name, value in properties.items()}.items() <= service.items()
    assert {"User", "StateDirectory", "LoadCredential", "UMask"} <= properties.keys()
    served_words = shlex.split(service["ExecStart"][0])
    given = served(served_words[1:])
    assert variables == {
        f"MUNIMENT_{name.upper()}": str(given[name]).replace("%S", "/var/lib")
        for name in ("home", "root_key", "state")
    }
    assert command == [
        f"MUNIMENT_PASSPHRASE_FILE={given['passphrase_file']}", served_words[0], "doctor"
    ]  # fmt: skip


def test_the_administrators_words_reach_the_command_as_they_were_typed(tmp_path: Path) -> None:
    words = ["secret", "set", "a b", "$HOME", "${HOME}", "$$", "", '"q"', "*"]
    _, _, command = asked_of_systemd(tmp_path, *words)
    # systemd makes one of two.  Source: systemd.service(5), "Command lines".
    assert [word.replace("$$", "$") for word in command[2:]] == words


def test_a_service_that_cannot_start_does_not_shut_its_port_for_good() -> None:
    assert unit("muniment.service")["Unit"]["StartLimitIntervalSec"] == ["0"]


def test_the_image_is_made_of_the_packages_of_the_wheel_and_of_nothing_else() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M)
        for word in line.split()
    }
    assert copied == {*packages, "requirements", "pyproject.toml", "README.md", "LICENSE"}


def test_the_image_uses_what_exists() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    for name in re.findall(r"-r (\S+)", text):
        assert (ROOT / name).is_file()
    command = re.findall(r"^CMD (.*)$", text, re.M)[0]
    words = [word.strip('"') for word in command.strip("[]").split(", ")]
    assert served(words)["bind"] == ("0.0.0.0",)
