"""The files under docs/deploy name what exists: commands, options, files and variables."""

import re
import shlex
from pathlib import Path

import pytest

from cli.grammar import GRAMMAR, Verb, load

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
     "RestrictNamespaces", "LockPersonality", "RestrictSUIDSGID"],
)  # fmt: skip
def test_the_unit_is_hardened(setting: str) -> None:
    service = unit("muniment.service")["Service"]
    assert service[setting] == ["true"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] == [""]


def test_the_image_uses_what_exists() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    for name in re.findall(r"-r (\S+)", text):
        assert (ROOT / name).is_file()
    command = re.findall(r"^CMD (.*)$", text, re.M)[0]
    words = [word.strip('"') for word in command.strip("[]").split(", ")]
    assert served(words)["bind"] == ("0.0.0.0",)
