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
    from vault.points import Point
    from vault.service import Vault

C = TypeVar("C", bound="Command[Any]")

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


def resolve(session: Session, vault: Vault, text: str) -> At:
    """What *text* is in *vault*.  Raise PointInvalid, PositionUnknown, or what a checkpoint does."""
    return At(*vault.resolve(_point(session, vault, text)))


def point(session: Session, vault: Vault, text: str) -> At:
    """What *text* is, told; and a point at which there was a vault.  Raise as `resolve`."""
    from eventstore.errors import PositionUnknown

    at = resolve(session, vault, text)
    if not at.size:
        raise PositionUnknown(f"the vault {vault.name} did not exist yet")
    session.terminal.note(f"as of {at}")
    return at


def placed(session: Session, vault: Vault, command: C, text: str) -> C:
    """*command* as of the point *text*."""
    from msgspec.structs import replace

    return replace(command, as_of=point(session, vault, text).size)


def moment(session: Session, vault: Vault, flag: str, text: str) -> int:
    """The time that *text* means, told for *flag*; of an event, its own.  Raise as `resolve`."""
    from cli.moments import rfc3339
    from vault.points import AtTime

    found = _point(session, vault, text)
    time = found.time if isinstance(found, AtTime) else vault.resolve(found).time
    session.terminal.note(f"{flag} {rfc3339(time)}")
    return time


def _point(session: Session, vault: Vault, text: str) -> Point:
    from cli.points import past
    from vault.points import AfterEvent, AtCheckpoint, AtTime

    if text.startswith("@"):
        return AtCheckpoint(_note(text[1:]))
    if text.strip() == "now":
        # A clock that stepped back must not hide the newest events.
        return AfterEvent(vault.changes.head().size - 1)
    point = past(text, session.now)
    if point.position is not None:
        return AfterEvent(point.position)
    assert point.time is not None
    return AtTime(point.time)


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
