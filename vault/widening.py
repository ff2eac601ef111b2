"""What another boundary, or another policy, would allow that is not allowed now.  Pure.

Told of what counts, and not of what merely stands: an address rule lets nobody in while public
network access is disabled, and adds nothing where everybody is let in anyhow.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from eventstore.rule_events import Subnet, TrustedService
from projections.rows import Boundary, Policy
from vault import ranges
from vault.boundary import ALLOW, TRUSTED


def boundary(now: Boundary, then: Boundary) -> tuple[str, ...]:
    """Who could come in under *then* that cannot under *now*, in words."""
    if _is_open(now):
        return ()
    if _is_open(then):
        return (_opened(now),)
    return (*_addresses(now, then), *_subnets(now, then), *_services(now, then))


def policy(now: Policy | None, then: Policy | None) -> tuple[str, ...]:
    """The permissions that *then* gives and *now* does not, in words."""
    if then is None:
        return ()
    return tuple(
        f"{what} {' '.join(more)}"
        for what in ("secrets", "storage")
        if (more := [one for one in getattr(then, what) if one not in getattr(now, what, ())])
    )


def _is_open(one: Boundary) -> bool:
    return one.public_network_access and one.default_action == ALLOW


def _opened(now: Boundary) -> str:
    if now.public_network_access:
        return f"callers from anywhere: default action {ALLOW}"
    return f"callers from anywhere: public network access, with default action {ALLOW}"


def _addresses(now: Boundary, then: Boundary) -> Iterator[str]:
    if not then.public_network_access:
        return
    known = [IPv4Network(rule) for rule in _ip_rules(now)]
    for rule in then.ip_rules:
        if not any(IPv4Network(rule).subnet_of(one) for one in known):
            yield f"callers from {rule}"


def _ip_rules(one: Boundary) -> tuple[str, ...]:
    return one.ip_rules if one.public_network_access else ()


def _subnets(now: Boundary, then: Boundary) -> Iterator[str]:
    known = _let_in(now)
    for id_, subnet in _let_in(then).items():
        if id_ not in known:
            yield f"callers from subnet {id_}"
        elif known[id_] != subnet:
            yield f"callers from subnet {id_}, as it was defined then"


def _let_in(one: Boundary) -> dict[str, Subnet]:
    """The subnets whose callers are let in."""
    if not one.public_network_access:
        return {}
    listed = {rule.id.lower() for rule in one.subnet_rules}
    found = {
        ranges.subnet_id(network, subnet): subnet
        for network in one.networks
        for subnet in network.subnets
    }
    return {id_: subnet for id_, subnet in found.items() if id_.lower() in listed}


def _services(now: Boundary, then: Boundary) -> Iterator[str]:
    known = _bypassing(now)
    for one in _bypassing(then):
        if one not in known:
            yield f"trusted service {one.service} ({one.application_id or one.object_id})"


def _bypassing(one: Boundary) -> tuple[TrustedService, ...]:
    return one.trusted_services if one.bypass == TRUSTED else ()
