"""The sockets that the service listens on: its own, and those that systemd hands over.

All workers accept from the same sockets.  With one of its own each (SO_REUSEPORT), a worker that
goes would take along the connections that wait in its queue: they would be reset at each renewal of
a certificate.

Source of socket activation: sd_listen_fds(3).
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import MutableMapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from server import interfaces
from server.entrances import UNIX, Entrance, Listen, ListenInvalid, check_all, place_of
from server.serving import AddressUnusable, Options
from vault.caller import Arrival

FIRST_FD = 3


class Opened(NamedTuple):
    """A socket that listens, and what a worker is told of it."""

    socket: socket.socket
    entrance: Entrance


def listeners(options: Options, environ: MutableMapping[str, str] | None = None) -> list[Opened]:
    """Listen where *options* say, and on what systemd opened.

    What systemd opened stands for `bind`.  Raise AddressUnusable, ListenInvalid, InterfaceUnusable
    or ListenNotPermitted.
    """
    check_all(options.listen)
    handed = handed_over(os.environ if environ is None else environ)
    asked = {listen.name: listen for listen in options.listen if not listen.address}
    missing = asked.keys() - {name for name, _ in handed}
    if missing:
        raise ListenInvalid(f"{min(missing)} has no address, and systemd opened none of that name")
    found = [_entered(one, asked.get(name, Listen(name=name))) for name, one in handed]
    wanted = [listen for listen in options.listen if listen.address]
    if not handed:
        wanted += [Listen(address=bind) for bind in options.bind]
    found += [_opened(listen, options) for listen in wanted]
    if not found:
        raise AddressUnusable("there is no address to listen on")
    for opened in found:
        _prepare(opened.socket, options)
    return found


def _entered(listener: socket.socket, listen: Listen) -> Opened:
    """*listener*, with what the kernel knows of it and *listen* declares.  Raise ListenInvalid."""
    # What it is bound to, and not what was asked for: systemd may have bound it.
    interface = interfaces.bound_to(listener)
    vlan = interfaces.vlan_of(interface) if interface else None
    if listen.vlan is not None and vlan not in (None, listen.vlan):
        raise ListenInvalid(f"interface {interface} is VLAN {vlan}, and not {listen.vlan}")
    arrival = Arrival(
        listener=listen.name,
        interface=interface,
        vlan=listen.vlan if vlan is None else vlan,
        namespace=listen.namespace,
    )
    is_unix = listener.family == socket.AF_UNIX
    return Opened(listener, Entrance(listener.fileno(), arrival, is_unix, listen.proxy))


def handed_over(environ: MutableMapping[str, str]) -> list[tuple[str, socket.socket]]:
    """The sockets that systemd opened for this very process, by name; the variables are used up."""
    count, process = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if not count.isdecimal() or process != str(os.getpid()):
        return []
    fds = range(FIRST_FD, FIRST_FD + int(count))
    names += [""] * len(fds)
    return [(name, _checked(fd)) for name, fd in zip(names, fds, strict=False)]


def _checked(fd: int) -> socket.socket:
    try:
        handed = socket.socket(fileno=fd)
        if handed.type == socket.SOCK_STREAM and handed.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            return handed
        handed.detach()
    except OSError:
        pass
    raise AddressUnusable(f"file descriptor {fd} is not a socket that listens")


def _opened(listen: Listen, options: Options) -> Opened:
    place, port = listen.address, options.port
    try:
        if place.startswith(UNIX):
            return _entered(_unix(Path(place.removeprefix(UNIX))), listen)
        if listen.name:
            place, port = place_of(place, port)
        return interfaces.within(
            listen.namespace, partial(_open_there, listen=listen, place=place, port=port)
        )
    except OSError as error:
        raise AddressUnusable(f"cannot listen on {place}, port {port}: {error.strerror}") from None


def _open_there(listen: Listen, place: str, port: int) -> Opened:
    """Open a TCP socket in the network namespace of this thread."""
    listener = _tcp(place, port, listen.interface)
    try:
        return _entered(listener, listen)
    except BaseException:
        listener.close()
        raise


def _tcp(address: str, port: int, interface: str) -> socket.socket:
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, place = found[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if interface:
            # Before it has an address: so two listeners may have one, each on its interface.
            interfaces.bind(listener, interface)
        listener.bind(place)
    except BaseException:
        listener.close()
        raise
    return listener


def _unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a process that is gone; whatever else stands there stays."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()


def _prepare(listener: socket.socket, options: Options) -> None:
    # What a listening socket is set to, each connection that it accepts inherits.
    if listener.family != socket.AF_UNIX:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # A caller who takes no byte of an answer is let go of; nothing above this limits that.
        listener.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(options.header_seconds * 1000)
        )
        # A connection that sends nothing is not worth waking a worker for.
        listener.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, max(1, int(options.header_seconds))
        )
    listener.listen(options.backlog)


def close(opened: list[Opened], options: Options) -> None:
    """Stop listening; a socket file that was made here goes too."""
    for one in opened:
        one.socket.close()
    for address in (*options.bind, *(listen.address for listen in options.listen)):
        if address.startswith(UNIX):
            Path(address.removeprefix(UNIX)).unlink(missing_ok=True)


def told(opened: Opened) -> str:
    """Where it listens, for people."""
    listener, entrance = opened
    if entrance.is_unix:
        place = f"{UNIX}{listener.getsockname()}"
    else:
        host, port = listener.getsockname()[:2]
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    arrival = entrance.arrival
    by = [text for text in (arrival.listener, arrival.interface, arrival.namespace) if text]
    return f"{place} ({', '.join(by)})" if by else place
