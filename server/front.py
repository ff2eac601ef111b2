"""A listener whose connections begin with what a proxy says of them.

granian ends TLS by itself and cannot be handed a connection, so such a listener is accepted from
here.  The header is read, to its last byte and no further; the rest goes through a socket file that
only this process can reach, on a connection that has a name of its own.  granian tells that name with
each request, and the kernel keeps it for as long as the connection lives: so what the proxy said
belongs to this very connection, and no later one can take it over.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from server import proxy_protocol
from server.entrances import Entrance
from server.hops import Hops
from server.serving import AddressUnusable
from vault.ranges import plain

MOST_BEGINNING: Final = 256
"""So many connections may be at their header at once; one more is cut off."""

_CHUNK: Final = 64 * 1024
_PAUSE: Final = 0.1
"""Seconds to wait where the system has no more files to give."""


class Front:
    """One entrance of this worker, and the socket behind it for the server."""

    def __init__(
        self, entrance: Entrance, hops: Hops, *, most: int, seconds: float, within: str | None
    ) -> None:
        self._listener = socket.socket(fileno=os.dup(entrance.fd))
        self._listener.setblocking(False)
        self._is_unix = entrance.is_unix
        self._hops = hops
        self._most = most
        self._seconds = seconds
        # Made for its owner alone: mkdtemp(3).
        self._directory = Path(tempfile.mkdtemp(prefix="front-", dir=within))
        self._inside = str(self._directory / "in")
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.server.bind(self._inside)
        except OSError as error:
            # Its path has at most 107 bytes.
            raise AddressUnusable(f"cannot listen in {self._directory}: {error}") from None
        self.server.listen(most)
        self._numbers = count()
        self._callers: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._beginning = 0
        self._is_open = False

    def announced(self, name: str) -> str | None:
        """The caller on the connection that has this name; None if there is no such one."""
        return self._callers.get(name)

    def open(self) -> None:
        """Accept connections."""
        self._is_open = True
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more; what was accepted goes on."""
        if self._is_open:
            self._is_open = False
            asyncio.get_running_loop().remove_reader(self._listener.fileno())

    async def end(self) -> None:
        """Cut off what is left."""
        self.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listener.close()
        self.server.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _accept(self) -> None:
        try:
            outer, place = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another worker was faster, or the caller is gone
        except OSError:
            self._rest(_PAUSE)
            return
        peer = "" if self._is_unix else plain(place[0])
        declared = self._hops.trusts_unix if self._is_unix else self._hops.holds(peer)
        if not declared or self._beginning >= MOST_BEGINNING:
            outer.close()
            return
        outer.setblocking(False)
        task = asyncio.create_task(self._carry(outer, peer))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if len(self._tasks) >= self._most:
            # The others wait with the kernel until one goes.
            asyncio.get_running_loop().remove_reader(self._listener.fileno())

    def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener.fileno())
        loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        if self._is_open:
            self.open()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._go_on()

    async def _carry(self, outer: socket.socket, peer: str) -> None:
        """One connection, from its header to its end."""
        # Whoever goes away, or is cut off, leaves nothing to be told.
        with suppress(OSError, proxy_protocol.Garbled), outer:
            address = await self._announcement(outer, peer)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as inner:
                name = str(self._directory / str(next(self._numbers)))
                await self._connect(inner, name)
                self._callers[name] = address
                try:
                    await _splice(outer, inner)
                finally:
                    del self._callers[name]

    async def _announcement(self, outer: socket.socket, peer: str) -> str:
        """Whom the proxy announces in time.  Raise Garbled or OSError."""
        self._beginning += 1
        try:
            # Too late is an OSError as well.
            return await asyncio.wait_for(_announced(outer, peer), self._seconds)
        finally:
            self._beginning -= 1

    async def _connect(self, inner: socket.socket, name: str) -> None:
        inner.setblocking(False)
        inner.bind(name)
        try:
            await asyncio.get_running_loop().sock_connect(inner, self._inside)
        finally:
            # The connection keeps its name; the file has done its service.
            os.unlink(name)


async def _announced(outer: socket.socket, peer: str) -> str:
    begun = proxy_protocol.beginning(await _exactly(outer, proxy_protocol.FIXED))
    return proxy_protocol.caller(begun, await _exactly(outer, begun.rest)) or peer


async def _exactly(source: socket.socket, size: int) -> bytes:
    """The next *size* bytes.  Not one more is taken: what follows is for the server."""
    loop = asyncio.get_running_loop()
    read = b""
    while len(read) < size:
        part = await loop.sock_recv(source, size - len(read))
        if not part:
            raise ConnectionResetError
        read += part
    return read


async def _splice(outer: socket.socket, inner: socket.socket) -> None:
    """Carry both ways until the server has said all that it has to say."""
    coming = asyncio.create_task(_pump(outer, inner))
    try:
        await _pump(inner, outer)
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def _pump(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        while part := await loop.sock_recv(source, _CHUNK):
            await loop.sock_sendall(sink, part)
    finally:
        # The other side is told of the end, however it came.
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
