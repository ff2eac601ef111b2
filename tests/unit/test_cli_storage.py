"""`muniment storage`: the words of `az keyvault storage`, and never a key."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import with_provider
from support.providers import RESOURCE, FileProvider, key
from support.terminal import Terminal

TEMPLATE = "sv=2018-03-28&ss=b&srt=sco&sp=rl&spr=https"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    script = Path(with_provider.__file__)
    program = (sys.executable, "-P", script, tmp_path / "provider.json")
    terminal = Terminal(tmp_path, program)
    terminal.must("init")
    return terminal


@pytest.fixture
def provider(tmp_path: Path) -> FileProvider:
    return FileProvider(tmp_path / "provider.json")


def add(terminal: Terminal, *more: str) -> dict[str, object]:
    told: dict[str, object] = terminal.json(
        "storage", "add", "-n", "shop", "--active-key-name", "key1", "--auto-regenerate-key", "true",
        "--regeneration-period", "P90D", "--resource-id", RESOURCE, *more,
    )  # fmt: skip
    return told


def create(terminal: Terminal, name: str = "all") -> dict[str, object]:
    told: dict[str, object] = terminal.json(
        "storage", "sas-definition", "create", "--account-name", "shop", "-n", name,
        "--validity-period", "P2D", "--sas-type", "account", "--template-uri", TEMPLATE,
    )  # fmt: skip
    return told


def test_an_account_is_added_shown_listed_and_changed_in_azs_words(terminal: Terminal) -> None:
    made = add(terminal, "--tags", "team=shop")
    assert made["id"] == "https://main.vault.localhost/storage/shop"
    assert (made["activeKeyName"], made["autoRegenerateKey"]) == ("key1", True)
    assert (made["regenerationPeriod"], made["resourceId"]) == ("P90D", RESOURCE)
    assert made["tags"] == {"team": "shop"}
    assert list(made) == sorted(made)
    assert terminal.json("storage", "show", "--id", str(made["id"])) == made
    assert terminal.json("storage", "list") == [made]
    table = terminal.must("storage", "list").text
    assert "NEXT ROTATION" in table
    changed = terminal.json("storage", "update", "shop", "--active-key-name", "key2")
    assert (changed["activeKeyName"], changed["tags"]) == ("key2", {"team": "shop"})
    as_of = terminal.json("storage", "show", "shop", "--as-of", "#2")
    assert as_of["activeKeyName"] == "key1"
    disabled = terminal.json("storage", "update", "shop", "--enabled", "false", "--tags", "")
    assert (disabled["attributes"]["enabled"], disabled["tags"]) == (False, {})


def test_a_definition_is_made_and_its_token_is_read_as_a_secret(terminal: Terminal) -> None:
    add(terminal)
    made = create(terminal)
    assert made["id"] == "https://main.vault.localhost/storage/shop/sas/all"
    assert made["secretId"] == "https://main.vault.localhost/secrets/shop-all"
    assert (made["validityPeriod"], made["templateUri"]) == ("P2D", TEMPLATE)
    shown = terminal.json("storage", "sas-definition", "show", "--id", str(made["id"]))
    assert shown == made
    token = terminal.json("secret", "show", "shop-all")
    assert token["value"].startswith("?sv=2018-03-28&")
    assert (token["managed"], token["attributes"]["created"]) == (True, None)
    assert token["id"] == "https://main.vault.localhost/secrets/shop-all"
    listed = terminal.json("secret", "list")
    assert [(one["name"], one["managed"]) for one in listed] == [("shop-all", True)]
    changed = terminal.json(
        "storage", "sas-definition", "update", "--account-name", "shop", "-n", "all",
        "--validity-period", "PT4H", "--disabled", "true",
    )  # fmt: skip
    assert (changed["validityPeriod"], changed["attributes"]["enabled"]) == ("PT4H", False)
    assert terminal.run("secret", "show", "shop-all").status == 4


def test_definitions_come_and_go(terminal: Terminal) -> None:
    add(terminal)
    made = create(terminal)
    of = ("storage", "sas-definition")
    assert terminal.json(*of, "list", "--account-name", "shop") == [made]
    assert "shop-all" in terminal.must(*of, "list", "--account-name", "shop").text
    gone = terminal.json(*of, "delete", "--account-name", "shop", "all")
    assert gone["recoveryId"].endswith("/deletedstorage/shop/sas/all")
    assert terminal.json(*of, "list-deleted", "--account-name", "shop") == [gone]
    assert terminal.json(*of, "show-deleted", "--id", gone["recoveryId"]) == gone
    assert terminal.json(*of, "recover", "--id", gone["recoveryId"]) == made


def test_an_account_comes_and_goes(terminal: Terminal, tmp_path: Path) -> None:
    made = add(terminal)
    create(terminal)
    backup = terminal.json("storage", "backup", "shop", "-f", "shop.backup")
    assert backup == {"definitions": 1, "file": "shop.backup", "name": "shop"}
    assert terminal.run("storage", "backup", "shop", "-f", "shop.backup").status == 5
    gone = terminal.json("storage", "remove", "shop")
    assert terminal.json("storage", "list-deleted") == [gone]
    assert terminal.json("storage", "show-deleted", "shop") == gone
    assert terminal.json("storage", "recover", "shop") == made
    terminal.must("storage", "remove", "shop")
    assert terminal.json("storage", "purge", "shop", "--plan")["name"] == "shop"
    assert terminal.run("storage", "purge", "shop").status == 2
    purged = terminal.json("storage", "purge", "shop", "--yes")
    assert purged["openBackups"]
    back = terminal.must("storage", "restore", "-f", "shop.backup", "-o", "json")
    # A rotation is counted from the day that it came back.
    assert back.json | {"nextRotation": None} == made | {"nextRotation": None}
    assert "storage sync shop" in back.told
    terminal.check()


def test_keys_are_regenerated_synced_and_rotated_and_none_is_ever_printed(
    terminal: Terminal, provider: FileProvider, tmp_path: Path
) -> None:
    add(terminal)
    create(terminal)
    printed = b""
    assert terminal.run("storage", "regenerate-key", "shop", "--key-name", "key2").status == 2
    for words in (
        ("storage", "regenerate-key", "shop", "--key-name", "key2", "--yes"),
        ("storage", "sync", "shop"),
        ("storage", "rotate-due"),
        ("storage", "show", "shop"),
        ("log", "shop"),
        ("who-read", "shop-all"),
        ("blame", "shop"),
        ("diff", "#2..now"),
        ("replay",),
        ("secret", "show", "shop-all"),
    ):
        for form in ("table", "json"):
            ran = terminal.must(*words, "-o", form)
            printed += ran.out + ran.err
    assert provider.made == 2
    for number in range(1, provider.made + 5):
        assert key(number).encode() not in printed
    assert terminal.json("storage", "rotate-due") == []


def test_what_cannot_be_is_told_with_its_exit_status(terminal: Terminal) -> None:
    add(terminal)
    for words, status, code in (
        (("storage", "show", "other"), 3, "storage.not-found"),
        (
            ("storage", "update", "shop", "--regeneration-period", "P1M"),
            2,
            "storage.period-invalid",
        ),
        (("storage", "update", "shop", "--active-key-name", "key3"), 3, "storage.key-not-found"),
        (("storage", "update", "shop"), 2, "usage"),
        (("storage", "show"), 2, "usage"),
        (("storage", "show", "--id", "https://v.vault.localhost/secrets/a"), 2, "usage"),
        (("storage", "sas-definition", "show", "all"), 2, "usage"),
        (
            ("storage", "update", "shop", "--enabled", "true", "--disabled", "true"),
            2,
            "usage",
        ),
    ):
        ran = terminal.run(*words, "-o", "json")
        assert (ran.status, ran.error["code"]) == (status, code), words


def test_blame_and_diff_call_an_account_s_attributes_what_show_calls_them(
    terminal: Terminal,
) -> None:
    add(terminal)
    create(terminal)
    terminal.must("storage", "update", "shop", "--active-key-name", "key2")
    shown = terminal.json("storage", "show", "shop")
    blamed = {one["attribute"]: one["value"] for one in terminal.json("blame", "shop")}
    assert blamed["resourceId"] == shown["resourceId"]
    assert (blamed["activeKeyName"], blamed["autoRegenerateKey"]) == ("key2", True)
    assert blamed["period"] == shown["regenerationPeriod"] == "P90D"
    assert "sasType" in {one["attribute"] for one in terminal.json("blame", "shop-all")}
    (changed,) = terminal.json("diff", "#3..now")
    assert {one["name"] for one in changed["fields"]} == {"activeKeyName"}


def test_with_no_provider_an_account_is_not_added(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    ran = terminal.run(
        "storage", "add", "shop", "--active-key-name", "key1", "--resource-id", "/x", "-o", "json"
    )
    assert (ran.status, ran.error["code"]) == (1, "provider.missing")


def test_who_may_not_is_told_which_permission_it_takes(terminal: Terminal) -> None:
    ran = terminal.run("storage", "list", "--as", "bob@example.com", "-o", "json")
    assert (ran.status, ran.error["code"]) == (4, "access.denied")
    assert "storage list permission" in ran.error["message"]


def test_a_copy_of_the_vault_says_that_it_has_no_account(terminal: Terminal) -> None:
    add(terminal)
    ran = terminal.must("restore", "--to", "#2", "--into", "second", "--plan")
    assert "Storage accounts are not copied." in ran.told


def test_restore_says_that_no_old_key_comes_back(terminal: Terminal) -> None:
    add(terminal)
    create(terminal)
    terminal.must("storage", "regenerate-key", "shop", "--key-name", "key1", "--yes")
    terminal.must("storage", "sas-definition", "delete", "--account-name", "shop", "all")
    ran = terminal.must("restore", "--to", "#3", "--plan")
    assert "an old key never comes back" in ran.text
    assert "1 step to do" in ran.told
    done = terminal.must("restore", "--to", "#3", "--yes", "-o", "json").json
    assert [(one["action"], one["what"]) for one in done["steps"]] == [
        ("kept", "storage-account"),
        ("recover", "sas-definition"),
    ]


def test_an_exposure_names_the_tokens_that_are_still_good(terminal: Terminal) -> None:
    add(terminal)
    create(terminal)
    terminal.must("secret", "show", "shop-all")
    who = terminal.json("log", "shop-all")[-1]["principal"]
    ran = terminal.must("exposure", who)
    assert "Tokens of shop-all are still good: key1 signed them." in ran.told
    (fact,) = terminal.json("exposure", who)
    assert (fact["status"], fact["keyName"], fact["version"]) == ("valid", "key1", None)


def test_an_export_leaves_tokens_out_and_makes_none(terminal: Terminal) -> None:
    add(terminal)
    create(terminal)
    terminal.must("secret", "set", "db", stdin="x")
    ran = terminal.must("secret", "export", "-f", "-")
    assert "shop-all" not in ran.text
    assert "left out: shop-all" in ran.told
    assert "sas-token.issued" not in terminal.must("log").text
