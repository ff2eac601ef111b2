"""What an auditor does with a grant: verify a copy of the log, then open the period in it.

No key of the store is used and nothing is asked of it.  The copy comes first and the grant second:

1. the copy is verified as anybody would verify it, against a verifier key that the auditor holds, the
   checkpoint in the grant and every one that was kept from an older copy;
2. the records whose public times lie in the period are exactly those that the grant has keys for, so
   that neither can leave one out;
3. each of them opens with its own key to what its leaf committed to when it was recorded.

Nothing is shown before all of that holds.  A copy that is older than the grant will do if it holds
the whole period.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple

from eventstore import head as heads
from eventstore import record
from eventstore.checkpoint import parse_checkpoint
from eventstore.errors import (
    CheckpointMalformed,
    FormatUnknown,
    GrantInvalid,
    GrantOfAnotherLog,
    LogTruncated,
    RecordAltered,
    RecordMalformed,
    SealBroken,
    WrongKey,
)
from eventstore.grant import Grant, Header
from eventstore.merkle import HASH_SIZE, leaf_hash
from eventstore.record import KINDS, Entry
from eventstore.verify import Evidence, Progress, Report, verify

Copy = Callable[[str], AbstractContextManager[Evidence]]
"""Opens the copy of the log of that kind, from its beginning, as often as it is asked."""


class Checked(NamedTuple):
    """A verified log, and the leaf hash of each record of the period.

    *held* says whether it could be compared with the checkpoint in the grant: not if it is older.
    """

    report: Report
    leaves: bytes
    held: bool


def check(
    copy: Copy,
    grant: Grant,
    kind: str,
    trusted: str,
    *,
    kept: Sequence[str] = (),
    every_signature: bool = False,
    progress: Progress | None = None,
) -> Checked:
    """Verify the log of that *kind*, and that the grant is of exactly its records of the period.

    Raise a VerificationFailed.
    """
    granted = grant.text.held(kind).checkpoint
    with copy(kind) as evidence:
        _check_identity(evidence, grant.header, kind)
        held = _size(granted) <= _size(evidence.checkpoint)
        watch = _Watch(grant, kind)
        report = verify(
            evidence._replace(records=watch.through(evidence.records)),
            trusted=trusted,
            kept=[*kept, granted] if held else kept,
            every_signature=every_signature,
            progress=progress,
        )
    if report.size < grant.header.part(kind).stop:
        raise LogTruncated(f"the copy of {kind} ends before the period of the grant does")
    return Checked(report, bytes(watch.leaves), held)


def entries(copy: Copy, grant: Grant, kind: str, checked: Checked) -> Iterator[Entry[Any]]:
    """The records of the period, opened.  Raise GrantInvalid, or RecordAltered.

    The copy is read once more, and each record must be the one that was verified.
    """
    part, held = grant.header.part(kind), grant.text.held(kind)
    with copy(kind) as evidence:
        rows = islice(evidence.records, part.first, part.stop)
        for index, (_, stored) in enumerate(rows):
            row = record.split(KINDS[kind], stored)
            expected = checked.leaves[index * HASH_SIZE : (index + 1) * HASH_SIZE]
            fits = sha256(row.envelope).digest() == record.read_leaf(row.leaf).envelope_hash
            if leaf_hash(row.leaf) != expected or not fits:
                raise RecordAltered(f"record #{part.first + index} changed while it was read")
            yield _opened(kind, part.log_id, row, held.key(index))


def _opened(kind: str, log_id: bytes, row: record.Row, key: bytes) -> Entry[Any]:
    try:
        opened = record.open_with_its_key(log_id, row, key)
    except (WrongKey, SealBroken) as problem:
        position = record.read_leaf(row.leaf).position
        raise GrantInvalid(
            f"the grant's key for #{position} of {kind} does not open it: {problem.message}"
        ) from None
    return record.decode_meta(KINDS[kind], opened)


def _check_identity(evidence: Evidence, header: Header, kind: str) -> None:
    try:
        identity = heads.decode_identity(evidence.identity)
    except (RecordMalformed, FormatUnknown) as problem:
        raise RecordAltered(f"the log's own rows: {problem.message}") from None
    if (identity.kind_name, identity.log_id) != (kind, header.part(kind).log_id):
        raise GrantOfAnotherLog(f"the copy is of {identity.origin}")


def _size(note: str) -> int:
    try:
        return parse_checkpoint(note).size
    except CheckpointMalformed:
        # Whoever verifies says what is wrong with it.
        return 0


class _Watch:
    """Looks at records once they are verified: which are of the period, by their own time."""

    def __init__(self, grant: Grant, kind: str) -> None:
        self._header = grant.header
        self._kind = kind
        self._part = grant.header.part(kind)
        self._held = grant.text.held(kind)
        self.leaves = bytearray()

    def through(self, records: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        for position, (key, stored) in enumerate(records):
            yield key, stored
            # Asked for the next one, so this one was found to be what it should be.
            self._see(position, record.split(KINDS[self._kind], stored))

    def _see(self, position: int, row: record.Row) -> None:
        time = record.read_leaf(row.leaf).time
        granted = self._part.first <= position < self._part.stop
        if granted != (self._header.start <= time < self._header.stop):
            raise GrantInvalid(
                f"#{position} of {self._kind} is in the period and not in the grant"
                if not granted
                else f"#{position} of {self._kind} is in the grant and not in its period"
            )
        if granted:
            key = self._held.key(position - self._part.first)
            _opened(self._kind, self._part.log_id, row, key)
            self.leaves += leaf_hash(row.leaf)
