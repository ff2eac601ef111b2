"""Whose word about a caller's address is taken, and what becomes of every other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.arrivals import Door
from server.entrances import Entrance, listen_of
from server.hops import AddressHidden, Hops, ProxyInvalid, check_proxies
from vault.caller import Arrival

PROXY, INNER, CALLER = "10.1.0.2", "10.1.0.3", "203.0.113.9"
HOPS = Hops(("10.1.0.0/28", "2001:db8:1::/64"))
XFF, FORWARDED = "x-forwarded-for", "forwarded"


def came(*headers: tuple[str, str], peer: str = PROXY, hops: Hops = HOPS) -> str:
    """The address that is taken, or `refused`."""
    came = Door(Entrance(3), hops).enter(peer, (("host", "a"), *headers))
    return "refused" if came.is_hidden else came.address


@pytest.mark.parametrize("peer", ["198.51.100.7", "10.1.0.16", "2001:db8:2::1", "::ffff:10.1.0.16"])
@pytest.mark.parametrize(
    "header", [(XFF, CALLER), (XFF, "nonsense"), (FORWARDED, f"for={CALLER}"), (FORWARDED, "=;")]
)
def test_what_anybody_says_who_is_no_declared_proxy_is_not_looked_at(peer, header) -> None:
    assert came(header, peer=peer) == came(peer=peer) != CALLER


def test_without_declared_proxies_no_header_is_looked_at() -> None:
    assert came((XFF, CALLER), hops=Hops()) == PROXY


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([], PROXY),
        ([(XFF, CALLER)], CALLER),
        ([(XFF, f"{CALLER}:49152")], CALLER),
        ([(XFF, "[2001:db8::9]:443")], "2001:db8::9"),
        ([(XFF, "2001:DB8:0::9")], "2001:db8::9"),
        ([(XFF, f"::ffff:{CALLER}")], CALLER),
        ([(XFF, f"\t{CALLER} ")], CALLER),
        # What a caller wrote stands left of what the proxy added, and stays unread.
        ([(XFF, f"10.9.9.9, {CALLER}")], CALLER),
        ([(XFF, f"rubbish, , {CALLER}")], CALLER),
        ([(XFF, "10.9.9.9"), (XFF, CALLER)], CALLER),
        # From proxy to proxy.
        ([(XFF, f"10.9.9.9, {CALLER}, {INNER}")], CALLER),
        ([(XFF, CALLER), (XFF, INNER)], CALLER),
        ([(XFF, f"{CALLER}, ::ffff:{INNER}")], CALLER),
        ([(XFF, f"{INNER}, {PROXY}")], INNER),
        ([(FORWARDED, f"for={CALLER}")], CALLER),
        ([(FORWARDED, f"For={CALLER};Proto=https;by=_x")], CALLER),
        ([(FORWARDED, f'for=_hidden, for="{CALLER}:80"')], CALLER),
        ([(FORWARDED, 'proto=https ; for="[2001:db8::9]:4711"')], "2001:db8::9"),
        ([(FORWARDED, f'for="{CALLER[:-1]}\\9"')], CALLER),
        ([(FORWARDED, f"for={CALLER}, for={INNER}")], CALLER),
        ([(FORWARDED, "for=10.9.9.9"), (FORWARDED, f"for={CALLER}")], CALLER),
        ([(FORWARDED, f'x=", for=10.9.9.9";for={CALLER}')], CALLER),
        ([(XFF, CALLER), (FORWARDED, f"for={CALLER}")], CALLER),
    ],
)
def test_a_declared_proxy_is_believed_about_who_came_to_it(headers, address) -> None:
    assert came(*headers) == address


@pytest.mark.parametrize(
    "headers",
    [
        [(XFF, "")],
        [(XFF, f"{CALLER},")],
        [(XFF, "unknown")],
        [(XFF, "203.0.113.999")],
        [(XFF, "203.0.113.09")],
        [(XFF, "203.0.113.9:port")],
        [(XFF, "203.0.113.9/32")],
        [(XFF, '"203.0.113.9"')],
        [(XFF, "fe80::1%eth0")],
        [(XFF, "3405803785")],
        [(XFF, f"{CALLER}, rubbish, {INNER}")],
        [(XFF, f"{CALLER} {CALLER}")],
        [(XFF, ", ".join([CALLER, *[INNER] * 17]))],
        [(FORWARDED, "")],
        [(FORWARDED, "for=_hidden")],
        [(FORWARDED, "for=unknown")],
        [(FORWARDED, "proto=https")],
        [(FORWARDED, f"for={CALLER};for=10.9.9.9")],
        [(FORWARDED, f"for={CALLER};")],
        [(FORWARDED, "for=[2001:db8::9]")],
        [(FORWARDED, f"for={CALLER}:80")],
        [(FORWARDED, f'for="{CALLER}')],
        # A quote left open by the caller, to swallow what the proxy adds.
        [(FORWARDED, f'for=10.9.9.9;x=", for={CALLER}')],
        [(FORWARDED, f'for=10.9.9.9;x=", for="{CALLER}"')],
        [(FORWARDED, f'for=10.9.9.9;x=", for="{CALLER}";by="_y"')],
        # The proxy writes one of them, and the caller the other.
        [(XFF, CALLER), (FORWARDED, "for=10.9.9.9")],
        [(XFF, CALLER), (FORWARDED, "nonsense")],
    ],
)
def test_what_a_declared_proxy_does_not_say_clearly_is_refused(headers) -> None:
    assert came(*headers) == "refused"


@given(st.text(max_size=60), st.sampled_from([XFF, FORWARDED]))
def test_a_caller_can_add_nothing_that_changes_its_address(said: str, name: str) -> None:
    ours = CALLER if name == XFF else f"for={CALLER}"
    assert came((name, f"{said},{ours}")) in (CALLER, "refused")
    assert came((name, said), (name, ours)) == CALLER


@given(st.text(alphabet='for=10.9;,"\\ x', max_size=40))
def test_nor_with_what_looks_like_a_proxys_words(said: str) -> None:
    assert came((FORWARDED, f'{said}, for="{CALLER}:1";by="_p"')) in (CALLER, "refused")


def test_the_other_end_of_a_socket_file_has_no_address_whatever_it_is_called() -> None:
    unix = Entrance(3, Arrival(listener="file"), is_unix=True)
    assert Door(unix, Hops()).enter(PROXY, ()) == ("", Arrival(listener="file"), False)
    assert Door(unix, HOPS).enter(PROXY, ((XFF, CALLER),)).address == ""
    declared = Door(unix, Hops(("unix",)))
    assert declared.enter(PROXY, ((XFF, CALLER),)).address == CALLER
    assert declared.enter("", ()).address == ""
    assert Door(Entrance(3), Hops(("unix",))).enter("unix", ((XFF, CALLER),)).address == "unix"


def test_where_the_connection_was_announced_no_header_is_looked_at() -> None:
    door = Door(Entrance(3, proxy="v2"), HOPS, {"/1": PROXY}.get)
    assert door.enter("/1", ((XFF, CALLER),)) == (PROXY, Arrival(), False)
    assert door.enter("/2", ()).is_hidden


@pytest.mark.parametrize(
    "ranges", [("0.0.0.0/0",), ("::/0",), ("10.0.0.1/8",), ("proxy",), ("::ffff:10.0.0.0/104",)]
)
def test_not_everybody_can_be_a_proxy_nor_what_is_no_range(ranges) -> None:
    with pytest.raises(ProxyInvalid):
        check_proxies(ranges, ())


def test_an_announced_listener_needs_a_proxy() -> None:
    announced = listen_of("name=front,address=10.1.0.5:8443,proxy=v2")
    with pytest.raises(ProxyInvalid):
        check_proxies((), (announced,))
    assert check_proxies((PROXY,), (announced,)) == (PROXY,)


def test_a_hidden_address_is_never_the_proxys_own() -> None:
    with pytest.raises(AddressHidden):
        HOPS.caller(PROXY, ((XFF, "unknown"),))
