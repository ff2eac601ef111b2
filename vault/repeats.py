"""A request that comes twice is carried out once.

A caller who gives a request id and does not hear the answer asks again with the same id.  The id
stands in the event, so the log itself says whether it was carried out; a second request under the
same id must ask for the same thing.  No fingerprint of a request is kept, because one that outlives
a purge would let its value be guessed: what was recorded is opened and compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from eventstore import events, rule_events, storage_events
from eventstore.errors import KeyErased, RequestIdReused
from eventstore.event import Event
from eventstore.record import Entry
from eventstore.transaction import Snapshot
from projections.past import PastRows
from projections.rows import (
    Backup,
    Erasure,
    Request,
    Rows,
    Table,
    Version,
    backup_key,
    erasure_key,
    owner_of,
    request_key,
    secret_key,
)
from vault import (
    backup,
    commands,
    names,
    policies,
    rule_commands,
    rules,
    storage_commands,
    storage_repeats,
)
from vault.caller import Caller
from vault.refusals import VaultError

_MOST_RESTORED = 10_000
"""More events than this of one restore are not compared with a repetition."""

_MOST_RULES = 1 + 2 * policies.MAX_POLICIES + 1
"""A change of the rules has no more events: the settings, all policies gone and set, the boundary."""

_RECORDED: dict[type[Any], type[Event]] = {
    commands.SetSecret: events.SecretSet,
    commands.ImportSecrets: events.SecretSet,
    commands.UpdateSecret: events.SecretUpdated,
    commands.DeleteSecret: events.SecretDeleted,
    commands.RecoverDeletedSecret: events.SecretRecovered,
    commands.PurgeDeletedSecret: events.SecretPurged,
    commands.BackupSecret: events.SecretBackedUp,
    commands.RestoreSecret: events.SecretRestored,
    rule_commands.DeleteVault: rule_events.VaultDeleted,
    rule_commands.RecoverVault: rule_events.VaultRecovered,
    rule_commands.PurgeVault: rule_events.VaultPurged,
}


def _count(command: commands.Command[Any], known: int) -> int:
    """How many events *command* leads to; a blob does not tell before it is opened."""
    match command:
        case commands.ImportSecrets(items=items):
            return len(items)
        case commands.RestoreSecret() | storage_commands.RestoreStorageAccount():
            return min(known, _MOST_RESTORED)
        case rule_commands.UpdateVault() | rule_commands.ChangePolicies():
            return min(known, _MOST_RULES)
        case _:
            return 1


def carried_out(
    snapshot: Snapshot,
    rows: Rows,
    caller: Caller,
    command: commands.Command[Any],
    store_id: Callable[[], bytes],
) -> list[Entry[Any]]:
    """The events that *command* led to when it came before; none if it is new.

    Raise RequestIdReused if its id stands with another request, and is not a shared one.
    """
    known = None
    if caller.request:
        known = rows.get(request_key(caller.principal, caller.request), Request)
    if known is None:
        return []
    # Looked at first: an id that a caller sends with all that it does stands in many records.
    if known.count == _count(command, known.count):
        past = [snapshot.entry(known.at + index) for index in range(known.count)]
        if _is_repeated(snapshot, rows, command, past, store_id):
            return past
    if caller.shared:
        return []
    raise RequestIdReused


def _is_repeated(
    snapshot: Snapshot,
    rows: Rows,
    command: commands.Command[Any],
    past: list[Entry[Any]],
    store_id: Callable[[], bytes],
) -> bool:
    """Whether *past* is what *command* would have recorded."""
    if isinstance(command, rules.RuleChange):
        return _same_rules(rows, command, past)
    kind = _RECORDED.get(type(command)) or storage_repeats.RECORDED[type(command)]
    if type(past[0].event) is not kind:
        return False
    event: Any = past[0].event
    match command:
        case commands.SetSecret():
            return len(past) == 1 and _same_set(snapshot, command, past[0])
        case commands.ImportSecrets(items=items):
            return len(past) == len(items) and all(
                _same_set(snapshot, item, entry) for item, entry in zip(items, past, strict=True)
            )
        case commands.UpdateSecret():
            return _same_update(snapshot, rows, command, past[0])
        case (
            commands.PurgeDeletedSecret(name=name, backups=backups)
            | storage_commands.PurgeDeletedStorageAccount(name=name, backups=backups)
        ):
            # With no backup issued, both forms of the command do the same.
            same = _same_name(name, event.name) and (backups or not event.backups)
            return same and not (backups and _left_backups(snapshot, rows, past[0]))
        case commands.RestoreSecret(blob=blob) | storage_commands.RestoreStorageAccount(blob=blob):
            header = backup.read_header(blob, store_id())
            return (header.backup_key, header.log_id.hex()) == (event.backup_key, event.origin)
        case (
            rule_commands.DeleteVault() | rule_commands.RecoverVault() | rule_commands.PurgeVault()
        ):
            return True  # of which vault, its log says
        case _ if type(command) in storage_repeats.RECORDED:
            return storage_repeats.is_repeated(snapshot, command, past[0])
        case _:
            return _same_name(event.name, getattr(command, "name", ""))


def _same_name(one: str, other: str) -> bool:
    return names.folded(one) == names.folded(other)


def _same_set(snapshot: Snapshot, command: commands.SetSecret, entry: Entry[Any]) -> bool:
    event = entry.event
    asked = (names.folded(command.name), command.enabled, command.nbf, command.exp)
    if asked != (names.folded(event.name), event.enabled, event.nbf, event.exp):
        return False
    try:
        content = snapshot.content(entry.position, entry.content_key or 0)
    except KeyErased:
        return False
    wanted = (command.value, command.content_type, command.tags or None)
    return wanted == (content.value, content.content_type, content.tags)


def _same_update(
    snapshot: Snapshot, rows: Rows, command: commands.UpdateSecret, entry: Entry[Any]
) -> bool:
    event = entry.event
    version = command.version.lower() or _newest_before(rows, event.name, entry.position)
    if not _same_name(command.name, event.name) or version != event.version:
        return False
    try:
        content = snapshot.content(entry.position, entry.content_key or 0)
    except KeyErased:
        return False
    stands = {
        "content_type": content.content_type,
        "tags": content.tags,
        "enabled": event.enabled,
        "nbf": event.nbf,
        "exp": event.exp,
    }
    asked = {name: getattr(command, name) for name in stands}
    asked["tags"] = None if asked["tags"] == {} else asked["tags"]
    return all(
        name not in event.changed if asked[name] is UNSET else asked[name] == value
        for name, value in stands.items()
    )


def _newest_before(rows: Rows, name: str, position: int) -> str:
    """The version of secret *name* that was current at *position*."""
    found = rows.scan(Table.VERSIONS, Version, secret_key(name).owner)
    older = [version for _, version in found if version.value_at < position]
    return max(older, key=lambda version: version.value_at).version if older else ""


def _left_backups(snapshot: Snapshot, rows: Rows, purge: Entry[Any]) -> bool:
    """Whether *purge* left a backup that it could have destroyed: one of this vault."""
    left: tuple[int, ...] = ()
    pending = rows.get(erasure_key(purge.position), Erasure)
    if pending is not None:
        left = pending.open_backups
    for entry in () if pending else snapshot.entries(purge.position + 1):
        if isinstance(entry.event, events.KeysErased) and entry.context.cause == purge.position:
            left = entry.event.open_backups
            break
    owner: str = purge.event.name
    if isinstance(purge.event, storage_events.StorageAccountPurged):
        owner = owner_of(owner)
    known = (rows.get(backup_key(owner, number), Backup) for number in left)
    return any(one is None or not one.foreign for one in known)


def _same_rules(rows: Rows, command: rules.RuleChange, past: list[Entry[Any]]) -> bool:
    """Whether *command* leads to the events in *past* when it is decided as of then."""
    if not isinstance(past[0].event, rules.RULE_EVENTS):
        return False
    try:
        decided = rules.decide(PastRows(rows, past[0].position), command)
    except VaultError:
        return False
    return decided == [entry.event for entry in past]
