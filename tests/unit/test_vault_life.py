"""The life of a secret, as its users meet it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.vaults import ALICE, Clock, check_store, make_vault
from vault.commands import GetSecret, SetSecret
from vault.service import Vault


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    clock = Clock()
    store, vault = make_vault(tmp_path / "store", clock)
    yield vault
    store.close()
    check_store(tmp_path / "store", clock)


def test_a_value_that_was_set_is_given_back(vault: Vault) -> None:
    vault.handle(ALICE, SetSecret(name="db-password", value="s3cret"))
    assert vault.handle(ALICE, GetSecret(name="DB-Password")).value == "s3cret"
