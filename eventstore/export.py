"""What leaves the house: a log's leaves, its tree and its signed checkpoint, and nothing secret.

It takes no key, so whoever has a copy of the log can prove from it and export it.  Everything is
held to the checkpoint beside the log, and that to the log's own signing keys.

`export_tiles` writes the log as C2SP tlog-tiles lays it out, so that any web server, or none, gives
it to others.  Full tiles never change and are written once; the checkpoint goes last and replaces
the old one at once, so a reader never meets a checkpoint whose tiles are not there, and an export
that was cut short is taken up where it ended.

Source: C2SP tlog-tiles.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import lmdb

from eventstore import head as heads
from eventstore import merkle, tiles
from eventstore.checkpoint import Checkpoint, Verifier, open_note, parse_checkpoint
from eventstore.errors import (
    CheckpointMalformed,
    CheckpointSignatureInvalid,
    HistoryForked,
    LogTruncated,
    LogUnavailable,
    PositionUnknown,
    RootMismatch,
    TailUnsigned,
)
from eventstore.head import Identity
from eventstore.proof import Consistency, Inclusion
from eventstore.record import LEAF_SIZE
from eventstore.storage import open_environment
from eventstore.tiles import Tile
from eventstore.transaction import EPOCHS, HEAD, Tables
from eventstore.tree import Tree

Progress = Callable[[int, int], None]


class PublicLog(NamedTuple):
    """The public side of a log up to its signed checkpoint."""

    identity: Identity
    verifiers: list[Verifier]
    checkpoint: Checkpoint
    tree: Tree
    directory: Path

    def prove(self, position: int, against: Checkpoint | None = None) -> Inclusion:
        """The proof that the record at *position* is under a checkpoint; the newest, if none.

        Raise PositionUnknown, or what `check_extends` raises.
        """
        checkpoint = self._chosen(against)
        if not 0 <= position < checkpoint.size:
            raise PositionUnknown(
                f"there is no record #{position} under a checkpoint of {checkpoint.size} records"
            )
        path = self.tree.inclusion(position, checkpoint.size, checkpoint.root)
        return Inclusion(position, self.tree.leaf(position), path, checkpoint.note)

    def prove_growth(self, since: Checkpoint) -> Consistency:
        """The proof that the newest checkpoint extends *since*.  Raise as `check_extends` does."""
        self.check_extends(since)
        newest = self.checkpoint
        path = self.tree.consistency(since.size, since.root, newest.size, newest.root)
        return Consistency(since.size, path, newest.note)

    def _chosen(self, against: Checkpoint | None) -> Checkpoint:
        if against is None:
            return self.checkpoint
        self.check_extends(against)
        return against

    def check_extends(self, older: Checkpoint) -> None:
        """Whether the newest checkpoint extends *older*.  Raise HistoryForked or LogTruncated."""
        newest = self.checkpoint
        if older.origin != newest.origin:
            raise HistoryForked(f"the checkpoint is of another log, {older.origin}")
        if older.size > newest.size:
            raise LogTruncated(f"the log has {newest.size} records; it had {older.size} before")
        if self.tree.root(older.size) != older.root:
            raise HistoryForked(f"the log is not the one that was signed at {older.size} records")


@contextmanager
def public_log(directory: Path) -> Iterator[PublicLog]:
    """The public side of the log in *directory*, from one LMDB snapshot.

    Raise LogNotFound, TailUnsigned, HistoryForked or RootMismatch.
    """
    environment = open_environment(directory, create=False)
    try:
        tables = Tables.open(environment)
        # Read before the snapshot begins: what it covers is committed already.
        checkpoint = _beside(directory)
        with environment.begin() as transaction:
            head = heads.decode_head(transaction.get(HEAD, b"", db=tables.main))
            epochs = heads.decode_epochs(transaction.get(EPOCHS, b"", db=tables.main))
            tree = Tree(transaction, tables.records, tables.tiles, head)
            verifiers = heads.verifiers(tables.identity, epochs)
            log = PublicLog(tables.identity, verifiers, checkpoint, tree, directory)
            _check_signed(log, verifiers[epochs.signing_index(checkpoint.size)])
            yield log
    except lmdb.Error as problem:
        raise LogUnavailable(f"{directory}: {problem}") from None
    finally:
        environment.close()


def _beside(directory: Path) -> Checkpoint:
    try:
        return parse_checkpoint((directory / "checkpoint").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TailUnsigned("the log has no signed checkpoint") from None
    except (UnicodeDecodeError, CheckpointMalformed):
        raise HistoryForked("the log's checkpoint is not readable") from None


def _check_signed(log: PublicLog, verifier: Verifier) -> None:
    checkpoint, tree = log.checkpoint, log.tree
    if checkpoint.origin != log.identity.origin:
        raise HistoryForked(f"the checkpoint is of another log, {checkpoint.origin}")
    try:
        open_note(checkpoint.note, verifier)
    except CheckpointSignatureInvalid:
        raise HistoryForked("the checkpoint is not signed by this log's key") from None
    if checkpoint.size > tree.size:
        raise LogTruncated(
            f"the log has {tree.size} records; its checkpoint covers {checkpoint.size}"
        )
    if tree.root(checkpoint.size) != checkpoint.root:
        raise RootMismatch("the records do not hash to the signed root")


# --- tiles ----------------------------------------------------------------------------------------


class Exported(NamedTuple):
    """What an export wrote: the checkpoint it ends at, and how many files of tiles were new."""

    checkpoint: Checkpoint
    written: int


def export_tiles(log: PublicLog, out: Path, progress: Progress | None = None) -> Exported:
    """Write the log into the directory *out* up to its checkpoint.

    Raise OSError, or, if *out* holds a larger or another log, LogTruncated or HistoryForked.
    """
    if (standing := read_published(out / "checkpoint")) is not None:
        log.check_extends(standing)
    size, written, stale = log.checkpoint.size, 0, []
    for tile in tiles.tiles_of(size):
        written += _export(log.tree, tile, out)
        if tile.width == tiles.WIDTH:
            stale.append(tile)
        if progress is not None and tile.level == 0:
            progress(tile.number * tiles.WIDTH + tile.width, size)
    replace_file(out / "checkpoint", log.checkpoint.note.encode())
    for tile in stale:
        _remove_partials(tile, out)
    return Exported(log.checkpoint, written)


def read_published(place: Path) -> Checkpoint | None:
    """The checkpoint that stands in the file *place*.  Raise OSError or CheckpointMalformed."""
    try:
        return parse_checkpoint(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise CheckpointMalformed from None


def replace_file(place: Path, content: bytes) -> None:
    """Write *place* so that a reader meets the old bytes or the new.  Raise OSError."""
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.{os.getpid()}.new")
    try:
        beside.write_bytes(content)
        beside.replace(place)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _export(tree: Tree, tile: Tile, out: Path) -> int:
    """Write a tile, and the entries of one of level 0.  Give how many files that were."""
    places = {out / tile.path: tile.width * merkle.HASH_SIZE}
    if tile.level == 0:
        places[out / tile.entries] = tile.width * (2 + LEAF_SIZE)
    if all(_stands(place, size) for place, size in places.items()):
        return 0
    start = tile.number * tiles.WIDTH
    if tile.level == 0:
        leaves = list(tree.leaves(start, start + tile.width))
        hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
        replace_file(out / tile.entries, tiles.entry_bundle(leaves))
    else:
        hashes = tree.hashes(tile.level, start, tile.width)
    # The checkpoint vouches for the level above, and that one for this.
    full = tile.width == tiles.WIDTH
    if full and [merkle.root_of(hashes)] != tree.hashes(tile.level + 1, tile.number, 1):
        raise RootMismatch(f"tile {tile.path} does not hash to the signed root")
    replace_file(out / tile.path, b"".join(hashes))
    return len(places)


def _stands(place: Path, size: int) -> bool:
    # A file of another size is what a lost power left.
    try:
        return place.stat().st_size == size
    except FileNotFoundError:
        return False


def _remove_partials(tile: Tile, out: Path) -> None:
    paths = [tile.path] if tile.level else [tile.path, tile.entries]
    for path in paths:
        directory = out / f"{path}.p"
        if directory.is_dir():
            for place in directory.iterdir():
                place.unlink()
            directory.rmdir()
