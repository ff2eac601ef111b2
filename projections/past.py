"""Any point of the past, by a seek.  Pure.

When a record changes a row that has a past, the row as it was is kept under the position of that
record.  So a row as of a point is the first one kept after that point, or, if none was, the live
one; and if even that came to be later, there was none.  Nothing is kept for a row that is new, and
looking back costs a seek however long the history is.  The whole state at a point is such a look
at each name that ever was.

Points are sizes: as of size *n*, the records before position *n* have happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from projections.rows import (
    Boundary,
    Known,
    Listing,
    Mark,
    Policy,
    Put,
    R,
    Row,
    RowKey,
    Rows,
    SasDefinition,
    Secret,
    Settings,
    StorageAccount,
    Table,
    Version,
    known_key,
    listed_key,
    past_key,
    past_of,
    storage_key,
)

KINDS: dict[Table, type[Row]] = {
    Table.SETTINGS: Settings,
    Table.SECRETS: Secret,
    Table.VERSIONS: Version,
    Table.POLICIES: Policy,
    Table.BOUNDARY: Boundary,
    Table.STORAGE_ACCOUNTS: StorageAccount,
    Table.SAS_DEFINITIONS: SasDefinition,
}
"""The tables that have a past."""

KNOWN = (Table.KNOWN_SECRETS, Table.KNOWN_POLICIES, Table.KNOWN_STORAGE, Table.KNOWN_SAS)
"""The lists of names, which only grow: as of a point they are those of now."""

_POSITION_SIZE = 8


def keep(rows: Rows, puts: Iterable[Put], position: int) -> Iterator[Put]:
    """What the record at *position* adds to the past, as it is about to make *puts*."""
    for key, row in puts:
        kind = KINDS.get(key.table)
        if kind is None:
            continue
        before = rows.get(key, kind)
        if before is not None:
            yield Put(past_key(key, position), before)
        elif isinstance(row, Secret):
            yield from _listed(rows, Table.KNOWN_SECRETS, key, row.name, position)
        elif isinstance(row, Policy):
            yield from _listed(rows, Table.KNOWN_POLICIES, key, row.holder, position)
        elif isinstance(row, StorageAccount):
            yield from _listed(rows, Table.KNOWN_STORAGE, key, row.name, position)
        elif isinstance(row, SasDefinition):
            owner = storage_key(row.account).owner
            yield from _listed(rows, Table.KNOWN_SAS, key, row.name, position, owner)


def _listed(
    rows: Rows, table: Table, key: RowKey, name: str, position: int, owner: bytes = b""
) -> Iterator[Put]:
    mark = listed_key(table, key.owner)
    if rows.get(mark, Mark) is None:
        yield Put(mark, Mark())
        yield Put(known_key(table, position, owner), Known(name))


def since(row: Row) -> int:
    """The position of the record that made *row* what it is."""
    match row:
        case Version():
            return row.content_at
        case Secret() | Settings() | Policy() | Boundary() | StorageAccount() | SasDefinition():
            return row.at
        case _:
            raise TypeError(f"{type(row).__name__} has no past")


class PastRows(Listing):
    """The rows as of a size, read from the live ones.  They have the tables in `KINDS` and `KNOWN` only."""

    def __init__(self, rows: Rows, size: int) -> None:
        self._rows = rows
        self._size = size

    def names(self) -> Sequence[str]:
        """Those of the live rows: a name that came later has no row as of the size."""
        return self._rows.names()

    def get(self, key: RowKey, kind: type[R]) -> R | None:
        # Which is looked up first only decides what it costs: a version is hardly ever changed.
        live = self._rows.get(key, kind) if kind is Version else None
        if live is not None and since(live) < self._size:
            return live
        row = self._kept(key, kind) or live or self._rows.get(key, kind)
        return row if row is not None and since(row) < self._size else None

    def _kept(self, key: RowKey, kind: type[R]) -> R | None:
        place = past_key(key, self._size)
        return self._rows.first(place.table, kind, place.owner, place.order, key.order)

    def scan(
        self, table: Table, kind: type[R], owner: bytes = b"", after: bytes = b""
    ) -> Iterator[tuple[bytes, R]]:
        if table in KNOWN:
            yield from self._rows.scan(table, kind, owner, after)
            return
        for order in self._orders(table, kind, owner):
            row = self.get(RowKey(table, owner, order), kind) if order > after else None
            if row is not None:
                yield order, row

    def _orders(self, table: Table, kind: type[R], owner: bytes) -> list[bytes]:
        live = {order for order, _ in self._rows.scan(table, kind, owner)}
        kept = self._rows.scan(past_of(table), kind, owner)
        return sorted(live | {order[:-_POSITION_SIZE] for order, _ in kept})
