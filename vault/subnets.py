"""Which subnets a caller comes from, found by a few looks and not by one for each.  Pure.

A vault may know a thousand subnets, and whoever is refused is told the subnet, so a look at each of
them would be what a flood of strangers costs all others.  Ranges are kept by their length, like the
routes of a router: an address is in a range of that length if its first bits are the range's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from eventstore.rule_events import Subnet, VirtualNetwork
from vault import ranges
from vault.caller import Arrival, Caller

_Prefixes = dict[tuple[int, int], dict[int, list[int]]]
"""By IP version and number of host bits: the first bits, and which subnets have such a range."""


class Known(NamedTuple):
    """A subnet that a vault knows, and its id."""

    id: str
    subnet: Subnet


class Subnets:
    """The subnets of a vault, made ready."""

    def __init__(self, networks: Iterable[VirtualNetwork]) -> None:
        self._known = tuple(
            Known(ranges.subnet_id(network, subnet), subnet)
            for network in networks
            for subnet in network.subnets
        )
        self._everywhere = {at for at, one in enumerate(self._known) if not one.subnet.ranges}
        self._prefixes = _prefixes(self._known)

    def of(self, caller: Caller) -> Iterator[Known]:
        """Those that *caller* comes from, in their order: all fits that is said of them."""
        if caller.arrival is None:
            return
        for at in sorted(self._everywhere.union(self._holding(caller.address))):
            if _came_by(self._known[at].subnet, caller.arrival):
                yield self._known[at]

    def _holding(self, address: str) -> Iterator[int]:
        if not self._prefixes:
            return
        try:
            found = ip_address(ranges.plain(address))
        except ValueError:
            return
        number = int(found)
        for (version, host_bits), blocks in self._prefixes.items():
            if version == found.version:
                yield from blocks.get(number >> host_bits, ())


def _prefixes(known: tuple[Known, ...]) -> _Prefixes:
    found: _Prefixes = defaultdict(lambda: defaultdict(list))
    for at, one in enumerate(known):
        for block in map(ip_network, one.subnet.ranges):
            host_bits = block.max_prefixlen - block.prefixlen
            found[block.version, host_bits][int(block.network_address) >> host_bits].append(at)
    # Plain ones: a look must not add to them.
    return {length: dict(blocks) for length, blocks in found.items()}


def _came_by(subnet: Subnet, arrival: Arrival) -> bool:
    """Whether everything that *subnet* says of the way fits; what is not known does not."""
    return (
        subnet.listener in ("", arrival.listener)
        and subnet.interface in ("", arrival.interface)
        and subnet.namespace in ("", arrival.namespace)
        and subnet.vlan in (None, arrival.vlan)
    )
