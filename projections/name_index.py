"""The names that ever had a secret, sorted, kept in memory so that a page of a list costs a page.

On disk they lie in the order in which they came, since a name is hashed there.  Names only come, so
what is new is read from where the last look ended.  The index may hold more than a snapshot does:
names that came later, or in a transaction that was given up.  Who lists looks each of them up.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from projections.rows import Known, Rows, Table, known_key


class _Look(NamedTuple):
    """The names up to a position, and the last of them as it was read."""

    names: tuple[str, ...]
    last: int
    name: str


_NONE = _Look((), -1, "")


class NameIndex:
    """The folded names of one generation of views.  Safe for threads."""

    def __init__(self) -> None:
        self._look = _NONE
        self._lock = threading.Lock()

    def names(self, rows: Rows) -> tuple[str, ...]:
        """The names in *rows*, upper case and sorted, and perhaps more."""
        with self._lock:
            known = self._look
            if known.last >= 0:
                last = rows.get(known_key(Table.KNOWN_SECRETS, known.last), Known)
                if last is not None and last.name != known.name:
                    # What was read there never came to be, and another name has its place.
                    known = _NONE
            after = b"" if known.last < 0 else known.last.to_bytes(8, "big")
            new = list(rows.scan(Table.KNOWN_SECRETS, Known, b"", after))
            if new:
                order, newest = new[-1]
                together = {*known.names, *(one.name.upper() for _, one in new)}
                known = _Look(tuple(sorted(together)), int.from_bytes(order, "big"), newest.name)
            self._look = known
            return known.names
