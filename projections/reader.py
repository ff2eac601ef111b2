"""The views of one generation inside one transaction: its rows, found, opened and put."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any

import lmdb

from projections import state
from projections.rows import Listing, Put, R, Row, RowKey, Table
from projections.sealer import FIRST_RUN, IN_RUNS, KEPT, Sealer, run_after, run_at, run_of

_REMEMBERED = 8192
"""How many rows a transaction remembers once it has put some."""


class Reader(Listing):
    """The views inside one transaction.

    A row that was read or put is remembered, since deciding, applying and answering look at the
    same few; what is put also goes to LMDB at once, so that a scan sees it.  Rows *known* from other
    transactions on the same state are not read again, and what is read is known to the next.
    """

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        table: Any,
        sealer: Sealer,
        known: dict[bytes, Row | None],
    ) -> None:
        self._transaction = transaction
        self._table = table
        self._sealer = sealer
        self._known = known
        # Once something is put this is another state, which only this transaction has seen.
        self._own: dict[bytes, Row | None] | None = None

    def get(self, key: RowKey, kind: type[R]) -> R | None:
        return self.get_placed(self._sealer.place(key), kind)

    def get_placed(self, place: bytes, kind: type[R]) -> R | None:
        """The row that lies at *place* on disk."""
        rows = self._known if self._own is None or place not in self._own else self._own
        if place in rows:
            row = rows[place]
            return row if isinstance(row, kind) else None
        sealed = self._transaction.get(place, db=self._table)
        found = None if sealed is None else self._sealer.decode_once(place, sealed, kind)
        self._remember(place, found)
        return found

    def _remember(self, place: bytes, row: Row | None) -> None:
        rows, most = (self._known, KEPT) if self._own is None else (self._own, _REMEMBERED)
        if len(rows) >= most:
            rows.clear()
            self._known = rows  # what is known may be older than what was forgotten
        rows[place] = row

    def _begin_to_put(self) -> dict[bytes, Row | None]:
        if self._own is None:
            self._own = {}
        return self._own

    def scan(
        self, table: Table, kind: type[R], owner: bytes = b"", after: bytes = b""
    ) -> Iterator[tuple[bytes, R]]:
        if self._sealer.lies_in_runs(table):
            yield from self._scan_runs(table, kind, owner, after)
            return
        prefix = self._sealer.prefix(table, owner)
        start = len(prefix)
        with self._transaction.cursor(db=self._table) as cursor:
            found = cursor.set_range(prefix + after)
            while found and cursor.key().startswith(prefix):
                place = cursor.key()
                if not after or place[start:] > after:
                    yield place[start:], self._sealer.decode_once(place, cursor.value(), kind)
                found = cursor.next()

    def _scan_runs(
        self, table: Table, kind: type[R], owner: bytes, after: bytes
    ) -> Iterator[tuple[bytes, R]]:
        run = run_of(after) if after else FIRST_RUN
        with self._transaction.cursor(db=self._table) as cursor:
            while cursor.set_range(IN_RUNS + run) and cursor.key().startswith(IN_RUNS):
                run = run_at(cursor.key())
                prefix = self._sealer.run_prefix(run, table, owner)
                found = cursor.set_range(prefix + after)
                while found and (place := cursor.key()).startswith(prefix):
                    order = place[len(prefix) :]
                    if not after or order > after:
                        yield order, self._sealer.decode(place, cursor.value(), kind)
                    found = cursor.next()
                run = run_after(run)

    @cached_property
    def _seeking(self) -> lmdb.Cursor[bytes]:
        # One for all seeks of a transaction, with which it ends.
        return self._transaction.cursor(db=self._table)

    def first(
        self, table: Table, kind: type[R], owner: bytes, start: bytes, within: bytes
    ) -> R | None:
        prefix = self._sealer.prefix(table, owner)
        if not self._seeking.set_range(prefix + start):
            return None
        place = self._seeking.key()
        if not place.startswith(prefix + within):
            return None  # the row of something else, which need not be opened
        return self._sealer.decode(place, self._seeking.value(), kind)

    def names(self) -> Sequence[str]:
        """The names that ever had a secret, and perhaps more: upper case, sorted."""
        return self._sealer.names.names(self)

    def place(self, key: RowKey) -> bytes:
        """Where the row of *key* lies on disk."""
        return self._sealer.place(key)

    def opened(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows, opened but not decoded, in the order of their places."""
        opened = self._sealer.open
        with self._transaction.cursor(db=self._table) as cursor:
            for place, sealed in cursor:
                yield place, opened(place, sealed)

    def digest(self) -> bytes:
        """The digest of the state these views hold."""
        return state.digest(self.opened())

    def put(self, puts: list[Put]) -> None:
        self._begin_to_put()
        for key, row in puts:
            place = self._sealer.place(key)
            self._remember(place, row)
            sealed = self._write(place, row)
            if sealed and row is not None:
                # Who reads a secret reads it again: its exposure need not be opened for that.
                self._sealer.remember(place, sealed, row)

    def fill(self, puts: Iterable[tuple[RowKey, Row | None]]) -> None:
        """Put many rows in the order of their places, and remember none."""
        placed = [(self._sealer.place(key), row) for key, row in puts]
        placed.sort(key=itemgetter(0))
        self.put_placed(placed)

    def put_placed(self, placed: Iterable[tuple[bytes, Row | None]]) -> None:
        """Put rows at their places, and remember none."""
        self._begin_to_put().clear()
        self._known = {}
        for place, row in placed:
            self._write(place, row)

    def _write(self, place: bytes, row: Row | None) -> bytes:
        """Put *row*, or take away what stands there; give what was put."""
        if row is None:
            self._transaction.delete(place, db=self._table)
            return b""
        sealed = self._sealer.seal(place, row)
        self._transaction.put(place, sealed, db=self._table)
        return sealed
