"""IPv4 ranges and subnets as rules may name them: canonical, not reserved.  Pure.

Key Vault takes IPv4 ranges of the public internet only; a vault of one's own may be opened for
private ones too, since callers on premises are private.  Sources: networkAcls of the Key Vault
resource provider; RFC 6890 for what is reserved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from eventstore.rule_events import Subnet, SubnetRule, TrustedService, VirtualNetwork
from vault import names
from vault.refusals import NetworkInvalid, RangeInvalid, RulesTooMany, TrustedServiceInvalid
from vault.trusted_services import SERVICES

MAX_IP_RULES: Final = 1000
MAX_SUBNET_RULES: Final = 200
MAX_NETWORKS: Final = 200
MAX_SUBNETS: Final = 200

PRIVATE: Final = {
    "10.0.0.0/8": "private IP addresses",
    "172.16.0.0/12": "private IP addresses",
    "192.168.0.0/16": "private IP addresses",
    "127.0.0.0/8": "loopback addresses",
    "169.254.0.0/16": "link-local addresses",
    "100.64.0.0/10": "shared address space",
}
"""Refused unless the vault allows private ranges."""

RESERVED: Final = {
    "0.0.0.0/8": "addresses of this network",
    "224.0.0.0/4": "multicast addresses",
    "240.0.0.0/4": "reserved addresses",
}
"""Refused always: nobody calls from there."""

_PRIVATE = {IPv4Network(block): why for block, why in PRIVATE.items()}
_RESERVED = {IPv4Network(block): why for block, why in RESERVED.items()}
_NAME = r"[0-9A-Za-z_().-]{1,90}"
_NETWORK_ID = re.compile(
    rf"/subscriptions/{_NAME}/resourceGroups/{_NAME}"
    rf"/providers/Microsoft\.Network/virtualNetworks/{_NAME}",
    re.ASCII | re.IGNORECASE,
)
_SUBNET_NAME = re.compile(_NAME, re.ASCII)
_SUBNETS = "/subnets/"


def check_ip_rules(rules: Iterable[str], private: bool) -> tuple[str, ...]:
    """*rules* in canonical form, each once, in their order.  Raise RangeInvalid or RulesTooMany."""
    found = tuple(dict.fromkeys(check_range(at, rule, private) for at, rule in enumerate(rules)))
    if len(found) > MAX_IP_RULES:
        raise RulesTooMany(f"{len(found)} address rules; a vault has at most {MAX_IP_RULES:,}")
    return found


def check_range(at: int, text: str, private: bool) -> str:
    """The rule number *at* as a range: a single address is a /32.  Raise RangeInvalid."""
    where = f"Invalid value found at properties.networkAcls.ipRules[{at}].value: {text[:50]!a}"
    try:
        range_ = IPv4Network(text.strip())
    except ValueError:
        raise RangeInvalid(f"{where} is not an IPv4 address or range{_meant(text)}") from None
    forbidden = _RESERVED if private else {**_RESERVED, **_PRIVATE}
    for block, why in forbidden.items():
        if range_.overlaps(block):
            raise RangeInvalid(
                f"{where[: -len(ascii(text[:50]))]}{text.strip()} belongs to forbidden range "
                f"{block[0]}–{block[-1]} ({why})"  # noqa: RUF001 - as Key Vault has it
            )
    return str(range_)


def _meant(text: str) -> str:
    """The range that holds an address with a too short mask, if that is what was given."""
    try:
        return f": its first address is {IPv4Network(text.strip(), strict=False)}"
    except ValueError:
        return ""


def is_private(address: str) -> bool:
    """Whether *address* is one that no caller on the public internet has."""
    try:
        return not ip_address(address).is_global
    except ValueError:
        return False


def plain(address: str) -> str:
    """*address* in one form: an IPv4 one that is written as IPv6 (RFC 4291, 2.5.5.2) as IPv4."""
    if ":" not in address:
        return address
    try:
        read = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(read.ipv4_mapped or read)


# --- virtual networks -----------------------------------------------------------------------------


def check_subnet_rules(rules: Iterable[SubnetRule]) -> tuple[SubnetRule, ...]:
    """*rules*, each subnet once.  Raise NetworkInvalid or RulesTooMany."""
    found: dict[str, SubnetRule] = {}
    for rule in rules:
        check_subnet_id(rule.id)
        found[rule.id.lower()] = rule
    if len(found) > MAX_SUBNET_RULES:
        raise RulesTooMany(
            f"{len(found)} virtual network rules; a vault has at most {MAX_SUBNET_RULES}"
        )
    return tuple(found.values())


def check_subnet_id(subnet_id: str) -> None:
    network, found, name = subnet_id.rpartition(_SUBNETS)
    if not (found and _NETWORK_ID.fullmatch(network) and _SUBNET_NAME.fullmatch(name)):
        raise NetworkInvalid(
            f"{subnet_id[:300]!a} is not /subscriptions/S/resourceGroups/G/providers/"
            "Microsoft.Network/virtualNetworks/NETWORK/subnets/SUBNET"
        )


def subnet_id(network: VirtualNetwork, subnet: Subnet) -> str:
    return f"{network.id}{_SUBNETS}{subnet.name}"


def check_network(network: VirtualNetwork) -> VirtualNetwork:
    """*network* with its ranges in canonical form.  Raise NetworkInvalid."""
    if not _NETWORK_ID.fullmatch(network.id):
        raise NetworkInvalid(
            f"{network.id[:300]!a} is not /subscriptions/S/resourceGroups/G/providers/"
            "Microsoft.Network/virtualNetworks/NETWORK"
        )
    if len(network.subnets) > MAX_SUBNETS:
        raise NetworkInvalid(f"a virtual network has at most {MAX_SUBNETS} subnets")
    found = [check_subnet(subnet) for subnet in network.subnets]
    if len({subnet.name.lower() for subnet in found}) < len(found):
        raise NetworkInvalid("two subnets have one name")
    return VirtualNetwork(id=network.id, subnets=tuple(found))


def check_subnet(subnet: Subnet) -> Subnet:
    """*subnet* with its ranges in canonical form.  Raise NetworkInvalid."""
    if not _SUBNET_NAME.fullmatch(subnet.name):
        raise NetworkInvalid(f"{subnet.name[:100]!a} is no name of a subnet")
    for text in (subnet.listener, subnet.interface, subnet.namespace):
        if text and not _SUBNET_NAME.fullmatch(text):
            raise NetworkInvalid(f"{text[:100]!a} is no name of a listener, interface or namespace")
    if subnet.vlan is not None and not 1 <= subnet.vlan <= 4094:
        raise NetworkInvalid("a VLAN has a number from 1 to 4094")
    if not (subnet.ranges or subnet.listener or subnet.interface or subnet.namespace) and (
        subnet.vlan is None
    ):
        raise NetworkInvalid(f"nothing says who comes from the subnet {subnet.name}")
    ranges = tuple(dict.fromkeys(_check_block(text) for text in subnet.ranges))
    return Subnet(
        name=subnet.name,
        ranges=ranges,
        listener=subnet.listener,
        interface=subnet.interface,
        vlan=subnet.vlan,
        namespace=subnet.namespace,
    )


def _check_block(text: str) -> str:
    try:
        block = ip_network(text.strip())
    except ValueError:
        raise NetworkInvalid(f"{text[:60]!a} is not an address range{_meant(text)}") from None
    if isinstance(block, IPv6Network) and block.network_address.ipv4_mapped is not None:
        raise NetworkInvalid(f"write {text[:60]!a} as an IPv4 range")
    return str(block)


# --- trusted services -----------------------------------------------------------------------------


def check_trusted_service(bound: TrustedService) -> None:
    """Raise TrustedServiceInvalid."""
    if bound.service not in SERVICES:
        raise TrustedServiceInvalid(f"{bound.service[:60]!a} is no trusted service")
    if bool(bound.application_id) == bool(bound.object_id):
        raise TrustedServiceInvalid("bind it to an application id or to an object id")
    names.check_principal(bound.application_id or bound.object_id)
