"""An auditor's key pair: a public key short enough for paper, and a private one in a file.  Pure.

The public key is an X25519 key (RFC 7748).  Its text is `mna1-` and seven groups of eight letters
of Crockford's base32: the 32 bytes of the key and the first three of its fingerprint, so that a
letter misread or a group left out is met, once in 16 million excepted.  Case, spaces and hyphens do
not matter, and neither does which of O and 0, or I, L and 1, was read.

The file of the private key holds the 32 bytes as they are, or sealed under a passphrase.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from eventstore import seal
from eventstore.errors import (
    AuditorKeyDamaged,
    AuditorKeyInvalid,
    AuditorKeyLocked,
    AuditorKeyWrong,
    SealBroken,
    WrongKey,
)

KEY_SIZE: Final = 32
FINGERPRINT_SIZE: Final = 32

_PREFIX: Final = "MNA1"
_DOMAIN: Final = b"muniment/auditor/v1\0"
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS: Final = str.maketrans("OIL", "011")
_CHECK_SIZE: Final = 3
_GROUP: Final = 8
_IGNORED: Final = re.compile(r"[\s-]")
_LENGTH: Final = (KEY_SIZE + _CHECK_SIZE) * 8 // 5

_MAGIC: Final = b"MUNIAUDT"
_VERSION: Final = 1
_PLAIN, _PASSPHRASE = 1, 2
_HEAD_SIZE: Final = len(_MAGIC) + 2
_HASH_SIZE: Final = 32
_SALT_SIZE: Final = 16
_LABEL: Final = b"auditor-key"

Entropy = Callable[[int], bytes]
Passphrase = Callable[[], bytes]


def public_of(private: bytes) -> bytes:
    """The public key of a private one, 32 bytes each."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def fingerprint(public: bytes) -> bytes:
    """What names a public key in grants and in the log: 32 bytes."""
    return sha256(_DOMAIN + public).digest()


def to_text(public: bytes) -> str:
    """The public key as it stands on paper."""
    number = int.from_bytes(public + fingerprint(public)[:_CHECK_SIZE], "big")
    letters = "".join(_LETTERS[number >> 5 * at & 31] for at in range(_LENGTH - 1, -1, -1))
    groups = [letters[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP)]
    return "-".join([_PREFIX.lower(), *groups])


def from_text(text: str) -> bytes:
    """The public key that *text* names.  Raise AuditorKeyInvalid."""
    bare = _IGNORED.sub("", text).upper().translate(_READ_AS)
    letters = bare.removeprefix(_PREFIX)
    if not bare.startswith(_PREFIX) or len(letters) != _LENGTH:
        raise AuditorKeyInvalid("an auditor's public key is mna1- and seven groups of eight")
    if any(letter not in _LETTERS for letter in letters):
        raise AuditorKeyInvalid("the public key has a letter that none has")
    number = 0
    for letter in letters:
        number = number << 5 | _LETTERS.index(letter)
    raw = number.to_bytes(KEY_SIZE + _CHECK_SIZE, "big")
    public, check = raw[:KEY_SIZE], raw[KEY_SIZE:]
    if fingerprint(public)[:_CHECK_SIZE] != check:
        raise AuditorKeyInvalid("the public key was mistyped: its checksum is wrong")
    return public


# --- the file of the private key ------------------------------------------------------------------


def to_file(private: bytes, passphrase: bytes | None, entropy: Entropy) -> bytes:
    """The bytes of the file: `MUNIAUDT` || version u8 || kind u8 || body || SHA-256 of all before."""
    kind = _PLAIN if passphrase is None else _PASSPHRASE
    head = _MAGIC + bytes((_VERSION, kind))
    body = private if passphrase is None else _sealed(head, private, passphrase, entropy)
    return head + body + sha256(head + body).digest()


def from_file(file: bytes, passphrase: Passphrase | None) -> bytes:
    """The private key in *file*; *passphrase* is asked for only if it needs one.

    Raise AuditorKeyDamaged, AuditorKeyLocked or AuditorKeyWrong.
    """
    head, body, digest = file[:_HEAD_SIZE], file[_HEAD_SIZE:-_HASH_SIZE], file[-_HASH_SIZE:]
    if sha256(head + body).digest() != digest or head[:-1] != _MAGIC + bytes((_VERSION,)):
        raise AuditorKeyDamaged
    if head[-1] == _PLAIN and len(body) == KEY_SIZE:
        return body
    if head[-1] != _PASSPHRASE or len(body) <= _SALT_SIZE:
        raise AuditorKeyDamaged
    if passphrase is None:
        raise AuditorKeyLocked
    salt, sealed = body[:_SALT_SIZE], body[_SALT_SIZE:]
    try:
        private = seal.open_seal(_stretched(passphrase(), salt), _LABEL, head + salt, sealed)
    except WrongKey:
        raise AuditorKeyWrong from None
    except SealBroken:
        raise AuditorKeyDamaged from None
    if len(private) != KEY_SIZE:
        raise AuditorKeyDamaged
    return private


def _sealed(head: bytes, private: bytes, passphrase: bytes, entropy: Entropy) -> bytes:
    salt = entropy(_SALT_SIZE)
    key = _stretched(passphrase, salt)
    return salt + seal.seal(key, entropy(seal.SALT_SIZE), _LABEL, head + salt, private)


def _stretched(passphrase: bytes, salt: bytes) -> bytes:
    # RFC 9106, section 4, the second recommended option.  The cost is the version's and stands in
    # no file, so that no file can ask for one that would eat the machine.
    kdf = Argon2id(salt=salt, length=seal.KEY_SIZE, iterations=3, lanes=4, memory_cost=64 * 1024)
    return kdf.derive(passphrase)
