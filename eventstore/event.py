"""What every event has: who caused it, its shape, and what only its secret's key opens.  Pure.

An event is past and never changes meaning.  A new field goes last and has a default; a new meaning
is a new tag.  An unknown tag or field is refused, never skipped.  Values, content types and tags
are not in an event: they are its `SecretContent`, sealed under the secret's own key.

Times inside events are Unix seconds, as Key Vault's IntDate.  An event's own time is its leaf's.
"""

from __future__ import annotations

import msgspec


class Context(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Who asked, how they were known, from where, and what let them or stopped them.

    *application* is the client that asked for the principal, if the token named one.
    """

    principal: str
    auth: str
    rule: str = ""
    outcome: str = "ok"
    address: str = ""
    agent: str = ""
    request: str = ""
    cause: int | None = None
    application: str = ""


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="type",
):
    """Something that happened."""


class SecretContent(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What only the secret's own key opens.  An update carries no value.

    A storage account's *keys* are by the names that the account gives them, each in base64.
    *template* is that of a SAS definition.
    """

    value: str | None = None
    content_type: str | None = None
    tags: dict[str, str] | None = None
    keys: dict[str, str] | None = None
    template: str | None = None

    def __repr__(self) -> str:
        return "SecretContent(...)"

    def described(self) -> bytes:
        """Content type and tags as bytes to fingerprint: equal if and only if they are."""
        tags = sorted((self.tags or {}).items())
        return b"\1" + msgspec.msgpack.encode((self.content_type, tags))
