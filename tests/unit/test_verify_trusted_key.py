"""A trusted key vouches for what it signed, and not for a log that only names it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from eventstore import head as heads
from eventstore import record
from eventstore.checkpoint import Signer, sign_note
from eventstore.errors import KeyChainBroken
from eventstore.event import Context
from eventstore.head import Epochs, SigningEpoch
from eventstore.log import Log
from eventstore.log_directory import verify_log
from eventstore.rule_events import PolicySet
from eventstore.storage import open_environment
from eventstore.transaction import EPOCHS
from support.vaults import ALICE, Clock, check_store, make_vault
from vault.history_commands import RotateKeys


class Forger:
    """Keys of his own; of the log that he copies he knows what is public."""

    def __init__(self) -> None:
        self._keys = [os.urandom(32), os.urandom(32)]

    def key(self, number: int) -> bytes:
        return self._keys[number]

    def keys(self, numbers: Sequence[int]) -> dict[int, bytes]:
        return {number: self.key(number) for number in numbers}


def forge(directory: Path, log_id: bytes, victim: SigningEpoch, start: int) -> None:
    """Make a log of five records that names *victim*'s key as the one after the forger's."""
    forger = Forger()
    log = Log.create(
        directory,
        record.CHANGES,
        forger,
        log_id=log_id,
        signing_key=0,
        audit_key=1,
        clock=Clock(),
        entropy=os.urandom,
    )
    context = Context(principal="mallory", auth="test")
    for _ in range(5):
        log.transact(
            lambda append: append.append(record.Draft(context, PolicySet(object_id="mallory")))
        )
    epochs = log.epochs()
    signer = Signer(log.identity.origin, forger.key(0))
    log.close()
    text = "".join(
        f"{line}\n"
        for line in (
            "muniment/endorsement/v1",
            signer.verifier.name,
            start,
            signer.verifier,
            victim.verifier,
        )
    )
    # The forger signs as the key before; of the victim he has what that once signed.
    stolen = victim.endorsement.splitlines(keepends=True)[-1]
    later = SigningEpoch(start, victim.verifier, sign_note(text, signer) + stolen)
    environment = open_environment(directory, create=False)
    with environment.begin(write=True) as transaction:
        transaction.put(EPOCHS, heads.encode(Epochs((*epochs.signing, later))))
    environment.close()


@pytest.mark.parametrize("start", [5, 1000], ids=["from its end", "far beyond its end"])
def test_a_log_that_names_the_trusted_key_but_is_signed_by_another_is_refused(
    tmp_path: Path, start: int
) -> None:
    clock = Clock()
    store, vault = make_vault(tmp_path / "store", clock)
    vault.handle(ALICE, RotateKeys())
    victim = vault.changes.epochs().signing[-1]
    forge(tmp_path / "forged", vault.changes.identity.log_id, victim, start)
    store.close()

    with pytest.raises(KeyChainBroken):
        verify_log(tmp_path / "forged", trusted=victim.verifier)
    check_store(tmp_path / "store", clock)


@pytest.mark.parametrize("which", [0, -1])
def test_a_log_verifies_by_its_first_key_and_by_one_that_counts_from_the_next_record(
    tmp_path: Path, which: int
) -> None:
    clock = Clock()
    store, vault = make_vault(tmp_path / "store", clock)
    vault.handle(ALICE, RotateKeys(audit=False))
    directory, trusted = vault.access.path, vault.access.epochs().signing[which].verifier
    store.close()

    assert verify_log(directory, trusted=trusted).size > 0
    check_store(tmp_path / "store", clock)


def test_a_log_of_other_keys_than_the_trusted_one_is_refused(tmp_path: Path) -> None:
    clock = Clock()
    store, vault = make_vault(tmp_path / "store", clock)
    trusted = str(Signer(vault.changes.identity.origin, os.urandom(32)).verifier)
    store.close()

    with pytest.raises(KeyChainBroken, match="trusted"):
        verify_log(vault.changes.path, trusted=trusted)
    check_store(tmp_path / "store", clock)


@pytest.mark.parametrize("which", [0, -1])
def test_a_log_cut_back_to_before_a_rotation_is_refused_if_it_names_the_key_that_came_then(
    tmp_path: Path, which: int
) -> None:
    clock = Clock()
    store, vault = make_vault(tmp_path / "store", clock)
    vault.changes.copy(tmp_path / "before")
    vault.handle(ALICE, RotateKeys(audit=False))
    epochs = vault.changes.epochs()
    store.close()
    assert verify_log(tmp_path / "before", trusted=epochs.signing[0].verifier).size

    environment = open_environment(tmp_path / "before", create=False)
    with environment.begin(write=True) as transaction:
        transaction.put(EPOCHS, heads.encode(epochs))
    environment.close()
    with pytest.raises(KeyChainBroken, match="begins after"):
        verify_log(tmp_path / "before", trusted=epochs.signing[which].verifier)
    check_store(tmp_path / "store", clock)
