"""A real `muniment serve`, made from nothing at the terminal, and programs that are sent to it.

The programs are told what `muniment env azure` prints, the address of a vault, and nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from support.services import free_port
from support.terminal import SCRIPT, Terminal
from support.vaults import check_store

DOMAIN = "vault.localhost"
VAULTS = ("acme", "two")
PROGRAMS = Path(__file__).parents[1] / "conformance" / "clients"
CLIENTS = Path(sys.prefix) / "clients"
"""Where `make clients` puts what has an environment of its own."""

_PATIENCE = 60.0


def missing(what: str) -> NoReturn:
    """Skip, but not where the machine was made for these tests: there it is a failure."""
    if os.environ.get("MUNIMENT_CI"):
        pytest.fail(f"{what}, and MUNIMENT_CI says that all must run")
    pytest.skip(what)


def must_resolve() -> None:
    """The C library resolves no name under localhost, and an unmodified client asks it."""
    for name in (DOMAIN, *(f"{vault}.{DOMAIN}" for vault in VAULTS)):
        try:
            socket.getaddrinfo(name, 443)
        except OSError:
            missing(f"{name} does not resolve: add `127.0.0.1 {name}` to /etc/hosts")


def key_and_certificate() -> tuple[bytes, bytes]:
    """Both as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "holder")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, certificate.public_bytes(Encoding.PEM)


class Served:
    """A store of two vaults behind `muniment serve`, with a client that may do all in both.

    `manager` may make further vaults.  Two more clients may do less, and in the first vault only: `reader` may get and list, and
    `holder`, which signs in by its key, may get and set.  They are let in before it starts, since
    it looks for new ones once a second.
    """

    def __init__(
        self, directory: Path, *options: str, providers: list[dict[str, Any]] | None = None
    ) -> None:
        must_resolve()
        self.terminal = Terminal(directory)
        self.port = free_port()
        self.base = f"https://{DOMAIN}:{self.port}"
        self.tls = directory / "store.tls"
        self._log = directory / "service.log"
        if providers is not None:
            file = directory / "providers.json"
            file.write_text(json.dumps(providers))
            file.chmod(0o600)
            self.terminal.environ["MUNIMENT_PROVIDERS"] = str(file)
        self.terminal.must("init", VAULTS[0])
        self.terminal.must("vault", "create", VAULTS[1])
        self.terminal.must("tls", "init")
        self.all = self.let_in("all", *VAULTS, permissions=("all",))
        self.manager = self.let_in("manager", permissions=(), options=("--store-administrator",))
        self.reader = self.let_in("reader", VAULTS[0], permissions=("get", "list"))
        key, certificate = key_and_certificate()
        self.holder_key, public = directory / "holder.pem", directory / "holder.crt"
        self.holder_key.write_bytes(key + certificate)
        public.write_bytes(certificate)
        self.holder = self.let_in(
            *("holder", VAULTS[0]),
            permissions=("get", "set"),
            options=("--public-key", str(public)),
        )
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [SCRIPT, "serve", "--port", str(self.port), *options],
                env=self.terminal.environ,
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Served:
        end = time.monotonic() + _PATIENCE
        while "worker.ready" not in self.log:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < end, self.log
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(_PATIENCE) == 0, self.log
        check_store(self.terminal.home, lambda: time.time_ns() // 1000)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def vault(self, name: str = VAULTS[0]) -> str:
        return f"https://{name}.{DOMAIN}:{self.port}"

    def let_in(
        self, name: str, *vaults: str, permissions: tuple[str, ...], options: tuple[str, ...] = ()
    ) -> dict[str, str]:
        """Register a client, and give it *permissions*."""
        made = self.terminal.json("identity", "add", name, *options)
        for vault in vaults:
            self.terminal.must(
                *("policy", "set", "--vault-name", vault, "--object-id", made["objectId"]),
                *("--secret-permissions", *permissions),
                *(("--storage-permissions", "all") if "all" in permissions else ()),
            )
        return made

    def environment(self, client: dict[str, str], credential: str) -> dict[str, str]:
        """What `muniment env azure` prints for *client*, whose secret is for *credential*."""
        secret: tuple[str, ...] = ()
        if "clientSecret" in client:
            file = self.terminal.directory / client["name"]
            file.write_text(client["clientSecret"] + "\n")
            secret = ("--secret-file", str(file), "--credential", credential)
        told: dict[str, str] = self.terminal.json(
            *("env", "azure", "--port", str(self.port), "--identity", client["name"], *secret)
        )
        return told

    def bring_in(self, names: Iterable[str], value: str = "v") -> None:
        """Set secrets in the first vault, at the terminal."""
        self.terminal.must(
            *("secret", "import", "-", "--format", "json", "--vault-name", VAULTS[0]),
            stdin=json.dumps(dict.fromkeys(names, value)),
        )

    def history(self, name: str) -> list[dict[str, Any]]:
        """What the first vault recorded of a secret."""
        told: list[dict[str, Any]] = self.terminal.json("log", name, "--vault-name", VAULTS[0])
        return told

    def everything(self) -> list[dict[str, Any]]:
        """What the first vault recorded."""
        told: list[dict[str, Any]] = self.terminal.json("log", "--vault-name", VAULTS[0])
        return told


class Program:
    """A program written for Key Vault; each run is a process of its own."""

    def __init__(self, served: Served, *command: str | Path, **environ: str) -> None:
        self._served = served
        self._command = [str(part) for part in command]
        self._environ = environ

    def begin(
        self, story: str, *, client: dict[str, str] | None = None, **told: Any
    ) -> subprocess.Popen[str]:
        """Begin *story*, with the environment of *client*; *told* is all that it is told."""
        environ = told.pop("environ", {})
        by_secret = told.get("credential", "ClientSecretCredential") == "ClientSecretCredential"
        told = {"vault": self._served.vault(), "other": self._served.vault("two"), **told}
        return subprocess.Popen(
            [*self._command, story, json.dumps(told)],
            env={
                "HOME": str(self._served.terminal.directory),
                "LANG": "C.UTF-8",
                "PATH": os.environ["PATH"],
                **self._environ,
                **self._served.environment(
                    client or self._served.all,
                    "client-secret" if by_secret else "managed-identity",
                ),
                **environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tell(self, story: str, **told: Any) -> Any:
        """What the program saw."""
        return seen(self.begin(story, **told))


def seen(process: subprocess.Popen[str]) -> Any:
    """What a program that was begun saw, once it has ended well."""
    with process:
        out, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0, err
    return json.loads(out)
