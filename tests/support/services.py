"""A service in processes of its own, on a free port, and clients that trust its authority."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from server import certificates
from server.serving import Options

DOMAIN = "vault.localhost"
TESTS = Path(__file__).parents[1]
_PATIENCE = 30.0
_DRIVER = """
import sys
import msgspec
from eventstore.errors import MunimentError
from server.serving import options_from
from server.supervisor import Supervisor
from pathlib import Path
passphrase = sys.argv[2].encode() or None if len(sys.argv) > 2 else None
try:
    Supervisor(options_from(), passphrase).run(
        lambda places: Path(sys.argv[1]).write_text("\\n".join(places))
    )
except MunimentError as error:
    print(f"refused {error.code}", file=sys.stderr)
    sys.exit(3)
"""


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


class Service:
    """`small_service` under a supervisor."""

    def __init__(self, directory: Path, *, passphrase: str = "", wrap=None, passed=(), **options):
        self.home = directory / "home"
        self.home.mkdir(exist_ok=True)
        self.tls = directory / "tls"
        if not self.tls.exists():
            certificates.init(self.tls, DOMAIN, datetime.now(UTC))
        self.options = Options(
            **{
                "home": str(self.home),
                "tls": str(self.tls),
                "port": free_port(),
                "application": "support.small_service:application",
                "drain_seconds": 10,
                "linger_seconds": 0.3,
                **options,
            }
        )
        self.port = self.options.port
        self.log_file = directory / "service.log"
        self._places = directory / "places"
        self._places.unlink(missing_ok=True)
        command = [sys.executable, "-P", "-c", _DRIVER, str(self._places), passphrase]
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                wrap(command) if wrap else command,
                env={**os.environ, "PYTHONPATH": str(TESTS), **self.options.environment()},
                stderr=log,
                stdin=subprocess.DEVNULL,
                pass_fds=passed,
                start_new_session=True,
            )

    def __enter__(self):
        self.wait_for(lambda: self._places.exists() or self.process.poll() is not None)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(_PATIENCE)

    @property
    def places(self) -> list[str]:
        return self._places.read_text().splitlines()

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def events(self) -> list[dict]:
        # The last line may still be on its way.
        whole = self.log.rpartition("\n")[0].splitlines()
        return [msgspec.json.decode(line) for line in whole if line[:1] == "{"]

    def seen(self, event: str) -> list[dict]:
        return [line for line in self.events if line["event"] == event]

    def wait_for(self, condition) -> None:
        end = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < end, self.log
            time.sleep(0.02)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE)

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    # --- clients ----------------------------------------------------------------------------------

    def connection(self, **limits) -> http.client.HTTPSConnection:
        return Connection(self.port, self.context(**limits))

    def context(self, **limits) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.tls / certificates.AUTHORITY))
        for name, value in limits.items():
            setattr(context, name, value)
        return context

    def get(self, path: str = "/", method: str = "GET", body: bytes | None = None, **limits):
        """The status and body of one request on a connection of its own."""
        connection = self.connection(**limits)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def pid(self) -> int:
        return int(self.get()[1].split()[0])

    def raw(self, seconds: float = 20) -> ssl.SSLSocket:
        """A connection after its handshake, to send anything on."""
        plain = socket.create_connection(("127.0.0.1", self.port), seconds)
        return self.context().wrap_socket(plain, server_hostname=DOMAIN)


class Connection(http.client.HTTPSConnection):
    """To a vault of the domain, whatever the machine's resolver says."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(f"shop.{DOMAIN}", port, timeout=20, context=context)
        self._trusting = context

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        # Or a body waits for the acknowledgement of its head, 40 ms.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._trusting.wrap_socket(plain, server_hostname=self.host)


def closed_after(connection: ssl.SSLSocket) -> tuple[bytes, float]:
    """What still came, and after how many seconds the other side closed.  Raise TimeoutError."""
    began, heard = time.monotonic(), b""
    try:
        while part := connection.recv(4096):
            heard += part
    except (ConnectionResetError, ssl.SSLEOFError):
        pass
    return heard, time.monotonic() - began
