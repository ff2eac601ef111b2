"""The bytes before a connection that a proxy hands on."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.proxy_protocol import LARGEST, Garbled, beginning, caller
from support.announced import announced

FOUR, SIX = "203.0.113.9", "2001:db8::9"


def read(header: bytes) -> tuple[str | None, bytes]:
    """The caller, and what is left of *header*."""
    begun = beginning(header[:16])
    end = 16 + begun.rest
    return caller(begun, header[16:end]), header[end:]


@pytest.mark.parametrize("address", [FOUR, SIX])
@pytest.mark.parametrize("fields", [b"", b"\x04\0\x02ab", bytes(500)])
def test_the_source_is_the_caller_and_not_a_byte_more_is_taken(address, fields) -> None:
    assert read(announced(address, fields=fields) + b"\x16\x03") == (address, b"\x16\x03")


def test_an_ipv4_caller_in_ipv6_form_is_the_ipv4_one() -> None:
    assert read(announced("::ffff:203.0.113.9"))[0] == FOUR


@pytest.mark.parametrize("rest", [b"", bytes(12), bytes(100)])
def test_a_local_connection_is_the_proxys_own(rest: bytes) -> None:
    header = announced(FOUR)[:12] + b"\x20\x00" + len(rest).to_bytes(2, "big") + rest
    assert read(header) == (None, b"")


GOOD = announced(FOUR)


@pytest.mark.parametrize(
    "head",
    [
        b"PROXY TCP4 203.0",
        b"\x16\x03\x01" + bytes(13),
        b"GET / HTTP/1.1\r\n",
        b"\n" + GOOD[1:16],
        GOOD[:12] + b"\x11" + GOOD[13:16],
        GOOD[:12] + b"\x22" + GOOD[13:16],
        GOOD[:12] + b"\x31" + GOOD[13:16],
        GOOD[:13] + b"\x00" + GOOD[14:16],
        GOOD[:13] + b"\x12" + GOOD[14:16],
        GOOD[:13] + b"\x31" + GOOD[14:16],
        GOOD[:14] + b"\x00\x0b",
        GOOD[:13] + b"\x21" + b"\x00\x0c",
        GOOD[:14] + (LARGEST + 1).to_bytes(2, "big"),
        GOOD[:12] + b"\x20\x00" + (LARGEST + 1).to_bytes(2, "big"),
    ],
    ids=[
        *("version 1", "tls", "http", "signature", "version", "command", "newer", "unspecified"),
        *("udp", "socket file", "short", "short six", "long", "long local"),
    ],
)
def test_what_is_no_header_of_version_2_or_names_nobody_is_refused(head: bytes) -> None:
    with pytest.raises(Garbled):
        beginning(head)


@given(st.binary(min_size=16, max_size=16))
def test_no_sixteen_bytes_are_more_than_refused(head: bytes) -> None:
    with pytest.raises(Garbled):
        beginning(head)


@given(st.ip_addresses(), st.binary(max_size=200))
def test_every_caller_comes_through(address, fields: bytes) -> None:
    told = read(announced(str(address), fields=fields))[0]
    six = address if address.version == 6 else None
    assert told == str(six.ipv4_mapped if six and six.ipv4_mapped else address)


def test_the_header_is_as_the_specification_draws_it() -> None:
    assert (
        b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c"
        + socket.inet_aton(FOUR)
        + socket.inet_aton("127.0.0.1")
        + (49152).to_bytes(2, "big")
        + (8443).to_bytes(2, "big")
    ) == GOOD
