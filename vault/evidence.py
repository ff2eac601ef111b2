"""What a bundle of evidence is made of: its members, and how each is written.  Pure.

A bundle shows an outsider everything that happened in a vault in a period, and no value.  It is
checked from two public keys that the outsider brings along, by `verify.py`, which is in it too.

The first part is what was so: of each log the records of the period with the openings of all their
fields, the tree's edge where the period begins, the chain of signing keys, what others said of its
checkpoints; the rules in force when the period began; a report; and a manifest with the digest of
each.  The event that says so is committed to `access` with the manifest's digest.  The closing part
proves that event, and with it everything else: it, the checkpoints that cover it, and the proofs that
the trees of the first part grew into these.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from eventstore.bundle import Member
from eventstore.head import Epochs
from eventstore.record import Opened, Row

FORMAT = "muniment/evidence/v1"
MANIFEST = "manifest.json"
REPORT = "report.html"
VERIFIER = "verify.py"
RULES = "changes/rules"
EVENT = "closing/event"
LOGS = ("changes", "access")


class Span(NamedTuple):
    """The records of a log that lie in the period: from *first* to *stop* (excluded)."""

    origin: str
    first: int
    stop: int


class Period(NamedTuple):
    """Times in microseconds, *start* included and *stop* not, and what lies between in each log."""

    start: int
    stop: int
    changes: Span
    access: Span

    def span(self, log: str) -> Span:
        return self.changes if log == "changes" else self.access


def opening(row: Row, opened: Opened) -> bytes:
    """A record with what opens its fields.

    leaf 114 || signature 64 (on `changes`) || seed of the salts 32 || size of the text u32 || the
    metadata text.
    """
    size = len(opened.meta).to_bytes(4, "big")
    return row.leaf + row.signature + opened.seed + size + opened.meta


def rule(row: Row, opened: Opened, path: Sequence[bytes]) -> bytes:
    """A record from before the period: its opening, and u8 and as many hashes of its audit path."""
    return opening(row, opened) + bytes([len(path)]) + b"".join(path)


def keys(epochs: Epochs) -> bytes:
    """The signing keys of a log, oldest first, each with its endorsement."""
    return _json(
        [
            {"endorsement": one.endorsement, "start": one.start, "verifier": one.verifier}
            for one in epochs.signing
        ]
    )


def manifest(period: Period, members: Iterable[Member]) -> bytes:
    return _json(
        {
            "files": {one.name: {"sha256": one.sha256, "size": one.size} for one in members},
            "format": FORMAT,
            "logs": {log: period.span(log)._asdict() for log in LOGS},
            "start": period.start,
            "stop": period.stop,
        }
    )


def growth(proofs: Iterable[tuple[int, Sequence[bytes]]]) -> bytes:
    """That trees of these sizes grew into the signed one: `old SIZE`, then a hash a line."""
    return "".join(
        f"old {size}\n" + "".join(base64.b64encode(step).decode() + "\n" for step in path)
        for size, path in proofs
    ).encode()


def _json(what: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(what, order="sorted"), indent=1) + b"\n"
