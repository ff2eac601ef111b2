"""Time stamps of RFC 3161: asking an authority for one, and believing one.

What is stamped is SHA-256 of a checkpoint's text.  An answer is believed if a certificate for time
stamping signed it that leads to one of the given roots and was valid at the time that it says.

This takes the extra `evidence`; whoever needs it imports it then and not before.
Source: RFC 3161.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from eventstore.errors import MunimentError, VerificationFailed

REQUEST_TYPE = "application/timestamp-query"
_WITHOUT_NAME = "tsa"


class TimestampInvalid(VerificationFailed):
    """The time stamp is not one of this checkpoint by an authority that is trusted."""

    code = "timestamp.invalid"


class RootsInvalid(MunimentError):
    """The file does not hold certificates in PEM form."""

    code = "timestamp.roots-invalid"
    hint = "name the root certificates of the time-stamping authorities, one after the other"


class Request(NamedTuple):
    """What an authority is asked; *nonce* must come back in its answer."""

    body: bytes
    nonce: int | None


class Stamp(NamedTuple):
    """A moment in microseconds since 1970, and the subject of the certificate that vouches for it."""

    time: int
    source: str


def request(text: str) -> Request:
    """Ask for a time stamp of a checkpoint's *text*, with the certificate in the answer."""
    made = (
        TimestampRequestBuilder()
        .data(text.encode())
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    return Request(made.as_bytes(), made.nonce)


class Authorities:
    """The time-stamping authorities that are believed, by their *roots*."""

    def __init__(self, roots: list[x509.Certificate]) -> None:
        self._roots = roots

    @classmethod
    def of(cls, file: Path) -> Authorities:
        """Those whose root certificates, as PEM, are in *file*.  Raise RootsInvalid."""
        try:
            return cls(x509.load_pem_x509_certificates(file.read_bytes()))
        except (OSError, ValueError) as problem:
            told = (
                problem.strerror if isinstance(problem, OSError) else "no certificate in PEM form"
            )
            raise RootsInvalid(f"{file}: {told}") from None

    def check(self, answer: bytes, text: str, nonce: int | None = None) -> Stamp:
        """When *answer* says that *text* was there.  Raise TimestampInvalid."""
        builder = VerifierBuilder(roots=list(self._roots))
        if nonce is not None:
            builder = builder.nonce(nonce)
        try:
            read = decode_timestamp_response(answer)
            # The list of signers is taken from what was decoded, so it is named before that.
            source = _source(read)
            builder.build().verify_message(decode_timestamp_response(answer), text.encode())
            moment = read.tst_info.gen_time
        except (VerificationError, ValueError, KeyError, AttributeError) as problem:
            raise TimestampInvalid(f"{problem}".splitlines()[0] if str(problem) else "") from None
        return Stamp(int(moment.timestamp() * 1_000_000), source)


def _source(read: TimeStampResponse) -> str:
    """The subject of the certificate that signed, as the answer holds it."""
    signers = {(one.issuer, one.serial_number) for one in read.signed_data.signer_infos}
    for raw in read.signed_data.certificates:
        certificate = x509.load_der_x509_certificate(raw)
        if (certificate.issuer, certificate.serial_number) in signers:
            return certificate.subject.rfc4514_string()
    return _WITHOUT_NAME
