"""Check a log with public keys only: no account, no root key, no trust in who runs it.

The steps, numbered as in the report of a failure:

1. the identity, the head and the epochs are what the format demands;
2. every signing key but the first has an endorsement that it and the one before signed, none begins
   after the last record, and the trusted one is among them: so the newest checkpoint is signed by it
   or by one it endorsed;
3. every record stands at its position, its leaf says so, and times strictly increase;
4. every envelope has the hash that its leaf holds;
5. the leaves hash to the head's root, and to the root of every checkpoint given;
6. the log's own checkpoint is signed by the key of its epoch;
7. every kept checkpoint is signed by the key of its epoch, and the log extends it;
8. the last event's signature is that of its epoch's key; with *every_signature*, each one's is, and
   the key commitments in each leaf are those of its envelope;
9. the hashes that the log kept of its tree, which prove things quickly, are those of the records.

A log alone cannot show that its tail was not cut off together with its checkpoint: that takes a
checkpoint kept elsewhere.  One pass, and memory flat in the length of the
history, but for a byte for each page of the file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from eventstore import head as heads
from eventstore import record, tiles
from eventstore.checkpoint import Checkpoint, Verifier, open_note, parse_checkpoint, parse_verifier
from eventstore.errors import (
    CheckpointMalformed,
    CheckpointSignatureInvalid,
    FormatUnknown,
    HistoryForked,
    KeyChainBroken,
    LogTruncated,
    RecordAltered,
    RecordMalformed,
    RootMismatch,
    TailUnsigned,
)
from eventstore.head import Epochs, Head, Identity
from eventstore.merkle import Frontier, leaf_hash
from eventstore.record import Leaf, Row

Progress = Callable[[int, int], None]
Lookup = Callable[[bytes], bytes | None]

_EVERY = 4096


def nothing_kept(_: bytes) -> bytes | None:
    return None


class Evidence(NamedTuple):
    """All that a verifier looks at: three rows about the log, its records, its checkpoint.

    *kept_hash* gives a hash that the log kept of its tree, or None.
    """

    identity: bytes
    head: bytes
    epochs: bytes
    records: Iterable[tuple[bytes, bytes]]
    checkpoint: str
    kept_hash: Lookup = nothing_kept


class Report(NamedTuple):
    """What was checked, and found whole."""

    origin: str
    kind: str
    size: int
    root: bytes
    time: int
    signatures: int
    kept: int
    verifier: str
    seconds: float


def verify(
    evidence: Evidence,
    *,
    trusted: str | None = None,
    kept: Sequence[str] = (),
    every_signature: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Check *evidence* against the *trusted* verifier key and *kept* checkpoint notes.

    Raise a VerificationFailed that says what is wrong and where.
    """
    began = time.monotonic()
    return (
        _Verification(evidence, trusted, kept, every_signature)
        .run(progress)
        ._replace(seconds=time.monotonic() - began)
    )


class _Verification:
    """One pass over one log."""

    def __init__(
        self, evidence: Evidence, trusted: str | None, kept: Sequence[str], every: bool
    ) -> None:
        self._evidence = evidence
        self._every = every
        self._identity, self._head, self._epochs = _about(evidence)
        self._verifiers = self._chain(trusted)
        own = [] if not evidence.checkpoint else [_read(evidence.checkpoint)]
        if not own and self._head.size:
            raise TailUnsigned("the log has no signed checkpoint")
        self._kept = [_read(note) for note in kept]
        self._checkpoints = sorted(own + self._kept, key=lambda one: one.size)

    def run(self, progress: Progress | None) -> Report:
        for checkpoint in self._checkpoints:
            self._check_signature(checkpoint)
        frontier, last, signatures = Frontier(), 0, 0
        waiting = list(self._checkpoints)
        row: Row | None = None
        leaf: Leaf | None = None
        for key, stored in self._evidence.records:
            self._check_reached(waiting, frontier)
            row, leaf = self._check_record(frontier.size, last, key, stored)
            last = leaf.time
            if self._every:
                signatures += self._check_thoroughly(row, leaf)
            hashed = leaf_hash(row.leaf)
            if frontier.size % tiles.WIDTH == tiles.WIDTH - 1:
                self._check_kept_hashes(frontier, hashed)
            frontier.add(hashed)
            if progress is not None and frontier.size % _EVERY == 0:
                progress(frontier.size, self._head.size)
        self._check_reached(waiting, frontier)
        if row is not None and self._identity.kind.signed and not self._every:
            self._check_event_signature(row, frontier.size - 1)
            signatures = 1
        self._check_end(frontier, last, waiting)
        return Report(
            self._identity.origin,
            self._identity.kind_name,
            frontier.size,
            frontier.root(),
            last,
            signatures,
            len(self._kept),
            self._epochs.signing[-1].verifier,
            0.0,
        )

    # -- keys ------------------------------------------------------------------------------------

    def _chain(self, trusted: str | None) -> list[Verifier]:
        chain = heads.verifiers(self._identity, self._epochs)
        if self._epochs.signing[-1].start > self._head.size:
            # Such a key has signed nothing here.  A log cut back to before a rotation would still name
            # the key that came then, as if it vouched for a checkpoint that the old one signed.
            raise KeyChainBroken("a signing key begins after the last record")
        if trusted is not None and parse_verifier(trusted) not in chain:
            raise KeyChainBroken("no signing key of the log is the trusted one")
        return chain

    def _check_signature(self, checkpoint: Checkpoint) -> None:
        if checkpoint.origin != self._identity.origin:
            raise HistoryForked(f"the checkpoint is of another log, {checkpoint.origin}")
        epoch = self._epochs.signing_index(checkpoint.size)
        try:
            open_note(checkpoint.note, self._verifiers[epoch])
        except CheckpointSignatureInvalid:
            raise HistoryForked(
                f"the checkpoint of size {checkpoint.size} is not signed by this log's key"
            ) from None

    def _check_event_signature(self, row: Row, position: int) -> None:
        message = record.signed_message(self._identity.log_id, row.leaf)
        verifier = self._verifiers[self._epochs.signing_index(position)]
        if not verifier.accepts(row.signature, message):
            raise RecordAltered(f"record #{position}: the event signature is not valid")

    def _check_thoroughly(self, row: Row, leaf: Leaf) -> int:
        try:
            envelope = record.read_envelope(row.envelope)
        except (RecordMalformed, FormatUnknown) as problem:
            raise RecordAltered(f"record #{leaf.position}: {problem.message}") from None
        if record.commitments_of(envelope) != leaf.key_commitment:
            raise RecordAltered(f"record #{leaf.position}: the key commitments do not fit")
        if not self._identity.kind.signed:
            return 0
        self._check_event_signature(row, leaf.position)
        return 1

    # -- records ---------------------------------------------------------------------------------

    def _check_record(
        self, position: int, last: int, key: bytes, stored: bytes
    ) -> tuple[Row, Leaf]:
        if key != position.to_bytes(8, "big"):
            raise RecordAltered(f"record #{position} is missing; {key.hex()} stands in its place")
        try:
            row = record.split(self._identity.kind, stored)
            leaf = record.read_leaf(row.leaf)
        except (RecordMalformed, FormatUnknown) as problem:
            raise RecordAltered(f"record #{position}: {problem.message}") from None
        if leaf.position != position:
            raise RecordAltered(f"record #{position}: its leaf says #{leaf.position}")
        if leaf.time <= last:
            raise RecordAltered(f"record #{position}: its time does not increase")
        if sha256(row.envelope).digest() != leaf.envelope_hash:
            raise RecordAltered(f"record #{position}: the envelope does not fit its leaf")
        return row, leaf

    def _check_kept_hashes(self, frontier: Frontier, hashed: bytes) -> None:
        for done in tiles.completed(frontier, hashed):
            if self._evidence.kept_hash(done.key) not in (None, done.hashed):
                raise RootMismatch(
                    f"the log's memory of what the records before #{frontier.size + 1} hash to "
                    f"is wrong: hash {done.number} of level {done.level}"
                )

    def _check_reached(self, waiting: list[Checkpoint], frontier: Frontier) -> None:
        """Compare the root with every checkpoint of this size."""
        while waiting and waiting[0].size == frontier.size:
            checkpoint = waiting.pop(0)
            if checkpoint.root == frontier.root():
                continue
            if checkpoint.note == self._evidence.checkpoint:
                raise RootMismatch(
                    f"the records before #{frontier.size} do not hash to the signed root"
                )
            raise HistoryForked(
                f"the history before #{frontier.size} is not the one that the kept checkpoint fixed"
            )

    def _check_end(self, frontier: Frontier, last: int, waiting: list[Checkpoint]) -> None:
        if waiting:
            raise LogTruncated(
                f"the log has {frontier.size} records; "
                f"a checkpoint covers {max(one.size for one in waiting)}"
            )
        if self._head.size > frontier.size:
            raise LogTruncated(f"the log has {frontier.size} records of {self._head.size}")
        fits = (self._head.size, self._head.time) == (frontier.size, last)
        if not fits or list(self._head.frontier) != frontier.hashes:
            raise RootMismatch("the head does not fit the records")
        # A crash between a commit and its checkpoint leaves records that none covers yet; whoever
        # opens the log next signs them.
        signed = self._checkpoints[-1].size if self._checkpoints else 0
        if signed < frontier.size:
            raise TailUnsigned(
                f"records #{signed} to #{frontier.size - 1} are not covered by a signed checkpoint"
            )


def _about(evidence: Evidence) -> tuple[Identity, Head, Epochs]:
    try:
        return (
            heads.decode_identity(evidence.identity),
            heads.decode_head(evidence.head),
            heads.decode_epochs(evidence.epochs),
        )
    except (RecordMalformed, FormatUnknown) as problem:
        raise RecordAltered(f"the log's own rows: {problem.message}") from None


def _read(note: str) -> Checkpoint:
    try:
        return parse_checkpoint(note)
    except CheckpointMalformed as problem:
        raise HistoryForked(f"a checkpoint is not readable: {problem.message}") from None
