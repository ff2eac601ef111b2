"""A vault with one managed storage account, its provider, and a clock to turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.providers import RESOURCE, FileProvider, providers
from support.vaults import ALICE, START, Clock, check, check_store
from vault.answers import SasBundle, SecretBundle, StorageAccountBundle
from vault.commands import Command, GetSecret
from vault.service import Vault
from vault.storage_commands import SetSasDefinition, SetStorageAccount
from vault.store import Store

DAY = 86_400
TEMPLATE = "sv=2018-03-28&ss=bqtf&srt=sco&sp=rwdlacup&spr=https&se=2000-01-01&sig=none"


@dataclass
class Place:
    """One vault, and what makes its keys."""

    home: Path
    clock: Clock
    provider: FileProvider
    store: Store
    vault: Vault

    def ask(self, command: Command[Any], caller: Any = ALICE) -> Any:
        return self.vault.handle(caller, command)

    def set_account(self, name: str = "shop", **changed: Any) -> StorageAccountBundle:
        given: dict[str, Any] = {
            "resource_id": RESOURCE,
            "active_key": "key1",
            "auto_regenerate": True,
            "period": 90 * DAY,
            **changed,
        }
        answer: StorageAccountBundle = self.ask(SetStorageAccount(name=name, **given))
        return answer

    def set_sas(self, name: str = "all", account: str = "shop", **changed: Any) -> SasBundle:
        given: dict[str, Any] = {
            "template": TEMPLATE,
            "sas_type": "account",
            "period": 4 * 3600,
            **changed,
        }
        answer: SasBundle = self.ask(SetSasDefinition(account=account, name=name, **given))
        return answer

    def token(self, name: str = "shop-all") -> SecretBundle:
        answer: SecretBundle = self.ask(GetSecret(name=name))
        return answer

    def reopen(self) -> None:
        """Go on as a process that has just begun."""
        self.store.close()
        self.store = open_place(self.home, self.clock, self.provider)
        self.vault = self.store.vault()

    def history(self, log: str = "changes") -> list[Any]:
        """All events of a log."""
        with getattr(self.vault, log).snapshot() as snapshot:
            return [entry.event for entry in snapshot.entries()]

    def entries(self, log: str = "changes") -> list[Any]:
        with getattr(self.vault, log).snapshot() as snapshot:
            return list(snapshot.entries())


def open_place(home: Path, clock: Clock, provider: FileProvider) -> Store:
    return Store.open(home, clock=clock, providers=providers(provider))


@contextmanager
def storage_place(home: Path, **options: Any) -> Iterator[Place]:
    """A vault to work in; checked when the test is over."""
    clock, provider = Clock(START), FileProvider(home.parent / "provider.json")
    store = Store.create(home, clock=clock, providers=providers(provider))
    place = Place(home, clock, provider, store, store.create_vault(ALICE, "test-vault", **options))
    try:
        yield place
        check(place.vault)
    finally:
        place.store.close()
    check_store(home, clock)


def rotate_in_another_process(home: Path, provider: Path, now: int, hook: str, pipe: Any) -> None:
    """Say what was rotated; or be killed before or after the provider does something."""
    asked = FileProvider(provider)
    if hook:
        setattr(asked, hook, lambda call: os.kill(os.getpid(), signal.SIGKILL))
    with open_place(home, Clock(now), asked) as store:
        vault = store.vault()
        pipe.send("ready")
        pipe.recv()
        pipe.send(len(vault.rotate_due()))
