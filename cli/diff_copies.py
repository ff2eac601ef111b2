"""Two copies of a store: how far they have the same history, and what each did after that.

The records are compared leaf by leaf, as a verifier sees them: without keys, and nothing is
written.  Then, where their keys are there, both are opened and asked for the records of `changes`
and `access` that the other lacks; that question is recorded in each, as always.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cli import shapes
from cli.progress import Progress
from cli.session import Session
from cli.tables import Column
from eventstore.errors import MunimentError

if TYPE_CHECKING:
    from eventstore.verify import Evidence
    from vault.answers import HistoryItem

_COLUMNS = [
    Column("VAULT", "vault"),
    Column("LOG", "log"),
    Column("STATE", "state"),
    Column("LAST IN COMMON", "_common"),
    Column("FIRST HAS", "firstSize"),
    Column("SECOND HAS", "secondSize"),
]
_AFTER = [
    Column("COPY", "copy"),
    Column("RECORD", "_record"),
    Column("TIME", "time"),
    Column("OPERATION", "operation"),
    Column("PRINCIPAL", "principal"),
    Column("NAME", "name"),
    Column("OUTCOME", "outcome"),
]

_EVERY = 4096


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


def diff_copies(session: Session, first: Path, second: Path, *, keyless: bool) -> bool:
    """Tell how the two differ, and whether they do."""
    compared = list(_compare(first, second))
    differs = any(one.state != "same" for one in compared)
    after: list[shapes.Shape] = []
    if differs and not keyless:
        for name, home, side in (("first", first, 0), ("second", second, 1)):
            after += _operations(session, name, home, compared, side)
    told = [_shape(one, after) for one in compared]
    output = session.output
    if output.for_people and not output.has_query:
        output.emit([_row(one) for one in told], _COLUMNS)
        output.emit([_operation_row(one) for one in after], _AFTER)
    else:
        output.emit(told)
    return differs


# --- records, without keys ------------------------------------------------------------------------


def _compare(first: Path, second: Path) -> Iterator[Compared]:
    from eventstore.verify import logs_of

    logs = [
        {directory.relative_to(home): directory for directory in logs_of(home)}
        for home in (first, second)
    ]
    for place in sorted(logs[0].keys() | logs[1].keys()):
        yield _compare_log(place, logs[0].get(place), logs[1].get(place))


def _compare_log(place: Path, first: Path | None, second: Path | None) -> Compared:
    from eventstore.verify import evidence_in

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


# --- operations, with keys ------------------------------------------------------------------------


def _operations(
    session: Session, name: str, home: Path, compared: list[Compared], side: int
) -> list[shapes.Shape]:
    """What this copy did after the last common record; nothing, and a note, without its keys."""
    from vault.store import Store

    wanted = {
        (one.vault, one.log): max(one.common, 0) for one in compared if one.sizes[side] > one.common
    }
    if not wanted:
        return []
    found: list[shapes.Shape] = []
    try:
        with Store.open(home, passphrase=session.passphrase()) as store:
            for vault in store.vaults():
                place = vault.changes.path.parent.name
                logs = tuple(log for log in ("changes", "access") if (place, log) in wanted)
                ends = {log: _size(compared, place, log, side) for log in logs}
                items = _after(session, vault, {log: wanted[place, log] for log in logs})
                found += [
                    {"copy": name, "vault": place} | shapes.history(item)
                    for item in items
                    if item.position < ends[item.log]
                ]
    except MunimentError as error:
        session.terminal.note(f"what the {name} did is not told: {error.message}")
        return []
    return found


def _after(session: Session, vault: Any, firsts: dict[str, int]) -> list[HistoryItem]:
    from vault.commands import ReadHistory

    found: list[HistoryItem] = []
    for log, first in firsts.items():
        with getattr(vault, log).snapshot() as snapshot:
            start = snapshot.time_of(first)
        found += vault.handle(session.caller, ReadHistory(logs=(log,), start=start))
    return sorted(found, key=lambda item: (item.time, item.log))


def _size(compared: list[Compared], vault: str, log: str, side: int) -> int:
    """How many records the copy had before it was opened here."""
    return next(one.sizes[side] for one in compared if (one.vault, one.log) == (vault, log))


# --- telling --------------------------------------------------------------------------------------


def _shape(one: Compared, after: list[shapes.Shape]) -> shapes.Shape:
    mine = [item for item in after if (item["vault"], item["log"]) == (one.vault, one.log)]
    first, second = (None if size < 0 else size for size in one.sizes)
    return {
        "vault": one.vault,
        "log": one.log,
        "state": one.state,
        "lastCommon": one.common - 1 if one.common else None,
        "firstSize": first,
        "secondSize": second,
        "onlyFirst": [item for item in mine if item["copy"] == "first"],
        "onlySecond": [item for item in mine if item["copy"] == "second"],
    }


def _row(shape: shapes.Shape) -> shapes.Shape:
    common = shape["lastCommon"]
    return shape | {"_common": "none" if common is None else f"#{common}"}


def _operation_row(shape: shapes.Shape) -> shapes.Shape:
    return shape | {"_record": f"{shape['log']} #{shape['position']}"}
