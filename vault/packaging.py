"""Evidence of a period, put together from both logs and written as it is read.

Nothing is given before it is recorded: that the period is read is committed before the first record
is, and the event with the digest of all of it before the closing part, without which the rest proves
nothing.  Records are read in chunks, each from a snapshot of its own, so memory stays flat and the
logs may grow meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import BinaryIO, NamedTuple

from eventstore import anchors, merkle, record
from eventstore.access_events import EvidencePackaged, HistoryRead
from eventstore.anchors import Anchor
from eventstore.bundle import BundleWriter
from eventstore.checkpoint import Checkpoint, parse_checkpoint
from eventstore.disclosure import EVERY, Fact, show
from eventstore.errors import HistoryForked
from eventstore.event import Context
from eventstore.log import Log
from eventstore.proof import Inclusion
from eventstore.record import Draft, Entry
from eventstore.transaction import Append, Snapshot
from eventstore.tree import Tree
from projections.past import PastRows
from projections.rows import Boundary, Rows, Settings, boundary_key, settings_key
from vault import evidence, report
from vault.evidence import LOGS, Period, Span
from vault.history_commands import PackageEvidence
from vault.points import Resolutions
from vault.refusals import PeriodMoved, PeriodNotOver, PointsReversed
from vault.tally import Tally

Progress = Callable[[int, int], None]

CHUNK = 500
MOST_ANCHORS = 400
"""So many anchors of a log go into a bundle; of more, some in between are left out."""


class Packaged(NamedTuple):
    """What was written."""

    period: Period
    digest: str
    position: int
    vault: str


class Known(NamedTuple):
    """What others know of a log: its anchors, and the checkpoints that somebody kept."""

    anchors: tuple[Anchor, ...]
    against: tuple[Checkpoint, ...]

    def sizes(self, span: Span) -> set[int]:
        """The sizes whose roots do not follow from the records of the period."""
        known = {one.size for one in self.anchors} | {one.size for one in self.against}
        return {size for size in known if size and not span.first < size <= span.stop}


class Packaging:
    """A period that may be packaged; `write` does it, once."""

    def __init__(
        self, logs: Mapping[str, Log], period: Period, rules: list[int], known: Mapping[str, Known]
    ) -> None:
        self._logs = logs
        self._period = period
        self._rules = rules
        self._known = known
        self._context = Context(principal="", auth="")
        self._done = 0
        self.at = logs["changes"].head().size

    @property
    def total(self) -> int:
        """How many records there are in the period."""
        return sum(span.stop - span.first for span in (self._period.changes, self._period.access))

    @property
    def reading(self) -> HistoryRead:
        """What must be committed before `write`."""
        return HistoryRead(at=self.at, count=self.total, what="package")

    def for_whom(self, context: Context) -> Packaging:
        self._context = context
        return self

    # -- the first part --------------------------------------------------------------------------

    def write(self, out: BinaryIO, verifier: bytes, progress: Progress | None = None) -> Packaged:
        """Write the bundle, with the program *verifier* in it, to *out*, which is seekable and empty.

        Raise PeriodMoved, BundleTooLarge, HistoryForked, or what reading a record raises.
        """
        bundle, tally = BundleWriter(out), Tally(self._period)
        for log in LOGS:
            self._write_log(bundle, log, tally, progress)
        bundle.begin(evidence.RULES)
        for part in self._opened_rules(tally):
            bundle.write(part)
        bundle.end()
        bundle.add(evidence.REPORT, report.html(self._period, tally).encode())
        bundle.add(evidence.VERIFIER, verifier)
        manifest = evidence.manifest(self._period, bundle.members)
        bundle.add(evidence.MANIFEST, manifest)
        digest = sha256(manifest).hexdigest()
        position = self._commit(digest)
        self._close(bundle, position)
        bundle.finish()
        return Packaged(self._period, digest, position, tally.vault)

    def _write_log(
        self, bundle: BundleWriter, log: str, tally: Tally, progress: Progress | None
    ) -> None:
        span = self._period.span(log)
        bundle.begin(f"{log}/records")
        for chunk in self._chunks(log, span, tally):
            bundle.write(b"".join(chunk))
            self._done += len(chunk)
            if progress is not None:
                progress(self._done, self.total)
        bundle.end()
        with self._logs[log].snapshot() as snapshot:
            edge, before = _frontier(snapshot.tree, span.first), _before(snapshot.tree, span.first)
            bundle.add(f"{log}/keys", evidence.keys(snapshot.epochs))
        bundle.add(f"{log}/frontier", b"".join(edge))
        if span.first:
            bundle.add(f"{log}/before", before)
        for anchor in self._known[log].anchors:
            place = f"{log}/anchors/{anchor.size:020}"
            bundle.add(f"{place}.note", anchor.note.encode())
            for number, stamp in enumerate(anchor.timestamps, 1):
                bundle.add(f"{place}-{number}.tsr", stamp)
        for start, note in anchors.endorsements(self._logs[log].path):
            bundle.add(f"{log}/second-{start:020}.note", note.encode())

    def _chunks(self, log: str, span: Span, tally: Tally) -> Iterator[list[bytes]]:
        for start in range(span.first, span.stop, CHUNK):
            stop = min(start + CHUNK, span.stop)
            with self._logs[log].snapshot() as snapshot:
                yield [
                    _opening(snapshot, position, row, log, tally)
                    for position, (_, row) in zip(
                        range(start, stop), snapshot.stored(start), strict=False
                    )
                ]

    def _opened_rules(self, tally: Tally) -> Iterator[bytes]:
        size, kind = self._period.changes.first, record.CHANGES
        with self._logs["changes"].snapshot() as snapshot:
            tree = snapshot.tree
            root = tree.root(size)
            for position in self._rules:
                row = record.split(kind, snapshot.row(position))
                opened = snapshot.open_row(position, row)
                tally.add_rule(record.decode_meta(kind, opened))
                yield evidence.rule(row, opened, tree.inclusion(position, size, root))

    # -- the event, and what proves it -----------------------------------------------------------

    def _commit(self, digest: str) -> int:
        period = self._period
        changes = self._logs["changes"]

        def work(append: Append) -> Entry[EvidencePackaged]:
            # Any record that comes from now on is later than the period only if the clock is.
            if append.now < period.stop or append.size_at(period.stop - 1) != period.access.stop:
                raise PeriodMoved
            with changes.snapshot() as snapshot:
                if snapshot.size_at(period.stop - 1) != period.changes.stop:
                    raise PeriodMoved
                at = snapshot.size
            event = EvidencePackaged(
                at=at,
                start=period.start,
                stop=period.stop,
                changes=(period.changes.first, period.changes.stop),
                access=(period.access.first, period.access.stop),
                digest=digest,
            )
            return append.append(Draft(self._context, event))

        return self._logs["access"].transact(work).position

    def _close(self, bundle: BundleWriter, position: int) -> None:
        for log in LOGS:
            span, opened = self._period.span(log), self._logs[log]
            checkpoint = parse_checkpoint(opened.checkpoint())
            with opened.snapshot() as snapshot:
                tree, after = snapshot.tree, b""
                if span.stop < checkpoint.size:
                    after = tree.leaf(span.stop)
                covered = span.stop + bool(after)
                sizes = sorted({covered, *self._known[log].sizes(span)} - {0, checkpoint.size})
                proofs = [(size, _grown(tree, size, checkpoint)) for size in sizes]
                if log == "access":
                    bundle.add(evidence.EVENT, _fact(snapshot, position, checkpoint))
            bundle.add(f"closing/{log}.checkpoint", checkpoint.note.encode())
            bundle.add(f"closing/{log}.growth", evidence.growth(proofs))
            bundle.add(f"closing/{log}.after", after)


def _opening(snapshot: Snapshot, position: int, row: bytes, log: str, tally: Tally) -> bytes:
    kind = snapshot.identity.kind
    split = record.split(kind, row)
    opened = snapshot.open_row(position, split)
    tally.add(log, record.decode_meta(kind, opened))
    return evidence.opening(split, opened)


def _grown(tree: Tree, size: int, checkpoint: Checkpoint) -> list[bytes]:
    return tree.consistency(size, tree.root(size), checkpoint.size, checkpoint.root)


def _fact(snapshot: Snapshot, position: int, checkpoint: Checkpoint) -> bytes:
    """The event with all its fields, and that it is in the log."""
    opened, tree = snapshot.opened(position), snapshot.tree
    path = tree.inclusion(position, checkpoint.size, checkpoint.root)
    proof = Inclusion(position, tree.leaf(position), path, checkpoint.note)
    return str(Fact(show(opened.meta, opened.seed, [EVERY]), proof)).encode()


def _frontier(tree: Tree, size: int) -> list[bytes]:
    """The right edge of the tree when it had *size* leaves: its perfect subtrees' hashes."""
    found, start = [], 0
    for height in range(size.bit_length() - 1, -1, -1):
        if size >> height & 1:
            found.append(tree.subtree(start, start + (1 << height)))
            start += 1 << height
    if merkle.Frontier(size, found).root() != tree.root(size):
        raise HistoryForked(f"the hashes of the first {size} records do not fit each other")
    return found


def _before(tree: Tree, size: int) -> bytes:
    """The leaf right before the period, and its audit path in the tree of *size* leaves."""
    if not size:
        return b""
    return tree.leaf(size - 1) + b"".join(tree.inclusion(size - 1, size, tree.root(size)))


# --- what belongs to a period ---------------------------------------------------------------------


def begin(
    logs: Mapping[str, Log],
    changes: Snapshot,
    rows: Rows,
    access: Snapshot,
    command: PackageEvidence,
    points: Resolutions,
) -> Packaging:
    """What *command* asks for.  Raise PointsReversed, PeriodNotOver, HistoryForked."""
    start = points["since"].time if "since" in points else 0
    stop = points["until"].time
    if stop < start:
        raise PointsReversed
    if stop > max(logs["access"].now(), access.head.time, changes.head.time):
        raise PeriodNotOver
    period = Period(start, stop, *(_span(one, start, stop) for one in (changes, access)))
    kept = [parse_checkpoint(note) for note in command.against]
    known = {
        log: _known(logs[log], snapshot, period.span(log), kept)
        for log, snapshot in zip(LOGS, (changes, access), strict=True)
    }
    for one in kept:
        if one.origin not in (period.changes.origin, period.access.origin):
            raise HistoryForked(f"the checkpoint is of another log, {one.origin}")
    return Packaging(logs, period, _rules(rows, period.changes.first), known)


def _span(snapshot: Snapshot, start: int, stop: int) -> Span:
    first = snapshot.size_at(start - 1) if start else 0
    return Span(snapshot.identity.origin, first, snapshot.size_at(stop - 1) if stop else 0)


def _known(log: Log, snapshot: Snapshot, span: Span, kept: list[Checkpoint]) -> Known:
    against = [one for one in kept if one.origin == span.origin]
    chosen = _chosen(anchors.kept(log.path), span)
    tree = snapshot.tree
    for one in [*against, *(parse_checkpoint(anchor.note) for anchor in chosen)]:
        # Evidence that speaks against the log is not for the log to leave out.
        if one.origin != span.origin or one.size > tree.size or tree.root(one.size) != one.root:
            raise HistoryForked(f"the log does not extend its checkpoint of {one.size} records")
    return Known(tuple(chosen), tuple(against))


def _chosen(found: list[Anchor], span: Span) -> list[Anchor]:
    """The last from before the period, those of it, and the first and the newest from after it."""
    # That there was nothing yet says nothing of a record.
    found = [one for one in found if one.size]
    before = [one for one in found if one.size <= span.first][-1:]
    inside = [one for one in found if span.first < one.size < span.stop]
    after = [one for one in found if one.size > span.first and one.size >= span.stop]
    step = -(-len(inside) // MOST_ANCHORS) or 1
    return [*before, *inside[::-step][::-1], *after[:1], *after[1:][-1:]]


def _rules(rows: Rows, size: int) -> list[int]:
    """Where the rules stand that were in force when `changes` had *size* records."""
    if not size:
        return []
    past = PastRows(rows, size)
    boundary = past.get(boundary_key(), Boundary)
    found = {0, *_settings(rows, size)} | {policy.at for policy in past.policies()}
    return sorted(found if boundary is None else found | {boundary.at})


def _settings(rows: Rows, size: int) -> Iterator[int]:
    """Which records say how the vault was set, and whether it was deleted."""
    now = PastRows(rows, size).get(settings_key(), Settings)
    while now is not None:
        yield now.at
        before = PastRows(rows, now.at).get(settings_key(), Settings)
        # What deletes a vault, or brings it back, leaves in force what was set before it.
        set_now = before is not None and _life(before) == _life(now)
        now = None if set_now else before


def _life(settings: Settings) -> tuple[int | None, bool]:
    return settings.deleted_date, settings.purged
