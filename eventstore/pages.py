"""Look at the pages of an LMDB file before LMDB does.

LMDB trusts its file: one flipped bit in a page number and it reads past the end of its map (SIGBUS),
or it ends the process by an assertion (SIGABRT).  Tried: 15 of 3,000 flips killed the interpreter.  A
verifier that dies has said nothing, so before a cursor moves, the pages it will meet are read with
`pread` and checked for what LMDB takes for granted: numbers inside the file, the right kind at the
right depth, nodes inside their page, no page in two places.  What the records say is not looked at:
that is for the hashes.

The layout is that of LMDB 0.9, format 1, on a little-endian machine with 64 bits.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from eventstore.errors import RecordMalformed

DATA_FILE = "data.mdb"
"""What LMDB names the file of an environment."""

MAP_SIZE = 1 << 38
"""How large LMDB is let grow a file."""

_META_AT = 16
_META = struct.Struct("<IIQQ48s48sQQ")
_DB = struct.Struct("<IHHQQQQQ")
_PAGE = struct.Struct("<QHHHH")
_NODE = struct.Struct("<HHHH")
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_PAGE_SIZES = frozenset(1 << bits for bits in range(9, 16))
_BRANCH, _LEAF, _OVERFLOW = 0x01, 0x02, 0x04
_BIG, _SUBTREE = 0x01, 0x02
_INTEGER_KEYS = 0x08
_NONE = (1 << 64) - 1
_MOST_LEVELS = 32


class Tree(NamedTuple):
    """Where a table's B+tree begins, and how deep it is."""

    root: int
    depth: int


class Pages:
    """The pages of one file, as one snapshot sees them."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raise OSError, or RecordMalformed if LMDB had better not open the file."""
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # The two meta pages stand at 0 and at one page; the first says how large a page is.
            self._size = _DB.unpack(self._meta(0)[4])[0]
            if self._size not in _PAGE_SIZES:
                raise RecordMalformed("a meta page names an impossible page size")
            for number in (0, 1):
                self._check_meta(self._meta(number * self._size))
        except BaseException:
            os.close(self._file)
            raise
        self._seen = bytearray()
        self._end = 0

    def close(self) -> None:
        os.close(self._file)

    def tables(self, transaction: int) -> dict[bytes, Tree] | None:
        """Check the main table as the snapshot *transaction* has it, and give those named in it.

        None if that snapshot is older than the last but one.  Raise RecordMalformed.
        """
        found = [self._meta(number * self._size) for number in (0, 1)]
        metas = [meta for meta in found if meta[7] == transaction]
        if not metas:
            return None
        self._end = os.fstat(self._file).st_size // self._size
        self._seen = bytearray(self._end)
        return dict(self._walk(_tree(metas[0][5])))

    def check(self, table: Tree) -> None:
        """Check a table that `tables` gave.  Raise RecordMalformed."""
        if self._walk(table):
            raise RecordMalformed("a table stands among the records")

    def check_length(self) -> None:
        """Raise RecordMalformed if the file was cut short: LMDB would end the process by SIGBUS.

        A file may be shorter than its last page's number says, since pages that were freed before
        they were written are not in it; only then are the pages looked at that are in use.
        """
        newest = max((self._meta(number * self._size) for number in (0, 1)), key=lambda m: m[7])
        if os.fstat(self._file).st_size >= (newest[6] + 1) * self._size:
            return
        for table in (self.tables(newest[7]) or {}).values():
            self.check(table)

    # -- meta pages ------------------------------------------------------------------------------

    def _meta(self, at: int) -> tuple[int, int, int, int, bytes, bytes, int, int]:
        raw = os.pread(self._file, _META.size, at + _META_AT)
        if len(raw) < _META.size:
            raise RecordMalformed("the file ends inside a meta page")
        meta: tuple[int, int, int, int, bytes, bytes, int, int] = _META.unpack(raw)
        return meta

    def _check_meta(self, meta: tuple[int, int, int, int, bytes, bytes, int, int]) -> None:
        free, main = _DB.unpack(meta[4]), _DB.unpack(meta[5])
        if (meta[0], meta[1]) != (_MAGIC, _VERSION):
            raise RecordMalformed("a meta page is not one of LMDB 0.9")
        # These never change once the file is made, so nobody who writes now can be in the way.
        if (free[0], free[1], main[1]) != (self._size, _INTEGER_KEYS, 0):
            raise RecordMalformed("a meta page was altered")
        if meta[6] >= MAP_SIZE // self._size:
            raise RecordMalformed("a meta page names a last page beyond the largest file")

    # -- trees -----------------------------------------------------------------------------------

    def _walk(self, tree: Tree) -> list[tuple[bytes, Tree]]:
        """Check a tree; give the keys of the tables that stand in it, and their trees."""
        if tree.root == _NONE:
            return []
        if not 0 < tree.depth <= _MOST_LEVELS:
            raise RecordMalformed("a table has an impossible depth")
        tables: list[tuple[bytes, Tree]] = []
        level = [tree.root]
        for depth in range(tree.depth, 0, -1):
            below: list[int] = []
            for number in level:
                page = self._read(number, _LEAF if depth == 1 else _BRANCH)
                if depth == 1:
                    tables += self._leaf(number, page)
                else:
                    below += _children(number, page)
            level = below
        return tables

    def _read(self, number: int, kind: int) -> bytes:
        self._claim(number, 1)
        page = os.pread(self._file, self._size, number * self._size)
        if len(page) < self._size:
            raise RecordMalformed(f"page {number} is not in the file")
        named, _, flags, lower, upper = _PAGE.unpack_from(page)
        if named != number or flags != kind:
            raise RecordMalformed(f"page {number} is not what the page above says")
        if not _PAGE.size <= lower <= upper <= self._size or lower % 2:
            raise RecordMalformed(f"page {number} has impossible bounds")
        return page

    def _claim(self, first: int, count: int) -> None:
        """Each page has one place: a tree that comes back to itself would never end."""
        if first < 2 or first + count > self._end:
            raise RecordMalformed(f"page {first} is not in the file")
        if any(self._seen[first : first + count]):
            raise RecordMalformed(f"page {first} stands in two places")
        self._seen[first : first + count] = b"\1" * count

    def _leaf(self, number: int, page: bytes) -> list[tuple[bytes, Tree]]:
        tables = []
        for at in _nodes(number, page):
            low, high, flags, key_size = _NODE.unpack_from(page, at)
            size, start = low | high << 16, at + _NODE.size + key_size
            stored = 8 if flags & _BIG else size
            if flags not in (0, _BIG, _SUBTREE) or start + stored > len(page):
                raise RecordMalformed(f"page {number} has a node that does not fit it")
            if flags & _BIG:
                self._overflow(int.from_bytes(page[start : start + 8], "little"), size)
            elif flags & _SUBTREE:
                if size != _DB.size:
                    raise RecordMalformed(f"page {number} has a table of a wrong size")
                tables.append((page[at + _NODE.size : start], _tree(page[start : start + size])))
        return tables

    def _overflow(self, number: int, size: int) -> None:
        count = -(-(size + _PAGE.size) // self._size)
        head = os.pread(self._file, _PAGE.size, number * self._size) if number < self._end else b""
        if len(head) < _PAGE.size:
            raise RecordMalformed(f"page {number} is not in the file")
        named, _, flags, low, high = _PAGE.unpack(head)
        if named != number or flags != _OVERFLOW or low | high << 16 < count:
            raise RecordMalformed(f"page {number} is not what the page above says")
        self._claim(number, count)


def _tree(stored: bytes) -> Tree:
    _, flags, depth, _, _, _, _, root = _DB.unpack(stored)
    if flags:
        raise RecordMalformed("a table has flags that no table of a log has")
    return Tree(root, depth)


def _nodes(number: int, page: bytes) -> list[int]:
    """Where the nodes of *page* begin."""
    _, _, _, lower, upper = _PAGE.unpack_from(page)
    count = (lower - _PAGE.size) // 2
    starts: list[int] = list(struct.unpack_from(f"<{count}H", page, _PAGE.size))
    for at in starts:
        if not upper <= at <= len(page) - _NODE.size:
            raise RecordMalformed(f"page {number} has a node outside itself")
    return starts


def _children(number: int, page: bytes) -> list[int]:
    children = []
    starts = _nodes(number, page)
    if len(starts) < 2:
        raise RecordMalformed(f"page {number} has too few children")
    for at in starts:
        low, high, flags, key_size = _NODE.unpack_from(page, at)
        if at + _NODE.size + key_size > len(page):
            raise RecordMalformed(f"page {number} has a node that does not fit it")
        children.append(low | high << 16 | flags << 32)
    return children
