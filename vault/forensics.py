"""Questions about the past: who read, who could, what changed, by whose hand.

Answered from one snapshot of each log and from the trail that the views keep, so the cost follows
what is asked for and not the length of the history.  Values are compared here and never given out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any, NamedTuple

from eventstore.errors import KeyErased
from eventstore.events import (
    HistoryRead,
    SecretContent,
    SecretRead,
    SecretSet,
    SecretUpdated,
    SecretVersionRestored,
)
from eventstore.record import Entry
from eventstore.transaction import Snapshot
from projections import diff as differences
from projections.past import PastRows
from projections.rows import (
    Exposure,
    Mark,
    Policy,
    Rows,
    Secret,
    Settings,
    Table,
    Version,
    by_name_key,
    exposure_key,
    listed_key,
    policy_key,
    secret_key,
    settings_key,
    version_key,
)
from vault import answers, history, names, restoring, secrets
from vault.commands import (
    Blame,
    Command,
    Diff,
    Exposed,
    PlanRestore,
    ReadHistory,
    Replay,
    WhoCould,
    WhoRead,
)
from vault.points import Resolutions
from vault.reading import Answered, erased_by
from vault.refusals import PointsReversed, RestoreUnclear

_ZERO = "0" * 32


class Logs:
    """Both logs at one moment, each with its views."""

    def __init__(self, changes: Snapshot, rows: Rows, access: Snapshot, trail: Rows) -> None:
        self.changes = changes
        self.rows = rows
        self.access = access
        self.trail = trail

    def sources(self) -> dict[str, history.Source]:
        return {
            "changes": history.Source(self.changes, self.rows),
            "access": history.Source(self.access, self.trail),
        }

    def content(self, secret: Secret, position: int) -> SecretContent | None:
        """The content at *position*, or None if a purge has closed it."""
        try:
            return self.changes.content(position, secret.key)
        except KeyErased:
            return None

    def erased_by(self, secret: Secret) -> int | None:
        return erased_by(self.rows, secret)

    def as_of(self, size: int) -> PastRows:
        return PastRows(self.rows, size)

    def at(self, points: Resolutions) -> tuple[Rows, int]:
        """The rows, and the size of `changes`, as of the point that was asked for, or now."""
        then = points.get("as_of")
        if then is None:
            return self.rows, self.changes.size
        return self.as_of(then.size), then.size


def answer(logs: Logs, command: Command[Any], points: Resolutions) -> Answered:
    """Answer a question about the past, with the event that says it was asked.

    *points* is what the points in *command* are.
    """
    found: Any
    match command:
        case WhoRead():
            found, what = list(_who_read(logs, command, points)), "who-read"
        case Exposed():
            found, what = _exposure(logs, command), "exposure"
        case Blame():
            found, what = _blame(logs, command, points), "blame"
        case WhoCould():
            found, what = list(_who_could(logs, command, points)), "who-could"
        case Diff():
            found, what = _diff(logs, command, points), "diff"
        case Replay():
            found, what = list(_replay(logs, command, points)), "replay"
        case ReadHistory():
            found, what = history.read(logs.sources(), command), "log"
        case PlanRestore():
            found, what = plan_restore(logs, command, points["to"].size), "plan"
        case _:
            raise TypeError(f"{type(command).__name__} is not a question about the past")
    count = len(found.steps) if isinstance(found, answers.RestorePlan) else len(found)
    name = str(getattr(command, "name", ""))
    then = points.get("as_of") or points.get("to")
    as_of = None if then is None else then.size
    at = logs.changes.size
    return Answered(found, HistoryRead(at=at, count=count, name=name, what=what, as_of=as_of))


# --- reads ----------------------------------------------------------------------------------------


def _concerning(rows: Rows, name: str, first: int) -> Iterator[int]:
    return history.positions_of(rows, Table.BY_NAME, by_name_key(name, 0).owner, first)


class _Period(NamedTuple):
    """Times in microseconds: *start* included, *stop* not."""

    start: int
    stop: int | None


def _period(points: Resolutions) -> _Period:
    since, until = points.get("since"), points.get("until")
    return _Period(0 if since is None else since.time, None if until is None else until.time)


def _who_read(logs: Logs, command: WhoRead, points: Resolutions) -> Iterator[answers.ReadFact]:
    names.check_name(command.name)
    version = names.check_version(command.version) if command.version else ""
    start, stop = _period(points)
    first = logs.access.size_at(start - 1) if start else 0
    for position in _concerning(logs.trail, command.name, first):
        entry = logs.access.entry(position)
        if stop is not None and entry.time >= stop:
            return  # times strictly increase with positions
        event = entry.event
        if isinstance(event, SecretRead) and (not version or event.version == version):
            yield answers.ReadFact(
                position=position,
                time=entry.time,
                principal=entry.context.principal,
                auth=entry.context.auth,
                name=event.name,
                version=event.version,
                rule=entry.context.rule,
                address=entry.context.address,
                at=event.at,
                as_of=event.as_of,
            )


def _exposure(logs: Logs, command: Exposed) -> list[answers.ExposureFact]:
    owner = exposure_key(command.principal, _ZERO).owner
    found = [_exposed(logs, row) for _, row in logs.trail.scan(Table.EXPOSURE, Exposure, owner)]
    rank = {"current": 0, "older": 1, "deleted": 2, "purged": 3}
    return sorted(found, key=lambda fact: (rank[fact.status], names.folded(fact.name), fact.first))


def _exposed(logs: Logs, row: Exposure) -> answers.ExposureFact:
    secret = logs.rows.get(secret_key(row.name), Secret)
    version = logs.rows.get(version_key(row.name, row.version), Version)
    if secret is None or version is None:
        status = "purged"
    elif secret.deleted_date is not None:
        status = "deleted"
    else:
        status = "current" if _is_current(logs, secret, version) else "older"
    return answers.ExposureFact(
        name=row.name,
        version=row.version,
        status=status,
        count=row.count,
        first=row.first,
        last=row.last,
        first_time=logs.access.time_of(row.first),
        last_time=logs.access.time_of(row.last),
    )


def _is_current(logs: Logs, secret: Secret, version: Version) -> bool:
    """Whether its value is the one that is given out now: perhaps again, under a newer version."""
    now = logs.rows.get(version_key(secret.name, secret.current), Version)
    return now is not None and now.value_print == version.value_print


# --- changes --------------------------------------------------------------------------------------


def _blame(logs: Logs, command: Blame, points: Resolutions) -> list[answers.BlameFact]:
    names.check_name(command.name)
    rows, size = logs.at(points)
    secret = rows.get(secret_key(command.name), Secret)
    if secret is None:
        raise secrets.not_found(command.name)
    asked = names.check_version(command.version) if command.version else secret.current
    version = rows.get(version_key(secret.name, asked), Version)
    if version is None:
        raise secrets.not_found(command.name, command.version)
    made: dict[str, Entry[Any]] = {}
    concerning = _concerning(logs.rows, secret.name, version.value_at)
    for position in takewhile(size.__gt__, concerning):
        entry = logs.changes.entry(position)
        for attribute in _made_by(entry.event, asked):
            made[attribute] = entry
    shown: dict[str, object] = {
        "enabled": version.enabled,
        "nbf": version.nbf,
        "exp": version.exp,
        "deleted": secret.deleted_date is not None,
    }
    content = logs.content(secret, version.content_at)
    if content is not None:
        shown |= {"content_type": content.content_type, "tags": content.tags}
    closed = () if content is not None else _CLOSED
    return [
        answers.BlameFact(
            attribute=attribute,
            value=shown.get(attribute),
            erased=attribute in closed,
            erased_by=logs.erased_by(secret) if attribute in closed else None,
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
_CLOSED = ("value", "content_type", "tags")
"""What a purge closes; by whom the rest was made what is open for ever."""


def _who_could(logs: Logs, command: WhoCould, points: Resolutions) -> Iterator[answers.CouldFact]:
    names.check_name(command.name)
    rows, _ = logs.at(points)
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


def _diff(logs: Logs, command: Diff, points: Resolutions) -> list[differences.Difference]:
    before, after = points["before"].size, points["after"].size
    if before > after:
        raise PointsReversed
    _refuse_unknown(logs, command.names)
    sides = differences.Sides(logs.as_of(before), logs.as_of(after), logs.rows, logs.content)
    between = logs.changes.entries(before, after)
    found = differences.diff(sides, between)
    wanted = {name.upper() for name in command.names}
    return [one for one in found if not wanted or one.name.upper() in wanted]


def _refuse_unknown(logs: Logs, asked: tuple[str, ...]) -> None:
    """A name that never was is misspelt: that nothing happened to it would mislead."""
    for name in asked:
        owners = (
            (Table.KNOWN_SECRETS, secret_key(name).owner),
            (Table.KNOWN_POLICIES, policy_key(name).owner),
        )
        if not any(logs.rows.get(listed_key(*owner), Mark) for owner in owners):
            raise secrets.not_found(name)


def _replay(logs: Logs, command: Replay, points: Resolutions) -> Iterator[answers.ReplayStep]:
    start, stop = _period(points)
    asked = ReadHistory(name=command.name, principal=command.principal, start=start, stop=stop)
    for item in history.read(logs.sources(), asked):
        yield answers.ReplayStep(item=item, differences=_changed_by(logs, item))


def _changed_by(logs: Logs, item: answers.HistoryItem) -> tuple[differences.Difference, ...]:
    if item.log != "changes":
        return ()
    sides = differences.Sides(
        logs.as_of(item.position), logs.as_of(item.position + 1), logs.rows, logs.content
    )
    return tuple(differences.diff(sides, [logs.changes.entry(item.position)]))


def plan_restore(logs: Logs, command: PlanRestore, to: int) -> answers.RestorePlan:
    """What going back to when `changes` had *to* records would do."""
    for name in command.names:
        names.check_name(name)
    if command.names and command.policies:
        raise RestoreUnclear
    _refuse_unknown(logs, command.names)
    then = logs.as_of(to)
    steps = restoring.plan(logs.rows, then, command, logs.erased_by)
    return answers.RestorePlan(to=to, head=logs.changes.size, steps=tuple(steps))
