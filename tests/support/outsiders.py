"""Who vouches for a log from outside, each a real one: witnesses served over HTTP, and a TSA.

The time-stamping authority is `openssl ts` behind a loopback server; it is for tests only.
"""

from __future__ import annotations

import http.server
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.services import free_port
from support.terminal import SCRIPT, Terminal

_PATIENCE = 30.0
_CONFIGURATION = """\
[ tsa ]
default_tsa = one
[ one ]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_alg = sha256
"""
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """A time-stamping authority in *directory*; `roots` is what others believe it by."""

    def __init__(self, directory: Path, name: str = "tsa") -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        self._directory = directory
        self.roots = directory / "ca.pem"
        self.name = name
        directory.mkdir(parents=True)
        (directory / "serial").write_text("01\n")
        (directory / "tsa.cnf").write_text(_CONFIGURATION)
        usage = "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n"
        (directory / "usage").write_text(usage)
        self._openssl(
            "req", "-x509", *_CURVE, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca"
        )
        self._openssl(
            "req", *_CURVE, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", f"/CN={name}"
        )
        self._openssl(
            *("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-extfile", "usage", "-out", "tsa.pem"),
        )

    def answer(self, query: bytes) -> bytes:
        (self._directory / "query").write_bytes(query)
        self._openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
        return (self._directory / "reply").read_bytes()

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self._directory, capture_output=True)
        assert done.returncode == 0, done.stderr


@contextmanager
def authority_served(authority: Authority) -> Iterator[str]:
    """The URL of *authority*."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = authority.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class ServedWitness:
    """`muniment witness serve`, made at the terminal; *trusted* are verifier key lines."""

    def __init__(self, terminal: Terminal, name: str, *trusted: str, tls: str = "") -> None:
        self.name = name
        self.directory = terminal.directory / name
        self.terminal = terminal
        self.port = free_port()
        self.url = (
            f"https://vault.localhost:{self.port}" if tls else f"http://127.0.0.1:{self.port}"
        )
        self._options = ("--tls", tls) if tls else ()
        self._where = ("--dir", str(self.directory))
        self.key = terminal.must("witness", "init", f"{name}.example", *self._where).text.strip()
        if trusted:
            terminal.must("witness", "trust", *trusted, *self._where)
        self._log = terminal.directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def line(self) -> str:
        """Its line in a policy."""
        return f"witness {self.name} {self.key} {self.url}\n"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def evidence(self) -> Any:
        return self.terminal.json("witness", "evidence", *self._where)

    def __enter__(self) -> ServedWitness:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    SCRIPT,
                    "witness",
                    "serve",
                    *self._where,
                    "--port",
                    str(self.port),
                    *self._options,
                ],
                env=self.terminal.environ,
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + _PATIENCE
        while "worker.ready" not in self.log:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < end, self.log
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(_PATIENCE) == 0, self.log


def log_keys(terminal: Terminal) -> dict[str, str]:
    """The verifier key of each log of the only vault."""
    keys: dict[str, str] = terminal.json("vault", "show")["verifiers"]
    return keys
