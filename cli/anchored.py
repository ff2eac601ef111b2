"""Between which two moments a record came, as output tells it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cli.moments import rfc3339
from cli.shapes import Shape

if TYPE_CHECKING:
    from eventstore.bracket import Brackets, Seen
    from eventstore.trust import Trust


def brackets_of(trust: Trust, directory: Path) -> Brackets:
    """What is believed of the anchors of the log in *directory*."""
    from eventstore.anchors import kept

    return trust.brackets(kept(directory))


def bracket(brackets: Brackets, position: int) -> Shape:
    """Both sides of the record at *position*; a side that nobody vouches for is null."""
    after, before = brackets.of(position)
    return {"after": _side(after), "before": _side(before)}


def _side(seen: Seen | None) -> Shape | None:
    if seen is None:
        return None
    return {"records": seen.size, "source": seen.source, "time": rfc3339(seen.time)}


def told(shape: Shape) -> str:
    """A bracket in words."""
    sides = [_words("after", shape["after"]), _words("before", shape["before"])]
    return ", ".join(side for side in sides if side) or "nobody who is believed saw it yet"


def _words(word: str, side: Shape | None) -> str:
    return "" if side is None else f"{word} {side['time']} ({side['source']})"
