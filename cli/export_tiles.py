"""`muniment export tiles`: a log as C2SP tlog-tiles, for a web server or a disk of somebody else's."""

from __future__ import annotations

from pathlib import Path

import click

from cli import shapes
from cli.command import command
from cli.places import one_log, one_public
from cli.problems import FileInTheWay, FileUnusable
from cli.progress import Progress
from cli.session import Session


@command("tiles")
@click.option("--out", required=True, metavar="DIR", help="The directory to write to.")
@one_log
def tiles(session: Session, out: str, log: str) -> None:
    """Write a log as tiles that other tools verify.

    The directory is the prefix of a C2SP tlog-tiles log whose entries are the records' public
    leaves; nothing secret is in it.  Run again, it adds what is new: exit status 20 if the log
    does not extend what stands there.  It takes no key.
    """
    from eventstore.errors import CheckpointMalformed
    from eventstore.export import export_tiles

    place = Path(out).expanduser()
    try:
        with one_public(session, log) as opened, Progress("records") as progress:
            exported = export_tiles(opened, place, progress)
    except CheckpointMalformed:
        raise FileInTheWay(f"{place / 'checkpoint'} is not a checkpoint") from None
    except OSError as error:
        raise FileUnusable(f"{error.filename or place}: {error.strerror}") from None
    shape = shapes.checkpoint(log, exported.checkpoint)
    del shape["note"]
    session.output.emit({**shape, "directory": str(place), "written": exported.written})
