"""`muniment verify`: the history is whole, or the position where it is not.  Public keys only.

It needs neither a root key nor an account, so it works on a raw copy of a store, or of one log.
Without `--against` or `--verifier` it shows that the records are those which the store's own keys
signed; a checkpoint or a key that was kept elsewhere shows that these keys are the right ones and
that nothing was cut off or replaced since.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from cli.command import command
from cli.moments import rfc3339
from cli.problems import FileUnusable, Usage, VerifiedWeaker
from cli.progress import Progress
from cli.session import Session
from cli.shapes import Shape
from cli.tables import Column

if TYPE_CHECKING:
    from eventstore.verify import Report

_COLUMNS = [
    Column("LOG", "log"),
    Column("VAULT", "vault"),
    Column("RECORDS", "size"),
    Column("SIGNATURES", "signatures"),
    Column("KEPT CHECKPOINTS", "kept"),
    Column("KEY", "key"),
    Column("LAST", "time"),
    Column("ROOT", "root"),
]


class Anchors(NamedTuple):
    """What the verifier brings along, by the origin of its log: kept notes, and trusted keys."""

    notes: dict[str, list[str]]
    keys: dict[str, str]


@command("verify")
@click.option("--every-signature", is_flag=True, help="Check each event's own signature too.")
@click.option("--against", multiple=True, metavar="FILE", help="A kept checkpoint; repeatable.")
@click.option(
    "--verifier",
    multiple=True,
    metavar="LINE|FILE",
    help="A key that must be among the log's; repeatable.",
)
@click.option("--log", type=click.Choice(("changes", "access")), help="Only this log [both].")
def verify(
    session: Session,
    every_signature: bool,
    against: tuple[str, ...],
    verifier: tuple[str, ...],
    log: str | None,
) -> None:
    """Check the history with public keys only.

    Exit status 20 if it is not whole; 21 if it is, but a --verifier was given and some log has
    none of its own.
    """
    from eventstore.verify import verify_log

    anchors = Anchors(_notes(against), _keys(verifier))
    directories = _directories(session, log)
    reports = []
    for directory in directories:
        origin = _claimed_origin(directory)
        with Progress(f"{directory.name} records") as progress:
            reports.append(
                verify_log(
                    directory,
                    trusted=anchors.keys.get(origin),
                    kept=anchors.notes.get(origin, ()),
                    every_signature=every_signature,
                    progress=progress,
                )
            )
    _check_used(anchors, reports)
    shapes = [
        _shape(directory, report, anchors)
        for directory, report in zip(directories, reports, strict=True)
    ]
    session.output.emit(shapes, _COLUMNS)
    session.terminal.note(_summary(anchors, reports))
    if anchors.keys and any(report.origin not in anchors.keys for report in reports):
        raise VerifiedWeaker("a log was verified by its own key alone: no --verifier is of it")


def _directories(session: Session, log: str | None) -> list[Path]:
    """The logs to verify: of the store, of one vault in it, or the one log that --home names."""
    from eventstore.verify import logs_of
    from vault.refusals import StoreNotFound

    home = session.home
    if (home / "data.mdb").is_file() and not (home / "store.json").exists():
        return [home]
    found = logs_of(home)
    if not found and not (home / "store.json").exists():
        raise StoreNotFound(f"there is no store in {home}")
    if (name := session.vault_name()) is not None:
        # A vault's id is public; its name is sealed, and takes the keys to find.
        place = home / "vaults" / name
        vault = place if "/" not in name and place.is_dir() else _place_of(session)
        found = [directory for directory in found if directory.parent == vault]
    return [directory for directory in found if log in (None, directory.name)]


def _place_of(session: Session) -> Path:
    with session.vault() as vault:
        return vault.changes.path.parent


def _claimed_origin(directory: Path) -> str:
    """Which log this says it is.  Only to pick the anchors: verification holds it to them."""
    from eventstore.checkpoint import parse_checkpoint
    from eventstore.errors import CheckpointMalformed

    try:
        return parse_checkpoint((directory / "checkpoint").read_text(encoding="utf-8")).origin
    except (OSError, UnicodeDecodeError, CheckpointMalformed):
        return ""


def _notes(files: Sequence[str]) -> dict[str, list[str]]:
    from eventstore.checkpoint import parse_checkpoint
    from eventstore.errors import CheckpointMalformed

    found: dict[str, list[str]] = {}
    for file in files:
        note = _read(file)
        try:
            found.setdefault(parse_checkpoint(note).origin, []).append(note)
        except CheckpointMalformed:
            raise Usage(f"--against {file}: this is not a signed checkpoint") from None
    return found


def _keys(given: Sequence[str]) -> dict[str, str]:
    from eventstore.checkpoint import parse_verifier
    from eventstore.errors import CheckpointMalformed

    found: dict[str, str] = {}
    for text in given:
        lines = _read(text).splitlines() if Path(text).is_file() else [text]
        try:
            read = [parse_verifier(line) for line in lines if line.strip()]
        except CheckpointMalformed:
            raise Usage("--verifier is neither a verifier key line nor a file of them") from None
        found.update({key.name: str(key) for key in read})
    return found


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise FileUnusable(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Usage(f"{file} is not text") from None


def _check_used(anchors: Anchors, reports: Sequence[Report]) -> None:
    """What was kept of a log that is not here is a log that was taken away."""
    from eventstore.errors import HistoryForked

    present = {report.origin for report in reports}
    for origin in (*anchors.notes, *anchors.keys):
        if origin not in present:
            raise HistoryForked(f"{origin} is not among the logs that were verified")


def _summary(anchors: Anchors, reports: Sequence[Report]) -> str:
    if not reports:
        return "There is no vault, so there was nothing to verify."
    if anchors.keys or anchors.notes:
        return "The history is whole."
    return (
        "The history is whole by the store's own keys; --against and --verifier hold it to what "
        "was kept elsewhere."
    )


def _shape(directory: Path, report: Report, anchors: Anchors) -> Shape:
    return {
        "key": "trusted" if report.origin in anchors.keys else "its own",
        "kept": report.kept,
        "log": report.kind,
        "origin": report.origin,
        "root": report.root.hex(),
        "seconds": round(report.seconds, 3),
        "signatures": report.signatures,
        "size": report.size,
        "time": rfc3339(report.time) if report.size else None,
        "vault": directory.absolute().parent.name,
        "verifier": report.verifier,
    }
