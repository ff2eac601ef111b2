"""A head is signed only if a holder of the log's keys wrote it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from eventstore import head as heads
from eventstore.errors import HeadAltered
from eventstore.head import AuditEpoch, Head, Numbers
from eventstore.merkle import Frontier, leaf_hash
from eventstore.record import ACCESS, LEAF_SIZE, split
from eventstore.storage import open_environment
from eventstore.transaction import HEAD, NUMBERS, RECORDS
from support.vaults import ALICE, Clock, make_vault, open_store
from vault.commands import GetSecret, SetSecret


def a_used_store(home: Path, clock: Clock) -> Path:
    store, vault = make_vault(home, clock)
    vault.handle(ALICE, SetSecret(name="db", value="a value"))
    for _ in range(5):
        vault.handle(ALICE, GetSecret(name="db"))
    path = vault.access.path
    store.close()
    return path


def drop_a_read(access: Path) -> None:
    """Take the second read out of `access` and write a head that fits: no key is needed for that."""
    environment = open_environment(access, create=False)
    records = environment.open_db(RECORDS, create=False)
    with environment.begin(write=True) as transaction:
        rows = [bytes(row) for _, row in transaction.cursor(db=records)]
        del rows[1]
        transaction.drop(records, delete=False)
        frontier, time = Frontier(), 0
        for position, row in enumerate(rows):
            leaf = row[:2] + position.to_bytes(8, "big") + row[10:LEAF_SIZE]
            transaction.put(position.to_bytes(8, "big"), leaf + row[LEAF_SIZE:], db=records)
            frontier.add(leaf_hash(leaf))
            time = int.from_bytes(leaf[10:18], "big")
            assert split(ACCESS, leaf + row[LEAF_SIZE:]).leaf == leaf
        head = Head(len(rows), time, tuple(frontier.hashes))
        transaction.put(HEAD, heads.encode_head(head))
    environment.close()


def test_a_record_dropped_by_somebody_without_keys_is_never_signed_over(tmp_path: Path) -> None:
    clock = Clock()
    access = a_used_store(tmp_path / "store", clock)
    drop_a_read(access)
    (access / "checkpoint").unlink()

    with pytest.raises(HeadAltered), open_store(tmp_path / "store", clock) as store:
        store.vault().handle(ALICE, GetSecret(name="db"))

    assert not (access / "checkpoint").exists() or not (access / "checkpoint").read_bytes()


def test_a_read_is_refused_when_the_log_that_would_record_it_was_altered(tmp_path: Path) -> None:
    clock = Clock()
    access = a_used_store(tmp_path / "store", clock)
    with open_store(tmp_path / "store", clock) as store:
        vault = store.vault()
        vault.access._detach()
        drop_a_read(access)
        with pytest.raises(HeadAltered):
            vault.handle(ALICE, GetSecret(name="db"))


def test_an_altered_head_is_not_signed_though_a_checkpoint_beside_it_says_the_same(
    tmp_path: Path,
) -> None:
    clock = Clock()
    access = a_used_store(tmp_path / "store", clock)
    file = access / "checkpoint"
    origin, _, _, *rest = file.read_text().split("\n")
    drop_a_read(access)
    environment = open_environment(access, create=False)
    with environment.begin() as transaction:
        head = heads.decode_head(transaction.get(HEAD, b""))
    environment.close()
    root = b64encode(head.root()).decode()
    file.write_text("\n".join([origin, str(head.size), root, *rest]))

    with open_store(tmp_path / "store", clock) as store:
        for sign in (store.vault().access.checkpoint, store.vault().access.sign_for_others):
            with pytest.raises(HeadAltered):
                sign()


def with_the_old_mac(change: Callable[[Numbers], Numbers]) -> Callable[[bytes], bytes]:
    return lambda row: heads.encode(change(heads.decode_numbers(row))) + row[-32:]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "the signing key": with_the_old_mac(lambda now: replace(now, signing=(now.audit[0].key,))),
    "an earlier signing key": with_the_old_mac(
        lambda now: replace(now, signing=(now.signing[0], *now.signing))
    ),
    "the audit key": with_the_old_mac(
        lambda now: replace(now, audit=(AuditEpoch(0, now.signing[0]),))
    ),
    "where an audit key begins": with_the_old_mac(
        lambda now: replace(now, audit=(*now.audit, AuditEpoch(9, 4)))
    ),
    "that the clock is behind": with_the_old_mac(lambda now: replace(now, behind=not now.behind)),
    "the code": lambda row: row[:-32] + bytes(32),
}


@pytest.mark.parametrize("what", CHANGES)
def test_key_numbers_and_the_clock_are_believed_only_if_a_holder_of_the_keys_wrote_them(
    tmp_path: Path, what: str
) -> None:
    clock = Clock()
    access = a_used_store(tmp_path / "store", clock)
    environment = open_environment(access, create=False)
    with environment.begin(write=True) as transaction:
        row = transaction.get(NUMBERS, b"")
        transaction.put(NUMBERS, CHANGES[what](row))
    environment.close()
    (access / "checkpoint").unlink()

    with pytest.raises(HeadAltered), open_store(tmp_path / "store", clock) as store:
        store.vault().handle(ALICE, GetSecret(name="db"))

    assert not (access / "checkpoint").exists() or not (access / "checkpoint").read_bytes()
