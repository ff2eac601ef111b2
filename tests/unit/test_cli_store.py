"""Making a store, opening a locked one, and what `doctor` says of both."""

import stat
from pathlib import Path

import pytest

from support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def test_init_makes_a_store_ready_to_use(terminal: Terminal) -> None:
    made = terminal.json("init")

    assert made["vault"] == "main"
    assert made["rootKey"] == f"{terminal.home}.key"
    assert stat.S_IMODE(terminal.home.stat().st_mode) == 0o700
    terminal.must("secret", "set", "a", stdin="v")
    assert terminal.run("init").status == 5
    terminal.check()


def test_a_first_vault_has_the_name_that_was_asked_for(terminal: Terminal) -> None:
    assert terminal.json("init", "payments", "--retention-days", "7")["vault"] == "payments"
    shown = terminal.json("vault", "show")
    assert (shown["name"], shown["softDeleteRetentionInDays"]) == ("payments", 7)


@pytest.mark.parametrize("arguments", [("x",), ("--retention-days", "6")])
def test_a_vault_that_cannot_be_made_leaves_no_store(
    terminal: Terminal, arguments: tuple[str, ...]
) -> None:
    assert terminal.run("init", *arguments).status == 2
    assert not terminal.home.exists()


def test_a_store_without_a_vault(terminal: Terminal) -> None:
    assert terminal.json("init", "--no-vault")["vault"] is None
    assert terminal.run("secret", "list").status == 2
    assert "nothing to verify" in terminal.must("verify").told
    terminal.must("vault", "create", "first")
    assert terminal.json("secret", "list") == []


def test_a_store_is_not_made_among_other_files(terminal: Terminal) -> None:
    (terminal.directory / "empty").mkdir()
    terminal.must("init", "--home", "empty")
    (terminal.directory / "busy").mkdir()
    (terminal.directory / "busy" / "letter").write_text("mine")
    ran = terminal.run("init", "--home", "busy", "-o", "json")
    assert (ran.status, ran.error["code"]) == (5, "store.exists")
    assert [one.name for one in (terminal.directory / "busy").iterdir()] == ["letter"]
    assert not (terminal.directory / "busy.key").exists()
    assert terminal.run("init", "--home", "busy/letter").status == 5


def test_a_store_that_answers_nobody_says_where_its_vaults_are(terminal: Terminal) -> None:
    terminal.must("init", "acme")
    terminal.must("vault", "delete", "acme")
    ran = terminal.run("secret", "list", "-o", "json")
    assert (ran.status, ran.error["message"]) == (2, "the store has no vaults")
    assert "list-deleted" in ran.error["hint"]


def test_the_root_key_may_be_elsewhere(terminal: Terminal, tmp_path: Path) -> None:
    terminal.must("init", "--root-key", str(tmp_path / "keys"))
    assert not Path(f"{terminal.home}.key").exists()
    (tmp_path / "keys").rename(tmp_path / "moved")
    assert terminal.run("secret", "list").status == 11
    terminal.must("secret", "list", "--root-key", str(tmp_path / "moved"))


def test_the_wrong_root_key_is_12(terminal: Terminal, tmp_path: Path) -> None:
    terminal.must("init")
    terminal.must("init", "--home", "other")
    assert terminal.run("secret", "list", "--root-key", "other.key").status == 12


# --- a passphrase ---------------------------------------------------------------------------------


def locked(terminal: Terminal, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "pass").write_text("correct horse\n")
    environ = {"MUNIMENT_PASSPHRASE_FILE": str(tmp_path / "pass")}
    terminal.must("init", "--provider", "passphrase", environ=environ)
    terminal.must("secret", "set", "a", stdin="v", environ=environ)
    return environ


def test_a_locked_store_without_its_passphrase_is_11(terminal: Terminal, tmp_path: Path) -> None:
    environ = locked(terminal, tmp_path)
    ran = terminal.run("secret", "show", "a", "-o", "json")
    assert (ran.status, ran.error["code"]) == (11, "root.locked")
    (tmp_path / "wrong").write_text("battery staple")
    assert terminal.run("secret", "show", "a", "--passphrase-file", "wrong").status == 12
    assert terminal.run("secret", "show", "a", "--passphrase-file", "none").status == 1
    terminal.must("secret", "show", "a", environ=environ)


def test_a_terminal_asks_for_the_passphrase(terminal: Terminal, tmp_path: Path) -> None:
    locked(terminal, tmp_path)
    status, screen = terminal.type(
        "secret", "show", "a", "--query", "value", answers={"Passphrase:": "correct horse\n"}
    )
    assert status == 0
    assert screen.splitlines()[-1] == "v"
    assert "correct horse" not in screen


def test_the_passphrase_is_changed(terminal: Terminal, tmp_path: Path) -> None:
    environ = locked(terminal, tmp_path)
    (tmp_path / "new").write_text("new one")
    terminal.must("key", "change-passphrase", "--new-passphrase-file", "new", environ=environ)
    assert terminal.run("secret", "show", "a", environ=environ).status == 12
    terminal.must("secret", "show", "a", "--passphrase-file", "new")


def test_a_store_with_a_passphrase_is_made_at_a_terminal(terminal: Terminal) -> None:
    answers = {"New passphrase:": "p w\n", "New passphrase again:": "p w\n"}
    status, _ = terminal.type("init", "--provider", "passphrase", answers=answers)
    assert status == 0
    assert terminal.type("secret", "list", answers={"Passphrase:": "p w\n"})[0] == 0


# --- doctor ---------------------------------------------------------------------------------------


def wrong(terminal: Terminal, *arguments: str) -> dict[str, str]:
    ran = terminal.run("doctor", "-o", "json", *arguments)
    found = {item["check"]: item["mend"] for item in ran.json if item["state"] == "wrong"}
    assert ran.status == (1 if found else 0)
    return found


def test_doctor_finds_nothing_wrong_with_a_new_store(terminal: Terminal) -> None:
    terminal.must("init")
    assert wrong(terminal) == {}
    found = {item["check"]: item for item in terminal.json("doctor")}
    assert found["setting home"]["origin"] == "MUNIMENT_HOME"
    assert "overwritten" in found["a purge promises"]["found"]
    assert found["main unanchored"]["state"] == "note"


def test_doctor_tells_how_to_mend(terminal: Terminal, tmp_path: Path) -> None:
    assert "muniment init" in wrong(terminal)["store"]
    terminal.must("init")
    terminal.home.chmod(0o755)
    assert wrong(terminal) == {"store's files": f"chmod -R go= {terminal.home}"}
    terminal.home.chmod(0o700)

    (checkpoint,) = terminal.home.glob("vaults/*/changes/checkpoint")
    checkpoint.unlink()
    assert list(wrong(terminal)) == ["main changes"]

    Path(f"{terminal.home}.key").rename(tmp_path / "lost")
    assert "--root-key" in wrong(terminal)["opens"]


def test_doctor_is_readable(terminal: Terminal) -> None:
    terminal.must("init")
    lines = terminal.must("doctor").text.splitlines()
    assert any(line.startswith("ok    setting output") for line in lines)
    assert any("to mend: muniment checkpoint publish DIR" in line for line in lines)
