"""`muniment export records`: both logs of a vault in two files, sealed as they are, without any key."""

from __future__ import annotations

from pathlib import Path

import click

from cli.command import command
from cli.places import LOGS, directories, public
from cli.problems import FileInTheWay, FileUnusable, Usage
from cli.progress import Progress
from cli.session import Session
from cli.shapes import Shape
from cli.tables import Column
from cli.values import write_private

_COLUMNS = [
    Column("LOG", "log"),
    Column("RECORDS", "size"),
    Column("BEFORE", "before"),
    Column("FILE", "file"),
]


@command("records")
@click.option("--out", required=True, metavar="DIR", help="The directory to write to.")
def records(session: Session, out: str) -> None:
    """Write both logs, still sealed, for who may read them.

    `muniment audit read` reads them with a grant.  Whoever has no key of a record learns only what
    is public of it.  It takes no key.  What stands there is replaced only by a copy that extends it: exit status 20 if it does not.
    """
    place = Path(out).expanduser()
    found = directories(session, None)
    if sorted(directory.name for directory in found) != sorted(LOGS):
        raise Usage("name the one vault with --vault-name: each is written by itself")
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FileUnusable(f"{place}: {error.strerror}") from None
    written = [_write(session, directory, place) for directory in found]
    session.output.emit(written, _COLUMNS)


def _write(session: Session, directory: Path, place: Path) -> Shape:
    from eventstore import head as heads
    from eventstore.log_directory import evidence_in
    from eventstore.log_file import SUFFIX, parts_of

    file = place / f"{directory.name}{SUFFIX}"
    before = _extends(session, directory, file)
    with evidence_in(directory) as evidence, Progress(f"{directory.name} records") as progress:
        write_private(str(file), parts_of(evidence, progress), replace=True)
        size = heads.decode_head(evidence.head).size
    return {"before": before, "file": str(file), "log": directory.name, "size": size}


def _extends(session: Session, directory: Path, file: Path) -> int | None:
    """How many records the copy has that stands there.  Raise what `check_extends` raises."""
    from eventstore.checkpoint import parse_checkpoint
    from eventstore.errors import (
        CheckpointMalformed,
        FormatUnknown,
        LogNotFound,
        RecordAltered,
    )
    from eventstore.log_file import evidence_of

    try:
        with evidence_of(file) as standing:
            older = parse_checkpoint(standing.checkpoint)
    except LogNotFound:
        older = None
    except (CheckpointMalformed, FormatUnknown, RecordAltered):
        raise FileInTheWay(f"{file} is not a log in a file") from None
    with public(session, directory) as log:
        if older is not None:
            log.check_extends(older)
    return None if older is None else older.size
