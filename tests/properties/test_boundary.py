"""The rule of the boundary, against a naive one that walks the table of `docs/azure.md` by hand."""

import time
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from eventstore.rule_events import BoundarySet, Subnet, SubnetRule, TrustedService, VirtualNetwork
from projections.rows import Boundary
from vault.boundary import Rules
from vault.caller import Arrival, Caller
from vault.refusals import OutsideBoundary, PublicAccessDisabled

NETWORK = (
    "/subscriptions/8fc84c0a-3bd7-4a3e-9f8c-1d2e3f405162/resourceGroups/muniment"
    "/providers/Microsoft.Network/virtualNetworks/office"
)
HERE = Arrival(listener="front", interface="eth1", vlan=12, namespace="blue")


def boundary(**parts) -> Boundary:
    return Boundary(**asdict(BoundarySet(**parts)), at=7)


def caller(address="203.0.113.9", arrival: Arrival | None = HERE, **more) -> Caller:
    return Caller(principal="alice", auth="token", address=address, arrival=arrival, **more)


def decided(rules: Boundary, who: Caller) -> str:
    """The rule that lets *who* in, or the code of the refusal."""
    try:
        return Rules(rules).admit(who).rule or "in"
    except (OutsideBoundary, PublicAccessDisabled) as refusal:
        return refusal.code


# --- the whole table ------------------------------------------------------------------------------

LISTED, STRANGE = "203.0.113.9", "198.51.100.1"
TABLE = list(
    product(
        ("AzureServices", "None"), ("Allow", "Deny"), (True, False), (True, False), (True, False)
    )
)


def naive(bypass: str, default: str, listed: bool, trusted: bool, public: bool) -> bool:
    """Whether somebody is let in, as the contract's words have it, one after the other."""
    if bypass == "AzureServices" and trusted:
        return True
    if not public:
        return False
    if listed:
        return True
    return default == "Allow"


@pytest.mark.parametrize(("bypass", "default", "listed", "trusted", "public"), TABLE)
def test_every_row_of_the_decision_table(bypass, default, listed, trusted, public):
    rules = boundary(
        bypass=bypass,
        default_action=default,
        ip_rules=("203.0.113.0/24",),
        public_network_access=public,
        trusted_services=(TrustedService(service="backup", application_id="robot"),),
    )
    who = caller(LISTED if listed else STRANGE, application="robot" if trusted else "other")
    let_in = not decided(rules, who).startswith("boundary.")
    assert let_in == naive(bypass, default, listed, trusted, public)


@pytest.mark.parametrize(("bypass", "default", "listed", "trusted", "public"), TABLE)
def test_who_came_over_no_network_is_never_kept_out(bypass, default, listed, trusted, public):
    rules = boundary(bypass=bypass, default_action=default, public_network_access=public)
    assert decided(rules, caller("", arrival=None)) == "in"


# --- addresses ------------------------------------------------------------------------------------

addresses = st.integers(0, 2**32 - 1)


@st.composite
def blocks(draw) -> str:
    length = draw(st.integers(4, 32))
    first = draw(addresses) >> (32 - length) << (32 - length)
    return str(IPv4Network((first, length)))


@settings(max_examples=1000)
@given(st.lists(blocks(), max_size=60), st.lists(addresses, max_size=20))
def test_the_matcher_says_what_ipaddress_says(rules, numbers):
    """A thousand rule sets; the edges of every range are tried besides what is drawn."""
    matcher = Rules(boundary(default_action="Deny", ip_rules=tuple(rules)))
    nets = [IPv4Network(rule) for rule in rules]
    edges = [int(net[end]) + step for net in nets for end in (0, -1) for step in (-1, 0, 1)]
    for number in {*numbers, *(edge for edge in edges if 0 <= edge < 2**32)}:
        address = str(IPv4Address(number))
        found = matcher.range_of(address)
        holding = [
            rule for rule, net in zip(rules, nets, strict=True) if ip_address(address) in net
        ]
        assert (found in holding) if holding else found is None


def test_an_ipv4_address_that_is_written_as_ipv6_is_the_ipv4_address():
    rules = boundary(default_action="Deny", ip_rules=("203.0.113.0/24",))
    assert decided(rules, caller("::ffff:203.0.113.9")) == "address 203.0.113.0/24 (boundary #7)"
    assert decided(rules, caller("::ffff:198.51.100.1")) == "boundary.outside"


@pytest.mark.parametrize("address", ["2001:db8::1", "::1", "fe80::1%eth0", "", "nonsense", "1.2.3"])
def test_what_is_no_ipv4_address_is_in_no_address_rule(address):
    assert decided(boundary(default_action="Allow"), caller(address)) == "in"
    rules = boundary(default_action="Deny", ip_rules=("0.0.0.0/0",))
    assert decided(rules, caller(address)) == "boundary.outside"


# --- subnets --------------------------------------------------------------------------------------

_ways = st.fixed_dictionaries(
    {
        "listener": st.sampled_from(["", "front", "back"]),
        "interface": st.sampled_from(["", "eth1", "eth2"]),
        "vlan": st.sampled_from([None, 12, 13]),
        "namespace": st.sampled_from(["", "blue", "red"]),
    }
)
_ranges = st.lists(
    st.sampled_from(["10.1.0.0/16", "10.1.2.0/24", "2001:db8::/32", "192.0.2.0/24"]), max_size=2
)


@settings(max_examples=300)
@given(
    _ways,
    _ranges,
    _ways,
    st.sampled_from(["10.1.2.3", "10.2.0.1", "2001:db8::5", "::ffff:192.0.2.1", "192.0.2.9", "x"]),
)
def test_who_comes_from_a_subnet_fits_everything_that_it_says(way, ranges, arrival, address):
    subnet = Subnet(name="web", ranges=tuple(ranges), **way)
    rules = boundary(
        default_action="Deny",
        networks=(VirtualNetwork(id=NETWORK, subnets=(subnet,)),),
        subnet_rules=(SubnetRule(id=f"{NETWORK}/SUBNETS/Web".replace("SUBNETS", "subnets")),),
    )
    fits = all(not way[part] or way[part] == arrival[part] for part in way)
    if ranges:
        try:
            number = ip_address(address.removeprefix("::ffff:"))
        except ValueError:
            number = None
        fits = fits and any(number is not None and number in ip_network(one) for one in ranges)
    who = caller(address, arrival=Arrival(**arrival))
    expected = f"subnet {NETWORK}/subnets/web (boundary #7)" if fits else "boundary.outside"
    assert decided(rules, who) == expected


def naive_subnets(subnets: list[Subnet], who: Caller) -> list[str]:
    """The names of the subnets that *who* comes from, each of them looked at."""
    found = []
    for subnet in subnets:
        ways = ("listener", "interface", "vlan", "namespace")
        said = {way: getattr(subnet, way) for way in ways if getattr(subnet, way)}
        comes = all(getattr(who.arrival, way) == one for way, one in said.items())
        in_range = any(ip_address(who.address) in ip_network(one) for one in subnet.ranges)
        if comes and (in_range or not subnet.ranges):
            found.append(subnet.name)
    return found


@st.composite
def _blocks_of_both(draw) -> str:
    # Few first bits, so that many ranges hold one another.
    kind, size = draw(st.sampled_from([(IPv4Network, 32), (IPv6Network, 128)]))
    length = draw(st.sampled_from([0, 1, 7, 8, 9, size - 1, size]))
    first = draw(st.integers(0, 7)) << (size - 3) | draw(st.integers(0, 3))
    return str(kind((first >> (size - length) << (size - length), length)))


_addresses_of_both = st.builds(
    lambda kind, high, low: str(kind(high << (kind(0).max_prefixlen - 3) | low)),
    # Not ::0 to ::ffff:ffff:ffff: some of it is IPv4, which another test has.
    st.sampled_from([IPv4Address, IPv6Address]),
    st.integers(1, 7),
    st.integers(0, 3),
)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(_ways, st.lists(_blocks_of_both(), max_size=3)), max_size=12),
    st.sets(st.integers(0, 11)),
    _ways,
    _addresses_of_both,
)
def test_of_many_subnets_the_first_that_fits_is_found(described, listed, way, address):
    subnets = [
        Subnet(name=f"s{at}", ranges=tuple(ranges), **ways)
        for at, (ways, ranges) in enumerate(described)
    ]
    rules = boundary(
        default_action="Deny",
        networks=(VirtualNetwork(id=NETWORK, subnets=tuple(subnets)),),
        subnet_rules=tuple(SubnetRule(id=f"{NETWORK}/subnets/s{at}") for at in listed),
    )
    who = caller(address, arrival=Arrival(**way))
    comes_from = naive_subnets(subnets, who)
    let_in = [name for name in comes_from if int(name[1:]) in listed]
    expected = f"subnet {NETWORK}/subnets/{let_in[0]} (boundary #7)" if let_in else ""
    assert decided(rules, who) == (expected or "boundary.outside")
    first = f"{NETWORK}/subnets/{comes_from[0]}" if comes_from else ""
    assert Rules(rules).subnet_of(who) == first


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8::1"])
def test_a_stranger_costs_about_the_same_where_a_thousand_subnets_are_known(address):
    def seconds(count: int) -> float:
        subnets = tuple(
            Subnet(name=f"s{at}", ranges=(f"10.{at // 200}.{at % 200}.0/24",))
            for at in range(count)
        )
        networks = (VirtualNetwork(id=NETWORK, subnets=subnets),)
        made, who = Rules(boundary(default_action="Deny", networks=networks)), caller(address)
        began = time.process_time()
        for _ in range(300):
            with suppress(OutsideBoundary):
                made.admit(who)
        return time.process_time() - began

    # One by one it was some hundred times as much.
    assert min(seconds(1000) for _ in range(3)) < 10 * min(seconds(1) for _ in range(3))


def test_a_known_subnet_without_a_rule_lets_nobody_in_and_is_named_in_the_refusal():
    network = VirtualNetwork(id=NETWORK, subnets=(Subnet(name="web", ranges=("10.1.0.0/16",)),))
    rules = Rules(boundary(default_action="Deny", networks=(network,)))
    with pytest.raises(OutsideBoundary) as told:
        rules.admit(caller("10.1.2.3"))
    assert told.value.origin == f"10.1.2.3 from subnet {NETWORK}/subnets/web"


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("10.9.9.9", "10.9.9.9 from unknown subnet"),
        ("::ffff:10.9.9.9", "10.9.9.9 from unknown subnet"),
        ("8.8.8.8", "8.8.8.8"),
    ],
)
def test_a_private_address_of_no_known_subnet_is_said_to_be_of_an_unknown_one(address, origin):
    with pytest.raises(OutsideBoundary) as told:
        Rules(boundary(default_action="Deny")).admit(caller(address))
    assert (told.value.origin, told.value.rule) == (origin, "default action Deny (boundary #7)")


# --- trusted services -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "who", "is_in"),
    [
        ({"application_id": "ROBOT"}, {"application": "robot"}, True),
        ({"application_id": "robot"}, {"application": ""}, False),
        ({"object_id": "alice"}, {"application": "other"}, True),
        ({"object_id": "Alice"}, {"application": "Alice"}, False),
        ({"application_id": "alice"}, {"application": "other"}, False),
    ],
)
def test_a_trusted_service_is_who_it_was_bound_to(bound, who, is_in):
    rules = boundary(
        default_action="Deny", trusted_services=(TrustedService(service="backup", **bound),)
    )
    expected = "trusted service backup (boundary #7)" if is_in else "boundary.outside"
    assert decided(rules, caller(STRANGE, **who)) == expected
