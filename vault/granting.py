"""Granting a period to an auditor: recorded in both logs before anything is handed out.

The order is the law:

1. `access` says that its history of the period is given out.  From then on whatever is recorded
   there is later than the period;
2. `changes` says to whom, for which period and which records.  The period ends at the latest here;
3. only then the keys of those records are derived and sealed.

So a period that ends now ends for good: a time in it is never given to a record again, and who
counts the records of the period by their public times finds those that are granted and no others.
"""

from __future__ import annotations

from typing import Any

from eventstore import auditor, grant
from eventstore.access_events import HistoryRead
from eventstore.event import Context
from eventstore.events import AuditGranted
from eventstore.grant import Held, Part
from eventstore.log import Log
from eventstore.record import Draft, Entry
from eventstore.transaction import Append, Snapshot
from vault import answers, history
from vault.history_commands import GrantAudit
from vault.names import check_label
from vault.refusals import PointsReversed
from vault.resolving import Seen

_WHAT = "grant"


class Granting:
    """One grant on its way.  *vault* is the vault's name."""

    def __init__(self, changes: Log, access: Log, command: GrantAudit, vault: str) -> None:
        # Looked at before anything is recorded.
        grant.check_key(command.auditor)
        check_label(command.label)
        self._changes = changes
        self._access = access
        self._command = command
        self._vault = vault
        self._period = history.Period(0, None)
        self._closed = 0

    def begin(self, context: Context, seen: Seen) -> None:
        """Say in `access` that its records of the period are given out.  Raise PointsReversed."""
        period = self._period = history.period(seen.points)
        with self._changes.snapshot() as changes:
            of_changes = _range(changes, period.start, _end(period, changes.head.time + 1))

        def work(append: Append) -> None:
            self._closed = append.now
            if _end(period, append.now) < period.start:
                raise PointsReversed("the period begins in what is to come")
            first, stop = _range(append, period.start, _end(period, append.now))
            count = stop - first + of_changes[1] - of_changes[0]
            append.append(Draft(context, HistoryRead(at=seen.size, count=count, what=_WHAT)))

        self._access.transact(work)

    def record(self, append: Append, context: Context, grant_id: bytes) -> Entry[Any]:
        """Say in `changes` what is granted.  Raise PointsReversed."""
        start, stop = self._period.start, _end(self._period, min(self._closed, append.now))
        if stop < start:
            raise PointsReversed("the period begins after what is recorded ends")
        with self._access.snapshot() as access:
            of_access = _range(access, start, stop)
        event = AuditGranted(
            grant=grant_id.hex(),
            auditor=auditor.fingerprint(self._command.auditor).hex(),
            start=start,
            stop=stop,
            changes=_range(append, start, stop),
            access=of_access,
            label=self._command.label,
        )
        return append.append(Draft(context, event))

    def seal(self, entry: Entry[Any], store_id: bytes) -> answers.AuditGrant:
        """Seal the keys of the records that *entry*, which is committed, names."""
        event: AuditGranted = entry.event
        header = grant.Header(
            store_id,
            bytes.fromhex(event.grant),
            entry.position,
            bytes.fromhex(event.auditor),
            event.start,
            event.stop,
            Part(self._changes.identity.log_id, *event.changes),
            Part(self._access.identity.log_id, *event.access),
        )
        text = grant.Text(
            self._vault,
            event.label,
            _held(self._changes, event.changes),
            _held(self._access, event.access),
        )
        return answers.AuditGrant(
            file=grant.seal_to(self._command.auditor, header, text),
            grant=event.grant,
            auditor=event.auditor,
            label=event.label,
            position=entry.position,
            start=event.start,
            stop=event.stop,
            changes=event.changes,
            access=event.access,
        )


def _end(period: history.Period, now: int) -> int:
    """The end of the period, which is never to come."""
    return now if period.stop is None else min(period.stop, now)


def _range(log: Snapshot, start: int, stop: int) -> tuple[int, int]:
    """The records of *log* with times from *start* to *stop* (excluded)."""
    first = log.size_at(start - 1) if start else 0
    return first, max(first, log.size_at(stop - 1) if stop else 0)


def _held(log: Log, run: tuple[int, int]) -> Held:
    """In chunks, since a snapshot keeps old pages from being used again."""
    keys = bytearray()
    for first in range(*run, history.CHUNK):
        with log.snapshot() as snapshot:
            stop = min(first + history.CHUNK, run[1])
            keys += b"".join(snapshot.record_keys(first, stop))
    return Held(log.checkpoint(), bytes(keys))
