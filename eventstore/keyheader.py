"""The row that decides which root key opens the keyring.  Pure.

It names a slot and carries a commitment to the root key in it.  The commitment also fixes the
store, the epoch and the slot, so a header that was altered fits no key.
"""

from __future__ import annotations

import hmac
import struct
from typing import Annotated, Final

import msgspec

from eventstore import seal
from eventstore.errors import FormatUnknown, KeyringNotFound, RecordMalformed
from eventstore.keytree import LEAF_NODES, Fetch

FORMAT: Final = 1
STORE_ID_SIZE: Final = 16
HEADER_ROW: Final = b"header"

_EPOCH: Final = struct.Struct(">QB")
_LABEL: Final = b"root-commitment"

_StoreId = Annotated[bytes, msgspec.Meta(min_length=STORE_ID_SIZE, max_length=STORE_ID_SIZE)]
_Commitment = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Epoch = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_Slot = Annotated[int, msgspec.Meta(ge=0, le=1)]
_LeafNode = Annotated[int, msgspec.Meta(ge=0, le=LEAF_NODES)]


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The committed state of a keyring, without its nodes."""

    format: int
    store_id: _StoreId
    root_epoch: _Epoch
    slot: _Slot
    root_commitment: _Commitment
    next_leaf_node: _LeafNode

    @classmethod
    def first(cls, store_id: bytes, root: bytes) -> Header:
        return cls(
            format=FORMAT,
            store_id=store_id,
            root_epoch=0,
            slot=0,
            root_commitment=commit_to(root, store_id, 0, 0),
            next_leaf_node=0,
        )

    def under(self, root: bytes) -> Header:
        """The header of the next epoch, under a new *root* in the other slot."""
        epoch, slot = self.root_epoch + 1, 1 - self.slot
        commitment = commit_to(root, self.store_id, epoch, slot)
        return msgspec.structs.replace(
            self, root_epoch=epoch, slot=slot, root_commitment=commitment
        )

    def with_leaf_nodes(self, count: int) -> Header:
        return msgspec.structs.replace(self, next_leaf_node=count)

    def fits(self, root: bytes) -> bool:
        """Whether *root* is the root key of this header.  Takes the same time for every key."""
        expected = commit_to(root, self.store_id, self.root_epoch, self.slot)
        return hmac.compare_digest(expected, self.root_commitment)

    def same_root(self, other: Header) -> bool:
        """Whether both stand under one root key, whatever leaf nodes were added between."""
        return self.root_epoch == other.root_epoch and hmac.compare_digest(
            self.root_commitment, other.root_commitment
        )


def commit_to(root: bytes, store_id: bytes, epoch: int, slot: int) -> bytes:
    """32 bytes that one root key in one store, epoch and slot gives, and that do not give it."""
    return seal.derive(root, store_id + _EPOCH.pack(epoch, slot), _LABEL).commitment


class _AnyHeader(msgspec.Struct):
    format: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Header)
_any_decoder = msgspec.msgpack.Decoder(_AnyHeader)


def encode_header(header: Header) -> bytes:
    return _encoder.encode(header)


def decode_header(raw: bytes | None) -> Header:
    """Raise KeyringNotFound, FormatUnknown or RecordMalformed."""
    if raw is None:
        raise KeyringNotFound("the keyring was never finished")
    try:
        # The format first: a header of a later format is unknown, and not malformed.
        if (found := _any_decoder.decode(raw).format) != FORMAT:
            raise FormatUnknown(f"the keyring has format {found}")
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RecordMalformed("the keyring's header is malformed") from None


def read_header(fetch: Fetch) -> Header:
    return decode_header(fetch(HEADER_ROW))
