"""What the bodies of requests about storage accounts say.  Pure.

As in `server.bodies`: strict JSON, and no message quotes what was sent.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from server.bodies import AttributesBody, read

Text = str | None | UnsetType
Tags = dict[str, str] | None | UnsetType


class UpdateStorageBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of an update: what is absent or null stays, but for a period, which null takes away."""

    active_key_name: Text = UNSET
    auto_regenerate_key: bool | None | UnsetType = UNSET
    regeneration_period: Text = UNSET
    attributes: AttributesBody | None | UnsetType = UNSET
    tags: Tags = UNSET


class SetStorageBody(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The body of a set: null is as absent."""

    resource_id: str
    active_key_name: str
    auto_regenerate_key: bool
    regeneration_period: Text = UNSET
    attributes: AttributesBody | None | UnsetType = UNSET
    tags: Tags = UNSET


class RegenerateBody(msgspec.Struct, frozen=True, rename="camel"):
    """Which key."""

    key_name: str


class UpdateSasBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of an update: what is absent or null stays.

    A template may hold a signature that somebody made with a real key.
    """

    template_uri: Text = UNSET
    sas_type: Text = UNSET
    validity_period: Text = UNSET
    attributes: AttributesBody | None | UnsetType = UNSET
    tags: Tags = UNSET

    def __repr__(self) -> str:
        return "UpdateSasBody(...)"


class SetSasBody(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The body of a set: null is as absent."""

    template_uri: str
    sas_type: str
    validity_period: str
    attributes: AttributesBody | None | UnsetType = UNSET
    tags: Tags = UNSET

    def __repr__(self) -> str:
        return "SetSasBody(...)"


_set = msgspec.json.Decoder(SetStorageBody)
_update = msgspec.json.Decoder(UpdateStorageBody)
_regenerate = msgspec.json.Decoder(RegenerateBody)
_set_sas = msgspec.json.Decoder(SetSasBody)
_update_sas = msgspec.json.Decoder(UpdateSasBody)


def read_set(body: bytes) -> SetStorageBody:
    """Raise BodyMalformed."""
    return read(_set, body)


def read_update(body: bytes) -> UpdateStorageBody:
    """Raise BodyMalformed."""
    return read(_update, body)


def read_regenerate(body: bytes) -> RegenerateBody:
    """Raise BodyMalformed."""
    return read(_regenerate, body)


def read_set_sas(body: bytes) -> SetSasBody:
    """Raise BodyMalformed."""
    return read(_set_sas, body)


def read_update_sas(body: bytes) -> UpdateSasBody:
    """Raise BodyMalformed."""
    return read(_update_sas, body)


def enabled_in(attributes: AttributesBody | None | UnsetType) -> bool | UnsetType:
    """Whether it is enabled; UNSET if that is not said."""
    said = (attributes or AttributesBody()).enabled
    return UNSET if said is None else said
