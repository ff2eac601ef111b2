"""Close and open bytes under a key, so that they open to one text under one key only.

Suite 1.  A random 32-byte salt and the key give, by HKDF-SHA256 (RFC 5869), a one-time AES-256-GCM
key, a key commitment and a seed.  The nonce is fixed because the key is used once: there is no
counter that a crash, a clone or a rollback could repeat.  The commitment is stored before the
ciphertext and bound into it, because AES-GCM alone lets one ciphertext open to two texts under two
keys.  Pure: the salt is an argument.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from eventstore.errors import SealBroken, WrongKey

SUITE = 1
KEY_SIZE = 32
SALT_SIZE = 32
COMMITMENT_SIZE = 32
FINGERPRINT_SIZE = 8
TAG_SIZE = 16

_NONCE = bytes(12)
_INFO = b"muniment/seal/v1/"
_FINGERPRINT = b"muniment/fingerprint/v1\0"
_SHA256 = hashes.SHA256()


class OneTimeKeys(NamedTuple):
    """What HKDF gives for one seal: 32 bytes each."""

    encryption: bytes
    commitment: bytes
    seed: bytes

    def __repr__(self) -> str:
        return "OneTimeKeys(...)"


def fingerprint(key: bytes, text: bytes) -> bytes:
    """HMAC-SHA256 of *text* under *key*, 8 bytes: equal for equal texts of one secret.

    Two of n texts look equal by chance about once in 2^65 / n^2 secrets.
    """
    return hmac.digest(key, _FINGERPRINT + text, "sha256")[:FINGERPRINT_SIZE]


def derive(key: bytes, salt: bytes, label: bytes) -> OneTimeKeys:
    """Return the one-time keys of *key* under *salt* for the purpose *label*."""
    okm = HKDF(_SHA256, 96, salt, _INFO + label).derive(key)
    return OneTimeKeys(okm[:32], okm[32:64], okm[64:])


def extract(key: bytes, salt: bytes) -> bytes:
    """What *key* is under *salt* alone (RFC 5869, extract): 32 bytes that lead back to no key.

    `expand` makes of it what `derive` makes of *key*, so it opens what was sealed under that salt
    and nothing else.
    """
    return hmac.digest(salt, key, "sha256")


def expand(extracted: bytes, label: bytes) -> OneTimeKeys:
    """Return the one-time keys for the purpose *label* of what `extract` gave."""
    okm = HKDFExpand(_SHA256, 96, _INFO + label).derive(extracted)
    return OneTimeKeys(okm[:32], okm[32:64], okm[64:])


def padded_size(size: int) -> int:
    """The bucket for a text of *size* bytes, its end mark included.

    Multiples of 256 up to 2,048, then of an eighth of the power of two below: at most 12.5 % more.
    """
    size += 1
    step = max(256, (1 << (size.bit_length() - 1)) >> 3)
    return -(-size // step) * step


def pad(text: bytes) -> bytes:
    """ISO/IEC 7816-4: a byte 0x80, then zeros up to the bucket."""
    return (text + b"\x80").ljust(padded_size(len(text)), b"\0")


def unpad(padded: bytes) -> bytes:
    text = padded.rstrip(b"\0")
    if text[-1:] != b"\x80" or len(padded) != padded_size(len(text) - 1):
        raise SealBroken("the padding is not what the format demands")
    return text[:-1]


def seal_with(keys: OneTimeKeys, bound_to: bytes, text: bytes) -> bytes:
    """Seal *text* under one-time *keys*; give commitment (32) || ciphertext || tag (16)."""
    bound = bound_to + keys.commitment
    return keys.commitment + AESGCM(keys.encryption).encrypt(_NONCE, pad(text), bound)


def open_with(keys: OneTimeKeys, bound_to: bytes, sealed: bytes) -> bytes:
    """Open what `seal_with` closed.  Raise WrongKey or SealBroken, and never give wrong bytes."""
    if len(sealed) < COMMITMENT_SIZE + TAG_SIZE:
        raise SealBroken("the sealed bytes are too short")
    if not hmac.compare_digest(sealed[:COMMITMENT_SIZE], keys.commitment):
        raise WrongKey
    bound = bound_to + keys.commitment
    try:
        padded = AESGCM(keys.encryption).decrypt(_NONCE, sealed[COMMITMENT_SIZE:], bound)
    except InvalidTag:
        raise SealBroken from None
    return unpad(padded)


def seal(key: bytes, salt: bytes, label: bytes, bound_to: bytes, text: bytes) -> bytes:
    """Seal *text*; give salt (32) || commitment (32) || ciphertext || tag (16)."""
    return salt + seal_with(derive(key, salt, label), bound_to, text)


def open_seal(key: bytes, label: bytes, bound_to: bytes, sealed: bytes) -> bytes:
    """Open what `seal` closed."""
    salt, rest = sealed[:SALT_SIZE], sealed[SALT_SIZE:]
    if len(salt) < SALT_SIZE:
        raise SealBroken("the sealed bytes are too short")
    return open_with(derive(key, salt, label), bound_to, rest)
