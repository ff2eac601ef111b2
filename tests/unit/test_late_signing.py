"""Who serves signs now and then; every head is signed before long, whoever committed it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.checkpoint import parse_checkpoint
from eventstore.errors import LogUnavailable
from eventstore.log import Log
from eventstore.verify import verify_log
from server import turns
from server.turns import Turns
from support.vaults import ALICE, check_store, make_vault
from vault.commands import GetSecret, SetSecret
from vault.service import Vault


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    store, vault = make_vault(tmp_path / "store")
    with store:
        vault.handle(ALICE, SetSecret(name="db", value="x"))
        vault.handle(ALICE, GetSecret(name="db"))
        yield vault
    check_store(tmp_path / "store")


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
    monkeypatch.setattr(turns, "_SIGN_AFTER", 0.01)

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
