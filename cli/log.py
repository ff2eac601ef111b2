"""`muniment log`: what happened, who asked, and who was refused.  Never a value.

Printed, or written in a form that other programs read (`vault.exporting`), and followed as it comes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, get_args

import click

from cli import shapes
from cli.as_of import checkpoint_in, tell_period
from cli.command import command
from cli.places import LOGS
from cli.points import Point, past
from cli.problems import Usage
from cli.session import Session
from cli.tables import SECONDS, WHOLE, Column, cell

if TYPE_CHECKING:
    import vault.points as vault_points
    from cli.cursor import Cursor
    from eventstore.bracket import Brackets
    from eventstore.trust import Trust
    from vault.answers import HistoryItem
    from vault.history_commands import ReadHistory
    from vault.service import Vault

REFUSED = "refused"
_VERSION_SHOWN = 8

_COLUMNS = [
    Column("RECORD", "_record", WHOLE),
    Column("TIME", "time", SECONDS),
    Column("OPERATION", "operation"),
    Column("PRINCIPAL", "principal"),
    Column("NAME", "name"),
    Column("VERSION", "_version"),
    Column("OUTCOME", "outcome"),
]


@command("log", trusting=True)
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--operation", metavar="WORD", default="", help="Only this, e.g. secret.read.")
@click.option("--principal", "who", metavar="PRINCIPAL", default="", help="Only what they asked.")
@click.option("--outcome", metavar="WORD", default="", help="ok, refused, or an error's code.")
@click.option("--address", metavar="IP", default="", help="Only what came from there.")
@click.option("--from", "start", metavar="POINT", help="From here on: 2h, a date, #18230, @FILE.")
@click.option("--to", "stop", metavar="POINT", help="Before this.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="The newest N of them.")
@click.option("--log", type=click.Choice(LOGS), help="Only this log [both].")
@click.option("--after", metavar="CURSOR", help="Only what is newer: changes:18230,access:77.")
@click.option("--cursor", "kept", metavar="FILE", help="Go on where FILE says; then say it there.")
@click.option("--follow", is_flag=True, help="Go on with what is recorded from now on.")
@click.option(
    "--interval", type=click.FloatRange(min=0.05), default=1.0, metavar="S", help="Look so often."
)
@click.option(
    "--format", "form", type=click.Choice(("auditevent", "ocsf", "rfc5424")), help="For others."
)
@click.option("-f", "--file", metavar="FILE", help="Where --format goes [stdout].")
@click.option("--yes", is_flag=True, help="Replace the file.")
def log(
    session: Session,
    name: str | None,
    operation: str,
    who: str,
    outcome: str,
    address: str,
    start: str | None,
    stop: str | None,
    last: int | None,
    log: str | None,
    after: str | None,
    kept: str | None,
    follow: bool,
    interval: float,
    form: str | None,
    file: str | None,
    yes: bool,
) -> None:
    """Show what happened, who asked, and who was refused.

    Both logs are shown, oldest first.  A position after # is one of `changes`; of `access` it
    selects what was answered at or after it.  @FILE is the last event of a checkpoint that was
    kept.  With --format each record is a line: Key Vault's
    AuditEvent, OCSF, or syslog (RFC 5424); with --cursor or --follow a file is written on.  With
    --policy or --tsa-roots, -o json and jsonl say between which two moments others saw it come.
    """
    from vault.history_commands import ReadHistory

    check_words(operation, outcome)
    since, until = _point(session, "--from", start), _point(session, "--to", stop)
    asked = ReadHistory(
        name=name or "",
        logs=(log,) if log else LOGS,
        start=since.time or 0 if since else 0,
        stop=until.time if until else None,
        operation=operation,
        principal=who,
        outcome="" if outcome == REFUSED else outcome,
        refused=outcome == REFUSED,
        address=address,
        from_event=since.position if since else None,
        before_event=until.position if until else None,
        newest=last,
        since=_checkpoint(start),
        until=_checkpoint(stop),
    )
    told = Telling(session, form, file, yes, follow or kept is not None or after is not None)
    if not told.goes_on:
        with session.vault() as vault:
            told.believe(session.trust, vault)
            found, points = vault.retell(session.caller, asked)
            tell_period(session, points)
            told.tell(vault.name, found)
        return
    _check_going_on(session, follow, after, kept, last, stop)
    going = _Going(_cursor(after, kept), kept, follow, interval)
    with session.vault() as vault:
        told.believe(session.trust, vault)
        _go_on(session, vault, asked, told, going)


class Telling:
    """How records leave: as the output that was asked for, or as lines for other programs."""

    def __init__(
        self, session: Session, form: str | None, file: str | None, yes: bool, goes_on: bool
    ) -> None:
        from cli.secret_values import refuse_existing
        from cli.values import STREAM

        if file is not None and form is None:
            raise Usage("--file says where --format goes: give --format too")
        self._session = session
        self._form = form
        self._file = STREAM if file is None else file
        self._yes = yes
        self.goes_on = goes_on
        self._brackets: dict[str, Brackets] = {}
        if not goes_on:
            refuse_existing(self._file, yes=yes)

    def believe(self, trust: Trust, vault: Vault) -> None:
        """Tell beside each record what those who are believed say of when it came."""
        from cli.anchored import brackets_of

        if not trust.is_empty:
            logs = (vault.changes, vault.access)
            self._brackets = {log.identity.kind_name: brackets_of(trust, log.path) for log in logs}

    def _shape(self, item: HistoryItem) -> shapes.Shape:
        shape = shapes.history(item)
        if not self._brackets:
            return shape
        from cli.anchored import bracket

        return shape | bracket(self._brackets[item.log], item.position)

    @property
    def to_file(self) -> bool:
        from cli.values import STREAM

        return self._file != STREAM

    def tell(self, vault: str, items: Iterable[HistoryItem]) -> None:
        """Print or write all that there is, one by one."""
        from cli.secret_values import deliver_each

        if self._form is not None:
            lines = (line.encode() for line in self._lines(vault, items))
            deliver_each(self._file, lines, yes=self._yes)
            return
        output = self._session.output
        rows: Iterator[shapes.Shape] = map(self._shape, items)
        for_people = output.for_people and not output.has_query
        if for_people:
            rows = map(_row, rows)
        first = next(rows, None)
        if first is None and for_people:
            self._session.terminal.note("No record fits.")
        rows = chain(() if first is None else (first,), rows)
        output.emit_each(rows, _COLUMNS, paged=self._session.paged)

    def tell_more(self, vault: str, items: Sequence[HistoryItem]) -> None:
        """Print or write what came, at once, so that a cursor may move behind it."""
        from cli.values import STREAM

        if not items:
            return
        output = self._session.output
        if self._form is not None:
            if self._file == STREAM:
                sys.stdout.writelines(self._lines(vault, items))
            else:
                _append(self._file, "".join(self._lines(vault, items)))
        elif output.for_people:
            sys.stdout.write("".join(_line(_row(self._shape(item))) for item in items))
        else:
            output.emit([self._shape(item) for item in items])
        sys.stdout.flush()

    def _lines(self, vault: str, items: Iterable[HistoryItem]) -> Iterator[str]:
        from vault.exporting import Origin, line

        form = self._form
        assert form is not None
        origin = Origin(vault, f"https://{vault}.{shapes.DOMAIN}")
        return (line(form, origin, item) + "\n" for item in items)


# --- going on -------------------------------------------------------------------------------------


class _Going(NamedTuple):
    """From where, where that is kept, whether to go on for ever, and how often to look."""

    cursor: Cursor
    kept: str | None
    follow: bool
    interval: float


def _go_on(
    session: Session, vault: Vault, asked: ReadHistory, told: Telling, going: _Going
) -> None:
    from cli.cursor import keep
    from cli.following import Follower
    from vault.history import fits

    follower = Follower(session, vault, asked, going.cursor)

    def tell(items: Sequence[HistoryItem]) -> None:
        with _unbroken(told.to_file):
            told.tell_more(vault.name, [item for item in items if fits(item, asked)])
            if going.kept is not None:
                keep(going.kept, follower.cursor)

    parts = follower.news() if asked.newest is None else follower.newest()
    for at, items in enumerate(parts):
        if not at:
            tell_period(session, follower.points)
        tell(items)
    if going.follow:
        follower.forget_filters()
        follower.follow(going.interval, tell)
    elif going.kept is None:
        session.terminal.note(f"--after {follower.cursor}")


@contextmanager
def _unbroken(wanted: bool) -> Iterator[None]:
    """Let an interrupt wait: what stands in a file would be told again if its cursor were not kept.

    Not where a reader could keep us waiting.
    """
    import signal

    if not wanted:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check_going_on(
    session: Session,
    follow: bool,
    after: str | None,
    kept: str | None,
    last: int | None,
    until: str | None,
) -> None:
    if after is not None and kept is not None:
        raise Usage("give --after or --cursor, not both")
    if last is not None and (after is not None or kept is not None):
        raise Usage("--last would skip what --after and --cursor promise")
    if until is not None:
        raise Usage("--to does not go with --follow, --after and --cursor")
    if follow and (session.output.form == "json" or session.output.has_query):
        raise Usage("--follow tells a record at a time: -o jsonl, tsv or table, without --query")


def _cursor(after: str | None, kept: str | None) -> Cursor:
    from cli.cursor import Cursor, load, parse

    if kept is not None:
        return load(kept)
    return Cursor() if after is None else parse(after)


def _append(file: str, text: str) -> None:
    """Write at the end of a private file, down to the disk.  Raise FileUnusable."""
    import os

    from cli.problems import FileUnusable

    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(handle)
    except OSError as error:
        raise FileUnusable(f"{file}: {error.strerror}") from None


# --- points and rows ------------------------------------------------------------------------------


def check_words(operation: str, outcome: str) -> None:
    """Raise Usage for a word that stands in no record: an empty answer would be taken for "never"."""
    if operation:
        from eventstore.events import Access, Change

        tags = {kind.__struct_config__.tag for kind in get_args(Change) + get_args(Access)}
        _check_word("--operation", operation, tags)
    if outcome:
        from cli.exits import EXITS

        _check_word("--outcome", outcome, {"ok", REFUSED, *EXITS})


def _check_word(flag: str, word: str, known: Set[str]) -> None:
    if word in known:
        return
    from difflib import get_close_matches

    near = get_close_matches(word, sorted(known), 3)
    also = f"; near it are {', '.join(near)}" if near else ""
    raise Usage(f"{flag}: no record has {word[:60]!r}{also}")


def _checkpoint(text: str | None) -> vault_points.Point | None:
    """The checkpoint that a point names; None for what can be read without the vault."""
    if text is None or not text.startswith("@"):
        return None
    return checkpoint_in(text[1:])


def _point(session: Session, flag: str, text: str | None) -> Point | None:
    if text is None or text.startswith("@"):
        return None
    point = past(text, session.now)
    session.terminal.note(f"{flag} {point}")
    return point


def _row(row: shapes.Shape) -> shapes.Shape:
    version, client = row["version"], row["details"].get("application_id")
    return row | {
        "name": f"{row['name']} via {client}" if client else row["name"],
        "_record": f"{row['log']} #{row['position']}",
        "_version": version and version[:_VERSION_SHOWN],
    }


def _line(row: shapes.Shape) -> str:
    """A row by itself: whoever follows cannot wait for the widest one."""
    return "  ".join(text for column in _COLUMNS if (text := cell(row[column.key]))) + "\n"
