"""The auditor's path at the terminal: a key, a grant, a copy, and what is read of it offline."""

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from eventstore import auditor
from support.terminal import Terminal

SECRET = "the value that no auditor sees"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    for name in ("db", "mail"):
        terminal.must("secret", "set", name, "--tags", "owner=payroll", stdin=SECRET)
        terminal.must("secret", "show", name)
    terminal.run("secret", "show", "db", "--as", "mallory")
    verifiers = terminal.json("vault", "show")["verifiers"]
    (tmp_path / "keys").write_text("".join(f"{line}\n" for line in verifiers.values()))
    terminal.must("audit", "keygen")
    return terminal


def grant(terminal: Terminal, *more: str) -> None:
    key = (terminal.directory / "auditor.key.pub").read_text()
    terminal.must("audit", "grant", key, "--from", "1d", "--to", "now", "--out", "g", *more)


READ = ("audit", "read", "g", "--log", "copy", "--key", "auditor.key", "--verifier", "keys")


@pytest.fixture
def abroad(terminal: Terminal) -> Terminal:
    """The auditor's machine: a grant, a copy, two keys to trust, and no store."""
    grant(terminal, "--label", "Q3")
    terminal.must("secret", "show", "db")
    terminal.must("export", "records", "--out", "copy")
    for place in (terminal.home, terminal.home.with_name("store.key")):
        place.rename(place.with_name(f"{place.name}.gone"))
    return terminal


# --- the key --------------------------------------------------------------------------------------


def test_a_private_key_is_its_owners_alone_and_is_nowhere_else(terminal: Terminal) -> None:
    file = terminal.directory / "auditor.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    private = auditor.from_file(file.read_bytes(), None)
    ran = terminal.must("audit", "keygen", "--out", "other", "-o", "json")
    other = auditor.from_file((terminal.directory / "other").read_bytes(), None)
    assert ran.json["publicKey"] == auditor.to_text(auditor.public_of(other))
    grant(terminal)
    for path in terminal.directory.rglob("*"):
        if path.is_file() and path.name not in ("auditor.key", "other"):
            held = path.read_bytes()
            assert not any(key in held or key.hex().encode() in held for key in (private, other))
    assert other not in ran.out + ran.err
    assert other.hex() not in ran.text + ran.told


def test_a_key_that_stands_there_is_never_replaced(terminal: Terminal) -> None:
    before = (terminal.directory / "auditor.key").read_bytes()
    ran = terminal.run("audit", "keygen", "-o", "json")
    assert (ran.status, ran.error["code"]) == (5, "file.exists")
    assert (terminal.directory / "auditor.key").read_bytes() == before
    (terminal.directory / "third.pub").write_text("something else")
    assert terminal.run("audit", "keygen", "--out", "third").status == 5
    assert not (terminal.directory / "third").exists()


def test_a_key_under_a_passphrase_reads_with_it_and_not_without(abroad: Terminal) -> None:
    for name, phrase in (("right", "correct horse"), ("wrong", "wrong horse")):
        (abroad.directory / name).write_text(phrase)
    sealed = ("--provider", "passphrase", "--passphrase-file", "right", "--out", "sealed.key")
    abroad.must("audit", "keygen", *sealed)
    asked = ["sealed.key" if word == "auditor.key" else word for word in READ]
    ran = abroad.run(*asked, "--passphrase-file", "right", "-o", "json")
    assert (ran.status, ran.error["code"]) == (12, "grant.other-key")
    ran = abroad.run(*asked, "--passphrase-file", "wrong", "-o", "json")
    assert (ran.status, ran.error["code"]) == (12, "auditor-key.wrong")
    ran = abroad.run(*asked, "-o", "json")
    assert (ran.status, ran.error["code"]) == (11, "auditor-key.locked")


def test_a_private_key_that_others_may_read_is_not_used(abroad: Terminal) -> None:
    (abroad.directory / "auditor.key").chmod(0o644)
    ran = abroad.run(*READ, "-o", "json")
    assert (ran.status, ran.error["code"]) == (1, "file.unusable")


# --- the grant ------------------------------------------------------------------------------------


def test_a_grant_is_listed_from_the_log(terminal: Terminal) -> None:
    assert terminal.json("audit", "grants") == []
    grant(terminal, "--label", "Q3")
    (told,) = terminal.json("audit", "grants")
    public = auditor.from_text((terminal.directory / "auditor.key.pub").read_text())
    assert told["auditor"] == auditor.fingerprint(public).hex()
    assert (told["label"], told["by"]) == ("Q3", "local:root")
    assert told["from"] < told["to"] <= told["time"]
    assert told["changes"][0] == 0
    assert "Q3" in terminal.must("audit", "grants").text
    terminal.check()


def test_a_grant_that_is_in_the_way_is_met_before_anything_is_recorded(terminal: Terminal) -> None:
    (terminal.directory / "g").write_text("something else")
    key = (terminal.directory / "auditor.key.pub").read_text()
    asked = ("audit", "grant", key, "--from", "1d", "--to", "now", "--out", "g", "-o", "json")
    ran = terminal.run(*asked)
    assert (ran.status, ran.error["code"]) == (5, "file.exists")
    assert terminal.json("audit", "grants") == []


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("mna1-00000000", "--from", "1d", "--to", "now"), 2, "auditor-key.invalid"),
        (("KEY", "--from", "now", "--to", "1d"), 2, "points.reversed"),
        (("KEY", "--from", "1d", "--to", "now", "--as", "bob"), 4, "access.not-administrator"),
        (("KEY", "--from", "#99", "--to", "now"), 3, "log.no-such-position"),
    ],
)
def test_what_cannot_be_granted_is_refused(
    terminal: Terminal, words: tuple[str, ...], status: int, code: str
) -> None:
    key = (terminal.directory / "auditor.key.pub").read_text()
    given = [key if word == "KEY" else word for word in words]
    ran = terminal.run("audit", "grant", *given, "--out", "g", "-o", "json")
    assert (ran.status, ran.error["code"]) == (status, code)
    assert not (terminal.directory / "g").exists()
    assert terminal.json("audit", "grants") == []


# --- reading --------------------------------------------------------------------------------------


def records_in(form: str, text: str) -> list[Any]:
    """The records, without what a rule was before: that is known to who has all of the past."""
    if form == "-o json":
        return [without_before(record) for record in json.loads(text)]
    lines = text.splitlines()
    if form in ("-o tsv", "--format rfc5424"):
        return lines
    return [without_before(json.loads(line)) for line in lines]


def without_before(shape: Any) -> Any:
    if not isinstance(shape, dict):
        return shape
    return {
        name: without_before(one)
        for name, one in shape.items()
        if not (name == "changed" and not any(isinstance(part, str) for part in one))
    }


def test_the_auditor_reads_without_the_store_what_log_said_in_it(terminal: Terminal) -> None:
    expected = {
        form: terminal.must("log", *form.split()).text
        for form in (
            "-o json",
            "-o jsonl",
            "-o tsv",
            "--format auditevent",
            "--format ocsf",
            "--format rfc5424",
        )
    }
    grant(terminal)
    terminal.must("export", "records", "--out", "copy")
    shutil.rmtree(terminal.home)
    shutil.rmtree(terminal.home.with_name("store.key"))
    for form, text in expected.items():
        told = terminal.must(*READ, *form.split()).text
        # What `log` asked here is itself in the period: all that stood before must be the same.
        stood, found = records_in(form, text), records_in(form, told)
        assert len(stood) >= 8
        assert found[: len(stood)] == stood
        assert SECRET not in told
        assert "payroll" not in told


def test_the_auditor_may_ask_for_less_and_not_for_more(abroad: Terminal) -> None:
    told = abroad.json(*READ, "--operation", "secret.read")
    assert [one["name"] for one in told] == ["db", "mail", "db"]
    assert [one["name"] for one in abroad.json(*READ, "--outcome", "refused")] == ["db"]
    assert {one["name"] for one in abroad.json(*READ, "--name", "mail")} == {"mail"}
    assert abroad.json(*READ, "--from", told[1]["time"])[0] == told[1]
    for outside in (("--from", "2d"), ("--to", "now"), ("--to", "2999-01-01")):
        ran = abroad.run(*READ, *outside, "-o", "json")
        assert (ran.status, ran.error["code"], ran.out) == (4, "grant.outside-period", b"")


def test_it_says_what_is_read_and_what_was_checked(abroad: Terminal) -> None:
    told = abroad.must(*READ).told
    assert "(Q3) of vault main, recorded as #" in told
    assert "changes: " in told
    assert "are in the period" in told


def test_a_copy_of_the_store_will_do_as_well(abroad: Terminal) -> None:
    expected = abroad.json(*READ)
    copy = abroad.directory / "store.gone"
    (vault,) = (copy / "vaults").iterdir()
    for place in (copy, vault):
        asked = [str(place) if word == "copy" else word for word in READ]
        assert abroad.json(*asked) == expected


@pytest.mark.parametrize("log", ["changes", "access"])
def test_a_copy_with_one_byte_changed_is_refused(abroad: Terminal, log: str) -> None:
    place = abroad.directory / "copy" / f"{log}.log"
    whole = place.read_bytes()
    for at in range(0, len(whole), len(whole) // 12):
        place.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        ran = abroad.run(*READ, "-o", "json")
        assert (ran.status, ran.out) in ((20, b""), (1, b"")), at
        if ran.status == 1:
            assert (ran.error["code"], at) == ("format.unknown", 8)
    place.write_bytes(whole[:-1])
    assert abroad.run(*READ).status == 20


def test_keys_to_trust_are_needed_for_both_logs(abroad: Terminal) -> None:
    lines = (abroad.directory / "keys").read_text().splitlines()
    asked = [lines[0] if word == "keys" else word for word in READ]
    ran = abroad.run(*asked, "-o", "json")
    assert (ran.status, ran.error["code"]) == (2, "usage")
    other = Terminal(abroad.directory / "other")
    other.directory.mkdir()
    other.must("init")
    verifiers = other.json("vault", "show")["verifiers"].values()
    (abroad.directory / "others").write_text("\n".join(verifiers))
    asked = ["others" if word == "keys" else word for word in READ]
    ran = abroad.run(*asked, "-o", "json")
    assert (ran.status, ran.error["code"]) == (20, "grant.other-log")


def test_a_later_copy_is_held_to_the_older_one(terminal: Terminal) -> None:
    grant(terminal)
    terminal.must("export", "records", "--out", "copy")
    for log in ("changes", "access"):
        kept = terminal.must("checkpoint", "show", "--log", log)
        (terminal.directory / f"{log}.kept").write_bytes(kept.out)
    first = terminal.json(*READ)
    terminal.must("secret", "set", "db", stdin="another")
    grown = terminal.json("export", "records", "--out", "copy")
    assert [one["before"] < one["size"] for one in grown] == [True, True]
    against = ("--against", "changes.kept", "--against", "access.kept")
    assert terminal.json(*READ, *against) == first


def test_an_export_that_does_not_extend_what_stands_there_is_refused(terminal: Terminal) -> None:
    old = shutil.copytree(terminal.home, terminal.directory / "old")
    shutil.copytree(terminal.home.with_name("store.key"), terminal.directory / "old.key")
    terminal.must("secret", "set", "db", stdin="another")
    terminal.must("export", "records", "--out", "copy")
    stood = (terminal.directory / "copy" / "changes.log").read_bytes()
    forgetful = {"MUNIMENT_STATE": str(terminal.directory / "nothing-seen")}
    ran = terminal.run(
        "export", "records", "--out", "copy", "--home", str(old), "-o", "json", environ=forgetful
    )
    assert (ran.status, ran.error["code"]) == (20, "verify.truncated")
    assert (terminal.directory / "copy" / "changes.log").read_bytes() == stood


def test_an_export_takes_no_key_and_is_its_owners_alone(terminal: Terminal) -> None:
    terminal.home.with_name("store.key").rename(terminal.directory / "key.gone")
    terminal.must("export", "records", "--out", "copy")
    for place in (terminal.directory / "copy").iterdir():
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert SECRET.encode() not in place.read_bytes()
