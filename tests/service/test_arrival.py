"""Whose address is recorded, and by what way a request came: tried through real sockets."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from eventstore.rule_events import Subnet, SubnetRule, VirtualNetwork
from server.entrances import Listen
from server.front import MOST_BEGINNING
from support.announced import LOCAL, announced
from support.edge import Edge
from support.services import free_port
from support.ways import ask_by, by_file, client, is_cut_off, over, recorded

CALLER, PROXY, OTHER_PROXY, STRANGER = "203.0.113.9", "127.0.0.7", "127.0.0.8", "127.0.0.9"
XFF = "X-Forwarded-For"
NETWORK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/here"


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"front": free_port(), "announced": free_port()}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Edge]:
    edge = Edge(tmp_path_factory.mktemp("edge"))
    files = {name: edge.directory / name for name in ("file", "announced-file")}
    listen = (
        Listen(name="front", address=f"127.0.0.1:{ports['front']}"),
        Listen(name="announced", address=f"127.0.0.1:{ports['announced']}", proxy="v2"),
        Listen(name="file", address=f"unix:{files['file']}"),
        Listen(name="announced-file", address=f"unix:{files['announced-file']}", proxy="v2"),
    )
    with edge.served(listen=listen, proxies=(PROXY, OTHER_PROXY, "unix"), announcement_seconds=1):
        edge.set("db")
        edge.hang_up()
        yield edge
    edge.check()


def address(edge: Edge) -> str:
    return str(recorded(edge).address)


# --- a trusted hop list ---------------------------------------------------------------------------


def test_the_address_is_the_peers_own(edge: Edge) -> None:
    answer = ask_by(edge, over(edge.port, STRANGER))
    assert answer.status == 200
    assert address(edge) == STRANGER
    told = answer.headers["x-ms-keyvault-network-info"]
    assert told == f"conn_type=Ipv4;addr={STRANGER};act_addr_fam=InterNetwork;"


@pytest.mark.parametrize("name", [XFF, "Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP"])
def test_a_header_of_one_who_is_no_declared_proxy_is_worth_nothing(edge: Edge, name: str) -> None:
    value = f"for={CALLER}" if name == "Forwarded" else CALLER
    assert ask_by(edge, over(edge.port, STRANGER), headers={name: value}).status == 200
    assert address(edge) == STRANGER
    nonsense = ask_by(edge, over(edge.port, STRANGER), headers={name: "nonsense"})
    assert nonsense.status == 200


def test_a_declared_proxy_says_for_whom_it_asks(edge: Edge) -> None:
    answer = ask_by(edge, over(edge.port, PROXY), headers={XFF: f"10.9.9.9, {CALLER}"})
    assert f"addr={CALLER};" in answer.headers["x-ms-keyvault-network-info"]
    assert address(edge) == CALLER
    ask_by(
        edge, over(edge.port, PROXY), more=((XFF, "10.9.9.9"), (XFF, f"{CALLER}, {OTHER_PROXY}"))
    )
    assert address(edge) == CALLER
    ask_by(edge, over(edge.port, PROXY), headers={"Forwarded": 'for="[2001:db8::9]:80"'})
    assert address(edge) == "2001:db8::9"
    ask_by(edge, over(edge.port, PROXY))
    assert address(edge) == PROXY


@pytest.mark.parametrize("value", ["unknown", f"{CALLER},", "_hidden", "1.2.3"])
def test_a_declared_proxy_that_hides_its_caller_is_answered_400(edge: Edge, value: str) -> None:
    before = len(edge.traces())
    answer = ask_by(edge, over(edge.port, PROXY), headers={XFF: value})
    assert answer.error == (400, "BadRequest", "")
    both = {XFF: CALLER, "Forwarded": "for=10.9.9.9"}
    assert ask_by(edge, over(edge.port, PROXY), headers=both).status == 400
    assert len(edge.traces()) == before


def test_each_request_of_a_kept_connection_has_its_own_caller(edge: Edge) -> None:
    with client(edge, over(edge.port, PROXY)()) as kept:
        for caller in (CALLER, "203.0.113.10", CALLER):
            headers = {"Host": edge.host(), "Authorization": f"Bearer {edge.token()}", XFF: caller}
            kept.request("GET", "/secrets/db?api-version=7.4", headers=headers)
            response = kept.getresponse()
            response.read()
            assert response.status == 200
            assert address(edge) == caller


# --- socket files ---------------------------------------------------------------------------------


def test_one_who_names_its_end_of_a_socket_file_like_an_address_has_none(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (CALLER, PROXY, ""):
        answer = ask_by(edge, by_file(edge.directory / "file", name))
        assert answer.status == 200
        assert "x-ms-keyvault-network-info" not in answer.headers
        assert address(edge) == ""
    ask_by(edge, by_file(edge.directory / "file", CALLER), headers={XFF: STRANGER})
    assert address(edge) == STRANGER


# --- connections that are announced ---------------------------------------------------------------


@pytest.mark.parametrize("caller", [CALLER, "2001:db8::9", "::ffff:203.0.113.9"])
def test_an_announced_connection_is_its_callers(edge: Edge, ports: dict[str, int], caller) -> None:
    answer = ask_by(edge, over(ports["announced"], PROXY, announced(caller, bytes(300))))
    assert answer.status == 200
    assert address(edge) == caller.removeprefix("::ffff:")
    ask_by(edge, by_file(edge.directory / "announced-file", before=announced(caller)))
    assert address(edge) == caller.removeprefix("::ffff:")


def test_its_headers_are_its_callers_too_and_not_believed(
    edge: Edge, ports: dict[str, int]
) -> None:
    for caller in (CALLER, OTHER_PROXY):
        way = over(ports["announced"], PROXY, announced(caller))
        assert ask_by(edge, way, headers={XFF: "10.9.9.9"}).status == 200
        assert address(edge) == caller


def test_a_local_connection_is_the_proxys_own(edge: Edge, ports: dict[str, int]) -> None:
    assert ask_by(edge, over(ports["announced"], PROXY, LOCAL)).status == 200
    assert address(edge) == PROXY


GOOD = announced(CALLER)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"PROXY TCP4 203.0.113.9 127.0.0.1 49152 8443\r\n",
        GOOD[:12] + b"\x11" + GOOD[13:],
        GOOD[:13] + b"\x00\x00\x00",
        GOOD[:14] + b"\xff\xff" + GOOD[16:],
        GOOD[:-1],
        GOOD[:15],
        GOOD + GOOD,
        b"\0" + GOOD,
    ],
    ids=["none", "v1", "version", "nobody", "long", "short", "half", "two", "shifted"],
)
def test_without_a_clear_announcement_the_connection_is_cut_off(
    edge: Edge, ports: dict[str, int], before: bytes
) -> None:
    recorded_before = len(edge.traces())
    assert is_cut_off(edge, over(ports["announced"], PROXY, before))
    assert len(edge.traces()) == recorded_before


def test_one_who_is_no_declared_proxy_is_cut_off_before_a_byte(
    edge: Edge, ports: dict[str, int]
) -> None:
    assert is_cut_off(edge, over(ports["announced"], STRANGER, GOOD))
    # The kernel wakes nobody for a connection that has sent nothing.
    with over(ports["announced"], STRANGER, b"x")() as connection:
        began = time.monotonic()
        assert _is_over(connection, 10)
        assert time.monotonic() - began < 0.5


def test_an_announcement_that_does_not_come_ends_the_connection(
    edge: Edge, ports: dict[str, int]
) -> None:
    with over(ports["announced"], PROXY, GOOD[:10])() as connection:
        began = time.monotonic()
        assert _is_over(connection, 10)
        assert 0.5 < time.monotonic() - began < 5


# A connection that is reset just before its handshake is left open by ssl itself (CPython 3.11).
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_half_announced_connections_are_bounded_and_hold_up_nobody_else(tmp_path: Path) -> None:
    edge, port = Edge(tmp_path), free_port()
    listen = (Listen(name="announced", address=f"127.0.0.1:{port}", proxy="v2"),)
    with (
        edge.served(listen=listen, bind=("127.0.0.1",), proxies=(PROXY,), announcement_seconds=60),
        ExitStack() as stack,
    ):
        half = [
            stack.enter_context(over(port, PROXY, GOOD[:10])()) for _ in range(MOST_BEGINNING + 20)
        ]
        end = time.monotonic() + 20
        while len(over_by_now(half)) < 20:
            assert time.monotonic() < end
        assert len(over_by_now(half)) == 20
        assert ask_by(edge, over(edge.port)).status == 404
        for connection in half[:50]:
            connection.close()
        edge.service.wait_for(lambda: ask_now(edge, port) == 404)
    edge.check()


def test_where_no_private_socket_can_be_made_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = Edge(tmp_path)
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    listen = (Listen(name="announced", address=f"127.0.0.1:{free_port()}", proxy="v2"),)
    with edge.served(listen=listen, proxies=(PROXY,)) as service:
        assert service.process.wait(20) == 3
    assert "refused serve.address-unusable" in service.log
    assert not list(deep.iterdir())


def over_by_now(connections: list[socket.socket]) -> list[socket.socket]:
    return select.select(connections, [], [], 0.1)[0]


def ask_now(edge: Edge, port: int) -> int:
    try:
        return ask_by(edge, over(port, PROXY, GOOD)).status
    except OSError:
        return 0


def _is_over(connection: socket.socket, seconds: float = 0.02) -> bool:
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_what_was_announced_is_bound_to_its_own_connection(
    edge: Edge, ports: dict[str, int]
) -> None:
    """Many callers at once, each on a connection of its own: nobody is taken for another."""
    callers = [f"198.51.100.{number}" for number in range(1, 41)]
    failures: list[str] = []

    def ask(caller: str) -> None:
        for _ in range(3):
            answer = ask_by(edge, over(ports["announced"], PROXY, announced(caller)))
            if f"addr={caller};" not in answer.headers["x-ms-keyvault-network-info"]:
                failures.append(caller)

    known = len(edge.traces())
    asking = [threading.Thread(target=ask, args=(caller,)) for caller in callers]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert failures == []
    seen = [entry.context.address for entry in edge.traces()[known:]]
    assert sorted(seen) == sorted(callers * 3)


def test_a_large_body_and_a_large_answer_come_through_an_announced_connection(
    edge: Edge, ports: dict[str, int]
) -> None:
    way = over(ports["announced"], PROXY, GOOD)
    value = "x" * 25_000
    body = b'{"value":"' + value.encode() + b'"}'
    assert ask_by(edge, way, "PUT", "/secrets/large", body).status == 200
    assert ask_by(edge, way, "GET", "/secrets/large").json["value"] == value


# --- the way a request came -----------------------------------------------------------------------


def test_a_rule_can_name_the_listener_that_a_request_came_by(
    edge: Edge, ports: dict[str, int]
) -> None:
    subnets = (Subnet(name="front", listener="front"), Subnet(name="back", listener="announced"))
    rules = (SubnetRule(id=f"{NETWORK}/subnets/front"),)
    networks = (VirtualNetwork(id=NETWORK, subnets=subnets),)
    edge.set_boundary(default_action="Deny", networks=networks, subnet_rules=rules)
    try:
        assert ask_by(edge, over(ports["front"])).status == 200
        assert f"subnet {NETWORK}/subnets/front" in recorded(edge).rule
        refused = ask_by(edge, over(ports["announced"], PROXY, GOOD))
        assert refused.error == (403, "Forbidden", "ForbiddenByFirewall")
        assert f"Client address: {CALLER} from subnet {NETWORK}/subnets/back\r\n" in refused.message
        assert ask_by(edge, over(edge.port)).status == 403
        assert ask_by(edge, by_file(edge.directory / "file")).status == 403
    finally:
        edge.set_boundary()


def test_the_listeners_are_told_by_name(edge: Edge, ports: dict[str, int]) -> None:
    assert f"127.0.0.1:{ports['front']} (front)" in edge.service.places


def test_systemds_sockets_have_the_names_that_it_gives_them(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [one.getsockname()[1] for one in opened]
    fds = [os.dup(one.fileno()) for one in opened]

    def activated(command: list[str]) -> list[str]:
        script = (
            "import os, sys; a, b = map(int, sys.argv[1:3]);"
            "os.dup2(a, 200); os.dup2(b, 201);"
            "os.dup2(200, 3, inheritable=True); os.dup2(201, 4, inheritable=True);"
            "os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()),"
            "LISTEN_FDNAMES='front:announced'); os.execv(sys.argv[3], sys.argv[3:])"
        )
        return [sys.executable, "-c", script, *map(str, fds), *command]

    listen = (Listen(name="announced", proxy="v2"),)
    subnet = Subnet(name="front", listener="front")
    edge.set_boundary(
        default_action="Deny",
        ip_rules=(f"{CALLER}/32",),
        networks=(VirtualNetwork(id=NETWORK, subnets=(subnet,)),),
        subnet_rules=(SubnetRule(id=f"{NETWORK}/subnets/front"),),
    )
    with edge.served(wrap=activated, passed=fds, listen=listen, proxies=(PROXY,)):
        assert ask_by(edge, over(ports[0])).status == 404
        assert ask_by(edge, over(ports[1], PROXY, GOOD)).status == 404
        assert ask_by(edge, over(ports[1], PROXY, LOCAL)).status == 403
    for one in opened:
        one.close()
    for fd in fds:
        os.close(fd)
    edge.check()


def test_new_workers_take_over_announced_connections_without_dropping_one(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    port = free_port()
    listen = (Listen(name="front", address=f"127.0.0.1:{port}", proxy="v2"),)
    with edge.served(listen=listen, proxies=(PROXY,), workers=2) as service:
        edge.set("db")
        edge.hang_up()
        enough = threading.Event()
        statuses: list[int] = []

        def ask() -> None:
            while not enough.is_set():
                statuses.append(ask_by(edge, over(port, PROXY, GOOD)).status)

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()
        service.reload()
        service.wait_for(lambda: len(service.seen("worker.left")) == 2)
        enough.set()
        for thread in asking:
            thread.join()
        assert set(statuses) == {200}
        assert len(statuses) > 3
    edge.check()
