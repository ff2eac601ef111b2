"""Showing a log's newest checkpoint to those who vouch for it, and keeping what they say.

The checkpoint is signed with both keys of the log and kept; then each witness of the policy gets
it with a proof that it extends what that witness knows, and each time-stamping authority its hash.
Nobody's answer is kept before it was checked, and nobody's failure keeps the others from being
asked.  What was gathered stays, so the next try asks only those who are missing.

A witness that knows more records than the log has, or other ones, is no failure of the network: the
log was rolled back, or is one of two.  That is told as `witness.disagrees`.

Source: C2SP tlog-witness, RFC 3161.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

from eventstore import anchors, file_lock
from eventstore.checkpoint import Checkpoint, parse_checkpoint
from eventstore.errors import CheckpointMalformed, MunimentError, VerificationFailed
from eventstore.log import Log
from eventstore.proof import Consistency
from eventstore.quorum import Witness
from eventstore.trust import Trust
from server.outside import Answer

_TRIES = 3


class Posts(Protocol):
    """`server.outside.Outside`, or what a test puts in its place."""

    def post(self, url: str, body: bytes, kind: str) -> Answer: ...


class WitnessDisagrees(VerificationFailed):
    """A witness knows a history of this log that the log does not extend."""

    code = "witness.disagrees"
    hint = "this copy was rolled back, or another one goes on elsewhere: compare them before more"


class WitnessDeclined(MunimentError):
    """A witness did not cosign."""

    code = "witness.declined"


class TimestampDeclined(MunimentError):
    """A time-stamping authority gave no time stamp."""

    code = "timestamp.declined"


class Voice(NamedTuple):
    """Who was asked, and what kept it from vouching; None if it did."""

    who: str
    problem: MunimentError | None


class Outcome(NamedTuple):
    """What came of publishing one log.  *anchored* says that it now has all that is asked for."""

    origin: str
    kind: str
    checkpoint: Checkpoint
    second: str
    voices: tuple[Voice, ...]
    anchored: bool

    @property
    def problems(self) -> list[MunimentError]:
        return [voice.problem for voice in self.voices if voice.problem is not None]


def publish(log: Log, trust: Trust, authorities: tuple[str, ...], outside: Posts) -> Outcome:
    """Publish the head of *log* to the witnesses of *trust* and the *authorities*, by their URLs.

    Raise HistoryForked if what is kept is another history, LogUnavailable, or OutcomeUnknown.
    """
    # One publisher at a time: a second one would find the witness ahead of it, as after a fork.
    with file_lock.held(log.path / "publish.lock"):
        signed = log.sign_for_others()
        anchors.keep_endorsement(log.path, signed.start, signed.endorsement)
        note = anchors.keep(log.path, signed.note)
        voices = [*_ask_witnesses(log, trust, note, outside)]
        voices += _ask_authorities(log, trust, note, authorities, outside)
        size = parse_checkpoint(note).size
        anchor = anchors.kept_at(log.path, size)
    return Outcome(
        log.identity.origin,
        log.identity.kind_name,
        parse_checkpoint(anchor.note),
        signed.endorsement,
        tuple(voices),
        trust.anchors(anchor),
    )


# --- witnesses ------------------------------------------------------------------------------------


def _ask_witnesses(log: Log, trust: Trust, note: str, outside: Posts) -> Iterator[Voice]:
    for witness in trust.policy.witnesses if trust.policy is not None else ():
        if witness.url and witness.key.time_in(note) is None:
            yield _heard(witness.name, partial(_keep_word, log, note, witness, outside))


def _heard(who: str, ask: Callable[[], object]) -> Voice:
    try:
        ask()
    except MunimentError as problem:
        return Voice(who, problem)
    return Voice(who, None)


def _keep_word(log: Log, note: str, witness: Witness, outside: Posts) -> None:
    anchors.keep(log.path, note + _cosignature(log, parse_checkpoint(note), witness, outside))


def _cosignature(log: Log, new: Checkpoint, witness: Witness, outside: Posts) -> str:
    """The line of *witness*, checked.  Raise WitnessDisagrees or WitnessDeclined."""
    old = _last_known(log, witness, new.size)
    for _ in range(_TRIES):
        body = str(Consistency(old, _path(log, old, new), _own_lines(new))).encode()
        answer = outside.post(f"{witness.url.rstrip('/')}/add-checkpoint", body, "text/plain")
        if answer.status == 200:
            return _checked(new, witness, answer.body)
        if answer.status == 422:
            raise WitnessDisagrees(f"{witness.name} knows other records than the first {old:,}")
        if answer.status != 409:
            raise WitnessDeclined(f"{witness.name}: status {answer.status}{_told(answer)}")
        known = _size_in(answer, witness)
        if known > new.size:
            raise WitnessDisagrees(
                f"{witness.name} knows {known:,} records of this log, and it has {new.size:,}"
            )
        if known == old:
            raise WitnessDisagrees(f"{witness.name} knows another root of {known:,} records")
        old = known
    raise WitnessDeclined(f"{witness.name} moves on while it is asked")


def _last_known(log: Log, witness: Witness, size: int) -> int:
    """What the witness cosigned last, as far as it is kept here; it says if that is wrong."""
    for known in reversed(anchors.sizes(log.path)):
        if known < size and witness.key.time_in(anchors.kept_at(log.path, known).note) is not None:
            return known
    return 0


def _path(log: Log, old: int, new: Checkpoint) -> list[bytes]:
    with log.snapshot() as snapshot:
        tree = snapshot.tree
        return tree.consistency(old, tree.root(old), new.size, new.root)


def _own_lines(new: Checkpoint) -> str:
    """The note with the log's own Ed25519 line, which comes first, and no other."""
    head, _, lines = new.note.rpartition("\n\n")
    return f"{head}\n\n{lines.splitlines(keepends=True)[0]}"


def _checked(new: Checkpoint, witness: Witness, body: bytes) -> str:
    try:
        note = _own_lines(new) + body.decode()
        if witness.key.time_in(note) is not None:
            return witness.key.line_in(note)
    except (UnicodeDecodeError, CheckpointMalformed):
        pass
    raise WitnessDeclined(f"{witness.name}: its answer is no cosignature by its key")


def _size_in(answer: Answer, witness: Witness) -> int:
    digits = answer.body.removesuffix(b"\n")
    if not digits.isdigit() or len(digits) > 20:
        raise WitnessDeclined(f"{witness.name}: it does not say which size it knows")
    return int(digits)


def _told(answer: Answer) -> str:
    first = answer.body.decode("ascii", "replace").split("\n")[0][:120]
    return f": {first}" if first.isprintable() and first else ""


# --- time stamps ----------------------------------------------------------------------------------


def _ask_authorities(
    log: Log, trust: Trust, note: str, urls: tuple[str, ...], outside: Posts
) -> Iterator[Voice]:
    size = parse_checkpoint(note).size
    if len(anchors.kept_at(log.path, size).timestamps) >= len(urls):
        return
    for url in urls:
        yield _heard(url, partial(_keep_stamp, log, trust, note, url, outside))


def _keep_stamp(log: Log, trust: Trust, note: str, url: str, outside: Posts) -> None:
    from eventstore import timestamps

    new = parse_checkpoint(note)
    asked = timestamps.request(new.text)
    answer = outside.post(url, asked.body, timestamps.REQUEST_TYPE)
    if answer.status != 200:
        raise TimestampDeclined(f"{url}: status {answer.status}")
    if trust.authorities is None:
        raise TimestampDeclined(f"{url}: there are no roots to check its answer with")
    trust.authorities.check(answer.body, new.text, asked.nonce)
    anchors.keep_timestamp(log.path, new.size, answer.body)
