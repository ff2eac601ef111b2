"""Hosts of their own on this machine: network namespaces, joined by pairs of virtual interfaces.

Nothing outside of the namespaces made here is touched, and they go at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

import pytest

from server.interfaces import within
from support.served import missing
from support.ways import Connect, over

_numbers = count()


class Host(NamedTuple):
    """A namespace with one interface, and the interface at the other end of its cable."""

    namespace: str
    address: str
    address6: str
    gateway: str
    plug: str

    def over(self, port: int, to: str = "", before: bytes = b"") -> Connect:
        """A way from here to the service's *port*; to this cable's end if not *to* another address."""
        source = self.address6 if ":" in to else self.address
        connect = over(port, source, before, to or self.gateway)
        return lambda: within(self.namespace, connect)

    def ip(self, *command: str) -> None:
        """Change something of this host."""
        _ip("-n", self.namespace, *command)


class Network:
    """One host in the middle, whose namespace is *name*, and hosts around it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hosts: dict[str, Host] = {}
        self._links = count(1)

    def host(self, name: str, plug: str) -> Host:
        """Join a host of that *name* to the one in the middle, where its interface is *plug*."""
        link = next(self._links)
        four, six = f"10.77.{link}", f"fd77:{link}:"
        host = Host(f"{self.name}-{name}", f"{four}.2", f"{six}:2", f"{four}.1", plug)
        _ip("netns", "add", host.namespace)
        self.hosts[name] = host
        _ip("-n", self.name, "link", "add", plug, "type", "veth", "peer", "eth0")
        _ip("-n", self.name, "link", "set", "eth0", "netns", host.namespace)
        for namespace, interface, end in ((self.name, plug, 1), (host.namespace, "eth0", 2)):
            _ip("-n", namespace, "addr", "add", f"{four}.{end}/24", "dev", interface)
            _ip("-n", namespace, "addr", "add", f"{six}:{end}/64", "dev", interface, "nodad")
            _ip("-n", namespace, "link", "set", interface, "up")
        # Every address of the middle can be reached from everywhere.
        _ip("-n", host.namespace, "route", "add", "default", "via", host.gateway)
        return host

    def ip(self, *command: str) -> None:
        """Change something of the host in the middle."""
        _ip("-n", self.name, *command)


@contextmanager
def network() -> Iterator[Network]:
    """A host in the middle.  Skip where the machine does not allow it, and say why."""
    if shutil.which("ip") is None:
        missing("the program ip is missing: apt-get install iproute2")
    made = Network(f"muniment{os.getpid()}-{next(_numbers)}")
    tried = subprocess.run(["ip", "netns", "add", made.name], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no network namespace can be made here: {tried.stderr.strip()}")
    try:
        made.ip("link", "set", "lo", "up")
        yield made
    finally:
        for namespace in (*(host.namespace for host in made.hosts.values()), made.name):
            subprocess.run(["ip", "netns", "del", namespace], check=False)


def _ip(*command: str) -> None:
    ran = subprocess.run(["ip", *command], capture_output=True, text=True)
    if ran.returncode and "Operation not permitted" in ran.stderr:
        pytest.skip(f"no interface can be made here: {ran.stderr.strip()}")
    assert ran.returncode == 0, (command, ran.stderr)


def has_vlans(namespace: str, plug: str) -> bool:
    """Whether the kernel knows VLANs; if so there is one with the number 12 now, at *plug*."""
    vlan = ("name", f"{plug}.12", "type", "vlan", "id", "12")
    command = ["ip", "-n", namespace, "link", "add", "link", plug, *vlan]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
