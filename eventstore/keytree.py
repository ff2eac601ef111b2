"""The key tree: each node holds the keys of its 64 children, and the root key opens the top.

A node's key never seals anything that was destroyed.  Destroying a leaf key therefore re-keys every
node from there to the top and asks for a new root key; all other nodes keep their keys and their
bytes.  Old bytes of a re-keyed node stand under its old key, that under its parent's old key, and
so on up to the old root key, which is gone.

Pure: rows come from a function, randomness is an argument, and what changed is handed back as rows.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from eventstore import seal
from eventstore.errors import KeyErased, KeyringFull, KeyUnknown, RecordMalformed, SealBroken

FANOUT: Final = 64
LEVELS: Final = 5
CAPACITY: Final = FANOUT**LEVELS
LEAF_NODES: Final = FANOUT ** (LEVELS - 1)

Fetch = Callable[[bytes], bytes | None]
Entropy = Callable[[int], bytes]
Place = tuple[int, int]
"""Level and index.  Level 0 holds leaf keys; the one node of the last level is the top."""

TOP: Final[Place] = (LEVELS - 1, 0)

_BITS: Final = 6
_MAPS: Final = struct.Struct(">QQ")
_ROW: Final = struct.Struct(">BQ")
_ALL: Final = (1 << FANOUT) - 1
_NO_KEYS: Final = bytes(FANOUT * seal.KEY_SIZE)
_LABEL: Final = b"node"
_BOUND: Final = b"muniment/keyring/v1/"


class Node(NamedTuple):
    """64 child keys, which of them are there, and which were destroyed.  u64 maps, bit = child."""

    present: int
    destroyed: int
    keys: bytes

    def __repr__(self) -> str:
        return f"Node(present={self.present:#x}, destroyed={self.destroyed:#x})"

    def has(self, child: int) -> bool:
        return bool(self.present >> child & 1)

    def lost(self, child: int) -> bool:
        return bool(self.destroyed >> child & 1)

    def key(self, child: int) -> bytes:
        return self.keys[child * seal.KEY_SIZE : (child + 1) * seal.KEY_SIZE]

    def with_key(self, child: int, key: bytes) -> Node:
        return Node(self.present | 1 << child, self.destroyed, self._put(child, key))

    def without(self, child: int) -> Node:
        bit = 1 << child
        return Node(self.present & ~bit, self.destroyed | bit, self._put(child, bytes(32)))

    def _put(self, child: int, key: bytes) -> bytes:
        before, after = self.keys[: child * 32], self.keys[(child + 1) * 32 :]
        return before + key + after


EMPTY: Final = Node(0, 0, _NO_KEYS)


def row_key(place: Place) -> bytes:
    return _ROW.pack(*place)


def leaf_place(number: int) -> Place:
    """The node that holds leaf key *number*, or KeyUnknown if no tree can hold it."""
    if not 0 <= number < CAPACITY:
        raise KeyUnknown(f"there is no key {number}")
    return 0, number >> _BITS


def path(place: Place) -> tuple[Place, ...]:
    """The places from the top down to *place*."""
    level, index = place
    return tuple((up, index >> _BITS * (up - level)) for up in range(TOP[0], level - 1, -1))


def close_node(store_id: bytes, place: Place, key: bytes, salt: bytes, node: Node) -> bytes:
    text = _MAPS.pack(node.present, node.destroyed) + node.keys
    return seal.seal(key, salt, _LABEL, _bound(store_id, place), text)


def open_node(store_id: bytes, place: Place, key: bytes, row: bytes | None) -> Node:
    if row is None:
        raise RecordMalformed(f"the keyring lacks node {place}")
    text = seal.open_seal(key, _LABEL, _bound(store_id, place), row)
    if len(text) != _MAPS.size + len(_NO_KEYS):
        raise SealBroken(f"node {place} of the keyring has a wrong size")
    present, destroyed = _MAPS.unpack_from(text)
    if present & destroyed:
        raise SealBroken(f"node {place} of the keyring has a key that was destroyed")
    return Node(present, destroyed, text[_MAPS.size :])


def _bound(store_id: bytes, place: Place) -> bytes:
    return _BOUND + store_id + row_key(place)


def _child(place: Place) -> int:
    return place[1] & FANOUT - 1


class Tree:
    """The leaf keys under one root key.

    Leaf nodes are kept once opened, the others are not: under one root key a leaf node never
    changes, while an inner node gains children, so a kept one could be out of date.
    """

    def __init__(self, store_id: bytes, root: bytes, kept: int = 4096) -> None:
        self._store_id = store_id
        self._root = root
        self._kept = kept
        self._leaves: OrderedDict[int, Node] = OrderedDict()

    def key(self, number: int, fetch: Fetch) -> bytes:
        """Return 32 bytes, or raise KeyErased or KeyUnknown.  Not for two threads at once."""
        key = self._key(number, fetch)
        if key is None:
            raise KeyErased(f"key {number} was destroyed")
        return key

    def keys(self, numbers: Sequence[int], fetch: Fetch) -> dict[int, bytes]:
        """Return those that were not destroyed, or raise KeyUnknown.  Not for two threads."""
        found = {number: self._key(number, fetch) for number in numbers}
        return {number: key for number, key in found.items() if key is not None}

    def _key(self, number: int, fetch: Fetch) -> bytes | None:
        leaf, child = self._leaf(number, fetch), number & FANOUT - 1
        if leaf.has(child):
            return leaf.key(child)
        if not leaf.lost(child):
            raise KeyUnknown(f"key {number} was never given out")
        return None

    def _leaf(self, number: int, fetch: Fetch) -> Node:
        place = leaf_place(number)
        node = self._leaves.get(place[1])
        if node is not None:
            self._leaves.move_to_end(place[1])
            return node
        node = self._open_leaf(number, place, fetch)
        self._leaves[place[1]] = node
        if len(self._leaves) > self._kept:
            self._leaves.popitem(last=False)
        return node

    def _open_leaf(self, number: int, leaf: Place, fetch: Fetch) -> Node:
        key, node = self._root, EMPTY
        for place in path(leaf):
            if place != TOP:
                if not node.has(_child(place)):
                    raise KeyUnknown(f"key {number} was never given out")
                key = node.key(_child(place))
            node = open_node(self._store_id, place, key, fetch(row_key(place)))
        return node


class Draft:
    """Changes to a tree, gathered to be put in one commit."""

    def __init__(self, store_id: bytes, root: bytes, fetch: Fetch, entropy: Entropy) -> None:
        self._store_id = store_id
        self._fetch = fetch
        self._entropy = entropy
        self._keys: dict[Place, bytes] = {TOP: root}
        self._nodes: dict[Place, Node] = {}
        self._changed: set[Place] = set()

    @classmethod
    def of_new_tree(cls, store_id: bytes, root: bytes, entropy: Entropy) -> Draft:
        """A tree that has its top and no key yet."""
        draft = cls(store_id, root, lambda _: None, entropy)
        draft._change(TOP, EMPTY)
        return draft

    def add_leaf_node(self, index: int) -> None:
        """Make 64 random leaf keys, and the nodes above them as far as they are missing."""
        if index >= LEAF_NODES:
            raise KeyringFull
        *above, leaf = path((0, index))
        for place in above:
            if self._find(place) is None:
                self._attach(place, EMPTY)
        if self._find(leaf) is not None:
            raise RecordMalformed("the keyring's header would give out the same keys twice")
        self._attach(leaf, Node(_ALL, 0, self._entropy(len(_NO_KEYS))))

    def destroy(self, numbers: Iterable[int]) -> tuple[int, ...]:
        """Drop these leaf keys; give those that were still there.  Raise KeyUnknown, or all go."""
        return tuple(number for number in numbers if self._drop(number))

    def renew(self, leaf_nodes: int) -> None:
        """Have every node re-keyed, so that whoever held an old root key opens no node from then on.

        Leaf keys stay as they are: what was given out before is known to who could open it then.
        """
        for index in range(leaf_nodes):
            place = (0, index)
            self._change(place, self._node(place))

    def rekey(self, root: bytes) -> None:
        """Give every changed node, and each node above it, a fresh key, and the top the new one."""
        self._node(TOP)  # opened while the old root key is still at hand
        on_paths = {place for changed in self._changed for place in path(changed)} - {TOP}
        for place in sorted(on_paths):
            self._keys[place] = key = self._entropy(seal.KEY_SIZE)
            parent = _parent(place)
            self._change(parent, self._node(parent).with_key(_child(place), key))
        self._keys[TOP] = root
        self._change(TOP, self._node(TOP))

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """The changed nodes, sealed."""
        for place in sorted(self._changed):
            salt = self._entropy(seal.SALT_SIZE)
            key, node = self._keys[place], self._nodes[place]
            yield row_key(place), close_node(self._store_id, place, key, salt, node)

    def _drop(self, number: int) -> bool:
        place, child = leaf_place(number), number & FANOUT - 1
        leaf = self._find(place)
        if leaf is None:
            raise KeyUnknown(f"key {number} was never given out")
        if leaf.lost(child):
            return False
        self._change(place, leaf.without(child))
        return True

    def _attach(self, place: Place, node: Node) -> None:
        """Put a new *node* under its parent, with a key of its own."""
        self._keys[place] = key = self._entropy(seal.KEY_SIZE)
        parent = _parent(place)
        self._change(parent, self._node(parent).with_key(_child(place), key))
        self._change(place, node)

    def _change(self, place: Place, node: Node) -> None:
        self._nodes[place] = node
        self._changed.add(place)

    def _node(self, place: Place) -> Node:
        node = self._find(place)
        if node is None:
            raise RecordMalformed(f"the keyring lacks node {place}")
        return node

    def _find(self, place: Place) -> Node | None:
        """Return the node, opened from the top down, or None if its parent does not name it."""
        if place in self._nodes:
            return self._nodes[place]
        if place != TOP:
            parent = self._find(_parent(place))
            if parent is None or not parent.has(_child(place)):
                return None
            self._keys[place] = parent.key(_child(place))
        row = self._fetch(row_key(place))
        self._nodes[place] = open_node(self._store_id, place, self._keys[place], row)
        return self._nodes[place]


def _parent(place: Place) -> Place:
    return place[0] + 1, place[1] >> _BITS
