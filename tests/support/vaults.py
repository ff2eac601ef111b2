"""What tests of whole vaults share: a store in a folder, a clock to turn, and `check`.

`check` is the judge that every test of a vault ends with: both logs verify as an outsider would
verify them, and every view equals what a fold of the log from nothing gives.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from eventstore.log import Log
from eventstore.log_directory import logs_of, verify_log
from eventstore.verify import Report
from projections.state import State
from projections.views import Views
from vault.caller import Caller
from vault.service import Vault
from vault.store import Store

ALICE = Caller(principal="alice@example.com", auth="test")
BOB = Caller(principal="bob@example.com", auth="test")
MALLORY = Caller(principal="mallory@example.com", auth="test")

START = 1_790_000_000_000_000


class Clock:
    """A clock that moves one microsecond a look, and further when it is told to."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        self.now += 1
        return self.now

    def advance(self, *, days: float = 0, seconds: float = 0) -> None:
        self.now += int((days * 86_400 + seconds) * 1_000_000)


def make_store(home: Path, clock: Any = None, **options: Any) -> Store:
    """A new store in *home* with no vault."""
    return Store.create(home, clock=clock or Clock(), **options)


def make_vault(home: Path, clock: Any = None, **options: Any) -> tuple[Store, Vault]:
    """A new store in *home* with one vault of Alice's."""
    store = make_store(home, clock)
    return store, store.create_vault(ALICE, "test-vault", **options)


def open_store(home: Path, clock: Any = None) -> Store:
    return Store.open(home, clock=clock or Clock())


def stale_rows(vault: Vault) -> list[str]:
    """What differs between the live views and a fold of the log from nothing."""
    return [
        *_stale(vault.changes, vault.views),
        *_stale(vault.access, vault.trail),
    ]


def _stale(log: Log, views: Views) -> list[str]:
    encode = msgspec.msgpack.encode
    with log.snapshot() as snapshot:
        is_late = views.through(snapshot) < snapshot.size
    if is_late:
        log.transact(views.catch_up)
    with log.snapshot() as snapshot:
        reader = views.reader(snapshot.transaction)
        folded = State().fold(snapshot.entries(), views.fold)
        fresh = {reader.place(key): encode(row) for key, row in folded.items()}
        live = dict(reader.opened())
    return [
        place.hex() for place in fresh.keys() | live.keys() if fresh.get(place) != live.get(place)
    ]


def check(vault: Vault) -> None:
    """The logs verify, signature by signature, and the views are what the log says."""
    assert stale_rows(vault) == []
    for log in (vault.changes, vault.access):
        note = log.checkpoint()
        vault_path = log.path
        assert (vault_path / "checkpoint").read_text() == note


def verify_store(home: Path, kept: dict[str, list[str]] | None = None) -> list[Report]:
    """Verify every log of a store that is closed here, as an outsider would."""
    kept = kept or {}
    reports = []
    for directory in logs_of(home):
        key = os.fspath(directory.relative_to(home))
        reports.append(verify_log(directory, kept=kept.get(key, ()), every_signature=True))
    return reports


def check_store(home: Path, clock: Any = None, kept: dict[str, list[str]] | None = None) -> None:
    """Open, check every vault, close, and verify from outside.  The last word of a test."""
    with open_store(home, clock) as store:
        for vault in store.vaults():
            check(vault)
    assert all(report.size >= 0 for report in verify_store(home, kept))
