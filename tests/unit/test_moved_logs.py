"""A log stands in the folder of its vault, and once: all of them open with one keyring."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from eventstore.errors import LogMisplaced
from support.terminal import Terminal
from support.vaults import ALICE, Clock, check_store, make_store, open_store
from vault.commands import GetSecret, SetSecret
from vault.history_commands import ReadHistory, RotateKeys


def swap_access(one: Path, other: Path) -> None:
    kept = one.with_name("kept")
    (one / "access").rename(kept)
    (other / "access").rename(one / "access")
    kept.rename(other / "access")


def swap_all(one: Path, other: Path) -> None:
    swap_access(one, other)
    kept = one.with_name("kept")
    (one / "changes").rename(kept)
    (other / "changes").rename(one / "changes")
    kept.rename(other / "changes")


@pytest.mark.parametrize("swap", [swap_access, swap_all])
def test_the_logs_of_another_vault_are_not_told_as_its_own(
    tmp_path: Path, swap: Callable[[Path, Path], None]
) -> None:
    home, clock = tmp_path / "store", Clock()
    with make_store(home, clock) as store:
        for name in ("shop", "bank"):
            vault = store.create_vault(ALICE, name)
            vault.handle(ALICE, SetSecret(name="db", value="v"))
            vault.handle(ALICE, GetSecret(name="db"))
    one, other = sorted((home / "vaults").iterdir())

    swap(one, other)

    for name in ("shop", "bank"):
        with open_store(home, clock) as store, pytest.raises(LogMisplaced):
            store.vault(name).handle(ALICE, ReadHistory())
    swap(one, other)
    check_store(home, clock)


def test_a_vault_whose_keys_were_rotated_keeps_its_logs(tmp_path: Path) -> None:
    home, clock = tmp_path / "store", Clock()
    with make_store(home, clock) as store:
        for name in ("shop", "bank"):
            store.create_vault(ALICE, name).rebuild()
        store.vault("shop").handle(ALICE, RotateKeys(signing=True, audit=True))
    check_store(home, clock)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    terminal.must("secret", "set", "a", stdin="v")
    terminal.must("secret", "show", "a")
    return terminal


def vault_of(terminal: Terminal) -> Path:
    (vault,) = (terminal.home / "vaults").iterdir()
    return vault


@pytest.mark.parametrize("log", ["access", "changes"])
def test_a_log_that_was_taken_away_is_missed(terminal: Terminal, log: str) -> None:
    vault = vault_of(terminal)
    (vault / log).rename(terminal.directory / "aside")

    for command in (("verify",), ("verify", "--without-seen"), ("checkpoint", "publish", "out")):
        ran = terminal.run(*command, "-o", "json")
        assert (ran.status, ran.error["code"]) == (20, "verify.log-misplaced")
        assert f"{log}: there is no log here" in ran.error["message"]

    (terminal.directory / "aside").rename(vault / log)
    terminal.check()


def test_a_vault_that_stands_there_twice_is_refused(terminal: Terminal) -> None:
    vault = vault_of(terminal)
    twice = Path(shutil.copytree(vault, vault.with_name("0" * 32)))

    verified = terminal.run("verify", "-o", "json")
    read = terminal.run("secret", "show", "a", "-o", "json")

    assert (verified.status, verified.error["code"]) == (20, "verify.log-misplaced")
    assert (read.status, read.error["code"]) == (20, "verify.log-misplaced")
    assert not read.out
    shutil.rmtree(twice)
    terminal.check()
