"""A second reader of the format, written from docs/format.md alone: it imports nothing of Muniment.

It opens what the vectors hold with the keys they name, using HMAC, SHA-2, SHAKE, Ed25519, AES and
Argon2id of others and a MessagePack reader of forty lines.  That it agrees on every vector shows that
the page is enough to write a reader, and that no rule lives in the code alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import struct
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id


class Refused(Exception):
    """The code that the format's rules give for these bytes."""


# --- MessagePack --------------------------------------------------------------------------------


def unpack(raw: bytes) -> Any:
    try:
        value, rest = _unpack(raw)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError) as problem:
        raise ValueError from problem
    if rest:
        raise ValueError("bytes after the end")
    return value


def _unpack(raw: bytes) -> tuple[Any, bytes]:
    first, rest = raw[0], raw[1:]
    if first < 0x80:
        return first, rest
    if first >= 0xE0:
        return first - 256, rest
    if 0x80 <= first < 0x90:
        return _map(first & 15, rest)
    if 0x90 <= first < 0xA0:
        return _array(first & 15, rest)
    if 0xA0 <= first < 0xC0:
        return _take(rest, first & 31, text=True)
    if first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[first], rest
    sizes = {0xC4: "B", 0xC5: "H", 0xC6: "I", 0xD9: "B", 0xDA: "H", 0xDB: "I"}
    numbers = {0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q", 0xD0: "b", 0xD1: "h", 0xD2: "i"}
    many = {0xDC: "H", 0xDD: "I", 0xDE: "H", 0xDF: "I"}
    form = ">" + {**sizes, **numbers, **many, 0xD3: "q"}[first]
    (number,) = struct.unpack_from(form, rest)
    rest = rest[struct.calcsize(form) :]
    if first in sizes:
        return _take(rest, number, text=first >= 0xD9)
    if first in many:
        return _array(number, rest) if first < 0xDE else _map(number, rest)
    return number, rest


def _take(rest: bytes, size: int, *, text: bool) -> tuple[Any, bytes]:
    if len(rest) < size:
        raise ValueError("cut short")
    taken = rest[:size]
    return (taken.decode() if text else taken), rest[size:]


def _array(count: int, rest: bytes) -> tuple[list[Any], bytes]:
    found = []
    for _ in range(count):
        value, rest = _unpack(rest)
        found.append(value)
    return found, rest


def _map(count: int, rest: bytes) -> tuple[dict[str, Any], bytes]:
    found = {}
    for _ in range(count):
        key, rest = _unpack(rest)
        found[key], rest = _unpack(rest)
    return found, rest


def pack(value: Any) -> bytes:
    """In the shortest form; only what a log's rows about itself are made of."""
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _pack_number(value)
    if isinstance(value, list):
        return _pack_size(len(value), 0x90, 16, {0xDC: "H", 0xDD: "I"}) + b"".join(map(pack, value))
    if isinstance(value, str):
        text = value.encode()
        return _pack_size(len(text), 0xA0, 32, {0xD9: "B", 0xDA: "H", 0xDB: "I"}) + text
    if isinstance(value, bytes):
        return _pack_size(len(value), 0, 0, {0xC4: "B", 0xC5: "H", 0xC6: "I"}) + value
    raise TypeError


def _pack_number(value: int) -> bytes:
    if 0 <= value < 128:
        return bytes((value,))
    return _pack_size(value, 0, 0, {0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q"})


def _pack_size(size: int, short: int, below: int, forms: dict[int, str]) -> bytes:
    if size < below:
        return bytes((short | size,))
    for first, form in forms.items():
        if 0 <= size < 1 << 8 * struct.calcsize(">" + form):
            return bytes((first,)) + struct.pack(">" + form, size)
    raise TypeError


def raw_fields(raw: bytes) -> list[tuple[str, bytes]]:
    """The metadata's fields in stored order, each with its MessagePack bytes as stored."""
    _, rest = raw[0], raw[1:]
    found = []
    for prefix in ("context.", "event."):
        first = rest[0]
        count = first & 15 if first < 0x90 else struct.unpack_from(">H", rest, 1)[0]
        rest = rest[1:] if first < 0x90 else rest[3:]
        for _ in range(count):
            name, rest = _unpack(rest)
            _, after = _unpack(rest)
            found.append((prefix + name, rest[: len(rest) - len(after)]))
            rest = after
    return [*found, ("content_key", rest)]


# --- sealing suite 1 ----------------------------------------------------------------------------


def derive(key: bytes, salt: bytes, label: bytes) -> tuple[bytes, bytes, bytes]:
    return expand(hmac.digest(salt, key, "sha256"), label)


def expand(prk: bytes, label: bytes) -> tuple[bytes, bytes, bytes]:
    okm, block = b"", b""
    for counter in (1, 2, 3):
        block = hmac.digest(prk, block + b"muniment/seal/v1/" + label + bytes((counter,)), "sha256")
        okm += block
    return okm[:32], okm[32:64], okm[64:]


def bucket(size: int) -> int:
    size += 1
    power = 1
    while power * 2 <= size:
        power *= 2
    step = max(256, power // 8)
    return (size + step - 1) // step * step


def open_sealed(key: bytes, salt: bytes, label: bytes, bound: bytes, sealed: bytes) -> bytes:
    return open_under(derive(key, salt, label), bound, sealed)


def open_under(keys: tuple[bytes, bytes, bytes], bound: bytes, sealed: bytes) -> bytes:
    if len(sealed) < 48:
        raise Refused("seal.broken")
    encryption, commitment, _ = keys
    if not hmac.compare_digest(commitment, sealed[:32]):
        raise Refused("seal.wrong-key")
    try:
        padded = AESGCM(encryption).decrypt(bytes(12), sealed[32:], bound + commitment)
    except InvalidTag:
        raise Refused("seal.broken") from None
    text = padded.rstrip(b"\0")
    if not text.endswith(b"\x80") or len(padded) != bucket(len(text) - 1):
        raise Refused("seal.broken")
    return text[:-1]


def open_salted(key: bytes, label: bytes, bound: bytes, sealed: bytes) -> bytes:
    if len(sealed) < 32:
        raise Refused("seal.broken")
    return open_sealed(key, sealed[:32], label, bound, sealed[32:])


# --- the tree -----------------------------------------------------------------------------------


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def tree_root(leaves: list[bytes]) -> bytes:
    """The recursive definition of RFC 6962, section 2.1."""
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return sha256(b"\0", leaves[0])
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return sha256(b"\1", tree_root(leaves[:middle]), tree_root(leaves[middle:]))


def root_from_path(position: int, size: int, hashed: bytes, path: list[bytes]) -> bytes:
    """Walk down the recursive definition, and take the path from its end."""
    if not 0 <= position < size:
        raise Refused("proof.invalid")
    if size == 1:
        if path:
            raise Refused("proof.invalid")
        return hashed
    if not path:
        raise Refused("proof.invalid")
    middle = 1
    while middle * 2 < size:
        middle *= 2
    if position < middle:
        return sha256(b"\1", root_from_path(position, middle, hashed, path[:-1]), path[-1])
    right = root_from_path(position - middle, size - middle, hashed, path[:-1])
    return sha256(b"\1", path[-1], right)


# --- notes, checkpoints and keys as text ----------------------------------------------------------


def strict_base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("checkpoint.malformed") from None
    if base64.b64encode(raw).decode() != text:
        raise Refused("checkpoint.malformed")
    return raw


def read_verifier(line: str) -> tuple[str, bytes, bytes]:
    """Name, key id and public key."""
    parts = line.split("+", 2)
    if len(parts) != 3:
        raise Refused("checkpoint.malformed")
    name, key = parts[0], strict_base64(parts[2])
    key_id = sha256(name.encode(), b"\n", key)[:4]
    if not name or len(key) != 33 or key[0] != 1 or key_id.hex() != parts[1]:
        raise Refused("checkpoint.malformed")
    return name, key_id, key[1:]


def split_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    text, gap, rest = note.rpartition("\n\n")
    if not gap or not rest.endswith("\n"):
        raise Refused("checkpoint.malformed")
    found = []
    for line in rest[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\N{EM DASH}" or not parts[1]:
            raise Refused("checkpoint.malformed")
        stamp = strict_base64(parts[2])
        if len(stamp) < 5:
            raise Refused("checkpoint.malformed")
        found.append((parts[1], stamp[:4], stamp[4:]))
    return text + "\n", found


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def open_note(note: str, verifier: str) -> str:
    name, key_id, public = read_verifier(verifier)
    text, signatures = split_note(note)
    for named, by, signature in signatures:
        if (named, by) == (name, key_id) and verifies(public, signature, text.encode()):
            return text
    raise Refused("checkpoint.signature-invalid")


def read_checkpoint(note: str) -> tuple[str, int, bytes]:
    text, _ = split_note(note)
    lines = text.split("\n")
    if len(lines) != 4 or not lines[0] or not re.fullmatch("0|[1-9][0-9]{0,19}", lines[1]):
        raise Refused("checkpoint.malformed")
    root = strict_base64(lines[2])
    if len(root) != 32:
        raise Refused("checkpoint.malformed")
    return lines[0], int(lines[1]), root


# --- a log's own rows -----------------------------------------------------------------------------


def read_identity(row: bytes) -> tuple[str, bytes]:
    """Kind and id."""
    try:
        form, kind, log_id = unpack(row)
    except ValueError:
        raise Refused("record.malformed") from None
    if form != 1 or kind not in ("changes", "access"):
        raise Refused("format.unknown")
    if len(log_id) != 16:
        raise Refused("record.malformed")
    return kind, log_id


def read_head(row: bytes) -> tuple[int, int, list[bytes]]:
    if len(row) < 16:
        raise Refused("record.malformed")
    size, time = struct.unpack(">QQ", row[:16])
    if len(row) != 16 + 32 * bin(size).count("1"):
        raise Refused("record.malformed")
    return size, time, [row[at : at + 32] for at in range(16, len(row), 32)]


def read_epochs(row: bytes) -> list[list[Any]]:
    try:
        (signing,) = unpack(row)
        fine = all(len(one) == 3 for one in signing) and pack([signing]) == row
    except (ValueError, TypeError):
        raise Refused("record.malformed") from None
    if not fine or not begin_at_zero(signing):
        raise Refused("record.malformed")
    return list(signing)


def begin_at_zero(epochs: list[list[Any]]) -> bool:
    starts = [one[0] for one in epochs]
    return bool(starts) and starts[0] == 0 and starts == sorted(set(starts))


def check_chain(origin: str, signing: list[list[Any]]) -> None:
    for at, (start, verifier, endorsement) in enumerate(signing):
        broken = Refused("verify.key-chain-broken")
        try:
            name = read_verifier(verifier)[0]
            if not at and endorsement:
                raise broken
            if at:
                old = signing[at - 1][1]
                said, stamps = split_note(endorsement)
                by = [(one[0], one[1]) for one in stamps]
                if by != [read_verifier(one)[:2] for one in (old, verifier)]:
                    raise broken
                for key, (_, _, stamp) in zip((old, verifier), stamps, strict=True):
                    if not verifies(read_verifier(key)[2], stamp, said.encode()):
                        raise broken
                if said != f"muniment/endorsement/v1\n{origin}\n{start}\n{old}\n{verifier}\n":
                    raise broken
        except Refused:
            raise broken from None
        if name != origin:
            raise broken


def read_numbers(
    row: bytes, public: list[bytes], signing_key: bytes
) -> tuple[list[int], list[list[int]], bool]:
    """Key numbers, audit epochs and the clock's state, if the MAC is by the newest signing key."""
    try:
        said, mac = row[:-32], row[-32:]
        signing, audit, behind = unpack(said)
        fine = all(len(one) == 2 for one in audit) and isinstance(behind, bool)
    except (ValueError, TypeError):
        raise Refused("record.malformed") from None
    if not fine or not signing or not begin_at_zero(audit):
        raise Refused("record.malformed")
    prk = hmac.digest(bytes(32), signing_key, "sha256")
    key = hmac.digest(prk, b"muniment/mac/v1\1", "sha256")
    message = b"muniment/head/v1\0"
    for part in (*public, said):
        message += struct.pack(">I", len(part)) + part
    if not hmac.compare_digest(mac, hmac.digest(key, message, "sha256")):
        raise Refused("verify.head-altered")
    return signing, audit, behind


def verifier_at(signing: list[list[Any]], position: int) -> str:
    line: str = [one[1] for one in signing if one[0] <= position][-1]
    return line


# --- records ------------------------------------------------------------------------------------

_SET = "name version enabled nbf exp"
_ACCOUNT = "name resource_id account_name active_key auto_regenerate key_prints period enabled"
_SAS = "name sas sas_type period enabled content_print"
EVENTS = {
    "changes": {
        "vault.created": "name retention_days purge_protection administrators first_key "
        "resource_group location sku vault_tags enabled_for",
        "vault.updated": "purge_protection administrators sku vault_tags enabled_for",
        "vault.deleted": "scheduled_purge",
        "vault.recovered": "",
        "vault.purged": "keys open_backups",
        "policy.set": "object_id secrets storage application_id",
        "policy.deleted": "object_id application_id",
        "boundary.set": "default_action bypass ip_rules subnet_rules public_network_access "
        "allow_private_ranges networks trusted_services",
        "vault.restored": "to names origin",
        "secret.set": _SET + " value_print content_print",
        "secret.updated": _SET + " changed content_print",
        "secret.deleted": "name scheduled_purge",
        "secret.recovered": "name",
        "secret.purged": "name key backups",
        "secret.backed-up": "name backup_key versions",
        "secret.restored": "name versions origin backup_key",
        "secret.version-restored": _SET + " created updated value_print content_print",
        "storage-account.set": _ACCOUNT,
        "storage-account.updated": "name changed active_key auto_regenerate period enabled",
        "storage-account.deleted": "name scheduled_purge",
        "storage-account.recovered": "name",
        "storage-account.purged": "name key backups",
        "storage-account.backed-up": "name backup_key definitions",
        "storage-account.restored": _ACCOUNT + " origin backup_key definitions created updated",
        "storage-key.regenerating": "name key_name automatic",
        "storage-key.regenerated": "name key_name active_key key_prints automatic",
        "storage-key.regeneration-failed": "name key_name reason automatic",
        "storage-keys.synced": "name key_prints drifted",
        "sas-definition.set": _SAS,
        "sas-definition.updated": _SAS + " changed",
        "sas-definition.deleted": "name sas scheduled_purge",
        "sas-definition.recovered": "name sas",
        "sas-definition.purged": "name sas",
        "sas-definition.restored": _SAS + " created updated",
        "root-key.rotated": "root_epoch provider assurance",
        "store.adopted": "instance changes access",
        "keys.erased": "keys root_epoch provider assurance open_backups runs",
        "audit.granted": "grant auditor start stop changes access label",
    },
    "access": {
        "secret.read": "name version at as_of",
        "secrets.listed": "at count as_of",
        "secret-versions.listed": "name at count as_of",
        "deleted-secret.read": "name at as_of",
        "deleted-secrets.listed": "at count as_of",
        "vault.read": "what at as_of",
        "history.read": "at count name what as_of",
        "history.verified": "at changes access",
        "identity.changed": "at change client object_id",
        "storage-account.read": "name at as_of",
        "storage-accounts.listed": "at count as_of",
        "deleted-storage-account.read": "name at as_of",
        "deleted-storage-accounts.listed": "at count as_of",
        "sas-definition.read": "name sas at as_of",
        "sas-definitions.listed": "name at count as_of",
        "deleted-sas-definition.read": "name sas at as_of",
        "deleted-sas-definitions.listed": "name at count as_of",
        "sas-token.issued": "name account sas key_name expires at",
        "requests.turned-away": "at since unauthenticated throttled",
        "evidence.packaged": "at start stop changes access digest",
        "request.refused": "operation at name version",
    },
}
for _events in EVENTS.values():
    _events["signing-key.rotated"] = "verifier key retired also"
    _events["audit-key.rotated"] = "key"
    _events["clock.stepped-back"] = "observed last"
CONTEXT = {
    "principal",
    "auth",
    "rule",
    "outcome",
    "address",
    "agent",
    "request",
    "cause",
    "application",
}


def split_row(kind: str, row: bytes) -> tuple[bytes, bytes, bytes]:
    start = 178 if kind == "changes" else 114
    if len(row) <= start:
        raise Refused("record.malformed")
    return row[:114], row[114:start], row[start:]


def read_leaf(leaf: bytes) -> tuple[int, int, bytes, bytes, bytes]:
    """Position, time, fields root, envelope hash, key commitment."""
    if len(leaf) != 114:
        raise Refused("record.malformed")
    form, suite, position, time = struct.unpack(">BBQQ", leaf[:18])
    if (form, suite) != (1, 1):
        raise Refused("format.unknown")
    return position, time, leaf[18:50], leaf[50:82], leaf[82:]


def read_envelope(envelope: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Salt, sealed metadata, sealed content."""
    try:
        schema, salt, meta, content = unpack(envelope)
    except (ValueError, TypeError):
        raise Refused("record.malformed") from None
    if schema != 1:
        raise Refused("format.unknown")
    if len(salt) != 32:
        raise Refused("record.malformed")
    return salt, meta, content


def open_metadata(
    kind: str, log_id: bytes, row: bytes, audit_key: bytes
) -> tuple[list[Any], bytes, bytes]:
    """The decoded metadata, its text, and the seed of its field salts."""
    leaf, _, envelope = split_row(kind, row)
    read_leaf(leaf)
    salt, meta, _ = read_envelope(envelope)
    bound = leaf[:2] + log_id + leaf[2:18]
    text = open_sealed(audit_key, salt, b"meta", bound, meta)
    context, event, content_key = unpack(text)
    allowed = EVENTS[kind].get(event.get("type"))
    if allowed is None or set(event) - {"type"} - set(allowed.split()) or set(context) - CONTEXT:
        raise Refused("event.unknown")
    return [context, event, content_key], text, derive(audit_key, salt, b"meta")[2]


def open_content(kind: str, log_id: bytes, row: bytes, content_key: bytes) -> dict[str, Any]:
    leaf, _, envelope = split_row(kind, row)
    read_leaf(leaf)
    salt, meta, content = read_envelope(envelope)
    if content is None:
        raise Refused("record.malformed")
    bound = leaf[:2] + log_id + leaf[2:18] + sha256(meta)
    opened: dict[str, Any] = unpack(open_sealed(content_key, salt, b"content", bound, content))
    return opened


def field_entries(text: bytes, seed: bytes) -> list[bytes]:
    fields = raw_fields(text)
    salts = hashlib.shake_256(seed).digest(16 * len(fields))
    return [
        salts[16 * at : 16 * at + 16] + path.encode() + b"\0" + value
        for at, (path, value) in enumerate(fields)
    ]


def fields_root(hashes: list[bytes]) -> bytes:
    return sha256(b"muniment/fields/v1\0", *hashes)


def key_commitment(meta: bytes, content: bytes | None) -> bytes:
    return sha256(b"muniment/commitments/v1\0", meta[:32], (content or b"")[:32])


# --- verification, in the order of its steps ------------------------------------------------------


def verify(
    rows: tuple[bytes, bytes, bytes],
    records: list[tuple[bytes, bytes]],
    checkpoint: str,
    kept: list[str],
    trusted: str | None,
) -> bytes:
    """The root of a log that is whole."""
    try:
        kind, log_id = read_identity(rows[0])
        size, time, frontier = read_head(rows[1])
        signing = read_epochs(rows[2])
    except Refused:
        raise Refused("verify.record-altered") from None
    origin = f"muniment/{log_id.hex()}/{kind}"
    check_chain(origin, signing)
    if signing[-1][0] > size or (trusted and trusted not in [one[1] for one in signing]):
        raise Refused("verify.key-chain-broken")
    if not checkpoint and size:
        raise Refused("verify.tail-unsigned")
    heads = []
    for note in [*([checkpoint] if checkpoint else []), *kept]:
        try:
            head = read_checkpoint(note)
            open_note(note, verifier_at(signing, head[1]))
        except Refused:
            raise Refused("verify.forked") from None
        if head[0] != origin:
            raise Refused("verify.forked")
        heads.append((head[1], head[2], note))
    leaves = _check_records(kind, log_id, signing, records, heads, checkpoint)
    if any(known > len(leaves) for known, _, _ in heads) or size > len(leaves):
        raise Refused("verify.truncated")
    last = read_leaf(leaves[-1])[1] if leaves else 0
    if (size, time) != (len(leaves), last) or tree_root(leaves) != _root_of(frontier):
        raise Refused("verify.root-mismatch")
    if max((known for known, _, _ in heads), default=0) < len(leaves):
        raise Refused("verify.tail-unsigned")
    return tree_root(leaves)


def _check_records(
    kind: str,
    log_id: bytes,
    signing: list[list[Any]],
    records: list[tuple[bytes, bytes]],
    heads: list[tuple[int, bytes, str]],
    own: str,
) -> list[bytes]:
    leaves: list[bytes] = []
    last = 0
    for at in range(len(records) + 1):
        for _, root, note in sorted(one for one in heads if one[0] == at):
            if root != tree_root(leaves):
                raise Refused("verify.root-mismatch" if note == own else "verify.forked")
        if at == len(records):
            return leaves
        key, row = records[at]
        try:
            leaf, signature, envelope = split_row(kind, row)
            position, time, _, envelope_hash, commitment = read_leaf(leaf)
            _, meta, content = read_envelope(envelope)
        except Refused:
            raise Refused("verify.record-altered") from None
        message = b"muniment/event/v1\0" + log_id + leaf
        public = read_verifier(verifier_at(signing, at))[2]
        fits = (
            int.from_bytes(key, "big") == at == position
            and time > last
            and sha256(envelope) == envelope_hash
            and key_commitment(meta, content) == commitment
            and (kind == "access" or verifies(public, signature, message))
        )
        if not fits:
            raise Refused("verify.record-altered")
        last = time
        leaves.append(leaf)
    return leaves


def _root_of(frontier: list[bytes]) -> bytes:
    if not frontier:
        return sha256()
    root = frontier[-1]
    for left in reversed(frontier[:-1]):
        root = sha256(b"\1", left, root)
    return root


# --- the keyring, the slots, the views, a blob ----------------------------------------------------


def read_header(row: bytes) -> dict[str, Any]:
    try:
        header = unpack(row)
        form = header["format"]
    except (ValueError, KeyError, TypeError):
        raise Refused("record.malformed") from None
    if form != 1:
        raise Refused("format.unknown")
    fields = {"format", "store_id", "root_epoch", "slot", "root_commitment", "next_leaf_node"}
    if (
        set(header) != fields
        or len(header["store_id"]) != 16
        or len(header["root_commitment"]) != 32
        or header["slot"] not in (0, 1)
        or not 0 <= header["next_leaf_node"] <= 64**4
        or not 0 <= header["root_epoch"] < 1 << 63
    ):
        raise Refused("record.malformed")
    return dict(header)


def root_fits(header: dict[str, Any], root: bytes) -> bool:
    salt = header["store_id"] + struct.pack(">QB", header["root_epoch"], header["slot"])
    return bool(derive(root, salt, b"root-commitment")[1] == header["root_commitment"])


def open_node(store_id: bytes, level: int, index: int, key: bytes, row: bytes) -> dict[str, Any]:
    bound = b"muniment/keyring/v1/" + store_id + struct.pack(">BQ", level, index)
    text = open_salted(key, b"node", bound, row)
    if len(text) != 2064:
        raise Refused("seal.broken")
    present, destroyed = struct.unpack(">QQ", text[:16])
    if present & destroyed:
        raise Refused("seal.broken")
    keys = {
        child: text[16 + 32 * child :][:32].hex() for child in range(64) if present >> child & 1
    }
    return {
        "keys": {str(child): key for child, key in keys.items()},
        "destroyed": [child for child in range(64) if destroyed >> child & 1],
    }


def open_slot(slot: bytes, passphrase: bytes | None) -> bytes:
    if not 42 <= len(slot) <= 4096 or not slot.startswith(b"MUNIROOT"):
        raise Refused("root.damaged")
    if slot[8] != 1:
        raise Refused("format.unknown")
    if sha256(slot[:-32]) != slot[-32:]:
        raise Refused("root.damaged")
    kind, body = slot[9], slot[10:-32]
    if passphrase is None:
        if kind == 2:
            raise Refused("root.locked")
        if kind != 1 or len(body) != 32:
            raise Refused("root.damaged")
        return body
    if kind == 1:
        raise Refused("root.wrong")
    iterations, lanes, memory, salt = struct.unpack(">III16s", body[:28])
    if not (1 <= iterations <= 16 and 1 <= lanes <= 16 and 8 * lanes <= memory <= 1 << 20):
        raise Refused("root.damaged")
    kek = Argon2id(
        salt=salt, length=32, iterations=iterations, lanes=lanes, memory_cost=memory
    ).derive(passphrase)
    try:
        return open_salted(kek, b"root-slot", body[:28], body[28:])
    except Refused as refusal:
        code = "root.wrong" if str(refusal) == "seal.wrong-key" else "root.damaged"
        raise Refused(code) from None


def view_place(
    index_key: bytes, table: int, owner: bytes, order: bytes, in_runs: bool = False
) -> bytes:
    hashed = hmac.digest(index_key, owner, "sha256")[:16]
    if in_runs:
        run = int.from_bytes(order, "big") // 2048
        return b"\xff" * 8 + run.to_bytes(8, "big") + bytes((table,)) + hashed + order
    return hashed + bytes((table,)) + order


MARKS = (13, 14, 17, 18, 19, 20, 22, 28)


def open_view_row(view_key: bytes, place: bytes, sealed: bytes) -> list[Any]:
    if place[16] in MARKS:
        if sealed:
            raise Refused("view.corrupt")
        return []
    try:
        padded = AESGCMSIV(view_key).decrypt(sealed[:12], sealed[12:], place)
        if len(padded) % 64:
            raise Refused("view.corrupt")
        row: list[Any] = unpack(padded.rstrip(b"\0").removesuffix(b"\x80"))
    except (InvalidTag, ValueError):
        raise Refused("view.corrupt") from None
    return row


def open_blob(blob: bytes, store_id: bytes, key: bytes) -> dict[str, Any]:
    if len(blob) < 48 or blob[:8] != b"MNMBKP\0\1":
        raise Refused("backup.invalid")
    if blob[8:24] != store_id:
        raise Refused("backup.foreign")
    try:
        payload = unpack(open_salted(key, b"backup", blob[:48], blob[48:]))
    except (Refused, ValueError):
        raise Refused("backup.invalid") from None
    return {
        "name": payload["name"],
        "versions": payload["versions"],
        "origin": blob[24:40].hex(),
        "backup_key": int.from_bytes(blob[40:48], "big"),
    }


# --- the auditor's key, grants, and a log in a file ---------------------------------------------


def read_auditor_key(text: str) -> bytes:
    letters = re.sub(r"[\s-]", "", text).upper().translate(str.maketrans("OIL", "011"))
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    if not letters.startswith("MNA1") or len(letters) != 60 or set(letters) - set(alphabet):
        raise Refused("auditor-key.invalid")
    bits = "".join(f"{alphabet.index(letter):05b}" for letter in letters[4:])
    raw = int(bits, 2).to_bytes(35, "big")
    if auditor_fingerprint(raw[:32])[:3] != raw[32:]:
        raise Refused("auditor-key.invalid")
    return raw[:32]


def auditor_fingerprint(public: bytes) -> bytes:
    return sha256(b"muniment/auditor/v1\0", public)


def open_auditor_file(file: bytes, passphrase: bytes) -> bytes:
    if not file.startswith(b"MUNIAUDT\1") or sha256(file[:-32]) != file[-32:]:
        raise Refused("auditor-key.damaged")
    head, body = file[:10], file[10:-32]
    if head[9:] == b"\1" and len(body) == 32:
        return body
    if head[9:] != b"\2":
        raise Refused("auditor-key.damaged")
    if not passphrase:
        raise Refused("auditor-key.locked")
    salt, sealed = body[:16], body[16:]
    key = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=65536)
    try:
        return open_salted(key.derive(passphrase), b"auditor-key", head + salt, sealed)
    except Refused as refusal:
        wrong = str(refusal) == "seal.wrong-key"
        raise Refused("auditor-key.wrong" if wrong else "auditor-key.damaged") from None


_KEM, _HPKE = b"KEM\0\x20", b"HPKE\0\x20\0\1\0\2"


def _extract(suite: bytes, salt: bytes, label: bytes, key: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + suite + label + key, "sha256")


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, size: int) -> bytes:
    # RFC 9180, section 4; one block of HKDF-SHA256 is enough for all that is asked.
    told = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, told + b"\1", "sha256")[:size]


def hpke_open(private: bytes, info: bytes, sealed: bytes) -> bytes:
    """RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; one message."""
    key, enc = X25519PrivateKey.from_private_bytes(private), sealed[:32]
    shared = key.exchange(X25519PublicKey.from_public_bytes(enc))
    public = key.public_key().public_bytes_raw()
    prk = _extract(_KEM, b"", b"eae_prk", shared)
    secret = _expand(_KEM, prk, b"shared_secret", enc + public, 32)
    context = b"\0" + _extract(_HPKE, b"", b"psk_id_hash", b"")
    context += _extract(_HPKE, b"", b"info_hash", info)
    prk = _extract(_HPKE, secret, b"secret", b"")
    nonce = _expand(_HPKE, prk, b"base_nonce", context, 12)
    return AESGCM(_expand(_HPKE, prk, b"key", context, 32)).decrypt(nonce, sealed[32:], b"")


def open_grant(private: bytes, file: bytes) -> dict[str, Any]:
    size = int.from_bytes(file[9:13], "big")
    clear, sealed = file[: 13 + size], file[13 + size :]
    try:
        if not file.startswith(b"MNMGRANT\1") or size > 1024:
            raise ValueError
        _, grant_id, at, fingerprint, start, stop, *parts = unpack(clear[13:])
        if start > stop or any(first > last for _, first, last in parts):
            raise ValueError
        public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
        if auditor_fingerprint(public) != fingerprint:
            raise Refused("grant.other-key")
        vault, label, *held = unpack(hpke_open(private, b"muniment/grant/v1\0" + clear, sealed))
        told = {"grant": grant_id.hex(), "at": at, "period": [start, stop]}
        told |= {"vault": vault, "label": label}
        for kind, part, (note, keys) in zip(("changes", "access"), parts, held, strict=True):
            if len(keys) != 32 * (part[2] - part[1]):
                raise ValueError
            told[kind] = [part[1], part[2], keys.hex(), note]
    except (ValueError, InvalidTag):
        raise Refused("grant.invalid") from None
    return told


def open_granted(kind: str, log_id: bytes, row: bytes, key: bytes) -> dict[str, Any]:
    leaf, _, envelope = split_row(kind, row)
    position, time, root, *_ = read_leaf(leaf)
    _, meta, _ = read_envelope(envelope)
    keys = expand(key, b"meta")
    text = open_under(keys, leaf[:2] + log_id + leaf[2:18], meta)
    if fields_root([sha256(b"\0", entry) for entry in field_entries(text, keys[2])]) != root:
        raise Refused("seal.broken")
    context, event, _ = unpack(text)
    return {"position": position, "time": time, "context": context, "event": event}


def read_log_file(file: bytes) -> dict[str, Any]:
    if not file.startswith(b"MUNILOGF"):
        raise Refused("verify.record-altered")
    if file[8] != 1:
        raise Refused("format.unknown")
    parts, rest = [], file[9:]
    while rest:
        size = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + size or not size:
            raise Refused("verify.record-altered")
        parts.append(rest[4 : 4 + size])
        rest = rest[4 + size :]
    if len(parts) != 4 + read_head(parts[1])[0]:
        raise Refused("verify.record-altered")
    rows = [[at.to_bytes(8, "big").hex(), row.hex()] for at, row in enumerate(parts[4:])]
    names = dict(zip(("identity", "head", "epochs"), (part.hex() for part in parts), strict=False))
    return {**names, "checkpoint": parts[3].decode(), "records": rows, "trusted": None, "kept": []}


# --- what each kind of vector asks ----------------------------------------------------------------


def _hex(given: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(given[name])


def _open_record(given: dict[str, Any]) -> dict[str, Any]:
    kind, log_id, row = given["kind"], _hex(given, "log_id"), _hex(given, "row")
    (context, event, number), text, seed = open_metadata(
        kind, log_id, row, _hex(given, "audit_key")
    )
    leaf, signature, _ = split_row(kind, row)
    position, time, root, _, _ = read_leaf(leaf)
    assert fields_root([sha256(b"\0", entry) for entry in field_entries(text, seed)]) == root
    content = None
    if given["content_key"]:
        content = open_content(kind, log_id, row, _hex(given, "content_key"))
    signed = None
    if given["verifier"]:
        public = read_verifier(given["verifier"])[2]
        signed = verifies(public, signature, b"muniment/event/v1\0" + log_id + leaf)
    return {
        "position": position,
        "time": time,
        "context": context,
        "event": _plain(event),
        "content_key": number,
        "content": content,
        "signed": signed,
        "leaf_hash": sha256(b"\0", leaf).hex(),
    }


def _leaf(given: dict[str, Any]) -> dict[str, Any]:
    position, time, *hashes = read_leaf(_hex(given, "leaf"))
    names = ("fields_root", "envelope_hash", "key_commitment")
    told = dict(zip(names, [one.hex() for one in hashes], strict=True))
    return {"position": position, "time": time, **told}


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    entries = field_entries(_hex(given, "metadata"), _hex(given, "seed"))
    root = fields_root([sha256(b"\0", entry) for entry in entries])
    return {"entries": [entry.hex() for entry in entries], "root": root.hex()}


def _opening(given: dict[str, Any]) -> dict[str, Any]:
    """One field shown to an outsider: he checks that the leaf commits to it."""
    entry, hashes = _hex(given, "entry"), [bytes.fromhex(one) for one in given["hashes"]]
    hashes[given["field"]] = sha256(b"\0", entry)
    if fields_root(hashes) != read_leaf(_hex(given, "leaf"))[2]:
        raise Refused("proof.invalid")
    name, _, value = entry[16:].partition(b"\0")
    return {"field": name.decode(), "value": unpack(value)}


def _inclusion(given: dict[str, Any]) -> str:
    path = [bytes.fromhex(one) for one in given["path"]]
    leaf_hash = sha256(b"\0", _hex(given, "entry"))
    return root_from_path(given["position"], given["size"], leaf_hash, path).hex()


def _head(given: dict[str, Any]) -> dict[str, Any]:
    size, time, frontier = read_head(_hex(given, "row"))
    return {"size": size, "time": time, "root": _root_of(frontier).hex()}


def _identity(given: dict[str, Any]) -> dict[str, Any]:
    kind, log_id = read_identity(_hex(given, "row"))
    return {"kind": kind, "origin": f"muniment/{log_id.hex()}/{kind}"}


def _epochs(given: dict[str, Any]) -> dict[str, Any]:
    kind, log_id = read_identity(_hex(given, "identity"))
    signing = read_epochs(_hex(given, "row"))
    check_chain(f"muniment/{log_id.hex()}/{kind}", signing)
    return {"signing": [one[:2] for one in signing]}


def _numbers(given: dict[str, Any]) -> dict[str, Any]:
    public = [_hex(given, name) for name in ("identity", "head", "epochs")]
    signing, audit, behind = read_numbers(_hex(given, "row"), public, _hex(given, "signing_key"))
    return {"signing": signing, "audit": audit, "behind": behind}


def _checkpoint(given: dict[str, Any]) -> dict[str, Any]:
    origin, size, root = read_checkpoint(given["note"])
    return {"origin": origin, "size": size, "root": root.hex()}


def _verifier(given: dict[str, Any]) -> dict[str, Any]:
    name, key_id, public = read_verifier(given["line"])
    return {"name": name, "key_id": key_id.hex(), "public": public.hex()}


def _verify(given: dict[str, Any]) -> str:
    rows = (_hex(given, "identity"), _hex(given, "head"), _hex(given, "epochs"))
    records = [(bytes.fromhex(key), bytes.fromhex(row)) for key, row in given["records"]]
    return verify(rows, records, given["checkpoint"], given["kept"], given["trusted"]).hex()


def _header(given: dict[str, Any]) -> dict[str, Any]:
    header = read_header(_hex(given, "row"))
    told = {key: one.hex() if isinstance(one, bytes) else one for key, one in header.items()}
    return {**told, "fits": root_fits(header, _hex(given, "root"))}


def _node(given: dict[str, Any]) -> dict[str, Any]:
    level, index = given["place"]
    return open_node(_hex(given, "store_id"), level, index, _hex(given, "key"), _hex(given, "row"))


def _slot(given: dict[str, Any]) -> str:
    passphrase = given["passphrase"]
    return open_slot(_hex(given, "slot"), passphrase.encode() if passphrase else None).hex()


def _plain(value: Any) -> Any:
    """Bytes inside what was decoded, as base64: JSON has none."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _view_row(given: dict[str, Any]) -> dict[str, Any]:
    owner, order = _hex(given, "owner"), _hex(given, "order")
    place = view_place(_hex(given, "index_key"), given["table"], owner, order, given["in_runs"])
    row = open_view_row(_hex(given, "view_key"), place, _hex(given, "row"))
    return {"place": place.hex(), "row": _plain(row)}


def _seal(given: dict[str, Any]) -> str:
    label, bound = given["label"].encode(), _hex(given, "bound")
    return open_salted(_hex(given, "key"), label, bound, _hex(given, "sealed")).hex()


def _granted_record(given: dict[str, Any]) -> dict[str, Any]:
    parts = (_hex(given, name) for name in ("log_id", "row", "key"))
    told: dict[str, Any] = _plain(open_granted(given["kind"], *parts))
    return told


def _auditor_key(given: dict[str, Any]) -> dict[str, Any]:
    public = read_auditor_key(given["text"])
    return {"public": public.hex(), "fingerprint": auditor_fingerprint(public).hex()}


def _auditor_file(given: dict[str, Any]) -> str:
    return open_auditor_file(_hex(given, "file"), given["passphrase"].encode()).hex()


READERS = {
    "grant": lambda given: open_grant(_hex(given, "private"), _hex(given, "file")),
    "granted-record": _granted_record,
    "auditor-key": _auditor_key,
    "auditor-file": _auditor_file,
    "log-file": lambda given: _verify(read_log_file(_hex(given, "file"))),
    "seal": _seal,
    "record": _open_record,
    "leaf": _leaf,
    "fields": _fields,
    "opening": _opening,
    "root": lambda given: tree_root([bytes.fromhex(one) for one in given["leaves"]]).hex(),
    "inclusion": _inclusion,
    "identity": _identity,
    "head": _head,
    "epochs": _epochs,
    "numbers": _numbers,
    "verifier": _verifier,
    "note": lambda given: open_note(given["note"], given["verifier"]),
    "checkpoint": _checkpoint,
    "verify": _verify,
    "header": _header,
    "node": _node,
    "slot": _slot,
    "view-row": _view_row,
    "backup": lambda given: open_blob(
        _hex(given, "blob"), _hex(given, "store_id"), _hex(given, "key")
    ),
}


def outcome(what: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the bytes say, or the code that refuses them."""
    try:
        return {"gives": READERS[what](given)}
    except Refused as refusal:
        return {"refused": str(refusal)}
