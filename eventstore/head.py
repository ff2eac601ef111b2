"""What a log keeps about itself beside its records: who it is, where it stands, whose keys count.

All three rows are public.  The identity never changes; the head moves with every record; an epoch
begins where a key was rotated.  Each signing key but the first is endorsed by the one before it,
in a signed note that names the log and the position from which the new key counts.  Pure.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from functools import lru_cache

import msgspec

from eventstore.checkpoint import Signer, Verifier, open_note, parse_verifier, sign_note
from eventstore.errors import (
    CheckpointMalformed,
    CheckpointSignatureInvalid,
    FormatUnknown,
    KeyChainBroken,
    RecordMalformed,
)
from eventstore.merkle import HASH_SIZE, Frontier
from eventstore.record import KINDS, LOG_ID_SIZE, Kind

FORMAT = 1

_HEAD = struct.Struct(">QQB")


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
    """Where a log stands: how many records, the time of the last, and the tree's frontier.

    *behind* says that the clock stepped back and has not caught up, and that this is recorded.
    """

    size: int
    time: int
    behind: bool
    frontier: tuple[bytes, ...]

    def root(self) -> bytes:
        return Frontier(self.size, self.frontier).root()


class SigningEpoch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """From position *start* on, the key that *verifier* names signs.  *key* is its number."""

    start: int
    key: int
    verifier: str
    endorsement: str


class AuditEpoch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """From position *start* on, metadata is sealed under the audit key with number *key*."""

    start: int
    key: int


class Epochs(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All keys of a log, oldest first."""

    signing: tuple[SigningEpoch, ...]
    audit: tuple[AuditEpoch, ...]

    def audit_key(self, position: int) -> int:
        """The number of the audit key that seals the record at *position*."""
        return self.audit[_at(self.audit, position)].key

    def signing_index(self, position: int) -> int:
        """Which signing epoch the record at *position* belongs to."""
        return _at(self.signing, position)


def _at(epochs: tuple[SigningEpoch, ...] | tuple[AuditEpoch, ...], position: int) -> int:
    if len(epochs) == 1:
        return 0
    return max(0, bisect_right(epochs, position, key=lambda epoch: epoch.start) - 1)


_identity = msgspec.msgpack.Decoder(Identity)
_epochs = msgspec.msgpack.Decoder(Epochs)
_encoder = msgspec.msgpack.Encoder()


def encode(row: Identity | Epochs) -> bytes:
    return _encoder.encode(row)


def encode_head(head: Head) -> bytes:
    """size u64 || time u64 || behind u8 || frontier, 32 bytes each, the largest subtree first."""
    return _HEAD.pack(head.size, head.time, head.behind) + b"".join(head.frontier)


def decode_head(row: bytes) -> Head:
    """Raise RecordMalformed."""
    start = _HEAD.size
    if len(row) < start:
        raise RecordMalformed("the head is too short")
    size, time, behind = _HEAD.unpack_from(row)
    hashes = tuple(row[at : at + HASH_SIZE] for at in range(start, len(row), HASH_SIZE))
    if len(row) - start != size.bit_count() * HASH_SIZE or behind > 1:
        raise RecordMalformed("the head's frontier does not fit its size")
    return Head(size, time, bool(behind), hashes)


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
    return read


@lru_cache(maxsize=64)
def decode_epochs(row: bytes) -> Epochs:
    """Raise RecordMalformed.  Cached, since every transaction reads the same few bytes."""
    try:
        read = _epochs.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RecordMalformed("the log's epochs are not decodable") from None
    for epochs in (read.signing, read.audit):
        starts = [epoch.start for epoch in epochs]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            raise RecordMalformed("the log's epochs do not follow each other")
    return read


def _endorsement_text(origin: str, start: int, verifier: str) -> str:
    return f"muniment/endorsement/v1\n{origin}\n{start}\n{verifier}\n"


def endorse(start: int, verifier: Verifier, old: Signer) -> str:
    """The old key's word that *verifier* counts from position *start*."""
    return sign_note(_endorsement_text(verifier.name, start, str(verifier)), old)


def verifiers(identity: Identity, epochs: Epochs) -> list[Verifier]:
    """The verifier of each signing epoch, each endorsed by the one before.

    Raise KeyChainBroken.
    """
    chain: list[Verifier] = []
    for epoch in epochs.signing:
        try:
            verifier = parse_verifier(epoch.verifier)
            if chain:
                said = open_note(epoch.endorsement, chain[-1])
                if said != _endorsement_text(identity.origin, epoch.start, epoch.verifier):
                    raise KeyChainBroken(f"the endorsement of epoch {len(chain)} says otherwise")
        except (CheckpointMalformed, CheckpointSignatureInvalid):
            raise KeyChainBroken(f"signing key {len(chain)} is not endorsed") from None
        if verifier.name != identity.origin:
            raise KeyChainBroken(f"signing key {len(chain)} is of another log")
        chain.append(verifier)
    return chain
