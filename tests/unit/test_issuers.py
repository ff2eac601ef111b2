"""Keys are fetched over TLS that is verified, and never for longer or of more than is sensible."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from server import issuers
from server.signatures import Refused
from support.sign_in import RSA, RSA_PRIVATE, key_set


@contextmanager
def publishing(tmp_path: Path, answer: Any) -> Iterator[tuple[str, Path]]:
    """An https address on this machine, and the certificate to trust."""
    certificate = tmp_path / "issuer.pem"
    private = RSA_PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    certificate.write_bytes(private + _certificate())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/keys", certificate
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(RSA_PRIVATE.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([here]), critical=False)
        .sign(RSA_PRIVATE, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def sends(body: bytes, status: int = 200, size: int | None = None, to: str = "") -> Any:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if size is None else size))
        if to:
            handler.send_header("Location", to)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_what_an_issuer_publishes_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with publishing(tmp_path, sends(key_set(RSA))) as (address, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert issuers.fetch(address) == key_set(RSA)


def test_an_issuer_that_nobody_vouches_for_is_not_believed(tmp_path: Path) -> None:
    with (
        publishing(tmp_path, sends(key_set(RSA))) as (address, _),
        pytest.raises(Refused, match="cannot be fetched"),
    ):
        issuers.fetch(address)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (sends(b"", 302, to="/keys"), "status 302"),
        (sends(b"", 307, to="https://evil.example/keys"), "status 307"),
        (sends(b"no", 404), "status 404"),
        (sends(b"x" * 70_000), "more than"),
        (sends(b"", 500), "status 500"),
    ],
    ids=["redirect", "redirect elsewhere", "not found", "long", "fault"],
)
def test_an_answer_that_is_no_key_set_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, told: str
) -> None:
    with publishing(tmp_path, answer) as (address, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(Refused, match=told):
            issuers.fetch(address)


def test_an_answer_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuers, "_PATIENCE", 0.5)
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        sends(b"", size=60_000)(handler)
        while not stop.wait(0.1):
            handler.wfile.write(b"x")

    with publishing(tmp_path, drip) as (address, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        began = time.monotonic()
        with pytest.raises(Refused, match="too slowly"):
            issuers.fetch(address)
        assert time.monotonic() - began < 5
        stop.set()


@pytest.mark.parametrize("address", ["http://127.0.0.1/keys", "file:///etc/passwd", "keys", ""])
def test_only_https_is_fetched(address: str) -> None:
    with pytest.raises(Refused, match="https only"):
        issuers.fetch(address)


def test_a_port_that_nobody_answers_at_is_told() -> None:
    with pytest.raises(Refused, match="cannot be fetched"):
        issuers.fetch("https://127.0.0.1:9/keys")
