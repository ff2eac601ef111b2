"""`muniment audit package`: what an auditor takes home and checks without trusting us.

One file, that an auditor with two public keys on paper checks by one command, `verify.py`, which is
in it.  It appears at its place when the event about it is committed, and not before.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.anchors import checkpoint_in
from cli.as_of import At, maybe_point, point
from cli.command import command
from cli.moments import rfc3339
from cli.problems import FileInTheWay, FileUnusable
from cli.progress import Progress
from cli.session import Session
from cli.shapes import Shape

if TYPE_CHECKING:
    from vault.packaging import Packaged, Packaging
    from vault.points import Point, Resolved


@command("package")
@click.option("--from", "start", metavar="POINT", help="The period begins here [the beginning].")
@click.option("--to", "stop", metavar="POINT", default="now", help="And ends before this [now].")
@click.option("--out", required=True, metavar="FILE", help="The bundle, a zip.")
@click.option(
    "--against", multiple=True, metavar="FILE", help="Show that it extends this checkpoint too."
)
@click.option("--yes", is_flag=True, help="Replace the file.")
def package(
    session: Session, start: str | None, stop: str, out: str, against: tuple[str, ...], yes: bool
) -> None:
    """Put the evidence of a period into one file, without any value.

    It holds every operation of the period, in both logs, with what proves that none was changed or
    left out, a report to read, and `verify.py`, which checks it from two public keys.
    """
    from vault.history_commands import PackageEvidence

    asked = PackageEvidence(
        since=maybe_point(session, start),
        until=_end(session, stop),
        against=tuple(checkpoint_in(file, "--against").note for file in against),
    )
    place = Path(out).expanduser()
    if not yes and place.exists():
        raise FileInTheWay(f"{place} exists")
    with session.vault() as vault:
        packaging: Packaging
        packaging, points = vault.respond(session.caller, asked)
        _tell(session, "--from", asked.since, points.get("since"))
        _tell(session, "--to", asked.until, points.get("until"))
        shape = _write(place, packaging)
    session.output.emit(shape)


def _end(session: Session, text: str) -> Point:
    """Where the period ends.  Now is a time too, since records may come while it is put together."""
    from vault.points import AtTime, Now

    found = point(session, text)
    return AtTime(session.now) if isinstance(found, Now) else found


def _tell(session: Session, flag: str, asked: Point | None, found: Resolved | None) -> None:
    """Say what a bound turned out to be: of a time the time, of a position or checkpoint both."""
    from vault.points import AtTime

    if found is not None:
        told = rfc3339(found.time) if isinstance(asked, AtTime) else str(At(*found))
        session.terminal.note(f"{flag} {told}")


def _write(place: Path, packaging: Packaging) -> Shape:
    """Write the bundle beside *place*, and put it there when it is whole and recorded."""
    beside = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(handle, "w+b") as out, Progress("records") as progress:
                packaged = packaging.write(out, verifier(), progress)
                out.flush()
                os.fsync(out.fileno())
            beside.replace(place)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FileUnusable(f"{error.filename or place}: {error.strerror}") from None
    return _shape(place, packaged)


def verifier() -> bytes:
    """The program that checks a bundle.  It stands alone, so its source is what is given out."""
    return Path(__file__).with_name("bundle_verifier.py").read_bytes()


def _shape(place: Path, packaged: Packaged) -> Shape:
    period = packaged.period
    return {
        "access": period.access.stop - period.access.first,
        "changes": period.changes.stop - period.changes.first,
        "digest": packaged.digest,
        "file": str(place),
        "from": rfc3339(period.start) if period.start else None,
        "position": packaged.position,
        "to": rfc3339(period.stop),
    }
