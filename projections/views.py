"""The live views of one log in LMDB, changed in the writer's own transaction.

No view lags, because the rows are put by the transaction that appends the event; but for those of
`projections.late`, which are asked together with what is late.  A generation is one set of views: a
rebuild folds a fresh one under a new view key and swaps.  Views are disposable: nothing is lost with
them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import lmdb
import msgspec
from msgspec.structs import astuple

from eventstore.errors import RecordMalformed
from eventstore.log import Log
from eventstore.record import Entry
from eventstore.transaction import HEAD, Append, KeySource, Snapshot
from projections import state
from projections.reader import Reader
from projections.rows import Row, Rows
from projections.sealer import TOGETHER, Sealer

_POINTER = b"views"


class Pointer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which generation of views is the live one, and which keys it is under.

    *through* is where views stand that follow late: they say what the records before that position
    brought.  Views that follow each commit have none.
    """

    generation: int
    view_key: int
    index_key: int
    through: int | None = None

    def encoded(self) -> bytes:
        """MessagePack; without the last part if there is none, as earlier releases wrote it."""
        parts = astuple(self)
        return _encoder.encode(parts if self.through is not None else parts[:-1])


_encoder = msgspec.msgpack.Encoder()
_pointer = msgspec.msgpack.Decoder(Pointer)


_State = tuple[bytes | None, bytes | None]
"""What points to the rows, and the head of their log."""


class _Latest(threading.local):
    """A thread's latest transaction and its reader, and the rows that it knows of one state.

    A reader remembers rows, so a transaction has one reader only.  A transaction belongs to one
    thread: what others read meanwhile must not take its reader away.
    """

    pair: tuple[lmdb.Transaction[bytes], Reader] | None = None
    known: tuple[_State, dict[bytes, Row | None]] | None = None
    changed: lmdb.Transaction[bytes] | None = None
    """The latest one in which rows were changed: what it points to and its head do not say which."""


class Views:
    """The live views of one log; an observer of it.  *apply* says what an entry changes.

    Two tables take turns: the live one, and the spare that the next rebuild fills.  Both handles
    are opened with the environment, since one opened inside a transaction dies if that aborts.
    """

    layout = TOGETHER

    def __init__(
        self, keys: KeySource, entropy: Callable[[int], bytes], apply: state.Apply
    ) -> None:
        self.fold = apply
        self._keys = keys
        self._entropy = entropy
        self._tables: tuple[Any, ...] = ()
        self._known: tuple[tuple[int, int, int], Sealer] | None = None
        self._latest = _Latest()

    def attach(self, environment: lmdb.Environment) -> None:
        """Follow the log in *environment* from now on."""
        self._tables = tuple(environment.open_db(name) for name in (b"views.0", b"views.1"))
        self._latest = _Latest()

    def apply(self, transaction: lmdb.Transaction[bytes], entry: Entry[Any]) -> None:
        """Put what *entry* changes."""
        reader = self.reader(transaction)
        reader.put(self.fold(reader, entry))
        self._latest.changed = transaction

    def before_commit(self, append: Append) -> None:
        """Nothing is left to be done: each entry was applied."""

    def committed(self, entries: Sequence[Entry[Any]]) -> None:
        """Nothing is remembered of what was committed."""

    def catch_up(self, append: Append) -> None:
        """Nothing is late."""

    def keep_up(self, log: Log) -> None:
        """Nothing is much."""

    def standing(self, pointer: Pointer, through: int) -> Pointer:
        """*pointer* to rows that hold what the records before that position brought."""
        return pointer

    def rows(self, snapshot: Snapshot) -> Rows:
        """What the views say of the log as *snapshot* has it."""
        return self.reader(snapshot.transaction)

    def through(self, snapshot: Snapshot) -> int:
        """The views hold what the records before this position brought."""
        return snapshot.size

    def pointer(self, transaction: lmdb.Transaction[bytes]) -> Pointer:
        """Which generation is live in *transaction*."""
        stored = transaction.get(_POINTER)
        if stored is None:
            raise RecordMalformed("the log has no views")
        return decode_pointer(stored)

    def reader(self, transaction: lmdb.Transaction[bytes]) -> Reader:
        """The views that are live in *transaction*: one reader for the whole of it."""
        latest = self._latest.pair
        if latest is not None and latest[0] is transaction:
            return latest[1]
        pointer = self.pointer(transaction)
        knows = self.layout.kept and self._latest.changed is not transaction
        known = self._known_of(transaction) if knows else {}
        reader = Reader(transaction, self._table(pointer), self._live_sealer(pointer), known)
        self._latest.pair = (transaction, reader)
        return reader

    def _known_of(self, transaction: lmdb.Transaction[bytes]) -> dict[bytes, Row | None]:
        """What this thread knows of the state that *transaction* begins with.

        All rows follow from the records, whose head says which they are, and the generation.
        """
        state = (transaction.get(_POINTER), transaction.get(HEAD))
        known = self._latest.known
        if known is None or known[0] != state:
            known = self._latest.known = (state, {})
        return known[1]

    def generation(self, transaction: lmdb.Transaction[bytes], pointer: Pointer) -> Reader:
        """The views of a generation that may not be live yet."""
        return Reader(transaction, self._table(pointer), self._sealer(pointer), {})

    def swap(self, transaction: lmdb.Transaction[bytes], pointer: Pointer) -> None:
        """Make *pointer* the live generation, in a write transaction."""
        self.point(transaction, pointer)
        # Who comes next in this transaction writes to the new ones.
        self._latest.pair, self._latest.changed = None, transaction

    def point(self, transaction: lmdb.Transaction[bytes], pointer: Pointer) -> None:
        """Write down *pointer*."""
        transaction.put(_POINTER, pointer.encoded())

    def clear(self, transaction: lmdb.Transaction[bytes], pointer: Pointer) -> None:
        """Take all rows out of *pointer*'s table."""
        transaction.drop(self._table(pointer), delete=False)

    def _table(self, pointer: Pointer) -> Any:
        return self._tables[pointer.generation % 2]

    def _live_sealer(self, pointer: Pointer) -> Sealer:
        """The sealer of the live generation: made anew when that is another one."""
        generation = (pointer.generation, pointer.view_key, pointer.index_key)
        # Looked at once: another thread may read from another snapshot meanwhile.
        known = self._known
        if known is None or known[0] != generation:
            known = self._known = (generation, self._sealer(pointer))
        return known[1]

    def _sealer(self, pointer: Pointer) -> Sealer:
        view_key, index_key = self._keys.key(pointer.view_key), self._keys.key(pointer.index_key)
        return Sealer(view_key, index_key, self._entropy, self.layout)


@lru_cache(maxsize=16)
def decode_pointer(stored: bytes) -> Pointer:
    """Raise RecordMalformed.  Cached, since every transaction reads the same few bytes."""
    try:
        return _pointer.decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RecordMalformed("the pointer to the views is not decodable") from None
