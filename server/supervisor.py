"""The process that keeps the workers: it listens, starts them, replaces them, and ends them.

It opens no store and holds no key but, while it runs, the passphrase that every new worker needs.

A *generation* is as many workers as are asked for.  A new one is started beside the old, on the same
sockets, and only when all of it is ready the old one is told to end what it has begun and go: so
certificates are replaced without a request being dropped.  If the new one does not come up, the old
one stays.  A worker that dies is replaced; one that dies young, after a pause that grows.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from eventstore.errors import MunimentError, every_error
from server import certificates, listeners
from server.listeners import Opened
from server.operations_log import OperationsLog
from server.serving import READY, STOPPING, Failure, Options, ServingFailed

_YOUNG: Final = 10.0
"""A worker that dies before so many seconds may do it again at once."""
_LONGEST_PAUSE: Final = 30.0

_SIGNALS: Final = (*STOPPING, signal.SIGHUP)


class Worker:
    """A worker's process, seen from its supervisor."""

    def __init__(self, options: Options, sockets: list[Opened], passphrase: bytes | None):
        mine, its = socket.socketpair()
        reading = None if passphrase is None else _pipe_with(passphrase)
        self.number = options.worker
        self.born = time.monotonic()
        self.ready = False
        self.channel = mine
        self.said = b""
        handed = msgspec.structs.replace(
            options,
            entrances=tuple(opened.entrance for opened in sockets),
            channel=its.fileno(),
            passphrase_fd=reading,
        )
        passed = [entrance.fd for entrance in handed.entrances]
        passed += [its.fileno(), *([] if reading is None else [reading])]
        try:
            self.process = subprocess.Popen(
                # -P: whatever lies in the directory that this was started in is not imported.
                [sys.executable, "-P", "-m", "server.worker"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **handed.environment()},
                pass_fds=passed,
                # Ctrl-C is for the supervisor, which lets the workers go in order.
                process_group=0,
            )
        finally:
            its.close()
            if reading is not None:
                os.close(reading)

    def listen(self) -> bool:
        """Take what it says; False once it is gone, or said why it cannot start."""
        try:
            heard = self.channel.recv(4096)
        except OSError:
            heard = b""
        self.said += heard
        self.ready = self.ready or self.said == READY + b"\n"
        return bool(heard) and (self.ready or not self.said.endswith(b"\n"))

    def failure(self) -> MunimentError:
        """Why it did not start, with the code of the error that it met."""
        try:
            told = msgspec.json.decode(self.said, type=Failure)
        except msgspec.DecodeError:
            return ServingFailed(f"a worker ended with status {self.process.poll()}")
        known = {error.code: error for error in every_error()}
        return known.get(told.code, ServingFailed)(told.message)

    def stop(self) -> None:
        """Ask it to end what it has begun, and go."""
        with suppress(ProcessLookupError):
            self.process.terminate()

    def end(self, seconds: float) -> bool:
        """Wait for it, and after so many seconds end it.  False if it had to be ended."""
        try:
            self.process.wait(max(0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        finally:
            self.channel.close()
        return True


class Supervisor:
    """Serve by *options* until SIGTERM or SIGINT.  SIGHUP makes a new generation."""

    def __init__(self, options: Options, passphrase: bytes | None = None) -> None:
        self.options = options
        self.log = OperationsLog(options.log_format)
        self._passphrase = passphrase
        self._selector = selectors.DefaultSelector()
        self._workers: list[Worker] = []
        self._leaving: list[tuple[Worker, float]] = []
        self._asked: set[int] = set()
        self._number = 0
        self._serves: tuple[tuple[int, int, int], ...] = ()
        self._sockets: list[Opened] = []
        self._young_deaths = 0
        self._missing_until = 0.0

    def run(self, listening: Callable[[list[str]], None] = lambda _: None) -> None:
        """Serve; call *listening* with the addresses once requests are answered.

        Raise ServingFailed, TlsNotFound or TlsInvalid, what kept a listener from being opened, or
        a worker from opening its store.
        """
        if self.options.tls is not None:
            certificates.check_pair(certificates.pair_in(Path(self.options.tls)))
        self._sockets = listeners.listeners(self.options)
        shared = tempfile.mkdtemp(prefix="muniment-")
        self.options = msgspec.structs.replace(self.options, metrics_directory=shared)
        wakeup = self._mind_signals()
        try:
            self._renew()
            self._replace()
            listening([listeners.told(opened) for opened in self._sockets])
            notify("READY=1")
            self._loop()
        finally:
            notify("STOPPING=1")
            # First, so that a caller is refused at once and does not wait in a queue for nobody.
            listeners.close(self._sockets, self.options)
            self._end()
            shutil.rmtree(shared, ignore_errors=True)
            wakeup()
            self.log.flush()

    # --- the loop ---------------------------------------------------------------------------------

    def _mind_signals(self) -> Callable[[], None]:
        """Let signals wake the loop; give what undoes it."""
        reading, writing = socket.socketpair()
        reading.setblocking(False)
        writing.setblocking(False)
        old_fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        old = {number: signal.signal(number, self._signalled) for number in _SIGNALS}
        self._selector.register(reading, selectors.EVENT_READ, None)

        def undo() -> None:
            for number, handler in old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(old_fd)
            self._selector.close()
            reading.close()
            writing.close()

        return undo

    def _signalled(self, number: int, _: object) -> None:
        self._asked.add(number)

    @property
    def _is_stopping(self) -> bool:
        return bool(self._asked & set(STOPPING))

    def _loop(self) -> None:
        look = time.monotonic() + self.options.look_seconds
        while not self._is_stopping:
            self._wait(min(look, self._next_event()) - time.monotonic())
            if signal.SIGHUP in self._asked:
                self._asked.discard(signal.SIGHUP)
                self._renew()
                self._reload("asked for")
            elif time.monotonic() >= look:
                look = time.monotonic() + self.options.look_seconds
                self._look_at_certificate()
            self._refill()
            self._let_go()

    def _next_event(self) -> float:
        due = [end for _, end in self._leaving]
        if len(self._workers) < self.options.workers:
            due.append(self._missing_until)
        return min(due, default=time.monotonic() + self.options.look_seconds)

    def _wait(self, seconds: float) -> None:
        """Hear what workers and signals say, for so long at most."""
        for key, _ in self._selector.select(max(0.0, seconds)):
            if key.data is None:
                with suppress(BlockingIOError):
                    key.fileobj.recv(4096)  # type: ignore[union-attr]
            elif not key.data.listen():
                self._forget(key.data)

    def _forget(self, worker: Worker) -> None:
        """A worker is gone, or going."""
        self._selector.unregister(worker.channel)
        if worker not in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(1)
            return
        self._workers.remove(worker)
        worker.end(1)
        age = time.monotonic() - worker.born
        self._young_deaths = self._young_deaths + 1 if age < _YOUNG else 0
        pause = min(_LONGEST_PAUSE, 2.0 ** (self._young_deaths - 1)) if self._young_deaths else 0.0
        self._missing_until = time.monotonic() + pause
        self.log.event(
            "worker.died", number=worker.number, status=worker.process.returncode or 0, pause=pause
        )

    # --- generations ------------------------------------------------------------------------------

    def _start(self) -> Worker:
        self._number += 1
        options = msgspec.structs.replace(self.options, worker=self._number)
        # Blocked while it comes up, and let through when it can hear them: none is lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            worker = Worker(options, self._sockets, self._passphrase)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)
        return worker

    def _replace(self) -> None:
        """Start a new generation, and let the old one go once it is ready.  Raise ServingFailed."""
        serves = self._fingerprint()
        new = [self._start() for _ in range(self.options.workers)]
        end = time.monotonic() + self.options.start_seconds
        try:
            while not all(worker.ready for worker in new):
                if self._is_stopping:
                    break
                self._wait(min(end - time.monotonic(), 1.0))
                for worker in new:
                    if worker.said.endswith(b"\n") and not worker.ready:
                        raise worker.failure()
                    if not worker.ready and worker.process.poll() is not None:
                        # Its last word may have come since the channels were looked at.
                        worker.listen()
                        raise worker.failure()
                if time.monotonic() >= end:
                    raise ServingFailed("a worker was not ready in time")
        except BaseException:
            for worker in new:
                self._retire(worker)
            raise
        for worker in self._workers:
            self._retire(worker)
        self._workers, self._serves = new, serves
        for worker in new:
            self.log.event("worker.ready", number=worker.number, process=worker.process.pid)

    def _retire(self, worker: Worker) -> None:
        worker.stop()
        self._leaving.append((worker, time.monotonic() + self.options.drain_seconds))

    def _let_go(self) -> None:
        """Collect the workers that are done, and end those that are not done in time."""
        now = time.monotonic()
        for worker, end in list(self._leaving):
            if worker.process.poll() is None and now < end:
                continue
            self._leaving.remove((worker, end))
            with suppress(KeyError, ValueError):
                self._selector.unregister(worker.channel)
            drained = worker.end(0)
            self.log.event("worker.left", number=worker.number, drained=int(drained))

    def _refill(self) -> None:
        """Start again what died."""
        missing = self.options.workers - len(self._workers)
        if missing > 0 and time.monotonic() >= self._missing_until:
            self._workers += [self._start() for _ in range(missing)]

    def _reload(self, why: str) -> None:
        self.log.event("reloading", why=why)
        try:
            if self.options.tls is not None:
                certificates.check_pair(certificates.pair_in(Path(self.options.tls)))
            self._replace()
        except MunimentError as error:
            # What serves goes on with what it has.
            self.log.event("reload.failed", code=error.code)

    def _end(self) -> None:
        for worker in self._workers:
            self._retire(worker)
        self._workers = []
        for worker, end in self._leaving:
            drained = worker.end(end - time.monotonic())
            self.log.event("worker.left", number=worker.number, drained=int(drained))

    # --- the certificate --------------------------------------------------------------------------

    def _look_at_certificate(self) -> None:
        self._renew()
        try:
            current = self._fingerprint()
        except (MunimentError, OSError):
            # Somebody is replacing it just now.
            return
        if current != self._serves:
            self._reload("another certificate")

    def _fingerprint(self) -> tuple[tuple[int, int, int], ...]:
        """Of the certificate as its files are now; without one, always the same."""
        if self.options.tls is None:
            return ()
        return certificates.fingerprint(certificates.pair_in(Path(self.options.tls)))

    def _renew(self) -> None:
        if self.options.tls is None:
            return
        try:
            made = certificates.renew_if_due(Path(self.options.tls), certificates.system_time())
        except (MunimentError, OSError) as error:
            code = error.code if isinstance(error, MunimentError) else "file.unusable"
            self.log.event("certificate.not-renewed", code=code)
            return
        if made is not None:
            self.log.event("certificate.renewed", until=f"{made.end:%Y-%m-%dT%H:%M:%SZ}")


def _pipe_with(text: bytes) -> int:
    """A pipe that holds *text* and no more; its reading end."""
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        if os.write(writing, text) != len(text):
            raise ServingFailed("the passphrase is too long")
    finally:
        os.close(writing)
    return reading


def notify(state: str) -> None:
    """Tell systemd, if it asked to be told.  Source: sd_notify(3)."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, suppress(OSError):
        told.connect("\0" + place[1:] if place.startswith("@") else place)
        told.send(state.encode())
