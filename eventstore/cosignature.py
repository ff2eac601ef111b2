"""Cosignatures: what somebody else, a witness, says of a log's checkpoint, and when.  Pure.

A `cosignature/v1` (Ed25519, byte 0x04) signs the time and the whole text of the checkpoint.  The one
with ML-DSA-44 (byte 0x06) signs origin, size and root, with a time that may be 0: then it says
nothing of when.  A log uses that one, without a time, to sign its published checkpoints a second
time with a key that no quantum computer opens.

Sources: C2SP tlog-cosignature, C2SP signed-note, FIPS 204.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from eventstore.checkpoint import Checkpoint, parse_checkpoint, signatures
from eventstore.errors import CheckpointMalformed

ED25519_V1 = b"\x04"
ML_DSA_44 = b"\x06"

_PUBLIC_SIZES = {ED25519_V1: 32, ML_DSA_44: 1312}
_SIGNATURE_SIZES = {ED25519_V1: 64, ML_DSA_44: 2420}
_TIME = struct.Struct(">Q")
_LATEST = 1 << 63
_SUBTREE = b"subtree/v1\n\0"


class Cosigner(NamedTuple):
    """A public key that cosigns: its name, its algorithm's byte, and the key itself."""

    name: str
    algorithm: bytes
    public: bytes

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + self.algorithm + self.public).digest()[:4]

    def __str__(self) -> str:
        """The verifier key as one line, as signed-note writes it."""
        key = base64.b64encode(self.algorithm + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    def time_in(self, note: str) -> int | None:
        """When this key cosigned the checkpoint *note*, in seconds; None if it did not.

        0 says that it did and that it says nothing of when.  A line of this key that is not valid
        counts for nothing, but another may be.  Raise CheckpointMalformed.
        """
        checkpoint = parse_checkpoint(note)
        for name, key_id, signature in signatures(note)[1]:
            if name != self.name or not hmac.compare_digest(key_id, self.key_id):
                continue
            if (said := self._time_of(checkpoint, signature)) is not None:
                return said
        return None

    def line_in(self, note: str) -> str:
        """The line of this key in *note*, in which `time_in` found it valid."""
        text, found = signatures(note)
        lines = note[len(text) + 1 :].splitlines(keepends=True)
        for line, (name, key_id, signature) in zip(lines, found, strict=True):
            ours = (name, key_id) == (self.name, self.key_id)
            if ours and self._time_of(parse_checkpoint(note), signature) is not None:
                return line
        raise CheckpointMalformed(f"{self.name} did not cosign this")

    def _time_of(self, checkpoint: Checkpoint, signature: bytes) -> int | None:
        if len(signature) != _TIME.size + _SIGNATURE_SIZES[self.algorithm]:
            return None
        seconds = int.from_bytes(signature[: _TIME.size], "big")
        if seconds >= _LATEST or (self.algorithm == ED25519_V1 and not seconds):
            return None
        message = _message(self.algorithm, self.name, checkpoint, seconds)
        try:
            _public(self).verify(signature[_TIME.size :], message)
        except (InvalidSignature, ValueError):
            return None
        return seconds


def parse_cosigner(line: str) -> Cosigner:
    """Read the verifier key of a cosigner.  Raise CheckpointMalformed."""
    parts = line.split("+", 2)
    if len(parts) != 3 or not parts[0] or any(letter.isspace() for letter in parts[0]):
        raise CheckpointMalformed("the verifier key is not of the form name+id+key")
    try:
        key = base64.b64decode(parts[2].encode("ascii"), validate=True)
        parts[0].encode()
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise CheckpointMalformed("the name is not text, or the base64 not valid") from None
    found = Cosigner(parts[0], key[:1], key[1:])
    if len(found.public) != _PUBLIC_SIZES.get(found.algorithm) or str(found) != line:
        raise CheckpointMalformed("the verifier key is not one that cosigns (0x04 or 0x06)")
    return found


def _public(key: Cosigner) -> Ed25519PublicKey | MLDSA44PublicKey:
    if key.algorithm == ED25519_V1:
        return Ed25519PublicKey.from_public_bytes(key.public)
    return MLDSA44PublicKey.from_public_bytes(key.public)


def _message(algorithm: bytes, name: str, checkpoint: Checkpoint, seconds: int) -> bytes:
    if algorithm == ED25519_V1:
        return f"cosignature/v1\ntime {seconds}\n{checkpoint.text}".encode()
    return b"".join(
        [
            _SUBTREE,
            _counted(name),
            _TIME.pack(seconds),
            _counted(checkpoint.origin),
            _TIME.pack(0),
            _TIME.pack(checkpoint.size),
            checkpoint.root,
        ]
    )


def _counted(text: str) -> bytes:
    raw = text.encode()
    if not 1 <= len(raw) <= 255:
        raise CheckpointMalformed("a name has more than 255 bytes")
    return bytes([len(raw)]) + raw


# --- signing --------------------------------------------------------------------------------------


def witness_key(name: str, private: bytes) -> Cosigner:
    """The public side of the Ed25519 key *private*, 32 bytes, of the witness *name*."""
    public = Ed25519PrivateKey.from_private_bytes(private).public_key()
    return Cosigner(name, ED25519_V1, public.public_bytes_raw())


def cosign(name: str, private: bytes, checkpoint: Checkpoint, seconds: int) -> str:
    """The line by which the witness *name* says that it saw *checkpoint* at *seconds*."""
    message = _message(ED25519_V1, name, checkpoint, seconds)
    signature = Ed25519PrivateKey.from_private_bytes(private).sign(message)
    return _line(witness_key(name, private), seconds, signature)


def untimed_line(key: Cosigner, private: MLDSA44PrivateKey, checkpoint: Checkpoint) -> str:
    """The line of an ML-DSA-44 key for *checkpoint* that says nothing of when."""
    message = _message(ML_DSA_44, key.name, checkpoint, 0)
    return _line(key, 0, private.sign(message))


def _line(key: Cosigner, seconds: int, signature: bytes) -> str:
    stamp = base64.b64encode(key.key_id + _TIME.pack(seconds) + signature).decode()
    return f"\N{EM DASH} {key.name} {stamp}\n"
