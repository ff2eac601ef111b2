"""One serving process: the application behind granian, on sockets that its supervisor opened.

Started as `python -m server.worker`.  It writes one line to its channel, `ready` or the error that
kept it from starting, and goes when it is told to (SIGTERM) or when its supervisor is gone, after
the requests that it has begun.  granian is given HTTP/1.1 alone: as long as it must find out which
HTTP a connection speaks it sets no limit of time, and a silent caller would hold the place for ever.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Coroutine
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from eventstore.errors import MunimentError
from server.arrivals import Door
from server.certificates import Pair, pair_in
from server.entrances import Entrance
from server.front import Front
from server.hops import Hops
from server.operations_log import OperationsLog
from server.serving import (
    READY,
    STOPPING,
    Failure,
    Options,
    ServingFailed,
    draining,
    options_from,
)


def main() -> int:
    """Serve until told to stop; give the exit status."""
    options = options_from()
    assert options.channel is not None
    channel = options.channel
    os.set_inheritable(channel, False)
    try:
        application = _application(options)
        gc.freeze()
        _run(_serve(application, options, channel))
    except MunimentError as error:
        _tell(channel, Failure(error.code, error.message, error.hint))
        return 1
    except Exception as error:
        # Its text might quote a value.
        told = Failure(ServingFailed.code, f"unforeseen: {type(error).__name__}", "")
        _tell(channel, told)
        if os.environ.get("MUNIMENT_DEBUG"):
            sys.stderr.writelines(traceback.format_tb(error.__traceback__))
        return 1
    return 0


def _run(serving: Coroutine[Any, Any, None]) -> None:
    # A request costs several turns of the loop: uvloop answers a quarter more in a second.
    from uvloop import run

    run(serving)


def _tell(channel: int, failure: Failure) -> None:
    # It may have been ready before, or nobody listens: then the exit status says the rest.
    with suppress(OSError):
        os.write(channel, msgspec.json.encode(failure) + b"\n")


def _application(options: Options) -> Any:
    module, _, factory = options.application.partition(":")
    return getattr(import_module(module), factory)()


async def _serve(application: Any, options: Options, channel: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    log = OperationsLog(options.log_format, options.worker)

    def unforeseen(_: object, context: dict[str, Any]) -> None:
        # What asyncio would print might quote a value.
        log.event("unforeseen", error=type(context.get("exception")).__name__)

    loop.set_exception_handler(unforeseen)
    for number in STOPPING:
        loop.add_signal_handler(number, stop.set)
    # The supervisor blocks them, so that none was lost while this process came up.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    # Not one word comes this way: it ends when the supervisor does.
    loop.add_reader(channel, stop.set)
    hops = Hops(options.proxies)
    fronts = _fronts(options, hops)
    servers = _servers(application, options, hops, fronts)
    lifespan = await _begin(application)
    running = [asyncio.create_task(server.serve()) for server in servers]
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait([*running, waiting], timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done() and not any(task.done() for task in running):
        for front in fronts.values():
            front.open()
        os.write(channel, READY + b"\n")
    await asyncio.wait([*running, waiting], return_when=asyncio.FIRST_COMPLETED)
    for front in fronts.values():
        front.close()
    if waiting.done():
        await _linger(options)
    for server in servers:
        server.stop()
    waiting.cancel()
    ended = await asyncio.gather(*running, return_exceptions=True)
    for front in fronts.values():
        await front.end()
    if lifespan is not None:
        await lifespan.shutdown()
    for end in ended:
        if isinstance(end, Exception):
            raise end


async def _linger(options: Options) -> None:
    """Accept nothing more, and let handshakes come to their end.

    granian, told to stop, drops the connections whose handshake it has begun.  So its listening
    sockets are replaced, under their numbers, by one that nobody can find; the real ones stay open
    in the other workers.
    """
    draining.began = True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as nobodys:
        # An empty name lets the kernel choose one that is in no directory: unix(7), autobind.
        nobodys.bind("")
        nobodys.listen(1)
        for entrance in options.entrances:
            os.dup2(nobodys.fileno(), entrance.fd)
    await asyncio.sleep(options.linger_seconds)


async def _begin(application: Any) -> Any:
    """Let an ASGI application begin, before any connection is accepted."""
    if hasattr(application, "__rsgi__"):
        return None
    lifespan: Any = import_module("granian.asgi").LifespanProtocol(application)
    await lifespan.startup()
    if lifespan.interrupt:
        if isinstance(lifespan.exc, MunimentError):
            raise lifespan.exc
        raise ServingFailed("the application did not start")
    return lifespan


def _fronts(options: Options, hops: Hops) -> dict[int, Front]:
    """What stands before the entrances whose connections are announced, by their numbers."""
    return {
        entrance.fd: Front(
            entrance,
            hops,
            most=options.connections,
            seconds=options.announcement_seconds,
            within=options.metrics_directory,
        )
        for entrance in options.entrances
        if entrance.proxy
    }


def _servers(application: Any, options: Options, hops: Hops, fronts: dict[int, Front]) -> list[Any]:
    """A server for each entrance, so that each request is known to have come by it."""
    from granian.constants import HTTPModes, Interfaces, SSLProtocols
    from granian.http import HTTP1Settings
    from granian.server.embed import Server

    # granian's stubs leave out how one is made of a file descriptor.
    holder: Any = import_module("granian.net").SocketHolder

    class Listening(Server):
        """granian on a socket that is open already."""

        def __init__(self, fd: int, **settings: Any) -> None:
            self._fd = fd
            super().__init__(**settings)

        def _init_shared_socket(self) -> None:
            self._shd = holder(self._fd, _is_unix(self._fd), options.backlog)

    pair: Pair | None = None if options.tls is None else pair_in(Path(options.tls))
    tls = {} if pair is None else {"ssl_cert": pair.certificate, "ssl_key": pair.key}
    rsgi = hasattr(application, "__rsgi__")

    def server(entrance: Entrance) -> Server:
        front = fronts.get(entrance.fd)
        door = Door(entrance, hops, None if front is None else front.announced)
        return Listening(
            entrance.fd if front is None else front.server.fileno(),
            target=application.at(door) if hasattr(application, "at") else application,
            # The lifespan is ours: `ready` is said after it, and it is one for all sockets.
            interface=Interfaces.RSGI if rsgi else Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=options.backlog,
            backpressure=options.connections,
            http1_settings=HTTP1Settings(
                header_read_timeout=int(options.header_seconds * 1000),
                max_buffer_size=options.header_limit,
            ),
            **tls,
            ssl_protocol_min=SSLProtocols.tls12,
            log_enabled=False,
        )

    return [server(entrance) for entrance in options.entrances]


def _is_unix(fd: int) -> bool:
    with socket.socket(fileno=os.dup(fd)) as asked:
        return asked.family == socket.AF_UNIX


def leave(status: int) -> NoReturn:
    """End this process without taking the interpreter apart.

    granian's threads outlive its servers by a moment, and one that looks for an interpreter which is
    being taken apart aborts the process.
    """
    atexit._run_exitfuncs()
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main())
