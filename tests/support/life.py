"""A vault to live in: used in few words, then closed and checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from eventstore.errors import MunimentError
from eventstore.record import Entry
from support.vaults import ALICE, BOB, Clock, check_store, make_vault, open_store
from vault.answers import SecretBundle
from vault.caller import Caller
from vault.commands import Command, DeleteSecret, GetSecret, PurgeDeletedSecret, SetSecret
from vault.rule_commands import SetPolicy

A = TypeVar("A")


class Life:
    """An open store with a vault; call it with a command."""

    def __init__(self, home: Path, **options: Any) -> None:
        self.home = home
        self.clock = Clock()
        self.store, self.vault = make_vault(home, self.clock, **options)

    def __call__(self, command: Command[A], caller: Caller = ALICE) -> A:
        return self.vault.handle(caller, command)

    def set(self, name: str, value: str = "a value", **rest: Any) -> SecretBundle:
        return self(SetSecret(name=name, value=value, **rest))

    def read(self, name: str, version: str = "") -> str | None:
        return self(GetSecret(name=name, version=version)).value

    def delete(self, name: str) -> SecretBundle:
        return self(DeleteSecret(name=name))

    def purge(self, name: str, **rest: Any) -> None:
        """Delete and purge."""
        self.delete(name)
        self(PurgeDeletedSecret(name=name, **rest))

    def allow(self, *permissions: str, who: Caller = BOB) -> int:
        """Say what *who* may do; give the position of the policy."""
        return self(SetPolicy(object_id=who.principal, secrets=permissions)).position

    def refuses(self, code: str, command: Command[Any], caller: Caller = ALICE) -> MunimentError:
        """The refusal of *command*, which leaves `changes` as it was."""
        before = self.vault.changes.head().size
        with pytest.raises(MunimentError) as caught:
            self(command, caller)
        assert (caught.value.code, self.vault.changes.head().size) == (code, before)
        return caught.value

    def traces(self) -> list[Entry[Any]]:
        """The records of `access`, oldest first."""
        with self.vault.access.snapshot() as snapshot:
            return list(snapshot.entries())

    def changes(self) -> list[Entry[Any]]:
        """The records of `changes`, oldest first."""
        with self.vault.changes.snapshot() as snapshot:
            return list(snapshot.entries())

    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.home, self.clock)
        self.vault = self.store.vault()


@contextmanager
def life_in(home: Path, **options: Any) -> Iterator[Life]:
    """A vault in *home*; what it leaves there is checked at the end."""
    life = Life(home, **options)
    try:
        yield life
    finally:
        life.store.close()
    check_store(home, life.clock)
