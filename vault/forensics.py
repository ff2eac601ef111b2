"""Questions about the past: who read, who could, what changed, by whose hand.

Answered from one snapshot of each log and from the trail that the views keep, so the cost follows
what is asked for and not the length of the history.  Values are compared here and never given out.
What may be as long as the history is retold record by record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from functools import partial
from typing import Any, NamedTuple

from eventstore.errors import KeyErased, PositionUnknown
from eventstore.events import (
    HistoryRead,
    SecretContent,
    SecretSet,
    SecretUpdated,
    SecretVersionRestored,
)
from eventstore.record import Entry
from eventstore.transaction import Snapshot
from projections import diff as differences
from projections import forks
from projections.past import PastRows
from projections.rows import (
    Mark,
    Policy,
    Rows,
    Secret,
    Settings,
    Table,
    Version,
    by_name_key,
    listed_key,
    policy_key,
    secret_key,
    settings_key,
    version_key,
)
from vault import answers, disclosure, history, names, restoring, secrets
from vault.commands import (
    Blame,
    Command,
    Diff,
    DiffFork,
    Exposed,
    PlanRestore,
    ReadHistory,
    Replay,
    WhoCould,
    WhoRead,
)
from vault.reading import Answered, erased_by
from vault.refusals import PointsReversed, RestoreUnclear


class Logs:
    """Both logs at one moment, each with its views."""

    def __init__(self, changes: Snapshot, rows: Rows, access: Snapshot, trail: Rows) -> None:
        self.changes = changes
        self.rows = rows
        self.access = access
        self.trail = trail

    def content(self, secret: Secret, position: int) -> SecretContent | None:
        """The content at *position*, or None if a purge has closed it."""
        return _content(self.changes, secret, position)

    def erased_by(self, secret: Secret) -> int | None:
        return erased_by(self.rows, secret)

    def as_of(self, size: int) -> PastRows:
        if not 0 <= size <= self.changes.size:
            raise PositionUnknown(f"`changes` has {self.changes.size} records, not {size}")
        return PastRows(self.rows, size)


def _things(found: Any) -> Sized:
    match found:
        case answers.RestorePlan(steps=things) | answers.Aftermath(differences=things):
            return things
        case _:
            listed: Sized = found
            return listed


def _content(changes: Snapshot, secret: Secret, position: int) -> SecretContent | None:
    try:
        return changes.content(position, secret.key)
    except KeyErased:
        return None


def answer(logs: Logs, command: Command[Any]) -> Answered:
    """Answer a question about the past, with the event that says it was asked."""
    found: Any
    match command:
        case WhoRead():
            found, what = list(disclosure.who_read(logs, command)), "who-read"
        case Exposed():
            found, what = disclosure.exposure(logs, command), "exposure"
        case Blame():
            found, what = _blame(logs, command), "blame"
        case WhoCould():
            found, what = list(_who_could(logs, command)), "who-could"
        case Diff():
            found, what = _diff(logs, command), "diff"
        case DiffFork():
            found, what = _diff_fork(logs, command), "diff"
        case PlanRestore():
            found, what = plan_restore(logs, command), "plan"
        case _:
            raise TypeError(f"{type(command).__name__} is not a question about the past")
    count = len(_things(found))
    name = str(getattr(command, "name", ""))
    return Answered(found, HistoryRead(at=logs.changes.size, count=count, name=name, what=what))


def _concerning(rows: Rows, name: str, first: int) -> Iterator[int]:
    return history.positions_of(rows, Table.BY_NAME, by_name_key(name, 0).owner, first)


# --- changes --------------------------------------------------------------------------------------


def _blame(logs: Logs, command: Blame) -> list[answers.BlameFact]:
    names.check_name(command.name)
    secret = logs.rows.get(secret_key(command.name), Secret)
    if secret is None:
        raise secrets.not_found(command.name)
    asked = names.check_version(command.version) if command.version else secret.current
    version = logs.rows.get(version_key(secret.name, asked), Version)
    if version is None:
        raise secrets.not_found(command.name, command.version)
    made: dict[str, Entry[Any]] = {}
    for position in _concerning(logs.rows, secret.name, version.value_at):
        entry = logs.changes.entry(position)
        for attribute in _made_by(entry.event, asked):
            made[attribute] = entry
    content = logs.content(secret, version.content_at) or SecretContent()
    shown = {
        "enabled": version.enabled,
        "nbf": version.nbf,
        "exp": version.exp,
        "content_type": content.content_type,
        "tags": content.tags,
        "deleted": secret.deleted_date is not None,
    }
    return [
        answers.BlameFact(
            attribute=attribute,
            value=shown.get(attribute),
            position=entry.position,
            time=entry.time,
            operation=history.operation(entry),
            principal=entry.context.principal,
        )
        for attribute, entry in made.items()
    ]


def _made_by(event: Any, version: str) -> tuple[str, ...]:
    """Which attributes of *version* the event set."""
    match event:
        case SecretSet() | SecretVersionRestored() if event.version == version:
            return ("value", "enabled", "nbf", "exp", "content_type", "tags")
        case SecretUpdated() if event.version == version:
            return event.changed
        case _:
            return ("deleted",) if history.tag(event) in _LIFE else ()


_LIFE = ("secret.deleted", "secret.recovered")


def _who_could(logs: Logs, command: WhoCould) -> Iterator[answers.CouldFact]:
    names.check_name(command.name)
    rows: Rows = logs.rows if command.as_of is None else logs.as_of(command.as_of)
    found = sorted(rows.policies(), key=_object_id)
    for policy in found:
        if policy.secrets:
            yield answers.CouldFact(
                principal=policy.object_id,
                permissions=policy.secrets,
                rule=f"policy #{policy.at}",
                position=policy.at,
            )
    settings = rows.get(settings_key(), Settings)
    for principal in () if settings is None else settings.administrators:
        assert settings is not None
        yield answers.CouldFact(
            principal=principal,
            permissions=("grant",),
            rule="administrator",
            position=settings.at,
        )


def _object_id(policy: Policy) -> str:
    return policy.object_id


def _diff(logs: Logs, command: Diff) -> list[differences.Difference]:
    if command.before > command.after:
        raise PointsReversed
    _refuse_unknown(logs, command.names)
    sides = differences.Sides(
        logs.as_of(command.before), logs.as_of(command.after), logs.rows, logs.content
    )
    between = logs.changes.entries(command.before, command.after)
    found = differences.diff(sides, between)
    wanted = {name.upper() for name in command.names}
    return [one for one in found if not wanted or one.name.upper() in wanted]


def _diff_fork(logs: Logs, command: DiffFork) -> answers.Aftermath:
    then, now = logs.as_of(command.common), logs.as_of(command.size)
    found = _diff(logs, Diff(before=command.common, after=command.size))
    touched = (forks.touched(one.what, one.name, then, now, logs.content) for one in found)
    return answers.Aftermath(differences=tuple(found), touched=tuple(touched))


def _refuse_unknown(logs: Logs, asked: tuple[str, ...]) -> None:
    """A name that never was is misspelt: that nothing happened to it would mislead."""
    for name in asked:
        owners = (
            (Table.KNOWN_SECRETS, secret_key(name).owner),
            (Table.KNOWN_POLICIES, policy_key(name).owner),
        )
        if not any(logs.rows.get(listed_key(*owner), Mark) for owner in owners):
            raise secrets.not_found(name)


# --- retold ---------------------------------------------------------------------------------------


class Retold(NamedTuple):
    """Records to be given out one after the other, once the event that says so is committed."""

    event: HistoryRead
    items: Iterator[Any]


def retell(books: history.Books, command: ReadHistory | Replay) -> Retold:
    """Find the records that are asked for.  Raise PositionUnknown."""
    telling: history.Telling
    if isinstance(command, Replay):
        asked, what, telling = command.history, "replay", _step
    else:
        asked, what, telling = command, "log", history.just_item
    found = history.find(books, asked)
    name = str(getattr(command, "name", ""))
    at = books["changes"].size
    event = HistoryRead(at=at, count=found.total, name=name, what=what)
    return Retold(event, history.tell(books, asked, found, telling))


def _step(
    source: history.Source, item: answers.HistoryItem, entry: Entry[Any]
) -> answers.ReplayStep:
    if item.log != "changes":
        return answers.ReplayStep(item=item)
    sides = differences.Sides(
        PastRows(source.rows, item.position),
        PastRows(source.rows, item.position + 1),
        source.rows,
        partial(_content, source.snapshot),
    )
    return answers.ReplayStep(item=item, differences=tuple(differences.diff(sides, [entry])))


# --- going back -----------------------------------------------------------------------------------


def plan_restore(logs: Logs, command: PlanRestore) -> answers.RestorePlan:
    """What going back would do."""
    for name in command.names:
        names.check_name(name)
    if command.names and command.policies:
        raise RestoreUnclear
    _refuse_unknown(logs, command.names)
    then = logs.as_of(command.to)
    steps = restoring.plan(logs.rows, then, command, logs.erased_by)
    return answers.RestorePlan(to=command.to, head=logs.changes.size, steps=tuple(steps))
