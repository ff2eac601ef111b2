"""What an address rule and a subnet may be."""

import pytest

from eventstore.rule_events import Subnet, SubnetRule, TrustedService, VirtualNetwork
from vault import ranges
from vault.refusals import (
    NetworkInvalid,
    PrincipalInvalid,
    RangeInvalid,
    RulesTooMany,
    TrustedServiceInvalid,
)

NETWORK = (
    "/subscriptions/8fc84c0a-3bd7-4a3e-9f8c-1d2e3f405162/resourceGroups/muniment"
    "/providers/Microsoft.Network/virtualNetworks/office"
)


def test_a_single_address_is_a_range_of_one_and_each_range_stands_once():
    given = ("203.0.113.9", "203.0.113.9/32", " 198.51.100.0/24 ")
    assert ranges.check_ip_rules(given, private=False) == ("203.0.113.9/32", "198.51.100.0/24")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.0/8", "10.0.0.0/8 belongs to forbidden range 10.0.0.0–10.255.255.255"),  # noqa: RUF001
        ("172.31.255.255", "172.16.0.0–172.31.255.255 (private IP addresses)"),  # noqa: RUF001
        ("192.168.1.0/24", "private IP addresses"),
        ("127.0.0.1", "loopback"),
        ("169.254.1.1", "link-local"),
        ("100.64.0.0/10", "shared address space"),
        ("8.0.0.0/5", "forbidden range 10.0.0.0"),
        ("0.0.0.0/0", "forbidden range 0.0.0.0"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
    ],
)
def test_a_range_that_touches_a_reserved_one_is_refused_as_key_vault_does(text, said):
    with pytest.raises(RangeInvalid, match=r"properties\.networkAcls\.ipRules\[3\]\.value") as told:
        ranges.check_range(3, text, private=False)
    assert said in str(told.value)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.168.1.7", "127.0.0.1", "100.64.1.0/24"])
def test_a_vault_may_allow_private_ranges(text):
    assert ranges.check_range(0, text, private=True) == (text if "/" in text else f"{text}/32")


@pytest.mark.parametrize("text", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "0.0.0.0/0"])
def test_what_nobody_calls_from_is_refused_even_then(text):
    with pytest.raises(RangeInvalid):
        ranges.check_range(0, text, private=True)


@pytest.mark.parametrize(
    "text", ["", "x", "203.0.113.0/33", "2001:db8::/32", "203.0.113", "1.2.3.4/0x8", "٣.1.1.1"]
)
def test_what_is_no_ipv4_range_is_refused(text):
    with pytest.raises(RangeInvalid):
        ranges.check_range(0, text, private=True)


def test_a_range_with_bits_behind_its_mask_is_refused_and_the_one_meant_is_named():
    with pytest.raises(RangeInvalid, match=r"its first address is 203\.0\.113\.0/24"):
        ranges.check_range(0, "203.0.113.7/24", private=False)


def test_a_vault_has_a_thousand_address_rules_and_two_hundred_subnet_rules():
    rules = [f"203.0.{n // 256}.{n % 256}" for n in range(1001)]
    assert len(ranges.check_ip_rules(rules[:1000], private=False)) == 1000
    with pytest.raises(RulesTooMany):
        ranges.check_ip_rules(rules, private=False)
    subnets = [SubnetRule(id=f"{NETWORK}/subnets/s{n}") for n in range(201)]
    assert len(ranges.check_subnet_rules(subnets[:200])) == 200
    with pytest.raises(RulesTooMany):
        ranges.check_subnet_rules(subnets)


def test_a_subnet_has_one_rule_whatever_the_case_of_its_id():
    told = ranges.check_subnet_rules(
        [SubnetRule(id=f"{NETWORK}/subnets/web"), SubnetRule(id=f"{NETWORK}/subnets/WEB")]
    )
    assert len(told) == 1


@pytest.mark.parametrize(
    "text",
    ["", "web", NETWORK, f"{NETWORK}/subnets/", f"{NETWORK}/subnets/a/b", f"x{NETWORK}/subnets/a"],
)
def test_a_subnet_is_named_in_azures_form(text):
    with pytest.raises(NetworkInvalid):
        ranges.check_subnet_rules([SubnetRule(id=text)])


@pytest.mark.parametrize(
    "subnet",
    [
        Subnet(name="web"),
        Subnet(name="", ranges=("10.0.0.0/8",)),
        Subnet(name="a/b", ranges=("10.0.0.0/8",)),
        Subnet(name="web", ranges=("10.0.0.1/8",)),
        Subnet(name="web", ranges=("::ffff:10.0.0.0/104",)),
        Subnet(name="web", vlan=0),
        Subnet(name="web", vlan=4095),
        Subnet(name="web", listener="no name"),
    ],
)
def test_a_subnet_that_says_nothing_or_nonsense_is_refused(subnet):
    with pytest.raises(NetworkInvalid):
        ranges.check_network(VirtualNetwork(id=NETWORK, subnets=(subnet,)))


def test_a_network_has_each_subnet_once():
    twice = (Subnet(name="web", vlan=1), Subnet(name="WEB", vlan=2))
    with pytest.raises(NetworkInvalid, match="one name"):
        ranges.check_network(VirtualNetwork(id=NETWORK, subnets=twice))


@pytest.mark.parametrize(
    ("bound", "refusal"),
    [
        (TrustedService(service="nobody", object_id="a"), TrustedServiceInvalid),
        (TrustedService(service="backup"), TrustedServiceInvalid),
        (
            TrustedService(service="backup", object_id="a", application_id="b"),
            TrustedServiceInvalid,
        ),
        (TrustedService(service="backup", object_id="\n"), PrincipalInvalid),
    ],
)
def test_a_trusted_service_is_one_of_the_list_bound_to_one_caller(bound, refusal):
    with pytest.raises(refusal):
        ranges.check_trusted_service(bound)
