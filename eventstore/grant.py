"""A grant: the keys of a period's records, sealed to one auditor.  No clock and no disk.

A grant holds, for each record of its period and no other, the 32 bytes that open its metadata
(`record.key_of`).  They lead back to no audit key, so a grant ends exactly where its period does:
at no rotation, and with nothing that is recorded later.  No key of a content is in it.

It is sealed by HPKE (RFC 9180, base mode, one message) and what is public of it, the header, is
bound to the seal: store, logs, period and auditor cannot be changed.  Base mode does not say who
sealed it: what a grant opens is held to the log's signed tree, and not to the grant's word.  The
randomness of a seal is HPKE's own.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from eventstore import auditor
from eventstore.errors import AuditorKeyInvalid, GrantForAnotherKey, GrantInvalid
from eventstore.record import LOG_ID_SIZE
from eventstore.seal import KEY_SIZE

ID_SIZE: Final = 16

_MAGIC: Final = b"MNMGRANT\x01"
_INFO: Final = b"muniment/grant/v1\0"
_LENGTH_SIZE: Final = 4
_MAX_HEADER: Final = 1024


class Part(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The records of one log that are granted: from position *first* to *stop* (excluded)."""

    log_id: bytes
    first: int
    stop: int


class Header(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is public of a grant.  *at* is the position of `changes` at which it is recorded.

    *start* and *stop* are the period in microseconds, *auditor* the fingerprint of the key.
    """

    store_id: bytes
    grant: bytes
    at: int
    auditor: bytes
    start: int
    stop: int
    changes: Part
    access: Part

    def part(self, kind: str) -> Part:
        return self.changes if kind == "changes" else self.access


class Held(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Of one log: its signed checkpoint when it was granted, and 32 bytes for each record."""

    checkpoint: str
    keys: bytes

    def __repr__(self) -> str:
        return "Held(...)"

    def key(self, index: int) -> bytes:
        return self.keys[index * KEY_SIZE : (index + 1) * KEY_SIZE]


class Text(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is sealed to the auditor."""

    vault: str
    label: str
    changes: Held
    access: Held

    def held(self, kind: str) -> Held:
        return self.changes if kind == "changes" else self.access


class Grant(NamedTuple):
    """An opened grant."""

    header: Header
    text: Text


_encode = msgspec.msgpack.encode
_header = msgspec.msgpack.Decoder(Header)
_text = msgspec.msgpack.Decoder(Text)


def _suite() -> Suite:
    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def seal_to(public: bytes, header: Header, text: Text) -> bytes:
    """The grant's file: magic 8 || format u8 || length u32 || header || enc 32 || ciphertext.

    Raise AuditorKeyInvalid.
    """
    encoded = _encode(header)
    clear = _MAGIC + len(encoded).to_bytes(_LENGTH_SIZE, "big") + encoded
    try:
        key = X25519PublicKey.from_public_bytes(public)
        return clear + _suite().encrypt(_encode(text), key, _INFO + clear)
    except ValueError:
        raise AuditorKeyInvalid("no secret can be shared with this public key") from None


def check_key(public: bytes) -> None:
    """Raise AuditorKeyInvalid if nothing can be sealed to *public*: before anything is recorded."""
    try:
        _suite().encrypt(b"", X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise AuditorKeyInvalid("no secret can be shared with this public key") from None


def read_header(file: bytes) -> Header:
    """What is public of a grant, not yet believed.  Raise GrantInvalid."""
    return _split(file)[0]


def open_with(private: bytes, file: bytes) -> Grant:
    """Open a grant with the auditor's private key.  Raise GrantForAnotherKey or GrantInvalid."""
    header, clear, sealed = _split(file)
    if auditor.fingerprint(auditor.public_of(private)) != header.auditor:
        raise GrantForAnotherKey
    key = X25519PrivateKey.from_private_bytes(private)
    try:
        text = _text.decode(_suite().decrypt(sealed, key, _INFO + clear))
    except (InvalidTag, ValueError, msgspec.DecodeError):
        raise GrantInvalid("the grant was altered, or was sealed to another key") from None
    for kind in ("changes", "access"):
        part = header.part(kind)
        if len(text.held(kind).keys) != (part.stop - part.first) * KEY_SIZE:
            raise GrantInvalid(f"the grant has not one key for each record of {kind}")
    return Grant(header, text)


def _split(file: bytes) -> tuple[Header, bytes, bytes]:
    """The header, all that is bound, and what is sealed."""
    start = len(_MAGIC) + _LENGTH_SIZE
    size = int.from_bytes(file[len(_MAGIC) : start], "big")
    if not file.startswith(_MAGIC) or size > _MAX_HEADER:
        raise GrantInvalid("the file is not a grant that this release can read")
    clear = file[: start + size]
    try:
        header = _header.decode(clear[start:])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise GrantInvalid("the grant's header is not decodable") from None
    if _encode(header) != clear[start:] or not _is_whole(header):
        raise GrantInvalid("the grant's header is not what the format demands")
    return header, clear, file[len(clear) :]


def _is_whole(header: Header) -> bool:
    sizes = (len(header.store_id), len(header.grant), len(header.auditor))
    return (
        sizes == (LOG_ID_SIZE, ID_SIZE, auditor.FINGERPRINT_SIZE)
        and 0 <= header.start <= header.stop
        and all(
            len(part.log_id) == LOG_ID_SIZE and 0 <= part.first <= part.stop
            for part in (header.changes, header.access)
        )
    )
