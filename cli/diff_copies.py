"""Two copies of a store: how far they have the same history, and what each did after that.

The records are compared leaf by leaf, as a verifier sees them: without keys, and nothing is
written.  Then, where their keys are there, each copy that went on is opened and asked what differs
since they parted, by which events, and for the records that the other lacks; these questions are
recorded in it, as always.  From both answers follows what differs between the heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cli import shapes
from cli.diff import Form, difference_rows, emit_short, fields
from cli.diff import columns as difference_columns
from cli.problems import CopiesUnrelated
from cli.progress import Progress
from cli.session import Session
from cli.tables import Column
from eventstore.errors import MunimentError

if TYPE_CHECKING:
    from eventstore.verify import Evidence
    from vault.answers import Aftermath, HistoryItem
    from vault.service import Vault

_COPY = Column("COPY", "copy")
_COLUMNS = [
    Column("VAULT", "vault"),
    Column("LOG", "log"),
    Column("STATE", "state"),
    Column("LAST IN COMMON", "_common"),
    Column("FIRST HAS", "firstSize"),
    Column("SECOND HAS", "secondSize"),
]
_HEADS = [
    Column("WHAT", "what"),
    Column("NAME", "name"),
    Column("FIRST", "_first"),
    Column("SECOND", "_second"),
    Column("VALUE", "value"),
    Column("FIELDS", "_fields"),
]
_AFTER = [
    _COPY,
    Column("RECORD", "_record"),
    Column("TIME", "time"),
    Column("OPERATION", "operation"),
    Column("PRINCIPAL", "principal"),
    Column("NAME", "name"),
    Column("OUTCOME", "outcome"),
]

_COPIES = ("first", "second")
_EVERY = 4096
_VERSION_SHOWN = 8


class Compared(NamedTuple):
    """One log in both copies: how many records they share, and how many each has; -1 is no log."""

    vault: str
    log: str
    common: int
    sizes: tuple[int, int]

    @property
    def state(self) -> str:
        first, second = self.sizes
        if -1 in self.sizes:
            return "only in the second" if first < 0 else "only in the first"
        if self.common < min(self.sizes):
            return "forked"
        if first == second:
            return "same"
        return "the first goes on" if first > second else "the second goes on"

    def goes_on(self, side: int) -> bool:
        """Whether that copy has records that the other lacks."""
        return self.sizes[side] > self.common


def diff_copies(session: Session, first: Path, second: Path, form: Form, *, keyless: bool) -> bool:
    """Tell how the two differ, and whether they do.  Raise CopiesUnrelated."""
    compared = list(_compare(first, second))
    if compared and all(-1 in one.sizes for one in compared):
        raise CopiesUnrelated(f"{first} and {second} have no vault in common")
    differs = any(one.state != "same" for one in compared)
    sides = [_Side(), _Side()]
    if differs and not keyless:
        for side, home in enumerate((first, second)):
            _ask(session, home, compared, side, sides[side])
    if form.stat or form.name_only:
        told = [one for side in sides for one in side.differences]
        emit_short(session, told, form, by=[_COPY])
        return differs
    shown = [_shape(one, sides) for one in compared]
    output = session.output
    if output.for_people and not output.has_query:
        _tell(session, shown, sides)
    else:
        output.emit(shown)
    return differs


# --- records, without keys ------------------------------------------------------------------------


def _compare(first: Path, second: Path) -> Iterator[Compared]:
    from eventstore.log_directory import logs_of

    logs = [
        {directory.relative_to(home): directory for directory in logs_of(home)}
        for home in (first, second)
    ]
    for place in sorted(logs[0].keys() | logs[1].keys()):
        yield _compare_log(place, logs[0].get(place), logs[1].get(place))


def _compare_log(place: Path, first: Path | None, second: Path | None) -> Compared:
    from eventstore.log_directory import evidence_in

    with ExitStack() as stack:
        sides = [
            None if directory is None else stack.enter_context(evidence_in(directory))
            for directory in (first, second)
        ]
        common, sizes = _common(place, sides[0], sides[1])
    return Compared(place.parent.name, place.name, common, sizes)


def _common(
    place: Path, first: Evidence | None, second: Evidence | None
) -> tuple[int, tuple[int, int]]:
    common, counts, same = 0, [0, 0], first is not None and second is not None
    with Progress(f"{place.name} records") as progress:
        pairs = zip_longest(_leaves(first), _leaves(second))
        for at, pair in enumerate(pairs, 1):
            same = same and pair[0] == pair[1]
            common += same
            for side, leaf in enumerate(pair):
                counts[side] += leaf is not None
            if at % _EVERY == 0:
                progress(at, at)
    absent = (-1 if first is None else counts[0], -1 if second is None else counts[1])
    return common, absent


def _leaves(evidence: Evidence | None) -> Iterator[bytes]:
    """The public part of each record, which fixes all the rest."""
    from eventstore import head, record

    if evidence is None:
        return
    kind = head.decode_identity(evidence.identity).kind
    for _, stored in evidence.records:
        yield record.split(kind, stored).leaf


# --- what was done, with keys ---------------------------------------------------------------------


class _Side:
    """What one copy told of itself: each thing with the vault that it is of."""

    def __init__(self) -> None:
        self.operations: list[shapes.Shape] = []
        self.differences: list[shapes.Shape] = []
        self.aftermaths: dict[str, Aftermath] = {}


def _ask(session: Session, home: Path, compared: list[Compared], number: int, side: _Side) -> None:
    """Ask the copy what it did after the last common record; note what it does not tell."""
    from vault.store import Store

    wanted = {(one.vault, one.log): one for one in compared if one.goes_on(number)}
    if not wanted:
        return
    try:
        with Store.open(home, passphrase=session.passphrase()) as store:
            for vault in store.vaults():
                place = vault.changes.path.parent.name
                logs = {log: one for (where, log), one in wanted.items() if where == place}
                if logs:
                    _ask_vault(session, vault, logs, number, side)
    except MunimentError as error:
        _note_untold(session, number, error)


def _ask_vault(
    session: Session, vault: Vault, logs: dict[str, Compared], number: int, side: _Side
) -> None:
    from vault.history_commands import DiffFork

    copy = {"copy": _COPIES[number], "vault": vault.changes.path.parent.name}
    try:
        if changes := logs.get("changes"):
            asked = DiffFork(common=changes.common, size=changes.sizes[number])
            found = vault.handle(session.caller, asked)
            side.aftermaths[changes.vault] = found
            side.differences += [copy | shapes.difference(one) for one in found.differences]
        items = _after(session, vault, logs)
        side.operations += [
            copy | shapes.history(item)
            for item in items
            if logs[item.log].common <= item.position < logs[item.log].sizes[number]
        ]
    except MunimentError as error:
        _note_untold(session, number, error)


def _after(session: Session, vault: Vault, logs: dict[str, Compared]) -> list[HistoryItem]:
    from vault.history_commands import ReadHistory

    found: list[HistoryItem] = []
    for log, one in logs.items():
        with getattr(vault, log).snapshot() as snapshot:
            start = snapshot.time_of(one.common)
        found += vault.stream(session.caller, ReadHistory(logs=(log,), start=start))
    return sorted(found, key=lambda item: (item.time, item.log))


def _note_untold(session: Session, number: int, error: MunimentError) -> None:
    session.terminal.note(f"what the {_COPIES[number]} did is not told: {error.message}")


# --- the heads ------------------------------------------------------------------------------------


def _heads(changes: Compared, sides: list[_Side]) -> list[shapes.Shape] | None:
    """What differs between the heads; None if a copy that went on did not tell."""
    from projections.forks import apart

    found = [side.aftermaths.get(changes.vault) for side in sides]
    if any(one is None and changes.goes_on(side) for side, one in enumerate(found)):
        return None
    touched = [() if one is None else one.touched for one in found]
    return [shapes.apart(one) for one in apart(touched[0], touched[1])]


# --- telling --------------------------------------------------------------------------------------


def _shape(one: Compared, sides: list[_Side]) -> shapes.Shape:
    first, second = (None if size < 0 else size for size in one.sizes)
    shape: shapes.Shape = {
        "vault": one.vault,
        "log": one.log,
        "state": one.state,
        "lastCommon": one.common - 1 if one.common else None,
        "firstSize": first,
        "secondSize": second,
    }
    for which, side in zip(("First", "Second"), sides, strict=True):
        shape[f"only{which}"] = [
            item for item in side.operations if (item["vault"], item["log"]) == (one.vault, one.log)
        ]
    if one.log == "changes":
        for which, side in zip(("First", "Second"), sides, strict=True):
            shape[f"changed{which}"] = [
                item for item in side.differences if item["vault"] == one.vault
            ]
        shape["heads"] = _heads(one, sides)
    return shape


def _tell(session: Session, shown: list[shapes.Shape], sides: list[_Side]) -> None:
    """Tables: the logs, what each copy did to what, where the heads differ, and the records."""
    heads = [row for shape in shown for row in shape.get("heads") or ()]
    differences = difference_rows([one for side in sides for one in side.differences])
    operations = [_operation_row(one) for side in sides for one in side.operations]
    for heading, rows, columns in (
        ("", [_row(one) for one in shown], _COLUMNS),
        ("What each did since", differences, [_COPY, *difference_columns()]),
        ("Where they differ now", [_head_row(one) for one in heads], _HEADS),
        ("The records that the other lacks", operations, _AFTER),
    ):
        if heading and rows:
            session.output.raw(f"\n{heading}\n", heading)
        session.output.emit(rows, columns)


def _row(shape: shapes.Shape) -> shapes.Shape:
    common = shape["lastCommon"]
    return shape | {"_common": "none" if common is None else f"#{common}"}


def _head_row(shape: shapes.Shape) -> shapes.Shape:
    told = {"_fields": "; ".join(fields(shape, "first", "second"))}
    for side in _COPIES:
        version = (shape[f"{side}Version"] or "")[:_VERSION_SHOWN]
        told[f"_{side}"] = f"{shape[side]} {version}".rstrip()
    return shape | told


def _operation_row(shape: shapes.Shape) -> shapes.Shape:
    return shape | {"_record": f"{shape['log']} #{shape['position']}"}
