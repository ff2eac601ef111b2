"""Write the golden vectors, from fixed keys, salts and times.  One file, one outcome.

    python tests/vectors/make.py

A file that is there already is never rewritten: a vector of a release says what that release wrote,
for ever.  If this script would now write it otherwise, the format has changed, and it says so.
A vector is a JSON object: *about*, one sentence; *what* it is of; what is *given*, bytes in hex; and
the *outcome*, either what the bytes give or the code that refuses them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from msgspec.structs import replace

from eventstore import (
    auditor,
    checkpoint,
    events,
    grant,
    head,
    keyheader,
    keytree,
    merkle,
    record,
    rule_events,
    seal,
)
from eventstore.checkpoint import Signer
from eventstore.event import Context, Event, SecretContent
from eventstore.record import ACCESS, CHANGES, Draft, Kind, Sealing
from projections import rows
from projections.late import LateViews
from projections.sealer import Sealer
from vault import backup

FILES = Path(__file__).parent / "v1"


class Vector(NamedTuple):
    name: str
    about: str
    what: str
    given: dict[str, Any]
    outcome: dict[str, Any]


def noise(label: str, size: int = 32) -> bytes:
    """Fixed bytes that look like nothing."""
    return hashlib.shake_256(b"muniment vectors " + label.encode()).digest(size)


AUDIT, CONTENT, OTHER = noise("audit key"), noise("content key"), noise("another key")
LOG_ID, ACCESS_ID, STORE_ID = noise("changes", 16), noise("access", 16), noise("store", 16)
ORIGINS = {
    "changes": f"muniment/{LOG_ID.hex()}/changes",
    "access": f"muniment/{ACCESS_ID.hex()}/access",
}
FIRST = Signer(ORIGINS["changes"], noise("signing key 1"))
SECOND = Signer(ORIGINS["changes"], noise("signing key 2"))
STRANGER = Signer(ORIGINS["changes"], noise("a stranger's signing key"))
READER = Signer(ORIGINS["access"], noise("signing key of access"))
TIME = 1_790_000_000_000_000
VERSION = "0123456789abcdef" * 2


def gives(value: Any) -> dict[str, Any]:
    return {"gives": value}


def refused(code: str) -> dict[str, Any]:
    return {"refused": code}


def hexed(parts: Any) -> list[str]:
    return [part.hex() for part in parts]


# --- seals --------------------------------------------------------------------------------------


def seals() -> Iterator[Vector]:
    def vector(
        name: str, about: str, sealed: bytes, outcome: dict[str, Any], **other: str
    ) -> Vector:
        given = {
            "key": AUDIT.hex(),
            "label": "backup",
            "bound": b"what it is bound to".hex(),
            "sealed": sealed.hex(),
        }
        return Vector(f"seal-{name}", about, "seal", {**given, **other}, outcome)

    bound, salt = b"what it is bound to", noise("salt")
    text = "a secret, \N{KEY}".encode()
    whole = seal.seal(AUDIT, salt, b"backup", bound, text)
    yield vector("opens", "A seal opens to its text.", whole, gives(text.hex()))
    for size in (0, 255, 256, 2047, 2048, 4095, 25_600):
        long = noise("text", size)
        sealed = seal.seal(AUDIT, salt, b"backup", bound, long)
        yield vector(
            f"{size}-bytes",
            f"A text of {size} bytes is padded to its bucket and comes back.",
            sealed,
            gives(long.hex()),
        )
    yield vector(
        "wrong-key",
        "Another key has another commitment.",
        whole,
        refused("seal.wrong-key"),
        key=OTHER.hex(),
    )
    yield vector(
        "wrong-label", "So has another label.", whole, refused("seal.wrong-key"), label="meta"
    )
    yield vector(
        "bound-elsewhere",
        "A seal does not open where it was not made for.",
        whole,
        refused("seal.broken"),
        bound=b"something else".hex(),
    )
    broken = whole[:70] + bytes((whole[70] ^ 1,)) + whole[71:]
    yield vector("bit", "One bit of the ciphertext is flipped.", broken, refused("seal.broken"))
    yield vector("cut", "The last byte is missing.", whole[:-1], refused("seal.broken"))
    yield vector("short", "There is not even a tag.", whole[:70], refused("seal.broken"))
    for name, about, padded in (
        ("no-padding", "The end mark is missing.", bytes(256)),
        (
            "padding-too-long",
            "The bucket is larger than the text asks for.",
            b"\x80".ljust(512, b"\0"),
        ),
        (
            "padding-too-short",
            "The bucket is smaller than the text asks for.",
            b"a\x80" + bytes(100),
        ),
        (
            "padding-not-zero",
            "Something stands after the end mark.",
            b"a\x80".ljust(255, b"\0") + b"\1",
        ),
    ):
        keys = seal.derive(AUDIT, salt, b"backup")
        ciphertext = AESGCM(keys.encryption).encrypt(bytes(12), padded, bound + keys.commitment)
        yield vector(name, about, salt + keys.commitment + ciphertext, refused("seal.broken"))


# --- records ------------------------------------------------------------------------------------

_NAMED = {
    "name": "db-password",
    "version": VERSION,
    "retention_days": 90,
    "purge_protection": False,
    "administrators": ("alice@example.com",),
    "first_key": 6,
    "object_id": "bob@example.com",
    "changed": ("enabled", "tags"),
    "scheduled_purge": 1_797_776_000,
    "key": 9,
    "backup_key": 11,
    "versions": 2,
    "origin": LOG_ID.hex(),
    "created": 1_789_000_000,
    "updated": 1_789_500_000,
    "root_epoch": 3,
    "provider": "file",
    "assurance": "the old root key's file was overwritten",
    "keys": (9, 11),
    "verifier": str(SECOND.verifier),
    "retired": 0,
    "observed": TIME - 9_000_000,
    "last": TIME - 1,
    "at": 300,
    "count": 70_000,
    "what": "settings",
    "changes": 300,
    "access": 70_000,
    "operation": "secret.read",
    "to": 200,
    "names": 2,
    "instance": LOG_ID.hex(),
    "change": "client-added",
    "since": 1_789_500_000,
    "grant": LOG_ID.hex(),
    "auditor": noise("the auditor's key").hex(),
    "start": TIME - 90_000_000,
    "stop": TIME - 1,
    "digest": noise("a manifest").hex(),
    "resource_id": "/subscriptions/8fc8/resourceGroups/muniment/providers/Microsoft.Storage"
    "/storageAccounts/shop",
    "account_name": "shop",
    "active_key": "key1",
    "auto_regenerate": True,
    "key_prints": {"key1": b"\x01" * 8, "key2": b"\x02" * 8},
    "key_name": "key2",
    "reason": "provider.refused",
    "definitions": 1,
    "sas": "readonly",
    "sas_type": "account",
    "period": 14_400,
    "account": "shop",
    "expires": 1_790_014_400,
}
_NETWORK = (
    "/subscriptions/8fc84c0a-3bd7-4a3e-9f8c-1d2e3f405162/resourceGroups/muniment"
    "/providers/Microsoft.Network/virtualNetworks/office"
)
_WHOLE: dict[str, dict[str, Any]] = {
    "secret.set": {
        "enabled": False,
        "nbf": 1_700_000_000,
        "exp": 5_000_000_000,
        "value_print": b"\x01" * 8,
        "content_print": b"\x02" * 8,
    },
    "secret.updated": {"content_print": b"\x03" * 8},
    "secret.restored": {"backup_key": 11},
    "secret.read": {"as_of": 200},
    "policy.set": {"secrets": ("get", "list"), "storage": ("get",)},
    "secret.purged": {"backups": (11, 70_000)},
    "keys.erased": {"open_backups": (11,), "runs": ((9, 63), (70_000, 70_063))},
    "signing-key.rotated": {"also": (2,)},
    "request.refused": {"name": "db-password", "version": VERSION},
    "requests.turned-away": {"unauthenticated": 12, "throttled": 3},
    "identity.changed": {"client": "shop-app", "object_id": "bob@example.com"},
    "audit.granted": {"changes": (3, 5), "access": (0, 70_000), "label": "Q3"},
    "evidence.packaged": {"changes": (3, 5), "access": (70_000, 70_000)},
    "vault.restored": {"origin": LOG_ID.hex()},
    "vault.created": {
        "resource_group": "muniment",
        "location": "local",
        "vault_tags": {"team": "shop"},
        "enabled_for": ("deployment",),
    },
    "vault.updated": {"sku": "premium", "vault_tags": {"team": "shop"}},
    "vault.purged": {"keys": ((9, 63), (70_000, 70_063)), "open_backups": (11,)},
    "policy.deleted": {"application_id": "8fc84c0a-3bd7-4a3e-9f8c-1d2e3f405162"},
    "boundary.set": {
        "default_action": "Deny",
        "ip_rules": ("203.0.113.0/24", "198.51.100.7/32"),
        "subnet_rules": (
            rule_events.SubnetRule(id=f"{_NETWORK}/subnets/web", ignore_missing=True),
        ),
        "allow_private_ranges": True,
        "networks": (
            rule_events.VirtualNetwork(
                id=_NETWORK,
                subnets=(rule_events.Subnet(name="web", ranges=("10.1.0.0/16",), vlan=12),),
            ),
        ),
        "trusted_services": (rule_events.TrustedService(service="backup", object_id="robot"),),
    },
    "history.read": {"name": "db-password", "what": "blame"},
    "storage-account.set": {"name": "shop", "period": 7_776_000, "enabled": False},
    "storage-account.updated": {"name": "shop", "period": 7_776_000},
    "storage-account.purged": {"name": "shop", "backups": (11,)},
    "storage-account.restored": {"name": "shop", "period": 7_776_000},
    "storage-key.regenerating": {"name": "shop", "automatic": True},
    "storage-key.regenerated": {"name": "shop", "active_key": "key2", "automatic": True},
    "storage-keys.synced": {"name": "shop", "drifted": ("key2",)},
    "sas-definition.set": {"name": "shop", "content_print": b"\x04" * 8},
    "sas-definition.updated": {"name": "shop", "changed": ("template",)},
    "sas-definition.restored": {"name": "shop", "enabled": False},
    "sas-token.issued": {"name": "shop-readonly"},
}
_WITH_KEYS = ("storage-account.set", "storage-account.restored")
_WITH_KEYS_ALONE = ("storage-key.regenerated", "storage-keys.synced")
_WITH_TAGS = ("secret.updated", "storage-account.updated")
_WITH_TEMPLATE = ("sas-definition.set", "sas-definition.updated", "sas-definition.restored")
_WITH_VALUE = ("secret.set", "secret.version-restored")


def event_of(kind: Any) -> Event:
    """An event of that type with every field that must be there, and those of `_WHOLE`."""
    info: Any = msgspec.inspect.type_info(kind)
    required = {one.name: _NAMED[one.name] for one in info.fields if one.required}
    return kind(**{**required, **_WHOLE.get(info.tag, {})})


def tag_of(kind: type[Event]) -> str:
    tag: str = msgspec.inspect.type_info(kind).tag  # type: ignore[attr-defined]
    return tag


def context_of(kind: Kind, tag: str) -> Context:
    outcome = "access.denied" if tag == "request.refused" else "ok"
    cause = 2 if tag == "keys.erased" else None
    return Context(
        principal="alice@example.com",
        auth="token",
        rule="" if outcome != "ok" else "policy #1",
        outcome=outcome,
        address="192.0.2.7" if kind is ACCESS else "",
        request="9e1f" if tag == "secret.set" else "",
        cause=cause,
    )


def built(kind: Kind, event: Event, position: int = 5, time: int = TIME) -> bytes:
    tag = tag_of(type(event))
    content = None
    if tag in _WITH_VALUE:
        content = SecretContent(value="s3cret", content_type="text/plain", tags={"env": "prod"})
    elif tag in _WITH_TAGS:
        content = SecretContent(tags={"env": "prod"})
    elif tag in _WITH_KEYS:
        content = SecretContent(tags={"env": "prod"}, keys={"key1": "a2V5MQ==", "key2": "a2V5Mg=="})
    elif tag in _WITH_KEYS_ALONE:
        content = SecretContent(keys={"key1": "a2V5MQ==", "key2": "a2V5Mw=="})
    elif tag in _WITH_TEMPLATE:
        content = SecretContent(tags={"env": "prod"}, template="sv=2018-11-09&ss=b&srt=o&sp=r")
    draft = Draft(context_of(kind, tag), event, content, 9 if content else None)
    keys = Sealing(
        AUDIT, CONTENT if content else None, FIRST if kind.signed else None, noise(f"salt {tag}")
    )
    log_id = LOG_ID if kind.signed else ACCESS_ID
    return record.build(kind, log_id, position, time, draft, keys).row


def opened(kind: Kind, row: bytes) -> dict[str, Any]:
    """What a record says, through the decoder that is released with it."""
    log_id = LOG_ID if kind.signed else ACCESS_ID
    split = record.split(kind, row)
    entry = record.open_entry(kind, log_id, split, AUDIT)
    content = None
    if entry.content_key is not None:
        opened_content = record.open_content(kind, log_id, split, CONTENT)
        content = msgspec.to_builtins(opened_content)
    return {
        "position": entry.position,
        "time": entry.time,
        "context": msgspec.to_builtins(entry.context),
        "event": msgspec.to_builtins(entry.event),
        "content_key": entry.content_key,
        "content": content,
        "signed": True if kind.signed else None,
        "leaf_hash": merkle.leaf_hash(split.leaf).hex(),
    }


def given_record(kind: Kind, row: bytes, content: bool = False) -> dict[str, Any]:
    return {
        "kind": kind.name,
        "log_id": (LOG_ID if kind.signed else ACCESS_ID).hex(),
        "audit_key": AUDIT.hex(),
        "content_key": CONTENT.hex() if content else "",
        "verifier": str(FIRST.verifier) if kind.signed else "",
        "row": row.hex(),
    }


def records() -> Iterator[Vector]:
    for kind, union in ((CHANGES, events.Change), (ACCESS, events.Access)):
        for event_type in union.__args__:
            tag = tag_of(event_type)
            row = built(kind, event_of(event_type))
            told = opened(kind, row)
            given = given_record(kind, row, told["content"] is not None)
            yield Vector(
                f"record-{kind.name}-{tag}",
                f"{event_type.__name__} in {kind.name}.",
                "record",
                given,
                gives(told),
            )
    from_vault = events.SecretRestored(name="db-password", versions=2, origin=LOG_ID.hex())
    row = built(CHANGES, from_vault)
    yield Vector(
        "record-changes-secret.restored-from-a-vault",
        "SecretRestored in changes, from a point of another vault: there is no backup key.",
        "record",
        given_record(CHANGES, row),
        gives(opened(CHANGES, row)),
    )
    yield from broken_records()


def broken_records() -> Iterator[Vector]:
    def vector(name: str, about: str, row: bytes, code: str, **other: str) -> Vector:
        given = {**given_record(CHANGES, row, content=True), **other}
        return Vector(f"record-{name}", about, "record", given, refused(code))

    row = built(CHANGES, event_of(events.SecretSet))
    leaf, rest = row[:114], row[114:]
    moved = leaf[:2] + struct.pack(">Q", 6) + leaf[10:] + rest
    later = leaf[:10] + struct.pack(">Q", TIME + 1) + leaf[18:] + rest
    yield vector("moved", "A record put at another position does not open.", moved, "seal.broken")
    yield vector("dated", "Nor does one with another time.", later, "seal.broken")
    yield vector(
        "of-another-log",
        "Nor does one in another log.",
        row,
        "seal.broken",
        log_id=noise("another log", 16).hex(),
    )
    yield vector(
        "wrong-audit-key",
        "Another audit key opens nothing.",
        row,
        "seal.wrong-key",
        audit_key=OTHER.hex(),
    )
    yield vector(
        "wrong-content-key",
        "Another secret's key opens no content.",
        row,
        "seal.wrong-key",
        content_key=OTHER.hex(),
    )
    yield vector("format-2", "An unknown format is refused.", b"\2" + row[1:], "format.unknown")
    yield vector(
        "suite-2", "An unknown suite is refused.", row[:1] + b"\2" + row[2:], "format.unknown"
    )
    envelope = record.split(CHANGES, row).envelope
    schema = row[:178] + b"\x94\x02" + envelope[2:]
    yield vector("schema-2", "An unknown schema is refused.", schema, "format.unknown")
    yield vector("short", "A record is cut in its signature.", row[:150], "record.malformed")
    yield vector("envelope-cut", "An envelope is cut.", row[:-1], "record.malformed")
    for name, about, event in (
        ("tag-unknown", "An unknown event is refused.", {"type": "secret.teleported", "name": "a"}),
        (
            "field-unknown",
            "So is an event with an unknown field.",
            {"type": "secret.recovered", "name": "a", "colour": "red"},
        ),
    ):
        text = msgspec.msgpack.encode([{"principal": "a", "auth": "b"}, event, None])
        keys = seal.derive(AUDIT, noise("salt"), b"meta")
        bound = leaf[:2] + LOG_ID + leaf[2:18]
        meta = seal.seal_with(keys, bound, text)
        forged = row[:178] + msgspec.msgpack.encode([1, noise("salt"), meta, None])
        yield vector(name, about, forged, "event.unknown")


def leaves_and_fields() -> Iterator[Vector]:
    row = built(CHANGES, event_of(events.SecretSet))
    leaf = row[:114]
    read = record.read_leaf(leaf)
    told = {
        "position": read.position,
        "time": read.time,
        "fields_root": read.fields_root.hex(),
        "envelope_hash": read.envelope_hash.hex(),
        "key_commitment": read.key_commitment.hex(),
    }
    yield Vector("leaf", "A leaf is 114 bytes.", "leaf", {"leaf": leaf.hex()}, gives(told))
    for name, about, bytes_, code in (
        ("leaf-short", "One byte is missing.", leaf[:-1], "record.malformed"),
        ("leaf-format-0", "Format 0 never was.", b"\0" + leaf[1:], "format.unknown"),
    ):
        yield Vector(name, about, "leaf", {"leaf": bytes_.hex()}, refused(code))
    met = record.open_meta(CHANGES, LOG_ID, record.split(CHANGES, row), AUDIT)
    entries = record.field_entries(met.meta, met.seed)
    yield Vector(
        "fields",
        "The salted fields of a record's metadata, and the root that its leaf holds.",
        "fields",
        {"metadata": met.meta.hex(), "seed": met.seed.hex()},
        gives({"entries": hexed(entries), "root": read.fields_root.hex()}),
    )
    hashes = [record.field_hash(entry) for entry in entries]
    at = next(at for at, entry in enumerate(entries) if b"event.name\0" in entry)
    given = {
        "leaf": leaf.hex(),
        "entry": entries[at].hex(),
        "field": at,
        "hashes": hexed(hashes),
    }
    yield Vector(
        "fields-opening",
        "One field is shown to an outsider, who learns nothing of the others.",
        "opening",
        given,
        gives({"field": "event.name", "value": "db-password"}),
    )
    other = entries[at].replace(b"db-password", b"db-passw0rd")
    yield Vector(
        "fields-opening-forged",
        "Another value does not lead to the leaf's root.",
        "opening",
        {**given, "entry": other.hex()},
        refused("proof.invalid"),
    )


# --- the tree: the vectors of certificate-transparency, which test RFC 6962 ------------------------

CT_LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
CT_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
CT_PROOFS = (
    (0, 1, ()),
    (
        0,
        8,
        (
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ),
    ),
    (
        5,
        8,
        (
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ),
    ),
    (2, 3, ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",)),
    (
        1,
        5,
        (
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ),
    ),
)


def trees() -> Iterator[Vector]:
    for size, root in enumerate(CT_ROOTS):
        yield Vector(
            f"tree-root-{size}",
            f"The first {size} leaves of certificate-transparency's tests.",
            "root",
            {"leaves": list(CT_LEAVES[:size])},
            gives(root),
        )
    for position, size, path in CT_PROOFS:
        given: dict[str, Any] = {
            "entry": CT_LEAVES[position],
            "position": position,
            "size": size,
            "path": list(path),
        }
        about = f"Leaf {position} of {size}, from certificate-transparency's tests."
        yield Vector(
            f"proof-{position}-of-{size}", about, "inclusion", given, gives(CT_ROOTS[size])
        )
    position, size, path = CT_PROOFS[1]
    given = {"entry": "", "position": position, "size": size}
    for name, steps in (("short", path[:-1]), ("long", (*path, path[0]))):
        about = f"A path that is too {name}."
        steps_given = {**given, "path": list(steps)}
        yield Vector(f"proof-too-{name}", about, "inclusion", steps_given, refused("proof.invalid"))
    outside = {**given, "position": 8, "path": list(path)}
    about = "A position outside of the tree."
    yield Vector("proof-outside", about, "inclusion", outside, refused("proof.invalid"))


# --- text: notes, checkpoints, keys ---------------------------------------------------------------

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    GO_TEXT
    + "\n\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2"
    "pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def notes() -> Iterator[Vector]:
    def note(name: str, about: str, text: str, key: str, outcome: dict[str, Any]) -> Vector:
        return Vector(f"note-{name}", about, "note", {"note": text, "verifier": key}, outcome)

    invalid = refused("checkpoint.signature-invalid")
    own = checkpoint.sign_checkpoint(7, noise("root"), FIRST)
    key = str(FIRST.verifier)
    yield note(
        "go", "The note of Go's golang.org/x/mod/sumdb/note.", GO_NOTE, GO_KEY, gives(GO_TEXT)
    )
    altered = GO_NOTE.replace("know what", "know why")
    yield note("go-altered", "The same with a word changed.", altered, GO_KEY, invalid)
    yield note(
        "other-key", "A note by another key of that name.", own, str(STRANGER.verifier), invalid
    )
    line = checkpoint.signature_line(STRANGER.verifier, b"\0" * 64)
    yield note(
        "cosigned",
        "Signatures by unknown keys are passed over.",
        own + line,
        key,
        gives(own.partition("\n\n")[0] + "\n"),
    )
    malformed = refused("checkpoint.malformed")
    yield note("unsigned", "There is no signature line.", GO_TEXT, GO_KEY, malformed)
    yield note("no-newline", "The last newline is missing.", GO_NOTE[:-1], GO_KEY, malformed)
    hyphen = GO_NOTE.replace("\N{EM DASH}", "-")
    yield note("hyphen", "A hyphen stands for the em dash.", hyphen, GO_KEY, malformed)

    name, key_id, public = FIRST.verifier.name, FIRST.verifier.key_id, FIRST.verifier.public
    told = {"name": name, "key_id": key_id.hex(), "public": public.hex()}
    yield Vector("verifier", "A verifier key line.", "verifier", {"line": key}, gives(told))
    go = {
        "name": "PeterNeumann",
        "key_id": "c74f20a3",
        "public": "1a5cd907143c384c41e830c5bce12aa8817ec5649aaabf2c31388b35b2d744d6",
    }
    yield Vector("verifier-go", "That of Go's example.", "verifier", {"line": GO_KEY}, gives(go))
    for which, about, text in (
        ("id", "The id is not the key's.", GO_KEY.replace("c74f20a3", "c74f20a4")),
        ("name", "The id is not the name's.", GO_KEY.replace("Peter", "John")),
        ("algorithm", "An unknown algorithm.", GO_KEY.replace("+AR", "+Ah")),
        ("parts", "A part is missing.", "PeterNeumann+c74f20a3"),
    ):
        yield Vector(f"verifier-wrong-{which}", about, "verifier", {"line": text}, malformed)

    read = {"origin": FIRST.verifier.name, "size": 7, "root": noise("root").hex()}
    yield Vector("checkpoint", "A checkpoint.", "checkpoint", {"note": own}, gives(read))
    for which, about, text in (
        ("leading-zero", "A size has no leading zero.", own.replace("\n7\n", "\n07\n")),
        ("negative", "A size is not negative.", own.replace("\n7\n", "\n-7\n")),
        ("no-origin", "An origin is not empty.", "\n7\n" + own.split("\n", 2)[2]),
        ("extension", "A log here writes no extension line.", own.replace("=\n\n", "=\nmore\n\n")),
        ("base64", "Base64 has one form: no bit stands after the last byte.", _loose(own)),
        ("short-root", "A root has 32 bytes.", own.replace(own.split("\n")[2], "AAAA")),
    ):
        yield Vector(f"checkpoint-{which}", about, "checkpoint", {"note": text}, malformed)


def _loose(note: str) -> str:
    """The same root, written with bits that a lenient base64 reader would drop."""
    root = note.split("\n")[2]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    loose = root[:-2] + letters[letters.index(root[-2]) + 1] + "="
    return note.replace(root, loose)


# --- a small log, and what its verifier says ------------------------------------------------------


def small_log() -> tuple[dict[str, Any], list[bytes]]:
    """Six records of `changes`; the signing key is rotated by the third."""
    kinds = (
        rule_events.VaultCreated,
        rule_events.PolicySet,
        events.SigningKeyRotated,
        events.SecretSet,
        events.SecretUpdated,
        events.SecretDeleted,
    )
    found = []
    for at, kind in enumerate(kinds):
        row = built(CHANGES, event_of(kind), at, TIME + at)
        signer = FIRST if at < 3 else SECOND
        message = record.signed_message(LOG_ID, row[:114])
        found.append(row[:114] + signer.sign(message) + row[178:])
    epochs = head.Epochs(
        (
            head.SigningEpoch(0, str(FIRST.verifier), ""),
            head.SigningEpoch(3, str(SECOND.verifier), head.endorse(3, FIRST, SECOND)),
        )
    )
    identity = head.Identity(head.FORMAT, "changes", LOG_ID)
    given: dict[str, Any] = {
        "identity": head.encode(identity).hex(),
        "epochs": head.encode(epochs).hex(),
        "kept": [],
        "trusted": None,
    }
    return {**given, **shown(found)}, found


def shown(found: list[bytes], signer: Signer = SECOND) -> dict[str, Any]:
    """Records, with the head and the checkpoint that fit them."""
    frontier = head_of(found)
    note = checkpoint.sign_checkpoint(len(found), frontier.root(), signer)
    return {
        "records": [[at.to_bytes(8, "big").hex(), row.hex()] for at, row in enumerate(found)],
        "head": head.encode_head(frontier).hex(),
        "checkpoint": note,
    }


def head_of(found: list[bytes]) -> head.Head:
    frontier = merkle.Frontier()
    for row in found:
        frontier.add(merkle.leaf_hash(row[:114]))
    time = record.read_leaf(found[-1][:114]).time if found else 0
    return head.Head(len(found), time, tuple(frontier.hashes))


def kept_of(found: list[bytes], signer: Signer) -> str:
    return checkpoint.sign_checkpoint(len(found), head_of(found).root(), signer)


def verifications() -> Iterator[Vector]:
    log, found = small_log()
    root = head_of(found).root()

    def vector(name: str, about: str, outcome: dict[str, Any], **changed: Any) -> Vector:
        return Vector(f"verify-{name}", about, "verify", {**log, **changed}, outcome)

    whole = gives(root.hex())
    early, now = kept_of(found[:2], FIRST), kept_of(found, SECOND)
    yield vector("whole", "A log that is whole.", whole)
    yield vector("kept", "It extends every checkpoint that was kept.", whole, kept=[early, now])
    trusted = str(FIRST.verifier)
    yield vector("trusted", "Its first key is the trusted one.", whole, trusted=trusted)
    altered = bytearray(found[4])
    altered[-1] ^= 1
    rows = [*found[:4], bytes(altered), *found[5:]]
    pairs = [[at.to_bytes(8, "big").hex(), row.hex()] for at, row in enumerate(rows)]
    code = refused("verify.record-altered")
    yield vector("envelope-altered", "A bit of an envelope is flipped.", code, records=pairs)
    signature = bytearray(found[1])
    signature[120] ^= 1
    rows = [found[0], bytes(signature), *found[2:]]
    pairs = [[at.to_bytes(8, "big").hex(), row.hex()] for at, row in enumerate(rows)]
    yield vector("signature-altered", "A bit of a signature is flipped.", code, records=pairs)
    del pairs[2]
    pairs = [pair for at, pair in enumerate(log["records"]) if at != 2]
    yield vector("record-missing", "A record is missing amid others.", code, records=pairs)
    records_ = log["records"]
    swapped = [records_[1], records_[0], *records_[2:]]
    yield vector("records-swapped", "Two records changed places.", code, records=swapped)
    cut = refused("verify.truncated")
    yield vector("cut", "The last record is missing.", cut, records=log["records"][:-1])
    yield vector(
        "rolled-back",
        "Cut, with a head and a checkpoint that fit; only a kept checkpoint tells.",
        cut,
        **shown(found[:-1]),
        kept=[now],
    )
    yield vector(
        "rolled-back-unseen",
        "And without one, nothing does.",
        gives(head_of(found[:-1]).root().hex()),
        **shown(found[:-1]),
    )
    forged = built(CHANGES, event_of(events.SecretRecovered), 1, TIME + 1)
    fork = [found[0], forged, *found[2:]]
    yield vector(
        "forked",
        "Rewritten with the log's own keys; a kept checkpoint tells.",
        refused("verify.forked"),
        **shown(fork),
        kept=[early],
    )
    yield vector(
        "kept-by-a-stranger",
        "The kept checkpoint was not signed by this log.",
        refused("verify.forked"),
        kept=[kept_of(found, STRANGER)],
    )
    elsewhere = kept_of(found, READER)
    yield vector(
        "kept-of-another-log", "Or is of another log.", refused("verify.forked"), kept=[elsewhere]
    )
    late = kept_of(found, FIRST)
    yield vector(
        "signed-by-a-retired-key",
        "The checkpoint is signed by a key that was retired before.",
        refused("verify.forked"),
        checkpoint=late,
    )
    wrong = checkpoint.sign_checkpoint(len(found), noise("another root"), SECOND)
    yield vector(
        "root", "The signed root is another.", refused("verify.root-mismatch"), checkpoint=wrong
    )
    unsigned = refused("verify.tail-unsigned")
    before = kept_of(found[:-1], SECOND)
    yield vector("tail", "No checkpoint covers the last record.", unsigned, checkpoint=before)
    yield vector("no-checkpoint", "There is no checkpoint.", unsigned, checkpoint="")
    last = record.read_leaf(found[-1][:114]).time
    frontier = tuple(noise(f"node {at}") for at in range(2))
    row = head.encode_head(head.Head(len(found), last, frontier)).hex()
    mismatch = refused("verify.root-mismatch")
    yield vector("head", "The head's frontier is not the tree's.", mismatch, head=row)
    chain = refused("verify.key-chain-broken")
    yield vector(
        "trusted-other",
        "No key of the log is the trusted one.",
        chain,
        trusted=str(STRANGER.verifier),
    )
    yield from broken_chains(log, chain)


def broken_chains(log: dict[str, Any], chain: dict[str, Any]) -> Iterator[Vector]:
    epochs = head.decode_epochs(bytes.fromhex(log["epochs"]))
    first, second = epochs.signing
    good = second.endorsement
    lines = good.splitlines(keepends=True)
    forged = head.endorse(3, STRANGER, SECOND).splitlines(keepends=True)
    # What an attacker has who replaces the first key: the second one's word is for the other.
    first_replaced = replace(first, verifier=str(STRANGER.verifier))
    for name, about, one, two in (
        (
            "endorsed-by-a-stranger",
            "A stranger endorsed the second key.",
            first,
            replace(second, endorsement=head.endorse(3, STRANGER, SECOND)),
        ),
        (
            "endorsed-elsewhere",
            "The second key was endorsed for later.",
            first,
            replace(second, start=4),
        ),
        (
            "not-endorsed",
            "Nobody endorsed the second key.",
            first,
            replace(second, endorsement=""),
        ),
        (
            "endorsed-by-the-old-key-alone",
            "The new key did not sign its endorsement.",
            first,
            replace(second, endorsement="".join(lines[:-1])),
        ),
        (
            "endorsed-by-the-new-key-alone",
            "Nor did the old one.",
            first,
            replace(second, endorsement="".join([*lines[:-2], lines[-1]])),
        ),
        (
            "endorsed-in-another-order",
            "The old key signs first.",
            first,
            replace(second, endorsement="".join([*lines[:-2], lines[-1], lines[-2]])),
        ),
        (
            "endorsed-by-one-more",
            "An endorsement has two signatures.",
            first,
            replace(
                second, endorsement=good + checkpoint.signature_line(STRANGER.verifier, bytes(64))
            ),
        ),
        ("first-key-replaced", "The first key is a stranger's.", first_replaced, second),
        (
            "first-key-replaced-and-endorsing",
            "And he endorses the second key, with that one's signature of before.",
            first_replaced,
            replace(second, endorsement="".join([*forged[:-1], lines[-1]])),
        ),
        (
            "first-key-endorsed",
            "Nobody endorses the first key.",
            replace(first, endorsement=good),
            second,
        ),
        (
            "begins-after-the-end",
            "A key begins after the last record.",
            first,
            replace(second, start=7, endorsement=head.endorse(7, FIRST, SECOND)),
        ),
    ):
        changed = head.encode(head.Epochs((one, two))).hex()
        yield Vector(f"verify-{name}", about, "verify", {**log, "epochs": changed}, chain)


def own_rows() -> Iterator[Vector]:
    log, found = small_log()
    now = head_of(found)
    told = {"size": 6, "time": now.time, "root": now.root().hex()}
    yield Vector("head", "The head of six records.", "head", {"row": log["head"]}, gives(told))
    empty = head.encode_head(head.Head(0, 0, ()))
    told = {"size": 0, "time": 0, "root": CT_ROOTS[0]}
    yield Vector("head-empty", "The head of none.", "head", {"row": empty.hex()}, gives(told))
    malformed = refused("record.malformed")
    row = bytes.fromhex(log["head"])
    for name, about, bytes_ in (
        ("frontier", "A hash is missing.", row[:-32]),
        ("surplus", "There is a hash too many.", row + bytes(32)),
        ("short", "It is too short.", row[:15]),
    ):
        yield Vector(f"head-wrong-{name}", about, "head", {"row": bytes_.hex()}, malformed)
    told = {"kind": "changes", "origin": ORIGINS["changes"]}
    given: dict[str, Any] = {"row": log["identity"]}
    yield Vector("identity", "The identity of a log.", "identity", given, gives(told))
    for name, about, parts, code in (
        ("format-2", "An unknown format.", (2, "changes", LOG_ID), "format.unknown"),
        ("kind", "An unknown kind of log.", (1, "changed", LOG_ID), "format.unknown"),
        ("short-id", "An id that is too short.", (1, "changes", LOG_ID[:15]), "record.malformed"),
        ("parts", "A part is missing.", (1, "changes"), "record.malformed"),
    ):
        given = {"row": msgspec.msgpack.encode(parts).hex()}
        yield Vector(f"identity-{name}", about, "identity", given, refused(code))
    epochs = head.decode_epochs(bytes.fromhex(log["epochs"]))
    told = {"signing": [[one.start, one.verifier] for one in epochs.signing]}
    given = {"identity": log["identity"], "row": log["epochs"]}
    yield Vector("epochs", "Two signing keys, the second endorsed.", "epochs", given, gives(told))
    long = bytes.fromhex(log["epochs"]).replace(b"\x93\x03", b"\x93\xcc\x03")
    for name, about, changed in (
        ("late", "The first does not begin at 0.", head.encode(head.Epochs(epochs.signing[1:]))),
        ("none", "There is none.", head.encode(head.Epochs(()))),
        ("order", "They stand in another order.", head.encode(head.Epochs(epochs.signing[::-1]))),
        ("long-form", "A number is not in its shortest form.", long),
    ):
        given = {"identity": log["identity"], "row": changed.hex()}
        yield Vector(f"epochs-{name}", about, "epochs", given, malformed)


def private_rows() -> Iterator[Vector]:
    """The row with the key numbers, and the MAC that whoever has the signing key checks."""
    log, found = small_log()
    public = head.PublicRows(*(bytes.fromhex(log[name]) for name in ("identity", "head", "epochs")))
    numbers = head.Numbers((0, 9), (head.AuditEpoch(0, 1), head.AuditEpoch(4, 70_000)), True)
    row = head.encode_numbers(numbers, public, SECOND)
    given = {
        **{name: log[name] for name in public._fields},
        "signing_key": noise("signing key 2").hex(),
        "row": row.hex(),
    }
    told = {"signing": [0, 9], "audit": [[0, 1], [4, 70_000]], "behind": True}
    about = "Key numbers, the clock's state, and a MAC over all four rows."
    yield Vector("numbers", about, "numbers", given, gives(told))

    def vector(name: str, about: str, code: str, **changed: str) -> Vector:
        return Vector(f"numbers-{name}", about, "numbers", {**given, **changed}, refused(code))

    altered = "verify.head-altered"
    shorter = head.encode_head(head_of(found[:-1])).hex()
    yield vector("head-set-back", "The head is of fewer records.", altered, head=shorter)
    first = head.encode(head.Epochs(head.decode_epochs(public.epochs).signing[:1])).hex()
    yield vector("epochs-changed", "The epochs are others.", altered, epochs=first)
    elsewhere = head.encode(head.Identity(1, "changes", ACCESS_ID)).hex()
    yield vector("of-another-log", "They are of another log.", altered, identity=elsewhere)
    known, mac = head.decode_numbers(row), row[-32:]
    for name, about, changed in (
        ("key-changed", "An audit key is another.", replace(known, audit=(head.AuditEpoch(0, 2),))),
        ("clock-changed", "The clock's state is another.", replace(known, behind=False)),
    ):
        yield vector(name, about, altered, row=(head.encode(changed) + mac).hex())
    yield vector("zero-mac", "The MAC is nothing.", altered, row=(row[:-32] + bytes(32)).hex())
    old_key = noise("signing key 1").hex()
    yield vector("other-key", "The MAC is by an older key.", altered, signing_key=old_key)
    malformed = "record.malformed"
    for name, about, parts in (
        ("none", "There is no signing key.", ((), ((0, 1),), False)),
        ("late", "The first audit key does not begin at 0.", ((0,), ((1, 1),), False)),
        ("flag", "The flag is no boolean.", ((0,), ((0, 1),), 0)),
    ):
        yield vector(name, about, malformed, row=(msgspec.msgpack.encode(parts) + mac).hex())
    yield vector("without-mac", "There is no MAC.", malformed, row=row[:-32].hex())


# --- the keyring, the slots, the views, a blob ----------------------------------------------------


def keyrings() -> Iterator[Vector]:
    root = noise("root key")
    first = keyheader.Header.first(STORE_ID, root)
    second = first.under(OTHER).with_leaf_nodes(3)
    for name, about, header, key, fits in (
        ("header", "The header of a new keyring.", first, root, True),
        ("header-rotated", "After a rotation, in the other slot.", second, OTHER, True),
        ("header-other-root", "The old root key does not fit it.", second, root, False),
    ):
        told = {
            "format": 1,
            "store_id": STORE_ID.hex(),
            "root_epoch": header.root_epoch,
            "slot": header.slot,
            "root_commitment": header.root_commitment.hex(),
            "next_leaf_node": header.next_leaf_node,
            "fits": fits,
        }
        given = {"row": keyheader.encode_header(header).hex(), "root": key.hex()}
        yield Vector(name, about, "header", given, gives(told))
    for name, about, header, code in (
        ("header-format-2", "An unknown format.", replace(first, format=2), "format.unknown"),
        ("header-slot-2", "There are two slots.", replace(first, slot=2), "record.malformed"),
    ):
        given = {"row": keyheader.encode_header(header).hex(), "root": root.hex()}
        yield Vector(name, about, "header", given, refused(code))

    node = keytree.EMPTY.with_key(0, noise("child 0")).with_key(63, noise("child 63"))
    node = node.with_key(7, noise("child 7")).without(7)
    row = keytree.close_node(STORE_ID, (0, 4097), root, noise("salt"), node)
    sealed: dict[str, Any] = {
        "store_id": STORE_ID.hex(),
        "place": [0, 4097],
        "key": root.hex(),
        "row": row.hex(),
    }
    told = {
        "keys": {"0": noise("child 0").hex(), "63": noise("child 63").hex()},
        "destroyed": [7],
    }
    yield Vector("node", "Two keys, and one that was destroyed.", "node", sealed, gives(told))
    moved = {**sealed, "place": [0, 4098]}
    yield Vector("node-moved", "At another place.", "node", moved, refused("seal.broken"))
    wrong = {**sealed, "key": OTHER.hex()}
    yield Vector("node-wrong-key", "Under another key.", "node", wrong, refused("seal.wrong-key"))


def framed(kind: int, body: bytes, version: int = 1) -> bytes:
    front = b"MUNIROOT" + bytes((version, kind)) + body
    return front + hashlib.sha256(front).digest()


def slots() -> Iterator[Vector]:
    root = noise("root key")
    phrase = "correct horse battery staple"
    parameters = struct.pack(">III16s", 1, 1, 64, noise("salt of a passphrase", 16))
    kek = Argon2id(salt=parameters[12:], length=32, iterations=1, lanes=1, memory_cost=64).derive(
        phrase.encode()
    )
    sealed = framed(2, parameters + seal.seal(kek, noise("salt"), b"root-slot", parameters, root))
    plain = framed(1, root)
    dear = struct.pack(">III16s", 17, 1, 64, bytes(16))
    torn = plain[:-1] + bytes((plain[-1] ^ 1,))
    broken = framed(2, sealed[10:-33] + bytes((sealed[-33] ^ 1,)))
    for name, about, slot, passphrase, outcome in (
        ("file", "A root key in the clear.", plain, "", gives(root.hex())),
        ("passphrase", "One under a passphrase.", sealed, phrase, gives(root.hex())),
        ("passphrase-wrong", "Another passphrase.", sealed, "another", refused("root.wrong")),
        ("passphrase-none", "No passphrase.", sealed, "", refused("root.locked")),
        ("passphrase-for-file", "None belongs to it.", plain, phrase, refused("root.wrong")),
        ("passphrase-broken", "A bit of it is flipped.", broken, phrase, refused("root.damaged")),
        ("passphrase-dear", "A cost beyond the limit.", framed(2, dear + bytes(400)), phrase, refused("root.damaged")),
        ("torn", "The checksum is wrong.", torn, "", refused("root.damaged")),
        ("cut", "It is cut short.", plain[:41], "", refused("root.damaged")),
        ("not-one", "It is something else.", b"NOTAROOT" + plain[8:], "", refused("root.damaged")),
        ("version-2", "An unknown version.", framed(1, root, 2), "", refused("format.unknown")),
        ("short-key", "A key of 31 bytes.", framed(1, root[:31]), "", refused("root.damaged")),
    ):  # fmt: skip
        given = {"slot": slot.hex(), "passphrase": passphrase}
        yield Vector(f"slot-{name}", about, "slot", given, outcome)


def views() -> Iterator[Vector]:
    index, view = noise("index key"), noise("view key")
    plain_sealer = Sealer(view, index, lambda size: noise("nonce", size))
    late_sealer = Sealer(view, index, lambda size: noise("nonce", size), LateViews.layout)
    moved: dict[str, Any] = {}
    filled: dict[str, dict[str, Any]] = {}
    for name, key, row in (
        ("settings", rows.settings_key(), rows.Settings("v", 90, True, ("alice",), 1, 0)),
        ("secret", rows.secret_key("db-Password"), rows.Secret("db-Password", 9, VERSION, 7)),
        (
            "version",
            rows.version_key("a", VERSION),
            rows.Version(
                bytes.fromhex(VERSION), 7, 7, True, None, 5, 1, 2, b"\x01" * 8, b"\x02" * 8
            ),
        ),
        ("due", rows.due_key(1_797_776_000, 8), rows.Due("db-Password")),
        ("request", rows.request_key("alice", "9e1f"), rows.Request(7, 1)),
        ("backup", rows.backup_key("a", 11), rows.Backup(11, 7)),
        ("backup-foreign", rows.backup_key("a", 12), rows.Backup(12, 7, foreign=True)),
        ("erased", rows.erased_key(9), rows.Erased(7)),
        (
            "known-secret",
            rows.known_key(rows.Table.KNOWN_SECRETS, 7),
            rows.Known("db-Password"),
        ),
        ("listed", rows.listed_key(rows.Table.KNOWN_SECRETS, b"DB-PASSWORD"), rows.Mark()),
        ("by-name", rows.by_name_key("db-Password", 7), rows.Mark()),
        ("late-by-name", rows.by_name_key("db-Password", 7), rows.Mark()),
        ("late-by-name-in-a-later-run", rows.by_name_key("db-Password", 5000), rows.Mark()),
        ("late-by-principal", rows.by_principal_key("alice", 2048), rows.Mark()),
        ("backed-up", rows.backed_up_key("db-Password", 7), rows.Mark()),
        ("copied", rows.copied_key("alice", 7), rows.Mark()),
        ("granted", rows.granted_key(7), rows.Mark()),
        (
            "exposure",
            rows.exposure_key("alice", VERSION),
            rows.Exposure("db-Password", VERSION, 3, 70_000, 12),
        ),
        ("storage-account", rows.storage_key("Shop"), _account()),
        ("sas-definition", rows.sas_key("Shop", "readOnly"), _definition()),
        ("known-storage", rows.known_key(rows.Table.KNOWN_STORAGE, 7), rows.Known("Shop")),
        (
            "known-sas",
            rows.known_key(rows.Table.KNOWN_SAS, 8, rows.storage_key("Shop").owner),
            rows.Known("readOnly"),
        ),
        ("rotation", rows.rotation_key(1_797_776_000, 7), rows.Rotation("Shop")),
        ("token", rows.token_key("alice", 1_790_014_400, 7), rows.Mark()),
        ("due-account", rows.due_key(1_797_776_000, 9), rows.Due(rows.owner_of("Shop"))),
        (
            "due-definition",
            rows.due_key(1_797_776_000, 10),
            rows.Due(rows.owner_of("Shop", "readOnly")),
        ),
        (
            "past-storage-account",
            rows.past_key(rows.storage_key("Shop"), 8),
            _account(),
        ),
        (
            "past-sas-definition",
            rows.past_key(rows.sas_key("Shop", "readOnly"), 9),
            _definition(),
        ),
        (
            "past-secret",
            rows.past_key(rows.secret_key("db-Password"), 8),
            rows.Secret("db-Password", 9, VERSION, 7),
        ),
        (
            "past-version",
            rows.past_key(rows.version_key("a", VERSION), 8),
            rows.Version(bytes.fromhex(VERSION), 7, 7, True, None, 5, 1, 2),
        ),
        (
            "past-policy",
            rows.past_key(rows.policy_key("bob"), 8),
            rows.Policy("bob", ("get", "list"), (), 7),
        ),
        (
            "past-settings",
            rows.past_key(rows.settings_key(), 8),
            rows.Settings("v", 90, True, ("alice",), 1, 0),
        ),
        ("long", rows.secret_key("n" * 64), rows.Secret("n" * 64, 9, VERSION, 7)),
    ):
        sealer = late_sealer if name.startswith("late-") else plain_sealer
        place = sealer.place(key)
        given = {
            "in_runs": sealer is late_sealer,
            "index_key": index.hex(),
            "view_key": view.hex(),
            "table": int(key.table),
            "owner": key.owner.hex(),
            "order": key.order.hex(),
            "row": sealer.seal(place, row).hex(),
        }
        told = {"place": place.hex(), "row": msgspec.to_builtins(row)}
        yield Vector(f"view-{name}", f"A row of {name}.", "view-row", given, gives(told))
        moved = {**given, "owner": b"mallory".hex()}
        if isinstance(row, rows.Mark):
            filled[name] = {**given, "row": noise("nonce", 12).hex()}
    for name, given in filled.items():
        about = f"A mark of {name} with something in it."
        yield Vector(f"view-{name}-filled", about, "view-row", given, refused("view.corrupt"))
    yield Vector("view-moved", "At another place.", "view-row", moved, refused("view.corrupt"))


def _account() -> rows.StorageAccount:
    return rows.StorageAccount(
        "Shop",
        9,
        "/r/Shop",
        "shop",
        "key1",
        True,
        7_776_000,
        True,
        1,
        2,
        {"key1": b"\x01" * 8},
        7,
        7,
        7,
        3,
    )


def _definition() -> rows.SasDefinition:
    return rows.SasDefinition(
        "Shop", "readOnly", 9, "account", 14_400, True, 1, 2, 8, 8, b"\x04" * 8
    )


def blobs() -> Iterator[Vector]:
    versions = (
        backup.BackedUpVersion(version=VERSION, created=1, updated=2, value="old", enabled=False),
        backup.BackedUpVersion(
            version=VERSION[::-1], created=3, updated=4, value="new", tags={"env": "prod"}, exp=9
        ),
    )
    front = backup.Header(STORE_ID, LOG_ID, 11)
    blob = backup.close(front, CONTENT, noise("salt"), "db-password", versions)
    told = {
        "name": "db-password",
        "versions": msgspec.to_builtins(versions),
        "origin": LOG_ID.hex(),
        "backup_key": 11,
    }
    broken = blob[:-1] + bytes((blob[-1] ^ 1,))
    elsewhere = noise("another store", 16)
    for name, about, bytes_, store, key, outcome in (
        ("opens", "A backup with two versions.", blob, STORE_ID, CONTENT, gives(told)),
        ("foreign", "Of another store.", blob, elsewhere, CONTENT, refused("backup.foreign")),
        ("wrong-key", "Under another key.", blob, STORE_ID, OTHER, refused("backup.invalid")),
        ("broken", "A bit is flipped.", broken, STORE_ID, CONTENT, refused("backup.invalid")),
        ("cut", "It is cut short.", blob[:40], STORE_ID, CONTENT, refused("backup.invalid")),
        ("no-backup", "It is something else.", b"x" + blob[1:], STORE_ID, CONTENT, refused("backup.invalid")),
    ):  # fmt: skip
        given = {"blob": bytes_.hex(), "store_id": store.hex(), "key": key.hex()}
        yield Vector(f"backup-{name}", about, "backup", given, outcome)


# --- the auditor's key and grants ---------------------------------------------------------------

AUDITOR, STRANGE_AUDITOR = noise("auditor"), noise("another auditor")


def sealed_by_hand(ephemeral: bytes, public: bytes, info: bytes, text: bytes) -> bytes:
    """HPKE (RFC 9180) with an ephemeral key that is given: the library takes none."""
    kem, suite = b"KEM\0\x20", b"HPKE\0\x20\0\1\0\2"

    def extract(salt: bytes, label: bytes, key: bytes, who: bytes) -> bytes:
        return hmac.digest(salt, b"HPKE-v1" + who + label + key, "sha256")

    def expand(prk: bytes, label: bytes, info: bytes, size: int, who: bytes = suite) -> bytes:
        told = size.to_bytes(2, "big") + b"HPKE-v1" + who + label + info
        return hmac.digest(prk, told + b"\1", "sha256")[:size]

    key = X25519PrivateKey.from_private_bytes(ephemeral)
    enc = key.public_key().public_bytes_raw()
    shared = extract(b"", b"eae_prk", key.exchange(X25519PublicKey.from_public_bytes(public)), kem)
    shared = expand(shared, b"shared_secret", enc + public, 32, kem)
    hashed = extract(b"", b"psk_id_hash", b"", suite) + extract(b"", b"info_hash", info, suite)
    secret = extract(shared, b"secret", b"", suite)
    one, nonce = (
        expand(secret, label, b"\0" + hashed, size)
        for label, size in ((b"key", 32), (b"base_nonce", 12))
    )
    return enc + AESGCM(one).encrypt(nonce, text, b"")


def granted_file(header: grant.Header, text: grant.Text, public: bytes) -> bytes:
    encoded = msgspec.msgpack.encode(header)
    clear = b"MNMGRANT\1" + len(encoded).to_bytes(4, "big") + encoded
    info = b"muniment/grant/v1\0" + clear
    return clear + sealed_by_hand(noise("ephemeral"), public, info, msgspec.msgpack.encode(text))


def grants() -> Iterator[Vector]:
    public = auditor.public_of(AUDITOR)
    row = record.split(CHANGES, built(CHANGES, event_of(events.SecretSet)))
    key = record.key_of(row, AUDIT)
    header = grant.Header(
        STORE_ID,
        noise("grant", 16),
        9,
        auditor.fingerprint(public),
        TIME,
        TIME + 5,
        grant.Part(LOG_ID, 5, 6),
        grant.Part(ACCESS_ID, 70_000, 70_002),
    )
    note = kept_of(small_log()[1], SECOND)
    text = grant.Text(
        "test-vault",
        "Q3",
        grant.Held(note, key),
        grant.Held("", noise("first record") + noise("second record")),
    )
    whole = granted_file(header, text, public)
    told = {
        "grant": header.grant.hex(),
        "at": 9,
        "period": [TIME, TIME + 5],
        "vault": "test-vault",
        "label": "Q3",
        "changes": [5, 6, key.hex(), note],
        "access": [70_000, 70_002, text.access.keys.hex(), ""],
    }
    short = replace(text, access=replace(text.access, keys=text.access.keys[:-1]))
    reversed_ = replace(header, start=TIME + 6)
    stranger = auditor.public_of(STRANGE_AUDITOR)
    renamed = replace(header, auditor=auditor.fingerprint(stranger))
    bad = refused("grant.invalid")
    for name, about, file, private, outcome in (
        ("opens", "A grant opens to its auditor.", whole, AUDITOR, gives(told)),
        ("other-key", "To nobody else.", whole, STRANGE_AUDITOR, refused("grant.other-key")),
        ("renamed", "Nor if the header says so.", granted_file(renamed, text, public), STRANGE_AUDITOR, bad),
        ("bit", "A bit of what is sealed is flipped.", whole[:-1] + bytes((whole[-1] ^ 1,)), AUDITOR, bad),
        ("header-bit", "A bit of the period is flipped.", whole.replace(TIME.to_bytes(8, "big"), (TIME ^ 1).to_bytes(8, "big"), 1), AUDITOR, bad),
        ("cut", "It is cut short.", whole[:60], AUDITOR, bad),
        ("short-of-keys", "A key has a byte too few.", granted_file(header, short, public), AUDITOR, bad),
        ("reversed", "It ends before it begins.", granted_file(reversed_, text, public), AUDITOR, bad),
        ("not-one", "It is something else.", b"x" + whole[1:], AUDITOR, bad),
        ("version-2", "An unknown version.", whole[:8] + b"\2" + whole[9:], AUDITOR, bad),
    ):  # fmt: skip
        given = {"file": file.hex(), "private": private.hex()}
        yield Vector(f"grant-{name}", about, "grant", given, outcome)
    yield from granted_records(key)


def granted_records(key: bytes) -> Iterator[Vector]:
    row = built(CHANGES, event_of(events.SecretSet))
    told = {name: opened(CHANGES, row)[name] for name in ("position", "time", "context", "event")}
    other = record.key_of(
        record.split(CHANGES, built(CHANGES, event_of(events.SecretDeleted))), AUDIT
    )
    uncommitted = row[:18] + bytes(32) + row[50:]
    for name, about, stored, with_, outcome in (
        ("opens", "A record opens with its own key.", row, key, gives(told)),
        ("another", "Not with that of another record.", row, other, refused("seal.wrong-key")),
        ("audit-key", "Nor with the audit key as it is.", row, AUDIT, refused("seal.wrong-key")),
        ("uncommitted", "Its leaf commits to something else.", uncommitted, key, refused("seal.broken")),
    ):  # fmt: skip
        given = {"kind": "changes", "log_id": LOG_ID.hex(), "row": stored.hex(), "key": with_.hex()}
        yield Vector(f"granted-record-{name}", about, "granted-record", given, outcome)


def auditor_keys() -> Iterator[Vector]:
    public = auditor.public_of(AUDITOR)
    text = auditor.to_text(public)
    told = gives({"public": public.hex(), "fingerprint": auditor.fingerprint(public).hex()})
    bad = refused("auditor-key.invalid")
    swapped = "-".join([*text.split("-")[:2], *text.split("-")[:1:-1]])
    for name, about, shown_, outcome in (
        ("text", "A public key as it is printed.", text, told),
        ("lower-case", "As it may be typed.", text.lower().replace("-", " "), told),
        ("confused", "O for 0, I and L for 1.", text.replace("0", "O").replace("1", "l"), told),
        ("mistyped", "A letter is wrong.", text[:-1] + ("A" if text[-1] != "A" else "B"), bad),
        ("swapped", "The groups are in another order.", swapped, bad),
        ("short", "A group is missing.", text[:-9], bad),
        ("no-letter", "There is no U in it.", text[:-1] + "U", bad),
        ("no-prefix", "Its first group is missing.", text[5:], bad),
    ):
        yield Vector(f"auditor-key-{name}", about, "auditor-key", {"text": shown_}, outcome)
    phrase, salts = "correct horse", iter((noise("auditor's salt", 16), noise("salt")))
    plain = auditor.to_file(AUDITOR, None, noise_of)
    sealed = auditor.to_file(AUDITOR, phrase.encode(), lambda _: next(salts))
    opens, damaged = gives(AUDITOR.hex()), refused("auditor-key.damaged")
    for name, about, file, passphrase, outcome in (
        ("plain", "A private key in the clear.", plain, "", opens),
        ("passphrase", "One under a passphrase.", sealed, phrase, opens),
        ("wrong", "Another passphrase.", sealed, "another", refused("auditor-key.wrong")),
        ("locked", "No passphrase.", sealed, "", refused("auditor-key.locked")),
        ("torn", "A bit is flipped.", plain[:-1] + bytes((plain[-1] ^ 1,)), "", damaged),
        ("not-one", "It is something else.", b"x" + plain[1:], "", damaged),
        ("cut", "It is cut short.", plain[:40], "", damaged),
    ):
        given = {"file": file.hex(), "passphrase": passphrase}
        yield Vector(f"auditor-file-{name}", about, "auditor-file", given, outcome)


def noise_of(size: int) -> bytes:
    return noise("entropy", size)


def log_files() -> Iterator[Vector]:
    log, found = small_log()
    about = (bytes.fromhex(log[name]) for name in ("identity", "head", "epochs"))
    parts = [*about, log["checkpoint"].encode(), *(bytes.fromhex(row) for _, row in log["records"])]
    framed_ = [len(part).to_bytes(4, "big") + part for part in parts]
    whole = b"MUNILOGF\1" + b"".join(framed_)
    altered = refused("verify.record-altered")
    for name, told, file, outcome in (
        ("whole", "A log in one file.", whole, gives(head_of(found).root().hex())),
        ("cut", "Its last byte is missing.", whole[:-1], altered),
        ("surplus", "Something stands after its end.", whole + bytes(4), altered),
        ("not-one", "It is something else.", b"x" + whole[1:], altered),
        ("version-2", "An unknown version.", whole[:8] + b"\2" + whole[9:], refused("format.unknown")),
        ("short", "A record is missing.", b"MUNILOGF\1" + b"".join(framed_[:-1]), altered),
    ):  # fmt: skip
        yield Vector(f"log-file-{name}", told, "log-file", {"file": file.hex()}, outcome)


# --- files --------------------------------------------------------------------------------------

GROUPS = (
    seals,
    records,
    leaves_and_fields,
    trees,
    notes,
    own_rows,
    private_rows,
    verifications,
    keyrings,
    slots,
    views,
    blobs,
    grants,
    auditor_keys,
    log_files,
)


def files() -> dict[str, bytes]:
    """Every vector, by the name of its file."""
    found: dict[str, bytes] = {}
    for group in GROUPS:
        for vector in group():
            name = vector.name + ".json"
            assert name not in found, name
            told = {key: value for key, value in vector._asdict().items() if key != "name"}
            text = json.dumps(told, indent=1, ensure_ascii=False, sort_keys=False)
            found[name] = text.encode() + b"\n"
    return found


def main() -> None:
    FILES.mkdir(exist_ok=True)
    written = 0
    for name, text in files().items():
        place = FILES / name
        if not place.exists():
            place.write_bytes(text)
            written += 1
        elif place.read_bytes() != text:
            sys.exit(f"{place} would change: a released vector is never rewritten")
    print(f"{written} new vectors, {len(list(FILES.iterdir()))} in all")


if __name__ == "__main__":
    main()
