"""A secret in one encrypted blob: all versions, with their times.  Pure.

The blob is sealed under a key of its own from the keyring, so it can be restored into any vault of
the store that issued it, and into no other.  Purging a secret names the blobs that could still bring
it back, and can destroy their keys with it.

Layout: magic `MNMBKP` || format u16 || store id, 16 bytes || changes log id, 16 bytes || key number
u64 || seal(label `backup`, bound to all of that, MessagePack).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import msgspec

from eventstore import seal
from eventstore.errors import SealBroken, WrongKey
from vault import names
from vault.refusals import BackupForeign, BackupInvalid, VaultError

FORMAT = 1
_HEADER = struct.Struct(">6sH16s16sQ")
_MAGIC = b"MNMBKP"
_LABEL = b"backup"


class BackedUpVersion(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One version in a blob."""

    version: str
    created: int
    updated: int
    value: str
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    content_type: str | None = None
    tags: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"BackedUpVersion(version={self.version!r})"


class _Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    versions: tuple[BackedUpVersion, ...]


class Header(NamedTuple):
    """The public part of a blob: who issued it, and under which key."""

    store_id: bytes
    log_id: bytes
    backup_key: int


class Blob(NamedTuple):
    """An opened blob, or what is copied from another vault.  The last version is the current one."""

    name: str
    versions: tuple[BackedUpVersion, ...]
    origin: str
    backup_key: int | None


_decoder = msgspec.msgpack.Decoder(_Payload)


def close(
    header: Header,
    key: bytes,
    salt: bytes,
    name: str,
    versions: tuple[BackedUpVersion, ...],
) -> bytes:
    """Seal *versions* (the current one last) into a blob."""
    text = msgspec.msgpack.encode(_Payload(name=name, versions=versions))
    return close_payload(header, key, salt, _LABEL, text)


def close_payload(header: Header, key: bytes, salt: bytes, label: bytes, text: bytes) -> bytes:
    """Seal *text* into a blob; *label* says of what kind."""
    front = _HEADER.pack(_MAGIC, FORMAT, *header)
    return front + seal.seal(key, salt, label, front, text)


def read_header(blob: bytes, store_id: bytes) -> Header:
    """Read the public part.  Raise BackupInvalid or BackupForeign."""
    if len(blob) < _HEADER.size:
        raise BackupInvalid
    magic, version, *rest = _HEADER.unpack_from(blob)
    if magic != _MAGIC or version != FORMAT:
        raise BackupInvalid
    header = Header(*rest)
    if header.store_id != store_id:
        raise BackupForeign
    return header


def open_blob(blob: bytes, header: Header, key: bytes) -> Blob:
    """Open *blob*.  Raise BackupInvalid."""
    try:
        payload = _decoder.decode(open_payload(blob, key, _LABEL))
        _check(payload)
    except (SealBroken, WrongKey, msgspec.DecodeError, UnicodeDecodeError, VaultError):
        raise BackupInvalid from None
    return Blob(payload.name, payload.versions, header.log_id.hex(), header.backup_key)


def open_payload(blob: bytes, key: bytes, label: bytes) -> bytes:
    """What is sealed in *blob*.  Raise SealBroken or WrongKey: one of another kind does not open."""
    return seal.open_seal(key, label, blob[: _HEADER.size], blob[_HEADER.size :])


def _check(payload: _Payload) -> None:
    names.check_name(payload.name)
    if not payload.versions:
        raise BackupInvalid
    for version in payload.versions:
        if names.check_version(version.version) != version.version:
            raise BackupInvalid
        names.check_value(version.value)
        names.check_content_type(version.content_type)
        names.check_tags(version.tags)
        for date in (version.nbf, version.exp, version.created, version.updated):
            names.check_date("date", date)
