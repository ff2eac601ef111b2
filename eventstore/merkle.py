"""The Merkle tree of a log: RFC 6962 hashing with SHA-256.

The tree only grows.  Its right edge is a frontier of at most 64 hashes, one for each bit of the
size that is set; a leaf is added by carrying, as in binary addition.  Positions count from 0.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from eventstore.errors import ProofInvalid

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf), RFC 6962 section 2.1."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), RFC 6962 section 2.1."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a tree: enough to add leaves and to give the root.

    `hashes` are the roots of the perfect subtrees that make up the tree, the largest first.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if len(self.hashes) != size.bit_count():
            raise ValueError("a frontier holds one hash for each bit of its size")

    def add(self, hashed: bytes) -> None:
        """Add the leaf whose leaf hash is *hashed*."""
        hashes, size = self.hashes, self.size
        while size & 1:
            hashed = sha256(b"\x01" + hashes.pop() + hashed).digest()
            size >>= 1
        hashes.append(hashed)
        self.size += 1

    def root(self) -> bytes:
        """The tree's root; of the empty tree, SHA-256 of nothing."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> Frontier:
        return Frontier(self.size, self.hashes)


def root_of(hashed: Sequence[bytes]) -> bytes:
    """The root over leaf hashes: pairs, level by level, where an odd one goes up as it is."""
    if not hashed:
        return EMPTY_ROOT
    level = hashed
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        if len(level) & 1:
            above.append(level[-1])
        level = above
    return level[0]


Subtree = Callable[[int, int], bytes]
"""Gives the hash of the subtree over the leaves start (included) to stop (excluded)."""


def _split(size: int) -> int:
    """The largest power of two below *size*."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(position: int, size: int, subtree: Subtree) -> list[bytes]:
    """The audit path of RFC 6962 section 2.1.1, from the leaf up."""
    if not 0 <= position < size:
        raise ProofInvalid("the position is not inside the tree")
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if position < middle:
            path.append(subtree(middle, stop))
            stop = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    return path[::-1]


def root_from_inclusion(position: int, size: int, hashed: bytes, path: Sequence[bytes]) -> bytes:
    """The root that *path* leads to (RFC 9162 section 2.1.3.2).  Raise ProofInvalid."""
    if not 0 <= position < size:
        raise ProofInvalid("the position is not inside the tree")
    node, last = position, size - 1
    for step in path:
        if last == 0:
            raise ProofInvalid("the proof is too long")
        if node & 1 or node == last:
            hashed = node_hash(step, hashed)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            hashed = node_hash(hashed, step)
        node >>= 1
        last >>= 1
    if last:
        raise ProofInvalid("the proof is too short")
    return hashed


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """The proof of RFC 6962 section 2.1.2 that the tree of size *new* extends that of *old*."""
    if not 0 <= old <= new:
        raise ProofInvalid("a tree cannot extend a larger one")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, stop, shared = 0, new, True
    while old < stop:
        middle = start + _split(stop - start)
        if old <= middle:
            path.append(subtree(middle, stop))
            stop = middle
        else:
            path.append(subtree(start, middle))
            start, shared = middle, False
    if not shared:
        path.append(subtree(start, stop))
    return path[::-1]


def check_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that *path* leads to both roots (RFC 9162 section 2.1.4.2).  Raise ProofInvalid."""
    if not 0 <= old <= new:
        raise ProofInvalid("a tree cannot extend a larger one")
    if old in (0, new):
        if path or old_root != (new_root if old == new else EMPTY_ROOT):
            raise ProofInvalid("the two roots are not of one tree")
        return
    steps = list(path) if old & (old - 1) else [old_root, *path]
    if not steps:
        raise ProofInvalid("the proof is too short")
    node, last = old - 1, new - 1
    while node & 1:
        node >>= 1
        last >>= 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofInvalid("the proof is too long")
        if node & 1 or node == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            second = node_hash(second, step)
        node >>= 1
        last >>= 1
    if last or (first, second) != (old_root, new_root):
        raise ProofInvalid("the proof does not lead to both roots")
