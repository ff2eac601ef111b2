"""A vault with a past: two logs in which everything has happened that can happen to a vault.

The past is lived in chapters.  After each the store is closed and an outsider takes what he can see
of both logs, so that a test has every older state of the same history, the checkpoints that were kept
of it, and the signing keys that have been destroyed since.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from eventstore.checkpoint import Signer
from eventstore.log_directory import evidence_in
from eventstore.verify import Evidence
from support.vaults import ALICE, BOB, MALLORY, Clock
from vault.caller import Caller
from vault.commands import (
    BackupSecret,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ImportSecrets,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.history_commands import ReadHistory, RecordVerification, RotateKeys
from vault.refusals import VaultError
from vault.rule_commands import DeletePolicy, SetPolicy, ShowVault, UpdateVault
from vault.service import Vault
from vault.store import Store

LOGS = ("changes", "access")


class Seen(NamedTuple):
    """What can be seen of one log from outside, at one time."""

    identity: bytes
    head: bytes
    epochs: bytes
    records: tuple[tuple[bytes, bytes], ...]
    checkpoint: str

    @property
    def evidence(self) -> Evidence:
        return Evidence(*self)


class Past(NamedTuple):
    """Both logs as they stood after each chapter, and every signing key they ever had."""

    states: dict[str, list[Seen]]
    signing: dict[str, list[Signer]]
    audit: dict[str, list[bytes]]


def seen(directory: Path) -> Seen:
    with evidence_in(directory) as evidence:
        return Seen(*evidence[:3], tuple(evidence.records), evidence.checkpoint)


def live(home: Path, clock: Clock, open_again: Callable[[], Store]) -> Past:
    """Live through every chapter in the only vault of the store in *home*, which is closed."""
    past = Past({log: [] for log in LOGS}, {log: [] for log in LOGS}, {log: [] for log in LOGS})
    for chapter in CHAPTERS:
        with open_again() as store:
            vault = store.vault()
            chapter(store, vault, clock)
            for log in LOGS:
                _remember(past, log, store, vault)
        for log in LOGS:
            past.states[log].append(seen(next((home / "vaults").glob(f"*/{log}"))))
    return past


def _remember(past: Past, log: str, store: Store, vault: Vault) -> None:
    one = getattr(vault, log)
    numbers = one.numbers()
    for known, now in ((past.signing[log], numbers.signing), (past.audit[log], numbers.audit)):
        assert len(now) <= len(known) + 1, "a chapter rotates once, or a key is never seen"
    if len(numbers.signing) > len(past.signing[log]):
        secret = store.keyring.key(numbers.signing[-1])
        past.signing[log].append(Signer(one.identity.origin, secret))
    if len(numbers.audit) > len(past.audit[log]):
        past.audit[log].append(store.keyring.key(numbers.audit[-1].key))


# --- the chapters -------------------------------------------------------------------------------


def _set(vault: Vault, name: str, value: str, caller: Caller = ALICE) -> None:
    tags = {"for": name} if len(value) % 2 else None
    vault.handle(caller, SetSecret(name=name, value=value, content_type="text/plain", tags=tags))


def _refused(vault: Vault, caller: Caller, name: str) -> None:
    with suppress(VaultError):
        vault.handle(caller, GetSecret(name=name))


def _first_days(store: Store, vault: Vault, clock: Clock) -> None:
    for number in range(6):
        _set(vault, f"service-{number}", "v" * number)
        vault.handle(ALICE, GetSecret(name=f"service-{number}"))
        clock.advance(seconds=60)
    _refused(vault, MALLORY, "service-1")
    vault.handle(ALICE, ListSecrets())
    vault.handle(ALICE, ShowVault())


def _others_come(store: Store, vault: Vault, clock: Clock) -> None:
    vault.handle(ALICE, SetPolicy(object_id=BOB.principal, secrets=("get", "set", "list")))
    for number in range(6):
        _set(vault, f"service-{number}", f"of bob {number}" * 40, BOB)
        vault.handle(BOB, GetSecret(name=f"service-{number}"))
    vault.handle(ALICE, UpdateVault(administrators=(ALICE.principal, BOB.principal)))
    vault.handle(ALICE, UpdateSecret(name="service-1", enabled=False, exp=2_000_000_000))
    _refused(vault, BOB, "service-1")
    vault.handle(BOB, ListSecretVersions(name="service-2"))


def _first_rotation(store: Store, vault: Vault, clock: Clock) -> None:
    vault.handle(ALICE, RotateKeys())
    items = tuple(SetSecret(name=f"batch-{number}", value="b" * 300) for number in range(5))
    vault.handle(ALICE, ImportSecrets(items=items))
    for number in range(5):
        vault.handle(ALICE, GetSecret(name=f"batch-{number}"))


def _deletions(store: Store, vault: Vault, clock: Clock) -> None:
    for name in ("batch-0", "batch-1", "batch-2"):
        vault.handle(ALICE, DeleteSecret(name=name))
        vault.handle(ALICE, GetDeletedSecret(name=name))
    vault.handle(ALICE, ListDeletedSecrets())
    vault.handle(ALICE, RecoverDeletedSecret(name="batch-0"))
    vault.handle(ALICE, PurgeDeletedSecret(name="batch-1"))
    clock.advance(days=91)  # batch-2 is purged by itself
    vault.handle(ALICE, ListSecrets())
    _refused(vault, ALICE, "batch-1")


def _backups(store: Store, vault: Vault, clock: Clock) -> None:
    blob = vault.handle(ALICE, BackupSecret(name="service-3")).blob
    vault.handle(ALICE, DeleteSecret(name="service-3"))
    vault.handle(ALICE, PurgeDeletedSecret(name="service-3"))
    vault.handle(ALICE, RestoreSecret(blob=blob))
    vault.handle(ALICE, GetSecret(name="service-3"))
    vault.handle(ALICE, DeletePolicy(object_id=BOB.principal))
    store.rotate_root_key(ALICE)


def _second_rotation(store: Store, vault: Vault, clock: Clock) -> None:
    vault.handle(ALICE, RotateKeys())
    for number in range(7):
        _set(vault, f"late-{number}", "late")
        vault.handle(ALICE, GetSecret(name=f"late-{number}"))
    vault.handle(ALICE, ReadHistory(name="late-1"))


def _the_clock_steps_back(store: Store, vault: Vault, clock: Clock) -> None:
    clock.advance(seconds=-3600)
    for number in range(4):
        _set(vault, f"late-{number}", "later")
        vault.handle(ALICE, GetSecret(name=f"late-{number}"))
    clock.advance(seconds=7200)
    sizes = vault.changes.head().size, vault.access.head().size
    vault.handle(ALICE, RecordVerification(changes=sizes[0], access=sizes[1]))


def _lately(store: Store, vault: Vault, clock: Clock) -> None:
    for number in range(8):
        _set(vault, f"now-{number}", "now" * 100)
        vault.handle(ALICE, GetSecret(name=f"now-{number}"))


CHAPTERS = (
    _first_days,
    _others_come,
    _first_rotation,
    _deletions,
    _backups,
    _second_rotation,
    _the_clock_steps_back,
    _lately,
)
