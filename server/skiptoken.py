"""Where the next page of a list begins, in a token that nobody else can make.  Pure.

A token is bound to the vault's authority, to the kind of list and to the secret whose versions are
listed.  It gives no right: the next page is authorized and recorded as the first one was.

Layout, in base64url without padding: HMAC-SHA-256 cut to 16 bytes || the last name or version seen.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import msgspec

from server.refusals import SkipTokenInvalid

_MAC = 16
_LONGEST = 256


class Place(NamedTuple):
    """A list: the authority with its port, the AuditEvent name, and the secret's name if one."""

    authority: str
    operation: str
    name: str = ""


class Skiptokens:
    """Makes and reads tokens under one key: 32 bytes that every worker has, and nobody else."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, place: Place, after: str) -> str:
        """A token for what comes after *after* in the list at *place*."""
        return urlsafe_b64encode(self._mac(place, after) + after.encode()).rstrip(b"=").decode()

    def read(self, place: Place, token: str) -> str:
        """What *token* says the page comes after.  Raise SkipTokenInvalid."""
        after = self._opened(place, token)
        if after is None:
            raise SkipTokenInvalid
        return after

    def _opened(self, place: Place, token: str) -> str | None:
        if len(token) > _LONGEST or not token.isascii():
            return None
        try:
            raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            after = raw[_MAC:].decode()
        except ValueError:
            return None
        # Compared in its only spelling: the decoder skips what is not of its alphabet.
        right = hmac.compare_digest(token, self.issue(place, after))
        return after if right and after else None

    def _mac(self, place: Place, after: str) -> bytes:
        told = place._replace(authority=place.authority.lower(), name=place.name.upper())
        return hmac.digest(self._key, msgspec.msgpack.encode((*told, after)), "sha256")[:_MAC]
