"""Questions after a leak: `who-read`, `exposure`, `who-could`, `blame`.  Never a value."""

from __future__ import annotations

import click

from cli import shapes
from cli.as_of import as_of_option, maybe_point, tell_period
from cli.command import command
from cli.reference import Reference
from cli.secret_options import secret_argument
from cli.session import Session
from cli.tables import SECONDS, WHOLE, Column, counted

_VERSION_SHOWN = 8

_READS = [
    Column("RECORD", "_record", WHOLE),
    Column("TIME", "time", SECONDS),
    Column("PRINCIPAL", "principal"),
    Column("HOW", "how"),
    Column("VERSION", "_version"),
    Column("RULE", "rule"),
    Column("ADDRESS", "address"),
    Column("AS OF", "_asOf"),
]
_EXPOSED = [
    Column("STATUS", "status"),
    Column("NAME", "name"),
    Column("VERSION", "_version"),
    Column("HOW", "how"),
    Column("TIMES", "count"),
    Column("FIRST", "firstTime"),
    Column("LAST", "lastTime"),
]
_COULD = [
    Column("PRINCIPAL", "principal"),
    Column("PERMISSIONS", "permissions"),
    Column("FROM", "_from"),
    Column("RULE", "rule"),
    Column("EVENT", "_event"),
]
_BLAME = [
    Column("ATTRIBUTE", "attribute"),
    Column("VALUE", "_value"),
    Column("EVENT", "_event"),
    Column("OPERATION", "operation"),
    Column("PRINCIPAL", "principal"),
    Column("TIME", "time"),
]


@command("who-read")
@secret_argument(versions=True, unsaid="all", bare_version=True)
@click.option("--from", "start", metavar="POINT", help="From here on: 2h, a date, #18230, @FILE.")
@click.option("--to", "stop", metavar="POINT", help="Before this.")
def who_read(session: Session, secret: Reference, start: str | None, stop: str | None) -> None:
    """Show every time that a secret's value was given out.

    To whom, how, which version, when, and by which rule.  A backup blob holds all versions of the
    secret, and a copy of the vault (restore --into) those of all secrets.  An auditor who was granted
    a period got metadata only, and no value.
    """
    from vault.history_commands import WhoRead

    with session.vault(secret.vault) as vault:
        asked = WhoRead(
            name=secret.name,
            version=secret.version,
            since=maybe_point(session, start),
            until=maybe_point(session, stop),
        )
        facts, points = vault.respond(session.caller, asked)
    tell_period(session, points)
    _emit(session, [shapes.read(fact) for fact in facts], _READS)


@command("exposure")
@click.argument("who", metavar="PRINCIPAL")
def exposure(session: Session, who: str) -> None:
    """Show every version that a principal was ever given.

    By a read, in a backup blob, or with a copy of the vault.
    Those that are still current stand first: after a leak they are what to rotate.
    """
    from vault.history_commands import Exposed

    _, facts = session.ask(Exposed(principal=who))
    _emit(session, [shapes.exposure(fact) for fact in facts], _EXPOSED)
    if not facts:
        session.terminal.note(f"No version was ever given to {who}, spelt exactly so.")
        return
    valid = [fact for fact in facts if fact.status == "valid"]
    for name, key_name in sorted({(fact.name, fact.key_name) for fact in valid}):
        session.terminal.note(f"Tokens of {name} are still good: {key_name} signed them.")
    facts = [fact for fact in facts if not fact.key_name]
    if not facts:
        return
    current = sum(fact.status == "current" for fact in facts)
    session.terminal.note(
        f"{current:,} of {counted(len(facts), 'version')} {'is' if len(facts) == 1 else 'are'} still "
        + ("current: they are what to rotate." if current > 1 else "")
        + ("current: it is what to rotate." if current == 1 else "")
        + ("" if current else "current.")
    )


@command("who-could")
@secret_argument(versions=False)
@click.option("--permission", metavar="WORD", default="", help="Only who could do this: get.")
@click.option("--as-of", "--at", metavar="POINT", help="By the rules of then: 2h, #18230 [now].")
def who_could(session: Session, secret: Reference, permission: str, as_of: str | None) -> None:
    """Show who could do what with a secret, and from where.

    By the policies and the boundary as they stood, each with the event that let it.  Who opens the
    store itself comes over no network: the boundary is not asked then.
    """
    from vault.history_commands import WhoCould

    asked = WhoCould(name=secret.name, permission=permission)
    _, facts = session.ask(asked, secret.vault, as_of=as_of)
    found = [shapes.could(fact) for fact in facts]
    if session.output.for_people and not session.output.has_query:
        found = [_could_row(shape) for shape in found]
    _emit(session, found, _COULD)


@command("blame")
@secret_argument(versions=True)
@as_of_option
def blame(session: Session, secret: Reference, as_of: str | None) -> None:
    """Show which event made each attribute what it is.

    Of the newest version, or of the one that --version names.  With --as-of, what it was then.
    """
    from vault.history_commands import Blame

    asked = Blame(name=secret.name, version=secret.version)
    _, facts = session.ask(asked, secret.vault, as_of=as_of)
    _emit(session, [shapes.blame(fact) for fact in facts], _BLAME)


def _which(shape: shapes.Shape) -> str:
    """The version, or of a token the key that signed it."""
    if "keyName" in shape:
        return f"{shape['keyName']}, {shape['expires']}"
    return str(shape.get("version") or "all")[:_VERSION_SHOWN]


def _emit(session: Session, found: list[shapes.Shape], columns: list[Column]) -> None:
    if session.output.for_people and not session.output.has_query:
        found = [_row(shape) for shape in found]
    session.output.emit(found, columns, paged=session.paged)


def _could_row(shape: shapes.Shape) -> shapes.Shape:
    from cli.boundary_shapes import few

    client = shape["application"]
    return shape | {
        "principal": f"{shape['principal']} via {client}" if client else shape["principal"],
        "_from": few(shape["from"]) or "no network",
    }


def _row(shape: shapes.Shape) -> shapes.Shape:
    position, as_of = shape.get("position"), shape.get("asOf")
    return shape | {
        "_record": f"{shape.get('log')} #{position}",
        "_event": f"#{position}",
        "_version": _which(shape),
        "_asOf": None if as_of is None else f"#{as_of}",
        "_value": (
            shapes.erased_by(shape["erasedBy"]) if "erasedBy" in shape else shape.get("value")
        ),
    }
