"""What the demo keeps: material that real programs make, made on the spot.

Keys, a certificate and a PKCS#12 bundle come from `cryptography`; the `.env` has the shape of the
ones that teams keep.  Nothing of it is a secret of anybody's.
"""

from __future__ import annotations

import secrets
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

LIMIT = 25_600


def make(folder: Path) -> None:
    """Write tls.key, tls.crt, tls.p12, deploy.key, app.env and large.txt into *folder*."""
    rsa = generate_private_key(public_exponent=65_537, key_size=2048)
    certificate = _certificate(rsa)
    _write(folder / "tls.key", _pem(rsa))
    _write(folder / "tls.crt", certificate.public_bytes(Encoding.PEM))
    bundle = serialize_key_and_certificates(
        b"shop", rsa, certificate, None, BestAvailableEncryption(_word(20).encode())
    )
    _write(folder / "tls.p12", bundle)
    _write(folder / "deploy.key", _pem(Ed25519PrivateKey.generate()))
    _write(folder / "app.env", _dotenv().encode())
    _write(folder / "large.txt", _word(LIMIT).encode())
    _write(folder / "too-large.txt", _word(LIMIT + 1).encode())


def _certificate(key: RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example.com")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example.com")]), False)
        .sign(key, hashes.SHA256())
    )


def _pem(key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _dotenv() -> str:
    password = _word(24)
    return f"""\
# shop, production
DATABASE_URL="postgresql://shop:{password}@db.example.com:5432/shop?sslmode=verify-full"
REDIS_URL=rediss://:{_word(32)}@cache.example.com:6380/0
AMQP_URL=amqps://shop:{_word(20)}@mq.example.com/shop
AZURE_STORAGE_CONNECTION_STRING='DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={_word(86)}==;EndpointSuffix=core.windows.net'
STRIPE_API_KEY=sk_test_{_word(32)}
SENTRY_DSN=https://{_word(32)}@errors.example.com/7
export SESSION_SECRET={secrets.token_hex(32)}
"""


def _word(size: int) -> str:
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(size))


def _write(path: Path, text: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(text)
