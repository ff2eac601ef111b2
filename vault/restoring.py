"""Going back to a point: first what it would do, then events that do it.  Pure.

Nothing is rewritten.  A deleted secret is recovered, a changed one gets its old value as a new
version with the attributes it had, a rule is set again.  What was purged is named as lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from eventstore.event import SecretContent
from eventstore.events import SecretDeleted, SecretRecovered, SecretSet, SecretUpdated
from eventstore.rule_events import PolicyDeleted, PolicySet
from projections.diff import boundary_fields
from projections.difference import Contents
from projections.rows import (
    Known,
    Policy,
    Rows,
    Secret,
    Table,
    Version,
    parted,
    policy_key,
    secret_key,
    version_key,
)
from vault import storage_restoring, widening
from vault.answers import RestoreStep
from vault.history_commands import PlanRestore
from vault.network_rules import event_of
from vault.rules import boundary_of
from vault.secrets import DAY, Decision, Facts

ErasedBy = Callable[[Secret], int | None]


def plan(now: Rows, then: Rows, command: PlanRestore, erased_by: ErasedBy) -> list[RestoreStep]:
    """What would be done, by name; policies and boundary last."""
    wanted = {name.upper() for name in command.names}
    steps: list[RestoreStep] = []
    known = {one.name for _, one in now.scan(Table.KNOWN_SECRETS, Known)}
    for name in sorted(known, key=str.upper):
        if not wanted or name.upper() in wanted:
            steps += _secret(now, then, name, command, erased_by)
    return steps + rules(now, then) if command.policies else steps


def rules(now: Rows, then: Rows) -> list[RestoreStep]:
    """What would be done to bring policies and boundary back."""
    return [*_policies(now, then), *_boundary(now, then)]


def stays(now: Rows, then: Rows, command: PlanRestore) -> tuple[str, ...]:
    """What *command* leaves otherwise than it stood then."""
    left = [] if command.policies or command.names else rules(now, then)
    return tuple(dict.fromkeys(step.action for step in left))


def _secret(
    now: Rows,
    then: Rows,
    name: str,
    command: PlanRestore,
    erased_by: ErasedBy,
) -> Iterator[RestoreStep]:
    was, stands = then.get(secret_key(name), Secret), now.get(secret_key(name), Secret)
    if was is None or was.deleted_date is not None:
        if command.prune and stands is not None and stands.deleted_date is None:
            yield RestoreStep(action="delete", name=stands.name)
        return
    if stands is None or stands.key != was.key:
        yield RestoreStep(action="lost", name=was.name, erased_by=erased_by(was))
        return
    if stands.deleted_date is not None:
        yield RestoreStep(action="recover", name=was.name)
    old = then.get(version_key(name, was.current), Version)
    new = now.get(version_key(name, stands.current), Version)
    if old is None or new is None:
        return
    if old.value_print != new.value_print:
        yield RestoreStep(action="value", name=was.name, version=old.version)
    elif command.attributes:
        yield from _attributes(was, old, new)
    if command.attributes:
        yield from _older_versions(now, then, was)


def _older_versions(now: Rows, then: Rows, was: Secret) -> Iterator[RestoreStep]:
    for _, old in then.scan(Table.VERSIONS, Version, secret_key(was.name).owner):
        new = now.get(version_key(was.name, old.version), Version)
        if new is not None and old.version != was.current:
            yield from _attributes(was, old, new)


def _attributes(was: Secret, old: Version, new: Version) -> Iterator[RestoreStep]:
    then = (old.enabled, old.nbf, old.exp, old.content_print)
    if then != (new.enabled, new.nbf, new.exp, new.content_print):
        yield RestoreStep(action="attributes", name=was.name, version=old.version)


def _policies(now: Rows, then: Rows) -> Iterator[RestoreStep]:
    known = sorted({one.name for _, one in now.scan(Table.KNOWN_POLICIES, Known)})
    for principal in known:
        was, stands = (rows.get(policy_key(principal), Policy) for rows in (then, now))
        before, after = (_permissions(policy) for policy in (stands, was))
        if before != after:
            wider = widening.policy(stands, was)
            yield RestoreStep(
                action="policy", name=principal, before=before, after=after, wider=wider
            )


def _boundary(now: Rows, then: Rows) -> Iterator[RestoreStep]:
    stands, was = boundary_of(now), boundary_of(then)
    fields = boundary_fields(stands, was)
    if fields:
        yield RestoreStep(
            action="boundary",
            name="",
            before={field.name: field.before for field in fields},
            after={field.name: field.after for field in fields},
            wider=widening.boundary(stands, was),
        )


def _permissions(policy: Policy | None) -> dict[str, tuple[str, ...]] | None:
    if policy is None:
        return None
    return {"secrets": policy.secrets, "storage": policy.storage}


def decide(
    now: Rows, then: Rows, step: RestoreStep, contents: Contents, facts: Facts
) -> Decision | None:
    """The event that does *step*; None for what is lost."""
    name = step.name
    if step.what != "secret":
        return storage_restoring.decide(now, then, step, contents, facts)
    match step.action:
        case "recover":
            return Decision(SecretRecovered(name=name))
        case "delete":
            due = facts.now + facts.settings.retention_days * DAY
            return Decision(SecretDeleted(name=name, scheduled_purge=due))
        case "policy":
            was = then.get(policy_key(name), Policy)
            if was is None:
                object_id, application_id = parted(name)
                return Decision(PolicyDeleted(object_id=object_id, application_id=application_id))
            return Decision(
                PolicySet(
                    object_id=was.object_id,
                    secrets=was.secrets,
                    storage=was.storage,
                    application_id=was.application_id,
                )
            )
        case "boundary":
            return Decision(event_of(boundary_of(then)))
        case "value" | "attributes":
            return _brought_back(now, then, step, contents, facts)
        case _:
            return None


def _brought_back(
    now: Rows, then: Rows, step: RestoreStep, contents: Contents, facts: Facts
) -> Decision | None:
    name = step.name
    was, stands = then.get(secret_key(name), Secret), now.get(secret_key(name), Secret)
    old = then.get(version_key(name, step.version), Version)
    if was is None or stands is None or old is None:
        return None
    described = contents(was, old.content_at)
    valued = contents(was, old.value_at)
    if described is None or valued is None:
        return None
    if step.action == "value":
        event = SecretSet(
            name=stands.name,
            version=facts.new_version(),
            enabled=old.enabled,
            nbf=old.nbf,
            exp=old.exp,
        )
        content = SecretContent(
            value=valued.value, content_type=described.content_type, tags=described.tags
        )
        return Decision(event, content, stands.key)
    update = SecretUpdated(
        name=stands.name,
        version=stands.current if old.version == was.current else old.version,
        changed=("content_type", "tags", "enabled", "nbf", "exp"),
        enabled=old.enabled,
        nbf=old.nbf,
        exp=old.exp,
    )
    content = SecretContent(content_type=described.content_type, tags=described.tags)
    return Decision(update, content, stands.key)
