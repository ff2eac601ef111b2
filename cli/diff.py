"""`muniment diff`: what differs between two points of a vault, or between two copies of a store.

Of values it is said whether they are the same, different, or back to those of another version.
`--reveal` reads them, which takes the permission to get and is recorded, one read each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from cli import boundary_shapes, shapes
from cli.as_of import At, point
from cli.command import command
from cli.problems import PointInvalid, Usage
from cli.session import Session
from cli.tables import Column, cell

if TYPE_CHECKING:
    from projections.difference import Difference
    from vault.service import Vault

_VERSION_SHOWN = 8

_COLUMNS = [
    Column("WHAT", "what"),
    Column("NAME", "name"),
    Column("CHANGE", "kinds"),
    Column("BEFORE", "_before"),
    Column("AFTER", "_after"),
    Column("VALUE", "value"),
    Column("FIELDS", "_fields"),
    Column("EVENTS", "_causes"),
]
_REVEALED = [Column("VALUE BEFORE", "valueBefore"), Column("VALUE AFTER", "valueAfter")]
_STAT = [Column("CHANGE", "change"), Column("COUNT", "count")]


class Form(NamedTuple):
    """How much is told."""

    stat: bool
    name_only: bool
    reveal: bool


@command("diff")
@click.argument("words", metavar="A..B [NAME]... | HOME1 HOME2", nargs=-1, required=True)
@click.option("--stat", is_flag=True, help="Only how many changes of each kind.")
@click.option("--name-only", is_flag=True, help="Only the names.")
@click.option("--reveal", is_flag=True, help="Read the values of both sides too; recorded.")
@click.option("--exit-code", is_flag=True, help="Exit status 1 if there is a difference.")
@click.option("--keyless", is_flag=True, help="Of two stores: open neither, compare records only.")
def diff(
    session: Session,
    words: tuple[str, ...],
    stat: bool,
    name_only: bool,
    reveal: bool,
    exit_code: bool,
    keyless: bool,
) -> None:
    """Show what differs between two points, or two copies of a store.

    A point is 2h, a date, #18230 (right after that event), @CHECKPOINT-FILE or now; A alone means
    A..now.  Of two copies it finds the last record that they have in common, without any key.  Where
    their keys are there, it tells what each changed after it, and what differs between them now.
    """
    form = Form(stat, name_only, reveal)
    if stat + name_only + reveal > 1:
        raise Usage("give one of --stat, --name-only and --reveal")
    if len(words) == 2 and all((Path(word) / "vaults").is_dir() for word in words):
        if reveal:
            raise Usage("--reveal is for two points of one vault")
        if keyless and (stat or name_only):
            raise Usage("--stat and --name-only take keys, and --keyless takes none")
        from cli.diff_copies import diff_copies

        differs = diff_copies(session, Path(words[0]), Path(words[1]), form, keyless=keyless)
    elif keyless:
        raise Usage("--keyless is for two copies of a store: name both directories")
    else:
        differs = _points(session, words[0], words[1:], form)
    if exit_code and differs:
        raise click.exceptions.Exit(1)


def _points(session: Session, text: str, names: tuple[str, ...], form: Form) -> bool:
    from vault.history_commands import Diff

    first, second = split(text, session.now)
    with session.vault() as vault:
        asked = Diff(before=point(session, first), after=point(session, second), names=names)
        found, points = vault.respond(session.caller, asked)
        before, after = At(*points["before"]), At(*points["after"])
        session.terminal.note(f"from {before}\nto   {after}")
        told = [shapes.difference(one) for one in found]
        if form.reveal:
            _reveal(session, vault, (before, after), found, told)
    _emit(session, told, form)
    return bool(found)


def split(text: str, now: int) -> tuple[str, str]:
    """The two points of `A..B`; a side that is empty, and B of `A` alone, is now.

    A file's name may have two dots too, so the first split of which both sides are points counts.
    Raise PointInvalid.
    """
    at = text.find("..")
    while at >= 0:
        sides = text[:at] or "now", text[at + 2 :] or "now"
        if all(_is_point(side, now) for side in sides):
            return sides
        at = text.find("..", at + 1)
    if _is_point(text, now):
        return text, "now"
    raise PointInvalid(f"{text[:80]!r} is not A..B, two points in time")


def _is_point(text: str, now: int) -> bool:
    from cli.points import past

    if text.startswith("@"):
        return Path(text[1:]).is_file()
    try:
        past(text, now)
    except PointInvalid:
        return False
    return True


# --- telling --------------------------------------------------------------------------------------


def _emit(session: Session, told: list[shapes.Shape], form: Form) -> None:
    output = session.output
    if form.name_only or form.stat:
        emit_short(session, told, form)
    else:
        if output.for_people and not output.has_query:
            told = difference_rows(told)
        output.emit(told, columns() + _REVEALED * form.reveal, paged=session.paged)


def emit_short(
    session: Session, told: list[shapes.Shape], form: Form, *, by: Sequence[Column] = ()
) -> None:
    """Only the names, each once; or how many changes of each kind, apart for each of *by*."""
    if form.name_only:
        names = list(dict.fromkeys(shape["name"] for shape in told))
        session.output.raw("".join(f"{cell(name)}\n" for name in names), names)
        return
    counts = Counter(
        (*(shape[one.key] for one in by), kind) for shape in told for kind in shape["kinds"]
    )
    headings = [*by, *_STAT]
    keys = [one.key for one in headings]
    rows = [dict(zip(keys, (*place, n), strict=True)) for place, n in counts.most_common()]
    session.output.emit(rows, headings)


def columns() -> list[Column]:
    """The columns of a table of differences."""
    return list(_COLUMNS)


def difference_rows(told: list[shapes.Shape]) -> list[shapes.Shape]:
    """Differences as rows of that table."""
    return [_row(shape) for shape in told]


def _row(shape: shapes.Shape) -> shapes.Shape:
    return shape | {
        "_before": (shape["before"] or "")[:_VERSION_SHOWN],
        "_after": (shape["after"] or "")[:_VERSION_SHOWN],
        "_fields": "; ".join(fields(shape)),
        "_causes": " ".join(f"#{position}" for position in shape["causes"]),
    }


def fields(shape: shapes.Shape, was: str = "before", now: str = "after") -> Iterator[str]:
    """Each attribute of a difference: what it was, and what it is."""
    for field in shape["fields"]:
        before, after = field[was], field[now]
        if field["name"] in boundary_shapes.LISTS:
            told = boundary_shapes.change(before, after)
        else:
            told = f"{cell(before) or 'none'} -> {cell(after) or 'none'}"
        yield f"{field['name']}: {told}"


# --- values ---------------------------------------------------------------------------------------


def _reveal(
    session: Session,
    vault: Vault,
    points: tuple[At, At],
    found: list[Difference],
    told: list[shapes.Shape],
) -> None:
    """Put both values into what is told of each secret.  Raise AccessDenied at the first refusal."""
    for one, shape in zip(found, told, strict=True):
        if one.what != "secret":
            continue
        sides = zip(("valueBefore", "valueAfter"), points, (one.before, one.after), strict=True)
        for key, at, version in sides:
            shape[key] = None
            if version is not None and at.size:
                shape[key] = _value(session, vault, one.name, version, at)


def _value(session: Session, vault: Vault, name: str, version: str, at: At) -> str | None:
    from vault.commands import GetSecret
    from vault.refusals import SecretErased, SecretIsDisabled, SecretNotFound

    try:
        asked = GetSecret(name=name, version=version, as_of=at.size)
        return vault.handle(session.caller, asked).value
    except (SecretErased, SecretIsDisabled, SecretNotFound) as refusal:
        session.terminal.note(f"{name} as of {at}: {refusal.message}")
        return None
