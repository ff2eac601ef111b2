"""Whoever can write the file of a log cannot have an older value given out as the newer one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import SealBroken
from eventstore.storage import open_environment
from eventstore.transaction import RECORDS
from support.vaults import ALICE, Clock, check_store, make_vault, open_store
from vault.commands import Command, GetSecret, ListSecrets, SetSecret


def swap(changes: Path, one: int, other: int) -> None:
    """Let two records change places."""
    environment = open_environment(changes, create=False)
    records = environment.open_db(RECORDS, create=False)
    keys = [position.to_bytes(8, "big") for position in (one, other)]
    with environment.begin(write=True) as transaction:
        rows = [transaction.get(key, db=records) for key in keys]
        for key, row in zip(keys, reversed(rows), strict=True):
            assert row is not None
            transaction.put(key, row, db=records)
    environment.close()


def test_a_record_put_in_the_place_of_another_is_not_opened_there(tmp_path: Path) -> None:
    home, clock = tmp_path / "store", Clock()
    store, vault = make_vault(home, clock)
    changes, first = vault.changes.path, vault.changes.head().size
    for value in ("leaked", "rotated"):
        vault.handle(ALICE, SetSecret(name="db", value=value))
    store.close()

    swap(changes, first, first + 1)

    with open_store(home, clock) as store:
        asked: list[Command[Any]] = [GetSecret(name="db"), ListSecrets()]
        for command in (*asked, GetSecret(name="db", as_of=first + 1)):
            with pytest.raises(SealBroken):
                store.vault().handle(ALICE, command)
    swap(changes, first, first + 1)
    check_store(home, clock)
