"""Whether a change of storage that comes twice asks for what was recorded the first time."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from eventstore import storage_events
from eventstore.errors import KeyErased
from eventstore.event import Event, SecretContent
from eventstore.record import Entry
from eventstore.transaction import Snapshot
from vault import commands, names, storage_commands

RECORDED: Final[dict[type[Any], type[Event]]] = {
    storage_commands.SetStorageAccount: storage_events.StorageAccountSet,
    storage_commands.UpdateStorageAccount: storage_events.StorageAccountUpdated,
    storage_commands.DeleteStorageAccount: storage_events.StorageAccountDeleted,
    storage_commands.RecoverDeletedStorageAccount: storage_events.StorageAccountRecovered,
    storage_commands.PurgeDeletedStorageAccount: storage_events.StorageAccountPurged,
    storage_commands.BackupStorageAccount: storage_events.StorageAccountBackedUp,
    storage_commands.RestoreStorageAccount: storage_events.StorageAccountRestored,
    storage_commands.RegenerateKey: storage_events.StorageKeyRegenerating,
    storage_commands.SyncStorageKeys: storage_events.StorageKeysSynced,
    storage_commands.SetSasDefinition: storage_events.SasDefinitionSet,
    storage_commands.UpdateSasDefinition: storage_events.SasDefinitionUpdated,
    storage_commands.DeleteSasDefinition: storage_events.SasDefinitionDeleted,
    storage_commands.RecoverDeletedSasDefinition: storage_events.SasDefinitionRecovered,
}
"""The first event of each command."""


def is_repeated(snapshot: Snapshot, command: commands.Command[Any], entry: Entry[Any]) -> bool:
    """Whether *entry* is what *command* would have recorded; its kind is the right one."""
    event = entry.event
    if not _same_names(command, event):
        return False
    match command:
        case storage_commands.SetStorageAccount() | storage_commands.SetSasDefinition():
            return _same(command, event, _content(snapshot, entry))
        case storage_commands.UpdateStorageAccount() | storage_commands.UpdateSasDefinition():
            asked = {name for name in command.__struct_fields__ if _is_asked(command, name)}
            return asked == set(event.changed) and _same(command, event, _content(snapshot, entry))
        case storage_commands.RegenerateKey(key_name=key_name):
            return bool(event.key_name == key_name)
        case _:
            return True


def _same_names(command: Any, event: Any) -> bool:
    asked, found = [command.name], [event.name]
    if hasattr(event, "sas"):
        asked, found = [command.account, command.name], [event.name, event.sas]
    return [*map(names.folded, asked)] == [*map(names.folded, found)]


def _is_asked(command: Any, name: str) -> bool:
    return name not in ("account", "name") and getattr(command, name) is not UNSET


def _content(snapshot: Snapshot, entry: Entry[Any]) -> SecretContent | None:
    try:
        return snapshot.content(entry.position, entry.content_key or 0)
    except KeyErased:
        return None


def _same(command: Any, event: Any, content: SecretContent | None) -> bool:
    """Whether each field that the command gives is as it was recorded."""
    if content is None:
        return False
    for name in command.__struct_fields__:
        if not _is_asked(command, name):
            continue
        wanted = getattr(command, name)
        known = getattr(content if name in ("template", "tags") else event, name)
        if (wanted or None if name == "tags" else wanted) != known:
            return False
    return True
