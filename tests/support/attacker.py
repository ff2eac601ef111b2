"""An attacker on a whole store: every byte that ever stood in its directory, and today's root key.

It takes what LMDB shows and, since LMDB erases nothing, carves freed pages too.  It asks nobody
which key opens what: every key that it can get at is tried on everything that is sealed.
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import lmdb
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from eventstore import record, seal
from eventstore.errors import MunimentError
from eventstore.keytree import CAPACITY, FANOUT, open_node
from projections.rows import ROWS, Mark

PAGE = 4096
_NODE_SIZE = 80 + seal.padded_size(16 + FANOUT * 32)
_LEAF_PAGE = 0x02
_BIG_DATA, _SUB_DATA = 0x01, 0x02
_ENVELOPE = re.compile(rb"\x94\x01\xc4\x20.{32}", re.DOTALL)
_VIEWS = {table for table, kind in ROWS.items() if kind is not Mark}
"""The tables whose rows are sealed: a mark has none."""

Pair = tuple[bytes, bytes]


class Sealed(NamedTuple):
    """A record of a log, as found."""

    kind: record.Kind
    row: record.Row


class Opened(NamedTuple):
    """All texts that some key opened, by what they are."""

    keys: set[bytes]
    metadata: set[bytes]
    contents: set[bytes]
    views: dict[Pair, bytes]
    blobs: set[bytes]

    def hold(self, marker: str) -> bool:
        """Whether anything that was opened holds *marker*."""
        texts = (*self.metadata, *self.contents, *self.views.values(), *self.blobs)
        return any(marker.encode() in text for text in texts)


class StoreAttacker:
    """Collects copies, then opens what it can."""

    def __init__(self, store_id: bytes, attic: Path) -> None:
        self._store_id = store_id
        self._attic = attic
        self.copies: list[Path] = []
        self.nodes: set[bytes] = set()
        self.records: set[Sealed] = set()
        self.rows: set[Pair] = set()
        self.log_ids: set[bytes] = set()
        self.slots: set[bytes] = set()
        self._blobs: set[bytes] = set()
        self._seen: set[bytes] = set()

    # -- taking ----------------------------------------------------------------------------------

    def copies_store(self, home: Path) -> None:
        """Take the whole directory."""
        copy = self._attic / f"copy-{len(self.copies)}"
        shutil.copytree(home, copy)
        self.copies.append(copy)
        for file in copy.rglob("data.mdb"):
            digest = sha256(file.read_bytes()).digest()
            if digest not in self._seen:
                self._seen.add(digest)
                self._takes_environment(file)

    def copies_slots(self, directory: Path) -> None:
        """Take the slot files, which hold the root key sealed under a passphrase."""
        for file in directory.iterdir():
            self.slots.add(file.read_bytes()[10:-32])

    def gets_blob(self, blob: bytes) -> None:
        self._blobs.add(blob)

    def _takes_environment(self, file: Path) -> None:
        pages = file.read_bytes()
        shown, carved = set(_shown(file.parent)), set(_carved(pages))
        assert shown <= carved, "the attacker looks for rows where LMDB does not put them"
        if file.parent.name == "keyring":
            self.nodes |= {row for _, row in carved if len(row) == _NODE_SIZE}
            self.nodes |= {pages[at : at + _NODE_SIZE] for at in range(16, len(pages), PAGE)}
            return
        self.log_ids |= {msgspec.msgpack.decode(row)[2] for key, row in shown if key == b"log"}
        found = set(_records(pages))
        rows = {row for key, row in shown if len(key) == 8}
        assert rows <= {b"".join(one.row) for one in found}, "it misses records that LMDB shows"
        self.records |= set(_mended(found, rows))
        self.rows |= {
            pair for pair in carved if len(pair[0]) >= 17 and pair[0][16] in _VIEWS and pair[1]
        }

    # -- opening ---------------------------------------------------------------------------------

    def opens(self, *known: bytes) -> Opened:
        """Everything that opens, beginning with the keys *known*."""
        keys = self._all_keys(set(known))
        opened = Opened(keys, set(), set(), {}, set())
        for sealed in self.records:
            self._tries_record(sealed, opened)
        for pair in self.rows:
            for text in _opening(keys, partial(_open_view, *pair)):
                opened.views[pair] = text
        for blob in self._blobs:
            opened.blobs.update(_opening(keys, partial(_open_blob, blob)))
        return opened

    def _all_keys(self, known: set[bytes]) -> set[bytes]:
        to_try = list(known)
        while to_try:
            for key in self._under(to_try.pop()):
                if key not in known:
                    known.add(key)
                    to_try.append(key)
        return known

    def _under(self, key: bytes) -> Iterator[bytes]:
        for row in self.nodes:
            if seal.derive(key, row[:32], b"node").commitment == row[32:64]:
                yield from self._children(key, row)
        for body in self.slots:
            parameters, sealed = body[:28], body[28:]
            if seal.derive(key, sealed[:32], b"root-slot").commitment == sealed[32:64]:
                yield seal.open_seal(key, b"root-slot", parameters, sealed)

    def _children(self, key: bytes, row: bytes) -> Iterator[bytes]:
        opened = 0
        for place in _places():
            try:
                node = open_node(self._store_id, place, key, row)
            except MunimentError:
                continue
            opened += 1
            # What the node calls destroyed is taken as well: its bytes may have been left there.
            yield from {node.key(child) for child in range(FANOUT)} - {bytes(32)}
        assert opened, "a node opens at no place that the attacker knows"

    def _tries_record(self, sealed: Sealed, opened: Opened) -> None:
        envelope = record.read_envelope(sealed.row.envelope)
        found = 0
        for key in opened.keys:
            if seal.derive(key, envelope.salt, b"meta").commitment == envelope.meta[:32]:
                opened.metadata.add(self._metadata(sealed, key))
                found += 1
            if envelope.content is None:
                continue
            if seal.derive(key, envelope.salt, b"content").commitment == envelope.content[:32]:
                opened.contents.add(self._content(sealed, key))
        assert found, "every metadata opens, since no audit key is ever destroyed"

    def _metadata(self, sealed: Sealed, key: bytes) -> bytes:
        return self._in_some_log(
            lambda log_id: record.open_meta(sealed.kind, log_id, sealed.row, key).meta
        )

    def _content(self, sealed: Sealed, key: bytes) -> bytes:
        return self._in_some_log(
            lambda log_id: msgspec.msgpack.encode(
                record.open_content(sealed.kind, log_id, sealed.row, key)
            )
        )

    def _in_some_log(self, look: Callable[[bytes], bytes]) -> bytes:
        return next(_opening(self.log_ids, look))


def _opening(keys: set[bytes], look: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """What *look* gives for the keys that fit."""
    for key in keys:
        try:
            yield look(key)
        except (MunimentError, InvalidTag):
            continue


def _open_view(place: bytes, row: bytes, key: bytes) -> bytes:
    return AESGCMSIV(key).decrypt(row[:12], row[12:], place)


def _open_blob(blob: bytes, key: bytes) -> bytes:
    return seal.open_seal(key, b"backup", blob[:48], blob[48:])


def _places() -> Iterator[tuple[int, int]]:
    """The first nodes of each level: more than a test's keyring has."""
    level, nodes = 0, CAPACITY // FANOUT
    while nodes:
        yield from ((level, index) for index in range(min(nodes, 64)))
        level, nodes = level + 1, nodes // FANOUT


# --- where LMDB 0.9 puts things -----------------------------------------------------------------


def _shown(directory: Path) -> Iterator[Pair]:
    """What LMDB itself shows, of all tables."""
    with lmdb.open(str(directory), readonly=True, lock=False, max_dbs=8) as env, env.begin() as txn:
        names = []
        for key, row in txn.cursor():
            try:
                names.append(env.open_db(key, txn=txn, create=False))
            except lmdb.Error:
                yield key, row
        for table in names:
            yield from txn.cursor(db=table)


def _carved(pages: bytes) -> Iterator[Pair]:
    """Keys and rows of every leaf page, freed ones too."""
    for start in range(0, len(pages), PAGE):
        page = pages[start : start + PAGE]
        flags, lower, upper = struct.unpack_from("<HHH", page, 10)
        if flags & _LEAF_PAGE and 16 <= lower <= upper <= PAGE:
            for (at,) in struct.iter_unpack("<H", page[16 : lower - lower % 2]):
                yield from _node(pages, page, at)


def _node(pages: bytes, page: bytes, at: int) -> Iterator[Pair]:
    if at + 8 > PAGE:
        return
    low, high, flags, key_size = struct.unpack_from("<HHHH", page, at)
    size, begin = low | high << 16, at + 8 + key_size
    key = page[at + 8 : begin]
    if flags & _SUB_DATA:
        return
    if begin > PAGE:
        return  # no node: the page holds a part of a large row that looks like a leaf
    if flags & _BIG_DATA:
        (number,) = struct.unpack_from("<Q", page.ljust(PAGE + 8, b"\0"), begin)
        begin = number * PAGE + 16
        yield key, pages[begin : begin + size]
    else:
        yield key, page[begin : begin + size]


def _records(pages: bytes) -> Iterator[Sealed]:
    """Every record whose bytes are whole, wherever they lie: the leaf holds the envelope's hash."""
    for match in _ENVELOPE.finditer(pages):
        envelope = _envelope(pages, match.start(), match.end())
        for kind in record.KINDS.values():
            end = match.start() - (record.SIGNATURE_SIZE if kind.signed else 0)
            leaf = pages[max(0, end - record.LEAF_SIZE) : end]
            if leaf[50:82] == sha256(envelope).digest():
                yield Sealed(kind, record.Row(leaf, pages[end : match.start()], envelope))


def _mended(found: set[Sealed], shown: set[bytes]) -> Iterator[Sealed]:
    """*found*, each with the leaf it has where LMDB shows it, if LMDB does.

    In a freed page that is used again, what is new may lie over the first bytes of an old leaf.
    """
    whole = {one.row.envelope: one.row.leaf for one in found if b"".join(one.row) in shown}
    for one in found:
        leaf = whole.get(one.row.envelope, one.row.leaf)
        yield one._replace(row=one.row._replace(leaf=leaf))


def _envelope(pages: bytes, start: int, at: int) -> bytes:
    """An array of four: the last two are bin 8, bin 16 or bin 32, or the last is nil."""
    for _ in range(2):
        mark = pages[at : at + 1]
        width = {b"\xc4": 1, b"\xc5": 2, b"\xc6": 4}.get(mark, 0)
        at += 1 + width + int.from_bytes(pages[at + 1 : at + 1 + width], "big")
    return pages[start:at]
