"""`muniment restore`: back to a point, by appending.  First the plan, then a yes, then it is done.

What was appended since the plan was made makes it void: nothing is done then.  A value comes back
without anybody reading it, so whoever restores need not be allowed to get it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from cli import boundary_shapes, shapes
from cli.as_of import At, point
from cli.command import command
from cli.diff import fields
from cli.problems import Usage
from cli.session import Session
from cli.tables import Column, cell, counted, table, visible

if TYPE_CHECKING:
    from vault.answers import RestorePlan, SecretBundle
    from vault.history_commands import PlanRestore
    from vault.service import Vault

_VERSION_SHOWN = 8
LOST, KEPT = "lost", "kept"
_WIDER_SHOWN = 10
_RULES = {"policy": "access policies", "boundary": "boundary"}

_COLUMNS = [
    Column("ACTION", "action"),
    Column("NAME", "name"),
    Column("WHAT", "what"),
    Column("VERSION", "_version"),
    Column("NOTE", "_note"),
]


class Consent(NamedTuple):
    """Whether only to plan, and whether there was a yes beforehand."""

    plan: bool
    yes: bool


@command("restore")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--to", "to", required=True, metavar="POINT", help="2h, a date, #18230, @FILE.")
@click.option("--attributes", is_flag=True, help="Put changed attributes and tags back too.")
@click.option("--policies", is_flag=True, help="Put access policies and boundary back too.")
@click.option("--prune", is_flag=True, help="Delete what was not there; it can be recovered.")
@click.option("--into", metavar="VAULT", help="Make a new vault of it, and change nothing here.")
@click.option("--plan", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(
    session: Session,
    names: tuple[str, ...],
    to: str,
    attributes: bool,
    policies: bool,
    prune: bool,
    into: str | None,
    plan: bool,
    yes: bool,
) -> None:
    """Go back to a point, by new events.

    Deleted secrets come back with all their versions; a changed one gets its old value as a new
    version.  What was purged is named as lost.  The whole vault, or the secrets that are named.
    Storage accounts and their SAS definitions come back as they were, and never an old key.
    """
    consent = Consent(plan, yes)
    if into is not None:
        if names or attributes or policies or prune:
            raise Usage("--into takes the secrets of a whole vault: give only --to beside it")
        _into(session, to, into, consent)
        return
    from msgspec.structs import replace

    from vault.history_commands import PlanRestore, Restore

    with session.vault() as vault:
        asked = PlanRestore(
            to=point(session, to),
            names=names,
            attributes=attributes,
            policies=policies,
            prune=prune,
        )
        planned, at = _planned(session, vault, asked)
        todo = [step for step in planned.steps if step.action not in (LOST, KEPT)]
        if plan or not todo:
            _emit(session, vault, at, planned, done=False)
            return
        if not yes:
            _show(session, _rows(planned))
        _tell_rules(session, planned)
        what = f"{counted(len(todo), 'step')} to bring {vault.name} back to {at}."
        session.terminal.confirm(what, vault.name, yes=yes, planned=True)
        back = Restore(plan=replace(asked, to=at.size), head=planned.head)
        done = vault.handle(session.caller, back)
        _emit(session, vault, at, done, done=True)


def _planned(session: Session, vault: Vault, asked: PlanRestore) -> tuple[RestorePlan, At]:
    planned, points = vault.respond(session.caller, asked)
    at = At(*points["to"])
    session.terminal.note(f"back to {at}")
    return planned, at


# --- telling --------------------------------------------------------------------------------------


def _emit(session: Session, vault: Vault, at: At, plan: RestorePlan, *, done: bool) -> None:
    output = session.output
    if output.for_people and not output.has_query:
        output.emit(_rows(plan), _COLUMNS)
    else:
        steps = [shapes.restore_step(step) for step in plan.steps]
        told = {"vault": vault.name, "to": at.shape, "done": done, "steps": steps}
        output.emit(told | {"stays": list(plan.stays)})
    lost = sum(step.action == LOST for step in plan.steps)
    todo = len(plan.steps) - lost - sum(step.action == KEPT for step in plan.steps)
    counts = counted(todo, "step")
    were = "was" if todo == 1 else "were"
    said = f"{counts} {were} done." if done else f"{counts} to do; nothing was changed."
    if not done:
        _tell_rules(session, plan)
    session.terminal.note(said + (f" {lost:,} lost to a purge." if lost else ""))


def _tell_rules(session: Session, plan: RestorePlan) -> None:
    """Say what would be allowed that is not allowed now, and which rules stay."""
    for step in plan.steps:
        whose = f"{shapes.via(step.name)}: " if step.name else ""
        for told in step.wider[:_WIDER_SHOWN]:
            session.terminal.note(f"WIDER: {whose}{visible(told)}")
        more = len(step.wider) - _WIDER_SHOWN
        if more > 0:
            session.terminal.note(f"WIDER: {whose}and {more:,} more; -o json names them")
    if plan.stays:
        what = " and ".join(_RULES[one] for one in plan.stays)
        session.terminal.note(
            f"The {what} stood otherwise then, and what stands now stays: see --policies."
        )


def _rows(plan: RestorePlan) -> list[shapes.Shape]:
    rows = []
    for step in plan.steps:
        shape = shapes.restore_step(step)
        rows.append(shape | {"_version": step.version[:_VERSION_SHOWN], "_note": _note(shape)})
    return rows


def _note(shape: shapes.Shape) -> str:
    if shape["action"] == LOST:
        return shapes.erased_by(shape["erasedBy"])
    if shape["action"] == "boundary":
        return _boundary_note(shape)
    if shape["action"] == KEPT:
        return f"{cell(shape['after'])} changed since: an old key never comes back"
    if shape["what"] != "secret" and shape["action"] == "attributes":
        return "; ".join(
            f"{name}: {cell(before) or 'none'} -> {cell(shape['after'][name]) or 'none'}"
            for name, before in shape["before"].items()
        )
    if shape["action"] != "policy":
        return ""
    return f"{cell(shape['before']) or 'none'} -> {cell(shape['after']) or 'none'}"


def _boundary_note(shape: shapes.Shape) -> str:
    before, after = shape["before"], shape["after"]
    pairs = ({"name": name, "before": before[name], "after": after[name]} for name in after)
    return "; ".join(fields({"fields": pairs}))


def _show(session: Session, rows: list[shapes.Shape]) -> None:
    """The plan on standard error: what is done then goes to standard output."""
    session.terminal.note(table(rows, _COLUMNS, None).render(lambda text, _: text).rstrip("\n"))


# --- into a new vault -----------------------------------------------------------------------------


def _into(session: Session, to: str, name: str, consent: Consent) -> None:
    from cli.progress import Progress
    from vault.history_commands import PlanRestore
    from vault.rule_commands import ShowBoundary

    with session.store() as store:
        vault = store.vault(session.vault_name())
        # Whoever makes a copy of a vault may read all of it there: that is for administrators, and
        # the vault that is copied records who asked.
        _, at = _planned(session, vault, PlanRestore(to=point(session, to)))
        if consent.plan:
            _plan_into(session, vault, at, name)
            _tell_bounds(session, vault)
            return
        _tell_bounds(session, vault)
        what = f"A new vault {name} is made of {vault.name} as of {at}."
        session.terminal.confirm(what, name, yes=consent.yes, planned=True)
        with Progress("secrets") as progress:
            copied = store.restore_into(session.caller, vault, at.size, name, progress)
        made = store.vault(name)
        boundary = made.handle(session.caller, ShowBoundary())
    session.output.emit(
        {
            "vault": name,
            "from": vault.name,
            "to": at.shape,
            "secrets": copied.secrets,
            "versions": copied.versions,
            "lost": list(copied.lost),
            "boundary": boundary_shapes.summary(boundary_shapes.rules(boundary)),
        }
    )
    session.terminal.note(
        "You are its administrator; policies and storage accounts were not copied."
    )


def _tell_bounds(session: Session, source: Vault) -> None:
    """Say from where the new vault can be reached: never from more places than its source."""
    from vault.rule_commands import ShowBoundary

    shape = boundary_shapes.rules(source.handle(session.caller, ShowBoundary()))
    how = boundary_shapes.summary(shape)
    session.terminal.note(
        f"The new vault is reached from where {source.name} is now, whatever held then: "
        f"public network access {how['publicNetworkAccess']}, default action "
        f"{how['defaultAction']}, {how['rules']}."
    )


def _plan_into(session: Session, vault: Vault, at: At, name: str) -> None:
    from vault.commands import ListSecrets

    listed = vault.handle(session.caller, ListSecrets(as_of=at.size))
    rows = [_would(one) for one in listed if not one.managed]
    session.output.emit(rows, [Column("ACTION", "action"), Column("NAME", "name"), _COLUMNS[4]])
    session.terminal.note(
        f"Nothing was changed; the new vault would be {name}. Storage accounts are not copied."
    )


def _would(one: SecretBundle) -> shapes.Shape:
    if not one.erased:
        return {"action": "copy", "name": one.name}
    return {"action": LOST, "name": one.name, "_note": shapes.erased_by(one.erased_by)}
