"""A vault whose trail is late: little is much, so that all that puts it is come to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from projections import late, trail
from projections.late import LateViews
from support.vaults import ALICE, check, make_vault
from vault.commands import GetSecret, SetSecret
from vault.history_commands import WhoRead
from vault.service import Vault

NAMES = ("db", "api", "mail")


def let_little_be_much(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(late, "MOST", 12)
    patch.setattr(late, "FAR_TOO_MANY", 60)
    patch.setattr(late, "FEW", 5)
    patch.setattr(late, "STEP", 5)


@contextmanager
def late_vault(home: Path) -> Iterator[Vault]:
    """A vault with the secrets NAMES; its logs and views are checked at the end."""
    store, vault = make_vault(home)
    with store:
        for name in NAMES:
            vault.handle(ALICE, SetSecret(name=name, value="x"))
        yield vault
        vault.sign_what_is_late()
        check(vault)


def read(vault: Vault, name: str = "db") -> str:
    """Read a secret; give its version."""
    return vault.handle(ALICE, GetSecret(name=name)).version


def reads_of(vault: Vault, name: str = "db") -> int:
    """How often `who-read` says that the secret was read."""
    return sum(fact.how == "read" for fact in vault.handle(ALICE, WhoRead(name=name)))


def another(vault: Vault) -> LateViews:
    """What another process would have of the same views."""
    other = LateViews(vault.trail._keys, vault.trail._entropy, trail.apply)
    other._tables = vault.trail._tables
    other._lock.lies_in(str(vault.access.path))
    return other
