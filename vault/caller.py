"""Who asks, and how that is known.  Pure."""

from __future__ import annotations

import msgspec


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A principal at an edge.  *auth* says how it was known, *request* makes a retry idempotent.

    An id that is *shared* may stand with other requests too, as the correlation ids of some clients
    do: only a repetition of the newest request under it is recognized, and all else is new.
    """

    principal: str
    auth: str
    address: str = ""
    agent: str = ""
    request: str = ""
    shared: bool = False
