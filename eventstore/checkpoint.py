"""A signed tree head that tools of others can read: C2SP tlog-checkpoint in a signed-note.

The text is three lines (origin, size, root in base64), an empty line, and signature lines.  A log
signs only what is already committed, so no two roots of one size are ever signed.  Ed25519
signatures are deterministic: signing the same head twice gives the same bytes.  Pure.

Sources: C2SP signed-note v1, C2SP tlog-checkpoint v1.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from eventstore.errors import CheckpointMalformed, CheckpointSignatureInvalid

ED25519 = b"\x01"
_SHA256 = hashes.SHA256()
_MAC_INFO = b"muniment/mac/v1"

MAX_NOTE_SIZE = 64 * 1024
_MAX_SIGNATURES = 64
# What signed-note refuses in a note.  A lone surrogate, which no UTF-8 holds, gets into a str by way
# of JSON, or of a command line that is not UTF-8.
_NOT_TEXT = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")


class Verifier(NamedTuple):
    """A public Ed25519 key with the name it signs under."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that say which key a signature line is of (signed-note)."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        """The verifier key as one line: name+hex id+base64, as Go's sumdb/note reads it."""
        key = base64.b64encode(ED25519 + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    def accepts(self, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


def parse_verifier(line: str) -> Verifier:
    """Read a verifier key line.  Raise CheckpointMalformed."""
    # A name holds no plus sign but base64 may, so the split is from the left.
    parts = line.strip().split("+", 2)
    if _NOT_TEXT.search(line.strip()):
        raise CheckpointMalformed("the verifier key is not text")
    if len(parts) != 3 or not parts[0] or any(letter.isspace() for letter in parts[0]):
        raise CheckpointMalformed("the verifier key is not of the form name+id+key")
    key = _decode(parts[2])
    verifier = Verifier(parts[0], key[1:])
    if key[:1] != ED25519 or len(key) != 33 or verifier.key_id.hex() != parts[1]:
        raise CheckpointMalformed("the verifier key is not an Ed25519 key of that name")
    return verifier


class Checkpoint(NamedTuple):
    """A tree head, and the note that signs it."""

    origin: str
    size: int
    root: bytes
    note: str

    @property
    def text(self) -> str:
        return checkpoint_text(self.origin, self.size, self.root)


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """The text that is signed, its last newline included."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def signature_line(verifier: Verifier, signature: bytes) -> str:
    stamp = base64.b64encode(verifier.key_id + signature).decode()
    return f"\N{EM DASH} {verifier.name} {stamp}\n"


class Signer:
    """A private Ed25519 key with the name it signs under."""

    def __init__(self, name: str, private: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self._mac_key = HKDF(_SHA256, 32, None, _MAC_INFO).derive(private)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"Signer({self.verifier})"

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def mac(self, message: bytes) -> bytes:
        """HMAC-SHA256 under a key derived from the private one: for who holds the store's keys."""
        return hmac.digest(self._mac_key, message, "sha256")


def sign_note(text: str, *signers: Signer) -> str:
    """Sign *text* (which ends with a newline) and give the note."""
    signed = text.encode()
    return text + "\n" + "".join(signature_line(one.verifier, one.sign(signed)) for one in signers)


def sign_checkpoint(size: int, root: bytes, signer: Signer) -> str:
    """Sign a tree head; the signer's name is the log's origin."""
    origin = signer.verifier.name
    return sign_note(checkpoint_text(origin, size, root), signer)


def signatures(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Split a note into its text and (name, key id, signature) of each signature line."""
    text, gap, rest = note.rpartition("\n\n")
    if not gap or not rest.endswith("\n") or len(note) > MAX_NOTE_SIZE:
        raise CheckpointMalformed
    if _NOT_TEXT.search(note):
        raise CheckpointMalformed("the note is not UTF-8 without control characters")
    found = []
    for line in rest[:-1].split("\n"):
        dash, _, tail = line.partition(" ")
        name, _, stamp = tail.partition(" ")
        if dash != "\N{EM DASH}" or not name or " " in stamp:
            raise CheckpointMalformed("a signature line is not of the form that signed-note asks")
        raw = _decode(stamp)
        if len(raw) < 5:
            raise CheckpointMalformed("a signature is too short")
        found.append((name, raw[:4], raw[4:]))
    if len(found) > _MAX_SIGNATURES:
        raise CheckpointMalformed("the note has too many signatures")
    return text + "\n", found


def open_note(note: str, verifier: Verifier) -> str:
    """Give the text of *note* if *verifier* signed it.  Raise CheckpointSignatureInvalid."""
    text, found = signatures(note)
    for name, key_id, signature in found:
        named = name == verifier.name and hmac.compare_digest(key_id, verifier.key_id)
        if named and verifier.accepts(signature, text.encode()):
            return text
    raise CheckpointSignatureInvalid


def parse_checkpoint(note: str) -> Checkpoint:
    """Read a checkpoint without believing it.  Raise CheckpointMalformed."""
    text, _ = signatures(note)
    lines = text.split("\n")
    if len(lines) < 4 or not lines[0] or lines[-1]:
        raise CheckpointMalformed
    origin, size, root = lines[0], lines[1], _decode(lines[2])
    canonical = size.isascii() and size.isdecimal() and (size == "0" or size[0] != "0")
    if not canonical or len(size) > 20 or len(root) != 32 or len(lines) != 4:
        raise CheckpointMalformed("the size or the root is not of the form that C2SP asks")
    return Checkpoint(origin, int(size), root, note)


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise CheckpointMalformed("the base64 is not valid") from None
    if base64.b64encode(raw).decode() != text:
        raise CheckpointMalformed("the base64 is not canonical")
    return raw
