"""Logs to show to others: large ones made without sealing, and texts with one byte changed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eventstore import head as heads
from eventstore import merkle, record, tiles
from eventstore.checkpoint import Signer
from eventstore.head import Head, PublicRows
from eventstore.log import Log
from eventstore.storage import open_environment
from eventstore.transaction import EPOCHS, HEAD, IDENTITY, NUMBERS, Tables


class Keys:
    """A key for each number, the same each time."""

    def key(self, number: int) -> bytes:
        return bytes([number]) * 32

    def keys(self, numbers: Sequence[int]) -> dict[int, bytes]:
        return {number: self.key(number) for number in numbers}


def leaf(position: int) -> bytes:
    """A leaf of the right form that commits to nothing."""
    return (
        bytes([1, 1]) + position.to_bytes(8, "big") + (position + 1).to_bytes(8, "big") + bytes(96)
    )


def grow_log(path: Path, size: int, *, remember: bool = True) -> None:
    """Let the log in *path* have *size* leaves, signed, without an event in any of them.

    Without *remember* it keeps no hashes of its tree.
    """
    if not path.exists():
        _open(path, create=True).close()
    environment = open_environment(path, create=False)
    tables = Tables.open(environment)
    with environment.begin(write=True) as transaction:
        head = heads.decode_head(transaction.get(HEAD, b"", db=tables.main))
        frontier = merkle.Frontier(head.size, head.frontier)
        for position in range(head.size, size):
            row = leaf(position)
            hashed = merkle.leaf_hash(row)
            transaction.put(position.to_bytes(8, "big"), row, db=tables.records, append=True)
            for done in tiles.completed(frontier, hashed) if remember else ():
                transaction.put(done.key, done.hashed, db=tables.tiles)
            frontier.add(hashed)
        _put_head(transaction, tables, Head(size, size, tuple(frontier.hashes)))
    environment.close()
    log = _open(path, create=False)
    log.publish()
    log.close()


def _put_head(transaction: Any, tables: Tables, head: Head) -> None:
    rows = [transaction.get(name, db=tables.main) for name in (IDENTITY, HEAD, EPOCHS, NUMBERS)]
    public = PublicRows(rows[0], heads.encode_head(head), rows[2])
    signer = Signer(tables.identity.origin, Keys().key(1))
    numbers = heads.encode_numbers(heads.decode_numbers(rows[3]), public, signer)
    transaction.put(HEAD, public.head, db=tables.main)
    transaction.put(NUMBERS, numbers, db=tables.main)


def _open(path: Path, *, create: bool) -> Log:
    if not create:
        return Log(path, Keys(), clock=lambda: 0, entropy=bytes)
    return Log.create(
        path,
        record.CHANGES,
        Keys(),
        log_id=bytes(range(16)),
        signing_key=1,
        audit_key=2,
        clock=lambda: 0,
        entropy=bytes,
    )


def each_byte_changed(text: bytes) -> Iterator[bytes]:
    """*text* with one byte changed, at each position in turn.

    Left out is the last digit of the signature: two of its bits mean nothing, and readers of base64
    differ on them.
    """
    for at in range(len(text)):
        if text[at + 1 : at + 3] not in (b"=\n", b"=="):
            yield text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
