"""From event to record, and back.  Pure: no clock, no disk, no randomness of its own.

A record is a public leaf, a signature (on `changes`), and a sealed envelope.  The leaf says when
and where; the envelope says what.  Log, position and time are bound into both seals and the leaf
holds the envelope's hash, so an envelope moved to another place does not open, and a leaf does not
fit another envelope.  Stored bytes are what is verified: nothing is encoded again to verify it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from hashlib import sha256, shake_256
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from eventstore import seal
from eventstore.checkpoint import Signer
from eventstore.errors import EventUnknown, FormatUnknown, RecordMalformed, SealBroken
from eventstore.event import Context, Event, SecretContent
from eventstore.events import Access, Change

FORMAT = 1
SCHEMA = 1
LOG_ID_SIZE = 16
SIGNATURE_SIZE = 64

_PLACE = struct.Struct(">BBQQ")
_LEAF = struct.Struct(_PLACE.format + "32s32s32s")
LEAF_SIZE = _LEAF.size
_KNOWN_FORMAT = bytes((FORMAT, seal.SUITE))
_SIGNED = b"muniment/event/v1\0"
_COMMITMENTS = b"muniment/commitments/v1\0"
_FIELDS = b"muniment/fields/v1\0"
FIELD_SALT_SIZE = 16

E = TypeVar("E", bound=Event)


class Leaf(NamedTuple):
    """The public part: 114 bytes, and the entry of the Merkle tree."""

    format: int
    suite: int
    position: int
    time: int
    fields_root: bytes
    envelope_hash: bytes
    key_commitment: bytes


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The sealed part, as MessagePack: an array of four."""

    schema: int
    salt: bytes
    meta: bytes
    content: bytes | None


class ChangeMeta(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the audit key opens on `changes`.  *content_key* is the number of the secret's key."""

    context: Context
    event: Change
    content_key: int | None


class AccessMeta(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the audit key opens on `access`."""

    context: Context
    event: Access
    content_key: int | None


class Kind(NamedTuple):
    """What differs between the two logs of a vault."""

    name: str
    signed: bool
    meta: type[ChangeMeta] | type[AccessMeta]


CHANGES = Kind("changes", True, ChangeMeta)
ACCESS = Kind("access", False, AccessMeta)
KINDS = {kind.name: kind for kind in (CHANGES, ACCESS)}

_encoder = msgspec.msgpack.Encoder()
# Made when first needed: most commands of a terminal decode records of no log or of one.
_decoder = cache(msgspec.msgpack.Decoder)
_envelope_decoder = msgspec.msgpack.Decoder(Envelope)
_content_decoder = msgspec.msgpack.Decoder(SecretContent)
_Raws = dict[str, msgspec.Raw]
_fields_decoder = msgspec.msgpack.Decoder(tuple[_Raws, _Raws, msgspec.Raw])


class Draft(NamedTuple):
    """An event on its way into the log, with what seals it."""

    context: Context
    event: Event
    content: SecretContent | None = None
    content_key: int | None = None


class Built(NamedTuple):
    """A record ready to be stored, and its leaf for the tree."""

    leaf: bytes
    row: bytes


class Sealing(NamedTuple):
    """The keys and the salt of one record."""

    audit_key: bytes
    content_key: bytes | None
    signer: Signer | None
    salt: bytes

    def __repr__(self) -> str:
        return "Sealing(...)"


class Row(NamedTuple):
    """A stored record, split but not opened."""

    leaf: bytes
    signature: bytes
    envelope: bytes


class Entry(NamedTuple, Generic[E]):
    """An opened record.  *time* is in microseconds since 1970; *content* waits for its key."""

    position: int
    time: int
    context: Context
    event: E
    content_key: int | None


def field_entries(meta: bytes, seed: bytes) -> list[bytes]:
    """The salted fields of a record's metadata, in order: salt (16) || path || 0x00 || value.

    A path is `context.` or `event.` and the field's name, or `content_key`; the value is its
    MessagePack bytes as stored.  Salts are SHAKE-256 of the seed, 16 bytes each.
    """
    context, event, content_key = _fields_decoder.decode(meta)
    salts = shake_256(seed).digest(FIELD_SALT_SIZE * (len(context) + len(event) + 1))
    entries, at = [], 0
    for part, fields in ((b"context.%b\0", context), (b"event.%b\0", event)):
        for name, raw in fields.items():
            start, at = at, at + FIELD_SALT_SIZE
            entries.append(b"".join((salts[start:at], _path(part, name), raw)))
    entries.append(salts[at:] + b"content_key\0" + bytes(content_key))
    return entries


@lru_cache(maxsize=512)
def _path(part: bytes, name: str) -> bytes:
    return part % name.encode()


def fields_root(meta: bytes, seed: bytes) -> bytes:
    """The commitment to all fields, as the leaf holds it."""
    return root_of_fields(field_hashes(field_entries(meta, seed)))


def field_hash(entry: bytes) -> bytes:
    """What stands for a field that is not shown: SHA-256(0x00 || entry)."""
    return field_hashes([entry])[0]


def field_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The same of each of *entries*."""
    return [sha256(b"\0" + entry).digest() for entry in entries]


def root_of_fields(hashes: Sequence[bytes]) -> bytes:
    """SHA-256 of a domain and the hashes of all field entries, in order.

    No tree: a record has a dozen fields, and the hashes of those that are hidden are proof enough.
    """
    return sha256(_FIELDS + b"".join(hashes)).digest()


def signed_message(log_id: bytes, leaf: bytes) -> bytes:
    """What an event signature is over: a domain, the log and the leaf."""
    return _SIGNED + log_id + leaf


def build(
    kind: Kind, log_id: bytes, position: int, time: int, draft: Draft, keys: Sealing
) -> Built:
    """Encode, seal and sign *draft* as the record at *position* and *time*."""
    place = _PLACE.pack(FORMAT, seal.SUITE, position, time)
    bound = _bound_to(log_id, place)
    meta_text = _encoder.encode(kind.meta(draft.context, draft.event, draft.content_key))  # type: ignore[arg-type]
    meta_keys = seal.derive(keys.audit_key, keys.salt, b"meta")
    meta = seal.seal_with(meta_keys, bound, meta_text)
    content = None
    commitments = meta_keys.commitment
    if draft.content is not None and keys.content_key is not None:
        content_keys = seal.derive(keys.content_key, keys.salt, b"content")
        text = _encoder.encode(draft.content)
        content = seal.seal_with(content_keys, _content_bound(bound, meta), text)
        commitments += content_keys.commitment
    envelope = _encoder.encode(Envelope(SCHEMA, keys.salt, meta, content))
    leaf = b"".join(
        (
            place,
            fields_root(meta_text, meta_keys.seed),
            sha256(envelope).digest(),
            sha256(_COMMITMENTS + commitments).digest(),
        )
    )
    if keys.signer is None:
        return Built(leaf, leaf + envelope)
    return Built(leaf, leaf + keys.signer.sign(signed_message(log_id, leaf)) + envelope)


def _bound_to(log_id: bytes, leaf: bytes) -> bytes:
    """What both seals of a record are bound to: format, suite, log, position and time."""
    return leaf[:2] + log_id + leaf[2 : _PLACE.size]


def _content_bound(bound: bytes, meta: bytes) -> bytes:
    # The content is bound to the sealed metadata, so to its name, version and operation.
    return bound + sha256(meta).digest()


def split(kind: Kind, row: bytes) -> Row:
    """Cut a stored row into leaf, signature and envelope.  Raise RecordMalformed."""
    start = LEAF_SIZE + (SIGNATURE_SIZE if kind.signed else 0)
    if len(row) <= start:
        raise RecordMalformed("the record is too short")
    return Row(row[:LEAF_SIZE], row[LEAF_SIZE:start], row[start:])


def read_leaf(leaf: bytes) -> Leaf:
    """Decode a leaf.  Raise RecordMalformed or FormatUnknown."""
    if len(leaf) != LEAF_SIZE:
        raise RecordMalformed(f"a leaf has {LEAF_SIZE} bytes")
    _check_format(leaf)
    return Leaf(*_LEAF.unpack(leaf))


def _check_format(leaf: bytes) -> None:
    if leaf[:2] != _KNOWN_FORMAT:
        raise FormatUnknown(f"format {leaf[0]}, suite {leaf[1]}")


def lies_at(leaf: bytes, position: int) -> bool:
    """Whether *leaf* says that it is the one at *position*."""
    return leaf[2:10] == position.to_bytes(8, "big")


def read_envelope(envelope: bytes) -> Envelope:
    """Decode an envelope.  Raise RecordMalformed or FormatUnknown."""
    try:
        read = _envelope_decoder.decode(envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RecordMalformed("the envelope is not the MessagePack that the format asks") from None
    if read.schema != SCHEMA:
        raise FormatUnknown(f"schema {read.schema}")
    if len(read.salt) != seal.SALT_SIZE:
        raise RecordMalformed("the salt has not 32 bytes")
    return read


class Opened(NamedTuple):
    """The decoded parts of a row: enough to open its metadata now and its content later."""

    leaf: Leaf
    envelope: Envelope
    bound: bytes
    meta: bytes
    seed: bytes


def open_meta(kind: Kind, log_id: bytes, row: Row, audit_key: bytes) -> Opened:
    """Open a row's metadata.  Raise WrongKey, SealBroken, RecordMalformed or FormatUnknown."""
    leaf, envelope = read_leaf(row.leaf), read_envelope(row.envelope)
    bound = _bound_to(log_id, row.leaf)
    keys = seal.derive(audit_key, envelope.salt, b"meta")
    return Opened(leaf, envelope, bound, seal.open_with(keys, bound, envelope.meta), keys.seed)


def key_of(row: Row, audit_key: bytes) -> bytes:
    """What opens the metadata of *row*, and of no other record: for an auditor."""
    return seal.extract(audit_key, read_envelope(row.envelope).salt)


def open_with_its_key(log_id: bytes, row: Row, key: bytes) -> Opened:
    """Open a row's metadata with what `key_of` gave.  Raise as `open_meta` does.

    The leaf's commitment to the fields is checked as well: whoever reads by a key that somebody else
    gave out is shown what was committed to when it was recorded, or nothing.
    """
    leaf, envelope = read_leaf(row.leaf), read_envelope(row.envelope)
    bound = _bound_to(log_id, row.leaf)
    keys = seal.expand(key, b"meta")
    opened = Opened(leaf, envelope, bound, seal.open_with(keys, bound, envelope.meta), keys.seed)
    try:
        root = fields_root(opened.meta, opened.seed)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SealBroken(f"the metadata of record {leaf.position} is not decodable") from None
    if root != leaf.fields_root:
        raise SealBroken(f"the metadata of record {leaf.position} is not what its leaf commits to")
    return opened


def decode_meta(kind: Kind, opened: Opened) -> Entry[Any]:
    """Decode opened metadata.  Raise EventUnknown for a tag or a field that is not known."""
    try:
        meta = _decoder(kind.meta).decode(opened.meta)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise EventUnknown(f"record {opened.leaf.position}: {_without_values(problem)}") from None
    position, time = opened.leaf.position, opened.leaf.time
    return Entry(position, time, meta.context, meta.event, meta.content_key)


def open_entry(kind: Kind, log_id: bytes, row: Row, audit_key: bytes) -> Entry[Any]:
    """Open and decode a row's metadata."""
    return decode_meta(kind, open_meta(kind, log_id, row, audit_key))


def open_content(kind: Kind, log_id: bytes, row: Row, content_key: bytes) -> SecretContent:
    """Open a row's content with the secret's key."""
    _check_format(row.leaf)
    envelope = read_envelope(row.envelope)
    if envelope.content is None:
        raise RecordMalformed(f"record {read_leaf(row.leaf).position} has no content")
    keys = seal.derive(content_key, envelope.salt, b"content")
    bound = _content_bound(_bound_to(log_id, row.leaf), envelope.meta)
    text = seal.open_with(keys, bound, envelope.content)
    try:
        return _content_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        position = read_leaf(row.leaf).position
        raise SealBroken(f"the content of record {position} is not decodable") from None


def commitments_of(envelope: Envelope) -> bytes:
    """The hash over the envelope's key commitments, as the leaf holds it."""
    found = envelope.meta[: seal.COMMITMENT_SIZE]
    if envelope.content is not None:
        found += envelope.content[: seal.COMMITMENT_SIZE]
    return sha256(_COMMITMENTS + found).digest()


def _without_values(problem: Exception) -> str:
    # msgspec quotes an unknown tag or field name, never a value, when the type is known.
    return str(problem).split(" - at")[0]
