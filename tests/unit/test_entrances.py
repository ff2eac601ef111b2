"""How a listener is described, and what the kernel says of it."""

from pathlib import Path

import pytest

from server.entrances import Listen, ListenInvalid, check_all, listen_of, place_of
from server.interfaces import vlan_of

TABLE = """\
VLAN Dev name	 | VLAN ID
Name-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD
eth1.12        | 12  | eth1
tenant         | 4094  | eth1
"""


def test_a_listener_is_described_in_one_text() -> None:
    whole = "name=front,address=10.1.0.5:8443,interface=eth1.12,namespace=blue,vlan=12,proxy=v2"
    assert listen_of(whole) == Listen(
        name="front",
        address="10.1.0.5:8443",
        interface="eth1.12",
        namespace="blue",
        vlan=12,
        proxy="v2",
    )
    assert listen_of("name=file,address=unix:/run/m.sock").address == "unix:/run/m.sock"
    assert listen_of("name=handed.over") == Listen(name="handed.over")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "front",
        "address=10.1.0.5:8443",
        "name=",
        "name=a b",
        "name=a,name=b",
        "name=a,port=8443",
        "name=a,address=10.1.0.5:0",
        "name=a,address=10.1.0.5:65536",
        "name=a,address=::1",
        "name=a,address=[::1",
        "name=a,address=10.1.0.5:8443,interface=a/b",
        "name=a,address=10.1.0.5:8443,interface=sixteen-and-more",
        "name=a,address=10.1.0.5:8443,interface=..",
        "name=a,address=10.1.0.5:8443,namespace=..",
        "name=a,address=10.1.0.5:8443,namespace=../../proc/1/ns/net",
        "name=a,address=10.1.0.5:8443,vlan=12",
        "name=a,address=10.1.0.5:8443,interface=eth1,vlan=0",
        "name=a,address=10.1.0.5:8443,interface=eth1,vlan=4095",
        "name=a,address=10.1.0.5:8443,interface=eth1,vlan=x",
        "name=a,address=10.1.0.5:8443,proxy=v1",
        "name=a,interface=eth1",
        "name=a,address=unix:/run/m.sock,namespace=blue",
    ],
)
def test_what_describes_no_listener_is_refused(text: str) -> None:
    with pytest.raises(ListenInvalid):
        listen_of(text)


def test_two_listeners_have_two_names() -> None:
    with pytest.raises(ListenInvalid):
        check_all((listen_of("name=a,address=10.0.0.1"), listen_of("name=a,address=10.0.0.2")))


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.1.0.5", ("10.1.0.5", 8443)),
        ("10.1.0.5:443", ("10.1.0.5", 443)),
        ("[::1]", ("::1", 8443)),
        ("[::1]:443", ("::1", 443)),
        ("[fe80::1%eth1]:443", ("fe80::1%eth1", 443)),
        ("vault.example.com:443", ("vault.example.com", 443)),
    ],
)
def test_an_address_may_name_its_port(address: str, place: tuple[str, int]) -> None:
    assert place_of(address, 8443) == place


@pytest.mark.parametrize(
    ("interface", "number"), [("eth1.12", 12), ("tenant", 4094), ("eth1", None), ("eth1.1", None)]
)
def test_a_vlan_has_the_number_that_the_kernel_says(tmp_path: Path, interface, number) -> None:
    (tmp_path / "config").write_text(TABLE)
    assert vlan_of(interface, tmp_path / "config") == number


def test_where_the_kernel_knows_no_vlan_none_is_found(tmp_path: Path) -> None:
    assert vlan_of("eth1.12", tmp_path / "config") is None
