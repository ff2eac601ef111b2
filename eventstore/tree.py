"""The tree of a log as one transaction sees it: roots and proofs without any key.

What it says rests on the rows as they lie there, so it holds a proof against a root before it gives
it out: a row that was altered gives no proof, and never a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lmdb

from eventstore import merkle, tiles
from eventstore.errors import PositionUnknown, ProofInvalid, RootMismatch
from eventstore.head import Head
from eventstore.merkle import leaf_hash, node_hash
from eventstore.record import LEAF_SIZE


class Tree:
    """Reads the records' leaves, and the hashes that the log kept of them.

    *kept* is the table of those hashes; None, or a table that lacks some, costs time only.
    """

    def __init__(
        self, transaction: lmdb.Transaction[bytes], records: Any, kept: Any, head: Head
    ) -> None:
        self._transaction = transaction
        self._records = records
        self._kept = kept
        self._head = head

    @property
    def size(self) -> int:
        return self._head.size

    def leaf(self, position: int) -> bytes:
        """The 114 bytes at *position*.  Raise PositionUnknown."""
        if not 0 <= position < self.size:
            raise PositionUnknown(f"the log has no record #{position}; it holds {self.size}")
        return next(self.leaves(position, position + 1))

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        """The leaves from *start* to *stop* (excluded).  Raise RootMismatch if one is missing."""
        expected = start
        with self._transaction.cursor(db=self._records) as cursor:
            if cursor.set_range(start.to_bytes(8, "big")):
                for key, row in cursor:
                    if expected == stop or key != expected.to_bytes(8, "big"):
                        break
                    yield row[:LEAF_SIZE]
                    expected += 1
        if expected < stop:
            raise RootMismatch(f"record #{expected} is missing")

    def root(self, size: int | None = None) -> bytes:
        """The root of the first *size* records; of all, as the head has it."""
        if size is None:
            return self._head.root()
        return self.subtree(0, size) if size else merkle.EMPTY_ROOT

    def subtree(self, start: int, stop: int) -> bytes:
        """The hash over the leaves from *start* to *stop*, as a proof asks for it."""
        width = stop - start
        if width & (width - 1) == 0:
            return self._perfect(width.bit_length() - 1, start)
        middle = start + (1 << (width.bit_length() - 1))
        return node_hash(self.subtree(start, middle), self.subtree(middle, stop))

    def _perfect(self, height: int, start: int) -> bytes:
        level, rest = divmod(height, tiles.HEIGHT)
        return merkle.root_of(self.hashes(level, start >> tiles.HEIGHT * level, 1 << rest))

    def hashes(self, level: int, index: int, count: int) -> list[bytes]:
        """*count* hashes of a level of tiles, from hash *index* on."""
        if level == 0:
            return [leaf_hash(leaf) for leaf in self.leaves(index, index + count)]
        found = self._known(level, index, count)
        below = index + len(found)
        # The log was begun by a release that kept none, or the row is lost.
        for missing in range(below, index + count):
            hashes = self.hashes(level - 1, missing * tiles.WIDTH, tiles.WIDTH)
            found.append(merkle.root_of(hashes))
        return found

    def _known(self, level: int, index: int, count: int) -> list[bytes]:
        found: list[bytes] = []
        if self._kept is None:
            return found
        with self._transaction.cursor(db=self._kept) as cursor:
            if cursor.set_range(tiles.key(level, index)):
                for key, hashed in cursor:
                    if len(found) == count or key != tiles.key(level, index + len(found)):
                        break
                    found.append(hashed)
        return found

    # -- proofs ----------------------------------------------------------------------------------

    def inclusion(self, position: int, size: int, root: bytes) -> list[bytes]:
        """The proof that the leaf at *position* stands under *root*.  Raise RootMismatch."""
        leaf = self.leaf(position)
        path = merkle.inclusion_proof(position, size, self.subtree)
        if merkle.root_from_inclusion(position, size, leaf_hash(leaf), path) != root:
            raise RootMismatch(f"record #{position} does not hash to the root of size {size}")
        return path

    def consistency(
        self, old: int, old_root: bytes, new: int | None = None, new_root: bytes | None = None
    ) -> list[bytes]:
        """The proof that *new* (the head) extends *old*.  Raise ProofInvalid if it does not."""
        size = self.size if new is None else new
        root = self.root() if new_root is None else new_root
        path = merkle.consistency_proof(old, size, self.subtree)
        merkle.check_consistency(old, size, old_root, root, path)
        return path

    def extends(self, size: int, root: bytes) -> bool:
        """Whether the head extends the tree that had *root* at *size*."""
        if size > self.size:
            return False
        try:
            self.consistency(size, root)
        except ProofInvalid:
            return False
        return True
