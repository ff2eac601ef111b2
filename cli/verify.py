"""`muniment verify`: the history is whole, or the position where it is not.  Public keys only.

It needs neither a root key nor an account, so it works on a raw copy of a store, or of one log.
Without `--against` or `--verifier` it shows that the records are those which the store's own keys
signed; a checkpoint or a key that was kept elsewhere shows that these keys are the right ones and
that nothing was cut off or replaced since.  What this account has seen of a log counts as kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from cli.anchors import checkpoint_in, verifiers_in
from cli.command import command
from cli.moments import rfc3339
from cli.places import LOGS, check_vaults_of, claimed, directories, seen_of
from cli.problems import RolledBack, VerifiedWeaker
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


@command("verify", trusting=True)
@click.option("--every-signature", is_flag=True, help="Check each event's own signature too.")
@click.option("--against", multiple=True, metavar="FILE", help="A kept checkpoint; repeatable.")
@click.option(
    "--verifier",
    multiple=True,
    metavar="LINE|FILE",
    help="A key that must be among the log's; repeatable.",
)
@click.option("--log", type=click.Choice(LOGS), help="Only this log [both].")
@click.option(
    "--without-seen",
    is_flag=True,
    help="Do not hold it to what this account has seen of it: an older copy is older.",
)
@click.option(
    "--record", is_flag=True, help="Say in `access` that it was verified; this takes the root key."
)
def verify(
    session: Session,
    every_signature: bool,
    against: tuple[str, ...],
    verifier: tuple[str, ...],
    log: str | None,
    without_seen: bool,
    record: bool,
) -> None:
    """Check the history with public keys only.

    Nothing is written unless you ask for it, so that a copy that is evidence stays as it is.

    Exit status 20 if it is not whole; 21 if it is, but a --verifier was given and some log has
    none of its own.
    """
    from eventstore.anchors import kept
    from eventstore.log_directory import check_placed, verify_log

    anchors = Anchors(_notes(against), _keys(verifier))
    found = directories(session, log)
    if not without_seen:
        check_vaults_of(session)
    reports = []
    for directory in found:
        claims = claimed(directory)
        origin = claims.origin if claims else ""
        seen = None if without_seen else seen_of(session, directory)
        brought = anchors.notes.get(origin, ())
        beside = [anchor.note for anchor in kept(directory)]
        older = seen is not None and not brought and seen.size > (claims.size if claims else 0)
        with Progress(f"{directory.name} records") as progress, _rolled_back(origin, older):
            reports.append(
                verify_log(
                    directory,
                    trusted=anchors.keys.get(origin),
                    kept=[*brought, *beside, *([seen.note] if seen else ())],
                    every_signature=every_signature,
                    progress=progress,
                )
            )
    if found != [session.home]:
        check_placed(zip(found, reports, strict=True))
    _check_used(anchors, reports)
    shapes = [
        _shape(directory, report, anchors) | _anchored(session, directory)
        for directory, report in zip(found, reports, strict=True)
    ]
    session.output.emit(shapes, _COLUMNS)
    session.terminal.note(_summary(anchors, reports))
    if record:
        _record(session, found, reports)
    if anchors.keys and any(report.origin not in anchors.keys for report in reports):
        raise VerifiedWeaker("a log was verified by its own key alone: no --verifier is of it")


def _anchored(session: Session, directory: Path) -> Shape:
    """How far others vouch for the log, and that its second key signed what it is said to sign."""
    from eventstore.second_check import check_second_signatures

    seconds = check_second_signatures(directory)
    if session.trust.is_empty:
        return {"secondSignatures": seconds}
    newest = session.trust.newest(directory)
    return {
        "anchored": newest.size if newest else 0,
        "anchoredBy": newest.seen.source if newest else None,
        "anchoredTime": rfc3339(newest.seen.time) if newest else None,
        "secondSignatures": seconds,
    }


def _record(session: Session, found: Sequence[Path], reports: Sequence[Report]) -> None:
    from vault.history_commands import RecordVerification

    sizes = {place: report.size for place, report in zip(found, reports, strict=True)}
    with session.store() as store:
        for vault in store.vaults():
            changes = sizes.get(vault.changes.path, 0)
            access = sizes.get(vault.access.path, 0)
            if changes or access:
                noted = RecordVerification(changes=changes, access=access)
                vault.handle(session.caller, noted)


@contextmanager
def _rolled_back(origin: str, older: bool) -> Iterator[None]:
    """Where a log is whole and only *older* than what this account has seen, say just that."""
    from eventstore.errors import LogTruncated

    try:
        yield
    except LogTruncated as problem:
        if not older:
            raise
        raise RolledBack(f"{origin}: {problem.message}, which this account has seen") from None


def _notes(files: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in files:
        checkpoint = checkpoint_in(file, "--against")
        found.setdefault(checkpoint.origin, []).append(checkpoint.note)
    return found


def _keys(given: Sequence[str]) -> dict[str, str]:
    return {key.name: str(key) for key in verifiers_in(given)}


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
    if all(report.kept for report in reports):
        return "The history is whole, and continues what this account has seen of it."
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
