"""A tree cut into tiles, as C2SP tlog-tiles cuts it: 256 hashes wide, eight levels high.  Pure.

Level 0 holds the leaf hashes; hash n of level L+1 is the root of the full tile n of level L, so of
the 256^(L+1) leaves from n * 256^(L+1) on.  A log keeps the hashes of level 1 and above as it
grows: 32 bytes for 256 records, and any proof is then a few hundred look-ups.  They are a memory
and no evidence: whoever verifies computes them again.

Source: C2SP tlog-tiles.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from eventstore.merkle import Frontier, node_hash

HEIGHT = 8
WIDTH = 1 << HEIGHT

_KEY = struct.Struct(">BQ")


class Completed(NamedTuple):
    """A hash of level 1 or above that will never change: its place, and itself."""

    level: int
    number: int
    hashed: bytes

    @property
    def key(self) -> bytes:
        return key(self.level, self.number)


def key(level: int, index: int) -> bytes:
    """Where a log keeps hash *index* of *level*: level u8 || index u64."""
    return _KEY.pack(level, index)


def completed(frontier: Frontier, hashed: bytes) -> list[Completed]:
    """What the leaf hash *hashed* completes when it is added to *frontier*, lowest level first."""
    size = frontier.size + 1
    found: list[Completed] = []
    while not size & (1 << HEIGHT * (len(found) + 1)) - 1:
        end = len(frontier.hashes) - HEIGHT * len(found)
        for left in reversed(frontier.hashes[end - HEIGHT : end]):
            hashed = node_hash(left, hashed)
        level = len(found) + 1
        found.append(Completed(level, (size >> HEIGHT * level) - 1, hashed))
    return found


class Tile(NamedTuple):
    """One file of hashes: *width* hashes of *level*, from hash 256 * *number* on."""

    level: int
    number: int
    width: int

    @property
    def path(self) -> str:
        return path(str(self.level), self.number, self.width)

    @property
    def entries(self) -> str:
        """Where the entries of a tile of level 0 stand."""
        return path("entries", self.number, self.width)


def path(level: str, index: int, width: int) -> str:
    """`tile/L/N[.p/W]`: N in groups of three digits, all but the last after an x."""
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"tile/{level}/{name}" if width == WIDTH else f"tile/{level}/{name}.p/{width}"


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of a tree of that size, the lowest level first, full ones before the partial."""
    level = 0
    while count := size >> HEIGHT * level:
        for index in range(count // WIDTH):
            yield Tile(level, index, WIDTH)
        if count % WIDTH:
            yield Tile(level, count // WIDTH, count % WIDTH)
        level += 1


def entry_bundle(entries: Iterable[bytes]) -> bytes:
    """Entries as a bundle holds them: each after its length as u16."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)
