"""A server of the shape of Azure Resource Manager, with the sign-in and the metadata service beside it.

It has accounts with two keys each, wants a token that it issued, and can be told to misbehave.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

AUTHORITY = "arm.pem"
TENANT = "11111111-2222-4333-8444-555555555555"
CLIENT, SECRET = "muniment-client", "the client's secret"
ACCOUNT = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/"

Misbehaves = Callable[["Handler"], bool]
"""Answer in its own way, and say whether it did."""


class Arm(ThreadingHTTPServer):
    """The server.  *asked* holds the method and target of each request."""

    daemon_threads = True

    def __init__(self, *accounts: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.keys = {name: {"key1": _key(), "key2": _key()} for name in accounts}
        self.tokens: set[str] = set()
        self.asked: list[str] = []
        self.misbehaves: Misbehaves = lambda handler: False
        self.token_life: Any = 3600
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""

    @property
    def address(self) -> str:
        return f"https://localhost:{self.server_address[1]}"

    def signed_in(self) -> dict[str, Any]:
        token = os.urandom(16).hex()
        self.tokens.add(token)
        return {"token_type": "Bearer", "access_token": token, "expires_in": self.token_life}


class Handler(BaseHTTPRequestHandler):
    server: Arm

    def log_message(self, *_: object) -> None:
        """It says nothing."""

    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")
        if self.headers["Metadata"] != "true":
            self.fail(400, "BadRequest")
            return
        self.give(200, {**self.server.signed_in(), "expires_in": "3600"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.asked.append(f"POST {self.path}")
        if self.server.misbehaves(self):
            return
        path = unquote(urlsplit(self.path).path)
        if path == f"/{TENANT}/oauth2/v2.0/token":
            self._sign_in(parse_qs(body.decode()))
        elif self.headers["Authorization"].removeprefix("Bearer ") not in self.server.tokens:
            self.fail(401, "ExpiredAuthenticationToken")
        else:
            self._act(path, body)

    def _sign_in(self, form: dict[str, list[str]]) -> None:
        if form["client_secret"] != [SECRET] or form["client_id"] != [CLIENT]:
            self.give(401, {"error": "invalid_client"})
        elif form["scope"] != [f"{self.server.address}/.default"]:
            self.give(400, {"error": "invalid_scope"})
        else:
            self.give(200, self.server.signed_in())

    def _act(self, path: str, body: bytes) -> None:
        found = re.fullmatch(
            re.escape(ACCOUNT) + "([^/]+)/(listKeys|regenerateKey)", path, re.IGNORECASE
        )
        keys = self.server.keys.get(found[1].lower()) if found else None
        if found is None or keys is None:
            self.fail(404, "ResourceNotFound")
            return
        if "api-version=" not in self.path:
            self.fail(400, "MissingApiVersionParameter")
            return
        if found[2] == "regenerateKey":
            name = json.loads(body)["keyName"]
            if name not in keys:
                self.fail(400, "InvalidKeyName")
                return
            with self.server.lock:
                keys[name] = _key()
        made = "2026-01-02T03:04:05.0000000Z"
        told = [
            {"creationTime": made, "keyName": name, "value": value, "permissions": "FULL"}
            for name, value in keys.items()
        ]
        self.give(200, {"keys": told})

    def fail(self, status: int, code: str) -> None:
        self.give(status, {"error": {"code": code, "message": "Of what it is, here is more."}})

    def give(self, status: int, told: Any, *headers: tuple[str, str]) -> None:
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), *headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _key() -> str:
    return b64encode(os.urandom(64)).decode()


def authority_in(directory: Path) -> Path:
    """Make a certificate for `localhost`, which is its own authority; its file."""
    directory.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "arm")]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "arm.key").write_bytes(private)
    (directory / AUTHORITY).write_bytes(certificate.public_bytes(Encoding.PEM))
    return directory / AUTHORITY


@contextmanager
def arm_served(directory: Path, *accounts: str, clear: bool = False) -> Iterator[Arm]:
    """A server with these accounts; in clear, as the metadata service is, if told so."""
    with Arm(*accounts) as server:
        if not clear:
            trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trust.load_cert_chain(directory / AUTHORITY, directory / "arm.key")
            server.socket = trust.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()
