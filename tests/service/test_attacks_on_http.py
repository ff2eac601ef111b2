"""Requests that no client sends: those that two readers could read differently, that never end, or
that are too large.  Whatever comes, it does nothing, and others are served."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.edge import Edge
from support.services import closed_after

OUTER = '{"value":"y"}'
PUT = ("PUT", "/secrets/outer?api-version=7.4")
LENGTH = f"Content-Length: {len(OUTER)}"
CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = f"{len(OUTER):x}\r\n{OUTER}\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One whose limits of time are short enough to be waited for."""
    edge = Edge(tmp_path_factory.mktemp("edge"))
    with edge.served(header_seconds=1, body_seconds=2):
        edge.set("db")
        edge.hang_up()
        yield edge
    edge.check()


@pytest.fixture(autouse=True)
def alone(edge: Edge) -> Iterator[None]:
    """Each test on a connection of its own, for one that is idle is closed soon."""
    yield
    edge.hang_up()


def exists(edge: Edge, name: str) -> bool:
    edge.hang_up()
    return edge.ask("GET", f"/secrets/{name}").status == 200


# --- smuggling ------------------------------------------------------------------------------------

SHAPES: dict[str, tuple[tuple[str, ...], str]] = {
    "a length and chunks": (("Content-Length: 5", CHUNKED), "0\r\n\r\n"),
    "chunks and a length": ((CHUNKED, "Content-Length: 3"), CHUNKS),
    "two lengths": ((LENGTH, "Content-Length: 1000"), OUTER),
    "a list of lengths": (("Content-Length: 13, 13",), OUTER),
    "a length in hex": (("Content-Length: 0xd",), OUTER),
    "a negative length": (("Content-Length: -13",), OUTER),
    "a signed length": (("Content-Length: +13",), OUTER),
    "an unknown coding": (("Transfer-Encoding: xchunked",), CHUNKS),
    "chunks that are not the last coding": (("Transfer-Encoding: chunked, identity",), CHUNKS),
    "two codings": ((CHUNKED, "Transfer-Encoding: identity"), CHUNKS),
    "a space before the colon": (("Transfer-Encoding : chunked", LENGTH), OUTER),
    "a vertical tab": (("Transfer-Encoding: \x0bchunked",), CHUNKS),
    "a folded coding": (("Transfer-Encoding:\r\n chunked", LENGTH), OUTER),
    "a folded header": (("X: a\r\n b", LENGTH), OUTER),
    "a bare CR": (("X: a\rTransfer-Encoding: chunked", LENGTH), OUTER),
    "a NUL": (("X: a\0b", LENGTH), OUTER),
    "a chunk in 0x": ((CHUNKED,), f"0xd\r\n{OUTER}\r\n0\r\n\r\n"),
    "a chunk of +": ((CHUNKED,), f"+d\r\n{OUTER}\r\n0\r\n\r\n"),
    "a chunk beyond 64 bits": ((CHUNKED,), f"1000000000000000d\r\n{OUTER}\r\n0\r\n\r\n"),
    "chunks with bare LF": ((CHUNKED,), f"d\n{OUTER}\n0\n\n"),
    "LF in a chunk's extension": ((CHUNKED,), f"d;a\nb\r\n{OUTER}\r\n0\r\n\r\n"),
    "a chunk without its end": ((CHUNKED,), f"d\r\n{OUTER}XX0\r\n\r\n"),
}


@pytest.mark.parametrize(("lines", "body"), SHAPES.values(), ids=SHAPES)
def test_what_stands_behind_an_ambiguous_request_is_never_carried_out(
    edge: Edge, lines: tuple[str, ...], body: str
) -> None:
    behind = (
        edge.head("PUT", "/secrets/smuggled?api-version=7.4", LENGTH) + b"\r\n" + OUTER.encode()
    )
    statuses = edge.raw(edge.head(*PUT, *lines) + b"\r\n" + body.encode("latin-1") + behind)
    assert len(statuses) == 1
    assert not exists(edge, "smuggled")


def test_a_request_in_the_body_of_one_that_is_refused_is_never_carried_out(edge: Edge) -> None:
    inside = (
        edge.head("PUT", "/secrets/smuggled?api-version=7.4", LENGTH) + b"\r\n" + OUTER.encode()
    )
    for method, token in (("PUT", None), ("GET", None), ("GET", ""), ("BREW", "")):
        head = edge.head(method, "/secrets/db", f"Content-Length: {len(inside)}", token=token)
        assert len(edge.raw(head + b"\r\n" + inside)) == 1
    assert not exists(edge, "smuggled")


def test_requests_one_after_the_other_are_answered_one_by_one(edge: Edge) -> None:
    first = edge.head("PUT", "/secrets/first?api-version=7.4", LENGTH)
    second = edge.head("PUT", "/secrets/second?api-version=7.4", LENGTH, "Connection: close")
    body = b"\r\n" + OUTER.encode()
    assert edge.raw(first + body + second + body) == [200, 200]
    assert exists(edge, "first")
    assert exists(edge, "second")


# --- slow, and large ------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_crowd_of_slow_callers_is_let_go_and_holds_up_nobody(edge: Edge, part: str) -> None:
    sent = edge.head(*PUT, "Content-Length: 100") + (b"\r\n{" if part == "body" else b"X: ")
    slow = [edge.service.raw() for _ in range(40)]
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.3):
            for connection in slow:
                with suppress(OSError):
                    connection.sendall(b" ")

    for connection in slow:
        connection.sendall(sent)
    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        for _ in range(20):
            began = time.monotonic()
            assert edge.ask("GET", "/secrets/db").status == 200
            assert time.monotonic() - began < 2
        for connection in slow:
            heard, seconds = closed_after(connection)
            assert heard[:12] in (b"", b"HTTP/1.1 408")
            assert seconds < 10
    finally:
        stop.set()
        dripping.join()
        for connection in slow:
            connection.close()


@pytest.mark.parametrize("size", [256 * 1024 + 1, 10_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_huge_body_is_refused_and_does_nothing(edge: Edge, size: int, chunked: bool) -> None:
    body = b'{"value":"' + b"x" * (size - 12) + b'"}'
    how = CHUNKED if chunked else f"Content-Length: {size}"
    with edge.service.raw() as connection:
        connection.sendall(edge.head(*PUT[:1], "/secrets/huge?api-version=7.4", how) + b"\r\n")
        heard = b""
        with suppress(OSError):  # it need not listen to the end before it hangs up
            connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (size, body) if chunked else body)
            heard = connection.recv(100)
    assert heard[:12] in (b"", b"HTTP/1.1 413")
    assert not exists(edge, "huge")


@pytest.mark.parametrize(("client", "most"), [("nobody", 32 << 20), ("all", 160 << 20)])
def test_a_crowd_with_huge_blobs_does_not_fill_the_memory(
    edge: Edge, client: str, most: int
) -> None:
    (worker,) = edge.service.seen("worker.ready")
    before = highest = resident(worker["process"])
    path = "/secrets/restore?api-version=7.4"
    head = edge.head("POST", path, "Content-Length: 16777216", token=edge.token(client))
    callers = [edge.service.raw() for _ in range(32)]
    for caller in callers:
        caller.sendall(head + b"\r\n")
        caller.setblocking(False)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for caller in callers:
            with suppress(OSError):
                caller.send(b"x" * 262_144)
        highest = max(highest, resident(worker["process"]))
    for caller in callers:
        caller.close()
    assert highest - before < most
    edge.hang_up()
    assert edge.ask("GET", "/secrets/db").status == 200


def resident(process: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096


def test_a_caller_who_goes_away_is_no_failure_of_the_service(edge: Edge) -> None:
    for path in ("/secrets/gone?api-version=7.4", "/secrets/restore?api-version=7.4"):
        with edge.service.raw() as connection:
            connection.sendall(edge.head("POST", path, "Content-Length: 100") + b"\r\nabc")
    with edge.service.raw() as connection:
        connection.sendall(edge.head(*PUT, "Content-Length: 100") + b"\r\nabc")
    time.sleep(0.3)
    assert edge.ask("GET", "/secrets/db").status == 200
    assert not edge.service.seen("fault")
    assert not [one for one in edge.service.seen("request") if one["status"] == 500]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["X: " + "x" * 200_000], (400, 431)),
        (["X: x"] * 300, (400, 431)),
        (["X" * 200_000 + ": x"], (400, 431)),
        (["User-Agent: " + "\xff" * 20_000], (200,)),
        (["x-ms-client-request-id: " + "\xff" * 20_000], (200,)),
        (["x-ms-client-request-id: a", "x-ms-client-request-id: b"], (200,)),
    ],
    ids=["a long one", "many", "a long name", "agent", "request id", "two request ids"],
)
def test_headers_beyond_all_measure_are_refused_or_cut(
    edge: Edge, lines: list[str], status: tuple[int, ...]
) -> None:
    head = edge.head("GET", "/secrets/db?api-version=7.4", *lines, "Connection: close")
    (answered,) = edge.raw(head + b"\r\n")
    assert answered in status


# --- texts ----------------------------------------------------------------------------------------

BODIES = {
    "not UTF-8": b'{"value":"\xff"}',
    "a surrogate in UTF-8": b'{"value":"\xed\xa0\x80"}',
    "a lone surrogate": b'{"value":"\\ud800"}',
    "too long a sequence": b'{"value":"\xc0\x80"}',
    "UTF-16": '{"value":"x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"value":"x"}',
    "a member twice": b'{"value":"x","value":"y"}',
    "a member twice, once escaped": b'{"value":"x","\\u0076alue":"y"}',
    "nested beyond all measure": b'{"value":"x","tags":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number beyond all measure": b'{"value":"x","attributes":{"exp":1' + b"0" * 5000 + b"}}",
    "two values": b'{"value":"x"}{"value":"y"}',
    "nothing": b"",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_not_plain_json_is_refused_and_not_repeated(edge: Edge, body: bytes) -> None:
    answer = edge.ask("PUT", "/secrets/text", body)
    assert answer.status == 400
    assert answer.error[1] in ("BadParameter", "BadRequest")
    json.dumps(answer.json)
    assert not exists(edge, "text")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/secrets/%2e%2e", 400),
        ("/secrets/..%2fdb", 400),
        ("/secrets/..", 400),
        ("/secrets/../secrets/db", 404),
        ("/./secrets/db", 404),
        ("/secrets/db%2fversions", 400),
        ("/secrets%2fdb", 404),
        ("/secrets/db%00", 400),
        ("/secrets/%00", 400),
        ("/secrets/db;x", 400),
        ("/secrets/db%3fa", 400),
        ("/secrets/db%20", 400),
        ("/secrets/d%ffb", 400),
        ("/secrets/db%0d%0aSet-Cookie:%20a", 400),
        ("/secrets/%EF%BC%A4b", 400),
        ("/secrets//db", 400),
        ("/secrets/" + "a" * 128, 400),
        ("/secrets/" + "a" * 30_000, 400),
        ("/secrets/db/" + "0" * 30_000, 400),
        ("/secrets" + "/a" * 10_000, 404),
        ("//healthz", 404),
        ("//secrets/db", 200),
        ("/SECRETS/DB", 200),
        ("/%73ecrets/%64b", 200),
    ],
    ids=lambda given: str(given)[:32],
)
def test_a_path_names_a_secret_or_nothing(edge: Edge, target: str, status: int) -> None:
    answer = edge.ask("GET", target)
    assert answer.status == status
    assert "set-cookie" not in answer.headers
    assert len(answer.body) < 1000


@pytest.mark.parametrize(
    "target", [b"/secrets/\xff", b"/secrets/\xc3\xa9", b"/secrets/a b", b"/a\0", b"secrets/db"]
)
def test_a_target_that_is_no_address_is_refused(edge: Edge, target: bytes) -> None:
    lines = edge.head("GET", "/x", "Connection: close").partition(b"\r\n")[2]
    assert edge.raw(b"GET " + target + b" HTTP/1.1\r\n" + lines + b"\r\n") == [400]


@pytest.mark.parametrize(
    "make",
    [
        lambda edge: edge.head("OPTIONS", "*"),
        lambda edge: edge.head("CONNECT", "example.com:443"),
        lambda edge: edge.head("TRACE", "/secrets/db"),
        lambda edge: edge.head("GET", "/secrets/db", "Upgrade: websocket", "Connection: Upgrade"),
        lambda edge: edge.head("GET", "https://example.com/secrets/none?api-version=7.4"),
    ],
    ids=["OPTIONS *", "CONNECT", "TRACE", "Upgrade", "a whole address"],
)
def test_a_service_is_no_proxy_and_upgrades_to_nothing(
    edge: Edge, make: Callable[[Edge], bytes]
) -> None:
    statuses = edge.raw(make(edge) + b"\r\n")
    assert len(statuses) == 1
    assert statuses[0] in (400, 404, 405)


def test_one_who_speaks_no_tls_is_not_answered(edge: Edge) -> None:
    with socket.create_connection(("127.0.0.1", edge.port), 20) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        heard = b""
        with suppress(ConnectionResetError):
            heard = plain.recv(1000)
    assert b"HTTP" not in heard
    assert edge.ask("GET", "/healthz", token=None).status == 200
