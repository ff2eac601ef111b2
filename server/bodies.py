"""What a request's body says.  Pure.

Strict JSON of UTF-8: a duplicate member, a wrong type, a missing one or bad text is refused, and no
message quotes what was sent.  Members that Key Vault does not know are passed over, as it does.

No failure of a parser is kept: it would hold the body, and so a value.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from server.refusals import BodyMalformed
from vault.refusals import BackupInvalid

LARGEST = 256 * 1024
"""Bytes of a body.  A value of 25,600 bytes has up to 153,600 when each character is written as
`\\uXXXX`, which Python's SDK does for all that is not ASCII; tags can have another 46,080."""

LARGEST_BLOB = 16 * 1024 * 1024
"""Bytes of a restore's body: some hundred versions of the largest value."""

T = TypeVar("T")

_NOT_JSON = "The request body is not valid JSON."
_BASE64 = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


class AttributesBody(msgspec.Struct, frozen=True):
    """The attributes that a request can give; JSON's 1.0 is the whole number 1."""

    enabled: bool | None | UnsetType = UNSET
    nbf: int | float | None | UnsetType = UNSET
    exp: int | float | None | UnsetType = UNSET


class GivenAttributes(NamedTuple):
    """The attributes that a request gives.  `None` is null, UNSET absent."""

    enabled: bool | None | UnsetType
    nbf: int | None | UnsetType
    exp: int | None | UnsetType


class UpdateBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of an update: what is absent stays, null clears."""

    content_type: str | None | UnsetType = UNSET
    tags: dict[str, str] | None | UnsetType = UNSET
    attributes: AttributesBody | None | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class SetBody(UpdateBody, frozen=True, rename="camel", kw_only=True):
    """The body of a set: null is as absent."""

    value: str


class BlobBody(msgspec.Struct, frozen=True):
    """The body of a restore."""

    value: str

    def __repr__(self) -> str:
        return "BlobBody(...)"


_set = msgspec.json.Decoder(SetBody)
_update = msgspec.json.Decoder(UpdateBody)
_blob = msgspec.json.Decoder(BlobBody)


def read_set(body: bytes) -> SetBody:
    """Raise BodyMalformed."""
    return read(_set, body)


def read_update(body: bytes) -> UpdateBody:
    """Raise BodyMalformed."""
    return read(_update, body)


def read_blob(body: bytes) -> bytes:
    """The bytes of a backup: base64url or base64, padded or not.

    Raise BodyMalformed or BackupInvalid.
    """
    text = read(_blob, body).value.rstrip("=").replace("+", "-").replace("/", "_")
    if not _BASE64.fullmatch(text) or len(text) % 4 == 1:
        raise BackupInvalid
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def attributes_of(body: UpdateBody) -> GivenAttributes:
    """The attributes that *body* gives.  Raise BodyMalformed."""
    said = body.attributes or AttributesBody()
    return GivenAttributes(said.enabled, _date("nbf", said.nbf), _date("exp", said.exp))


def _date(name: str, given: int | float | None | UnsetType) -> int | None | UnsetType:
    if not isinstance(given, float):
        return given
    if not given.is_integer():
        raise BodyMalformed(f"The request body is not valid: {name} is not a whole number.")
    return int(given)


def read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The JSON object *body* as *decoder* has it.  Raise BodyMalformed."""
    decoded = _decoded(decoder, body)
    found, wrong = decoded
    # Raised here, where no failure of a parser is being handled, so that none hangs on to it.
    if found is None:
        raise BodyMalformed(wrong)
    # With as many colons as members there is room for no other member, and so for no duplicate.
    if body.count(b":") != _members(found) and not _has_single_members(body):
        raise BodyMalformed("The request body has a duplicate member, or text that is not UTF-8.")
    return found


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> tuple[T | None, str]:
    try:
        return decoder.decode(body), ""
    except msgspec.ValidationError as error:
        return None, f"The request body is not valid: {error}."  # types and places, no value
    except (ValueError, RecursionError):
        return None, _NOT_JSON


def _members(read: object) -> int:
    """How many members of the body stand in what was read of it."""
    if isinstance(read, msgspec.Struct):
        values = [getattr(read, name) for name in read.__struct_fields__]
        return sum(1 + _members(value) for value in values if value is not UNSET)
    return len(read) if isinstance(read, dict) else 0


def _has_single_members(body: bytes) -> bool:
    try:
        json.loads(body.decode(), object_pairs_hook=_single)
    except (ValueError, RecursionError):
        return False
    return True


def _single(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("duplicate")
