"""Rows that stand ahead of those that are kept: what was folded and not put yet.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from heapq import merge
from operator import itemgetter

from projections.rows import Listing, Put, R, Row, RowKey, Rows, Table


class Ahead(Listing):
    """What stands in *puts*, and below it the rows that are kept."""

    def __init__(self, below: Rows) -> None:
        self._below = below
        self.puts: dict[RowKey, Row | None] = {}

    def put(self, puts: Iterable[Put]) -> None:
        self.puts.update(puts)

    def get(self, key: RowKey, kind: type[R]) -> R | None:
        if key in self.puts:
            row = self.puts[key]
            return row if isinstance(row, kind) else None
        return self._below.get(key, kind)

    def scan(
        self, table: Table, kind: type[R], owner: bytes = b"", after: bytes = b""
    ) -> Iterator[tuple[bytes, R]]:
        ahead = {
            key.order: row
            for key, row in self.puts.items()
            if key.table == table and key.owner == owner and (not after or key.order > after)
        }
        below = (one for one in self._below.scan(table, kind, owner, after) if one[0] not in ahead)
        ours = sorted((order, row) for order, row in ahead.items() if isinstance(row, kind))
        yield from merge(below, ours, key=itemgetter(0))


class OnDemand(Listing):
    """Rows that are found when somebody looks: most records are told without a look at any."""

    def __init__(self, find: Callable[[], Rows]) -> None:
        self._find = find

    @cached_property
    def _rows(self) -> Rows:
        return self._find()

    def get(self, key: RowKey, kind: type[R]) -> R | None:
        return self._rows.get(key, kind)

    def scan(
        self, table: Table, kind: type[R], owner: bytes = b"", after: bytes = b""
    ) -> Iterator[tuple[bytes, R]]:
        return self._rows.scan(table, kind, owner, after)
