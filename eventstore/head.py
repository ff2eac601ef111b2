"""What a log keeps about itself beside its records: who it is, where it stands, whose keys count.

Three rows are public, and a verifier checks every byte of them.  The identity never changes; the
head moves with every record; an epoch begins where the signing key was rotated.  Each signing key
but the first is endorsed in a signed note that names the log, the position from which the new key
counts and both keys, and that both keys sign: so neither can be replaced.

A fourth row is for holders of the store's keys: which keys in the keyring these are, and a MAC over
all four.  Nobody without the keys can have a head of his own making signed by the next who opens
the log.  Pure.
"""

from __future__ import annotations

import hmac
import struct
from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple

import msgspec

from eventstore.checkpoint import Signer, Verifier, parse_verifier, sign_note, signatures
from eventstore.errors import (
    CheckpointMalformed,
    CheckpointSignatureInvalid,
    FormatUnknown,
    HeadAltered,
    KeyChainBroken,
    RecordMalformed,
)
from eventstore.merkle import HASH_SIZE, Frontier
from eventstore.record import KINDS, LOG_ID_SIZE, Kind

FORMAT = 1

_HEAD = struct.Struct(">QQ")
_MAC_SIZE = 32
_AUTHENTICATED = b"muniment/head/v1\0"


class Identity(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which log this is: the format of its store, its kind and its 16-byte id."""

    format: int
    kind_name: str
    log_id: bytes

    @property
    def kind(self) -> Kind:
        return KINDS[self.kind_name]

    @property
    def origin(self) -> str:
        """The name in checkpoints.  It holds the id and no vault name, so it tells nothing."""
        return f"muniment/{self.log_id.hex()}/{self.kind_name}"


class Head(msgspec.Struct, frozen=True):
    """Where a log stands: how many records, the time of the last, and the tree's frontier."""

    size: int
    time: int
    frontier: tuple[bytes, ...]

    def root(self) -> bytes:
        return Frontier(self.size, self.frontier).root()


class SigningEpoch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """From position *start* on, the key that *verifier* names signs."""

    start: int
    verifier: str
    endorsement: str


class AuditEpoch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """From position *start* on, metadata is sealed under the audit key with number *key*."""

    start: int
    key: int


class Epochs(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The signing keys of a log, oldest first."""

    signing: tuple[SigningEpoch, ...]

    def signing_index(self, position: int) -> int:
        """Which signing epoch the record at *position* belongs to."""
        return _at(self.signing, position)

    def verifier_at(self, size: int) -> str:
        """Whose signature a checkpoint of that size bears."""
        return self.signing[self.signing_index(size)].verifier


class Numbers(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which keys of the keyring a log uses: one for each signing epoch, and its audit epochs.

    *behind* says that the clock stepped back and has not caught up, and that this is recorded.
    """

    signing: tuple[int, ...]
    audit: tuple[AuditEpoch, ...]
    behind: bool

    def audit_key(self, position: int) -> int:
        """The number of the audit key that seals the record at *position*."""
        return self.audit[_at(self.audit, position)].key


def _at(epochs: tuple[SigningEpoch, ...] | tuple[AuditEpoch, ...], position: int) -> int:
    if len(epochs) == 1:
        return 0
    return max(0, bisect_right(epochs, position, key=lambda epoch: epoch.start) - 1)


_identity = msgspec.msgpack.Decoder(Identity)
_epochs = msgspec.msgpack.Decoder(Epochs)
_numbers = msgspec.msgpack.Decoder(Numbers)
_encoder = msgspec.msgpack.Encoder()


def encode(row: Identity | Epochs | Numbers) -> bytes:
    return _encoder.encode(row)


def encode_head(head: Head) -> bytes:
    """size u64 || time u64 || frontier, 32 bytes each, the largest subtree first."""
    return _HEAD.pack(head.size, head.time) + b"".join(head.frontier)


@lru_cache(maxsize=16)
def decode_head(row: bytes) -> Head:
    """Raise RecordMalformed."""
    start = _HEAD.size
    if len(row) < start:
        raise RecordMalformed("the head is too short")
    size, time = _HEAD.unpack_from(row)
    hashes = tuple(row[at : at + HASH_SIZE] for at in range(start, len(row), HASH_SIZE))
    if len(row) - start != size.bit_count() * HASH_SIZE:
        raise RecordMalformed("the head's frontier does not fit its size")
    return Head(size, time, hashes)


class PublicRows(NamedTuple):
    """The three public rows, as they are stored."""

    identity: bytes
    head: bytes
    epochs: bytes


def encode_numbers(numbers: Numbers, public: PublicRows, signer: Signer) -> bytes:
    """MessagePack || MAC, 32 bytes, over the public rows and over that MessagePack."""
    said = encode(numbers)
    return said + signer.mac(_authenticated(public, said))


def check_numbers(row: bytes, public: PublicRows, signer: Signer) -> None:
    """Raise HeadAltered if no holder of the log's keys wrote these rows, as they are stored."""
    said, mac = row[:-_MAC_SIZE], row[-_MAC_SIZE:]
    if not hmac.compare_digest(mac, signer.mac(_authenticated(public, said))):
        raise HeadAltered


def _authenticated(public: PublicRows, numbers: bytes) -> bytes:
    parts = (*public, numbers)
    return _AUTHENTICATED + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def decode_identity(row: bytes) -> Identity:
    """Raise RecordMalformed or FormatUnknown."""
    try:
        read = _identity.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RecordMalformed("the log's identity is not decodable") from None
    if read.format != FORMAT or read.kind_name not in KINDS:
        raise FormatUnknown(f"store format {read.format}, log {read.kind_name!r}")
    if len(read.log_id) != LOG_ID_SIZE:
        raise RecordMalformed("the log id has not 16 bytes")
    _check_form(read, row)
    return read


@lru_cache(maxsize=64)
def decode_epochs(row: bytes) -> Epochs:
    """Raise RecordMalformed.  Cached, since every transaction reads the same few bytes."""
    try:
        read = _epochs.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RecordMalformed("the log's epochs are not decodable") from None
    _check_form(read, row)
    _check_order([epoch.start for epoch in read.signing])
    return read


@lru_cache(maxsize=16)
def decode_numbers(row: bytes) -> Numbers:
    """Read the numbers without believing them.  Raise RecordMalformed."""
    try:
        read = _numbers.decode(row[:-_MAC_SIZE])
    except msgspec.DecodeError:
        raise RecordMalformed("the log's key numbers are not decodable") from None
    _check_order([epoch.start for epoch in read.audit])
    if not read.signing:
        raise RecordMalformed("the log has no signing key")
    return read


def _check_form(read: Identity | Epochs, row: bytes) -> None:
    # No signature is over these bytes, so that they may say a thing in one way only.
    if encode(read) != row:
        raise RecordMalformed("MessagePack that is not in its shortest form")


def _check_order(starts: list[int]) -> None:
    if not starts or starts[0] != 0 or starts != sorted(set(starts)):
        raise RecordMalformed("the log's epochs do not follow each other")


def _endorsement_text(start: int, old: Verifier, new: Verifier) -> str:
    return f"muniment/endorsement/v1\n{new.name}\n{start}\n{old}\n{new}\n"


def endorse(start: int, old: Signer, new: Signer) -> str:
    """Both keys' word that the new one counts from position *start*."""
    return sign_note(_endorsement_text(start, old.verifier, new.verifier), old, new)


def verifiers(identity: Identity, epochs: Epochs) -> list[Verifier]:
    """The verifier of each signing epoch, each endorsed together with the one before.

    Raise KeyChainBroken.
    """
    chain: list[Verifier] = []
    for epoch in epochs.signing:
        try:
            verifier = parse_verifier(epoch.verifier)
            _check_endorsement(epoch, chain, verifier)
        except (CheckpointMalformed, CheckpointSignatureInvalid):
            raise KeyChainBroken(f"signing key {len(chain)} is not endorsed") from None
        if verifier.name != identity.origin or str(verifier) != epoch.verifier:
            raise KeyChainBroken(f"signing key {len(chain)} is of another log")
        chain.append(verifier)
    return chain


def _check_endorsement(epoch: SigningEpoch, chain: list[Verifier], new: Verifier) -> None:
    if not chain:
        if epoch.endorsement:
            raise KeyChainBroken("the first signing key has nobody to endorse it")
        return
    old = chain[-1]
    text, found = signatures(epoch.endorsement)
    names = [(name, key_id) for name, key_id, _ in found]
    # In this order and nothing else: a checkpoint may gather cosignatures, an endorsement is fixed.
    expected = [(one.name, one.key_id) for one in (old, new)]
    if text != _endorsement_text(epoch.start, old, new) or names != expected:
        raise KeyChainBroken(f"the endorsement of signing key {len(chain)} says otherwise")
    signed = text.encode()
    if not all(one.accepts(stamp[2], signed) for one, stamp in zip((old, new), found, strict=True)):
        raise CheckpointSignatureInvalid
