"""`--as-of POINT`: any point of a vault's past, in every command that reads.

A point is what `cli.points` reads, or `@FILE`, a signed checkpoint that was kept.  What it resolves
to is told on standard error: the last event that counts, and its time.  As of `#18230` that event
has happened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from cli.session import Session
    from vault.commands import Command
    from vault.points import Point, Resolutions
    from vault.service import Vault

A = TypeVar("A")

as_of_option = click.option(
    "--as-of", metavar="POINT", help="As it stood then: 2h, a date, #18230, @CHECKPOINT-FILE."
)


class At(NamedTuple):
    """A point as it was resolved: how many events had happened, and when the last of them did."""

    size: int
    time: int

    def __str__(self) -> str:
        from cli.moments import rfc3339

        if not self.size:
            return "before the first event"
        return f"#{self.size - 1}, {rfc3339(self.time)}"

    @property
    def shape(self) -> dict[str, Any]:
        from cli.moments import rfc3339

        if not self.size:
            return {"position": None, "time": None}
        return {"position": self.size - 1, "time": rfc3339(self.time)}


class Then:
    """A point of which one thing or several are asked: told once, and the same for all of them.

    What it is, the vault says beside its first answer; it tells nobody whom it does not answer.
    """

    def __init__(self, session: Session, vault: Vault, text: str) -> None:
        self._session = session
        self._vault = vault
        self._point: Point = point(session, text)
        self._told = False

    def ask(self, command: Command[A]) -> A:
        """The answer as of the point.  Raise PositionUnknown, what a checkpoint does, or refusals."""
        from msgspec.structs import replace

        asked = replace(command, as_of=self._point)
        answer, points = self._vault.respond(self._session.caller, asked)
        at = At(*points["as_of"])
        if not self._told:
            self._session.terminal.note(f"as of {at}")
        self._point, self._told = at.size, True
        return answer


def tell_period(session: Session, points: Resolutions) -> None:
    """Say where and when a period began and ended, as far as it was asked for."""
    for flag, name in (("--from", "since"), ("--to", "until")):
        if name in points:
            session.terminal.note(f"{flag} {At(*points[name])}")


def maybe_point(session: Session, text: str | None) -> Point | None:
    return None if text is None else point(session, text)


def point(session: Session, text: str) -> Point:
    """The point that *text* names.  Raise PointInvalid, or FileUnusable."""
    from cli.points import past
    from vault.points import AfterEvent, AtTime, Now

    if text.startswith("@"):
        return checkpoint_in(text[1:])
    if text.strip() == "now":
        return Now()
    found = past(text, session.now)
    if found.position is not None:
        return AfterEvent(found.position)
    assert found.time is not None
    return AtTime(found.time)


def checkpoint_in(file: str) -> Point:
    """The point that a kept checkpoint fixes.  Raise CheckpointFileMissing or FileUnusable."""
    from vault.points import AtCheckpoint

    return AtCheckpoint(_note(file))


def _note(file: str) -> str:
    from cli.problems import CheckpointFileMissing, FileUnusable
    from eventstore.errors import CheckpointMalformed

    try:
        return Path(file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CheckpointFileMissing(f"there is no file {file}") from None
    except OSError as error:
        raise FileUnusable(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CheckpointMalformed(f"{file} is not a signed checkpoint") from None
