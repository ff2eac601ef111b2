"""From whom a request comes when a proxy stands between.  Pure.

Only a declared proxy is believed, and only about who came to itself: the addresses that a request
names are read from the right, each as the word of the hop behind it, up to the first that is no
declared proxy.  What stands further left was written by that one, and nobody looks at it.  What a
declared proxy wrote and cannot be read, hides the caller or contradicts itself is refused: taking the
proxy's own address instead would let everybody in whom the proxy may let in.

Sources: RFC 7239 for Forwarded; X-Forwarded-For is a habit, a list of addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from eventstore.errors import MunimentError
from server.entrances import UNIX, Listen
from vault.ranges import plain

LOCAL: Final = UNIX.removesuffix(":")
"""Declares whoever comes by a socket of the file system."""

_MOST_HOPS = 16
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_PAIR = rf"[ \t]*({_TOKEN})=({_TOKEN}|{_QUOTED})[ \t]*"
_ELEMENT = re.compile(rf"{_PAIR}(?:;{_PAIR})*", re.ASCII)
_PAIRS = re.compile(_PAIR, re.ASCII)
_NODE = re.compile(r"(?:([0-9.]{7,15})|\[([0-9A-Fa-f:.]{2,45})\])(?::[0-9]{1,5})?", re.ASCII)
_BARE_SIX = re.compile(r"[0-9A-Fa-f:.]{2,45}", re.ASCII)


class ProxyInvalid(MunimentError):
    """A range of proxies is not one."""

    code = "serve.proxy-invalid"
    hint = "--trusted-proxy 10.1.0.2, or 10.1.0.0/28, or unix"


class AddressHidden(Exception):
    """A declared proxy did not say clearly who came to it."""


class Hops:
    """The declared proxies."""

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        declared = tuple(proxies)
        self.trusts_unix = LOCAL in declared
        self._ranges = tuple(_range(text) for text in declared if text != LOCAL)

    def __bool__(self) -> bool:
        return self.trusts_unix or bool(self._ranges)

    def holds(self, address: str) -> bool:
        """Whether *address*, in its plain form, is a declared proxy's."""
        if not self._ranges:
            return False
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in range_ for range_ in self._ranges)

    def caller(self, peer: str, headers: Sequence[tuple[str, str]]) -> str:
        """Who came to *peer*, a declared proxy; itself if it names nobody.  Raise AddressHidden."""
        told = {
            self._first_stranger(peer, read(_lines(headers, name)))
            for name, read in (("x-forwarded-for", _listed), ("forwarded", _elements))
            if _lines(headers, name)
        }
        if len(told) > 1:
            # One of both is the caller's own, which the proxy let through.
            raise AddressHidden
        return told.pop() if told else peer

    def _first_stranger(self, peer: str, addresses: Iterable[str]) -> str:
        """The first of *addresses*, from the last hop on, that is no proxy; else the farthest."""
        farthest = peer
        for count, address in enumerate(addresses):
            if count == _MOST_HOPS:
                raise AddressHidden
            farthest = address
            if not self.holds(address):
                break
        return farthest


def check_proxies(proxies: tuple[str, ...], listens: Iterable[Listen]) -> tuple[str, ...]:
    """*proxies*, if they are ranges and all of *listens* have those they need.  Raise ProxyInvalid."""
    hops = Hops(proxies)
    alone = [listen.name for listen in listens if listen.proxy and not hops]
    if alone:
        raise ProxyInvalid(f"nobody may connect to {alone[0]}: declare its proxies")
    return proxies


def _range(text: str) -> IPv4Network | IPv6Network:
    try:
        found = ip_network(text)
    except ValueError:
        raise ProxyInvalid(f"{text[:60]!a} is not an address range") from None
    if not found.prefixlen:
        raise ProxyInvalid("not everybody can be a proxy: whoever is one says where others are")
    if isinstance(found, IPv6Network) and found.network_address.ipv4_mapped is not None:
        raise ProxyInvalid(f"write {text[:60]!a} as an IPv4 range")
    return found


def _lines(headers: Sequence[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in headers if key == name]


def _listed(lines: list[str]) -> Iterator[str]:
    """The addresses of X-Forwarded-For, the last first.  Raise AddressHidden."""
    for line in reversed(lines):
        for text in reversed(line.split(",")):
            yield _address(text.strip(" \t"))


def _elements(lines: list[str]) -> Iterator[str]:
    """The addresses of Forwarded, the last first.  Raise AddressHidden."""
    for line in reversed(lines):
        for element in reversed(_split(line)):
            yield _for(element)


def _split(line: str) -> list[str]:
    """The elements of *line*, whose every byte must be as the grammar has it.

    So a quote that a caller left open cannot swallow what a proxy wrote behind it.
    """
    found, at = [], 0
    while at <= len(line):
        element = _ELEMENT.match(line, at)
        if element is None or line[element.end() : element.end() + 1] not in ("", ","):
            raise AddressHidden
        found.append(element[0])
        at = element.end() + 1
    return found


def _for(element: str) -> str:
    told = [value for name, value in _PAIRS.findall(element) if name.lower() == "for"]
    if len(told) != 1:
        raise AddressHidden
    # `unknown` and `_name` hide who it is, and are no address.
    return _address(re.sub(r"\\(.)", r"\1", told[0][1:-1]) if told[0][0] == '"' else told[0])


def _address(text: str) -> str:
    """The address in *text*, without a port, in its plain form.  Raise AddressHidden."""
    node = _NODE.fullmatch(text)
    bare = node[1] or node[2] if node else text if _BARE_SIX.fullmatch(text) else ""
    try:
        return plain(str(ip_address(bare)))
    except ValueError:
        raise AddressHidden from None
