"""The verbs of `az keyvault secret`, against a real store."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    yield terminal
    terminal.check()


def test_a_secret_is_set_and_shown_as_az_prints_it(terminal: Terminal) -> None:
    given = ["--tags", "env=prod", "team=a", "--content-type", "text/plain"]
    set_ = terminal.json("secret", "set", "-n", "db-password", *given, stdin="hunter2\n")
    shown = terminal.json("secret", "show", "--name", "db-password")

    assert shown == set_
    assert list(shown) == sorted(shown)
    assert shown["value"] == "hunter2\n"
    assert shown["contentType"] == "text/plain"
    assert shown["tags"] == {"env": "prod", "team": "a"}
    assert shown["kid"] is None
    assert shown["managed"] is None
    assert re.fullmatch(
        r"https://main\.vault\.localhost/secrets/db-password/[0-9a-f]{32}", shown["id"]
    )
    attributes = shown["attributes"]
    assert attributes["enabled"] is True
    assert attributes["expires"] is None
    assert attributes["recoveryLevel"] == "Recoverable+Purgeable"
    assert attributes["recoverableDays"] == 90
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", attributes["created"])


def test_the_same_secret_by_name_id_and_version(terminal: Terminal) -> None:
    first = terminal.json("secret", "set", "a", stdin="one")
    terminal.must("secret", "set", "a", stdin="two")
    version = first["id"].rpartition("/")[2]

    def value(*arguments: str) -> str:
        shown = terminal.must("secret", "show", *arguments, "--query", "value", "-o", "tsv")
        return shown.text

    assert value("a") == "two\n"
    assert value("A") == "two\n"
    assert value("a", "--version", version) == "one\n"
    assert value("--id", first["id"]) == "one\n"
    assert value("--id", f"https://main.vault.azure.net/secrets/a/{version}") == "one\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a", "-n", "a"),
        ("-n", "a", "--id", "https://main.vault.localhost/secrets/a"),
        ("--id", "http://main.vault.localhost/secrets/a"),
        ("--id", "https://main.vault.localhost/keys/a"),
        ("--id", "https://[/secrets/a"),
        ("--id", "https://main.vault.localhost/secrets/a", "--vault-name", "other"),
        ("a_b",),
        ("a", "b"),
    ],
    ids=" ".join,
)
def test_what_names_no_secret_is_a_usage_error(
    terminal: Terminal, arguments: tuple[str, ...]
) -> None:
    assert terminal.run("secret", "show", *arguments).status == 2


def test_lists_have_no_values_and_ids_without_versions(terminal: Terminal) -> None:
    for name in ("b", "a"):
        terminal.must("secret", "set", name, stdin="hunter2")
    terminal.must("secret", "set", "a", stdin="hunter3")

    listed = terminal.json("secret", "list")
    versions = terminal.json("secret", "list-versions", "a")

    assert [item["id"] for item in listed] == [
        "https://main.vault.localhost/secrets/a",
        "https://main.vault.localhost/secrets/b",
    ]
    assert len(versions) == 2
    assert all("value" not in item for item in listed + versions)
    assert len(terminal.json("secret", "list", "--maxresults", "1")) == 1
    assert terminal.json("secret", "list-versions", "none") == []
    assert "hunter" not in terminal.must("secret", "list").text


def test_attributes_are_changed_and_cleared(terminal: Terminal) -> None:
    terminal.must("secret", "set", "a", "--expires", "2030-01-01", "--tags", "x=1", stdin="v")

    changed = terminal.json(
        "secret",
        "set-attributes",
        "a",
        "--not-before",
        "2029-01-01T00:00:00Z",
        "--enabled",
        "false",
    )
    assert changed["attributes"]["expires"] == "2030-01-01T00:00:00Z"
    assert changed["attributes"]["notBefore"] == "2029-01-01T00:00:00Z"
    assert changed["tags"] == {"x": "1"}
    assert "value" not in changed
    disabled = terminal.run("secret", "show", "a", "-o", "json")
    assert (disabled.status, disabled.error["code"]) == (4, "secret.disabled")

    cleared = terminal.json(
        "secret", "set-attributes", "a", "--expires", "none", "--tags", "", "--enabled", "true"
    )
    assert cleared["attributes"]["expires"] is None
    assert cleared["tags"] == {}
    assert terminal.run("secret", "set-attributes", "a").status == 2


def test_delete_recover_and_purge(terminal: Terminal) -> None:
    terminal.must("secret", "set", "a", stdin="v")
    deleted = terminal.json("secret", "delete", "a")

    assert deleted["recoveryId"] == "https://main.vault.localhost/deletedsecrets/a"
    assert deleted["scheduledPurgeDate"] > deleted["deletedDate"]
    assert terminal.run("secret", "show", "a").status == 3
    assert terminal.run("secret", "set", "a", stdin="v").status == 5
    assert [item["name"] for item in terminal.json("secret", "list-deleted")] == ["a"]
    assert "value" not in terminal.json("secret", "show-deleted", "--id", deleted["recoveryId"])
    terminal.must("secret", "recover", "a")
    assert terminal.json("secret", "show", "a")["value"] == "v"

    terminal.must("secret", "delete", "a")
    planned = terminal.json("secret", "purge", "a", "--plan")
    assert planned["name"] == "a"
    assert terminal.run("secret", "purge", "a").status == 2
    receipt = terminal.json("secret", "purge", "a", "--yes")
    assert receipt["provider"] == "file"
    assert receipt["receipt"] > receipt["position"]
    assert terminal.run("secret", "recover", "a").status == 3


def test_a_purge_at_a_terminal_wants_the_name(terminal: Terminal) -> None:
    terminal.must("secret", "set", "a", stdin="v")
    terminal.must("secret", "delete", "a")

    status, screen = terminal.type("secret", "purge", "a", answers={"Type a to go on": "b\n"})
    assert status == 2
    assert "nothing was changed" in screen
    status, screen = terminal.type("secret", "purge", "a", answers={"Type a to go on": "a\n"})
    assert status == 0


def test_backup_and_restore(terminal: Terminal, tmp_path: Path) -> None:
    for value in ("one", "two"):
        terminal.must("secret", "set", "a", stdin=value)
    made = terminal.json("secret", "backup", "a", "--file", "a.backup")

    assert made == {"file": "a.backup", "name": "a", "versions": 2}
    assert stat.S_IMODE((tmp_path / "a.backup").stat().st_mode) == 0o600
    assert terminal.run("secret", "backup", "a", "--file", "a.backup").status == 5
    assert terminal.run("secret", "restore", "--file", "a.backup").status == 5
    terminal.must("secret", "delete", "a")
    terminal.must("secret", "purge", "a", "--yes")
    terminal.must("secret", "restore", "--file", "a.backup")
    assert terminal.json("secret", "show", "a")["value"] == "two"
    assert len(terminal.json("secret", "list-versions", "a")) == 2
    assert terminal.run("secret", "restore", "--file", "-", stdin="junk").status == 2


def test_a_purge_says_that_a_backup_still_opens(terminal: Terminal, tmp_path: Path) -> None:
    terminal.must("secret", "set", "a", stdin="v")
    terminal.must("secret", "backup", "a", "--file", str(tmp_path / "blob"))
    terminal.must("secret", "delete", "a")
    told = terminal.must("secret", "purge", "a", "--yes").told
    assert "1 backup of it can still be restored" in told
    terminal.must("secret", "restore", "--file", str(tmp_path / "blob"))
    terminal.must("secret", "delete", "a")
    assert "backup" not in terminal.must("secret", "purge", "a", "--yes", "--backups").told


def test_rotated_keys_are_a_table_that_people_can_read(terminal: Terminal) -> None:
    ran = terminal.must("key", "rotate")
    lines = ran.text.splitlines()
    assert lines[0].split() == ["VAULT", "RECORD", "OPERATION", "NEW", "VERIFIER", "KEY"]
    assert lines[1].split()[3] == "signing-key.rotated"
    assert {line.split()[0] for line in lines[5:]} == {
        "root.assurance",
        "root.epoch",
        "root.provider",
    }
    now = terminal.json("vault", "show")["verifiers"]
    assert all(key in ran.text for key in now.values())


def test_a_policy_says_who_may(terminal: Terminal) -> None:
    terminal.must("secret", "set", "a", stdin="v")
    bob = ("--as", "bob")
    assert terminal.run("secret", "show", "a", *bob).status == 4

    set_ = terminal.json(
        "policy", "set", "--object-id", "bob", "--secret-permissions", "get", "list,backup"
    )
    assert set_["permissions"]["secrets"] == ["get", "list", "backup"]
    assert terminal.json("secret", "show", "a", *bob)["value"] == "v"
    assert terminal.run("secret", "delete", "a", *bob).status == 4
    assert terminal.run("policy", "list", *bob).status == 4
    assert {policy["objectId"] for policy in terminal.json("policy", "list")} > {"bob"}
    terminal.must("policy", "delete", "--object-id", "bob")
    assert terminal.run("secret", "show", "a", *bob).status == 4
    wrong = ("policy", "set", "--object-id", "bob", "--secret-permissions", "fly")
    assert terminal.run(*wrong).status == 2


def test_who_asked_as_somebody_else_is_recorded_with_who_they_are(terminal: Terminal) -> None:
    terminal.run("secret", "show", "a", "--as", "bob")
    refused = terminal.json("log", "--principal", "bob")[-1]

    assert refused["outcome"] == "access.denied"
    assert refused["auth"].startswith("asserted by local:")


def test_a_request_id_makes_a_retry_harmless(terminal: Terminal) -> None:
    again = ("secret", "set", "a", "--request-id", "r1")
    first = terminal.json(*again, stdin="v")
    assert terminal.json(*again, stdin="v")["id"] == first["id"]
    assert terminal.run(*again, stdin="w").status == 5


def test_several_vaults_must_be_named(terminal: Terminal) -> None:
    made = terminal.json("vault", "create", "-n", "other", "--retention-days", "7")
    assert made["softDeleteRetentionInDays"] == 7
    assert terminal.run("secret", "list").status == 2
    terminal.must("secret", "set", "a", "--vault-name", "other", stdin="v")
    shown = terminal.json("secret", "show", "--id", "https://other.vault.localhost/secrets/a")
    assert shown["value"] == "v"
    named = {"MUNIMENT_VAULT": "other"}
    assert "recoverableDays" in terminal.must("secret", "show", "a", environ=named).text
    assert terminal.run("vault", "create", "other").status == 5
    assert terminal.run("vault", "create", "x").status == 2
    assert terminal.run("vault", "show", "third").status == 3
    assert [vault["name"] for vault in terminal.json("vault", "list")] == ["main", "other"]


def test_who_gives_a_vault_away_is_told_that_it_is_done(terminal: Terminal) -> None:
    given = terminal.must("vault", "update", "--administrators", "bob", "-o", "json")
    assert given.json["administrators"] == ["bob"]
    assert "no administrator of it any more" in given.told
    refused = terminal.run("vault", "update", "--sku", "premium", "-o", "json")
    assert (refused.status, refused.error["code"]) == (4, "access.not-administrator")
    assert "--as" in refused.error["hint"]
    terminal.must("vault", "update", "--administrators", "bob", "local:root", "--as", "bob")


def test_purge_protection_is_one_way(terminal: Terminal) -> None:
    updated = terminal.json("vault", "update", "--enable-purge-protection")
    assert updated["enablePurgeProtection"] is True
    assert terminal.run("vault", "update", "--enable-purge-protection", "false").status == 2
    terminal.must("secret", "set", "a", stdin="v")
    terminal.must("secret", "delete", "a")
    assert terminal.run("secret", "purge", "a", "--yes").status == 4


def test_keys_rotate_and_everything_still_opens(terminal: Terminal) -> None:
    terminal.must("secret", "set", "a", stdin="v")
    rotated = terminal.json("key", "rotate")

    assert rotated["root"]["provider"] == "file"
    assert {item["operation"] for item in rotated["rotated"]} == {
        "signing-key.rotated",
        "audit-key.rotated",
    }
    assert terminal.json("secret", "show", "a")["value"] == "v"
    only_root = terminal.json("key", "rotate", "--root")
    assert only_root["rotated"] == []
    assert only_root["root"]["epoch"] > rotated["root"]["epoch"]


def test_the_log_tells_who_did_what(terminal: Terminal) -> None:
    terminal.must("secret", "set", "a", stdin="hunter2")
    terminal.must("secret", "show", "a")
    terminal.run("secret", "show", "nope")

    whole = terminal.must("log", "-o", "json")
    items = whole.json
    assert {"position", "time", "operation", "principal", "name", "version", "outcome"} <= set(
        items[0]
    )
    assert [item["operation"] for item in items][-3:] == [
        "secret.set",
        "secret.read",
        "secret.read",
    ]
    assert items[-1]["outcome"] == "secret.not-found"
    assert b"hunter2" not in whole.out

    def operations(*filters: str) -> list[str]:
        return [item["operation"] for item in terminal.json("log", *filters)]

    assert operations("--from", "1h", "--to", "now", "a") == ["secret.set", "secret.read"]
    assert operations("--outcome", "refused") == ["secret.read"]
    assert operations("--operation", "secret.set") == ["secret.set"]
    assert operations("--from", "#2", "--log", "changes") == ["secret.set"]
    assert operations("--to", "#1") == ["vault.created"]
    assert operations("--to", "1h") == []
    assert len(operations("--last", "2")) == 2
    assert re.search(
        r"^--from \d{4}-\d\d-\d\dT[\d:.]+Z$", terminal.must("log", "--from", "1h").told, re.M
    )


def test_the_log_is_paged_at_a_terminal_only(terminal: Terminal, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED\ncat\n")
    pager.chmod(0o755)
    environ = {"PAGER": str(pager)}

    assert "PAGED" in terminal.type("log", environ=environ)[1]
    assert "PAGED" not in terminal.type("log", "--no-pager", environ=environ)[1]
    assert "PAGED" not in terminal.type("log", "-o", "json", environ=environ)[1]
    assert "PAGED" not in terminal.must("log", environ=environ).text
