"""Questions about the past: who read, who could, what changed, by whose hand.

Answered from one snapshot of each log and from the trail that the views keep, so the cost follows
what is asked for and not the length of the history.  Values are compared here and never given out.
What may be as long as the history is retold record by record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

from msgspec.structs import replace

from eventstore.access_events import HistoryRead
from eventstore.disclosure import Shown, show
from eventstore.errors import KeyErased
from eventstore.event import SecretContent
from eventstore.events import SecretSet, SecretUpdated, SecretVersionRestored
from eventstore.record import Entry
from eventstore.transaction import Snapshot
from projections import diff as differences
from projections import forks
from projections.difference import Difference, Holder, Sides
from projections.past import PastRows
from projections.rows import (
    Known,
    Mark,
    Policy,
    Rows,
    Secret,
    Settings,
    Table,
    Version,
    by_name_key,
    listed_key,
    parted,
    policy_key,
    secret_key,
    settings_key,
    version_key,
)
from vault import (
    access,
    answers,
    disclosure,
    explaining,
    history,
    names,
    restoring,
    rule_blame,
    rules,
    secrets,
    storage_history,
    storage_restoring,
)
from vault.commands import Command
from vault.history_commands import (
    Blame,
    BlameBoundary,
    Diff,
    DiffFork,
    Explain,
    Exposed,
    PlanRestore,
    ReadHistory,
    Replay,
    ShowFields,
    WhoCould,
    WhoRead,
)
from vault.points import Resolutions
from vault.reading import Answered, erased_by, settings_of
from vault.refusals import PointsReversed, RestoreUnclear

OF_THE_TRAIL = (WhoRead, Exposed)
"""The questions that look at the trail of `access`."""


class Logs:
    """Both logs at one moment, each with its views; *now* is that moment in microseconds."""

    def __init__(
        self, changes: Snapshot, rows: Rows, access: Snapshot, trail: Rows, now: int = 0
    ) -> None:
        self.changes = changes
        self.rows = rows
        self.access = access
        self.trail = trail
        self.now = now

    def content(self, secret: Holder, position: int) -> SecretContent | None:
        """The content at *position*, or None if a purge has closed it."""
        return _content(self.changes, secret, position)

    def erased_by(self, secret: Holder) -> int | None:
        return erased_by(self.rows, secret)

    def as_of(self, size: int) -> PastRows:
        return PastRows(self.rows, size)

    def at(self, points: Resolutions) -> tuple[Rows, int]:
        """The rows, and the size of `changes`, as of the point that was asked for, or now."""
        then = points.get("as_of")
        if then is None:
            return self.rows, self.changes.size
        return self.as_of(then.size), then.size


def _things(found: Any) -> Sized:
    match found:
        case answers.RestorePlan(steps=things) | answers.Aftermath(differences=things):
            return things
        case answers.Explanation():
            return (found,)
        case Shown():
            return found.opened
        case _:
            listed: Sized = found
            return listed


def _content(changes: Snapshot, secret: Holder, position: int) -> SecretContent | None:
    try:
        return changes.content(position, secret.key)
    except KeyErased:
        return None


def answer(logs: Logs, command: Command[Any], points: Resolutions) -> Answered:
    """Answer a question about the past, with the event that says it was asked.

    *points* is what the points in *command* are.
    """
    found: Any
    match command:
        case WhoRead():
            period = history.period(points)
            _refuse_unknown_secret(logs, command.name)
            found, what = list(disclosure.who_read(logs, command, period)), "who-read"
        case Exposed():
            names.check_asked(command.principal)
            found, what = disclosure.exposure(logs, command), "exposure"
        case Blame():
            found, what = _blame(logs, command, points), "blame"
        case BlameBoundary():
            _, size = logs.at(points)
            found, what = list(rule_blame.blame(logs.changes, logs.rows, size)), "blame"
        case WhoCould():
            found, what = list(_who_could(logs, command, points)), "who-could"
        case Explain():
            found, what = _explain(logs, command, points), "explain"
        case Diff():
            found, what = _diff(logs, command, points), "diff"
        case DiffFork():
            found, what = _diff_fork(logs, command), "diff"
        case ShowFields():
            found, what = _shown(logs, command), "prove"
        case PlanRestore():
            found, what = plan_restore(logs, command, points["to"].size), "plan"
        case _:
            raise TypeError(f"{type(command).__name__} is not a question about the past")
    count = len(_things(found))
    name = str(getattr(command, "name", ""))
    then = points.get("as_of") or points.get("to")
    as_of = None if then is None else then.size
    at = logs.changes.size
    return Answered(found, HistoryRead(at=at, count=count, name=name, what=what, as_of=as_of))


def _concerning(rows: Rows, name: str, first: int) -> Iterator[int]:
    return history.positions_of(rows, Table.BY_NAME, by_name_key(name, 0).owner, first)


# --- changes --------------------------------------------------------------------------------------


def _blame(logs: Logs, command: Blame, points: Resolutions) -> list[answers.BlameFact]:
    names.check_name(command.name)
    rows, size = logs.at(points)
    secret = rows.get(secret_key(command.name), Secret)
    if secret is None:
        concerning = _concerning(logs.rows, command.name, 0)
        found = storage_history.blame(logs, command.name, rows, size, concerning)
        if found is None or command.version:
            raise secrets.not_found(command.name, command.version)
        return found
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


def _shown(logs: Logs, command: ShowFields) -> Shown:
    log = logs.changes if command.log == "changes" else logs.access
    opened = log.opened(command.position)
    return show(opened.meta, opened.seed, command.fields)


def _who_could(logs: Logs, command: WhoCould, points: Resolutions) -> Iterator[answers.CouldFact]:
    names.check_name(command.name)
    wanted = (command.permission,) if command.permission else ()
    needed = set(access.expand(wanted, access.SECRET_PERMISSIONS))
    rows, _ = logs.at(points)
    settings = rows.get(settings_key(), Settings)
    if settings is None:
        return  # it was not there yet
    if settings.deleted_date is not None:
        yield from _who_could_end(settings)
        return
    boundary = rules.boundary_of(rows)
    for policy in sorted(rows.policies(), key=_holder):
        if policy.secrets and needed <= set(policy.secrets):
            yield answers.CouldFact(
                principal=policy.object_id,
                permissions=policy.secrets,
                rule=f"policy #{policy.at}",
                position=policy.at,
                application=policy.application_id,
                origins=explaining.origins(boundary, policy.object_id, policy.application_id),
            )
    yield from _administrators(settings, ("grant",))


def _who_could_end(settings: Settings) -> Iterator[answers.CouldFact]:
    """A deleted vault answers nobody; a purged one is brought back by nobody."""
    if not settings.purged:
        yield from _administrators(settings, ("recover vault",))


def _administrators(settings: Settings, may: tuple[str, ...]) -> Iterator[answers.CouldFact]:
    for principal in settings.administrators:
        yield answers.CouldFact(
            principal=principal,
            permissions=may,
            rule="administrator",
            position=settings.at,
            # The boundary is for secrets: who may change it is never cut off by it.
            origins=(explaining.ANYWHERE,),
        )


def _holder(policy: Policy) -> str:
    return policy.holder


def _explain(logs: Logs, command: Explain, points: Resolutions) -> answers.Explanation:
    rows, _ = logs.at(points)
    return explaining.explain(rows, settings_of(rows), rules.boundary_of(rows), command)


def _diff(logs: Logs, command: Diff, points: Resolutions) -> list[Difference]:
    before, after = points["before"].size, points["after"].size
    if before > after:
        raise PointsReversed
    names.check_asked(*command.names)
    _refuse_unknown(logs, command.names)
    found = _between(logs, before, after)
    wanted = {name.upper() for name in command.names}
    return [one for one in found if not wanted or parted(one.name)[0].upper() in wanted]


def _between(logs: Logs, before: int, after: int) -> list[Difference]:
    sides = Sides(logs.as_of(before), logs.as_of(after), logs.rows, logs.content)
    return differences.diff(sides, logs.changes.entries(before, after))


def _diff_fork(logs: Logs, command: DiffFork) -> answers.Aftermath:
    then, now = logs.as_of(command.common), logs.as_of(command.size)
    found = _between(logs, command.common, command.size)
    touched = (forks.touched(one.what, one.name, then, now, logs.content) for one in found)
    return answers.Aftermath(differences=tuple(found), touched=tuple(touched))


def _refuse_unknown_secret(logs: Logs, name: str) -> None:
    """That nobody read a secret which never was would be believed of the one that was meant."""
    names.check_name(name)
    known = listed_key(Table.KNOWN_SECRETS, secret_key(name).owner)
    if logs.rows.get(known, Mark) is None and not storage_history.is_known(logs.rows, name):
        raise secrets.not_found(name)


def _refuse_unknown(logs: Logs, asked: tuple[str, ...]) -> None:
    """A name that never was is misspelt: that nothing happened to it would mislead."""
    for name in asked:
        owners = (
            (Table.KNOWN_SECRETS, secret_key(name).owner),
            (Table.KNOWN_POLICIES, policy_key(name).owner),
        )
        if any(logs.rows.get(listed_key(*owner), Mark) for owner in owners):
            continue
        known = (one.name for _, one in logs.rows.scan(Table.KNOWN_POLICIES, Known))
        is_policy = any(parted(one)[0] == name for one in known)
        if not is_policy and not storage_history.is_known(logs.rows, name):
            raise secrets.not_found(name)


# --- retold ---------------------------------------------------------------------------------------


class Retold(NamedTuple):
    """Records to be given out one after the other, once the event that says so is committed."""

    event: HistoryRead
    items: Iterator[Any]


def retell(books: history.Books, command: ReadHistory | Replay, points: Resolutions) -> Retold:
    """Find the records that are asked for.  Raise PositionUnknown or BadParameter."""
    names.check_asked(command.name, command.principal)
    telling: history.Telling
    if isinstance(command, Replay):
        start, stop = history.period(points)
        asked = ReadHistory(name=command.name, principal=command.principal, start=start, stop=stop)
        what, telling = "replay", _step
    else:
        asked, what, telling = _placed(command, points), "log", history.just_item
    found = history.find(books, asked)
    name = str(getattr(command, "name", ""))
    at = books["changes"].size
    event = HistoryRead(at=at, count=found.total, name=name, what=what)
    return Retold(event, history.tell(books, asked, found, telling))


def _placed(command: ReadHistory, points: Resolutions) -> ReadHistory:
    """*command* with the positions that its points turned out to be."""
    since, until = points.get("since"), points.get("until")
    if since is not None:
        command = replace(command, from_event=max(since.size - 1, 0))
    if until is not None:
        command = replace(command, before_event=max(until.size - 1, 0))
    return command


def _step(
    source: history.Source, item: answers.HistoryItem, entry: Entry[Any]
) -> answers.ReplayStep:
    if item.log != "changes":
        return answers.ReplayStep(item=item)
    sides = Sides(
        PastRows(source.rows, item.position),
        PastRows(source.rows, item.position + 1),
        source.rows,
        partial(_content, source.snapshot),
    )
    return answers.ReplayStep(item=item, differences=tuple(differences.diff(sides, [entry])))


# --- going back -----------------------------------------------------------------------------------


def plan_restore(logs: Logs, command: PlanRestore, to: int) -> answers.RestorePlan:
    """What going back to when `changes` had *to* records would do."""
    for name in command.names:
        names.check_name(name)
    if command.names and command.policies:
        raise RestoreUnclear
    _refuse_unknown(logs, command.names)
    then = logs.as_of(to)
    steps = restoring.plan(logs.rows, then, command, logs.erased_by)
    steps += storage_restoring.plan(logs.rows, then, command, logs.erased_by, logs.content)
    return answers.RestorePlan(
        to=to,
        head=logs.changes.size,
        steps=tuple(steps),
        stays=restoring.stays(logs.rows, then, command),
    )
