"""Rows that are put late, a little with each commit, in the order of their places.

Two lumps take turns: one is folded, record by record as they are committed; the other, which is
whole, is put from its first place to its last, so that rows which lie together are put together.
What is put counts only when its transaction has been committed: if that fails, or if the views
stand elsewhere than they were left, all is begun anew from where they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from eventstore.record import Entry
from projections.reader import Reader
from projections.rows import Listing, R, Row, RowKey, Table
from projections.state import Apply
from projections.views import Pointer


class _Lump:
    """The rows of the records from *start* to *stop* (excluded), by their places on the disk."""

    def __init__(self, start: int) -> None:
        self.start = self.stop = start
        self.rows: dict[bytes, Row | None] = {}

    @property
    def records(self) -> int:
        return self.stop - self.start


class Lumps:
    """The two lumps of one process."""

    def __init__(self) -> None:
        self._begin_anew(0)
        self._pointer: Pointer | None = None
        self._is_sure = True

    def _begin_anew(self, through: int) -> None:
        self._folding = _Lump(through)
        self._whole: _Lump | None = None
        self._left: list[bytes] = []  # places of what is whole and not put yet, the first one last

    @property
    def folded(self) -> int:
        """The records before this position are folded."""
        return self._folding.stop

    def begin(self, pointer: Pointer, through: int) -> None:
        """Begin a transaction in which the views stand at *pointer*, that is *through* a position."""
        if not self._is_sure or pointer != self._pointer:
            self._begin_anew(through)
        self._pointer, self._is_sure = pointer, False

    def fold(self, reader: Reader, how: Apply, entries: Iterable[Entry[Any]]) -> None:
        """Fold the *entries* that follow."""
        rows = _Standing(reader, self._folding, self._whole)
        for entry in entries:
            for key, row in how(rows, entry):
                self._folding.rows[reader.place(key)] = row
            self._folding.stop = entry.position + 1

    def close(self, records: int) -> None:
        """If nothing else is whole, call that whole which is folded, if it is of so many records."""
        if self._whole is None and self._folding.records >= records:
            self._whole, self._folding = self._folding, _Lump(self._folding.stop)
            self._left = sorted(self._whole.rows, reverse=True)

    def put(self, reader: Reader, rows: int) -> int | None:
        """Put so many rows.  If that was the last of a lump, give what the views are through then."""
        whole = self._whole
        if whole is None:
            return None
        now, self._left = self._left[: -rows - 1 : -1], self._left[:-rows]
        reader.put_placed((place, whole.rows[place]) for place in now)
        if self._left:
            return None
        self._whole = None
        return whole.stop

    def stands(self, pointer: Pointer) -> None:
        """In this transaction, the views came to stand at *pointer*."""
        self._pointer = pointer

    def committed(self) -> None:
        """The transaction was committed."""
        self._is_sure = True


class _Standing(Listing):
    """What will stand once both lumps are put."""

    def __init__(self, reader: Reader, folding: _Lump, whole: _Lump | None) -> None:
        self._reader = reader
        self._lumps = (folding,) if whole is None else (folding, whole)

    def get(self, key: RowKey, kind: type[R]) -> R | None:
        place = self._reader.place(key)
        for lump in self._lumps:
            if place in lump.rows:
                row = lump.rows[place]
                return row if isinstance(row, kind) else None
        return self._reader.get_placed(place, kind)

    def scan(
        self, table: Table, kind: type[R], owner: bytes = b"", after: bytes = b""
    ) -> Iterator[tuple[bytes, R]]:
        raise TypeError("views that follow late are folded from single rows")
