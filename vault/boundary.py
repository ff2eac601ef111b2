"""From where a vault's secrets can be reached.  Pure.

The rule, in its order: who came over no network is let in.  With public network access disabled only
trusted services are, if the vault lets them bypass.  Then: does an address rule or a subnet rule
name where the caller is; is it a trusted service that may bypass; and if none of these, the default
action decides.  A token was checked before, and a permission is asked for after: no rule here gives
anybody more than a way to the door.

Source: networkAcls and publicNetworkAccess of Key Vault, and "trusted services" there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Final, NamedTuple

from eventstore.rule_events import TrustedService
from projections.rows import Boundary
from vault import ranges
from vault.caller import Caller
from vault.refusals import OutsideBoundary, PublicAccessDisabled
from vault.subnets import Subnets

ALLOW: Final = "Allow"
DENY: Final = "Deny"
TRUSTED: Final = "AzureServices"
NOBODY: Final = "None"


class Admission(NamedTuple):
    """What let a caller in; *rule* is empty if nothing had to."""

    rule: str = ""
    trusted: str = ""


class Rules:
    """A boundary made ready: deciding costs the same for one range or subnet and for a thousand."""

    def __init__(self, boundary: Boundary) -> None:
        self._boundary = boundary
        self._at = f" (boundary #{boundary.at})"
        self._starts, self._ends, self._ranges = _disjoint(boundary.ip_rules)
        self._listed_ids = {rule.id.lower() for rule in boundary.subnet_rules}
        self._subnets = Subnets(boundary.networks)

    def admit(self, caller: Caller) -> Admission:
        """What lets *caller* in.  Raise OutsideBoundary or PublicAccessDisabled."""
        if caller.arrival is None:
            return Admission()
        boundary = self._boundary
        if not boundary.public_network_access:
            trusted = self._trusted(caller)
            if trusted is not None:
                return trusted
            raise PublicAccessDisabled(
                "public network access is disabled, and the caller is no trusted service",
                "public network access is disabled" + self._at,
            )
        if boundary.default_action == ALLOW:
            return Admission()
        return self._listed(caller) or self._trusted(caller) or self._refuse(caller)

    def _listed(self, caller: Caller) -> Admission | None:
        range_ = self.range_of(caller.address)
        if range_ is not None:
            return Admission(f"address {range_}{self._at}")
        for known in self._subnets.of(caller) if self._listed_ids else ():
            if known.id.lower() in self._listed_ids:
                return Admission(f"subnet {known.id}{self._at}")
        return None

    def range_of(self, address: str) -> str | None:
        """The address rule that holds *address*."""
        try:
            number = int(IPv4Address(ranges.plain(address)))
        except ValueError:
            return None
        at = bisect_right(self._starts, number) - 1
        return self._ranges[at] if at >= 0 and number <= self._ends[at] else None

    def _trusted(self, caller: Caller) -> Admission | None:
        if self._boundary.bypass != TRUSTED:
            return None
        for bound in self._boundary.trusted_services:
            if _is_bound(bound, caller):
                rule = f"trusted service {bound.service}{self._at}"
                return Admission(rule, bound.service)
        return None

    def _refuse(self, caller: Caller) -> Admission:
        raise OutsideBoundary(self._origin(caller), f"default action {DENY}{self._at}")

    def _origin(self, caller: Caller) -> str:
        address, subnet = ranges.plain(caller.address), self.subnet_of(caller)
        if subnet:
            return f"{address} from subnet {subnet}"
        # Key Vault says so of one that comes by a virtual network which it does not know.
        return f"{address} from unknown subnet" if ranges.is_private(address) else address

    def subnet_of(self, caller: Caller) -> str:
        """The id of the first known subnet that *caller* comes from, or nothing."""
        return next((known.id for known in self._subnets.of(caller)), "")


def _disjoint(rules: Iterable[str]) -> tuple[list[int], list[int], list[str]]:
    """First and last addresses of the widest ranges, sorted: of two ranges one holds the other, or
    they have no address in common."""
    blocks = sorted(
        (int(block.network_address), -int(block.broadcast_address), rule)
        for rule in rules
        for block in (IPv4Network(rule),)
    )
    starts: list[int] = []
    ends: list[int] = []
    widest: list[str] = []
    for first, last, rule in blocks:
        if not ends or first > ends[-1]:
            starts.append(first)
            ends.append(-last)
            widest.append(rule)
    return starts, ends, widest


def _is_bound(bound: TrustedService, caller: Caller) -> bool:
    if bound.application_id:
        return bound.application_id.lower() == caller.application.lower()
    return bound.object_id == caller.principal
