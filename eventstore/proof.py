"""Proofs that stand alone, as text: that a record is in the log, and that the log only grew.  Pure.

An inclusion proof is a C2SP tlog-proof: index, audit path, and the signed checkpoint they lead to.
Its extra line holds the record's leaf.  Nothing vouches for that line but the path itself, which
begins with the leaf's hash.  A consistency proof has the form of a C2SP tlog-witness request: the
old size, the path, and the new signed checkpoint; whoever checks it brings the old checkpoint.

Sources: C2SP tlog-proof, C2SP tlog-witness (add-checkpoint), C2SP tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple

from eventstore import merkle
from eventstore.checkpoint import Checkpoint, Verifier, open_note, parse_checkpoint
from eventstore.errors import CheckpointSignatureInvalid, ProofInvalid, ProofMalformed
from eventstore.merkle import HASH_SIZE, leaf_hash

HEADER = "c2sp.org/tlog-proof@v1"
MAX_STEPS = 63


class Inclusion(NamedTuple):
    """That *leaf* stands at *position* under the root that *note*, a checkpoint, signs."""

    position: int
    leaf: bytes
    path: Sequence[bytes]
    note: str

    def __str__(self) -> str:
        extra, index = f"extra {encoded(self.leaf)}\n", f"index {self.position}\n"
        return f"{HEADER}\n{extra}{index}{_lines(self.path)}\n{self.note}"

    def check(self, verifiers: Sequence[Verifier]) -> Checkpoint:
        """The checkpoint, if one of *verifiers* signed it and the leaf is under its root.

        Raise CheckpointMalformed, CheckpointSignatureInvalid or ProofInvalid.
        """
        checkpoint = signed(self.note, verifiers)
        position, size, hashed = self.position, checkpoint.size, leaf_hash(self.leaf)
        if merkle.root_from_inclusion(position, size, hashed, self.path) != checkpoint.root:
            raise ProofInvalid("the path does not lead to the signed root")
        return checkpoint


class Consistency(NamedTuple):
    """That the log which *note*, a checkpoint, signs extends the one of *old* records."""

    old: int
    path: Sequence[bytes]
    note: str

    def __str__(self) -> str:
        return f"old {self.old}\n{_lines(self.path)}\n{self.note}"

    def check(self, since: Checkpoint, verifiers: Sequence[Verifier]) -> Checkpoint:
        """The newer checkpoint, if one of *verifiers* signed both and it extends *since*.

        Raise CheckpointMalformed, CheckpointSignatureInvalid or ProofInvalid.
        """
        checkpoint = signed(self.note, verifiers)
        signed(since.note, verifiers)
        if (since.origin, since.size) != (checkpoint.origin, self.old):
            raise ProofInvalid("the proof is about another old checkpoint")
        merkle.check_consistency(self.old, checkpoint.size, since.root, checkpoint.root, self.path)
        return checkpoint


def signed(note: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint in *note* if one of *verifiers*, keys of its log, signed it."""
    checkpoint = parse_checkpoint(note)
    for verifier in verifiers:
        if verifier.name != checkpoint.origin:
            continue
        try:
            open_note(note, verifier)
        except CheckpointSignatureInvalid:
            continue
        return checkpoint
    raise CheckpointSignatureInvalid


def parse(text: str) -> Inclusion | Consistency:
    """Read a proof without believing it.  Raise ProofMalformed or CheckpointMalformed."""
    head, gap, note = text.partition("\n\n")
    if not gap:
        raise ProofMalformed
    parse_checkpoint(note)
    lines = head.split("\n")
    if lines[0] != HEADER:
        return Consistency(_number("old", lines[0]), _path(lines[1:]), note)
    if len(lines) < 3:
        raise ProofMalformed("the proof lacks its extra line, which holds the leaf, or its index")
    word, _, leaf = lines[1].partition(" ")
    if word != "extra":
        raise ProofMalformed("the proof has no extra line, which holds the leaf")
    return Inclusion(_number("index", lines[2]), decoded(leaf), _path(lines[3:]), note)


def _number(word: str, line: str) -> int:
    said, _, digits = line.partition(" ")
    canonical = digits.isascii() and digits.isdecimal() and (digits == "0" or digits[0] != "0")
    if said != word or not canonical or len(digits) > 20:
        raise ProofMalformed(f"the line `{word} NUMBER` is missing or not canonical")
    return int(digits)


def _path(lines: Sequence[str]) -> list[bytes]:
    path = [decoded(line) for line in lines]
    if len(path) > MAX_STEPS or any(len(step) != HASH_SIZE for step in path):
        raise ProofMalformed("the path is not made of at most 63 hashes")
    return path


def _lines(path: Sequence[bytes]) -> str:
    return "".join(encoded(step) + "\n" for step in path)


def encoded(raw: bytes) -> str:
    """Base64 as a line of these texts has it."""
    return base64.b64encode(raw).decode()


def decoded(text: str) -> bytes:
    """The bytes of canonical base64.  Raise ProofMalformed."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise ProofMalformed("the base64 is not valid") from None
    if encoded(raw) != text:
        raise ProofMalformed("the base64 is not canonical")
    return raw
