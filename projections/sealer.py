"""Rows of views to sealed bytes and back, and where they lie.  Pure.

Each row is sealed with AES-256-GCM-SIV (RFC 8452) under a view key and bound to its place; the owner
in its key is hashed under an index key.  So who has the file sees how many rows there are of each
table, and which of them are of one owner, but not whose.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, cast

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from eventstore.errors import MunimentError
from projections.name_index import NameIndex
from projections.rows import ROWS, Mark, R, Row, RowKey, Table

KEPT = 65_536
"""How many hashed owners, and how many opened rows, outlive a transaction: those of a vault with
20,000 secrets.  Fewer would be worse than none, since a list of a whole vault comes to all of them.
"""

_OWNER_SIZE = 16
_NONCE_SIZE = 12

_MARKS = frozenset(int(table) for table, kind in ROWS.items() if kind is Mark)
_PADDED = 64
"""Rows are padded to multiples of this, so that their size tells little of a name's length."""

# By place in a list: to hash a member of an enumeration takes longer than all else in a place.
_NUMBERS = [bytes((number,)) for number in range(256)]

_RUN_BITS = 11
FIRST_RUN = bytes(8)
IN_RUNS = b"\xff" * 8
"""What the places of rows that lie in runs begin with."""

_encoder = msgspec.msgpack.Encoder()
_MARK = _encoder.encode(Mark())
_decoder = cache(msgspec.msgpack.Decoder)


class ViewCorrupt(MunimentError):
    """A row of a view does not open: the view's bytes were altered."""

    code = "view.corrupt"
    hint = "run `muniment rebuild`: views are made anew from the log"


def run_of(order: bytes) -> bytes:
    """The run that a mark lies in whose order is the position of a record: 2,048 to a run."""
    return (int.from_bytes(order, "big") >> _RUN_BITS).to_bytes(8, "big")


def run_at(place: bytes) -> bytes:
    """The run that *place* lies in."""
    return place[len(IN_RUNS) : len(IN_RUNS) + len(FIRST_RUN)]


def run_after(run: bytes) -> bytes:
    """The run behind *run*, be there marks in it or not."""
    return (int.from_bytes(run, "big") + 1).to_bytes(len(run), "big")


class Layout(NamedTuple):
    """How the rows of some views lie, and how many of them are remembered once they are opened.

    The marks of the tables in *runs*, whose orders are positions, lie together with those of the
    records around them, and within such a run by their owners.  Who puts the marks of many records
    touches few pages then; who looks for an owner's marks looks into each run.
    """

    kept: int = KEPT
    runs: frozenset[Table] = frozenset()


TOGETHER = Layout()
"""All that concerns one name lies together."""


class Sealer:
    """Rows to sealed bytes and back, for one generation."""

    def __init__(
        self,
        view_key: bytes,
        index_key: bytes,
        entropy: Callable[[int], bytes],
        layout: Layout = TOGETHER,
    ) -> None:
        self._cipher = AESGCMSIV(view_key)
        self._index_key = index_key
        self._entropy = entropy
        self._kept = layout.kept
        self._in_runs = [table in layout.runs for table in range(256)]
        self._owners: dict[bytes, bytes] = {}
        self._opened: dict[bytes, tuple[bytes, Row]] = {}
        self.names = NameIndex()

    def place(self, key: RowKey) -> bytes:
        """HMAC-SHA256(index key, owner), 16 bytes || table u8 || order.

        All that concerns one name lies together, so that a change touches one page of it.  The marks
        of a table that lies in runs have the run before the table, and the owner behind it.
        """
        table, owner, order = key
        if self._in_runs[table]:
            return self.run_prefix(run_of(order), table, owner) + order
        return (self._owners.get(owner) or self._hash(owner)) + _NUMBERS[table] + order

    def prefix(self, table: Table, owner: bytes) -> bytes:
        """What the places of the rows of *owner* begin with."""
        return self.place(RowKey(table, owner))

    def lies_in_runs(self, table: Table) -> bool:
        return self._in_runs[table]

    def run_prefix(self, run: bytes, table: Table, owner: bytes) -> bytes:
        """8 bytes of 0xff || run u64 || table u8 || HMAC-SHA256(index key, owner), 16 bytes."""
        return IN_RUNS + run + _NUMBERS[table] + (self._owners.get(owner) or self._hash(owner))

    def _hash(self, owner: bytes) -> bytes:
        hashed = hmac.digest(self._index_key, owner, "sha256")[:_OWNER_SIZE]
        if len(self._owners) >= KEPT:
            self._owners.clear()
        self._owners[owner] = hashed
        return hashed

    def seal(self, place: bytes, row: Row) -> bytes:
        if isinstance(row, Mark):
            return b""  # its place says it all
        nonce = self._entropy(_NONCE_SIZE)
        text = _encoder.encode(row) + b"\x80"
        padded = text.ljust(-(-len(text) // _PADDED) * _PADDED, b"\0")
        return nonce + self._cipher.encrypt(nonce, padded, place)

    def decode(self, place: bytes, sealed: bytes, kind: type[R]) -> R:
        """The row at *place*.  Raise ViewCorrupt."""
        try:
            return cast(R, _decoder(kind).decode(self.open(place, sealed)))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ViewCorrupt from None

    def decode_once(self, place: bytes, sealed: bytes, kind: type[R]) -> R:
        """The same, but bytes that were opened there before are not opened again."""
        known = self._opened.get(place)
        if known is not None and known[0] == sealed and isinstance(known[1], kind):
            return known[1]
        row = self.decode(place, sealed, kind)
        if sealed:
            self.remember(place, sealed, row)
        return row

    def remember(self, place: bytes, sealed: bytes, row: Row) -> None:
        """Know that *sealed* opens to *row* there."""
        if len(self._opened) >= self._kept:
            self._opened.clear()
        if self._kept:
            self._opened[place] = (sealed, row)

    def open(self, place: bytes, sealed: bytes) -> bytes:
        if place[_OWNER_SIZE] in _MARKS:
            if sealed:
                raise ViewCorrupt
            return _MARK
        try:
            padded = self._cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], place)
        except (InvalidTag, ValueError):
            raise ViewCorrupt from None
        return padded.rstrip(b"\0")[:-1]
