"""Who serves signs now and then; every head is signed before long, whoever committed it."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.doctor_files import unsigned as unsigned_of
from eventstore.checkpoint import parse_checkpoint
from eventstore.errors import LogUnavailable, TailUnsigned
from eventstore.log import Log
from eventstore.log_directory import verify_log
from eventstore.signed_part import head_of
from server import turns
from server.turns import Turns
from support.vaults import ALICE, check_store, make_vault
from vault.commands import GetSecret, SetSecret
from vault.service import Vault
from vault.store import system_clock


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    store, vault = make_vault(tmp_path / "store")
    with store:
        vault.handle(ALICE, SetSecret(name="db", value="x"))
        vault.handle(ALICE, GetSecret(name="db"))
        yield vault
    check_store(tmp_path / "store")


_BUSY = """
import sys, time
from pathlib import Path
from support.vaults import ALICE
from vault.commands import GetSecret
from vault.store import Store

with Store.open(Path(sys.argv[1])) as store:
    vault = store.vault("test-vault")
    vault.stay(lambda: None)
    signed = time.monotonic()
    while not (store.home / "enough").exists():
        vault.handle(ALICE, GetSecret(name="db"))
        if time.monotonic() - signed > 0.2:
            vault.sign_what_is_late()
            signed = time.monotonic()
"""


@contextmanager
def busy(home: Path) -> Iterator[None]:
    """Another process reads all the time, and signs now and then."""
    child = subprocess.Popen(
        [sys.executable, "-c", _BUSY, str(home)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    try:
        yield
    finally:
        (home / "enough").touch()
        assert child.wait(30) == 0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "store"
    store, vault = make_vault(home, system_clock)
    with store:
        vault.handle(ALICE, SetSecret(name="db", value="x"))
        for _ in range(700):
            read(vault)
    return home


def test_a_log_that_is_signed_now_and_then_verifies_at_any_moment(home: Path) -> None:
    (access,) = home.glob("vaults/*/access")
    sizes: list[int] = []
    with busy(home):
        while len(sizes) < 12 or sizes[-1] == sizes[0]:
            sizes.append(verify_log(access, every_signature=True).size)
            assert not any(unsigned_of(home).values())
    assert sizes == sorted(sizes)


def test_the_head_of_every_size_is_found_again(vault: Vault) -> None:
    heads = []
    for _ in range(20):
        read(vault)
        heads.append(vault.access.head())
    with vault.access.snapshot() as snapshot:
        assert [head_of(snapshot.tree, head.size) for head in heads] == heads


def test_a_tail_that_nobody_signs_is_found(vault: Vault, tmp_path: Path) -> None:
    vault.stay(lambda: None)
    read(vault)
    shutil.copytree(vault.access.path, tmp_path / "left")  # as a crash would leave it
    with pytest.raises(TailUnsigned):
        verify_log(tmp_path / "left")


def read(vault: Vault) -> None:
    vault.handle(ALICE, GetSecret(name="db"))


def unsigned(log: Log) -> int:
    """How many records are behind the checkpoint that lies beside the log."""
    note = (log.path / "checkpoint").read_text()
    return log.head().size - parse_checkpoint(note).size


def test_what_is_committed_while_the_head_is_signed_is_signed_as_well(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    vault.stay(lambda: told.append(1))
    read(vault)
    sign = Log.checkpoint

    def sign_while_somebody_reads(log: Log) -> str:
        note = sign(log)
        if log is vault.access:
            read(vault)
        return note

    with monkeypatch.context() as patch:
        patch.setattr(Log, "checkpoint", sign_while_somebody_reads)
        vault.sign_what_is_late()
    assert (len(told), unsigned(vault.access)) == (2, 1)
    vault.sign_what_is_late()
    assert unsigned(vault.access) == 0


def test_what_could_not_be_signed_is_signed_the_next_time(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.stay(lambda: None)
    read(vault)

    def fail(_: Log) -> str:
        raise LogUnavailable("no disk")

    with monkeypatch.context() as patch:
        patch.setattr(Log, "checkpoint", fail)
        with pytest.raises(LogUnavailable):
            vault.sign_what_is_late()
    vault.sign_what_is_late()
    assert unsigned(vault.access) == 0


def test_what_no_turn_committed_is_signed_before_long(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "SIGN_EVERY", 10_000)

    async def life() -> list[int]:
        Turns(vault, lambda _: None)
        await asyncio.to_thread(read, vault)  # as who waits for a provider
        found = [unsigned(vault.access)]
        await asyncio.sleep(0.1)
        return [*found, unsigned(vault.access)]

    assert asyncio.run(life()) == [1, 0]


def test_a_commit_after_the_loop_is_closed_is_signed_by_who_closes(
    vault: Vault,
) -> None:
    async def life() -> None:
        Turns(vault, lambda _: None)

    asyncio.run(life())
    read(vault)
    assert unsigned(vault.access) == 1
    vault.close()
    assert verify_log(vault.access.path).size == 2
