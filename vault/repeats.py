"""A request that comes twice is carried out once.

A caller who gives a request id and does not hear the answer asks again with the same id.  The id
stands in the event, so the log itself says whether it was carried out; a second request under the
same id must ask for the same thing.  No fingerprint of a request is kept, because one that outlives
a purge would let its value be guessed: what was recorded is opened and compared.
"""

from __future__ import annotations

from typing import Any

from eventstore import events
from eventstore.errors import KeyErased
from eventstore.record import Entry
from eventstore.transaction import Snapshot
from projections.rows import Request, Rows, request_key
from vault import commands, names
from vault.caller import Caller

_RECORDED: dict[type[Any], type[events.Event]] = {
    commands.SetSecret: events.SecretSet,
    commands.ImportSecrets: events.SecretSet,
    commands.UpdateSecret: events.SecretUpdated,
    commands.DeleteSecret: events.SecretDeleted,
    commands.RecoverDeletedSecret: events.SecretRecovered,
    commands.PurgeDeletedSecret: events.SecretPurged,
    commands.BackupSecret: events.SecretBackedUp,
    commands.RestoreSecret: events.SecretRestored,
    commands.SetPolicy: events.PolicySet,
    commands.DeletePolicy: events.PolicyDeleted,
    commands.UpdateVault: events.VaultUpdated,
}


def recorded(snapshot: Snapshot, rows: Rows, caller: Caller) -> list[Entry[Any]]:
    """The events that this caller's request id led to before; none if it is new or not given."""
    if not caller.request:
        return []
    known = rows.get(request_key(caller.principal, caller.request), Request)
    if known is None:
        return []
    return [snapshot.entry(known.at + index) for index in range(known.count)]


def is_repeated(snapshot: Snapshot, command: commands.Command[Any], past: list[Entry[Any]]) -> bool:
    """Whether *past* is what *command* would have recorded."""
    if type(past[0].event) is not _RECORDED[type(command)]:
        return False
    event: Any = past[0].event
    match command:
        case commands.SetSecret():
            return len(past) == 1 and _same_set(snapshot, command, past[0])
        case commands.ImportSecrets(items=items):
            return len(past) == len(items) and all(
                _same_set(snapshot, item, entry) for item, entry in zip(items, past, strict=True)
            )
        case commands.SetPolicy(object_id=who) | commands.DeletePolicy(object_id=who):
            return bool(event.object_id == who)
        case commands.UpdateVault() | commands.RestoreSecret():
            return True
        case _:
            return names.folded(event.name) == names.folded(getattr(command, "name", ""))


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
