"""`muniment audit read`: the auditor's side.  Offline, without an account and the store's keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.anchors import checkpoint_in, verifiers_in
from cli.command import command
from cli.copies import copy_at
from cli.log import REFUSED, Telling, check_words
from cli.moments import rfc3339
from cli.places import LOGS
from cli.points import past
from cli.problems import FileUnusable, Usage
from cli.progress import Progress
from cli.session import Session
from cli.tables import visible
from cli.values import read_bytes

if TYPE_CHECKING:
    from eventstore.auditing import Checked, Copy
    from eventstore.grant import Grant, Header
    from vault.answers import HistoryItem
    from vault.history_commands import ReadHistory

_MOST = 4096


@command("read")
@click.argument("grant", metavar="GRANT")
@click.option("--log", "copy", required=True, metavar="DIR", help="A copy of both logs.")
@click.option("--key", required=True, metavar="FILE", help="Your private key.")
@click.option(
    "--verifier",
    multiple=True,
    required=True,
    metavar="LINE|FILE",
    help="A log's key that you trust; repeatable.",
)
@click.option("--against", multiple=True, metavar="FILE", help="A kept checkpoint; repeatable.")
@click.option("--every-signature", is_flag=True, help="Check each event's own signature too.")
@click.option("-n", "--name", metavar="NAME", default="", help="Only what concerns this.")
@click.option("--operation", metavar="WORD", default="", help="Only this, e.g. secret.read.")
@click.option("--principal", "who", metavar="PRINCIPAL", default="", help="Only what they asked.")
@click.option("--outcome", metavar="WORD", default="", help="ok, refused, or an error's code.")
@click.option("--from", "start", metavar="POINT", help="From here on, in the period.")
@click.option("--to", "stop", metavar="POINT", help="Before this, in the period.")
@click.option(
    "--format", "form", type=click.Choice(("auditevent", "ocsf", "rfc5424")), help="For others."
)
@click.option("-f", "--file", metavar="FILE", help="Where --format goes [stdout].")
@click.option("--yes", is_flag=True, help="Replace the file.")
def read(
    session: Session,
    grant: str,
    copy: str,
    key: str,
    verifier: tuple[str, ...],
    against: tuple[str, ...],
    every_signature: bool,
    name: str,
    operation: str,
    who: str,
    outcome: str,
    start: str | None,
    stop: str | None,
    form: str | None,
    file: str | None,
    yes: bool,
) -> None:
    """Read a granted period from a copy, offline.

    The copy is what `muniment export records` wrote, or a copy of the store or of the vault's
    folder.  It is verified first, as `muniment verify` does it, against a key for each log that you
    hold.  Then the records of the period are shown as `muniment log` shows them, and never a value.
    Exit status 20 if the copy is not whole, or the grant is not of exactly its period.
    """
    from vault.history_commands import ReadHistory

    check_words(operation, outcome)
    opened = _opened(session, grant, key)
    header = opened.header
    since, until = _within(session, header, start, stop)
    asked = ReadHistory(
        name=name,
        start=since,
        stop=until,
        operation=operation,
        principal=who,
        outcome="" if outcome == REFUSED else outcome,
        refused=outcome == REFUSED,
    )
    told = Telling(session, form, file, yes, False)
    _introduce(session, opened)
    logs = copy_at(Path(copy).expanduser(), header.changes.log_id.hex())
    trusted, kept = _trusted(header, verifier), _kept(header, against)
    checked = {
        kind: _checked(session, logs, opened, kind, trusted[kind], kept[kind], every_signature)
        for kind in LOGS
    }
    told.tell(opened.text.vault, _items(logs, opened, checked, asked))


def _checked(
    session: Session,
    logs: Copy,
    opened: Grant,
    kind: str,
    trusted: str,
    kept: Sequence[str],
    every_signature: bool,
) -> Checked:
    from eventstore.auditing import check

    with Progress(f"{kind} records") as progress:
        checked = check(
            logs,
            opened,
            kind,
            trusted,
            kept=kept,
            every_signature=every_signature,
            progress=progress,
        )
    part = opened.header.part(kind)
    session.terminal.note(
        f"{kind}: {checked.report.size:,} records are whole; {part.stop - part.first:,} of them are "
        "in the period"
        + ("" if checked.held else "; the copy is older than the grant, and not held to it")
    )
    return checked


def _items(
    logs: Copy, opened: Grant, checked: Mapping[str, Checked], asked: ReadHistory
) -> Iterator[HistoryItem]:
    """The records of both logs that fit, in the order of their times."""
    from eventstore.auditing import entries
    from vault.history import fits, item

    def of(kind: str) -> Iterator[HistoryItem]:
        for entry in entries(logs, opened, kind, checked[kind]):
            if asked.start <= entry.time and (asked.stop is None or entry.time < asked.stop):
                yield item(kind, entry)

    both = merge(*(of(kind) for kind in LOGS), key=attrgetter("time"))
    return (one for one in both if fits(one, asked))


# --- what the auditor brings ----------------------------------------------------------------------


def _opened(session: Session, file: str, key: str) -> Grant:
    from eventstore import auditor, grant

    private = auditor.from_file(_private(key), session.passphrase())
    return grant.open_with(private, read_bytes(file))


def _private(file: str) -> bytes:
    """What the key's file holds.  Raise FileUnusable if others may read it."""
    import os
    import stat

    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        with open(handle, "rb") as stream:
            if stat.S_IMODE(os.fstat(handle).st_mode) & 0o077:
                raise FileUnusable(f"others may use {file}: chmod 600 it")
            return stream.read(_MOST)
    except OSError as error:
        raise FileUnusable(f"{file}: {error.strerror}") from None


def _introduce(session: Session, opened: Grant) -> None:
    header, text = opened
    # Anybody can seal a grant to a public key, and it must not move the cursor.
    label = f" ({visible(text.label)})" if text.label else ""
    session.terminal.note(
        f"Grant {header.grant.hex()}{label} of vault {visible(text.vault)}, recorded as #{header.at}: "
        f"from {rfc3339(header.start)}, before {rfc3339(header.stop)}."
    )


def _within(
    session: Session, header: Header, start: str | None, stop: str | None
) -> tuple[int, int]:
    """The part of the period that is asked for.  Raise GrantOutsidePeriod or PointsReversed."""
    from eventstore.errors import GrantOutsidePeriod
    from vault.refusals import PointsReversed

    since, until = (
        default if text is None else past(text, session.now, positions=False).time or 0
        for text, default in ((start, header.start), (stop, header.stop))
    )
    if until < since:
        raise PointsReversed
    if since < header.start or until > header.stop:
        raise GrantOutsidePeriod(
            f"the grant opens what is from {rfc3339(header.start)} and before "
            f"{rfc3339(header.stop)}"
        )
    return since, until


def _origin(header: Header, kind: str) -> str:
    return f"muniment/{header.part(kind).log_id.hex()}/{kind}"


def _trusted(header: Header, given: Sequence[str]) -> dict[str, str]:
    """The key that is trusted for each log.  Raise Usage or GrantOfAnotherLog."""
    from eventstore.errors import GrantOfAnotherLog

    held = {key.name: str(key) for key in verifiers_in(given)}
    missing = [kind for kind in LOGS if _origin(header, kind) not in held]
    if len(missing) == len(LOGS) and held:
        raise GrantOfAnotherLog("none of the verifier keys is of a log that the grant is for")
    if missing:
        raise Usage(f"--verifier has no key of {missing[0]}: each log has one of its own")
    return {kind: held[_origin(header, kind)] for kind in LOGS}


def _kept(header: Header, files: Sequence[str]) -> dict[str, list[str]]:
    """The kept checkpoints of each log.  Raise GrantOfAnotherLog."""
    from eventstore.errors import GrantOfAnotherLog

    origins = {_origin(header, kind): kind for kind in LOGS}
    found: dict[str, list[str]] = {kind: [] for kind in LOGS}
    for file in files:
        checkpoint = checkpoint_in(file, "--against")
        if checkpoint.origin not in origins:
            raise GrantOfAnotherLog(f"--against {file} is of {checkpoint.origin}")
        found[origins[checkpoint.origin]].append(checkpoint.note)
    return found
