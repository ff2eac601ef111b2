"""A local authority for one domain, and the short certificates that it gives to the service.

    DIR/ca.pem      the authority's certificate, for clients: everybody may read it
    DIR/ca.key      its key, 0600; only a renewal needs it
    DIR/server.pem  the service's key and certificate, 0600, in one file so that a reader never gets
                    the key of one certificate with another

The authority can vouch for nothing but its domain: its certificate says so (RFC 5280, 4.2.1.10), and
so a stolen `ca.key` cannot impersonate anything else.  A directory that somebody else fills may hold
`tls.crt` and `tls.key`, or `fullchain.pem` and `privkey.pem`, instead of `server.pem`.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from eventstore.durable import write_durably
from eventstore.errors import MunimentError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY: Final = "ca.pem"
AUTHORITY_KEY: Final = "ca.key"
SERVER: Final = "server.pem"
NAMES: Final = ((SERVER, SERVER), ("tls.crt", "tls.key"), ("fullchain.pem", "privkey.pem"))

AUTHORITY_LIFE: Final = timedelta(days=3650)
SERVER_LIFE: Final = timedelta(days=30)
# Clocks differ: a certificate that was just made must not be one of the future.
BACKDATED: Final = timedelta(hours=1)

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# One label would make the wildcard *.label, which no client accepts.
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})+", re.ASCII)
# A vault's name, up to 24 characters, and a dot stand in front: RFC 1035 allows 253 in all.
_LONGEST = 253 - 25


class TlsError(MunimentError):
    """The certificates are not what is needed."""

    code = "tls.error"


class TlsExists(TlsError):
    """There are certificates in that directory already; they were not touched."""

    code = "tls.exists"
    hint = "muniment tls renew makes a new certificate of the same authority"


class TlsNotFound(TlsError):
    """There is no certificate in that directory."""

    code = "tls.not-found"
    hint = "muniment tls init makes a local authority and a certificate"


class TlsInvalid(TlsError):
    """The certificate and the key do not belong together, or are none."""

    code = "tls.invalid"


class AuthorityMissing(TlsError):
    """The key of the local authority is not there, so it can vouch for nothing."""

    code = "tls.no-authority"
    hint = "put ca.key and ca.pem back, or make a new authority with muniment tls init"


class DomainInvalid(TlsError):
    """The domain is not a name of two labels or more, such as vault.localhost."""

    code = "tls.domain-invalid"


class Pair(NamedTuple):
    """The files of a certificate with its chain, and of its key; they may be one."""

    certificate: Path
    key: Path


class Validity(NamedTuple):
    """From when and until when a certificate holds."""

    start: datetime
    end: datetime

    def is_due(self, now: datetime) -> bool:
        """Whether a third of the lifetime, or less, is left."""
        return self.end - now <= (self.end - self.start) / 3


def check_domain(domain: str) -> str:
    """The domain in lower case.  Raise DomainInvalid."""
    lower = domain.lower()
    if len(lower) > _LONGEST or not _DOMAIN.fullmatch(lower) or lower.rsplit(".")[-1].isdecimal():
        raise DomainInvalid
    return lower


# --- what a directory holds -----------------------------------------------------------------------


def pair_in(directory: Path) -> Pair:
    """The certificate and key to serve with.  Raise TlsNotFound."""
    for certificate, key in NAMES:
        if (directory / certificate).is_file() and (directory / key).is_file():
            return Pair(directory / certificate, directory / key)
    raise TlsNotFound(f"there is no certificate in {directory}")


def check_pair(pair: Pair) -> Validity:
    """When the certificate holds.  Raise TlsInvalid, also if the key is another's."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )

    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    certificate = _certificate_in(pair.certificate)
    try:
        text = _key_text(pair.key.read_bytes())
        held = load_pem_private_key(text, None).public_key().public_bytes(*spki)
    except (OSError, ValueError, TypeError):
        raise TlsInvalid(f"{pair.key} holds no key that can be read without a passphrase") from None
    if held != certificate.public_key().public_bytes(*spki):
        raise TlsInvalid(f"{pair.key} is not the key of {pair.certificate}")
    return Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def fingerprint(pair: Pair) -> tuple[tuple[int, int, int], ...]:
    """What changes when a file of the pair is replaced."""
    found = (os.stat(path) for path in pair)
    return tuple((status.st_ino, status.st_size, status.st_mtime_ns) for status in found)


def _certificate_in(path: Path) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError):
        raise TlsInvalid(f"{path} holds no certificate") from None


def _key_text(text: bytes) -> bytes:
    """The part of a PEM file that is a private key."""
    found = re.search(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", text, re.DOTALL)
    if found is None:
        raise ValueError
    return found[0] + b"\n"


# --- a local authority ----------------------------------------------------------------------------


def init(directory: Path, domain: str, now: datetime) -> Validity:
    """Make an authority for *domain* and a first certificate.  Raise TlsExists or DomainInvalid."""
    domain = check_domain(domain)
    known = {AUTHORITY, AUTHORITY_KEY, *(name for pair in NAMES for name in pair)}
    if any((directory / name).exists() for name in known):
        raise TlsExists(f"there are certificates in {directory}")
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    certificate, key = _authority(domain, now)
    write_durably(directory / AUTHORITY_KEY, _key_pem(key))
    write_durably(directory / AUTHORITY, _pem(certificate))
    # Clients of other accounts have to read it, and it is no secret.
    (directory / AUTHORITY).chmod(0o644)
    return _renewed(directory, domain, certificate, key, now)


def renew(directory: Path, now: datetime) -> Validity:
    """Give the service a new certificate with a new key.  Raise AuthorityMissing or TlsInvalid."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    paths = Pair(directory / AUTHORITY, directory / AUTHORITY_KEY)
    if not (paths.certificate.is_file() and paths.key.is_file()):
        raise AuthorityMissing(f"there is no authority in {directory}")
    if check_pair(paths).end <= now:
        raise TlsInvalid(f"{paths.certificate} has expired: make a new authority")
    key = load_pem_private_key(paths.key.read_bytes(), None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise TlsInvalid(f"{paths.key} is not a key that muniment tls init makes")
    certificate = _certificate_in(paths.certificate)
    return _renewed(directory, _domain_of(certificate), certificate, key, now)


def renew_if_due(directory: Path, now: datetime) -> Validity | None:
    """Renew what the authority here gave, once a third of its life is left; None if it is not due.

    Raise AuthorityMissing or TlsInvalid.
    """
    pair = pair_in(directory)
    if pair.certificate.name != SERVER or not (directory / AUTHORITY_KEY).is_file():
        return None
    return renew(directory, now) if check_pair(pair).is_due(now) else None


def _domain_of(authority: x509.Certificate) -> str:
    from cryptography import x509

    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
        names = [
            n.value for n in constraints.permitted_subtrees or () if isinstance(n, x509.DNSName)
        ]
    except x509.ExtensionNotFound:
        names = []
    if len(names) != 1:
        raise TlsInvalid("the authority is not one that muniment tls init makes")
    return names[0]


def _renewed(
    directory: Path,
    domain: str,
    authority: x509.Certificate,
    authority_key: EllipticCurvePrivateKey,
    now: datetime,
) -> Validity:
    certificate, key = _issued(domain, authority, authority_key, now)
    write_durably(directory / SERVER, _key_pem(key) + _pem(certificate))
    return Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _authority(domain: str, now: datetime) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Muniment authority for {domain}"[:64])
    constraints = x509.NameConstraints(
        permitted_subtrees=[x509.DNSName(domain)],
        # What no constraint mentions is allowed: an address has to be excluded.
        excluded_subtrees=[
            x509.IPAddress(ip_network("0.0.0.0/0")),
            x509.IPAddress(ip_network("::/0")),
        ],
    )
    built = (
        _builder(name, name, key, Validity(now - BACKDATED, now + AUTHORITY_LIFE))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(_identifier(key), critical=False)
    )
    return _signed(built, key), key


def _issued(
    domain: str,
    authority: x509.Certificate,
    authority_key: EllipticCurvePrivateKey,
    now: datetime,
) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(domain), x509.DNSName(f"*.{domain}")]
    validity = Validity(
        max(now - BACKDATED, authority.not_valid_before_utc),
        min(now + SERVER_LIFE, authority.not_valid_after_utc),
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    usage = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
    built = (
        # A common name may have 64 characters, a domain more; no client reads it any more.
        _builder(_name("Muniment"), authority.subject, key, validity)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_identifier(key), critical=False)
        .add_extension(issuer, critical=False)
    )
    return _signed(built, authority_key), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, validity: Validity
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.start)
        .not_valid_after(validity.end)
    )


def _signed(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography.hazmat.primitives.hashes import SHA256

    return builder.sign(key, SHA256())


def _name(text: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _identifier(key: EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    from cryptography import x509

    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    # granian reads no other form than PKCS #8.
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def system_time() -> datetime:
    """Now."""
    return datetime.now(UTC)
