"""Whoever has a copy, and nothing else, can check it; whoever kept something checks more."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.storage import open_environment
from eventstore.transaction import RECORDS
from support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    terminal.must("secret", "set", "a", stdin="hunter2")
    yield terminal
    terminal.check()


@pytest.fixture
def copy(terminal: Terminal, tmp_path: Path) -> Terminal:
    """The store as somebody without any key has it."""
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(terminal.home, tmp_path / "elsewhere" / "store")
    return Terminal(tmp_path / "elsewhere")


def data(terminal: Terminal, log: str) -> Path:
    (found,) = terminal.home.glob(f"vaults/*/{log}/data.mdb")
    return found


def keep(terminal: Terminal, log: str = "changes") -> str:
    """Keep a checkpoint outside the store."""
    path = terminal.directory / f"{log}.checkpoint"
    path.write_bytes(terminal.must("checkpoint", "show", "--log", log).out)
    return str(path)


def test_a_copy_without_any_key_verifies(copy: Terminal) -> None:
    reports = copy.json("verify")
    assert {report["log"] for report in reports} == {"access", "changes"}
    assert all(report["key"] == "its own" for report in reports)
    assert copy.run("secret", "list").status == 11


def test_every_signature_is_counted(copy: Terminal) -> None:
    (changes,) = copy.json("verify", "--every-signature", "--log", "changes")
    assert changes["signatures"] == changes["size"] == 3


def test_one_log_alone_verifies(copy: Terminal) -> None:
    home = str(data(copy, "changes").parent)
    assert [report["log"] for report in copy.json("verify", "--home", home)] == ["changes"]


@pytest.mark.parametrize("position", [0, 2])
def test_a_changed_byte_is_found_and_its_position_named(copy: Terminal, position: int) -> None:
    environment = open_environment(data(copy, "changes").parent, create=False)
    records = environment.open_db(RECORDS, create=False)
    with environment.begin(write=True, db=records) as transaction:
        key = position.to_bytes(8, "big")
        stored = bytearray(transaction.get(key, b""))
        stored[-1] ^= 1
        transaction.put(key, bytes(stored))
    environment.close()

    ran = copy.run("verify", "-o", "json")

    assert (ran.status, ran.error["code"]) == (20, "verify.record-altered")
    assert f"#{position}" in ran.error["message"]


def test_a_tail_that_was_cut_off_is_seen_by_who_kept_a_checkpoint(
    terminal: Terminal, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(terminal.home, old)
    terminal.must("secret", "set", "b", stdin="v")
    kept = keep(terminal)

    terminal.must("verify", "--home", str(old), "--without-seen")
    ran = terminal.run("verify", "--home", str(old), "-o", "json")
    assert (ran.status, ran.error["code"]) == (20, "verify.rolled-back")
    changes = ("--home", str(old), "--log", "changes")
    ran = terminal.run("verify", *changes, "--against", kept, "-o", "json")
    assert (ran.status, ran.error["code"]) == (20, "verify.truncated")
    assert "#" in ran.error["message"] or "3 records" in ran.error["message"]
    reports = terminal.json("verify", "--against", kept, "--without-seen")
    assert [report["kept"] for report in reports if report["log"] == "changes"] == [1]


def test_another_store_in_its_place_is_seen(terminal: Terminal, tmp_path: Path) -> None:
    kept = keep(terminal)
    (tmp_path / "other").mkdir()
    other = Terminal(tmp_path / "other")
    other.must("init")

    ran = other.run("verify", "--against", kept, "-o", "json")
    assert (ran.status, ran.error["code"]) == (20, "verify.forked")


def test_keys_that_were_kept_are_held_to(terminal: Terminal, tmp_path: Path) -> None:
    keys = terminal.json("vault", "show")["verifiers"]
    (tmp_path / "keys").write_text("\n".join(keys.values()) + "\n")

    trusted = terminal.json("verify", "--verifier", "keys")
    assert {report["key"] for report in trusted} == {"trusted"}
    assert terminal.run("verify", "--verifier", keys["changes"]).status == 21
    assert terminal.run("verify", "--verifier", keys["changes"], "--log", "changes").status == 0
    terminal.must("key", "rotate", "--signing")
    terminal.must("verify", "--verifier", "keys")


@pytest.mark.parametrize(
    "arguments", [("--against", "junk"), ("--verifier", "junk"), ("--verifier", "no+such+key")]
)
def test_what_is_no_checkpoint_and_no_key_is_a_usage_error(
    terminal: Terminal, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "junk").write_text("junk")
    assert terminal.run("verify", *arguments).status == 2


def test_one_vault_by_name_or_by_its_public_id(terminal: Terminal) -> None:
    terminal.must("vault", "create", "other")
    assert len(terminal.json("verify")) == 4
    named = terminal.json("verify", "--vault-name", "other")
    assert len(named) == 2
    assert terminal.json("verify", "--vault-name", named[0]["vault"])[0]["vault"]


def test_no_store_is_not_a_verified_store(terminal: Terminal) -> None:
    assert terminal.run("verify", "--home", "nowhere").status == 10


def test_a_checkpoint_is_a_note_and_an_object(terminal: Terminal) -> None:
    note = terminal.must("checkpoint", "show").text
    shown = terminal.json("checkpoint", "show")
    assert note.split("\n")[0] == shown["origin"]
    assert note == shown["note"]
    assert shown["size"] == 3


def test_views_are_rebuilt_and_a_plan_only_counts(terminal: Terminal) -> None:
    assert terminal.json("rebuild", "--plan") == {"events": 4, "vault": "main"}
    rebuilt = terminal.json("rebuild")
    assert rebuilt["events"] == 4
    assert rebuilt["before"] == rebuilt["after"]


def test_a_verification_is_recorded_when_that_is_asked_for(terminal: Terminal) -> None:
    before = terminal.json("log", "--log", "access")
    terminal.must("verify")
    terminal.must("verify", "--record")
    done = [one for one in terminal.json("log", "--log", "access") if one not in before]
    assert [one["operation"] for one in done].count("history.verified") == 1
