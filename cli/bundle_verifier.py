#!/usr/bin/env python3
"""Check a bundle of evidence that Muniment made, with nothing of Muniment's.

    python verify.py BUNDLE --key FILE [--tsa-root FILE] [--policy FILE]

It needs Python 3.11 and `cryptography`, no network and no account.  What is trusted comes from you
and never from the bundle: FILE of --key holds the verifier key lines of the vault's two logs, for
instance typed from paper; --policy names the witnesses you believe (C2SP tlog-policy), --tsa-root the
certificates of time-stamping authorities.  Take this program, too, from somebody you trust.

Three verdicts:

  integrity     every byte is what the signed trees, and the event that was logged about this bundle,
                commit to: no record was changed, and each field of each record is shown as it was
  completeness  in both logs every record of the period is here, from the first to the last
  time          others saw these records, and when: so they are not younger than that

Exit status 0: all three hold.  20: something is not as it should be.  21: what is shown holds, but
less is shown than was asked: no outside time, say, or a checkpoint that could not be compared.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # The folder of this file: in an unpacked bundle it holds what somebody else put there.
    del sys.path[0]

import argparse
import base64
import binascii
import hashlib
import io
import json
import re
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, NamedTuple, NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

INTEGRITY, COMPLETENESS, TIME = VERDICTS = ("integrity", "completeness", "time")
LOGS = ("changes", "access")
FORMAT = "muniment/evidence/v1"
# Limits, so that a bundle cannot make this program eat the machine.
MOST_MEMBERS, LARGEST_TEXT, LARGEST_RECORD, MOST_RULES = 10_000, 1 << 24, 1 << 20, 100_000
SKEW = 300_000_000
"""Microseconds that the clocks of a log and of a witness may differ: five minutes."""


class Refused(Exception):
    """Why a verdict is no."""

    def __init__(self, verdict: str, why: str) -> None:
        super().__init__(why)
        self.verdict = verdict


def broken(why: str) -> NoReturn:
    raise Refused(INTEGRITY, why)


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def raw(text: str, size: int | None = None) -> bytes:
    """Canonical base64."""
    try:
        found = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        broken("a line is not base64")
    if base64.b64encode(found).decode() != text or size not in (None, len(found)):
        broken("base64 is not canonical, or has another length")
    return found


def number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and str(int(text)) == text):
        broken("a number is not canonical")
    return int(text)


def moment(micros: int) -> str:
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()
    except OverflowError:
        return f"{micros} us"


# --- the file: a zip in the one form that leaves nothing to choose -------------------------------

LOCAL, CENTRAL, END = (
    struct.Struct("<IHHHHHIIIHH"),
    struct.Struct("<IHHHHHHIIIHHHHHII"),
    struct.Struct("<IHHHHIIH"),
)
NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-./")
MEMBER = re.compile(
    r"(changes|access)/(records|keys|frontier|before|anchors/([0-9]{20}(-[1-9][0-9]*\.tsr|\.note)))"
    r"|(changes|access)/second-[0-9]{20}\.note|changes/rules|report\.html|verify\.py"
)
"""What the manifest may name: a bundle that is unpacked shall hold no module, and no second report."""


class Member(NamedTuple):
    name: str
    start: int
    size: int
    crc: int
    header: int


class Bundle:
    """The members, in order.  Stored without compression, so nothing unfolds."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        size = file.seek(0, 2)
        file.seek(max(size - END.size, 0))
        tail = file.read()
        if len(tail) != END.size:
            broken("the file is too short to be a bundle")
        sign, disk, disk2, here, count, length, start, comment = END.unpack(tail)
        if (sign, disk, disk2, comment) != (0x06054B50, 0, 0, 0) or here != count:
            broken("the end of the file is not that of a bundle")
        if start + length + END.size != size or count > MOST_MEMBERS or length > LARGEST_TEXT:
            broken("the directory does not fit the file, or is too large")
        self.members = dict(self._walk(start, count))
        if len(self.members) != count:
            broken("a name is there twice")
        file.seek(start)
        if file.read(length) != b"".join(map(self._central, self.members.values())):
            broken("the directory says something else than the members")

    def _walk(self, end: int, count: int) -> Iterator[tuple[str, Member]]:
        at = 0
        for _ in range(count):
            self._file.seek(at)
            head = self._file.read(LOCAL.size)
            if len(head) != LOCAL.size:
                broken("a member is cut off")
            sign, need, flags, method, clock, date, crc, size, size2, named, extra = LOCAL.unpack(
                head
            )
            fixed = (sign, need, flags, method, clock, date, extra)
            if fixed != (0x04034B50, 20, 0, 0, 0, 0x21, 0) or size != size2:
                broken("a member is not stored in the form that the format demands")
            name = self._file.read(named).decode("ascii", "replace")
            parts = name.split("/")
            if len(name) != named or not set(name) <= NAME or {"", ".", ".."} & set(parts):
                broken("a member's name is not allowed")
            start = at + LOCAL.size + named
            if start + size > end:
                broken("a member is longer than the file")
            yield name, Member(name, start, size, crc, at)
            at = start + size
        if at != end:
            broken("there are bytes between the members and the directory")

    @staticmethod
    def _central(one: Member) -> bytes:
        name = one.name.encode()
        return CENTRAL.pack(
            *(0x02014B50, 0x0314, 20, 0, 0, 0, 0x21, one.crc, one.size, one.size, len(name)),
            *(0, 0, 0, 0, 0o100644 << 16, one.header),
        ) + name  # fmt: skip

    def text(self, name: str) -> bytes:
        """A small member, whole."""
        if name not in self.members:
            broken(f"{name} is missing")
        one = self.members[name]
        if one.size > LARGEST_TEXT:
            broken(f"{name} is too large")
        self._file.seek(one.start)
        data = self._file.read(one.size)
        if zlib.crc32(data) != one.crc:
            broken(f"{name} is damaged")
        return data

    def digest(self, name: str, progress: Callable[[int], None]) -> str:
        """SHA-256 of a member of any size, with its checksum checked."""
        one, found, crc = self.members[name], hashlib.sha256(), 0
        self._file.seek(one.start)
        for at in range(0, one.size, 1 << 20):
            data = self._file.read(min(1 << 20, one.size - at))
            found.update(data)
            crc = zlib.crc32(data, crc)
            progress(len(data))
        if crc != one.crc:
            broken(f"{name} is damaged")
        return found.hexdigest()

    def reader(self, name: str) -> Reader:
        if name not in self.members:
            broken(f"{name} is missing")
        one = self.members[name]
        return Reader(self._file, one.start, one.size, name)


class Reader:
    """A member read from its beginning, in pieces."""

    def __init__(self, file: BinaryIO, start: int, size: int, name: str) -> None:
        self._file, self._at, self._left, self._name = file, start, size, name
        self._held, self._from = b"", 0

    def take(self, count: int) -> bytes:
        end = self._from + count
        if end > len(self._held):
            self._file.seek(self._at)
            more = self._file.read(min(max(count, 1 << 18), self._left))
            self._at, self._left = self._at + len(more), self._left - len(more)
            self._held, self._from, end = self._held[self._from :] + more, 0, count
            if end > len(self._held):
                broken(f"{self._name} ends too early")
        found = self._held[self._from : end]
        self._from = end
        return found

    @property
    def done(self) -> bool:
        return not self._left and self._from == len(self._held)


# --- JSON and MessagePack, strictly -------------------------------------------------------------


def read_json(text: bytes, name: str) -> Any:
    def no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            broken(f"{name} says something twice")
        return dict(pairs)

    def whole(digits: str) -> int:
        return number(digits)

    def never(_: str) -> NoReturn:
        broken(f"{name} holds a number that is not allowed")

    try:
        return json.loads(
            text.decode(),
            object_pairs_hook=no_twice,
            parse_int=whole,
            parse_float=never,
            parse_constant=never,
        )
    except (ValueError, RecursionError):
        broken(f"{name} is not JSON")


def shape(value: Any, fields: dict[str, type], name: str) -> Any:
    """*value* if it is an object with exactly these fields."""
    if not isinstance(value, dict) or set(value) != set(fields):
        broken(f"{name} has other fields than the format demands")
    if any(type(value[field]) is not kind for field, kind in fields.items()):
        broken(f"{name} has a field of another type")
    return value


_TAILS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_NUMBERS = {
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_PLAIN = {0xC0: None, 0xC2: False, 0xC3: True}


def unpack(data: bytes, at: int, depth: int = 0) -> tuple[Any, int]:
    """One MessagePack value and where the next begins."""
    first = data[at]
    if 0xA0 <= first <= 0xBF:
        end = at + 1 + (first & 31)
        return data[at + 1 : end].decode(), end
    if first <= 0x7F:
        return first, at + 1
    if first >= 0xE0:
        return first - 256, at + 1
    if first in _PLAIN:
        return _PLAIN[first], at + 1
    if first in _NUMBERS:
        form = _NUMBERS[first]
        return struct.unpack_from(form, data, at + 1)[0], at + 1 + struct.calcsize(form)
    if first in _TAILS:
        start = at + 1 + _TAILS[first]
        end = start + int.from_bytes(data[at + 1 : start], "big")
        if end > len(data):
            broken("a value is cut off")
        return (data[start:end].decode() if first >= 0xD9 else data[start:end]), end
    return _unpack_many(data, at, depth)


def _unpack_many(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    first = data[at]
    wide = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}.get(first, 0)
    if depth > 16 or (not wide and not 0x80 <= first <= 0x9F):
        broken("a value is not of the MessagePack that the format demands")
    count = int.from_bytes(data[at + 1 : at + 1 + wide], "big") if wide else first & 15
    at += 1 + wide
    if count > len(data):
        broken("a value is cut off")
    if first in (0xDC, 0xDD) or 0x90 <= first <= 0x9F:
        items = []
        for _ in range(count):
            item, at = unpack(data, at, depth + 1)
            items.append(item)
        return items, at
    found: dict[Any, Any] = {}
    for _ in range(count):
        key, at = unpack(data, at, depth + 1)
        if not isinstance(key, str) or key in found:
            broken("a map has a key twice, or one that is no text")
        found[key], at = unpack(data, at, depth + 1)
    return found, at


def opened(meta: bytes, seed: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Context and event of a metadata text, and the commitment to all its fields."""
    try:
        if meta[:1] != b"\x93":
            broken("a record's text is not that of a record")
        at, parts = 1, []
        entries: list[tuple[bytes, bytes]] = []
        for part in ("context", "event"):
            found, at = _part(meta, at, part, entries)
            parts.append(found)
        _, end = unpack(meta, at)
        entries.append((b"content_key\0", meta[at:end]))
    except (IndexError, UnicodeDecodeError, struct.error):
        broken("a record's text is not MessagePack")
    if end != len(meta):
        broken("a record's text goes on after its end")
    salts = hashlib.shake_256(seed).digest(16 * len(entries))
    return parts[0], parts[1], _root_of_fields(entries, salts)


def _part(
    meta: bytes, at: int, part: str, entries: list[tuple[bytes, bytes]]
) -> tuple[dict[str, Any], int]:
    first = meta[at]
    if first == 0xDE:
        count, at = int.from_bytes(meta[at + 1 : at + 3], "big"), at + 3
    elif 0x80 <= first <= 0x8F:
        count, at = first & 15, at + 1
    else:
        broken("a record's text is not that of a record")
    found: dict[str, Any] = {}
    for _ in range(count):
        key, start = unpack(meta, at)
        if not isinstance(key, str) or "\0" in key or key in found:
            broken("a record has a field twice, or one without a name")
        found[key], at = unpack(meta, start)
        entries.append((f"{part}.{key}\0".encode(), meta[start:at]))
    return found, at


def _root_of_fields(entries: list[tuple[bytes, bytes]], salts: bytes) -> bytes:
    make = hashlib.sha256
    return root_of_fields(
        [
            make(b"\0" + salts[16 * at : 16 * at + 16] + path + value).digest()
            for at, (path, value) in enumerate(entries)
        ]
    )


def root_of_fields(hashed: list[bytes]) -> bytes:
    """What a leaf commits to: the hashes of all fields, in order."""
    return sha(b"muniment/fields/v1\0", *hashed)


# --- trees (RFC 9162) and signed notes (C2SP) ---------------------------------------------------


class Frontier:
    """The right edge of a tree that grows."""

    def __init__(self, size: int, edge: bytes) -> None:
        if len(edge) != 32 * size.bit_count():
            broken("the tree's edge does not fit its size")
        self.size = size
        self._hashes = [edge[at : at + 32] for at in range(0, len(edge), 32)]

    def add(self, leaf: bytes) -> None:
        make = hashlib.sha256
        hashed, size = make(b"\0" + leaf).digest(), self.size
        while size & 1:
            hashed = make(b"\1" + self._hashes.pop() + hashed).digest()
            size >>= 1
        self._hashes.append(hashed)
        self.size += 1

    def root(self) -> bytes:
        if not self._hashes:
            return sha(b"")
        root = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            root = sha(b"\1", left, root)
        return root


def root_from_path(index: int, size: int, hashed: bytes, path: list[bytes]) -> bytes:
    last = size - 1
    for step in path:
        if last == 0:
            broken("a proof is too long")
        if index & 1 or index == last:
            hashed = sha(b"\1", step, hashed)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            hashed = sha(b"\1", hashed, step)
        index, last = index >> 1, last >> 1
    if last:
        broken("a proof is too short")
    return hashed


def check_growth(old: int, new: int, old_root: bytes, new_root: bytes, path: list[bytes]) -> None:
    """That the tree of *new* leaves extends that of *old*."""
    steps = list(path) if old & (old - 1) else [old_root, *path]
    if not 0 < old < new or not steps:
        broken("a proof of growth is empty or of the wrong size")
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            broken("a proof of growth is too long")
        if node & 1 or node == last:
            first, second = sha(b"\1", step, first), sha(b"\1", step, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = sha(b"\1", second, step)
        node, last = node >> 1, last >> 1
    if last or (first, second) != (old_root, new_root):
        broken(f"the signed tree of {new} records does not extend the one of {old}")


ED25519, COSIGNATURE, ML_DSA_44 = 1, 4, 6
SIZES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}


class Key(NamedTuple):
    """A verifier key: name, kind of signature, public key."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        return sha(self.name.encode(), b"\n", bytes([self.kind]), self.public)[:4]

    @property
    def line(self) -> str:
        key = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"


def read_key(line: str) -> Key:
    parts = line.strip().split("+", 2)
    if len(parts) != 3 or not parts[0] or any(letter.isspace() for letter in parts[0]):
        broken("a line is not a verifier key")
    public = raw(parts[2])
    key = Key(parts[0], public[0] if public else 0, public[1:])
    if SIZES.get(key.kind) != len(key.public) or key.key_id.hex() != parts[1]:
        broken(f"the verifier key of {parts[0][:80]} is mistyped")
    return key


class Note(NamedTuple):
    """A signed text: signer, key id and signature of each line."""

    text: str
    lines: list[tuple[str, bytes, bytes]]

    def head(self) -> tuple[str, int, bytes]:
        """Origin, size and root, if the text is a checkpoint."""
        parts = self.text.split("\n")
        if len(parts) != 4 or parts[3] or not parts[0]:
            broken("a checkpoint has not three lines")
        return parts[0], number(parts[1]), raw(parts[2], 32)

    def valid(self, key: Key) -> list[bytes]:
        """The stamps of *key*, each found valid.  One that is not is a forgery."""
        found = []
        for name, key_id, stamp in self.lines:
            if (name, key_id) == (key.name, key.key_id):
                self._check(key, stamp)
                found.append(stamp)
        return found

    def _check(self, key: Key, stamp: bytes) -> None:
        message, signature = self.text.encode(), stamp
        if key.kind != ED25519:
            message, signature = cosigned(key, self, int.from_bytes(stamp[:8], "big")), stamp[8:]
        if not accepts(key, signature, message):
            broken(f"a signature of {key.name} is not valid")


def cosigned(key: Key, note: Note, seconds: int) -> bytes:
    """What a cosignature is over (C2SP tlog-cosignature)."""
    if key.kind == COSIGNATURE:
        return f"cosignature/v1\ntime {seconds}\n{note.text}".encode()
    origin, size, root = note.head()
    names = [bytes([len(one.encode())]) + one.encode() for one in (key.name, origin)]
    ends = struct.pack(">QQ", 0, size)
    return b"subtree/v1\n\0" + names[0] + seconds.to_bytes(8, "big") + names[1] + ends + root


def knows_ml_dsa() -> bool:
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa  # noqa: F401
    except ImportError:
        return False
    return True


def accepts(key: Key, signature: bytes, message: bytes) -> bool:
    try:
        if key.kind == ML_DSA_44:
            from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

            MLDSA44PublicKey.from_public_bytes(key.public).verify(signature, message)
        else:
            ed25519.Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_note(data: bytes) -> Note:
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        broken("a note is not text")
    text, gap, rest = whole.rpartition("\n\n")
    if not gap or not rest.endswith("\n") or len(whole) > 65_536:
        broken("a note is not signed, or too long")
    if any(letter < " " and letter != "\n" for letter in whole):
        broken("a note has control characters")
    found = []
    for line in rest[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\N{EM DASH}" or not parts[1]:
            broken("a signature line is malformed")
        stamp = raw(parts[2])
        found.append((parts[1], stamp[:4], stamp[4:]))
    return Note(text + "\n", found)


def read_chain(text: bytes, origin: str, name: str) -> list[tuple[int, Key]]:
    """The log's signing keys, each but the first endorsed by itself and the one before."""
    found: list[tuple[int, Key]] = []
    epochs = read_json(text, name)
    if not isinstance(epochs, list) or not 0 < len(epochs) <= 10_000:
        broken(f"{name} is not a list of keys")
    for one in epochs:
        shape(one, {"endorsement": str, "start": int, "verifier": str}, name)
        start, key = one["start"], read_key(one["verifier"])
        if (key.name, key.kind) != (origin, ED25519) or (start == 0) != (not found):
            broken(f"{name} names a key of another log")
        if found:
            _check_endorsed(one["endorsement"], start, found[-1], key, one["verifier"])
        elif one["endorsement"]:
            broken("the first key has nobody to endorse it")
        found.append((start, key))
    return found


def _check_endorsed(
    note: str, start: int, before: tuple[int, Key], key: Key, verifier: str
) -> None:
    old = before[1]
    said = read_note(note.encode())
    text = f"muniment/endorsement/v1\n{key.name}\n{start}\n{old.line}\n{verifier}\n"
    named = [(name, key_id) for name, key_id, _ in said.lines]
    if said.text != text or named != [(old.name, old.key_id), (key.name, key.key_id)]:
        broken("the endorsement of a signing key says otherwise")
    if start <= before[0] or not said.valid(old) or not said.valid(key):
        broken("a signing key is not endorsed by the one before")


def read_second(data: bytes, start: int, first: Key) -> Key:
    """The ML-DSA-44 key that signs beside *first*, if *first* says so."""
    said = read_note(data)
    second = read_key((said.text.split("\n") + [""] * 5)[4])
    text = f"muniment/second-key/v1\n{first.name}\n{start}\n{first.line}\n{second.line}\n"
    if said.text != text or (second.name, second.kind) != (first.name, ML_DSA_44):
        broken("the endorsement of a second key says otherwise")
    if not said.valid(first):
        broken("a second key is not endorsed by the first")
    return second


# --- the word of others: witnesses and time stamps ----------------------------------------------


class Policy:
    """Whose word is enough (C2SP tlog-policy)."""

    def __init__(self, text: str) -> None:
        self.witnesses: dict[str, Key] = {}
        self._logs: list[Key] = []
        self._groups: dict[str, tuple[int, list[str]]] = {}
        self._free: set[str] = set()
        self._quorum = ""
        for line in text.split("\n"):
            words = line.split()
            if words and not words[0].startswith("#"):
                self._take(words)
        if not self._quorum:
            broken("the policy names no quorum")

    def _take(self, words: list[str]) -> None:
        match words:
            case ["log", key, *url] if len(url) < 2:
                self._logs.append(read_key(key))
            case ["witness", name, key, *url] if len(url) < 2:
                self._witness(name, read_key(key))
            case ["group", name, least, *members] if members:
                count = {"any": "1", "all": str(len(members))}.get(least, least)
                if not 0 < number(count) <= len(members):
                    broken("a group of the policy asks for more than its members")
                for member in members:
                    # In one group at most, so that no witness counts twice.
                    if member not in self._free:
                        broken(f"{member} is not defined above in the policy, or is in a group")
                    self._free.remove(member)
                self._name(name)
                self._groups[name] = (int(count), members)
            case ["quorum", name] if not self._quorum:
                if name != "none" and name not in self.witnesses.keys() | self._groups.keys():
                    broken(f"{name} is not defined above in the policy")
                self._quorum = name
            case _:
                broken("the policy has a line that is none of log, witness, group and one quorum")

    def _witness(self, name: str, key: Key) -> None:
        if key.kind == ED25519:
            broken(f"the key of {name} in the policy is not one that cosigns")
        if any(one.public == key.public for one in self.witnesses.values()):
            broken(f"the key of {name} is twice in the policy")
        self._name(name)
        self.witnesses[name] = key

    def _name(self, name: str) -> None:
        if name == "none" or name in self.witnesses.keys() | self._groups.keys():
            broken(f"the name {name} is taken in the policy")
        self._free.add(name)

    def means(self, log: Key) -> bool:
        """Whether *log* is one that the policy is about: without any named, all are."""
        return not self._logs or log in self._logs

    def time_of(self, note: Note) -> int | None:
        """When a quorum had seen *note*, in microseconds.  One false signature is a forgery."""
        seen = {}
        for name, key in self.witnesses.items():
            times = [int.from_bytes(stamp[:8], "big") for stamp in note.valid(key)]
            if any(times):
                seen[name] = min(at for at in times if at)
        for at in sorted(seen.values()):
            if self._quorum == "none" or self._has(
                self._quorum, {name for name, when in seen.items() if when <= at}
            ):
                return at * 1_000_000
        return None

    def _has(self, name: str, by: set[str]) -> bool:
        if name not in self._groups:
            return name in by
        least, members = self._groups[name]
        return sum(self._has(one, by) for one in members) >= least


SIGNED_DATA, TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE = {
    "1.2.840.113549.1.9.16.2.12": "sha1",
    "1.2.840.113549.1.9.16.2.47": "sha256",
}
DIGESTS: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
}
TIME_STAMPING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.8")


class Der(NamedTuple):
    """One DER element: its tag, its content, and all of its bytes."""

    tag: int
    body: bytes
    whole: bytes

    def items(self) -> list[Der]:
        return ders(self.body)

    def oid(self) -> str:
        if self.tag != 6 or not self.body:
            broken("a time stamp is malformed")
        parts, value = [min(self.body[0] // 40, 2)], 0
        parts.append(self.body[0] - 40 * parts[0])
        for byte in self.body[1:]:
            value = value << 7 | byte & 127
            if byte < 128:
                parts.append(value)
                value = 0
        return ".".join(map(str, parts))


def ders(data: bytes) -> list[Der]:
    """The DER elements of *data*, one after the other."""
    found, at = [], 0
    while at < len(data):
        if len(data) - at < 2 or data[at] & 31 == 31:
            broken("a time stamp is malformed")
        size, head = data[at + 1], 2
        if size & 128:
            head += size & 127
            size = int.from_bytes(data[at + 2 : at + head], "big")
        if head > 6 or at + head + size > len(data):
            broken("a time stamp is malformed")
        found.append(Der(data[at], data[at + head : at + head + size], data[at : at + head + size]))
        at += head + size
    return found


def der(data: bytes, tag: int = 0x30) -> Der:
    found = ders(data)
    if len(found) != 1 or found[0].tag != tag:
        broken("a time stamp is malformed")
    return found[0]


def stamped(answer: bytes, text: bytes, roots: Sequence[x509.Certificate]) -> int | None:
    """The time in an RFC 3161 answer over *text*, in microseconds; None if *roots* know it not."""
    try:
        return _stamped(answer, text, roots)
    except (IndexError, ValueError, TypeError):
        broken("a time stamp is malformed")


def _stamped(answer: bytes, text: bytes, roots: Sequence[x509.Certificate]) -> int | None:
    status, token = der(answer).items()
    if status.items()[0].body not in (b"\0", b"\1"):
        broken("a time-stamping authority refused")
    kind, wrapped = token.items()
    if kind.oid() != SIGNED_DATA:
        broken("a time stamp is not signed data")
    data = der(wrapped.body).items()
    content_type, content = data[2].items()
    if content_type.oid() != TST_INFO:
        broken("a time stamp holds something else")
    info = der(content.body, 4).body
    certificates = [
        x509.load_der_x509_certificate(one.whole)
        for part in data[3:]
        if part.tag == 0xA0
        for one in part.items()
    ]
    [signer] = data[-1].items()
    fields = der(info).items()
    imprint = fields[2].items()
    digest = DIGESTS.get(imprint[0].items()[0].oid())
    if digest is None or imprint[1].body != _digest(digest(), text):
        broken("a time stamp is of another checkpoint")
    at = datetime.strptime(fields[4].body.decode()[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    if fields[4].tag != 0x18 or not fields[4].body.endswith(b"Z"):
        broken("a time stamp has no time")
    known = _signer(signer, [*certificates, *roots])
    if known is None:
        return None
    _check_stamp(signer, known, info)
    if not _chained(known, certificates, roots, at):
        return None
    return int(at.timestamp()) * 1_000_000


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    made = hashes.Hash(algorithm)
    made.update(data)
    return made.finalize()


def _signer(signer: Der, certificates: Sequence[x509.Certificate]) -> x509.Certificate | None:
    sid = signer.items()[1]
    if sid.tag != 0x30:
        return None
    issuer, serial = sid.items()
    for one in certificates:
        same = one.serial_number == int.from_bytes(serial.body, "big", signed=True)
        if same and one.issuer.public_bytes() == issuer.whole:
            return one
    return None


def _chained(
    leaf: x509.Certificate,
    certificates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
) -> bool:
    """Whether *leaf* may stamp times, and one of *roots* stands behind it."""
    try:
        use = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    if not use.critical or list(use.value) != [TIME_STAMPING]:
        return False
    one = leaf
    for _ in range(5):
        if not one.not_valid_before_utc <= at <= one.not_valid_after_utc:
            return False
        if one in roots:
            return True
        above = [up for up in [*roots, *certificates] if up != one and _issued(one, up)]
        if not above:
            return False
        one = above[0]
    return False


def _issued(one: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(by)
        return by.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False


def _check_stamp(signer: Der, certificate: x509.Certificate, info: bytes) -> None:
    parts = signer.items()
    digest = DIGESTS.get(parts[2].items()[0].oid())
    attributes, signature = parts[3], parts[5].body
    if digest is None or attributes.tag != 0xA0:
        broken("a time stamp is signed in a way that is not allowed")
    found = {one.items()[0].oid(): one.items()[1].items()[0] for one in attributes.items()}
    if found[CONTENT_TYPE].oid() != TST_INFO or found[MESSAGE_DIGEST].body != _digest(
        digest(), info
    ):
        broken("a time stamp was changed")
    named = False
    for oid, algorithm in SIGNING_CERTIFICATE.items():
        if oid in found:
            first = found[oid].items()[0].items()[0].items()
            said = next(part.body for part in first if part.tag == 4)
            named = said == hashlib.new(algorithm, certificate.public_bytes(Encoding.DER)).digest()
    message, key = b"\x31" + attributes.whole[1:], certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), digest())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(digest()))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            broken("a time stamp is signed in a way that is not allowed")
    except InvalidSignature:
        broken("the signature of a time stamp is not valid")
    if not named:
        broken("a time stamp does not name its certificate")


# --- the bundle ---------------------------------------------------------------------------------


class Trust(NamedTuple):
    """What the auditor brings along."""

    keys: list[Key]
    policy: Policy | None = None
    roots: tuple[x509.Certificate, ...] = ()
    against: tuple[Note, ...] = ()
    start: int | None = None
    stop: int | None = None


class Seen(NamedTuple):
    """That the first *size* records of a log were there at *time*, by the word of others.

    *witnessed* is when witnesses said so: they know one history of a log, and a time-stamping
    authority stamps each that it is given.
    """

    size: int
    time: int
    witnessed: int | None


class Facts:
    """What the records say, counted."""

    def __init__(self) -> None:
        self.vault = ""
        self.kinds: Counter[str] = Counter()
        self.operations: Counter[str] = Counter()
        self.readers: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.worth: list[str] = []
        self.rules: list[str] = []

    def add(self, log: str, position: int, context: dict[str, Any], event: dict[str, Any]) -> None:
        tag, outcome = event.get("type"), context.get("outcome", "ok")
        self.operations[f"{log} {tag}"] += 1
        if tag == "request.refused" or outcome != "ok":
            self.kinds["refused"] += 1
            self.refusals[str(outcome)] += 1
        elif tag in GIVEN:
            self.kinds["values given out"] += 1
            self.readers[str(context.get("principal"))] += 1
        else:
            self.kinds["changes" if log == "changes" else "other questions"] += 1
        if tag == "vault.created":
            self.vault = str(event.get("name"))
        if tag in WORTH and len(self.worth) < 1_000:
            self.worth.append(told(log, position, context, event))


GIVEN = frozenset(["secret.read", "sas-token.issued"])
"""What gave a value out."""
WORTH = frozenset(
    [
        "secret.purged",
        "storage-account.purged",
        "sas-definition.purged",
        "vault.created",
        "vault.updated",
        "vault.deleted",
        "vault.recovered",
        "vault.purged",
        "keys.erased",
        "signing-key.rotated",
        "audit-key.rotated",
        "root-key.rotated",
        "storage-key.regenerated",
        "storage-key.regeneration-failed",
        "policy.set",
        "policy.deleted",
        "boundary.set",
        "audit.granted",
        "evidence.packaged",
        "vault.restored",
        "store.adopted",
        "clock.stepped-back",
        "identity.changed",
    ]
)
RULES = frozenset(
    [
        "vault.created",
        "vault.updated",
        "vault.deleted",
        "vault.recovered",
        "vault.purged",
        "policy.set",
        "boundary.set",
    ]
)


def told(log: str, position: int, context: dict[str, Any], event: dict[str, Any]) -> str:
    fields = {key: value for key, value in event.items() if key != "type"}
    words = f"{log} #{position} {event.get('type')} by {context.get('principal')}"
    return safe(f"{words}: {json.dumps(fields, default=bytes.hex, ensure_ascii=False)}")


def safe(text: str) -> str:
    """*text* on one line, without what could move the cursor of a terminal."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


class Judged:
    """The verdicts, and what was found on the way."""

    def __init__(self) -> None:
        self.said: dict[str, tuple[bool | None, str]] = {}
        self.facts = Facts()
        self.about: list[tuple[str, str]] = []
        self.weaker: list[str] = []

    @property
    def status(self) -> int:
        found = [self.said[verdict][0] for verdict in VERDICTS]
        if False in found:
            return 20
        return 21 if None in found or self.weaker else 0


Event = Callable[[str, int, int, dict[str, Any], dict[str, Any]], None]


def judge(
    file: BinaryIO,
    trust: Trust,
    progress: Callable[[int, int], None] = lambda done, total: None,
    each: Event | None = None,
) -> Judged:
    """Check the bundle in *file*.  Never raises for what the bundle holds."""
    judged = Judged()
    checking = Checking(file, trust, judged, progress, each)
    steps = {
        INTEGRITY: checking.integrity,
        COMPLETENESS: checking.completeness,
        TIME: checking.time,
    }
    for verdict, step in steps.items():
        if any(holds is False for holds, _ in judged.said.values()):
            judged.said[verdict] = (None, "not judged")
            continue
        try:
            judged.said[verdict] = step()
        except Refused as refusal:
            # What is malformed anywhere is a matter of integrity first.
            judged.said[refusal.verdict if refusal.verdict != INTEGRITY else verdict] = (
                False,
                str(refusal),
            )
            judged.said.setdefault(verdict, (None, "not judged"))
        except OSError:
            raise
        except Exception:
            # Whatever a bundle makes this program stumble over is the bundle's fault.
            judged.said[verdict] = (False, "the bundle is malformed")
    return judged


class Checking:
    """One bundle on its way through the three verdicts."""

    def __init__(
        self,
        file: BinaryIO,
        trust: Trust,
        judged: Judged,
        progress: Callable[[int, int], None],
        each: Event | None,
    ) -> None:
        self._file, self._trust, self._judged = file, trust, judged
        self._progress, self._each = progress, each
        self._done = 0
        self._roots: dict[str, dict[int, bytes]] = {log: {} for log in LOGS}
        self._seen: dict[str, list[Seen]] = {log: [] for log in LOGS}
        self._chains: dict[str, list[tuple[int, Key]]] = {}
        self._anchored: dict[str, dict[int, bytes]] = {log: {} for log in LOGS}
        self._times: dict[str, dict[int, int]] = {log: {} for log in LOGS}
        self._edges: dict[str, list[int]] = {log: [] for log in LOGS}
        self._follower: dict[str, int | None] = {}
        self._heads: dict[str, tuple[int, bytes]] = {}
        self._made: tuple[int, int, Any] = (0, 0, 0)
        self._false_word = ""
        self._most_at = self._tied = 0
        self._published = self._twice = 0
        self._total = 0

    def _step(self, count: int) -> None:
        self._done += count
        self._progress(self._done, self._total)

    # -- integrity: bytes, keys, trees, records ---------------------------------------------------

    def integrity(self) -> tuple[bool, str]:
        self._bundle = bundle = Bundle(self._file)
        self._total = 2 * sum(one.size for one in bundle.members.values())
        text = bundle.text("manifest.json")
        self._manifest = manifest = read_json(text, "manifest.json")
        shape(
            manifest, {"files": dict, "format": str, "logs": dict, "start": int, "stop": int}, "it"
        )
        if manifest["format"] != FORMAT or set(manifest["logs"]) != set(LOGS):
            broken("the manifest is of another format")
        for log in LOGS:
            shape(manifest["logs"][log], {"first": int, "origin": str, "stop": int}, log)
        self._own_copy()
        for log in LOGS:
            self._heads[log] = self._head(log)
        self._event(hashlib.sha256(text).hexdigest())
        self._files()
        for log in LOGS:
            self._log(log)
        self._rules()
        if self._twice:
            word = f"{self._twice} of {self._published} published checkpoints are signed by it too"
            self._judged.about.append(("ML-DSA-44", word))
        origins = [self._manifest["logs"][log]["origin"] for log in LOGS]
        return True, f"every record is under the signed trees of {' and '.join(origins)}"

    def _own_copy(self) -> None:
        with open(__file__, "rb") as file:
            same = hashlib.sha256(file.read()).hexdigest()
        listed = self._manifest["files"].get("verify.py", {})
        word = "this program" if listed.get("sha256") == same else "another program than this one"
        self._judged.about.append(("verify.py", f"in the bundle is {word}"))

    def _span(self, log: str) -> tuple[str, int, int]:
        one = self._manifest["logs"][log]
        if not 0 <= one["first"] <= one["stop"]:
            broken("a period ends before it begins")
        return one["origin"], one["first"], one["stop"]

    def _head(self, log: str) -> tuple[int, bytes]:
        """Size and root of the log's checkpoint, by the keys that the auditor trusts."""
        origin, _, stop = self._span(log)
        chain = read_chain(self._bundle.text(f"{log}/keys"), origin, f"{log}/keys")
        self._chains[log] = chain
        note = read_note(self._bundle.text(f"closing/{log}.checkpoint"))
        named, size, root = note.head()
        if named != origin or not origin.endswith("/" + log) or size < stop:
            broken(f"the checkpoint of {log} is of another log, or too old")
        if len(note.lines) != 1 or not note.valid(self._signer(log, size)):
            broken(f"the checkpoint of {log} is not signed by its key")
        if chain[-1][0] > size:
            broken("a signing key begins after the last record")
        trusted = [key for key in self._trust.keys if key.name == origin and key.kind == ED25519]
        keys = [key for _, key in chain]
        # Up to the key that signed: that one, or one that it follows by endorsements.
        if not any(key in keys[: self._epoch(log, size) + 1] for key in trusted):
            broken(f"none of the keys you trust is of {origin}")
        self._roots[log][size] = root
        return size, root

    def _epoch(self, log: str, position: int) -> int:
        starts = [start for start, _ in self._chains[log]]
        return max(at for at, start in enumerate(starts) if start <= position)

    def _signer(self, log: str, position: int) -> Key:
        return self._chains[log][self._epoch(log, position)][1]

    def _event(self, digest: str) -> None:
        """The record that says that this bundle was made, with the digest of its manifest."""
        text = self._bundle.text("closing/event").decode("utf-8", "replace")
        fields, gap, rest = text.partition("\n\n")
        proof, gap2, note = rest.partition("\n\n")
        lines, steps = fields.split("\n"), proof.split("\n")
        if not gap or not gap2 or lines[0] != "muniment/shown/v1" or len(steps) < 3:
            broken("the event about the bundle is malformed")
        if note.encode() != self._bundle.text("closing/access.checkpoint"):
            broken("the event about the bundle is under another checkpoint")
        if steps[0] != "c2sp.org/tlog-proof@v1" or steps[1][:6] + steps[2][:6] != "extra index ":
            broken("the event about the bundle is malformed")
        leaf, index = raw(steps[1][6:], 114), number(steps[2][6:])
        size, root = self._heads["access"]
        path = [raw(step, 32) for step in steps[3:]]
        if index >= size or root_from_path(index, size, sha(b"\0", leaf), path) != root:
            broken("the event about the bundle is not in the log")
        said, values = self._shown(lines[1:], leaf)
        time_, position = leaf_at(leaf), int.from_bytes(leaf[2:10], "big")
        if position != index or said.get("event.type") != "evidence.packaged":
            broken("what is shown is not the event about a bundle")
        if values.get("event.digest") != digest:
            broken("the manifest is not the one that was logged")
        spans = [list(self._span(log)[1:]) for log in LOGS]
        period = [self._manifest["start"], self._manifest["stop"]]
        if [values.get("event.changes"), values.get("event.access")] != spans or (
            [values.get("event.start"), values.get("event.stop")] != period
        ):
            broken("the manifest is about another period than the event")
        self._made = (index, time_, values.get("event.at"))
        self._judged.about.append(
            (
                "made",
                f"{moment(time_)} by {safe(str(said.get('context.principal')))}, access #{index}",
            )
        )

    @staticmethod
    def _shown(lines: list[str], leaf: bytes) -> tuple[dict[str, str], dict[str, Any]]:
        level, values = [], {}
        for line in lines:
            words = line.split(" ")
            if len(words) != 4 or words[0] != "shown" or words[1] in values:
                broken("the event about the bundle does not show all of itself")
            value = raw(words[3])
            level.append(sha(b"\0", raw(words[2], 16), words[1].encode(), b"\0", value))
            try:
                values[words[1]], end = unpack(value, 0)
            except (IndexError, UnicodeDecodeError, struct.error):
                broken("a value is not MessagePack")
            if end != len(value):
                broken("a value goes on after its end")
        if root_of_fields(level) != leaf[18:50]:
            broken("the event about the bundle is not the one in the log")
        return {key: str(value) for key, value in values.items()}, values

    def _files(self) -> None:
        files = self._manifest["files"]
        closing = {"manifest.json", "closing/event"}
        closing |= {
            f"closing/{log}.{what}" for log in LOGS for what in ("checkpoint", "growth", "after")
        }
        if set(files) & closing or set(files) | closing != set(self._bundle.members):
            broken("the members are not those that the manifest names")
        if not all(MEMBER.fullmatch(name) for name in files):
            broken("there are members that the format does not know")
        for name, said in files.items():
            shape(said, {"sha256": str, "size": int}, name)
            if self._bundle.members[name].size != said["size"]:
                broken(f"{name} has another size than the manifest says")
            if self._bundle.digest(name, self._step) != said["sha256"]:
                broken(f"{name} is not the one that was logged")

    def _log(self, log: str) -> None:
        origin, first, stop = self._span(log)
        frontier = Frontier(first, self._bundle.text(f"{log}/frontier"))
        anchors = self._anchors(log, origin)
        believed = max((size for size, _, seen in anchors if seen and seen.witnessed), default=0)
        wanted = {size for size, *_ in anchors}
        wanted |= {size for name, size, _ in self._against() if name == origin}
        roots, before, times = self._roots[log], -1, self._times[log]
        if first in wanted:
            self._known(log, first, frontier.root())
        reader = self._bundle.reader(f"{log}/records")
        for position in range(first, stop):
            at, context, event = self._record(reader, log, position, frontier)
            if at <= before:
                broken(f"{log} #{position}: its time does not increase")
            before = at
            if position in (first, stop - 1):
                self._edges[log].append(at)
                times[position] = at
            if frontier.size in wanted:
                self._known(log, frontier.size, frontier.root())
                times[position] = at
            if position in wanted:
                times[position] = at
            if log == "access" and isinstance(event.get("at"), int):
                self._most_at = max(self._most_at, event["at"])
                if position < believed and event["at"] == self._span("changes")[2]:
                    self._tied = at
            self._judged.facts.add(log, position, context, event)
            if self._each is not None:
                self._each(log, position, at, context, event)
        if not reader.done:
            broken(f"{log}/records goes on after the period")
        self._after(log, frontier, before)
        self._grown(log, frontier)
        for size, root, seen in anchors:
            if roots.get(size) != root:
                broken(
                    f"{log}: others signed another history of {size} records, or it is not shown"
                )
            if seen is not None:
                self._seen[log].append(seen)

    def _known(self, log: str, size: int, root: bytes) -> None:
        if self._roots[log].setdefault(size, root) != root:
            broken(f"{log}: there are two histories of {size} records")

    def _record(
        self, reader: Reader, log: str, position: int, frontier: Frontier
    ) -> tuple[int, dict[str, Any], dict[str, Any]]:
        at, leaf, context, event = self._opening(reader, log, position)
        frontier.add(leaf)
        return at, context, event

    def _opening(
        self, reader: Reader, log: str, position: int | None
    ) -> tuple[int, bytes, dict[str, Any], dict[str, Any]]:
        signed = log == "changes"
        head = reader.take(214 if signed else 150)
        leaf, size = head[:114], int.from_bytes(head[-4:], "big")
        found = int.from_bytes(leaf[2:10], "big")
        if position is not None and found != position:
            broken(f"{log} #{position}: its leaf says #{found}")
        if leaf[:2] != b"\1\1" or size > LARGEST_RECORD:
            broken(f"{log} #{found}: the record is of an unknown format or too large")
        context, event, commitment = opened(reader.take(size), head[-36:-4])
        if commitment != leaf[18:50]:
            broken(f"{log} #{found}: the record does not say this")
        if signed:
            self._signed(leaf, head[114:178], found)
        self._step(len(head) + size)
        return leaf_at(leaf), leaf, context, event

    def _signed(self, leaf: bytes, signature: bytes, position: int) -> None:
        key = self._signer("changes", position)
        log_id = bytes.fromhex(key.name.split("/")[1])
        if not accepts(key, signature, b"muniment/event/v1\0" + log_id + leaf):
            broken(f"changes #{position}: its signature is not valid")

    def _after(self, log: str, frontier: Frontier, before: int) -> None:
        """The record right after the period, if the log has one."""
        after = self._bundle.text(f"closing/{log}.after")
        stop, (size, _) = frontier.size, self._heads[log]
        self._follower[log] = None
        if len(after) != (114 if size > stop else 0):
            broken(f"{log}: the record after the period is missing, or too much")
        if after:
            at = leaf_at(after)
            if int.from_bytes(after[2:10], "big") != stop or at <= before or after[:2] != b"\1\1":
                broken(f"{log}: the record after the period is another one")
            self._follower[log] = at
            frontier.add(after)

    def _grown(self, log: str, frontier: Frontier) -> None:
        """The trees of the period, of anchors and of kept checkpoints grew into the signed one."""
        size, root = self._heads[log]
        self._known(log, frontier.size, frontier.root())
        said = self._growth(log)
        known = self._anchored[log] | {frontier.size: self._roots[log][frontier.size]}
        known |= {at: of for name, at, of in self._against() if name == self._span(log)[0]}
        for old, path in said.items():
            if old not in known:
                broken(f"{log}: a proof of growth is about an unknown tree")
            check_growth(old, size, known[old], root, path)
            self._known(log, old, known[old])
        if frontier.size not in (0, size) and frontier.size not in said:
            broken(f"{log}: it is not shown that the signed tree holds the period")
        if frontier.size == 0 and size:
            broken(f"{log}: it is not shown that the signed tree holds the period")

    def _growth(self, log: str) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        text = self._bundle.text(f"closing/{log}.growth").decode("utf-8", "replace")
        if text and not text.endswith("\n"):
            broken("a proof of growth is cut off")
        last = -1
        for line in text.split("\n")[:-1]:
            if line.startswith("old "):
                old = number(line[4:])
                if old <= last:
                    broken("the proofs of growth are not in order")
                found[old], last = [], old
            elif found and len(found[last]) < 64:
                found[last].append(raw(line, 32))
            else:
                broken("a proof of growth is malformed")
        return found

    # -- what others said -------------------------------------------------------------------------

    def _against(self) -> list[tuple[str, int, bytes]]:
        return [note.head() for note in self._trust.against]

    def _anchors(self, log: str, origin: str) -> list[tuple[int, bytes, Seen | None]]:
        """Size, root and what others said of each anchor.  Their signatures are checked here."""
        found: list[tuple[int, bytes, Seen | None]] = []
        prefix = f"{log}/anchors/"
        names = [name for name in self._bundle.members if name.startswith(prefix)]
        seconds = self._second_keys(log)
        for name in names:
            if not name.endswith(".note"):
                continue
            data = self._bundle.text(name)
            note = read_note(data)
            named, size, root = note.head()
            if named != origin or name != f"{prefix}{size:020}.note" or size == 0:
                broken(f"{name} is of another log or size")
            if not note.valid(self._signer(log, size)):
                broken(f"{name} is not signed by this log's key")
            self._published += 1
            stamps_of_second = [stamp for key in seconds(size) for stamp in note.valid(key)]
            self._twice += bool(stamps_of_second)
            stamps = [one for one in names if one.startswith(f"{prefix}{size:020}-")]
            found.append((size, root, self._outside(note, self._signer(log, size), stamps)))
            self._anchored[log][size] = root
        return found

    def _second_keys(self, log: str) -> Callable[[int], list[Key]]:
        """By size: the ML-DSA-44 keys that the auditor brought, or that the log's own key endorsed."""
        chain, prefix = self._chains[log], f"{log}/second-"
        origin = self._span(log)[0]
        brought = [key for key in self._trust.keys if (key.name, key.kind) == (origin, ML_DSA_44)]
        endorsed: dict[int, Key] = {}
        for name in self._bundle.members:
            if name.startswith(prefix):
                start = int(name[len(prefix) :].removesuffix(".note"))
                first = next((key for at, key in chain if at == start), None)
                if first is None:
                    broken(f"{name} is of a signing key that is not there")
                endorsed[start] = read_second(self._bundle.text(name), start, first)
        if (brought or endorsed) and not knows_ml_dsa():
            self._judged.about.append(("second key", "not checked: `cryptography` is too old"))
            return lambda size: []

        def keys(size: int) -> list[Key]:
            own = endorsed.get(chain[self._epoch(log, size)][0])
            return [*brought, *([own] if own is not None and own not in brought else [])]

        return keys

    def _outside(self, note: Note, signer: Key, stamps: list[str]) -> Seen | None:
        """When others had seen *note*.  A false word of somebody known is a forgery."""
        policy = self._trust.policy
        try:
            witnessed = policy.time_of(note) if policy and policy.means(signer) else None
            times = [witnessed]
            if self._trust.roots:
                text = note.text.encode()
                times += [
                    stamped(self._bundle.text(name), text, self._trust.roots) for name in stamps
                ]
        except Refused as refusal:
            self._false_word = str(refusal)
            return None
        said = [at for at in times if at is not None]
        return Seen(note.head()[1], min(said), witnessed) if said else None

    # -- rules ------------------------------------------------------------------------------------

    def _rules(self) -> None:
        """The rules from before the period, each proved by its record."""
        _, first, _ = self._span("changes")
        frontier = Frontier(first, self._bundle.text("changes/frontier"))
        reader, last, root = self._bundle.reader("changes/rules"), -1, frontier.root()
        for _ in range(MOST_RULES):
            if reader.done:
                break
            at, leaf, context, event = self._opening(reader, "changes", None)
            position = int.from_bytes(leaf[2:10], "big")
            path = [reader.take(32) for _ in range(reader.take(1)[0])]
            if not last < position < first or event.get("type") not in RULES or at < 0:
                broken("a rule is out of place")
            if root_from_path(position, first, sha(b"\0", leaf), path) != root:
                broken(f"rule changes #{position} is not in the log")
            last = position
            if event.get("type") == "vault.created":
                self._judged.facts.vault = str(event.get("name"))
            self._judged.facts.rules.append(told("changes", position, context, event))
        if not reader.done:
            broken("there are too many rules")

    # -- completeness -----------------------------------------------------------------------------

    def completeness(self) -> tuple[bool, str]:
        start, stop = self._manifest["start"], self._manifest["stop"]
        index, made, at = self._made
        wanted = self._trust
        if (wanted.start is not None and start > wanted.start) or (
            wanted.stop is not None and stop < wanted.stop
        ):
            raise Refused(COMPLETENESS, "the bundle is of a shorter period than you asked for")
        if start > stop or made < stop:
            raise Refused(COMPLETENESS, "the bundle was made before the period was over")
        for log in LOGS:
            self._complete(log, start, stop)
        size = self._heads["changes"][0]
        if not isinstance(at, int) or at > size or at < self._span("changes")[2]:
            raise Refused(COMPLETENESS, "changes had other records when the bundle was made")
        if self._most_at > at:
            raise Refused(COMPLETENESS, "access speaks of changes that changes does not have")
        # No later change shows where the period ends, so the other log must: how many changes
        # there were when the bundle was made, after the period.
        if self._follower["changes"] is None and at != self._span("changes")[2]:
            raise Refused(COMPLETENESS, "changes of the period are missing at its end")
        if index < self._span("access")[2]:
            raise Refused(COMPLETENESS, "the event about the bundle lies before the period's end")
        counts = ", ".join(
            f"{log} #{first} to #{last - 1}" if last > first else f"{log} has none"
            for log, (_, first, last) in ((log, self._span(log)) for log in LOGS)
        )
        return True, f"no record of the period is missing: {counts}"

    def _complete(self, log: str, start: int, stop: int) -> None:
        _, first, last = self._span(log)
        times, after = self._edges[log], self._follower[log]
        if times and not start <= times[0] <= times[-1] < stop:
            raise Refused(COMPLETENESS, f"{log}: a record lies outside of the period")
        if after is not None and after < stop:
            raise Refused(COMPLETENESS, f"{log} #{last} belongs to the period and is missing")
        if first:
            before = self._before(log, first)
            if before >= start:
                raise Refused(
                    COMPLETENESS, f"{log} #{first - 1} belongs to the period and is missing"
                )

    def _before(self, log: str, first: int) -> int:
        """The time of the record right before the period."""
        text = self._bundle.text(f"{log}/before")
        leaf, path = text[:114], [text[at : at + 32] for at in range(114, len(text), 32)]
        root = Frontier(first, self._bundle.text(f"{log}/frontier")).root()
        if len(leaf) != 114 or int.from_bytes(leaf[2:10], "big") != first - 1:
            broken(f"{log}: the record before the period is missing")
        if root_from_path(first - 1, first, sha(b"\0", leaf), path) != root:
            broken(f"{log}: the record before the period is not in the log")
        return leaf_at(leaf)

    # -- time -------------------------------------------------------------------------------------

    def time(self) -> tuple[bool | None, str]:
        self._compare_kept()
        if self._false_word:
            raise Refused(TIME, self._false_word)
        if self._trust.policy is None and not self._trust.roots:
            return None, "you named nobody whose time you believe: --policy or --tsa-root"
        words, latest = [], 0
        for log in LOGS:
            self._contradicted(log)
        for log in LOGS:
            _, first, stop = self._span(log)
            seen = [one.time for one in self._seen[log] if one.size >= stop]
            # Without a record in the period, too: who holds the keys could have left them all out.
            if not seen:
                return None, f"nobody whom you believe saw {log}" + (
                    f" up to #{stop - 1}" if stop else " at all"
                )
            self._unseen(log)
            if first < stop:
                words.append(f"{log} before {moment(min(seen))}")
                latest = max(latest, self._delay(log))
        if not words:
            return True, "others had seen both logs, which have no record of the period"
        late = f"; each at most {timedelta(microseconds=latest)} after its own time"
        return True, "others had seen " + ", ".join(words) + late

    def _unseen(self, log: str) -> None:
        """Say so if no witness looked any more when the period was over.

        Who holds the keys can begin anew behind the last tree that witnesses saw, and leave out what
        came after it.  A record of `access` that they saw says how many changes there were, too.
        """
        last = max((one.witnessed or 0 for one in self._seen[log]), default=0)
        if log == "changes":
            last = max(last, self._tied)
        if last < self._manifest["stop"] - SKEW:
            since = f" after {moment(last)}" if last else ""
            self._judged.weaker.append(
                f"no witness whom you believe looked at {log}{since}: that nothing was left out "
                "from then to the period's end is the word of who has its keys"
            )

    def _contradicted(self, log: str) -> None:
        """No record may say that it is younger than others saw it."""
        _, first, stop = self._span(log)
        for one in self._seen[log]:
            # Times increase, so the last record before an anchor speaks for all before it.
            last = min(one.size, stop) - 1
            if last >= first and self._times[log][last] > one.time + SKEW:
                raise Refused(TIME, f"{log} #{last} says it is younger than others saw it")

    def _delay(self, log: str) -> int:
        """How long at most a record was there, by its own time, before others saw it."""
        found = 0
        for position, at in self._times[log].items():
            seen = min(one.time for one in self._seen[log] if one.size > position)
            found = max(found, seen - at)
        return found

    def _compare_kept(self) -> None:
        for origin, size, root in self._against():
            logs = [log for log in LOGS if self._span(log)[0] == origin]
            if not logs:
                raise Refused(TIME, f"a kept checkpoint is of another log, {safe(origin)}")
            found = self._roots[logs[0]].get(size)
            if found is not None and found != root:
                raise Refused(TIME, f"{logs[0]} is not the history of which you kept a checkpoint")
            if found is None:
                self._judged.weaker.append(
                    f"your checkpoint of {size} records cannot be compared: have it named to "
                    "`audit package --against`"
                )


def leaf_at(leaf: bytes) -> int:
    """The time in a leaf, in microseconds."""
    return int.from_bytes(leaf[10:18], "big")


# --- the terminal -------------------------------------------------------------------------------


def print_verdicts(judged: Judged) -> None:
    for name, what in judged.about:
        print(f"{name:<14}{what}")
    for verdict in VERDICTS:
        holds, why = judged.said[verdict]
        word = {True: "verified", False: "NOT VERIFIED", None: "NOT SHOWN"}[holds]
        print(f"{verdict:<14}{word}: {safe(why)}")
    for why in judged.weaker:
        print(f"{'weaker':<14}{safe(why)}")


def print_facts(facts: Facts, most: int = 20) -> None:
    print("\nWhat the records say (the report in the bundle is only a convenience):")
    total = facts.kinds.total()
    print(
        f"  {total:,} records: "
        + ", ".join(f"{n:,} {what}" for what, n in sorted(facts.kinds.items()))
    )
    for title, counts in (
        ("operation", facts.operations),
        ("values given to", facts.readers),
        ("refused as", facts.refusals),
    ):
        for what, count in counts.most_common(most):
            print(f"  {title:<16}{count:>9,}  {safe(what)}")
        if len(counts) > most:
            print(f"  {title:<16}{len(counts) - most:>9,}  more of them")
    if facts.rules:
        print("  rules before the period are from the log; that there were no others is not shown")
    for title, lines in (("rule before", facts.rules), ("of note", facts.worth)):
        for line in lines[:most]:
            print(f"  {title:<16}{line[:300]}")
        if len(lines) > most:
            print(f"  {title:<16}{len(lines) - most:,} more: --events prints all")


def progress_on(stream: Any) -> Callable[[int, int], None]:
    began = shown = time.monotonic()

    def step(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - began > 0.5 and now - shown > (0.1 if stream.isatty() else 10):
            shown = now
            line = f"checked {100 * done // max(total, 1)} %"
            stream.write(f"\r\x1b[K{line}" if stream.isatty() else f"{line}\n")
            stream.flush()

    return step


def point(text: str) -> int:
    """RFC 3339, or a date, as microseconds."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (at.replace(tzinfo=at.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


def print_event(
    log: str, position: int, at: int, context: dict[str, Any], event: dict[str, Any]
) -> None:
    line = {
        "log": log,
        "position": position,
        "time": moment(at),
        "context": context,
        "event": event,
    }
    print(json.dumps(line, default=bytes.hex))


def trust_of(given: argparse.Namespace) -> Trust:
    def read(file: str) -> bytes:
        with open(file, "rb") as opened_file:
            return opened_file.read()

    lines = [line for line in read(given.key).decode().splitlines() if line.strip()]
    keys = [read_key(line) for line in lines if not line.startswith("#")]
    for log in LOGS:
        # Nothing but this paper says that two logs are those of one vault.
        if len({key.name for key in keys if key.name.endswith(f"/{log}")}) > 1:
            broken(f"{given.key} has keys of more than one log {log}: give those of one vault")
    return Trust(
        keys,
        Policy(read(given.policy).decode()) if given.policy else None,
        tuple(x509.load_pem_x509_certificates(read(given.tsa_root))) if given.tsa_root else (),
        tuple(read_note(read(file)) for file in given.against),
        point(given.start) if given.start else None,
        point(given.stop) if given.stop else None,
    )


def main(arguments: list[str] | None = None) -> int:
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle")
    parser.add_argument("--key", required=True, help="file with the logs' verifier key lines")
    parser.add_argument("--tsa-root", help="certificates (PEM) of time-stamping authorities")
    parser.add_argument("--policy", help="witnesses you believe, and their quorum")
    parser.add_argument("--against", action="append", default=[], help="a checkpoint you kept")
    parser.add_argument("--from", dest="start", help="the period you asked for begins here")
    parser.add_argument("--to", dest="stop", help="and ends here")
    parser.add_argument(
        "--events",
        action="store_true",
        help="print each record as a line of JSON; believe them if the status is 0 or 21",
    )
    given = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that this terminal cannot write must not end the check.
            stream.reconfigure(errors="backslashreplace")
    try:
        trust = trust_of(given)
    except (OSError, ValueError, Refused) as problem:
        print(f"what you trust cannot be read: {problem}", file=sys.stderr)
        return 2
    each = print_event if given.events else None
    try:
        with open(given.bundle, "rb") as file:
            judged = judge(file, trust, progress_on(sys.stderr), each)
    except OSError as problem:
        print(problem, file=sys.stderr)
        return 2
    if given.events:
        sys.stdout = sys.stderr
    facts = judged.facts
    if judged.said[INTEGRITY][0]:
        judged.about.insert(0, ("vault", safe(facts.vault)))
    print_verdicts(judged)
    if judged.said[INTEGRITY][0]:
        print_facts(facts)
    return judged.status


if __name__ == "__main__":
    sys.exit(main())
