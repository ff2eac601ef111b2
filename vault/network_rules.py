"""What a change of the boundary records: all of it, as it stands from then on.  Pure.

Every rule is checked again with what it hangs on: a private range with the leave for private ones, a
subnet rule with the networks.  So no order of changes leads to a boundary that could not be given as
a whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from msgspec import UnsetType
from msgspec.structs import asdict, replace

from eventstore.rule_events import BoundarySet, SubnetRule, TrustedService, VirtualNetwork
from projections.rows import Boundary
from vault import ranges
from vault.boundary import ALLOW, DENY, NOBODY, TRUSTED
from vault.refusals import (
    NetworkInUse,
    NetworkInvalid,
    NetworkNotFound,
    RuleNotFound,
    SubnetUnknown,
    TrustedServiceInvalid,
    VaultSettingInvalid,
)
from vault.rule_commands import (
    AddNetworkRules,
    BindTrustedService,
    BoundaryChange,
    DeleteNetwork,
    NetworkRules,
    NewVault,
    RemoveNetworkRules,
    SetNetwork,
    UnbindTrustedService,
    UpdateBoundary,
)

MAX_TRUSTED_SERVICES = 200
MAX_ALL_SUBNETS = 1000
MAX_ALL_RANGES = 1000
"""Of all networks together: each change records them all, and each request may look at them all."""

V = TypeVar("V")


def decide(boundary: Boundary, command: BoundaryChange) -> BoundarySet:
    """The boundary that stands after *command*.  Raise what is wrong with it."""
    stands = event_of(boundary)
    match command:
        case UpdateBoundary():
            return _checked(_with(stands, command))
        case AddNetworkRules(ip_rules=more, subnet_rules=subnets):
            new = ranges.check_ip_rules(more, stands.allow_private_ranges)
            ip_rules = stands.ip_rules + new
            return _checked(
                replace(stands, ip_rules=ip_rules, subnet_rules=stands.subnet_rules + subnets)
            )
        case RemoveNetworkRules():
            return _removed(stands, command)
        case SetNetwork(network=network):
            others = [one for one in stands.networks if not _same(one.id, network.id)]
            return _redefined(stands, (*others, network))
        case DeleteNetwork(id=id_):
            others = [one for one in stands.networks if not _same(one.id, id_)]
            if len(others) == len(stands.networks):
                raise NetworkNotFound(f"the vault knows no virtual network {id_[:300]!a}")
            return _redefined(stands, tuple(others))
        case BindTrustedService(bound=bound):
            return _checked(replace(stands, trusted_services=(*stands.trusted_services, bound)))
        case UnbindTrustedService(bound=bound):
            left = tuple(one for one in stands.trusted_services if one != bound)
            if len(left) == len(stands.trusted_services):
                raise RuleNotFound(f"{bound.service[:60]!a} is not bound so")
            return replace(stands, trusted_services=left)


def replaced(boundary: Boundary, rules: NetworkRules | UpdateBoundary) -> BoundarySet:
    """The boundary with *rules*; what they do not name stays."""
    if isinstance(rules, UpdateBoundary):
        return decide(boundary, rules)
    return _checked(replace(event_of(boundary), **asdict(rules)))


def founding(
    rules: NetworkRules,
    networks: tuple[VirtualNetwork, ...],
    trusted_services: tuple[TrustedService, ...],
) -> BoundarySet:
    """The boundary of a new vault."""
    return _checked(
        BoundarySet(**asdict(rules), networks=networks, trusted_services=trusted_services)
    )


def as_new(boundary: Boundary) -> NewVault:
    """A new vault with the same boundary."""
    stands = asdict(event_of(boundary))
    networks, trusted = stands.pop("networks"), stands.pop("trusted_services")
    return NewVault(boundary=NetworkRules(**stands), networks=networks, trusted_services=trusted)


def event_of(boundary: Boundary) -> BoundarySet:
    """The event that says what stands."""
    return BoundarySet(**{name: getattr(boundary, name) for name in BoundarySet.__struct_fields__})


def _with(stands: BoundarySet, command: UpdateBoundary) -> BoundarySet:
    asked = {name: getattr(command, name) for name in BoundarySet.__struct_fields__}
    return replace(
        stands, **{name: one for name, one in asked.items() if not isinstance(one, UnsetType)}
    )


def _checked(wanted: BoundarySet) -> BoundarySet:
    """*wanted* in canonical form.  Raise what is wrong with it."""
    networks = _networks(wanted.networks)
    rules = ranges.check_subnet_rules(wanted.subnet_rules)
    missing = _missing(rules, networks)
    if missing:
        raise SubnetUnknown(f"the vault knows no subnet {missing[0]}")
    return BoundarySet(
        default_action=_one_of("default action", wanted.default_action, ALLOW, DENY),
        bypass=_one_of("bypass", wanted.bypass, TRUSTED, NOBODY),
        ip_rules=ranges.check_ip_rules(wanted.ip_rules, wanted.allow_private_ranges),
        subnet_rules=rules,
        public_network_access=wanted.public_network_access,
        allow_private_ranges=wanted.allow_private_ranges,
        networks=networks,
        trusted_services=_trusted(wanted.trusted_services),
    )


def _one_of(what: str, given: str, *known: str) -> str:
    """*given* as it is spelt here: the resource provider takes any case."""
    for one in known:
        if given.lower() == one.lower():
            return one
    raise VaultSettingInvalid(f"the {what} is {' or '.join(known)}, not {given[:40]!r}")


# --- rules ----------------------------------------------------------------------------------------


def _removed(stands: BoundarySet, command: RemoveNetworkRules) -> BoundarySet:
    # As private ranges: a rule that stands can be taken away whatever is allowed now.
    gone = ranges.check_ip_rules(command.ip_rules, private=True)
    for rule in gone:
        if rule not in stands.ip_rules:
            raise RuleNotFound(f"there is no address rule {rule}")
    known = {rule.id.lower() for rule in stands.subnet_rules}
    ids = {id_.lower() for id_ in command.subnet_ids}
    if unknown := sorted(ids - known):
        raise RuleNotFound(f"there is no virtual network rule for {unknown[0][:300]!a}")
    return replace(
        stands,
        ip_rules=_without(stands.ip_rules, gone),
        subnet_rules=tuple(rule for rule in stands.subnet_rules if rule.id.lower() not in ids),
    )


def _without(stands: Iterable[V], gone: Iterable[V]) -> tuple[V, ...]:
    taken = set(gone)
    return tuple(one for one in stands if one not in taken)


# --- networks and trusted services ----------------------------------------------------------------


def _networks(wanted: tuple[VirtualNetwork, ...]) -> tuple[VirtualNetwork, ...]:
    if len(wanted) > ranges.MAX_NETWORKS:
        raise NetworkInvalid(f"a vault has at most {ranges.MAX_NETWORKS} virtual networks")
    if len({one.id.lower() for one in wanted}) < len(wanted):
        raise NetworkInvalid("two virtual networks have one id")
    found = tuple(ranges.check_network(one) for one in wanted)
    subnets = [subnet for network in found for subnet in network.subnets]
    blocks = sum(len(subnet.ranges) for subnet in subnets)
    if len(subnets) > MAX_ALL_SUBNETS or blocks > MAX_ALL_RANGES:
        raise NetworkInvalid(
            f"{len(subnets):,} subnets with {blocks:,} ranges; the networks of a vault have at most "
            f"{MAX_ALL_SUBNETS:,} and {MAX_ALL_RANGES:,}"
        )
    return found


def _redefined(stands: BoundarySet, networks: tuple[VirtualNetwork, ...]) -> BoundarySet:
    """*stands* with other networks.  Raise NetworkInUse if a rule needs a subnet that is gone."""
    gone = _missing(stands.subnet_rules, networks)
    if gone:
        raise NetworkInUse(f"a virtual network rule needs {gone[0]}")
    return _checked(replace(stands, networks=networks))


def _missing(rules: Iterable[SubnetRule], networks: tuple[VirtualNetwork, ...]) -> list[str]:
    """The subnets that rules need and nobody defines."""
    known = {
        ranges.subnet_id(network, subnet).lower()
        for network in networks
        for subnet in network.subnets
    }
    return [rule.id for rule in rules if not rule.ignore_missing and rule.id.lower() not in known]


def _trusted(wanted: Iterable[TrustedService]) -> tuple[TrustedService, ...]:
    found = tuple(dict.fromkeys(wanted))
    if len(found) > MAX_TRUSTED_SERVICES:
        raise TrustedServiceInvalid(f"a vault binds at most {MAX_TRUSTED_SERVICES} of them")
    for one in found:
        ranges.check_trusted_service(one)
    return found


def _same(one: str, other: str) -> bool:
    return one.lower() == other.lower()
