"""The sockets that the service listens on: its own, or those that systemd hands over.

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
from pathlib import Path

from server.serving import AddressUnusable, Options

FIRST_FD = 3
UNIX = "unix:"


def listeners(
    options: Options, environ: MutableMapping[str, str] | None = None
) -> list[socket.socket]:
    """Listen where *options* say, or on what systemd opened.  Raise AddressUnusable."""
    handed = handed_over(os.environ if environ is None else environ)
    found = handed or [_opened(bind, options) for bind in options.bind]
    if not found:
        raise AddressUnusable("there is no address to listen on")
    for listener in found:
        _prepare(listener, options)
    return found


def handed_over(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets that systemd opened for this very process; the variables are used up."""
    count, process = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if not count.isdecimal() or process != str(os.getpid()):
        return []
    return [_checked(fd) for fd in range(FIRST_FD, FIRST_FD + int(count))]


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


def _opened(bind: str, options: Options) -> socket.socket:
    try:
        if bind.startswith(UNIX):
            return _unix(Path(bind.removeprefix(UNIX)))
        return _tcp(bind, options.port)
    except OSError as error:
        raise AddressUnusable(
            f"cannot listen on {bind}, port {options.port}: {error.strerror}"
        ) from None


def _tcp(address: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, place = found[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
    except OSError:
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


def close(opened: list[socket.socket], options: Options) -> None:
    """Stop listening; a socket file that was made here goes too."""
    for listener in opened:
        listener.close()
    for bind in options.bind:
        if bind.startswith(UNIX):
            Path(bind.removeprefix(UNIX)).unlink(missing_ok=True)


def told(listener: socket.socket) -> str:
    """Where it listens, for people."""
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
