"""The header that a proxy writes before all else: PROXY protocol, version 2.  Pure.

Sixteen bytes say whose the connection is and how long the rest is; the rest are the addresses and
fields that are of no use here.  Version 1, a line of text, is not taken: a caller of plain HTTP can
write one.  Source: "The PROXY protocol", sections 2.2 and 5.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from vault.ranges import plain

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIXED: Final = 16
LARGEST: Final = 4096
"""Bytes behind the first sixteen: addresses and fields.  Proxies send less than one segment."""

_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_NEEDED: Final = {_TCP4: 12, _TCP6: 36}


class Garbled(Exception):
    """It is no header of version 2, or says nothing that can be used."""


class Beginning(NamedTuple):
    """What the first sixteen bytes say; *rest* more follow."""

    is_local: bool
    family: int
    rest: int


def beginning(head: bytes) -> Beginning:
    """Raise Garbled."""
    command, family = head[12], head[13]
    rest = int.from_bytes(head[14:16], "big")
    if not head.startswith(SIGNATURE) or command not in (_LOCAL, _PROXY) or rest > LARGEST:
        raise Garbled
    is_local = command == _LOCAL
    if not is_local and (family not in _NEEDED or rest < _NEEDED[family]):
        # Of a transport without addresses nobody could say who calls.
        raise Garbled
    return Beginning(is_local, family, rest)


def caller(begun: Beginning, rest: bytes) -> str | None:
    """The address in *rest*; None if the proxy itself is the caller."""
    if begun.is_local:
        return None
    if begun.family == _TCP4:
        return str(IPv4Address(rest[:4]))
    return plain(str(IPv6Address(rest[:16])))
