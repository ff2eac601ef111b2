"""`vault delete`, `list-deleted`, `show-deleted`, `recover` and `purge`, as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.must("init", "acme")
    terminal.must("vault", "create", "two")
    terminal.must("secret", "set", "db", "--vault-name", "acme", stdin="s3cret")
    return terminal


def test_a_deleted_vault_comes_back_as_it_was(terminal: Terminal) -> None:
    gone = terminal.json("vault", "delete", "acme")
    assert (gone["name"], gone["purgeProtectionEnabled"]) == ("acme", False)
    assert [one["name"] for one in terminal.json("vault", "list")] == ["two"]
    assert [one["id"] for one in terminal.json("vault", "list-deleted")] == [gone["id"]]
    assert terminal.json("vault", "show-deleted", "-n", "acme") == gone
    refused = terminal.run("secret", "show", "db", "--vault-name", "acme", "-o", "json")
    assert (refused.status, refused.error["code"]) == (5, "vault.is-deleted")
    assert terminal.run("vault", "create", "acme").status == 5
    assert terminal.json("vault", "recover", "--name", "acme")["name"] == "acme"
    assert terminal.must("secret", "show", "db", "--vault-name", "acme").out
    terminal.check()


def test_a_purged_vault_is_known_by_its_id_only(terminal: Terminal) -> None:
    vault_id = terminal.json("vault", "delete", "acme")["id"]
    planned = terminal.json("vault", "purge", "acme", "--plan")
    assert planned["wouldDestroy"] == "all secrets and backups"
    assert terminal.run("vault", "purge", "acme").status == 2, "nobody was asked"
    receipt = terminal.json("vault", "purge", "acme", "--yes")
    assert (receipt["id"], receipt["keys"] > 0) == (vault_id, True)
    assert terminal.json("vault", "list-deleted") == []
    for verb in ("show-deleted", "recover"):
        assert terminal.run("vault", verb, "acme").status == 3
    told = terminal.json("log", "--vault-name", vault_id)
    assert {"vault.deleted", "vault.purged", "keys.erased"} <= {one["operation"] for one in told}
    assert terminal.run("secret", "show", "db", "--vault-name", vault_id).status == 3
    terminal.must("verify", "--every-signature")
    terminal.must("vault", "create", "acme")
    assert f"acme purged {vault_id[:8]} changes" in terminal.must("doctor").text
    terminal.must("verify", "--vault-name", vault_id)
    assert terminal.must("rebuild", "--vault-name", vault_id).status == 0
    terminal.must("key", "rotate", "--root", "--signing")
    terminal.must("store", "backup", str(terminal.directory / "copy"))
    terminal.check()


def test_a_protected_vault_is_not_purged(terminal: Terminal) -> None:
    terminal.must("vault", "update", "acme", "--enable-purge-protection")
    terminal.must("vault", "delete", "acme")
    refused = terminal.run("vault", "purge", "acme", "--yes", "-o", "json")
    assert (refused.status, refused.error["code"]) == (4, "vault.purge-protected")
    assert terminal.run("vault", "delete").status == 2
    assert terminal.run("vault", "recover", "two").status == 3


@pytest.mark.parametrize("verb", ["delete", "purge", "recover", "show-deleted"])
def test_a_vault_ends_only_by_a_name_in_the_command_itself(terminal: Terminal, verb: str) -> None:
    terminal.must("vault", "delete", "--vault-name", "two")
    refused = terminal.run("vault", verb, environ={"MUNIMENT_VAULT": "acme"})
    assert (refused.status, "name the vault" in refused.told) == (2, True)
    assert [one["name"] for one in terminal.json("vault", "list")] == ["acme"]


def test_a_name_is_free_once_no_vault_holds_it(terminal: Terminal) -> None:
    free = {"message": None, "nameAvailable": True, "reason": None}
    assert terminal.json("vault", "check-name", "other") == free
    told = terminal.json("vault", "check-name", "-n", "ACME")
    assert (told["nameAvailable"], told["reason"]) == (False, "AlreadyExists")
    terminal.must("vault", "delete", "acme")
    told = terminal.json("vault", "check-name", "acme")
    assert (told["reason"], "deleted vault acme" in told["message"]) == ("AlreadyExists", True)
    terminal.must("vault", "purge", "acme", "--yes")
    assert terminal.json("vault", "check-name", "acme") == free
    assert terminal.json("vault", "check-name", "a--b")["reason"] == "AccountNameInvalid"
    assert terminal.run("vault", "check-name").status == 2
