"""`muniment rebuild`: drop the views, fold the log again, and say whether they were right."""

from __future__ import annotations

import click

from cli.command import command
from cli.progress import Progress
from cli.session import Session


@command("rebuild")
@click.option("--plan", is_flag=True, help="Show what would be folded, and change nothing.")
def rebuild(session: Session, plan: bool) -> None:
    """Make the views anew from the log, and compare.

    Views hold nothing that the log does not; if they differed from it, they are right afterwards,
    and this says so.
    """
    from vault.rule_commands import ShowVault

    with session.vault() as vault:
        if plan:
            facts = vault.handle(session.caller, ShowVault())
            session.output.emit({"events": facts.changes + facts.access, "vault": vault.name})
            return
        with Progress("events") as progress:
            made = vault.rebuild(progress)
        name = vault.name
    were_right = made.before == made.after
    session.output.emit(
        {
            "after": made.after.hex(),
            "before": made.before.hex(),
            "events": made.events,
            "seconds": round(made.seconds, 3),
            "vault": name,
            "viewsWereRight": were_right,
        }
    )
    if not were_right:
        session.terminal.note("The views did not say what the log says; now they do.")
