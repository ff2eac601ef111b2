"""JSON Web Tokens: taken apart, verified, made (RFC 7515, 7519).  Pure.

Only RS256 and ES256, by name, and PS256 for what a client says of itself, since Azure's libraries
sign with it; a key says by its own kind which of them it verifies, so a token cannot choose.  A token that marks a header as critical is refused: there is none that we know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode

ALGORITHMS: Final = ("RS256", "ES256")
ASSERTION_ALGORITHMS: Final = (*ALGORITHMS, "PS256")
MAX_TOKEN: Final = 16 * 1024

_COMPACT: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# RFC 7515 forbids the padding, and azure-identity's asynchronous client signs and sends it.
_PADDED: Final = re.compile(_COMPACT.pattern.replace(b"+", b"+={0,2}"))

Key = RSAKey | ECKey


class Refused(Exception):
    """The token is not one, or nobody who is asked about signed it.  Its text quotes nothing."""


class Header(msgspec.Struct, frozen=True):
    """The protected header; what is not named here is ignored."""

    alg: str
    kid: str | None = None
    crit: list[str] | None = None


class Claims(msgspec.Struct, frozen=True):
    """What a token says.  Other claims are ignored."""

    iss: str
    aud: str | list[str]
    exp: float
    nbf: float | None = None
    iat: float | None = None
    tid: str = ""
    oid: str = ""
    sub: str = ""
    appid: str = ""
    azp: str = ""
    upn: str = ""
    preferred_username: str = ""
    unique_name: str = ""
    name: str = ""
    app_displayname: str = ""
    jti: str = ""
    amr: list[str] = []

    @property
    def audiences(self) -> list[str]:
        return [self.aud] if isinstance(self.aud, str) else self.aud


class Parsed(NamedTuple):
    """A token taken apart; nothing in it is proven yet."""

    token: bytes
    header: Header
    claims: Claims


_header = msgspec.json.Decoder(Header)
_claims = msgspec.json.Decoder(Claims)


def _registry() -> jws.JWSRegistry:
    # A header that we do not know is ignored, as RFC 7515 says; real issuers send several.
    registry = jws.JWSRegistry(algorithms=ASSERTION_ALGORITHMS, strict_check_header=False)
    registry.max_header_length = MAX_TOKEN
    return registry


_REGISTRY: Final = _registry()


def parse(token: str, *, assertion: bool = False) -> Parsed:
    """Take *token* apart; it is what a client says of itself if it is an *assertion*.  Raise Refused."""
    form, algorithms = (_PADDED, ASSERTION_ALGORITHMS) if assertion else (_COMPACT, ALGORITHMS)
    if len(token) > MAX_TOKEN:
        raise Refused("the token is too long")
    try:
        text = token.encode("ascii")
    except UnicodeEncodeError:
        raise Refused("the token is malformed") from None
    if not form.fullmatch(text):
        raise Refused("the token is malformed")
    try:
        taken = _taken(text)
        header = _header.decode(urlsafe_b64decode(text.partition(b".")[0].rstrip(b"=")))
        claims = _claims.decode(taken.payload)
    except (JoseError, ValueError, RecursionError):
        raise Refused("the token is malformed") from None
    if header.crit is not None:
        raise Refused("the token has a critical header that is not known")
    if header.alg not in algorithms:
        raise Refused("the token is signed with an algorithm that is not allowed")
    return Parsed(text, header, claims)


def _taken(text: bytes) -> jws.CompactSignature:
    """The parts of *text*: read without any padding, and signed with it."""
    taken = jws.extract_compact(text.replace(b"=", b""), registry=_REGISTRY)
    taken.segments["header"], taken.segments["payload"], _ = text.split(b".")
    return taken


def verify(parsed: Parsed, keys: Iterable[Key]) -> None:
    """Hold *parsed* to have been signed by one of *keys*.  Raise Refused."""
    kind = ECKey if parsed.header.alg == "ES256" else RSAKey
    taken = _taken(parsed.token)
    for key in keys:
        if not isinstance(key, kind):
            continue
        try:
            if jws.validate_compact(taken, key, registry=_REGISTRY):
                return
        except (JoseError, ValueError):
            continue
    raise Refused("the signature is not valid")


def sign(private: bytes, kid: str, claims: dict[str, Any]) -> str:
    """A token with *claims*, signed RS256 by the PKCS #8 key *private*."""
    header = {"typ": "JWT", "alg": "RS256", "kid": kid}
    text = msgspec.json.encode(claims)
    return jws.serialize_compact(header, text, _signer(private), registry=_REGISTRY)


@lru_cache(maxsize=2)
def _signer(private: bytes) -> RSAKey:
    # Kept, since a private key is checked when it is read, and that takes as long as 50 signatures.
    loaded = load_der_private_key(private, None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    return RSAKey.import_key(loaded)


def public_key(der: bytes) -> Key:
    """The key in a SubjectPublicKeyInfo.  Raise Refused for one that is not allowed."""
    loaded = load_der_public_key(der)
    if isinstance(loaded, rsa.RSAPublicKey) and loaded.key_size >= 2048:
        return RSAKey.import_key(loaded)
    if isinstance(loaded, ec.EllipticCurvePublicKey) and isinstance(loaded.curve, ec.SECP256R1):
        return ECKey.import_key(loaded)
    raise Refused("the key is of a kind that is not allowed")


class PublishedKey(msgspec.Struct, frozen=True):
    """A member of a JSON Web Key Set (RFC 7517)."""

    kty: str = ""
    kid: str = ""
    use: str = "sig"
    alg: str = ""
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[PublishedKey]


def key_set(text: bytes) -> tuple[tuple[str, Key], ...]:
    """The key ids and keys in a JSON Web Key Set that verify RS256 or ES256.  Raise Refused.

    Others are passed over; so is a symmetric key, which a set that is public cannot hold.
    """
    try:
        published = msgspec.json.decode(text, type=_KeySet).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused("the text is not a JSON Web Key Set") from None
    found = [(one.kid, key) for one in published if (key := _imported(one)) is not None]
    if not found:
        raise Refused("the JSON Web Key Set has no key for RS256 or ES256")
    return tuple(found)


def published(kid: str, der: bytes) -> dict[str, str]:
    """A public key as a member of a JSON Web Key Set."""
    shown = public_key(der).as_dict(private=False)
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": kid,
        "n": str(shown["n"]),
        "e": str(shown["e"]),
    }


def _imported(one: PublishedKey) -> Key | None:
    if one.use != "sig" or one.alg not in ("", *ALGORITHMS):
        return None
    try:
        if one.kty == "RSA" and one.alg in ("", "RS256"):
            key = RSAKey.binding.import_public_key({"n": one.n, "e": one.e})
            return RSAKey.import_key(key) if 2048 <= key.key_size <= 8192 else None
        if one.kty == "EC" and one.crv == "P-256" and one.alg in ("", "ES256"):
            return ECKey.import_key({"kty": "EC", "crv": "P-256", "x": one.x, "y": one.y})
    except (JoseError, ValueError):
        return None
    return None
