"""Who asks, and how that is known.  Pure."""

from __future__ import annotations

import msgspec


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A principal at an edge.  *auth* says how it was known, *request* makes a retry idempotent."""

    principal: str
    auth: str
    address: str = ""
    agent: str = ""
    request: str = ""
