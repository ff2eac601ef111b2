"""What keyring tests share: a root key in memory, a check, an attacker, and faults at every step."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest

from eventstore import seal
from eventstore.errors import KeyErased, SealBroken
from eventstore.keyring import Keyring
from eventstore.keytree import open_node
from eventstore.rootkey import Argon2Cost

STORE = b"a store, 16 byte"
CHEAP = Argon2Cost(iterations=1, lanes=1, memory=8)


class MemoryRoot:
    """The third provider: two slots that last as long as the process."""

    provider = "memory"
    assurance = "the old root key is gone when Python gives its memory away"

    def __init__(self) -> None:
        self.slots: dict[int, bytes] = {}

    def read(self, slot: int) -> bytes | None:
        return self.slots.get(slot)

    def write(self, slot: int, key: bytes) -> None:
        assert slot not in self.slots, "a slot is destroyed before it is written"
        self.slots[slot] = key

    def destroy(self, slot: int) -> None:
        self.slots.pop(slot, None)


def holds(ring: Keyring, keys: dict[int, bytes | None]) -> None:
    """The keyring gives every key as it was given out, and no key that was destroyed (None)."""
    for number, key in keys.items():
        if key is None:
            with pytest.raises(KeyErased):
                ring.key(number)
        else:
            assert ring.key(number) == key


def given_out(ring: Keyring, nodes: int = 1) -> dict[int, bytes | None]:
    first = ring.allocate(nodes)
    return {number: ring.key(number) for number in range(first, first + 64 * nodes)}


class Attacker:
    """Has every byte that was ever in the directories it saw, and tries every key on every row."""

    def __init__(self) -> None:
        self.rows: set[bytes] = set()
        self.sealed_slots: set[bytes] = set()
        self.keys: set[bytes] = set()
        self._size = 80 + seal.padded_size(16 + 64 * 32)

    def copies(self, keyring: Path, to: Path) -> None:
        """Copy the directory, and take the rows LMDB shows and those in its freed pages too."""
        shutil.copytree(keyring, to)
        with lmdb.open(str(to), readonly=True, lock=False) as env, env.begin() as txn:
            shown = {bytes(row) for _, row in txn.cursor() if len(row) == self._size}
        pages = (to / "data.mdb").read_bytes()
        found = {pages[at + 16 : at + 16 + self._size] for at in range(0, len(pages), 4096)}
        assert shown <= found, "the attacker looks for rows where LMDB does not put them"
        self.rows |= found

    def copies_slots(self, directory: Path) -> None:
        """Take each slot file's body for a root key, and for a sealed one."""
        for file in directory.iterdir():
            body = file.read_bytes()[10:-32]
            self.keys.add(body[:32])
            self.sealed_slots.add(body)

    def learns(self, key: bytes | None) -> None:
        assert key is not None
        self.keys.add(key)

    def opens(self) -> set[bytes]:
        """Every key it can get at, itself derived from."""
        to_try = list(self.keys)
        while to_try:
            for key in self._opened_by(to_try.pop()):
                if key not in self.keys:
                    self.keys.add(key)
                    to_try.append(key)
        return self.keys

    def _opened_by(self, key: bytes) -> Iterator[bytes]:
        for row in self.rows:
            if seal.derive(key, row[:32], b"node").commitment == row[32:64]:
                yield from _children(key, row)
        for body in self.sealed_slots:
            parameters, sealed = body[:28], body[28:]
            if seal.derive(key, sealed[:32], b"root-slot").commitment == sealed[32:64]:
                yield seal.open_seal(key, b"root-slot", parameters, sealed)


def _children(key: bytes, row: bytes) -> Iterator[bytes]:
    for place in ((level, index) for level in range(5) for index in range(80)):
        try:
            node = open_node(STORE, place, key, row)
        except SealBroken:
            continue
        # What the node calls destroyed is taken as well: its bytes may have been left there.
        yield from {node.key(child) for child in range(64)} - {bytes(32)}


class Crash(BaseException):
    """The process is gone at this point."""


class Faults:
    """Counts the steps that touch disk or randomness, and lets one of them go wrong.

    *how*: "before" and "after" are a crash around the step, "half" a crash amid a write, "error" a
    disk that reports EIO and does nothing, "late error" one that reports it and did it all.
    """

    def __init__(self, how: str, at: int) -> None:
        self.how, self.at, self.steps = how, at, 0

    def around(self, act: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object) -> object:
            self.steps += 1
            if self.steps != self.at:
                return act(*args)
            if self.how in ("before", "error"):
                raise self._failure(act)
            if self.how == "half" and act.__name__ == "write":
                act(args[0], args[1][: len(args[1]) // 2])  # type: ignore[index, arg-type]
            else:
                act(*args)
            raise self._failure(act)

        return step

    @contextmanager
    def injected(self, ring: Keyring) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("write", "fsync", "ftruncate", "unlink"):
                patch.setattr(os, name, self.around(getattr(os, name)))
            patch.setattr(ring, "_end", self.around(ring._end))
            patch.setattr(ring, "_entropy", self.around(ring._entropy))
            yield

    @property
    def happened(self) -> bool:
        return self.steps >= self.at

    def _failure(self, act: Callable[..., object]) -> BaseException:
        if "error" not in self.how:
            return Crash()
        if act.__name__ == "_end":
            return lmdb.DiskError("injected")
        return OSError(errno.EIO, "injected")
