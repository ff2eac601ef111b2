"""A store's keys: read, given out, and destroyed so that no old copy brings them back.

The environment at ``<store>/keyring/`` holds the latest key tree and one header; the root key is
outside, in one of two slots, and the header decides which.  The law of a rotation is its order,
under an exclusive lock on ``root.lock``:

1. the new root key is durable in the free slot;
2. one commit brings the re-keyed nodes and the header that names that slot;
3. the old slot is destroyed, and only after a commit that is known to stand on the disk.

A crash at any point leaves a header whose root key is there, and `recover` destroys the other one.
Every read looks at the header first, so what another process destroyed is gone here as well.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import lmdb

from eventstore import file_lock
from eventstore.durable import sync_directory
from eventstore.errors import (
    KeyringExists,
    KeyringFull,
    KeyringNotFound,
    LogBusy,
    LogNotFound,
    LogUnavailable,
    MunimentError,
    OutcomeUnknown,
    RecordAltered,
    RecordMalformed,
    RootKeyDamaged,
    RootKeyExists,
    RootKeyMissing,
    RootKeyNotErased,
    RootKeyWrong,
)
from eventstore.keyheader import (
    HEADER_ROW,
    STORE_ID_SIZE,
    Header,
    decode_header,
    encode_header,
    read_header,
)
from eventstore.keytree import FANOUT, LEAF_NODES, Draft, Entropy, Fetch, Tree
from eventstore.pages import DATA_FILE
from eventstore.rootkey import SLOTS, RootKey
from eventstore.seal import KEY_SIZE
from eventstore.storage import open_environment

_LOCK_FILE: Final = "root.lock"
_MAP_SIZE: Final = 1 << 34
_GIVEN: Final = b"given"
_INDEX_SIZE: Final = 8

_T = TypeVar("_T")


class Erasure(NamedTuple):
    """What a call destroyed, and how well: for the erasure receipt."""

    root_epoch: int
    destroyed: tuple[int, ...]
    provider: str
    assurance: str


class _Opened(NamedTuple):
    """A header's bytes, the same parsed, and the tree under the root key that it names."""

    raw: bytes | None
    header: Header
    tree: Tree


class _Keys:
    """The keys of one snapshot."""

    def __init__(self, tree: Tree, fetch: Fetch) -> None:
        self._tree = tree
        self._fetch = fetch

    def key(self, number: int) -> bytes:
        return self._tree.key(number, self._fetch)

    def keys(self, numbers: Sequence[int]) -> dict[int, bytes]:
        return self._tree.keys(numbers, self._fetch)


class Keyring:
    """The keys of one store.  For any number of threads and processes; none across a fork."""

    def __init__(self, path: Path, root: RootKey, entropy: Entropy, create: bool) -> None:
        """Use `create` or `open`."""
        self._path = path
        self._root = root
        self._entropy = entropy
        self._process = os.getpid()
        # Taken in this order: root.lock, _writing, LMDB's lock for writers, _reading.  Reading is
        # serial in one process because an environment that failed is closed and opened anew, and
        # LMDB does not survive a reader in between.
        self._writing = threading.RLock()
        self._reading = threading.RLock()
        self._opened: _Opened | None = None
        self._closed = False
        self._detached = False
        self._env = _open_environment(path, create)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        root: RootKey,
        store_id: bytes,
        *,
        entropy: Entropy = os.urandom,
    ) -> Keyring:
        """Make a keyring that has no key yet, with its root key in slot 0.

        Raise KeyringExists or RootKeyExists rather than touch what may belong to another store.
        """
        if len(store_id) != STORE_ID_SIZE:
            raise ValueError(f"a store id has {STORE_ID_SIZE} bytes")
        place = Path(path)
        if (place / DATA_FILE).exists():
            raise KeyringExists
        if any(_holds_something(root, slot) for slot in SLOTS):
            raise RootKeyExists
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            ring = cls(place, root, entropy, create=True)
            with ring._closed_on_failure(), ring._root_lock():
                ring._found(store_id)
                # LMDB syncs its file, but not the directories that name it.
                sync_directory(place)
                sync_directory(place.parent)
        except OSError as failure:
            raise LogUnavailable("the keyring could not be made") from failure
        return ring

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], root: RootKey, *, entropy: Entropy = os.urandom
    ) -> Keyring:
        """Open a keyring, and finish what a crash left.

        Raise KeyringNotFound, RootKeyMissing, RootKeyWrong or RootKeyDamaged.
        """
        ring = cls(Path(path), root, entropy, create=False)
        with ring._closed_on_failure():
            ring.recover()
        return ring

    def close(self) -> None:
        # A child leaves the environment alone: it is its parent's.
        if os.getpid() == self._process:
            with self._writing, self._reading:
                self._closed = True
                self._detach()

    def __enter__(self) -> Keyring:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Keyring({str(self._path)!r}, root={self._root!r})"

    @property
    def store_id(self) -> bytes:
        return self._header().store_id

    @property
    def root_epoch(self) -> int:
        """How often the root key was changed."""
        return self._header().root_epoch

    @property
    def unused(self) -> bool:
        """Whether no key was ever given out, and the root key never changed."""
        header = self._header()
        return header.next_leaf_node == 0 and header.root_epoch == 0

    def key(self, number: int) -> bytes:
        """Return the 32 bytes of leaf key *number*, or raise KeyErased or KeyUnknown."""
        return self._look(lambda tree, fetch: tree.key(number, fetch))

    def keys(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return those of these leaf keys that were not destroyed.  Raise KeyUnknown."""
        return self._look(lambda tree, fetch: tree.keys(numbers, fetch))

    @contextmanager
    def at_once(self) -> Iterator[Keyring | _Keys]:
        """The keys as they are now, for who needs many of them.  Hold it briefly.

        Others of this process wait for their keys meanwhile, so ask nothing of the keyring itself.
        What another process destroys meanwhile is still given: whoever asked came before.
        """
        self._refuse_after_fork()
        with self._reading, self._environment().begin() as txn:
            tree = self._tree(txn.get)
            if tree is not None:
                yield _Keys(tree, txn.get)
                return
        # Not under `_reading`: `_look` may have to wait for root.lock, which comes before it.
        yield self

    def _tree(self, fetch: Fetch) -> Tree | None:
        """The tree, unless another process rotates just now, perhaps: `_look` waits for it."""
        try:
            return self._current(fetch).tree
        except (RootKeyMissing, RootKeyWrong, RootKeyDamaged):
            return None

    def allocate(self, nodes: int = 1, *, to: bytes = b"") -> int:
        """Give out 64 new random keys for each of *nodes*; return the number of the first.

        Those that are given *to* a log, by its id, are known to `blocks_of` from then on, whatever
        becomes of the transaction that they are for.
        """
        if nodes < 1:
            raise ValueError("at least one node")
        with self._transaction() as txn:
            header = read_header(txn.get)
            first, after = header.next_leaf_node, header.next_leaf_node + nodes
            if after > LEAF_NODES:
                raise KeyringFull
            draft = self._draft(txn, header)
            for index in range(first, after):
                draft.add_leaf_node(index)
                if to:
                    _put(txn, _given(to, index), b"")
            self._commit(txn, draft, header, header.with_leaf_nodes(after))
        return first * FANOUT

    def blocks_of(self, log_id: bytes, since: int = 0) -> tuple[int, ...]:
        """The blocks of 64 keys that were given to that log, from number *since* on."""

        def look(txn: lmdb.Transaction[bytes]) -> tuple[int, ...]:
            first, found = _given(log_id, since), []
            with txn.cursor() as cursor:
                more = cursor.set_range(first)
                while more and cursor.key()[:-_INDEX_SIZE] == first[:-_INDEX_SIZE]:
                    found.append(int.from_bytes(cursor.key()[-_INDEX_SIZE:], "big"))
                    more = cursor.next()
            return tuple(found)

        return self._read(look)

    def destroy(self, numbers: Iterable[int]) -> Erasure:
        """Destroy these leaf keys for good; tell which of them were still there.

        All or none: KeyUnknown changes nothing.  Keys that are gone are passed over, so a call that
        failed may be repeated.  RootKeyNotErased says that the keys left the keyring, but that the
        old root key still stands; repeating the call, or opening anew, tries again to destroy it.
        """
        return self._rotate(sorted(set(numbers)), None)

    def rotate_root(self, to: RootKey | None = None) -> Erasure:
        """Change the root key and the key of every node; every leaf key stays.

        So an old root key, even with an old copy of the keyring, opens no key made from now on.

        *to* keeps the root key from now on, and must keep it in the same slots: this is how a
        passphrase is set, changed or given up.  The assurance is that of the provider before it.
        """
        return self._rotate(None, to)

    def copy(self, directory: Path) -> None:
        """Copy the keyring as it is now into the new *directory*.  The root key is not copied."""
        self._refuse_after_fork()
        try:
            with self._writing, self._reading:
                directory.mkdir(mode=0o700)
                self._environment().copy(os.fspath(directory))
                (directory / DATA_FILE).chmod(0o600)
                sync_directory(directory)
        except (lmdb.Error, OSError) as failure:
            raise LogUnavailable("the keyring could not be copied") from failure

    def recover(self) -> None:
        """Destroy what a crash left in the slot that the header does not name.

        Nothing is destroyed unless the slot that it names holds the root key that it demands.
        """
        with self._root_lock():
            self._sweep()

    # --- reading: the header first, every time ---------------------------------------------------

    def _header(self) -> Header:
        return self._read(lambda txn: read_header(txn.get))

    def _read(self, look: Callable[[lmdb.Transaction[bytes]], _T]) -> _T:
        """What *look* sees in one snapshot."""
        self._refuse_after_fork()
        try:
            with self._reading, self._environment().begin() as txn:
                return look(txn)
        except lmdb.Error as failure:
            raise LogUnavailable("the keyring could not be read") from failure

    def _look(self, find: Callable[[Tree, Fetch], _T]) -> _T:
        """What *find* sees in the tree, in one snapshot."""

        def look(txn: lmdb.Transaction[bytes]) -> _T:
            return find(self._current(txn.get).tree, txn.get)

        try:
            return self._read(look)
        except (RootKeyMissing, RootKeyWrong, RootKeyDamaged):
            # Another process may have rotated between our look at the header and at its slot.
            # Nobody rotates while we hold the lock, so what fails there is real.
            with self._root_lock():
                return self._read(look)

    def _current(self, fetch: Fetch) -> _Opened:
        """What is kept in memory, if it fits this snapshot; else opened from it."""
        raw, kept = fetch(HEADER_ROW), self._opened
        if kept is not None and kept.raw == raw:
            return kept
        header = decode_header(raw)
        if kept is not None and kept.header.same_root(header):
            tree = kept.tree
        else:
            tree = Tree(header.store_id, self._committed_root(header))
        self._opened = _Opened(raw, header, tree)
        return self._opened

    def _committed_root(self, header: Header) -> bytes:
        """The root key from the slot that *header* names.  Never from memory: see `_rotate`."""
        root = self._root.read(header.slot)
        if root is None:
            raise RootKeyMissing
        if not header.fits(root):
            raise RootKeyWrong
        return root

    # --- changing the root key -------------------------------------------------------------------

    def _rotate(self, numbers: Sequence[int] | None, to: RootKey | None) -> Erasure:
        """Destroy *numbers* and change the root key; None destroys no leaf key."""
        with self._root_lock():
            # Reads the slot again although the key may be in memory: if the directory with the
            # slots is gone (unmounted, moved), the new key must not be written where it was.
            self._sweep()
            old = self._root
            with self._transaction() as txn:
                header = read_header(txn.get)
                draft = self._draft(txn, header)
                destroyed = draft.destroy(numbers or ())
                if numbers is None:
                    draft.renew(header.next_leaf_node)
                elif not destroyed:
                    return Erasure(header.root_epoch, (), old.provider, old.assurance)
                root = self._new_root(to or old, 1 - header.slot)
                draft.rekey(root)
                self._commit(txn, draft, header, header.under(root))
            with self._reading:
                self._root = to or old
            _erase(old, header.slot)
        return Erasure(header.root_epoch + 1, destroyed, old.provider, old.assurance)

    def _sweep(self) -> None:
        header = self._header()
        self._committed_root(header)
        stale = 1 - header.slot
        if _holds_something(self._root, stale):
            # After a kill amid a commit the header that we read may stand in memory and not yet on
            # the disk.  If the power went then, its root key would be the one we destroyed; so
            # first commit once more.
            self._settle()
            _erase(self._root, stale)

    def _new_root(self, keeper: RootKey, slot: int) -> bytes:
        root = self._entropy(KEY_SIZE)
        keeper.write(slot, root)
        # Also seen from where the old one is kept: in two places, a crash would leave the old key in
        # the place that nobody looks at again.
        if keeper.read(slot) != root or not _holds_something(self._root, slot):
            raise LogUnavailable("the new root key could not be read back from its slot")
        return root

    def _found(self, store_id: bytes) -> None:
        """Write the first root key, header and top node."""
        with self._transaction() as txn:
            root = self._new_root(self._root, 0)
            draft = Draft.of_new_tree(store_id, root, self._entropy)
            self._commit(txn, draft, None, Header.first(store_id, root))

    def _draft(self, txn: lmdb.Transaction[bytes], header: Header) -> Draft:
        return Draft(header.store_id, self._committed_root(header), txn.get, self._entropy)

    # --- committing ------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[lmdb.Transaction[bytes]]:
        """A write transaction that is aborted unless `_commit` or `_settle` ended it."""
        self._refuse_after_fork()
        with self._writing:
            try:
                txn = self._environment().begin(write=True)
                try:
                    yield txn
                finally:
                    txn.abort()
            except (lmdb.Error, OSError) as failure:
                raise LogUnavailable("the keyring could not be written") from failure

    def _commit(
        self, txn: lmdb.Transaction[bytes], draft: Draft, before: Header | None, after: Header
    ) -> None:
        for key, row in draft.rows():
            _put(txn, key, row)
        _put(txn, HEADER_ROW, encode_header(after))
        try:
            self._end(txn)
        except lmdb.Error as failure:
            self._resolve(before, after, failure)

    def _end(self, txn: lmdb.Transaction[bytes]) -> None:
        txn.commit()

    def _resolve(self, before: Header | None, after: Header, failure: lmdb.Error) -> None:
        """After a commit that failed: return if it stands all the same, or say that it does not.

        No slot is destroyed if it does not seem to stand: the next `_sweep` will, once a commit
        has shown that the disk works.
        """
        try:
            self._reopen()
            stands = self._header()
            if stands == after:
                self._settle()
        except MunimentError:
            raise OutcomeUnknown from failure
        if stands == before:
            raise LogUnavailable("the keyring could not be written") from failure
        if stands != after:
            raise OutcomeUnknown from failure

    def _settle(self) -> None:
        """Commit the header as it is: what stands now then stands on the disk."""
        with self._transaction() as txn:
            _put(txn, HEADER_ROW, txn.get(HEADER_ROW) or b"")
            try:
                self._end(txn)
            except lmdb.Error:
                self._detach()
                raise

    def _reopen(self) -> None:
        with self._reading:
            self._detach()
            self._environment()

    def _detach(self) -> None:
        # LMDB refuses an environment whose commit failed, and what it had mapped is not to be
        # trusted.  If it cannot be opened anew at once, the next who needs it tries again.
        with self._reading:
            self._opened = None
            self._env.close()
            self._detached = True

    def _environment(self) -> lmdb.Environment:
        with self._reading:
            if self._closed:
                raise LogUnavailable("the keyring is closed")
            if self._detached:
                self._env = _open_environment(self._path, create=False)
                self._detached = False
            return self._env

    # --- one at a time ---------------------------------------------------------------------------

    @contextmanager
    def _root_lock(self) -> Iterator[None]:
        """Alone among all processes and threads in what concerns the slots."""
        self._refuse_after_fork()
        with file_lock.held(self._path / _LOCK_FILE):
            yield

    @contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _refuse_after_fork(self) -> None:
        if os.getpid() != self._process:
            raise LogBusy("the keyring was opened before a fork")


def _open_environment(path: Path, create: bool) -> lmdb.Environment:
    try:
        return open_environment(path, create=create, max_dbs=0, map_size=_MAP_SIZE)
    except LogNotFound:
        raise KeyringNotFound(f"there is no keyring at {path}") from None
    except RecordAltered as damage:
        raise RecordMalformed(f"the keyring is damaged: {damage.message}") from None


def _given(log_id: bytes, index: int) -> bytes:
    """The row that says that the block was given to that log."""
    return _GIVEN + log_id + index.to_bytes(_INDEX_SIZE, "big")


def _put(txn: lmdb.Transaction[bytes], key: bytes, row: bytes) -> None:
    if not txn.put(key, row):
        raise LogUnavailable("the keyring refused a row")


def _holds_something(root: RootKey, slot: int) -> bool:
    try:
        return root.read(slot) is not None
    except MunimentError:
        return True


def _erase(root: RootKey, slot: int) -> None:
    try:
        root.destroy(slot)
    except OSError as failure:
        raise RootKeyNotErased from failure
