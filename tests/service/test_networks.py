"""Callers on hosts of their own, and listeners that are bound to where they stand."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.rule_events import Subnet, SubnetRule, VirtualNetwork
from server.entrances import Listen
from server.interfaces import within
from support.announced import announced
from support.edge import Answer, Edge
from support.networks import Host, Network, has_vlans, network
from support.services import free_port
from support.ways import ask_by, is_cut_off, over, recorded

OFFICE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/office"
DESK = f"{OFFICE}/subnets/desk"
FIREWALL = (403, "Forbidden", "ForbiddenByFirewall")


@pytest.fixture(scope="module")
def middle() -> Iterator[Network]:
    with network() as made:
        made.host("inside", "in0")
        made.host("outside", "out0")
        yield made


@pytest.fixture(scope="module")
def inside(middle: Network) -> Host:
    return middle.hosts["inside"]


@pytest.fixture(scope="module")
def outside(middle: Network) -> Host:
    return middle.hosts["outside"]


WHOLE, SIX, PLUGS, PROXIED = 8443, 8444, 8445, 8446


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, middle: Network) -> Iterator[Edge]:
    """A service that also listens inside the namespace, in all ways."""
    edge = Edge(tmp_path_factory.mktemp("edge"))
    blue = middle.name
    listen = (
        Listen(name="whole", address=f"0.0.0.0:{WHOLE}", namespace=blue),
        Listen(name="six", address=f"[::]:{SIX}", namespace=blue),
        Listen(name="in", address=f"0.0.0.0:{PLUGS}", namespace=blue, interface="in0", vlan=12),
        Listen(name="out", address=f"0.0.0.0:{PLUGS}", namespace=blue, interface="out0"),
        Listen(name="proxied", address=f"0.0.0.0:{PROXIED}", namespace=blue, proxy="v2"),
    )
    inside = middle.hosts["inside"].address
    with edge.served(listen=listen, proxies=(inside,)):
        edge.set("db")
        edge.hang_up()
        yield edge
    edge.check()


@pytest.fixture(autouse=True)
def reopened(edge: Edge) -> Iterator[None]:
    yield
    edge.set_boundary()


def let_in(edge: Edge, **subnet: Any) -> None:
    """Only who comes from the desk, which is as *subnet* says."""
    desk = Subnet(name="desk", **subnet)
    edge.set_boundary(
        default_action="Deny",
        networks=(VirtualNetwork(id=OFFICE, subnets=(desk,)),),
        subnet_rules=(SubnetRule(id=DESK),),
    )


def is_let_in(edge: Edge, answer: Answer) -> bool:
    """Whether it was answered, by the rule of the desk; else it must be the firewall's refusal."""
    if answer.status == 200:
        assert f"subnet {DESK}" in recorded(edge).rule
        return True
    assert answer.error == FIREWALL
    assert recorded(edge).outcome == "boundary.outside"
    return False


def test_a_caller_inside_of_a_subnet_is_let_in_and_one_outside_is_not(
    edge: Edge, inside: Host, outside: Host
) -> None:
    let_in(edge, ranges=("10.77.1.0/24",))
    assert is_let_in(edge, ask_by(edge, inside.over(WHOLE)))
    assert recorded(edge).address == inside.address
    refused = ask_by(edge, outside.over(WHOLE))
    assert not is_let_in(edge, refused)
    assert recorded(edge).address == outside.address
    assert f"Client address: {outside.address} from unknown subnet\r\n" in refused.message
    # Nor if it comes to the address that those inside come to.
    assert not is_let_in(edge, ask_by(edge, outside.over(WHOLE, inside.gateway)))


def test_an_address_rule_holds_for_real_hosts_too(edge: Edge, inside: Host, outside: Host) -> None:
    edge.set_boundary(default_action="Deny", ip_rules=(f"{inside.address}/32",))
    assert ask_by(edge, inside.over(WHOLE)).status == 200
    assert f"address {inside.address}/32" in recorded(edge).rule
    assert ask_by(edge, outside.over(WHOLE)).error == FIREWALL


def test_a_caller_by_ipv6_is_let_in_by_a_subnet_and_by_no_address_rule(
    edge: Edge, inside: Host, outside: Host
) -> None:
    let_in(edge, ranges=("fd77:1::/64",))
    assert is_let_in(edge, ask_by(edge, inside.over(SIX, "fd77:1::1")))
    assert recorded(edge).address == inside.address6
    assert not is_let_in(edge, ask_by(edge, outside.over(SIX, "fd77:2::1")))
    edge.set_boundary(default_action="Deny", ip_rules=("128.0.0.0/2", "64.0.0.0/3"))
    answer = ask_by(edge, inside.over(SIX, "fd77:1::1"))
    assert answer.error == FIREWALL
    told = answer.headers["x-ms-keyvault-network-info"]
    assert told == f"conn_type=Ipv6;addr={inside.address6};act_addr_fam=InterNetworkV6;"


def test_a_rule_can_name_the_namespace_that_the_listener_stands_in(
    edge: Edge, middle: Network, inside: Host, outside: Host
) -> None:
    let_in(edge, namespace=middle.name)
    assert is_let_in(edge, ask_by(edge, inside.over(WHOLE)))
    assert is_let_in(edge, ask_by(edge, outside.over(WHOLE)))
    assert not is_let_in(edge, ask_by(edge, over(edge.port)))
    let_in(edge, namespace="another")
    assert not is_let_in(edge, ask_by(edge, inside.over(WHOLE)))


def test_a_rule_can_name_the_interface_that_a_request_came_in_by(
    edge: Edge, inside: Host, outside: Host
) -> None:
    let_in(edge, interface="in0")
    assert is_let_in(edge, ask_by(edge, inside.over(PLUGS)))
    assert not is_let_in(edge, ask_by(edge, outside.over(PLUGS)))
    assert not is_let_in(edge, ask_by(edge, inside.over(WHOLE)))


def test_one_who_comes_to_the_address_of_another_interface_has_not_come_in_by_it(
    edge: Edge, inside: Host, outside: Host
) -> None:
    """Linux takes a connection to any of its addresses by whatever interface it comes: so the
    address that it was accepted on says nothing of the interface."""
    let_in(edge, interface="in0")
    assert not is_let_in(edge, ask_by(edge, outside.over(PLUGS, inside.gateway)))
    assert is_let_in(edge, ask_by(edge, inside.over(PLUGS, outside.gateway)))
    assert not is_let_in(edge, ask_by(edge, outside.over(WHOLE, inside.gateway)))


def test_a_rule_can_name_the_vlan_that_a_listener_was_declared_to_be_on(
    edge: Edge, inside: Host, outside: Host
) -> None:
    let_in(edge, vlan=12)
    assert is_let_in(edge, ask_by(edge, inside.over(PLUGS)))
    assert not is_let_in(edge, ask_by(edge, outside.over(PLUGS)))
    let_in(edge, vlan=13)
    assert not is_let_in(edge, ask_by(edge, inside.over(PLUGS)))


def test_a_vlan_of_the_kernels_needs_no_declaration(tmp_path: Path) -> None:
    with network() as made:
        host = made.host("tagged", "in0")
        if not has_vlans(made.name, "in0"):
            pytest.skip("the kernel here knows no VLANs (CONFIG_VLAN_8021Q)")
        made.ip("addr", "add", "10.77.99.1/24", "dev", "in0.12")
        made.ip("link", "set", "in0.12", "up")
        assert has_vlans(host.namespace, "eth0")
        host.ip("addr", "add", "10.77.99.2/24", "dev", "eth0.12")
        host.ip("link", "set", "eth0.12", "up")
        edge = Edge(tmp_path)
        where: dict[str, Any] = {
            "address": "10.77.99.1:8443",
            "namespace": made.name,
            "interface": "in0.12",
        }
        with edge.served(listen=(Listen(name="tagged", **where),)):
            let_in(edge, vlan=12)
            assert is_let_in(
                edge, ask_by(edge, host._replace(address="10.77.99.2").over(8443, "10.77.99.1"))
            )
        wrong = Listen(name="tagged", vlan=13, **where)
        with edge.served(listen=(wrong,)) as service:
            assert service.process.wait(20) == 3
        assert "refused serve.listen-invalid" in service.log


def test_a_proxy_on_a_host_of_its_own_announces_callers_and_others_cannot(
    edge: Edge, inside: Host, outside: Host
) -> None:
    edge.set_boundary(default_action="Deny", ip_rules=("203.0.113.9/32",))
    header = announced("203.0.113.9")
    assert ask_by(edge, inside.over(PROXIED, before=header)).status == 200
    other = announced("203.0.113.10")
    assert ask_by(edge, inside.over(PROXIED, before=other)).error == FIREWALL
    assert is_cut_off(edge, outside.over(PROXIED, before=header))
    spoofed = ask_by(edge, outside.over(WHOLE), headers={"X-Forwarded-For": "203.0.113.9"})
    assert spoofed.error == FIREWALL
    told = ask_by(edge, inside.over(WHOLE), headers={"X-Forwarded-For": "203.0.113.9"})
    assert told.status == 200


def test_a_listener_in_a_namespace_is_not_reached_from_outside_of_it(edge: Edge) -> None:
    with pytest.raises(ConnectionRefusedError):
        over(WHOLE)()


def test_entering_a_namespace_leaves_this_process_where_it_is(middle: Network) -> None:
    here = Path("/proc/self/ns/net").readlink()
    there = within(middle.name, lambda: Path("/proc/thread-self/ns/net").readlink())
    assert there != here
    assert Path("/proc/self/ns/net").readlink() == here
    names = within(middle.name, socket.if_nameindex)
    assert {name for _, name in names} >= {"lo", "in0", "out0"}


@pytest.mark.parametrize(
    "where", [{"namespace": "there-is-none"}, {"interface": "there-is-none"[:12]}]
)
def test_what_is_not_there_is_told_when_it_starts(tmp_path: Path, where: dict[str, Any]) -> None:
    edge = Edge(tmp_path)
    listen = Listen(name="front", address=f"127.0.0.1:{free_port()}", **where)
    with edge.served(listen=(listen,)) as service:
        assert service.process.wait(20) == 3
    assert "refused serve.interface-unusable" in service.log


def test_without_the_privilege_that_is_told_too(tmp_path: Path, middle: Network) -> None:
    edge = Edge(tmp_path)
    listen = Listen(name="front", address=f"127.0.0.1:{WHOLE}", namespace=middle.name)

    def without(command: list[str]) -> list[str]:
        return ["setpriv", "--bounding-set=-sys_admin", *command]

    with edge.served(listen=(listen,), wrap=without) as service:
        assert service.process.wait(20) == 3
    assert "refused serve.not-permitted" in service.log
