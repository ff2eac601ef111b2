"""What the demo does to a copy of a store: one byte of one record, turned over."""

from __future__ import annotations

from pathlib import Path

from eventstore.log_directory import logs_of
from eventstore.record import LEAF_SIZE, SIGNATURE_SIZE
from eventstore.storage import open_environment
from eventstore.transaction import RECORDS


def flip_one_byte(home: Path) -> int:
    """Flip one bit in the sealed part of a record of `changes`; give the record's position."""
    (directory,) = [path for path in logs_of(home) if path.name == "changes"]
    environment = open_environment(directory, create=False)
    try:
        records = environment.open_db(RECORDS, create=False)
        with environment.begin(write=True) as transaction:
            position = 7
            key = position.to_bytes(8, "big")
            row = bytearray(transaction.get(key, b"", db=records))
            row[LEAF_SIZE + SIGNATURE_SIZE + 100] ^= 1
            transaction.put(key, bytes(row), db=records)
    finally:
        environment.close()
    return position
