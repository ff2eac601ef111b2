"""What a log submits to a witness, and what the witness may answer.  Pure.

A submission is the size that the witness cosigned last, a proof that the new checkpoint extends it,
and the new checkpoint.  The witness answers with its cosignature, or with a refusal that says why.
The refusals stand here with the rule that each is of; the HTTP edge gives them their status.

Source: C2SP tlog-witness.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from eventstore import merkle
from eventstore.checkpoint import (
    Checkpoint,
    Verifier,
    checkpoint_text,
    parse_checkpoint,
    signatures,
)
from eventstore.errors import MunimentError, ProofInvalid
from eventstore.merkle import EMPTY_ROOT
from eventstore.proof import Consistency, parse

MAX_SUBMISSION = 128 * 1024


class WitnessRefusal(MunimentError):
    """The witness does not cosign this."""

    code = "witness.refused"


class SubmissionMalformed(WitnessRefusal):
    """The request is not a submission (C2SP tlog-witness, add-checkpoint)."""

    code = "witness.malformed"


class LogUnknown(WitnessRefusal):
    """The witness was not told of this log."""

    code = "witness.unknown-log"
    hint = "whoever runs the witness lets a log in with `muniment witness trust LOGKEY`"


class LogKeyUnknown(WitnessRefusal):
    """No key that the witness trusts for this log signed the checkpoint."""

    code = "witness.unknown-key"
    hint = "after a rotation the witness has to be told the log's new key"


class SizeDiffers(WitnessRefusal):
    """The witness cosigned another size last."""

    code = "witness.size-differs"

    def __init__(self, size: int = 0) -> None:
        super().__init__(f"the last checkpoint that was cosigned has {size} records")
        self.size = size


class ForkSeen(SizeDiffers):
    """The log signed two roots for one size; the witness keeps both."""

    code = "witness.forked"


class GrowthUnproved(WitnessRefusal):
    """The proof does not show that the checkpoint extends the one that was cosigned last."""

    code = "witness.inconsistent"


class Submission(NamedTuple):
    """What was asked, not yet believed."""

    old: int
    path: Sequence[bytes]
    checkpoint: Checkpoint


def read_submission(body: bytes) -> Submission:
    """Read the body of add-checkpoint.  Raise SubmissionMalformed."""
    if len(body) > MAX_SUBMISSION:
        raise SubmissionMalformed("the submission is too large")
    try:
        asked = parse(body.decode())
        if not isinstance(asked, Consistency):
            raise SubmissionMalformed("this is a proof of a record")
        checkpoint = parse_checkpoint(asked.note)
    except (UnicodeDecodeError, MunimentError) as problem:
        told = problem.message if isinstance(problem, MunimentError) else "it is not UTF-8"
        raise SubmissionMalformed(told) from None
    if asked.old > checkpoint.size:
        raise SubmissionMalformed("the old size is larger than the new one")
    if asked.old == 0 and asked.path:
        raise SubmissionMalformed("what begins at 0 needs no proof")
    return Submission(asked.old, asked.path, checkpoint)


def authenticated(checkpoint: Checkpoint, trusted: Sequence[Verifier]) -> Checkpoint:
    """*checkpoint* with the signatures of *trusted* keys and no others.

    Raise LogUnknown if there is no key for its origin, LogKeyUnknown if none of them signed.
    """
    keys = [key for key in trusted if key.name == checkpoint.origin]
    if not keys:
        raise LogUnknown(f"{checkpoint.origin} is not known here")
    text, found = signatures(checkpoint.note)
    lines = checkpoint.note[len(text) + 1 :].splitlines(keepends=True)
    ours = [
        line
        for line, (name, key_id, signature) in zip(lines, found, strict=True)
        if any(
            (name, key_id) == (key.name, key.key_id) and key.accepts(signature, text.encode())
            for key in keys
        )
    ]
    if not ours:
        raise LogKeyUnknown
    return checkpoint._replace(note=f"{text}\n{''.join(ours)}")


def check_growth(asked: Submission, last: Checkpoint | None) -> None:
    """Whether *asked* extends *last*, the checkpoint cosigned last.

    Raise SizeDiffers, ForkSeen or GrowthUnproved.
    """
    new = asked.checkpoint
    size, root = (last.size, last.root) if last else (0, EMPTY_ROOT)
    if last is not None and new.size == size and new.root != root:
        raise ForkSeen(size)
    if asked.old != size:
        raise SizeDiffers(size)
    try:
        merkle.check_consistency(size, new.size, root, new.root, asked.path)
    except ProofInvalid as problem:
        raise GrowthUnproved(problem.message) from None


def contradicts(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether no log can have signed both and be append-only."""
    same = checkpoint_text(one.origin, one.size, one.root)
    return one.size == other.size and other.text != same
