"""`muniment checkpoint`: the signed notes that fix a log's history, and where they are kept.

Kept outside the store, a checkpoint is what `muniment verify --against` checks that history still
extends.  Each account keeps the newest that it has seen; `publish` gives them to others.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import shapes
from cli.command import command
from cli.places import LOGS, directories, one_log, public
from cli.problems import FileInTheWay, FileUnusable, NotPublished, Usage
from cli.session import Session
from cli.shapes import Shape
from cli.tables import Column

if TYPE_CHECKING:
    from eventstore.export import PublicLog

_COLUMNS = [
    Column("LOG", "log"),
    Column("RECORDS", "size"),
    Column("BEFORE", "before"),
    Column("FILE", "file"),
    Column("COMMIT", "commit"),
]


@command("show")
@one_log
def show(session: Session, log: str) -> None:
    """Print the signed checkpoint of a log.

    It is a C2SP tlog-checkpoint in a signed-note, which other tools read as well.
    """
    from eventstore.checkpoint import parse_checkpoint
    from vault.rule_commands import ShowVault

    _, facts = session.ask(ShowVault())
    note = facts.checkpoints[log]
    session.output.raw(note, shapes.checkpoint(log, parse_checkpoint(note)))


@command("publish", trusting=True)
@click.argument("place", metavar="[DIR|FILE]", required=False)
@click.option("--log", type=click.Choice(LOGS), help="Only this log [in a DIR, both].")
@click.option("--tsa", multiple=True, metavar="URL", help="Ask for a time stamp; repeatable.")
@click.option("--ca", metavar="FILE", help="Whom to trust for --policy's and --tsa's hosts.")
def publish(
    session: Session, place: str | None, log: str | None, tsa: tuple[str, ...], ca: str | None
) -> None:
    """Write the signed checkpoints to where others keep them, or let others sign them.

    A DIR gets a file for each log, named after its origin; in a git work tree they are committed.
    What stands there is replaced only by a checkpoint that extends it: exit status 20 if the log
    does not.  That takes no key.

    Without a DIR or FILE, the witnesses of --policy and the authorities of --tsa are asked, and what
    they say is kept beside the log.  A witness that knows another history: exit status 20.
    """
    if place is None:
        from cli.publish import publish_outside

        kinds = LOGS if log is None else (log,)
        publish_outside(session, kinds, tsa, None if ca is None else Path(ca))
        return
    if tsa or ca is not None:
        raise Usage("--tsa and --ca go without a DIR or FILE: what others say is kept in the store")
    _publish_in(session, place, log)


def _publish_in(session: Session, place: str, log: str | None) -> None:
    from cli.work_tree import commit

    target = Path(place).expanduser()
    wanted = log or (None if target.is_dir() else "changes")
    published, files = [], []
    found = directories(session, wanted)
    if len(found) > 1 and not target.is_dir():
        raise NotPublished(f"there are {len(found)} logs to publish, and {place} is one file")
    for directory in found:
        with public(session, directory) as opened:
            file = target / _file_name(opened) if target.is_dir() else target
            published.append(_put(opened, file))
            files.append(file)
    revision = commit(target, files, _message(published))
    for shape in published:
        shape["commit"] = revision
        _remember(session, shape)
    session.output.emit(published, _COLUMNS)


def _file_name(log: PublicLog) -> str:
    return f"{log.identity.origin.replace('/', '_')}.checkpoint"


def _put(log: PublicLog, file: Path) -> Shape:
    from eventstore.errors import CheckpointMalformed
    from eventstore.export import read_published, replace_file

    checkpoint = log.checkpoint
    try:
        standing = read_published(file)
        if standing is not None:
            log.check_extends(standing)
        # Who stands there with the same root may carry the signatures of witnesses.
        if standing is None or standing.text != checkpoint.text:
            replace_file(file, checkpoint.note.encode())
    except CheckpointMalformed:
        raise FileInTheWay(f"{file} is not a checkpoint") from None
    except OSError as error:
        raise FileUnusable(f"{file}: {error.strerror}") from None
    shape = shapes.checkpoint(log.identity.kind_name, checkpoint)
    return shape | {"before": standing.size if standing else None, "file": str(file)}


def _message(published: list[Shape]) -> str:
    lines = [f"{shape['origin']} at {shape['size']}" for shape in published]
    return "muniment: " + (lines[0] if len(lines) == 1 else "checkpoints\n\n" + "\n".join(lines))


def _remember(session: Session, shape: Shape) -> None:
    from cli.kept import PUBLISHED

    try:
        session.kept.keep(shape["origin"], shape["size"], shape["note"], PUBLISHED)
    except OSError as error:
        session.note_unkept(error)


@command("forget")
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(session: Session, yes: bool) -> None:
    """Accept a vault as it is now, whatever was seen of it.

    For a copy that was put back on purpose.  Vaults that were seen in the store and are gone are
    not missed any more.  What others keep, and what was published, still speaks against it.
    """
    with session.unchecked_store() as store:
        vault = store.vault(session.vault_name())
        logs = (vault.changes, vault.access)
        origins = [log.identity.origin for log in logs]
        seen = [session.kept.newest(origin) for origin in origins]
        shown = [
            {"log": log.identity.kind_name, "seen": one.size if one else None, "size": size}
            for log, one, size in zip(logs, seen, (log.head().size for log in logs), strict=True)
        ]
        what = f"What this account has seen of {vault.name} will not be held against it any more."
        session.terminal.confirm(what, vault.name, yes=yes)
        try:
            for origin in origins:
                session.kept.forget(origin)
            session.kept.forget_vaults(store.configuration.store_id, but=store.vault_ids())
        except OSError as error:
            raise FileUnusable(f"{session.kept.place}: {error.strerror}") from None
    session.output.emit(
        shown, [Column("LOG", "log"), Column("SEEN", "seen"), Column("RECORDS", "size")]
    )
