"""A log as it lies on the disk, for who verifies it: what there is to look at, and where logs stand."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import lmdb

from eventstore import head as heads
from eventstore import record, signed_part
from eventstore.checkpoint import parse_checkpoint
from eventstore.errors import (
    CheckpointMalformed,
    LogMisplaced,
    LogNotFound,
    RecordAltered,
    RecordMalformed,
)
from eventstore.pages import DATA_FILE, Pages
from eventstore.pages import Tree as Table
from eventstore.storage import open_environment
from eventstore.transaction import EPOCHS, HEAD, IDENTITY, RECORDS, TILES
from eventstore.tree import Tree
from eventstore.verify import Evidence, Progress, Report, nothing_kept, verify

_LOOKS = 50
_PAUSE = 0.02
"""Seconds between two looks: a second in all, and a service signs four times in one."""


@contextmanager
def evidence_in(directory: Path) -> Iterator[Evidence]:
    """The evidence in a log's directory, from one LMDB snapshot.

    While others write, the checkpoint is behind the head: for some commits, if a service signs now
    and then.  What stands when this begins must be under a checkpoint before long; what is appended
    meanwhile and not signed is left out.
    """
    try:
        with _opened(directory) as (environment, pages):
            due: int | None = None
            for patience in range(_LOOKS, -1, -1):
                with _look(directory, environment, pages) as look:
                    due = look.there if due is None else due
                    if not patience or look.covered >= due:
                        yield _evidence(directory, environment, pages, look, due)
                        return
                time.sleep(_PAUSE)
    except (lmdb.Error, RecordMalformed) as problem:
        raise RecordAltered(f"{directory}: {problem}") from None


class _Look(NamedTuple):
    """One snapshot: so many records are there, and so many of them signed (-1: that is unreadable).

    *tables* is where each table begins; None if the page that tells it is damaged.
    """

    transaction: lmdb.Transaction[bytes]
    tables: dict[bytes, Table] | None
    head: bytes
    checkpoint: str
    there: int
    covered: int


@contextmanager
def _look(directory: Path, environment: lmdb.Environment, pages: Pages) -> Iterator[_Look]:
    main = environment.open_db(None)
    # Before the snapshot: what it covers is committed by then.
    checkpoint = _own_checkpoint(directory)
    with environment.begin() as transaction:
        # Checked before LMDB meets them: a damaged page would end this process.
        tables = pages.tables(transaction.id())
        head = transaction.get(HEAD, b"", db=main) if tables is not None else b""
        yield _Look(transaction, tables, head, checkpoint, *_sizes(head, checkpoint))


def _evidence(
    directory: Path, environment: lmdb.Environment, pages: Pages, look: _Look, due: int
) -> Evidence:
    """What *look* shows: all of it, or what is signed if that is all that was there at first."""
    transaction, tables, main = look.transaction, look.tables, environment.open_db(None)
    if tables is None or RECORDS not in tables:
        raise RecordAltered(f"{directory}: the records are not there")
    pages.check(tables[RECORDS])
    records = environment.open_db(RECORDS, txn=transaction, create=False)
    kept = None
    if TILES in tables:
        pages.check(tables[TILES])
        kept = environment.open_db(TILES, txn=transaction, create=False)
    found = Evidence(
        transaction.get(IDENTITY, b"", db=main),
        look.head,
        transaction.get(EPOCHS, b"", db=main),
        transaction.cursor(db=records).iternext(),
        look.checkpoint,
        nothing_kept if kept is None else partial(transaction.get, db=kept),
    )
    if not due <= look.covered < look.there:
        return found
    tree = Tree(transaction, records, kept, heads.decode_head(look.head))
    return _signed_part(found, tree, look.covered)


@contextmanager
def _opened(directory: Path) -> Iterator[tuple[lmdb.Environment, Pages]]:
    try:
        pages = Pages(directory / DATA_FILE)
    except OSError:
        raise LogNotFound(f"no log in {directory}") from None
    try:
        environment = open_environment(directory, create=False)
        try:
            yield environment, pages
        finally:
            environment.close()
    finally:
        pages.close()


def _sizes(head: bytes, checkpoint: str) -> tuple[int, int]:
    """How many records there are, and how many of them are signed; -1 if that is unreadable."""
    try:
        there = heads.decode_head(head).size
    except RecordMalformed:
        return 0, -1
    try:
        return there, parse_checkpoint(checkpoint).size
    except CheckpointMalformed:
        return there, -1


def _signed_part(evidence: Evidence, tree: Tree, size: int) -> Evidence:
    """The evidence of the log as it was when it had *size* records."""
    return evidence._replace(
        head=heads.encode_head(signed_part.head_of(tree, size)),
        epochs=heads.encode(signed_part.epochs_of(heads.decode_epochs(evidence.epochs), size)),
        records=islice(evidence.records, size),
    )


def _own_checkpoint(directory: Path) -> str:
    try:
        return (directory / "checkpoint").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        return "\N{REPLACEMENT CHARACTER}"


def verify_log(
    directory: Path,
    *,
    trusted: str | None = None,
    kept: Sequence[str] = (),
    every_signature: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Verify the log in *directory* as it lies there."""
    with evidence_in(directory) as evidence:
        return verify(
            evidence,
            trusted=trusted,
            kept=kept,
            every_signature=every_signature,
            progress=progress,
        )


def logs_of(home: Path) -> list[Path]:
    """The directories of all logs of the store in *home*.  Raise LogMisplaced if one is gone.

    A vault without `made` was never there: a crash cut its making short.
    """
    made = sorted(path.parent for path in (home / "vaults").glob("*/made"))
    found = [vault / kind for vault in made for kind in sorted(record.KINDS)]
    for directory in found:
        if not (directory / DATA_FILE).is_file():
            raise LogMisplaced(f"{directory}: there is no log here any more")
    return found


def check_placed(verified: Iterable[tuple[Path, Report]]) -> None:
    """The logs of a store stand in the vault's folder, and each once.  Raise LogMisplaced.

    A folder has the id of its `changes`.  Whether its `access` is of the same vault, only the
    store's keys can tell: a log whose id stands in no other folder passes here.
    """
    places: dict[str, Path] = {}
    for directory, report in verified:
        if report.kind != directory.name:
            raise LogMisplaced(f"{directory}: here is a log of {report.kind}")
        if report.origin in places:
            raise LogMisplaced(f"{directory}: this log stands in {places[report.origin]} too")
        places[report.origin] = directory
        if report.kind == "changes" and report.origin.split("/")[1] != directory.parent.name:
            raise LogMisplaced(f"{directory}: here are the changes of another vault")
