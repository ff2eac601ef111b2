"""`secret import`: many secrets from one file, all of them or none."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli.command import command
from cli.import_formats import FORMATS, Failed, read, text_of
from cli.import_items import Planned, check_fits, commits, located, plan
from cli.problems import ImportIncomplete, ServerDenied, ServerRefused
from cli.progress import Progress
from cli.session import Door, Session
from cli.tables import Column, counted
from cli.values import read_bytes
from eventstore.errors import MunimentError

Outcome = tuple[list[dict[str, str]], list[Failed]]
"""What was set, and what could not be."""

_PLAN = [Column("NAME", "name"), Column("FROM", "from"), Column("BYTES", "bytes")]
_DONE = [Column("NAME", "name"), Column("VERSION", "version")]


@command("import", remote=True)
@click.argument("file", metavar="FILE|-")
@click.option("--format", "form", type=click.Choice(FORMATS), help="[found out]")
@click.option("--prefix", default="", metavar="TEXT", help="Put before each name.")
@click.option("--keep-going", is_flag=True, help="Import what can be; name what cannot.")
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be set; change nothing.")
def import_secrets(
    session: Session, file: str, form: str | None, prefix: str, keep_going: bool, only_plan: bool
) -> None:
    """Set many secrets from a file.

    FILE is .env, a JSON object of names and values, or what `az keyvault secret show` or
    `vault kv get -format=json` printed.  Underscores become hyphens: DATABASE_URL is set as
    DATABASE-URL.  Each secret is an event of its own, and all are one commit: all or none.  A
    server takes them one by one, so there a refusal leaves those before it set.
    """
    planned, failed = plan(read(text_of(read_bytes(file)), form), prefix)
    if not keep_going:
        if failed:
            raise located(failed[0])
        if session.url is None:
            check_fits(planned)
    if only_plan:
        _show_plan(session, planned)
    else:
        failed = failed + _import(session, planned, keep_going)
    for one in failed:
        session.terminal.note(f"not imported: {located(one).message}")
    if failed:
        raise ImportIncomplete(
            f"{len(failed):,} of {len(planned) + len(failed):,} cannot be imported"
            if only_plan
            else f"{len(failed):,} were not imported"
        )


def _show_plan(session: Session, planned: Sequence[Planned]) -> None:
    rows = [{"bytes": one.size, "from": one.where, "name": one.asked.name} for one in planned]
    session.output.emit(rows, _PLAN)
    if session.url is None:
        how = counted(sum(1 for _ in commits(planned)), "commit")
    else:
        how = counted(len(planned), "request")
    session.terminal.note(f"{len(planned):,} would be set in {how}; nothing was.")


def _import(session: Session, planned: Sequence[Planned], keep_going: bool) -> list[Failed]:
    done: list[dict[str, str]] = []
    failed: list[Failed] = []
    if planned:
        # A server takes one at a time.
        parts = commits(planned) if session.url is None else ([one] for one in planned)
        try:
            with session.door() as door, Progress("secrets") as progress:
                for number, part in enumerate(parts, 1):
                    made, refused = _commit(session, door, part, number, keep_going)
                    done += made
                    failed += refused
                    progress(len(done) + len(failed), len(planned))
        except MunimentError:
            if done:
                _tell(session, done)
            raise
    _tell(session, done)
    return failed


def _tell(session: Session, done: list[dict[str, str]]) -> None:
    session.output.emit(done, _DONE)
    session.terminal.note(
        f"{counted(len(done), 'secret')} {'was' if len(done) == 1 else 'were'} set."
    )


def _commit(
    session: Session, door: Door, part: Sequence[Planned], number: int, keep_going: bool
) -> Outcome:
    """Set *part* in one commit; if it is refused and *keep_going* says so, one by one."""
    from vault.commands import ImportSecrets
    from vault.refusals import AccessDenied, VaultError

    # Each commit is a request of its own: the second must not be taken for a repeat of the first.
    request = f"{session.request}/{number}" if session.request and number > 1 else session.request
    if session.url is not None:
        return _one(session, door, part[0], request, keep_going)
    asked = ImportSecrets(items=tuple(one.asked for one in part))
    try:
        answer = door.handle(session.caller_for(request), asked)
    except AccessDenied:
        raise
    except VaultError:
        if not keep_going:
            raise
        return _one_by_one(session, door, part, request)
    return [{"name": name, "version": version} for name, version in answer.items], []


def _one_by_one(session: Session, door: Door, part: Sequence[Planned], request: str) -> Outcome:
    done: list[dict[str, str]] = []
    failed: list[Failed] = []
    for number, one in enumerate(part, 1):
        made, refused = _one(session, door, one, f"{request}.{number}" if request else "", True)
        done += made
        failed += refused
    return done, failed


def _one(session: Session, door: Door, one: Planned, request: str, keep_going: bool) -> Outcome:
    from vault.refusals import AccessDenied, VaultError

    try:
        answer = door.handle(session.caller_for(request), one.asked)
    except (AccessDenied, ServerDenied):
        raise
    except (VaultError, ServerRefused) as error:
        failed = Failed(one.where, error)
        if not keep_going:
            raise located(failed) from None
        return [], [failed]
    return [{"name": answer.name, "version": answer.version}], []
