"""`muniment audit grant` and `audit grants`: a period of the history for an auditor, no value in it."""

from __future__ import annotations

from pathlib import Path

import click

from cli import shapes
from cli.anchors import text_of
from cli.as_of import point
from cli.command import command
from cli.moments import rfc3339
from cli.secret_values import refuse_existing
from cli.session import Session
from cli.shapes import Shape
from cli.tables import Column, counted
from cli.values import write_private

_NAMED = 8

_COLUMNS = [
    Column("EVENT", "_event"),
    Column("TIME", "time"),
    Column("FROM", "from"),
    Column("TO", "to"),
    Column("AUDITOR", "_auditor"),
    Column("LABEL", "label"),
    Column("BY", "by"),
    Column("GRANT", "grant"),
]


@command("grant")
@click.argument("public_key", metavar="PUBLIC-KEY|FILE")
@click.option("--from", "start", required=True, metavar="POINT", help="From here on: 90d, a date.")
@click.option("--to", "stop", required=True, metavar="POINT", help="Before this; at most now.")
@click.option("--label", default="", metavar="TEXT", help="What it is for; the auditor sees it.")
@click.option("--out", metavar="FILE", help="The file for the auditor [its id + .grant].")
@click.option("--yes", is_flag=True, help="Replace the file.")
def grant(
    session: Session,
    public_key: str,
    start: str,
    stop: str,
    label: str,
    out: str | None,
    yes: bool,
) -> None:
    """Let an auditor read a period, without values.

    FILE opens every record of both logs in the period to the auditor's private key: who did what,
    when, to which name and version.  It opens no value, content type or tag, and nothing before or
    after.  It is recorded before FILE is written.  It cannot be taken back.
    """
    from eventstore import auditor
    from vault.history_commands import GrantAudit

    if out is not None:
        refuse_existing(out, yes=yes)
    text = text_of(public_key) if Path(public_key).is_file() else public_key
    asked = GrantAudit(
        auditor=auditor.from_text(text),
        since=point(session, start),
        until=point(session, stop),
        label=label,
    )
    _, granted = session.ask(asked)
    file = out or f"{granted.grant[:_NAMED]}.grant"
    write_private(file, [granted.file], replace=yes)
    session.output.emit(
        {
            "access": list(granted.access),
            "auditor": granted.auditor,
            "changes": list(granted.changes),
            "file": file,
            "from": rfc3339(granted.start),
            "grant": granted.grant,
            "label": granted.label or None,
            "position": granted.position,
            "to": rfc3339(granted.stop),
        }
    )
    count = sum(last - first for first, last in (granted.changes, granted.access))
    session.terminal.note(
        f"{counted(count, 'record')} of both logs can be read with it, for ever: a grant cannot be "
        "taken back. Compare the auditor's fingerprint before you hand it out."
    )


@command("grants")
def grants(session: Session) -> None:
    """List what was granted to auditors.

    From the log: to which key, for which period, when and by whom.  The AUDITOR is the beginning of
    the key's fingerprint.
    """
    from vault.history_commands import ReadHistory

    asked = ReadHistory(logs=("changes",), operation="audit.granted", outcome="ok")
    _, found = session.ask(asked)
    rows = [_row(shapes.history(item)) for item in found]
    if not session.output.for_people or session.output.has_query:
        rows = [{key: row[key] for key in row if not key.startswith("_")} for row in rows]
    session.output.emit(rows, _COLUMNS)
    session.terminal.note(
        "None of them can be taken back; each opens its period to its key and nothing else."
        if rows
        else "Nothing was ever granted to an auditor."
    )


def _row(record: Shape) -> Shape:
    told = record["details"]
    return {
        "position": record["position"],
        "time": record["time"],
        "by": record["principal"],
        "grant": told["grant"],
        "auditor": told["auditor"],
        "label": told.get("label"),
        "from": rfc3339(told["start"]),
        "to": rfc3339(told["stop"]),
        "changes": list(told["changes"]),
        "access": list(told["access"]),
        "_event": f"#{record['position']}",
        "_auditor": told["auditor"][:_NAMED],
    }
