"""The roll of identities in a store: one sealed file, read anew when it was changed.

`STORE/identities` is a header and the roll sealed under a leaf key of the keyring, since nothing
readable stands at rest.  The header is ``MUNIDENT`` || format u8 || key number u64, and is bound to
the seal.  Writers take turns by a lock on `identities.lock`; the file is replaced whole.  A reader
looks once a second whether the file is another one: what was removed is unknown a second later, in
every process.  A file that cannot be read closes the door: nothing goes on with what was.
"""

from __future__ import annotations

import os
import secrets
import struct
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from cryptography.x509 import load_pem_x509_certificate
from msgspec.structs import replace

from eventstore import file_lock, seal
from eventstore.durable import failing_disk, write_durably
from eventstore.errors import FormatUnknown, RecordMalformed
from server.roll import (
    FORMAT,
    LIGHT,
    MAX_KEYS,
    SECRET_ID_SIZE,
    Application,
    ClientKey,
    HashedSecret,
    IdentityInvalid,
    Issuer,
    Roll,
    SigningKey,
    hashed,
)
from vault.store import IDENTITIES, Store, system_clock

LOCK: Final = "identities.lock"
SECRET_LIFETIME: Final = 365 * 86_400

_MAGIC: Final = b"MUNIDENT"
_HEADER: Final = struct.Struct(">8sBQ")
_LABEL: Final = b"identities"
_LOOK_EVERY: Final = 1.0
_MAX_FILE: Final = 16 << 20
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"


class NewSecret(NamedTuple):
    """A client and its new secret, which is told this once."""

    application: Application
    secret: str
    expires: int

    def __repr__(self) -> str:
        return f"NewSecret({self.application.name})"


class _Mark(NamedTuple):
    """What tells a file from the one that was read before it."""

    inode: int
    changed: int
    size: int


class _Found(NamedTuple):
    """What a file held, and the number of the key that sealed it."""

    roll: Roll
    number: int
    mark: _Mark


class Identities:
    """The identities of *store*.  Safe for threads; each process has its own."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], int] = system_clock,
        entropy: Callable[[int], bytes] = os.urandom,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read them; a store that has none yet gets a tenant and a signing key.

        *clock* gives microseconds since 1970; *ticks* are seconds that only go on.
        """
        self._store = store
        self._path = store.home / IDENTITIES
        self._clock = clock
        self._entropy = entropy
        self._ticks = ticks
        self._reading = threading.Lock()
        self._derived: dict[bytes, bytes] = {}
        self._generation = 0
        if not self._path.exists():
            self._begin()
        self._found = self._read()
        self._looked = ticks()

    def __repr__(self) -> str:
        return f"Identities({str(self._path)!r})"

    @property
    def store(self) -> Store:
        """The store whose service they may sign in to."""
        return self._store

    # --- reading ----------------------------------------------------------------------------------

    @property
    def roll(self) -> Roll:
        """What is known now; at most a second behind the file."""
        self._look()
        return self._found.roll

    @property
    def generation(self) -> int:
        """A number that changes with the roll."""
        self._look()
        return self._generation

    @property
    def tenant(self) -> str:
        return self._found.roll.tenant

    @property
    def now(self) -> int:
        """Unix seconds."""
        return self._clock() // 1_000_000

    def derived(self, label: bytes) -> bytes:
        """32 bytes for the purpose *label*, the same in every process of this store."""
        if label not in self._derived:
            self._derived[label] = self._found.roll.derived(label)
        return self._derived[label]

    def _look(self) -> None:
        if self._ticks() - self._looked < _LOOK_EVERY:
            return
        with self._reading:
            if self._ticks() - self._looked < _LOOK_EVERY:
                return
            with failing_disk(self._path):
                mark = _mark(os.stat(self._path))
            if mark != self._found.mark:
                self._take(self._read())
            self._looked = self._ticks()

    def _take(self, found: _Found) -> None:
        self._found = found
        self._generation += 1

    def _read(self) -> _Found:
        with failing_disk(self._path), open(self._path, "rb") as file:
            mark = _mark(os.fstat(file.fileno()))
            text = file.read(_MAX_FILE)
        number, header = _key_number(text)
        key = self._store.keyring.key(number)
        roll = _decoded(seal.open_seal(key, _LABEL, header, text[_HEADER.size :]))
        return _Found(roll, number, mark)

    # --- writing ----------------------------------------------------------------------------------

    def change(self, make: Callable[[Roll], Roll]) -> Roll:
        """Put what *make* makes of the roll in its place, durably."""
        with self._alone():
            found = self._read()
            self._write(make(found.roll), found.number)
            with self._reading:
                self._take(self._read())
                return self._found.roll

    def _begin(self) -> None:
        with self._alone():
            if not self._path.exists():
                roll = Roll(
                    format=FORMAT,
                    root_epoch=-1,
                    tenant=self._guid(),
                    secret=self._entropy(32),
                    signing=(new_signing_key(),),
                )
                self._write(roll, 0)

    def _write(self, roll: Roll, number: int) -> None:
        """Seal *roll* under the key of that *number*, or under a new one if the root key is new.

        Whoever had the root key before has all keys of then, and must not open what comes after.
        """
        keyring = self._store.keyring
        if (epoch := keyring.root_epoch) != roll.root_epoch:
            roll, number = replace(roll, root_epoch=epoch), keyring.allocate()
        header = _HEADER.pack(_MAGIC, FORMAT, number)
        text = msgspec.msgpack.encode(roll)
        salt = self._entropy(seal.SALT_SIZE)
        sealed = seal.seal(keyring.key(number), salt, _LABEL, header, text)
        with failing_disk(self._path):
            write_durably(self._path, header + sealed)

    def _alone(self) -> AbstractContextManager[None]:
        return file_lock.held(self._store.home / LOCK)

    # --- what is asked for ------------------------------------------------------------------------

    def add(
        self,
        name: str,
        *,
        object_id: str = "",
        client_id: str = "",
        keys: tuple[ClientKey, ...] = (),
        lifetime: int = SECRET_LIFETIME,
        store_administrator: bool = False,
    ) -> NewSecret:
        """Register a client.  Raise IdentityInvalid or IdentityExists.

        With *keys* it signs its assertions and gets no secret: the secret is then empty.
        """
        application = Application(
            name=name,
            client_id=client_id.lower() or self._guid(),
            object_id=object_id.lower() or self._guid(),
            created=self.now,
            store_administrator=store_administrator,
        )
        if keys:
            made = self.change(lambda roll: roll.adding(application).with_keys(name, keys))
            return NewSecret(made.named(name), "", 0)
        secret, kept = self._new_secret(lifetime)
        made = self.change(
            lambda roll: roll.adding(application).with_secret(name, kept, kept.created)
        )
        return NewSecret(made.named(name), secret, kept.expires)

    def rotate(self, name: str, *, keep: int = 0, lifetime: int = SECRET_LIFETIME) -> NewSecret:
        """A new secret for the client *name*; the ones before it end in *keep* seconds."""
        secret, kept = self._new_secret(lifetime)
        made = self.change(lambda roll: roll.with_secret(name, kept, kept.created + keep))
        return NewSecret(made.named(name), secret, kept.expires)

    def remove(self, name: str) -> Application:
        """Forget a client.  Its tokens are refused from now on.  Raise IdentityNotFound."""
        gone: list[Application] = []

        def without(roll: Roll) -> Roll:
            gone.append(roll.named(name))
            return roll.removing(name)

        self.change(without)
        return gone[0]

    def trust(self, issuer: Issuer) -> Roll:
        """Believe the tokens of an outside issuer.  Raise IdentityInvalid."""
        if issuer.jwks:
            _check_key_set(issuer.jwks)
        return self.change(lambda roll: roll.trusting(issuer))

    def distrust(self, issuer: str) -> Roll:
        """Raise IdentityNotFound."""
        return self.change(lambda roll: roll.distrusting(issuer))

    def rotate_signing_key(self, *, revoke: bool = False) -> SigningKey:
        """Sign tokens with a new key; those of the old one are good until they end.

        With *revoke* every token that was ever given out is refused from now on.
        """
        key = new_signing_key()
        self.change(lambda roll: roll.signing_with(key, self.now, revoking=revoke))
        return key

    def _new_secret(self, lifetime: int) -> tuple[str, HashedSecret]:
        if lifetime <= 0:
            raise IdentityInvalid("a secret lives longer than no time")
        secret_id = "".join(
            _LETTERS[byte % len(_LETTERS)] for byte in self._entropy(SECRET_ID_SIZE)
        )
        secret = f"{secret_id}~{secrets.token_urlsafe(32)}"
        salt, now = self._entropy(16), self.now
        kept = HashedSecret(
            id=secret_id,
            salt=salt,
            digest=hashed(secret, salt, LIGHT),
            cost=LIGHT,
            created=now,
            expires=now + lifetime,
        )
        return secret, kept

    def _guid(self) -> str:
        return str(uuid.UUID(bytes=self._entropy(16), version=4))


def new_signing_key() -> SigningKey:
    """RSA with 2,048 bits, for RS256."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return SigningKey(
        kid=_sha256(public)[:32],
        public=public,
        private=private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    )


def client_keys(text: bytes) -> tuple[ClientKey, ...]:
    """The public keys in a PEM file of public keys and certificates.  Raise IdentityInvalid."""
    blocks = text.split(b"-----BEGIN ")[1:]
    found = tuple(_client_key(b"-----BEGIN " + block) for block in blocks)
    if not 1 <= len(found) <= MAX_KEYS:
        raise IdentityInvalid(f"a file with 1 to {MAX_KEYS} public keys or certificates is needed")
    return found


def _client_key(block: bytes) -> ClientKey:
    if b"PRIVATE KEY" in block:
        raise IdentityInvalid("a private key is not for others: give the public key")
    try:
        key: object = (
            load_pem_x509_certificate(block).public_key()
            if block.startswith(b"-----BEGIN CERTIFICATE-----")
            else load_pem_public_key(block)
        )
    except (ValueError, UnsupportedAlgorithm):
        raise IdentityInvalid("the file holds no public key and no certificate") from None
    if isinstance(key, rsa.RSAPublicKey):
        good = 2048 <= key.key_size <= 8192
    else:
        good = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if not good or not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise IdentityInvalid("a key is RSA with 2,048 to 8,192 bits, or EC on P-256")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return ClientKey(id=_sha256(der), der=der)


def _check_key_set(text: bytes) -> None:
    from server.signatures import Refused, key_set  # joserfc is for the service only

    try:
        key_set(text)
    except Refused as refused:
        raise IdentityInvalid(str(refused)) from None


def _sha256(text: bytes) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(text)
    return digest.finalize().hex()


def _mark(found: os.stat_result) -> _Mark:
    return _Mark(found.st_ino, found.st_mtime_ns, found.st_size)


def _key_number(text: bytes) -> tuple[int, bytes]:
    """The number of the key, and the header.  Raise RecordMalformed or FormatUnknown."""
    header = text[: _HEADER.size]
    if len(header) != _HEADER.size or not header.startswith(_MAGIC):
        raise RecordMalformed("the file of identities does not begin as one does")
    _, version, number = _HEADER.unpack(header)
    if version != FORMAT:
        raise FormatUnknown(f"the file of identities has format {version}")
    return number, header


def _decoded(text: bytes) -> Roll:
    try:
        roll = msgspec.msgpack.decode(text, type=Roll)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise FormatUnknown("the identities are not of a form that is known") from None
    if roll.format != FORMAT or not roll.signing:
        raise FormatUnknown(f"the identities have format {roll.format}")
    return roll
