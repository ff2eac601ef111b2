"""Rows and facts as text for people.  Pure; the width and the painter are given.

A cell never carries a control character to the terminal: what is stored must not be able to move
the cursor.  Where there is a width the widest column gives way first, and a cut is shown; without
one nothing is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

Paint = Callable[[str, str], str]
"""(text, style) to painted text."""

MEASURED = 500
"""How many rows of a long table say how wide its columns are."""

_GAP = "  "
_NARROWEST = 6
WHOLE = 10_000
"""For `Column.least`: never cut."""

SECONDS = 20
"""For `Column.least`: a time down to its second."""

_CUT = "\N{HORIZONTAL ELLIPSIS}"


class Column(NamedTuple):
    """A heading, and the key of a row that stands under it.

    However narrow the terminal, *least* characters of each cell are shown: what names a thing is of
    no use in part.
    """

    heading: str
    key: str
    least: int = 0


DELETED = [
    Column("NAME", "name"),
    Column("DELETED", "deletedDate"),
    Column("PURGED AFTER", "scheduledPurgeDate"),
]
"""Of a list of what may be recovered or purged."""


def table(rows: Sequence[dict[str, object]], columns: Sequence[Column], width: int | None) -> Table:
    cells = [[cell(row.get(column.key)) for column in columns] for row in rows]
    headings = [column.heading for column in columns]
    sizes = [max(map(shown_width, texts)) for texts in zip(headings, *cells, strict=True)]
    fitted = _fitted(sizes, columns, width)
    narrowed = [size < wanted for size, wanted in zip(fitted, sizes, strict=True)]
    return Table(headings, cells, fitted, narrowed)


def table_lines(
    rows: Iterable[dict[str, object]], columns: Sequence[Column], width: int | None, paint: Paint
) -> Iterator[str]:
    """A table line by line, however long; its first rows say how wide the columns are.

    A later cell is cut where the column had to give way, and else takes the room that it needs.
    """
    rest = iter(rows)
    measured = list(islice(rest, MEASURED))
    if not measured:
        return
    first = table(measured, columns, width)
    yield from first.lines(paint)
    for row in rest:
        yield first.line([cell(row.get(column.key)) for column in columns], overflow=True)


class Table(NamedTuple):
    """Cells, the width of each column, and which of them were made narrower than their cells."""

    headings: list[str]
    cells: list[list[str]]
    sizes: list[int]
    narrowed: list[bool]

    def render(self, paint: Paint) -> str:
        return "".join(self.lines(paint))

    def lines(self, paint: Paint) -> Iterator[str]:
        yield paint(self.line(self.headings).rstrip("\n"), "bold") + "\n"
        for row in self.cells:
            yield self.line(row)

    def line(self, row: Sequence[str], *, overflow: bool = False) -> str:
        sizes: Iterable[int] = self.sizes
        if overflow:
            sizes = (
                size if narrowed else max(size, shown_width(text))
                for text, size, narrowed in zip(row, self.sizes, self.narrowed, strict=True)
            )
        padded = (_padded(text, size) for text, size in zip(row, sizes, strict=True))
        return _GAP.join(padded).rstrip() + "\n"


def facts(values: dict[str, object], paint: Paint) -> str:
    """One object, a fact a line; what is nested is named with dots."""
    flat = list(_flattened("", values))
    size = max((shown_width(name) for name, _ in flat), default=0)
    return "".join(
        f"{paint(_padded(name, size), 'bold')}{_GAP}{value}".rstrip() + "\n" for name, value in flat
    )


def cell(value: object) -> str:
    """A value as one line of text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{cell(key)}={cell(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    return visible(str(value))


def counted(number: int, thing: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def visible(text: str) -> str:
    """*text* with every control and format character written out."""
    if text.isascii() and text.isprintable():
        return text
    import unicodedata

    return "".join(
        letter
        if letter == " " or unicodedata.category(letter)[0] not in "CZ"
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


def shown_width(text: str) -> int:
    """How many columns *text* takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def _flattened(prefix: str, values: dict[str, object]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found += _flattened(f"{prefix}{name}.", value)
        elif value is not None and value != {}:
            found.append((visible(prefix + name), cell(value)))
    return found


def _fitted(sizes: list[int], columns: Sequence[Column], width: int | None) -> list[int]:
    if width is None:
        return sizes
    floors = [
        min(size, max(_NARROWEST, len(column.heading), column.least))
        for size, column in zip(sizes, columns, strict=True)
    ]
    fitted = list(sizes)
    excess = sum(fitted) + len(_GAP) * (len(fitted) - 1) - width
    while excess > 0:
        room = [size - floor for size, floor in zip(fitted, floors, strict=True)]
        if max(room) <= 0:
            break
        widest = max(range(len(fitted)), key=lambda at: (room[at] > 0, fitted[at]))
        fitted[widest] -= 1
        excess -= 1
    return fitted


def _padded(text: str, size: int) -> str:
    taken = shown_width(text)
    if taken <= size:
        return text + " " * (size - taken)
    kept = ""
    for letter in text:
        if shown_width(kept + letter) > size - 1:
            break
        kept += letter
    return kept + _CUT + " " * (size - 1 - shown_width(kept))
