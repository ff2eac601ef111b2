"""The ML-DSA-44 key that each signing epoch of a log has beside its Ed25519 key.  Pure.

It signs what is published, so that a published checkpoint holds also against whoever can compute an
Ed25519 key from its public side.  HKDF makes its seed of the signing key's secret: so it comes and
goes with that key, and nothing more is to be kept, rotated or destroyed.  Who computes an Ed25519
key from its public side learns a scalar and not the secret, since SHA-512 stands between; and so
this key stays closed.

The Ed25519 key vouches for it in a signed note that names the log, the epoch and both keys.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from eventstore.checkpoint import Checkpoint, Signer, Verifier, open_note, sign_note
from eventstore.cosignature import ML_DSA_44, Cosigner, parse_cosigner, untimed_line
from eventstore.errors import CheckpointMalformed, CheckpointSignatureInvalid, KeyChainBroken

_INFO = b"muniment/ml-dsa-44/v1"
_HEADER = "muniment/second-key/v1"


class SecondSigner:
    """The second key of the signing key whose secret is *signing_key*, 32 bytes."""

    def __init__(self, name: str, signing_key: bytes) -> None:
        seed = HKDF(hashes.SHA256(), 32, None, _INFO).derive(signing_key)
        self._private = MLDSA44PrivateKey.from_seed_bytes(seed)
        self.cosigner = Cosigner(name, ML_DSA_44, self._private.public_key().public_bytes_raw())

    def line(self, checkpoint: Checkpoint) -> str:
        """The signature line for *checkpoint*, without a time: no log vouches for its own."""
        return untimed_line(self.cosigner, self._private, checkpoint)


class Endorsement(NamedTuple):
    """From position *start* on, *second* signs beside the key that said so."""

    start: int
    second: Cosigner


def endorse_second(start: int, signer: Signer, second: Cosigner) -> str:
    """The signing key's word that *second* is its second key, as a note."""
    first = signer.verifier
    return sign_note(f"{_HEADER}\n{first.name}\n{start}\n{first}\n{second}\n", signer)


def read_endorsement(note: str, first: Verifier) -> Endorsement:
    """What *note* says if *first* signed it.  Raise KeyChainBroken."""
    try:
        lines = open_note(note, first).split("\n")
        second = parse_cosigner(lines[4] if len(lines) == 6 else "")
        digits = lines[2] if lines[2].isascii() and lines[2].isdecimal() else ""
        start = int(digits[:20] or "0")
    except (CheckpointMalformed, CheckpointSignatureInvalid):
        raise KeyChainBroken("the second key is not endorsed by the signing key") from None
    said = [_HEADER, first.name, str(start), str(first), str(second), ""]
    if lines != said or (second.name, second.algorithm) != (first.name, ML_DSA_44):
        raise KeyChainBroken("the endorsement of the second key says otherwise")
    return Endorsement(start, second)
