"""The views in LMDB: sealed rows, changed in the writer's own transaction.

No view lags, because the rows are put by the transaction that appends the event; but for those of
`projections.late`, which are asked together with what is late.  Each row is sealed
with AES-256-GCM-SIV (RFC 8452) under a view key and bound to its place; the owner in its key is
hashed under an index key.  A generation is one set of views: a rebuild folds a fresh one under a new
view key and swaps.  Views are disposable: nothing is lost with them.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, cached_property, lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, cast

import lmdb
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from msgspec.structs import astuple

from eventstore.errors import MunimentError, RecordMalformed
from eventstore.log import Log
from eventstore.record import Entry
from eventstore.transaction import HEAD, Append, KeySource, Snapshot
from projections import state
from projections.name_index import NameIndex
from projections.rows import ROWS, Listing, Mark, Put, R, Row, RowKey, Rows, Table

_POINTER = b"views"
_OWNER_SIZE = 16
_NONCE_SIZE = 12
_REMEMBERED = 8192
_KEPT = 65_536
"""How many hashed owners, and how many opened rows, outlive a transaction: those of a vault with
20,000 secrets.  Fewer would be worse than none, since a list of a whole vault comes to all of them.
"""

_MARKS = frozenset(int(table) for table, kind in ROWS.items() if kind is Mark)
_PADDED = 64
"""Rows are padded to multiples of this, so that their size tells little of a name's length."""

# By place in a list: to hash a member of an enumeration takes longer than all else in a place.
_NUMBERS = [bytes((number,)) for number in range(256)]

_RUN_BITS = 11
_FIRST_RUN = bytes(8)
IN_RUNS = b"\xff" * 8
"""What the places of rows that lie in runs begin with."""

_encoder = msgspec.msgpack.Encoder()
_MARK = _encoder.encode(Mark())
_decoder = cache(msgspec.msgpack.Decoder)


class ViewCorrupt(MunimentError):
    """A row of a view does not open: the view's bytes were altered."""

    code = "view.corrupt"
    hint = "run `muniment rebuild`: views are made anew from the log"


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


_pointer = msgspec.msgpack.Decoder(Pointer)


def run_of(order: bytes) -> bytes:
    """The run that a mark lies in whose order is the position of a record: 2,048 to a run."""
    return (int.from_bytes(order, "big") >> _RUN_BITS).to_bytes(8, "big")


class Layout(NamedTuple):
    """How the rows of some views lie, and how many of them are remembered once they are opened.

    The marks of the tables in *runs*, whose orders are positions, lie together with those of the
    records around them, and within such a run by their owners.  Who puts the marks of many records
    touches few pages then; who looks for an owner's marks looks into each run.
    """

    kept: int = _KEPT
    runs: frozenset[Table] = frozenset()


TOGETHER = Layout()
"""All that concerns one name lies together."""


class Sealer:
    """Rows to sealed bytes and back, for one generation."""

    def __init__(
        self,
        view_key: bytes,
        index_key: bytes,
        entropy: Callable[[int], bytes],
        layout: Layout = TOGETHER,
    ) -> None:
        self._cipher = AESGCMSIV(view_key)
        self._index_key = index_key
        self._entropy = entropy
        self._kept = layout.kept
        self._in_runs = [table in layout.runs for table in range(256)]
        self._owners: dict[bytes, bytes] = {}
        self._opened: dict[bytes, tuple[bytes, Row]] = {}
        self.names = NameIndex()

    def place(self, key: RowKey) -> bytes:
        """HMAC-SHA256(index key, owner), 16 bytes || table u8 || order.

        All that concerns one name lies together, so that a change touches one page of it.  The marks
        of a table that lies in runs have the run before the table, and the owner behind it.
        """
        table, owner, order = key
        if self._in_runs[table]:
            return self.run_prefix(run_of(order), table, owner) + order
        return (self._owners.get(owner) or self._hash(owner)) + _NUMBERS[table] + order

    def prefix(self, table: Table, owner: bytes) -> bytes:
        """What the places of the rows of *owner* begin with."""
        return self.place(RowKey(table, owner))

    def lies_in_runs(self, table: Table) -> bool:
        return self._in_runs[table]

    def run_prefix(self, run: bytes, table: Table, owner: bytes) -> bytes:
        """8 bytes of 0xff || run u64 || table u8 || HMAC-SHA256(index key, owner), 16 bytes."""
        return IN_RUNS + run + _NUMBERS[table] + (self._owners.get(owner) or self._hash(owner))

    def _hash(self, owner: bytes) -> bytes:
        hashed = hmac.digest(self._index_key, owner, "sha256")[:_OWNER_SIZE]
        if len(self._owners) >= _KEPT:
            self._owners.clear()
        self._owners[owner] = hashed
        return hashed

    def seal(self, place: bytes, row: Row) -> bytes:
        if isinstance(row, Mark):
            return b""  # its place says it all
        nonce = self._entropy(_NONCE_SIZE)
        text = _encoder.encode(row) + b"\x80"
        padded = text.ljust(-(-len(text) // _PADDED) * _PADDED, b"\0")
        return nonce + self._cipher.encrypt(nonce, padded, place)

    def decode(self, place: bytes, sealed: bytes, kind: type[R]) -> R:
        """The row at *place*.  Raise ViewCorrupt."""
        try:
            return cast(R, _decoder(kind).decode(self.open(place, sealed)))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ViewCorrupt from None

    def decode_once(self, place: bytes, sealed: bytes, kind: type[R]) -> R:
        """The same, but bytes that were opened there before are not opened again."""
        known = self._opened.get(place)
        if known is not None and known[0] == sealed and isinstance(known[1], kind):
            return known[1]
        row = self.decode(place, sealed, kind)
        if sealed:
            self.remember(place, sealed, row)
        return row

    def remember(self, place: bytes, sealed: bytes, row: Row) -> None:
        """Know that *sealed* opens to *row* there."""
        if len(self._opened) >= self._kept:
            self._opened.clear()
        if self._kept:
            self._opened[place] = (sealed, row)

    def open(self, place: bytes, sealed: bytes) -> bytes:
        if place[_OWNER_SIZE] in _MARKS:
            if sealed:
                raise ViewCorrupt
            return _MARK
        try:
            padded = self._cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], place)
        except (InvalidTag, ValueError):
            raise ViewCorrupt from None
        return padded.rstrip(b"\0")[:-1]


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
        rows, most = (self._known, _KEPT) if self._own is None else (self._own, _REMEMBERED)
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
        start = 1 + _OWNER_SIZE
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
        run = run_of(after) if after else _FIRST_RUN
        with self._transaction.cursor(db=self._table) as cursor:
            while cursor.set_range(IN_RUNS + run) and cursor.key().startswith(IN_RUNS):
                run = cursor.key()[len(IN_RUNS) : _OWNER_SIZE]
                prefix = self._sealer.run_prefix(run, table, owner)
                found = cursor.set_range(prefix + after)
                while found and (place := cursor.key()).startswith(prefix):
                    order = place[len(prefix) :]
                    if not after or order > after:
                        yield order, self._sealer.decode(place, cursor.value(), kind)
                    found = cursor.next()
                run = (int.from_bytes(run, "big") + 1).to_bytes(8, "big")

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
