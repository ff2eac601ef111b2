"""Going back to a point, for storage accounts and SAS definitions.  Pure.

Attributes and definitions come back; keys never do.  A key of then is one that the provider takes no
more, so the keys stay as they are, and the plan says which have changed since.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from eventstore.event import SecretContent
from eventstore.storage_events import (
    SasDefinitionDeleted,
    SasDefinitionRecovered,
    SasDefinitionSet,
    SasDefinitionUpdated,
    StorageAccountDeleted,
    StorageAccountRecovered,
    StorageAccountUpdated,
)
from projections.difference import Contents, Field, Holder, fields
from projections.rows import (
    Known,
    Rows,
    SasDefinition,
    Secret,
    StorageAccount,
    Table,
    sas_key,
    secret_key,
    storage_key,
)
from projections.storage_diff import ACCOUNT, DEFINITION, WHAT_ACCOUNT, WHAT_DEFINITION
from vault.answers import RestoreStep
from vault.history_commands import PlanRestore
from vault.periods import DAY
from vault.secrets import Decision, Facts

KEPT: Final = "kept"
"""A step that does nothing: it names the keys that changed and stay."""

_ATTRIBUTES = tuple(name for name in ACCOUNT if name != "resource_id")


def plan(
    now: Rows, then: Rows, command: PlanRestore, erased_by: Any, contents: Contents
) -> Iterator[RestoreStep]:
    """What would be done, by account."""
    wanted = {name.upper() for name in command.names}
    known = sorted({one.name.upper() for _, one in now.scan(Table.KNOWN_STORAGE, Known)})
    for name in known:
        was, stands = (rows.get(storage_key(name), StorageAccount) for rows in (then, now))
        steps = list(_account(was, stands, command, erased_by, contents))
        if was is not None and stands is not None and was.key == stands.key:
            steps += _definitions(now, then, was, command, contents)
        for step in steps:
            if not wanted or {name, step.name.upper()} & wanted:
                yield step


def _account(
    was: StorageAccount | None,
    stands: StorageAccount | None,
    command: PlanRestore,
    erased_by: Any,
    contents: Contents,
) -> Iterator[RestoreStep]:
    if was is None or was.deleted_date is not None:
        if command.prune and stands is not None and stands.deleted_date is None:
            yield RestoreStep(action="delete", name=stands.name, what=WHAT_ACCOUNT)
        return
    if stands is None or stands.key != was.key:
        by = erased_by(was)
        yield RestoreStep(action="lost", name=was.name, erased_by=by, what=WHAT_ACCOUNT)
        return
    if stands.deleted_date is not None:
        yield RestoreStep(action="recover", name=was.name, what=WHAT_ACCOUNT)
    differs = fields(was, stands, *_ATTRIBUTES)
    differs += _contents_differ(contents, (was, was.tags_at), (stands, stands.tags_at), "tags")
    if differs:
        yield _attributes(was.name, WHAT_ACCOUNT, differs)
    changed = [
        name for name in was.key_prints if was.key_prints[name] != stands.key_prints.get(name)
    ]
    if changed:
        told = tuple(sorted(changed))
        yield RestoreStep(action=KEPT, name=was.name, after=told, what=WHAT_ACCOUNT)


def _definitions(
    now: Rows, then: Rows, account: StorageAccount, command: PlanRestore, contents: Contents
) -> Iterator[RestoreStep]:
    known = sorted(
        {one.name for rows in (now, then) for one in rows.sas_definitions(account.name)},
        key=str.upper,
    )
    for name in known:
        key = sas_key(account.name, name)
        was, stands = (rows.get(key, SasDefinition) for rows in (then, now))
        yield from _definition(now, was, stands, command, contents)


def _definition(
    now: Rows,
    was: SasDefinition | None,
    stands: SasDefinition | None,
    command: PlanRestore,
    contents: Contents,
) -> Iterator[RestoreStep]:
    if was is None or was.deleted_date is not None:
        if command.prune and stands is not None and stands.deleted_date is None:
            yield RestoreStep(action="delete", name=stands.secret_name, what=WHAT_DEFINITION)
        return
    name = was.secret_name
    if stands is None:
        taken = now.get(secret_key(name), Secret) is not None
        yield RestoreStep(action="lost" if taken else "set", name=name, what=WHAT_DEFINITION)
        return
    if stands.deleted_date is not None:
        yield RestoreStep(action="recover", name=name, what=WHAT_DEFINITION)
    places = ((was, was.content_at), (stands, stands.content_at))
    differs = fields(was, stands, *DEFINITION)
    differs += _contents_differ(contents, *places, "template", "tags")
    if differs:
        yield _attributes(name, WHAT_DEFINITION, differs)


def _contents_differ(
    contents: Contents, was: tuple[Holder, int], stands: tuple[Holder, int], *names: str
) -> tuple[Field, ...]:
    if was[1] == stands[1]:
        return ()
    return fields(contents(*was), contents(*stands), *names)


def _attributes(name: str, what: str, differs: tuple[Field, ...]) -> RestoreStep:
    return RestoreStep(
        action="attributes",
        name=name,
        what=what,
        before={one.name: one.after for one in differs},
        after={one.name: one.before for one in differs},
    )


# --- doing it -------------------------------------------------------------------------------------


def decide(
    now: Rows, then: Rows, step: RestoreStep, contents: Contents, facts: Facts
) -> Decision | None:
    """The event that does *step*; None for what is lost or kept."""
    if step.what == WHAT_ACCOUNT:
        return _decide_account(now, then, step, contents, facts)
    account, _, sas = step.name.partition("-")
    was, stands = (rows.get(sas_key(account, sas), SasDefinition) for rows in (then, now))
    shown = stands or was
    if shown is None:
        return None
    match step.action:
        case "recover":
            return Decision(SasDefinitionRecovered(name=shown.account, sas=shown.name))
        case "delete":
            due = facts.now + facts.settings.retention_days * DAY
            event = SasDefinitionDeleted(name=shown.account, sas=shown.name, scheduled_purge=due)
            return Decision(event)
        case "set" | "attributes" if was is not None:
            return _defined(was, step, contents)
        case _:
            return None


def _defined(was: SasDefinition, step: RestoreStep, contents: Contents) -> Decision | None:
    content = contents(was, was.content_at)
    if content is None:
        return None
    told: dict[str, Any] = {
        "name": was.account,
        "sas": was.name,
        "sas_type": was.sas_type,
        "period": was.period,
        "enabled": was.enabled,
    }
    if step.action == "set":
        return Decision(SasDefinitionSet(**told), content, was.key)
    changed = (*DEFINITION, "template", "tags")
    return Decision(SasDefinitionUpdated(**told, changed=changed), content, was.key)


def _decide_account(
    now: Rows, then: Rows, step: RestoreStep, contents: Contents, facts: Facts
) -> Decision | None:
    was, stands = (rows.get(storage_key(step.name), StorageAccount) for rows in (then, now))
    match step.action:
        case "recover":
            return Decision(StorageAccountRecovered(name=step.name))
        case "delete":
            due = facts.now + facts.settings.retention_days * DAY
            return Decision(StorageAccountDeleted(name=step.name, scheduled_purge=due))
        case "attributes" if was is not None and stands is not None:
            content = contents(was, was.tags_at) or SecretContent()
            # A key that is no more does not come back as the active one either.
            active = was.active_key if was.active_key in stands.key_prints else stands.active_key
            event = StorageAccountUpdated(
                name=stands.name,
                changed=(*_ATTRIBUTES, "tags"),
                active_key=active,
                auto_regenerate=was.auto_regenerate,
                period=was.period,
                enabled=was.enabled,
            )
            return Decision(event, SecretContent(tags=content.tags), stands.key)
        case _:
            return None
