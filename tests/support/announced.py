"""What a proxy writes before a connection that it hands on: PROXY protocol, version 2."""

from __future__ import annotations

from ipaddress import ip_address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


def announced(source: str, fields: bytes = b"", *, port: int = 49152, to: int = 8443) -> bytes:
    """The header of a TCP connection from *source*."""
    address = ip_address(source)
    four = address.version == 4
    local = ip_address("127.0.0.1" if four else "::1")
    ports = port.to_bytes(2, "big") + to.to_bytes(2, "big")
    rest = address.packed + local.packed + ports + fields
    family = b"\x11" if four else b"\x21"
    return SIGNATURE + b"\x21" + family + len(rest).to_bytes(2, "big") + rest
