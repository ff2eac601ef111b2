"""The root key lives in one of two erasable slots, outside the store.

A slot is written whole and durably, or it reads as damaged; it is never written over, only
destroyed and written anew.  Which slot counts is not known here: the keyring's header names it.
Two slots are what makes a rotation safe: the new key stands beside the old until the keyring is
committed under it, and only then is the old one destroyed.

A slot file is ``MUNIROOT`` || version u8 || kind u8 || body || SHA-256 of all before it.  The hash
is no protection against an attacker (the header's commitment is); it tells a torn write from a
wrong key.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import threading
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from eventstore import seal
from eventstore.durable import sync_directory
from eventstore.errors import (
    FormatUnknown,
    RootKeyDamaged,
    RootKeyExists,
    RootKeyExposed,
    RootKeyMissing,
    RootKeyWrong,
    SealBroken,
    StoreLocked,
    WrongKey,
)
from eventstore.keytree import Entropy

SLOTS: Final = (0, 1)
_MAGIC: Final = b"MUNIROOT"
_VERSION: Final = 1
_PLAIN: Final = 1
_PASSPHRASE: Final = 2
_HEAD: Final = struct.Struct(">8sBB")
_HASH_SIZE: Final = 32
_MAX_SIZE: Final = 4096
_LABEL: Final = b"root-slot"


class RootKey(Protocol):
    """Where the 32 bytes are kept that open everything, in slot 0 or slot 1."""

    @property
    def provider(self) -> str:
        """One word that goes into the erasure receipt."""

    @property
    def assurance(self) -> str:
        """One honest sentence: what `destroy` can promise here, and what it cannot."""

    def read(self, slot: int) -> bytes | None:
        """Return the key in *slot*, or None if the slot is empty."""

    def write(self, slot: int, key: bytes) -> None:
        """Put *key* into the empty *slot*; it is durable when this returns."""

    def destroy(self, slot: int) -> None:
        """Make what *slot* held unreadable, durably.  An empty slot stays empty."""


class FileRootKey:
    """The key in the clear, in a file that only its owner may read."""

    provider = "file"
    assurance = (
        "the old root key's file was overwritten, truncated and unlinked; on flash (SSD), on "
        "copy-on-write or journaling file systems, in snapshots and in backups its old bytes may "
        "survive, and there they undo the erasure"
    )

    def __init__(self, directory: str | os.PathLike[str], entropy: Entropy = os.urandom) -> None:
        self._slots = _SlotFiles(Path(directory), entropy)

    def __repr__(self) -> str:
        return f"FileRootKey({str(self._slots.directory)!r})"

    def read(self, slot: int) -> bytes | None:
        found = self._slots.read(slot)
        if found is None:
            return None
        kind, body = found
        if kind == _PASSPHRASE:
            raise StoreLocked
        if kind != _PLAIN or len(body) != seal.KEY_SIZE:
            raise RootKeyDamaged("the slot holds no root key that this release knows")
        return body

    def write(self, slot: int, key: bytes) -> None:
        self._slots.write(slot, _PLAIN, key)

    def destroy(self, slot: int) -> None:
        self._slots.destroy(slot)


class Argon2Cost(NamedTuple):
    """What a guess at the passphrase costs.  *memory* is in KiB."""

    iterations: int
    lanes: int
    memory: int


RFC9106_SECOND: Final = Argon2Cost(iterations=3, lanes=4, memory=64 * 1024)
"""RFC 9106, section 4: the second recommended option, for where 2 GiB are too much."""

_MOST: Final = Argon2Cost(iterations=16, lanes=16, memory=1024 * 1024)
_PARAMETERS: Final = struct.Struct(">III16s")


class PassphraseRootKey:
    """The key sealed under an Argon2id key of a passphrase (RFC 9106).

    Salt and cost stand inside each slot file and not in a file of their own, so that a slot is
    complete by itself and no two files ever have to change together.  A new passphrase therefore
    needs no step of its own: it is a rotation whose new slot is sealed under it
    (``keyring.rotate_root(root.with_passphrase(new))``), and what makes a rotation crash-safe makes
    this crash-safe.  To seal the same root key again instead would be weaker as well: an old copy
    of the slot and the old passphrase would go on to open the store.

    Whoever has every old byte of the slots and the current root key, but not the passphrase, opens
    no earlier root key: no slot is sealed under anything but the passphrase.
    """

    provider = "passphrase"
    assurance = (
        "the old root key stood only sealed under an Argon2id key of the passphrase, and its file "
        "was overwritten, truncated and unlinked; whoever recovers the old bytes (flash, "
        "copy-on-write, snapshots, backups) opens them only by knowing or guessing the passphrase"
    )

    def __init__(
        self,
        directory: str | os.PathLike[str],
        passphrase: bytes,
        cost: Argon2Cost = RFC9106_SECOND,
        entropy: Entropy = os.urandom,
    ) -> None:
        if not passphrase:
            raise StoreLocked
        self._slots = _SlotFiles(Path(directory), entropy)
        self._passphrase = passphrase
        self._cost = cost
        self._entropy = entropy
        self._lock = threading.Lock()
        self._proven: tuple[bytes, bytes] | None = None

    def __repr__(self) -> str:
        return f"PassphraseRootKey({str(self._slots.directory)!r})"

    def with_passphrase(self, new: bytes, cost: Argon2Cost | None = None) -> PassphraseRootKey:
        """The same slots under a new passphrase; hand it to `Keyring.rotate_root`."""
        directory = self._slots.directory
        return PassphraseRootKey(directory, new, cost or self._cost, self._entropy)

    def read(self, slot: int) -> bytes | None:
        found = self._slots.read(slot)
        if found is None:
            return None
        kind, body = found
        if kind == _PLAIN:
            raise RootKeyWrong("the root key stands in a plain file: no passphrase belongs to it")
        if kind != _PASSPHRASE or len(body) <= _PARAMETERS.size:
            raise RootKeyDamaged("the slot holds no root key that this release knows")
        return self._open(body[: _PARAMETERS.size], body[_PARAMETERS.size :])

    def write(self, slot: int, key: bytes) -> None:
        parameters, kek = self._for_writing()
        sealed = seal.seal(kek, self._entropy(seal.SALT_SIZE), _LABEL, parameters, key)
        self._slots.write(slot, _PASSPHRASE, parameters + sealed)

    def destroy(self, slot: int) -> None:
        self._slots.destroy(slot)

    def _open(self, parameters: bytes, sealed: bytes) -> bytes:
        with self._lock:
            kek = self._derive(parameters)
            try:
                key = seal.open_seal(kek, _LABEL, parameters, sealed)
            except WrongKey:
                raise RootKeyWrong from None
            except SealBroken:
                raise RootKeyDamaged from None
            # Only what opened a slot is kept, and so goes on to seal the next one: a planted slot
            # must not choose the salt and the cost of what we write.
            self._proven = parameters, kek
            return key

    def _for_writing(self) -> tuple[bytes, bytes]:
        with self._lock:
            if self._proven is None or _cost_of(self._proven[0]) != self._cost:
                parameters = _PARAMETERS.pack(*self._cost, self._entropy(16))
                self._proven = parameters, self._derive(parameters)
            return self._proven

    def _derive(self, parameters: bytes) -> bytes:
        if self._proven is not None and self._proven[0] == parameters:
            return self._proven[1]
        cost, salt = _cost_of(parameters), parameters[-16:]
        kdf = Argon2id(
            salt=salt,
            length=seal.KEY_SIZE,
            iterations=cost.iterations,
            lanes=cost.lanes,
            memory_cost=cost.memory,
        )
        return kdf.derive(self._passphrase)


def _cost_of(parameters: bytes) -> Argon2Cost:
    """Read the cost, and refuse one that would eat the machine: a slot file may be hostile."""
    cost = Argon2Cost(*_PARAMETERS.unpack(parameters)[:3])
    least = Argon2Cost(iterations=1, lanes=1, memory=8 * cost.lanes)
    if not all(low <= is_ <= high for low, is_, high in zip(least, cost, _MOST, strict=True)):
        raise RootKeyDamaged("the slot asks for an Argon2id cost outside the limits")
    return cost


class _SlotFiles:
    """The files ``slot-0`` and ``slot-1``, 0600, in a directory that only the owner may write."""

    def __init__(self, directory: Path, entropy: Entropy) -> None:
        self.directory = directory
        self._entropy = entropy

    def read(self, slot: int) -> tuple[int, bytes] | None:
        """Return kind and body of *slot*, or None if there is no such file."""
        try:
            framed = self._read_private(slot)
        except FileNotFoundError:
            return None
        except OSError as failure:
            raise RootKeyMissing(f"{self._path(slot)}: {failure.strerror}") from None
        return _unframe(framed)

    def write(self, slot: int, kind: int, body: bytes) -> None:
        self._make_directory()
        head = _HEAD.pack(_MAGIC, _VERSION, kind) + body
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.open(self._path(slot), flags, 0o600)
        except FileExistsError:
            raise RootKeyExists(f"{self._path(slot)} holds something already") from None
        try:
            _write_all(file, head + hashlib.sha256(head).digest())
            os.fsync(file)
        finally:
            os.close(file)
        sync_directory(self.directory)

    def destroy(self, slot: int) -> None:
        try:
            file = os.open(self._path(slot), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            # Overwritten and synced before it is truncated: a truncated file's blocks are free at
            # once, and would keep their bytes.
            _write_all(file, self._entropy(min(os.fstat(file).st_size, _MAX_SIZE)))
            os.fsync(file)
            os.ftruncate(file, 0)
            os.fsync(file)
        finally:
            os.close(file)
        os.unlink(self._path(slot))
        sync_directory(self.directory)

    def _path(self, slot: int) -> Path:
        return self.directory / f"slot-{slot}"

    def _make_directory(self) -> None:
        if not self.directory.is_dir():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self.directory.parent)

    def _read_private(self, slot: int) -> bytes:
        if stat.S_IMODE(os.stat(self.directory).st_mode) & 0o022:
            raise RootKeyExposed(f"others may write to {self.directory}")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(self._path(slot), flags)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise RootKeyDamaged(f"{self._path(slot)} is not a regular file")
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise RootKeyExposed(f"others may use {self._path(slot)}")
            return os.read(file, _MAX_SIZE + 1)
        finally:
            os.close(file)


def _unframe(framed: bytes) -> tuple[int, bytes]:
    if not _HEAD.size + _HASH_SIZE <= len(framed) <= _MAX_SIZE:
        raise RootKeyDamaged("the slot is torn: its size is wrong")
    magic, version, kind = _HEAD.unpack_from(framed)
    if magic != _MAGIC:
        raise RootKeyDamaged("the slot is torn: it does not begin as a slot does")
    if version != _VERSION:
        raise FormatUnknown(f"the root key slot has format {version}")
    head, digest = framed[:-_HASH_SIZE], framed[-_HASH_SIZE:]
    if hashlib.sha256(head).digest() != digest:
        raise RootKeyDamaged("the slot is torn: its checksum is wrong")
    return kind, head[_HEAD.size :]


def _write_all(file: int, text: bytes) -> None:
    while text:
        text = text[os.write(file, text) :]
