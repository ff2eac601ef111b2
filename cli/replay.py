"""`muniment replay`: a period retold, operation by operation, with what each changed.  No value.

At once, at a multiple of the speed at which it happened, or step by step at a terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cli import shapes
from cli.as_of import maybe_point, tell_period
from cli.command import command
from cli.diff import fields
from cli.problems import Usage
from cli.session import Session
from cli.tables import visible

if TYPE_CHECKING:
    from vault.answers import ReplayStep

_VERSION_SHOWN = 8


@command("replay")
@click.option("--from", "start", metavar="POINT", help="From here on: 2h, a date, #18230, @FILE.")
@click.option("--to", "stop", metavar="POINT", help="Before this.")
@click.option("--principal", "who", metavar="PRINCIPAL", default="", help="Only what they asked.")
@click.option("--name", metavar="NAME", default="", help="Only what concerns this secret.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="N times as fast as it happened [at once].",
)
@click.option("--step", is_flag=True, help="Wait for Enter after each; q ends it.")
def replay(
    session: Session,
    start: str | None,
    stop: str | None,
    who: str,
    name: str,
    speed: float | None,
    step: bool,
) -> None:
    """Retell what happened, with the state before and after.

    Both logs, oldest first.  Values are not shown: only whether they became other ones.
    """
    from vault.history_commands import Replay

    if step and speed is not None:
        raise Usage("give --speed or --step, not both")
    if step and not session.terminal.answers:
        raise Usage("--step waits for Enter, and there is no terminal")
    output = session.output
    paced = step or speed is not None
    if paced and (output.has_query or output.form in ("json", "tsv")):
        raise Usage("--speed and --step tell a table or jsonl, one by one, without --query")
    with session.vault() as vault:
        asked = Replay(
            name=name,
            principal=who,
            since=maybe_point(session, start),
            until=maybe_point(session, stop),
        )
        steps, points = vault.retell(session.caller, asked)
        tell_period(session, points)
        if paced:
            _tell_paced(session, steps, speed, step)
        else:
            told = map(shapes.replay_step, steps)
            output.emit_each(told, text=_text, paged=session.paged)


def _tell_paced(
    session: Session, steps: Iterator[ReplayStep], speed: float | None, step: bool
) -> None:
    one = next(steps, None)
    while one is not None:
        session.output.emit_each([shapes.replay_step(one)], text=_text)
        sys.stdout.flush()
        after = next(steps, None)
        if step and after is not None and _asked_to_end():
            return
        if speed is not None and after is not None:
            time.sleep((after.item.time - one.item.time) / 1_000_000 / speed)
        one = after


def _asked_to_end() -> bool:
    line = sys.stdin.readline()
    return not line or line.strip().lower() == "q"


def _text(shape: shapes.Shape) -> str:
    """A line that says who did what, and below it what that changed."""
    words = (
        shape["time"],
        f"{shape['log']} #{shape['position']}",
        shape["principal"],
        shape["operation"],
        shape["name"],
        (shape["version"] or "")[:_VERSION_SHOWN],
        "" if shape["outcome"] == "ok" else f"refused: {shape['outcome']}",
    )
    lines = ["  ".join(visible(word) for word in words if word)]
    for one in shape["changed"]:
        lines += [f"    {visible(text)}" for text in _changes(one)]
    return "".join(line + "\n" for line in lines)


def _changes(shape: shapes.Shape) -> Iterator[str]:
    thing = f"{shape['what']} {shape['name']}".rstrip()
    yield f"{thing}: {', '.join(shape['kinds'])}"
    before, after = shape["before"], shape["after"]
    if before != after:
        sides = [(side or "none")[:_VERSION_SHOWN] for side in (before, after)]
        yield f"  version: {sides[0]} -> {sides[1]}"
    if shape["value"]:
        yield f"  value: {shape['value']}"
    for text in fields(shape):
        yield f"  {text}"
