"""What going back would allow that is not allowed now: told of what counts, and never left out."""

from __future__ import annotations

import pytest
from msgspec.structs import asdict, replace

from eventstore.rule_events import BoundarySet, Subnet, SubnetRule, TrustedService, VirtualNetwork
from projections.rows import Boundary, Policy
from vault import widening

NETWORK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n"
WEB = f"{NETWORK}/subnets/web"
INTRANET = VirtualNetwork(id=NETWORK, subnets=(Subnet(name="web", ranges=("10.1.0.0/16",)),))
WIDER = VirtualNetwork(id=NETWORK, subnets=(Subnet(name="web", ranges=("10.0.0.0/8",)),))
SHUT = Boundary(**asdict(BoundarySet(default_action="Deny")), at=1)
BACKUP = TrustedService(service="backup", application_id="agent")
LISTED = replace(
    SHUT, ip_rules=("203.0.113.0/24",), subnet_rules=(SubnetRule(id=WEB),), networks=(INTRANET,)
)

CASES = {
    "the default action": (SHUT, {"default_action": "Allow"}, ["callers from anywhere: default"]),
    "a range": (SHUT, {"ip_rules": ("198.51.100.7/32",)}, ["callers from 198.51.100.7/32"]),
    "a range that another holds": (LISTED, {"ip_rules": ("203.0.113.9/32",)}, []),
    "a wider range": (LISTED, {"ip_rules": ("203.0.0.0/16",)}, ["callers from 203.0.0.0/16"]),
    "a subnet": (
        replace(LISTED, subnet_rules=()),
        {"subnet_rules": (SubnetRule(id=WEB),)},
        [f"callers from subnet {WEB}"],
    ),
    "a subnet that was more": (
        LISTED,
        {"networks": (WIDER,)},
        [f"callers from subnet {WEB}, as it was defined then"],
    ),
    "a subnet that nobody had defined": (
        replace(SHUT, networks=()),
        {"subnet_rules": (SubnetRule(id=WEB, ignore_missing=True),)},
        [],
    ),
    "a trusted service": (
        SHUT,
        {"trusted_services": (BACKUP,)},
        ["trusted service backup (agent)"],
    ),
    "the bypass": (
        replace(SHUT, bypass="None", trusted_services=(BACKUP,)),
        {"bypass": "AzureServices"},
        ["trusted service backup (agent)"],
    ),
    "public access": (
        replace(LISTED, public_network_access=False),
        {"public_network_access": True},
        ["callers from 203.0.113.0/24", f"callers from subnet {WEB}"],
    ),
    "public access to all": (
        replace(SHUT, public_network_access=False, default_action="Allow"),
        {"public_network_access": True},
        ["callers from anywhere: public network access"],
    ),
    "less": (LISTED, {"ip_rules": (), "subnet_rules": ()}, []),
}


@pytest.mark.parametrize(("now", "parts", "told"), CASES.values(), ids=CASES.keys())
def test_what_gets_wider_is_told(now: Boundary, parts: dict, told: list[str]) -> None:
    found = widening.boundary(now, replace(now, **parts))
    assert len(found) == len(told)
    assert all(one.startswith(words) for one, words in zip(found, told, strict=True))


def test_nothing_is_wider_than_open() -> None:
    assert widening.boundary(replace(LISTED, default_action="Allow"), LISTED) == ()


def test_a_permission_that_comes_back_is_told() -> None:
    now, then = Policy("bob", ("get",), (), 1), Policy("bob", ("get", "set"), ("list",), 2)
    assert widening.policy(now, then) == ("secrets set", "storage list")
    assert widening.policy(None, then) == ("secrets get set", "storage list")
    assert widening.policy(then, now) == widening.policy(then, None) == ()
