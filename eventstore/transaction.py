"""One transaction on a log: a snapshot to read from, or an append that grows it.

Positions order the log and clocks only label it: a record's time is the clock's, or one microsecond
after the record before, whichever is later.  A clock that stepped back is itself recorded, once
for each time it falls behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import lmdb
from msgspec.structs import replace

from eventstore import head as heads
from eventstore import merkle, record, tiles
from eventstore.checkpoint import Signer
from eventstore.errors import (
    LogConflict,
    LogNotFound,
    LogUnavailable,
    PositionUnknown,
    SealBroken,
)
from eventstore.event import Context, SecretContent
from eventstore.events import AuditKeyRotated, ClockSteppedBack, SigningKeyRotated
from eventstore.head import (
    AuditEpoch,
    Epochs,
    Head,
    Identity,
    Numbers,
    PublicRows,
    SigningEpoch,
)
from eventstore.record import Draft, Entry, Row, Sealing
from eventstore.tree import Tree

CLOCK_TOLERANCE = 50_000
"""Microseconds the clock may lag behind the log unrecorded: a batch may run ahead of it."""

ITSELF = Context(principal="muniment", auth="internal", rule="log")

_AT_ONCE = 256
_FEW = 256

RECORDS = b"records"
IDENTITY = b"log"
HEAD = b"head"
EPOCHS = b"epochs"
TILES = b"tiles"
NUMBERS = b"numbers"


class KeySource(Protocol):
    """Where keys come from: the keyring, or a dict in a test."""

    def key(self, number: int) -> bytes: ...

    def keys(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Those of them that were not destroyed."""
        ...


Written = tuple[PublicRows, bytes]
"""The rows about a log as a commit left them."""


class Tables(NamedTuple):
    """The tables of a log: four rows about itself, the records, and hashes of its tree.

    *tiles* is a memory of what the records hash to; a log without it computes.
    """

    identity: Identity
    main: Any
    records: Any
    tiles: Any

    @staticmethod
    def create(
        environment: lmdb.Environment, identity: Identity, numbers: Numbers, signer: Signer
    ) -> None:
        epochs = Epochs((SigningEpoch(0, str(signer.verifier), ""),))
        public = PublicRows(
            heads.encode(identity), heads.encode_head(Head(0, 0, ())), heads.encode(epochs)
        )
        rows = (*public, heads.encode_numbers(numbers, public, signer))
        with environment.begin(write=True) as transaction:
            main = environment.open_db(None, txn=transaction)
            environment.open_db(RECORDS, txn=transaction)
            environment.open_db(TILES, txn=transaction)
            for name, row in zip((IDENTITY, HEAD, EPOCHS, NUMBERS), rows, strict=True):
                if not transaction.put(name, row, db=main, overwrite=False):
                    raise LogConflict("there is a log already")

    @staticmethod
    def open(environment: lmdb.Environment) -> Tables:
        try:
            main = environment.open_db(None)
            records = environment.open_db(RECORDS, create=False)
        except lmdb.NotFoundError:
            raise LogNotFound("the directory holds no log") from None
        try:
            kept = environment.open_db(TILES, create=False)
        except lmdb.NotFoundError:
            kept = None
        with environment.begin() as transaction:
            identity = transaction.get(IDENTITY, db=main)
        if identity is None:
            raise LogNotFound("the directory holds no log")
        return Tables(heads.decode_identity(identity), main, records, kept)


class Snapshot:
    """A log as of one commit, read inside one LMDB transaction."""

    def __init__(
        self, tables: Tables, transaction: lmdb.Transaction[bytes], keys: KeySource
    ) -> None:
        self.identity = tables.identity
        self.transaction = transaction
        self._tables = tables
        self._keys = keys
        self._audit_keys: dict[int, bytes] = {}
        self._public = PublicRows(*(self._about(name) for name in (IDENTITY, HEAD, EPOCHS)))
        self.head = heads.decode_head(self._public.head)
        self.epochs = heads.decode_epochs(self._public.epochs)
        self._stored_numbers = self._about(NUMBERS)
        self.numbers = heads.decode_numbers(self._stored_numbers)

    def _about(self, name: bytes) -> bytes:
        return self.transaction.get(name, b"", db=self._tables.main)

    def take_keys_from(self, keys: KeySource) -> None:
        """From now on open with these keys."""
        self._keys = keys

    @property
    def size(self) -> int:
        return self.head.size

    @property
    def tree(self) -> Tree:
        """The Merkle tree up to the head that this snapshot began with."""
        return Tree(self.transaction, self._tables.records, self._tables.tiles, self.head)

    def extends(self, seen: Head) -> bool:
        """Whether the log went on from *seen*, which is no larger."""
        if self.head.size - seen.size > _FEW:
            return self.tree.extends(seen.size, seen.root())
        # Others who write to it leave a few: these cost less than a look at the tree.
        frontier = merkle.Frontier(seen.size, seen.frontier)
        for position in range(seen.size, self.head.size):
            frontier.add(merkle.leaf_hash(self._split(position).leaf))
        return tuple(frontier.hashes) == self.head.frontier

    def check_head(self, signer: Callable[[int], Signer]) -> None:
        """Raise HeadAltered if somebody without the log's keys wrote what it says about itself."""
        heads.check_numbers(self._stored_numbers, self._public, signer(self.numbers.signing[-1]))

    def row(self, position: int) -> bytes:
        """The stored bytes at *position*.  Raise PositionUnknown."""
        found: bytes | None = None
        if 0 <= position < self.size:
            found = self.transaction.get(position.to_bytes(8, "big"), db=self._tables.records)
        if found is None:
            raise PositionUnknown(f"the log has no record #{position}; it holds {self.size}")
        return found

    def stored(self, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Keys and stored bytes from position *start* on, as they lie in the table."""
        with self.transaction.cursor(db=self._tables.records) as cursor:
            if cursor.set_range(start.to_bytes(8, "big")):
                yield from cursor.iternext()

    def _split(self, position: int) -> Row:
        return record.split(self.identity.kind, self.row(position))

    def entry(self, position: int) -> Entry[Any]:
        """The record at *position* with its metadata opened."""
        return self.open(position, self.row(position))

    def opened(self, position: int) -> record.Opened:
        """The metadata at *position* with what commits to its fields.  Raise PositionUnknown."""
        return self.open_row(position, self._split(position))

    def open_row(self, position: int, row: Row) -> record.Opened:
        """The same, of the row that lies at *position*."""
        if not record.lies_at(row.leaf, position):
            raise PositionUnknown(f"the record at #{position} is another one")
        key = self._audit_key(position)
        return record.open_meta(self.identity.kind, self.identity.log_id, row, key)

    def open(self, position: int, row: bytes) -> Entry[Any]:
        """Open the metadata of *row*, which lies at *position*."""
        kind = self.identity.kind
        key = self._audit_key(position)
        entry = record.open_entry(kind, self.identity.log_id, record.split(kind, row), key)
        if entry.position != position:
            raise PositionUnknown(f"the record at #{position} says it is #{entry.position}")
        return entry

    def size_at(self, time: int) -> int:
        """How many records have a time of at most *time* (microseconds): a binary search."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high) // 2
            if self.time_of(middle) <= time:
                low = middle + 1
            else:
                high = middle
        return low

    def time_of(self, position: int) -> int:
        """The time of the record at *position*, from its leaf."""
        return record.read_leaf(self._split(position).leaf).time

    def _audit_key(self, position: int) -> bytes:
        number = self.numbers.audit_key(position)
        if number not in self._audit_keys:
            self._audit_keys[number] = self._keys.key(number)
        return self._audit_keys[number]

    def record_keys(self, first: int, stop: int) -> Iterator[bytes]:
        """What opens the metadata of each record from *first* to *stop* (excluded), and no other."""
        for position in range(first, stop):
            row = self._split(position)
            if not record.lies_at(row.leaf, position):
                raise SealBroken(f"the record at #{position} is another one")
            yield record.key_of(row, self._audit_key(position))

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[Entry[Any]]:
        """The records from position *start* to *stop* (excluded), opened."""
        for key, row in self.stored(start):
            position = int.from_bytes(key, "big")
            if stop is not None and position >= stop:
                return
            yield self.open(position, row)

    def content(self, position: int, key: int) -> SecretContent:
        """The content at *position*, opened with key number *key*.  Raise KeyErased."""
        return self._open_content(position, self._keys.key(key))

    def contents(self, places: Sequence[tuple[int, int]]) -> Iterator[SecretContent | None]:
        """The content at each position and key number, or None where a purge destroyed the key.

        Keys are fetched many at a time, and no more of them than that are held.
        """
        for start in range(0, len(places), _AT_ONCE):
            some = places[start : start + _AT_ONCE]
            keys = self._keys.keys([number for _, number in some])
            for position, number in some:
                key = keys.get(number)
                yield None if key is None else self._open_content(position, key)

    def _open_content(self, position: int, key: bytes) -> SecretContent:
        kind, row = self.identity.kind, self._split(position)
        # A whole record that was put at another position of the same secret would open there.
        if not record.lies_at(row.leaf, position):
            raise SealBroken(f"the record at #{position} is another one")
        return record.open_content(kind, self.identity.log_id, row, key)

    def holds(self, position: int, row: bytes) -> bool:
        """Whether exactly *row* stands at *position*."""
        return position < self.size and self.row(position) == row


class Append(Snapshot):
    """A write transaction: what it appends is seen by whoever works in it next."""

    def __init__(
        self,
        tables: Tables,
        transaction: lmdb.Transaction[bytes],
        keys: KeySource,
        *,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        signer: Callable[[int], Signer],
        written: Written | None,
        observe: Callable[[lmdb.Transaction[bytes], Entry[Any]], None] | None,
    ) -> None:
        super().__init__(tables, transaction, keys)
        self._clock = clock
        self._entropy = entropy
        self._signer = signer
        # What this process wrote itself in the commit before needs no MAC to be believed.
        if (self._public, self._stored_numbers) != written:
            self.check_head(signer)
        self.written: Written | None = None
        self._observe = observe
        self._frontier = merkle.Frontier(self.head.size, self.head.frontier)
        self._last = self.head.time
        self._behind = self.numbers.behind
        self._observed = clock()
        self._lag = self._last - self._observed
        self.rows: dict[int, bytes] = {}
        self.appended: list[Entry[Any]] = []
        self.touched = False

    @property
    def size(self) -> int:
        return self._frontier.size

    @property
    def now(self) -> int:
        """The time in microseconds that the next record gets at the earliest."""
        return max(self._observed, self._last + 1)

    def touch(self) -> None:
        """Commit even if nothing is appended: something else was written."""
        self.touched = True

    def begin_work(self) -> None:
        """Look at the clock for the next work of the batch."""
        self._observed = self._clock()
        self._lag = self._last - self._observed

    def append(self, draft: Draft, *, expected_size: int | None = None) -> Entry[Any]:
        """Append *draft*.  Raise LogConflict if the log has not *expected_size* records."""
        if expected_size is not None and expected_size != self.size:
            raise LogConflict(f"expected {expected_size} records, found {self.size}")
        self._mind_the_clock()
        entry = self._put(draft)
        self._behind = self._behind and self._observed < entry.time
        return entry

    def _mind_the_clock(self) -> None:
        # As it was when the work began: a long one runs ahead of the clock by what it wrote itself.
        if self._lag > CLOCK_TOLERANCE and not self._behind:
            self._behind = True
            self._put(Draft(ITSELF, ClockSteppedBack(observed=self._observed, last=self._last)))

    def _put(self, draft: Draft) -> Entry[Any]:
        position, time, identity = self.size, self.now, self.identity
        kind = identity.kind
        content_key = None if draft.content_key is None else self._keys.key(draft.content_key)
        sealing = Sealing(
            audit_key=self._audit_key(position),
            content_key=content_key,
            signer=self._signer(self.numbers.signing[-1]) if kind.signed else None,
            salt=self._entropy(32),
        )
        built = record.build(kind, identity.log_id, position, time, draft, sealing)
        key = position.to_bytes(8, "big")
        if not self.transaction.put(key, built.row, db=self._tables.records, append=True):
            raise LogUnavailable(f"record #{position} does not follow the last one")
        self.rows[position] = built.row
        self._grow(merkle.leaf_hash(built.leaf))
        self._last = time
        entry: Entry[Any] = Entry(position, time, draft.context, draft.event, draft.content_key)
        self.appended.append(entry)
        if self._observe is not None:
            self._observe(self.transaction, entry)
        return entry

    def _grow(self, hashed: bytes) -> None:
        if self._tables.tiles is not None and self.size % tiles.WIDTH == tiles.WIDTH - 1:
            for done in tiles.completed(self._frontier, hashed):
                self.transaction.put(done.key, done.hashed, db=self._tables.tiles)
        self._frontier.add(hashed)

    # -- keys ------------------------------------------------------------------------------------

    def rotate_signing_key(
        self, context: Context, number: int, also: tuple[int, ...] = ()
    ) -> Entry[Any]:
        """From the next record on sign with key *number*; the old key signs this last event."""
        old = self.numbers.signing[-1]
        signer = Signer(self.identity.origin, self._keys.key(number))
        event = SigningKeyRotated(verifier=str(signer.verifier), key=number, retired=old, also=also)
        entry = self.append(Draft(context, event))
        note = heads.endorse(self.size, self._signer(old), signer)
        epoch = SigningEpoch(self.size, str(signer.verifier), note)
        self.epochs = Epochs((*self.epochs.signing, epoch))
        self.numbers = replace(self.numbers, signing=(*self.numbers.signing, number))
        return entry

    def rotate_audit_key(self, context: Context, number: int) -> Entry[Any]:
        """From the next record on seal metadata under key *number*."""
        entry = self.append(Draft(context, AuditKeyRotated(key=number)))
        epoch = AuditEpoch(self.size, number)
        self.numbers = replace(self.numbers, audit=(*self.numbers.audit, epoch))
        return entry

    # -- the end of the transaction --------------------------------------------------------------

    def new_head(self) -> Head:
        return Head(self.size, self._last, tuple(self._frontier.hashes))

    def finish(self) -> None:
        """Write what the log says about itself, before the commit."""
        public = PublicRows(
            self._public.identity, heads.encode_head(self.new_head()), heads.encode(self.epochs)
        )
        numbers = replace(self.numbers, behind=self._behind)
        signer = self._signer(numbers.signing[-1])
        main = self._tables.main
        self.transaction.put(HEAD, public.head, db=main)
        if public.epochs != self._public.epochs:
            self.transaction.put(EPOCHS, public.epochs, db=main)
        stored = heads.encode_numbers(numbers, public, signer)
        self.transaction.put(NUMBERS, stored, db=main)
        self.written = (public, stored)
