"""What this account has seen of each log, and what it published, kept outside of every store.

A store cannot show by itself that it is not an older copy of itself.  Whoever has used it can: the
newest signed checkpoint that each command saw lies in the account's state directory, and the next
command holds the log to it.  Files are named after the hash of the log's origin, and of the store's
instance if it was made of a copy.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cli.problems import RolledBack

if TYPE_CHECKING:
    from eventstore.checkpoint import Checkpoint
    from eventstore.tree import Tree

SEEN = "checkpoints"
PUBLISHED = "published"
VAULTS = "vaults"


class Kept:
    """The state directory *place*, for one store.

    A store that was made of a copy says so by its *instance*, and goes on by itself: what is seen of
    it is kept beside what was seen of the original.  Of an instance that was never seen the original's
    counts, so that an old copy does not pass under a made-up one.
    """

    def __init__(self, place: Path, instance: str = "") -> None:
        self.place = place
        self._instance = instance

    def newest(self, origin: str, kind: str = SEEN) -> Checkpoint | None:
        """The newest checkpoint kept of that log; None if none is, or none that can be read."""
        own = self._file(origin, kind)
        return _read(own if own.exists() else self._file_of_original(origin, kind), origin)

    def own(self, origin: str) -> Checkpoint | None:
        """The newest that was seen of this very store's log."""
        return _read(self._file(origin, SEEN), origin)

    def keep(self, origin: str, size: int, note: str, kind: str = SEEN) -> None:
        """Keep *note* unless a newer one is kept already.  Raise OSError."""
        file = self._file(origin, kind)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked(file.parent):
            standing = _read(file, origin)
            if standing is None or standing.size <= size:
                _replace(file, note)

    def forget(self, origin: str) -> None:
        """Hold the log to nothing any more.  Raise OSError."""
        file = self._file(origin, SEEN)
        if self._instance:
            # Empty, and there: else the original's would count.
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _replace(file, "")
        else:
            file.unlink(missing_ok=True)

    def vaults(self, store_id: str) -> set[str]:
        """The ids of the vaults that were seen in that store.  Raise OSError."""
        own = self._vaults(store_id)
        place = own if own.exists() else self.place / VAULTS / store_id
        try:
            return set(os.listdir(place))
        except FileNotFoundError:
            return set()

    def check_vaults(self, store_id: str, there: Collection[str]) -> None:
        """Hold a store to the vaults that were seen in it.  Raise RolledBack, or OSError.

        Anybody who writes the store's files can write another id into it: so a vault that was seen in
        another store is not passed over.
        """
        if gone := self.vaults(store_id) - set(there):
            raise RolledBack(
                f"the store has no vault {min(gone)} any more, and this account has seen it there: "
                "it was taken away, or an old copy was put back"
            )
        if moved := self._seen_elsewhere(store_id) & set(there):
            raise RolledBack(f"this account has seen the vault {min(moved)} in another store")

    def _seen_elsewhere(self, store_id: str) -> set[str]:
        # A copy that became a store of its own has the id too, and its instance behind it.
        seen = (self.place / VAULTS).glob("*/*")
        return {vault.name for vault in seen if not vault.parent.name.startswith(store_id)}

    def keep_vaults(self, store_id: str, vaults: Iterable[str]) -> None:
        """Keep that the store has these *vaults*, beside those that were seen.  Raise OSError."""
        seen = self._vaults(store_id)
        if not seen.exists() or set(vaults) - set(os.listdir(seen)):
            seen.mkdir(parents=True, exist_ok=True, mode=0o700)
            for vault in vaults:
                (seen / vault).touch(mode=0o600)

    def forget_vaults(self, store_id: str, but: Iterable[str]) -> None:
        """Miss no vault of the store any more, *but* these.  Raise OSError."""
        seen = self._vaults(store_id)
        if self._instance:
            seen.mkdir(parents=True, exist_ok=True, mode=0o700)
        for vault in self.vaults(store_id) - set(but):
            (seen / vault).unlink(missing_ok=True)

    def _vaults(self, store_id: str) -> Path:
        name = f"{store_id}-{self._instance}" if self._instance else store_id
        return self.place / VAULTS / name

    def _file(self, origin: str, kind: str) -> Path:
        # What was published of a log is the same for everybody.
        named = f"{origin}\n{self._instance}" if self._instance and kind == SEEN else origin
        return self.place / kind / f"{sha256(named.encode()).hexdigest()}.checkpoint"

    def _file_of_original(self, origin: str, kind: str) -> Path:
        return Kept(self.place)._file(origin, kind)

    @contextmanager
    def _locked(self, directory: Path) -> Iterator[None]:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _read(file: Path, origin: str) -> Checkpoint | None:
    from eventstore.checkpoint import parse_checkpoint
    from eventstore.errors import CheckpointMalformed

    try:
        read = parse_checkpoint(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, CheckpointMalformed):
        return None
    return read if read.origin == origin else None


def _replace(file: Path, text: str) -> None:
    beside = file.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
    beside.replace(file)


def check(seen: Checkpoint | None, tree: Tree) -> None:
    """Hold a log to what was seen of it.  Raise RolledBack.

    It looks at hashes only, as few as a proof has; `verify` reads every record.
    """
    if seen is None or (seen.size == tree.size and seen.root == tree.root()):
        return
    if seen.size > tree.size:
        raise RolledBack(
            f"{seen.origin}: the log has {tree.size:,} records, and this account has already seen "
            f"{seen.size:,}: an old copy was put back, or its end was cut off"
        )
    if not tree.extends(seen.size, seen.root):
        raise RolledBack(
            f"{seen.origin}: the history before #{seen.size:,} is not the one that this account "
            "has already seen"
        )
