"""Bundles to judge: real ones, and those of a forger who has the vault's own keys.

`Forge` knows every record of both logs and can sign, so whatever it makes is consistent with itself:
the manifest has the right digests, the event names the manifest, the trees are signed.  What it lacks
is what the auditor brings along, and what others have signed already.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli import bundle_verifier as verifier
from eventstore import merkle, record
from eventstore.bundle import BundleWriter
from eventstore.checkpoint import Signer, parse_checkpoint, sign_checkpoint
from eventstore.checkpoint import Verifier as LogKey
from eventstore.disclosure import EVERY, Fact, show
from eventstore.proof import Inclusion
from vault import evidence
from vault.evidence import LOGS
from vault.service import Vault

Members = dict[str, bytes]
SECOND = 1_000_000


def unzip(bundle: bytes) -> Members:
    """The members of a bundle, in order."""
    opened = verifier.Bundle(io.BytesIO(bundle))
    return {name: opened.text(name) for name in opened.members}


def zipped(members: Members) -> bytes:
    """A bundle of exactly these members."""
    out = io.BytesIO()
    writer = BundleWriter(out)
    for name, data in members.items():
        writer.add(name, data)
    writer.finish()
    return out.getvalue()


def judge(bundle: bytes, trust: verifier.Trust) -> verifier.Judged:
    return verifier.judge(io.BytesIO(bundle), trust)


def remanifested(members: Members) -> Members:
    """The same with a manifest that has the right digests."""
    said = json.loads(members["manifest.json"])
    said["files"] = {
        name: {"sha256": sha256(data).hexdigest(), "size": len(data)}
        for name, data in members.items()
        if name != "manifest.json" and not name.startswith("closing/")
    }
    return {**members, "manifest.json": json.dumps(said).encode()}


# --- somebody outside -----------------------------------------------------------------------------


class Witness:
    """A witness that cosigns whatever it is given, at the time that it is told."""

    def __init__(self, name: str = "witness.example/w1", seed: bytes = b"w" * 32) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.name = name
        self.public = self._key.public_key().public_bytes_raw()

    @property
    def vkey(self) -> str:
        key = b"\x04" + self.public
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(key).decode()}"

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n\x04" + self.public).digest()[:4]

    @property
    def policy(self) -> str:
        return f"witness w1 {self.vkey}\nquorum w1\n"

    def line(self, text: str, seconds: int) -> str:
        signature = self._key.sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
        stamp = base64.b64encode(self.key_id + seconds.to_bytes(8, "big") + signature)
        return f"\N{EM DASH} {self.name} {stamp.decode()}\n"

    def cosigned(self, note: str, micros: int) -> str:
        return note + self.line(parse_checkpoint(note).text, micros // SECOND)


# --- the forger -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """One record as a bundle shows it."""

    leaf: bytes
    signature: bytes
    seed: bytes
    meta: bytes

    def __bytes__(self) -> bytes:
        size = len(self.meta).to_bytes(4, "big")
        return self.leaf + self.signature + self.seed + size + self.meta

    @property
    def time(self) -> int:
        return record.read_leaf(self.leaf).time

    @property
    def fields(self) -> tuple[dict[str, Any], dict[str, Any], int | None]:
        context, event, key = msgspec.msgpack.decode(self.meta)
        return context, event, key


def pieces(data: bytes, signed: bool) -> list[Piece]:
    """The records in a `records` member."""
    found, at = [], 0
    while at < len(data):
        cut = [at, at + 114, at + 114 + 64 * signed]
        seed = data[cut[2] : cut[2] + 32]
        size = int.from_bytes(data[cut[2] + 32 : cut[2] + 36], "big")
        end = cut[2] + 36 + size
        found.append(Piece(data[at : cut[1]], data[cut[1] : cut[2]], seed, data[cut[2] + 36 : end]))
        at = end
    return found


@dataclass
class History:
    """One log, with the key that signs it."""

    signer: Signer
    signed: bool
    records: list[Piece]

    @property
    def origin(self) -> str:
        return self.signer.verifier.name

    @property
    def log_id(self) -> bytes:
        return bytes.fromhex(self.origin.split("/")[1])

    def subtree(self, start: int, stop: int) -> bytes:
        return merkle.root_of([merkle.leaf_hash(one.leaf) for one in self.records[start:stop]])

    def root(self, size: int) -> bytes:
        return self.subtree(0, size)

    def note(self, size: int | None = None) -> str:
        size = len(self.records) if size is None else size
        return sign_checkpoint(size, self.root(size), self.signer)

    def made(self, position: int, time: int, fields: Any, seed: bytes) -> Piece:
        """A record that says *fields*, signed."""
        meta = msgspec.msgpack.encode(fields)
        root = record.fields_root(meta, seed)
        leaf = record._LEAF.pack(1, 1, position, time, root, seed, seed)
        message = record.signed_message(self.log_id, leaf)
        return Piece(leaf, self.signer.sign(message) if self.signed else b"", seed, meta)

    def rewritten(self, records: list[tuple[int, Any]]) -> History:
        """A history of these times and fields, as if it had always been so."""
        found = [
            self.made(position, time, fields, sha256(bytes([position % 256, 7])).digest())
            for position, (time, fields) in enumerate(records)
        ]
        return History(self.signer, self.signed, found)

    def told(self) -> list[tuple[int, Any]]:
        return [(one.time, one.fields) for one in self.records]

    def growth(self, old: int) -> list[bytes]:
        return merkle.consistency_proof(old, len(self.records), self.subtree)

    def path(self, position: int, size: int) -> list[bytes]:
        return merkle.inclusion_proof(position, size, self.subtree)

    def frontier(self, size: int) -> bytes:
        frontier = merkle.Frontier()
        for one in self.records[:size]:
            frontier.add(merkle.leaf_hash(one.leaf))
        return b"".join(frontier.hashes)

    def keys(self) -> bytes:
        one = {"endorsement": "", "start": 0, "verifier": str(self.signer.verifier)}
        return json.dumps([one]).encode()


Change = Callable[[Any], Any]


def as_it_is(what: Any) -> Any:
    return what


@dataclass
class Forge:
    """Makes bundles of *logs* for the period from *start* to *stop*.  Each hook may lie."""

    logs: dict[str, History]
    start: int
    stop: int
    anchors: dict[str, list[str]] = field(default_factory=dict)
    shown: Callable[[str, list[Piece]], list[Piece]] = lambda log, found: found
    spans: Change = as_it_is
    members: Change = as_it_is
    manifest: Change = as_it_is
    event: Change = as_it_is
    closing: Change = as_it_is
    after: Change = as_it_is
    made_at: int | None = None

    def but(self, **changes: Any) -> Forge:
        return replace(self, **changes)

    def span(self, log: str) -> tuple[int, int]:
        times = [one.time for one in self.logs[log].records]
        return sum(at < self.start for at in times), sum(at < self.stop for at in times)

    def build(self) -> bytes:
        spans = self.spans({log: self.span(log) for log in LOGS})
        members: Members = {}
        for log, history in self.logs.items():
            members |= self._log(log, history, *spans[log])
        members["changes/rules"] = b"".join(self._rules(spans["changes"][0]))
        members |= {"report.html": b"a report", "verify.py": b"a program"}
        members = self.members(members)
        said = self.manifest(self._said(members, spans))
        members["manifest.json"] = json.dumps(said).encode()
        digest = sha256(members["manifest.json"]).hexdigest()
        return zipped(members | self.closing(self._closing(spans, digest)))

    def _log(self, log: str, history: History, first: int, stop: int) -> Members:
        shown = self.shown(log, history.records[first:stop])
        found = {
            f"{log}/records": b"".join(map(bytes, shown)),
            f"{log}/keys": history.keys(),
            f"{log}/frontier": history.frontier(first),
        }
        if first:
            path = history.path(first - 1, first)
            found[f"{log}/before"] = history.records[first - 1].leaf + b"".join(path)
        for note in self.anchors.get(log, ()):
            found[f"{log}/anchors/{parse_checkpoint(note).size:020}.note"] = note.encode()
        return found

    def _rules(self, first: int) -> list[bytes]:
        history = self.logs["changes"]
        kinds = ("vault.created", "policy.set")
        return [
            bytes(one) + bytes([len(path)]) + b"".join(path)
            for at, one in enumerate(history.records[:first])
            if one.fields[1]["type"] in kinds and (path := history.path(at, first)) is not None
        ]

    def _said(self, members: Members, spans: dict[str, tuple[int, int]]) -> dict[str, Any]:
        return {
            "files": {
                name: {"sha256": sha256(data).hexdigest(), "size": len(data)}
                for name, data in members.items()
            },
            "format": evidence.FORMAT,
            "logs": {
                log: {
                    "first": spans[log][0],
                    "origin": self.logs[log].origin,
                    "stop": spans[log][1],
                }
                for log in LOGS
            },
            "start": self.start,
            "stop": self.stop,
        }

    def _closing(self, spans: dict[str, tuple[int, int]], digest: str) -> Members:
        changes, access = self.logs["changes"], self.logs["access"]
        said = {
            "type": "evidence.packaged",
            "at": len(changes.records),
            "start": self.start,
            "stop": self.stop,
            "changes": list(spans["changes"]),
            "access": list(spans["access"]),
            "digest": digest,
        }
        position = len(access.records)
        at = self.made_at or max(access.records[-1].time + 1, self.stop)
        fields = [{"principal": "alice", "auth": "test"}, self.event(said), None]
        event = access.made(position, at, fields, b"e" * 32)
        ends = {"changes": changes, "access": replace(access, records=[*access.records, event])}
        found: Members = {}
        for log, end in ends.items():
            found |= self._end(log, end, spans[log][1])
        end = ends["access"]
        proof = Inclusion(position, event.leaf, end.path(position, position + 1), end.note())
        shown = show(event.meta, event.seed, [EVERY])
        found["closing/event"] = str(Fact(shown, proof)).encode()
        return found

    def _end(self, log: str, end: History, stop: int) -> Members:
        size = len(end.records)
        after = self.after(end.records[stop].leaf if size > stop else b"")
        first = self.span(log)[0]
        outside = {parse_checkpoint(note).size for note in self.anchors.get(log, ())}
        outside = {one for one in outside if one <= size and not first <= one <= stop}
        sizes = sorted({stop + bool(after), *outside} - {0, size})
        return {
            f"closing/{log}.checkpoint": end.note().encode(),
            f"closing/{log}.growth": evidence.growth((one, end.growth(one)) for one in sizes),
            f"closing/{log}.after": after,
        }


def histories(vault: Vault, bundle: bytes, keys: Any) -> dict[str, History]:
    """Both logs of *vault*, with their keys, from a *bundle* of all that there is."""
    members, found = unzip(bundle), {}
    for log, opened in zip(LOGS, (vault.changes, vault.access), strict=True):
        private = keys.key(opened.numbers().signing[-1])
        signer = Signer(opened.identity.origin, private)
        signed = log == "changes"
        found[log] = History(signer, signed, pieces(members[f"{log}/records"], signed))
    return found


def trust_of(*keys: LogKey, policy: str = "", **more: Any) -> verifier.Trust:
    return verifier.Trust(
        [verifier.read_key(str(key)) for key in keys],
        verifier.Policy(policy) if policy else None,
        **more,
    )
