"""Who comes in by an entrance, and by what way: decided here, once, for each request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from server.entrances import Entrance
from server.hops import AddressHidden, Hops
from vault.caller import Arrival
from vault.ranges import plain


class Came(NamedTuple):
    """*address* is the caller's own; one that *is_hidden* must not be served."""

    address: str
    arrival: Arrival
    is_hidden: bool = False


class Door:
    """One entrance.  *announced* gives what a proxy said of a connection before its first byte."""

    def __init__(
        self,
        entrance: Entrance,
        hops: Hops,
        announced: Callable[[str], str | None] | None = None,
    ) -> None:
        self._arrival = entrance.arrival
        self._is_unix = entrance.is_unix
        self._announced = announced
        self._hops = hops if hops else None

    def enter(self, client: str, headers: Sequence[tuple[str, str]]) -> Came:
        """Who sent *headers* on the connection of *client*, as the server names its other end."""
        if self._announced is not None:
            # The proxy spoke of the connection, so what stands in the request is its caller's.
            address = self._announced(client)
            return Came(address or "", self._arrival, address is None)
        # The other end of a socket file is named as its owner likes, even like an address.
        peer = "" if self._is_unix else plain(client)
        if self._hops is None or not self._believes(self._hops, peer):
            return Came(peer, self._arrival)
        try:
            return Came(self._hops.caller(peer, headers), self._arrival)
        except AddressHidden:
            return Came(peer, self._arrival, is_hidden=True)

    def _believes(self, hops: Hops, peer: str) -> bool:
        return hops.trusts_unix if self._is_unix else hops.holds(peer)


OPEN = Door(Entrance(-1), Hops())
"""An entrance of which nothing is known."""
