"""`muniment log`: what happened, who asked, and who was refused.  Never a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from cli import shapes
from cli.command import command
from cli.points import Point, past
from cli.session import Session
from cli.tables import Column

if TYPE_CHECKING:
    from vault.answers import HistoryItem

REFUSED = "refused"
_VERSION_SHOWN = 8

_COLUMNS = [
    Column("RECORD", "_record"),
    Column("TIME", "time"),
    Column("OPERATION", "operation"),
    Column("PRINCIPAL", "principal"),
    Column("NAME", "name"),
    Column("VERSION", "_version"),
    Column("OUTCOME", "outcome"),
]


@command("log")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--operation", metavar="WORD", default="", help="Only this, e.g. secret.read.")
@click.option("--principal", "who", metavar="PRINCIPAL", default="", help="Only what they asked.")
@click.option("--outcome", metavar="WORD", default="", help="ok, refused, or an error's code.")
@click.option("--from", "start", metavar="POINT", help="From here on: 2h, a date, #18230.")
@click.option("--to", "stop", metavar="POINT", help="Before this.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="The newest N of them.")
@click.option("--log", type=click.Choice(("changes", "access")), help="Only this log [both].")
def log(
    session: Session,
    name: str | None,
    operation: str,
    who: str,
    outcome: str,
    start: str | None,
    stop: str | None,
    last: int | None,
    log: str | None,
) -> None:
    """Show what happened, who asked, and who was refused.

    Both logs are shown, oldest first.  A position after # is one of `changes`; of `access` it
    selects what was answered at or after it.
    """
    from vault.commands import ReadHistory

    since, until = _point(session, "--from", start), _point(session, "--to", stop)
    here = _Window(since, until, outcome == REFUSED)
    asked = ReadHistory(
        name=name or "",
        logs=(log,) if log else ("changes", "access"),
        start=since.time or 0 if since else 0,
        stop=until.time if until else None,
        operation=operation,
        principal=who,
        outcome="" if outcome == REFUSED else outcome,
        newest=None if here.filters else last,
    )
    _, found = session.ask(asked)
    kept = list(here.select(found))
    rows = [shapes.history(item) for item in (kept[-last:] if last else kept)]
    if session.output.for_people and not session.output.has_query:
        rows = [_row(session, row) for row in rows]
    session.output.emit(rows, _COLUMNS, paged=session.paged)


class _Window:
    """What the vault's own filters cannot say: positions, and all refusals at once."""

    def __init__(self, since: Point | None, until: Point | None, refused: bool) -> None:
        self._first = since.position if since else None
        self._end = until.position if until else None
        self._refused = refused

    @property
    def filters(self) -> bool:
        return self._refused or self._first is not None or self._end is not None

    def select(self, items: Iterable[HistoryItem]) -> Iterable[HistoryItem]:
        return (item for item in items if self._fits(item))

    def _fits(self, item: HistoryItem) -> bool:
        at = item.position if item.log == "changes" else item.at
        return (
            (self._first is None or (at is not None and at >= self._first))
            and (self._end is None or (at is not None and at < self._end))
            and (not self._refused or item.outcome != "ok")
        )


def _point(session: Session, flag: str, text: str | None) -> Point | None:
    if text is None:
        return None
    point = past(text, session.now)
    session.terminal.note(f"{flag} {point}")
    return point


def _row(session: Session, row: shapes.Shape) -> shapes.Shape:
    version = row["version"]
    return row | {
        "_record": f"{row['log']} #{row['position']}",
        "_version": version and version[:_VERSION_SHOWN],
    }
