"""A local authority: what its certificates say, and what it cannot do.

OpenSSL, through Python's `ssl`, is the judge of what a client accepts.
"""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from server import certificates
from server.certificates import (
    AuthorityMissing,
    DomainInvalid,
    Pair,
    TlsExists,
    TlsInvalid,
    TlsNotFound,
    Validity,
    check_domain,
    check_pair,
    init,
    pair_in,
    renew,
    renew_if_due,
)

NOW = datetime.now(UTC).replace(microsecond=0)
DOMAIN = "vault.localhost"


def accepted(directory: Path, host: str) -> bool:
    """Whether a client that trusts the authority takes the service for *host*."""
    client_context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    # What Python 3.13 asks by default, of every Python.
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = pair_in(directory)
    server_context.load_cert_chain(pair.certificate, pair.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(4):
            for side in (client, server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError:
        return False
    return client.version() is not None


def vouch(directory: Path, names: list[x509.GeneralName]) -> None:
    """Let a stolen authority vouch for anything: the service's certificate is for *names*."""
    key = load_pem_private_key((directory / "ca.key").read_bytes(), None)
    authority = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    mine = load_pem_private_key((directory / "server.pem").read_bytes(), None)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.subject)
        .public_key(mine.public_key())  # type: ignore[arg-type]
        .serial_number(1)
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(issuer, critical=False)
        .sign(key, hashes.SHA256())
    )
    text = (directory / "server.pem").read_bytes()
    key_text = text[: text.index(b"-----BEGIN CERTIFICATE")]
    (directory / "server.pem").write_bytes(key_text + forged.public_bytes(Encoding.PEM))


# --- what is made ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [DOMAIN, f"shop.{DOMAIN}"])
def test_clients_take_the_service_for_the_domain_and_its_vaults(tmp_path: Path, host: str) -> None:
    init(tmp_path, DOMAIN, NOW)
    assert accepted(tmp_path, host)


@pytest.mark.parametrize("host", [f"a.b.{DOMAIN}", "localhost", "127.0.0.1", "vault.azure.net"])
def test_clients_take_it_for_nothing_else(tmp_path: Path, host: str) -> None:
    init(tmp_path, DOMAIN, NOW)
    assert not accepted(tmp_path, host)


def test_only_the_owner_reads_the_keys_and_everybody_the_authoritys_certificate(
    tmp_path: Path,
) -> None:
    init(tmp_path / "tls", DOMAIN, NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.key": 0o600, "server.pem": 0o600, "ca.pem": 0o644}


def test_the_service_has_thirty_days_and_the_authority_ten_years(tmp_path: Path) -> None:
    made = init(tmp_path, DOMAIN, NOW)
    assert made.end - NOW == timedelta(days=30)
    authority = check_pair(Pair(tmp_path / "ca.pem", tmp_path / "ca.key"))
    assert authority.end - NOW == timedelta(days=3650)


def test_an_authority_in_its_last_days_does_not_outlive_itself(tmp_path: Path) -> None:
    init(tmp_path, DOMAIN, NOW)
    late = NOW + timedelta(days=3645)
    assert renew(tmp_path, late).end == NOW + timedelta(days=3650)
    with pytest.raises(TlsInvalid):
        renew(tmp_path, NOW + timedelta(days=3650))


# --- what a stolen authority cannot do ------------------------------------------------------------


def test_a_stolen_authority_vouches_for_its_domain(tmp_path: Path) -> None:
    # Without this the two tests below would pass for any reason at all.
    init(tmp_path, DOMAIN, NOW)
    vouch(tmp_path, [x509.DNSName(f"a.b.{DOMAIN}")])
    assert accepted(tmp_path, f"a.b.{DOMAIN}")


@pytest.mark.parametrize(
    "host", ["vault.azure.net", "login.microsoftonline.com", "xvault.localhost"]
)
def test_a_stolen_authority_vouches_for_no_other_name(tmp_path: Path, host: str) -> None:
    init(tmp_path, DOMAIN, NOW)
    vouch(tmp_path, [x509.DNSName(host)])
    assert not accepted(tmp_path, host)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_stolen_authority_vouches_for_no_address(tmp_path: Path, address: str) -> None:
    init(tmp_path, DOMAIN, NOW)
    vouch(tmp_path, [x509.IPAddress(ip_address(address))])
    assert not accepted(tmp_path, address)


# --- renewing -------------------------------------------------------------------------------------


def test_a_renewed_certificate_has_another_key_and_the_same_authority(tmp_path: Path) -> None:
    init(tmp_path, DOMAIN, NOW)
    before = (tmp_path / "server.pem").read_bytes()
    authority = (tmp_path / "ca.pem").read_bytes()
    renew(tmp_path, NOW)
    after = (tmp_path / "server.pem").read_bytes()
    assert before.splitlines()[1] != after.splitlines()[1]
    assert (tmp_path / "ca.pem").read_bytes() == authority
    assert accepted(tmp_path, f"shop.{DOMAIN}")


@pytest.mark.parametrize(("days", "due"), [(0, False), (19, False), (21, True), (40, True)])
def test_it_is_due_when_a_third_of_its_life_is_left(tmp_path: Path, days: int, due: bool) -> None:
    init(tmp_path, DOMAIN, NOW)
    before = (tmp_path / "server.pem").read_bytes()
    made = renew_if_due(tmp_path, NOW + timedelta(days=days))
    assert (made is not None) is due
    assert ((tmp_path / "server.pem").read_bytes() != before) is due


def test_without_the_authoritys_key_nothing_is_renewed(tmp_path: Path) -> None:
    init(tmp_path, DOMAIN, NOW)
    (tmp_path / "ca.key").rename(tmp_path / "elsewhere")
    assert renew_if_due(tmp_path, NOW + timedelta(days=40)) is None
    with pytest.raises(AuthorityMissing):
        renew(tmp_path, NOW)


def test_a_certificate_of_others_is_not_renewed(tmp_path: Path) -> None:
    init(tmp_path, DOMAIN, NOW)
    text = (tmp_path / "server.pem").read_bytes()
    cut = text.index(b"-----BEGIN CERTIFICATE")
    (tmp_path / "tls.key").write_bytes(text[:cut])
    (tmp_path / "tls.crt").write_bytes(text[cut:])
    (tmp_path / "server.pem").unlink()
    assert pair_in(tmp_path) == Pair(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert check_pair(pair_in(tmp_path)).end > NOW
    assert renew_if_due(tmp_path, NOW + timedelta(days=40)) is None


def test_an_authority_that_is_not_ours_is_not_used(tmp_path: Path) -> None:
    init(tmp_path, DOMAIN, NOW)
    (tmp_path / "ca.pem").write_bytes((tmp_path / "server.pem").read_bytes())
    (tmp_path / "ca.key").write_bytes((tmp_path / "server.pem").read_bytes())
    with pytest.raises(TlsInvalid, match="not one that"):
        renew(tmp_path, NOW)


# --- what stands in the way -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "server.pem", "tls.crt", "privkey.pem"])
def test_nothing_is_made_over_what_is_there(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(TlsExists):
        init(tmp_path, DOMAIN, NOW)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize(
    "domain",
    [
        "",
        "localhost",
        ".localhost",
        "vault.",
        "a..b",
        "-a.b",
        "a-.b",
        "*.b.c",
        "a_b.c",
        "127.0.0.1",
        "vault.localhost\n",
        "väult.localhost",
        "a" * 64 + ".b",
        ".".join(["abcdefg"] * 29),
        "a.b/c",
    ],
)
def test_a_domain_that_is_none_is_refused(tmp_path: Path, domain: str) -> None:
    with pytest.raises(DomainInvalid):
        init(tmp_path / "tls", domain, NOW)
    assert not (tmp_path / "tls").exists()


def test_a_domain_is_written_in_lower_case() -> None:
    assert check_domain("Vault.Example.COM") == "vault.example.com"


def test_a_directory_without_certificates_says_so(tmp_path: Path) -> None:
    with pytest.raises(TlsNotFound):
        pair_in(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["certificate", "key", "both", "of another"])
def test_a_pair_that_cannot_serve_is_refused(tmp_path: Path, name: str) -> None:
    init(tmp_path / "one", DOMAIN, NOW)
    init(tmp_path / "two", DOMAIN, NOW)
    served, other = pair_in(tmp_path / "one"), pair_in(tmp_path / "two")
    broken = tmp_path / "broken"
    broken.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    pair = {
        "certificate": Pair(broken, served.key),
        "key": Pair(served.certificate, broken),
        "both": Pair(broken, broken),
        "of another": Pair(served.certificate, other.key),
    }[name]
    with pytest.raises(TlsInvalid):
        check_pair(pair)


def test_validity_is_due_at_the_third() -> None:
    month = Validity(NOW, NOW + timedelta(days=30))
    assert not month.is_due(NOW + timedelta(days=20) - timedelta(seconds=1))
    assert month.is_due(NOW + timedelta(days=20))


def test_the_service_answers_with_what_was_made(tmp_path: Path) -> None:
    init(tmp_path, DOMAIN, NOW)
    assert certificates.fingerprint(pair_in(tmp_path)) == certificates.fingerprint(
        pair_in(tmp_path)
    )
    before = certificates.fingerprint(pair_in(tmp_path))
    renew(tmp_path, NOW)
    assert certificates.fingerprint(pair_in(tmp_path)) != before
