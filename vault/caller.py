"""Who asks, from where, and how that is known.  Pure."""

from __future__ import annotations

import msgspec


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """By what way a request came in over a network; what is not known is empty.

    *listener* is the name of the listening socket, *interface* that of the network interface, *vlan*
    its number, *namespace* the name of the network namespace that the socket is in.
    """

    listener: str = ""
    interface: str = ""
    vlan: int | None = None
    namespace: str = ""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A principal at an edge.  *auth* says how it was known, *request* makes a retry idempotent.

    *application* is the client that asks for the principal.  A caller without an *arrival* came over
    no network: it opened the store itself, and the boundary is not its matter.

    A *store_administrator* may make vaults, and see how each of them is set up.

    An id that is *shared* may stand with other requests too, as the correlation ids of some clients
    do: only a repetition of the newest request under it is recognized, and all else is new.
    """

    principal: str
    auth: str
    address: str = ""
    agent: str = ""
    request: str = ""
    shared: bool = False
    application: str = ""
    arrival: Arrival | None = None
    store_administrator: bool = False
