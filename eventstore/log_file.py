"""A log in one file, to take along: every record as it is stored, sealed, and what proves it.

It holds what a verifier looks at and nothing else: no key, no view and no page of LMDB.  So it is
written without a key, opens nothing by itself, and is read where nothing can be written.  Nothing
in it is believed before it is verified.

    "MUNILOGF" || format u8 || identity || head || epochs || checkpoint || each record row

each of the parts and rows after its length, u32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from eventstore import head as heads
from eventstore.errors import FormatUnknown, LogNotFound, RecordAltered, RecordMalformed
from eventstore.verify import Evidence, Progress

SUFFIX: Final = ".log"

_MAGIC: Final = b"MUNILOGF"
_FORMAT: Final = 1
_LENGTH_SIZE: Final = 4
_MOST: Final = 1 << 24
"""Bytes of one part: what is longer is no part of a log."""


def parts_of(evidence: Evidence, progress: Progress | None = None) -> Iterator[bytes]:
    """The file of the log that *evidence* is of, piece by piece, up to its head."""
    size = heads.decode_head(evidence.head).size
    yield _MAGIC + bytes((_FORMAT,))
    about = (evidence.identity, evidence.head, evidence.epochs, evidence.checkpoint.encode())
    yield b"".join(map(_framed, about))
    for position, (_, row) in zip(range(size), evidence.records, strict=False):
        yield _framed(row)
        if progress is not None:
            progress(position + 1, size)


@contextmanager
def evidence_of(file: Path) -> Iterator[Evidence]:
    """What the file holds, not yet believed.  Raise LogNotFound, FormatUnknown or RecordAltered."""
    try:
        stream = file.open("rb")
    except OSError:
        raise LogNotFound(f"no log in {file}") from None
    with stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise RecordAltered(f"{file}: this is not a log in a file")
        if (form := stream.read(1)) != bytes((_FORMAT,)):
            raise FormatUnknown(f"{file} has format {form.hex()}")
        identity, head, epochs, checkpoint = (_part(file, stream) for _ in range(4))
        try:
            note = checkpoint.decode()
            size = heads.decode_head(head).size
        except (UnicodeDecodeError, RecordMalformed):
            raise RecordAltered(f"{file}: the log's own rows are not readable") from None
        yield Evidence(identity, head, epochs, _rows(file, stream, size), note)


def _rows(file: Path, stream: BinaryIO, size: int) -> Iterator[tuple[bytes, bytes]]:
    for position in range(size):
        yield position.to_bytes(8, "big"), _part(file, stream)
    if stream.read(1):
        raise RecordAltered(f"{file}: something stands after the last record")


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(_LENGTH_SIZE, "big") + part


def _part(file: Path, stream: BinaryIO) -> bytes:
    size = int.from_bytes(stream.read(_LENGTH_SIZE), "big")
    part = stream.read(size) if size <= _MOST else b""
    if len(part) != size or not size:
        raise RecordAltered(f"{file} was cut short")
    return part
