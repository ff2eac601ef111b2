"""`muniment checkpoint show`: the signed note that fixes a log's history up to now.

Kept outside the store, it is what `muniment verify --against` checks that history still extends.
"""

from __future__ import annotations

import click

from cli import shapes
from cli.command import command
from cli.session import Session


@command("show")
@click.option(
    "--log", type=click.Choice(("changes", "access")), default="changes", help="[changes]"
)
def show(session: Session, log: str) -> None:
    """Print the signed checkpoint of a log.

    It is a C2SP tlog-checkpoint in a signed-note, which other tools read as well.
    """
    from eventstore.checkpoint import parse_checkpoint
    from vault.commands import ShowVault

    _, facts = session.ask(ShowVault())
    note = facts.checkpoints[log]
    session.output.raw(note, shapes.checkpoint(log, parse_checkpoint(note)))
