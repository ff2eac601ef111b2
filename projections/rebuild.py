"""Views made anew from the log, compared, and swapped.

The fresh generation is folded in chunks, so that writers wait for one chunk at most.  The last chunk,
both digests and the swap share one transaction: there is no moment without views, and a crash leaves
the old ones live.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from eventstore import file_lock
from eventstore.errors import MunimentError
from eventstore.log import Log
from eventstore.transaction import Append
from projections.ahead import Ahead
from projections.reader import Reader
from projections.rows import R, Table
from projections.sealer import ViewCorrupt
from projections.views import Pointer, Views

CHUNK = 10_000

_OF_NOTHING = bytes(32)

Progress = Callable[[int, int], None]


class Rebuilt(NamedTuple):
    """What a rebuild found: the digests of the views before and after, and how long it took."""

    events: int
    before: bytes
    after: bytes
    seconds: float


class _Buffered(Ahead):
    """Rows of the fresh generation, written once a chunk and not once an event."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        self._reader = reader

    def scan(
        self, table: Table, kind: type[R], owner: bytes = b"", after: bytes = b""
    ) -> Iterator[tuple[bytes, R]]:
        self.flush()
        yield from self._reader.scan(table, kind, owner, after)

    def flush(self) -> None:
        self._reader.fill(self.puts.items())
        self.puts.clear()


def rebuild(log: Log, views: Views, view_key: int, progress: Progress | None = None) -> Rebuilt:
    """Fold all of *log* into fresh views under key number *view_key*, compare, and swap."""
    began = time.monotonic()
    # Two rebuilds at once would fill the same spare table.
    with file_lock.held(log.path / "rebuild.lock"):
        with suppress(MunimentError):  # rows that do not open: they are about to be made anew
            views.keep_up(log)
        fresh = log.transact(lambda append: _begin(append, views, view_key))
        done = 0
        while log.head().size - done > CHUNK:
            done = log.transact(partial(_chunk, views=views, fresh=fresh, start=done))
            if progress is not None:
                progress(done, log.head().size)
        rebuilt = log.transact(lambda append: _finish(append, views, fresh, done))
    if progress is not None:
        progress(rebuilt.events, rebuilt.events)
    return rebuilt._replace(seconds=time.monotonic() - began)


def _begin(append: Append, views: Views, view_key: int) -> Pointer:
    live = views.pointer(append.transaction)
    fresh = Pointer(live.generation + 1, view_key, live.index_key)
    views.clear(append.transaction, fresh)
    append.touch()
    return fresh


def _chunk(append: Append, views: Views, fresh: Pointer, start: int) -> int:
    stop = min(start + CHUNK, append.size)
    rows = _Buffered(views.generation(append.transaction, fresh))
    for entry in append.entries(start, stop):
        rows.put(views.fold(rows, entry))
    rows.flush()
    append.touch()
    return stop


def _finish(append: Append, views: Views, fresh: Pointer, start: int) -> Rebuilt:
    done = start
    while done < append.size:
        done = _chunk(append, views, fresh, done)
    before = _digest(append, views)
    after = views.generation(append.transaction, fresh).digest()
    live = views.pointer(append.transaction)
    views.swap(append.transaction, views.standing(fresh, done))
    views.clear(append.transaction, live)
    append.touch()
    return Rebuilt(done, before, after, 0.0)


def _digest(append: Append, views: Views) -> bytes:
    """The digest of the live views once nothing is late; zeros if some row of them does not open."""
    try:
        views.catch_up(append)
        return views.reader(append.transaction).digest()
    except ViewCorrupt:
        return _OF_NOTHING
