"""Network interfaces and network namespaces, as Linux has them.

A socket belongs for ever to the namespace that it was made in, so one thread enters the namespace,
makes the socket and ends: setns(2) moves the calling thread alone.  Sources: setns(2), ip-netns(8),
socket(7) for SO_BINDTODEVICE, and the kernel's net/8021q/vlanproc.c.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from eventstore.errors import MunimentError

T = TypeVar("T")

NAMESPACES: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
# The thread's own, which may be in another namespace than its process.
_VLANS: Final = Path("/proc/thread-self/net/vlan/config")


class InterfaceUnusable(MunimentError):
    """A network interface or network namespace that a listener names cannot be used."""

    code = "serve.interface-unusable"


class ListenNotPermitted(MunimentError):
    """The system does not let this process bind a listener to that."""

    code = "serve.not-permitted"
    hint = (
        "a network namespace needs CAP_SYS_ADMIN, and an interface may need CAP_NET_RAW: start the "
        "service with it, or let systemd open the socket"
    )


def within(namespace: str, make: Callable[[], T]) -> T:
    """What *make* gives inside the network namespace; an empty name is where this process is.

    Raise InterfaceUnusable, ListenNotPermitted, or what *make* raises.
    """
    if not namespace:
        return make()
    made: list[T] = []
    failed: list[BaseException] = []

    def enter() -> None:
        try:
            _enter(namespace)
            made.append(make())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def _enter(namespace: str) -> None:
    """Move this thread, and no other, into the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fd = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # os.setns came with Python 3.12.
            if libc.setns(fd, _CLONE_NEWNET):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(fd)
    except PermissionError:
        raise ListenNotPermitted(f"may not enter the network namespace {namespace}") from None
    except OSError as error:
        raise InterfaceUnusable(f"network namespace {namespace}: {error.strerror}") from None


def bind(listener: socket.socket, interface: str) -> None:
    """Let *listener* take what comes in by *interface*, and nothing else."""
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except PermissionError:
        raise ListenNotPermitted(f"may not listen on the interface {interface} alone") from None
    except OSError as error:
        what = "there is none" if error.errno == errno.ENODEV else error.strerror
        raise InterfaceUnusable(f"interface {interface}: {what}") from None


def bound_to(listener: socket.socket) -> str:
    """The interface that *listener* is bound to, as the kernel has it; empty if to none."""
    if listener.family == socket.AF_UNIX:
        return ""
    name = listener.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
    return name.partition(b"\0")[0].decode("ascii", "replace")


def vlan_of(interface: str, table: Path = _VLANS) -> int | None:
    """The number of the VLAN that *interface* is; None if it is none, or no kernel says so."""
    try:
        lines = table.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, rest = line.partition("|")
        number = rest.partition("|")[0].strip()
        if name.strip() == interface and number.isdecimal():
            return int(number)
    return None
