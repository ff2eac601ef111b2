"""The past of storage accounts: who was given a token, what it is worth now, and who changed what.

A token is worth something until it expires, or until the key that signed it gets another value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from eventstore.event import SecretContent
from eventstore.record import Entry
from eventstore.storage_events import (
    SasDefinitionDeleted,
    SasDefinitionRecovered,
    SasDefinitionRestored,
    SasDefinitionSet,
    SasDefinitionUpdated,
    SasTokenIssued,
    StorageAccountBackedUp,
    StorageAccountDeleted,
    StorageAccountPurged,
    StorageAccountRecovered,
    StorageAccountRestored,
    StorageAccountSet,
    StorageAccountUpdated,
    StorageKeyRegenerated,
    StorageKeysSynced,
)
from projections.difference import Holder
from projections.rows import (
    Mark,
    Rows,
    SasDefinition,
    StorageAccount,
    Table,
    listed_key,
    sas_key,
    storage_key,
    token_key,
)
from projections.storage_diff import ACCOUNT, DEFINITION
from vault import answers, history, names, sas_definitions

if TYPE_CHECKING:
    from vault.forensics import Logs

VALID, VOID, EXPIRED = "valid", "void", "expired"
_POSITION_SIZE = 8


def is_known(rows: Rows, name: str) -> bool:
    """Whether there ever was a storage account of that name, or a definition behind that secret."""
    lists = [(Table.KNOWN_STORAGE, storage_key(name).owner)]
    parts = sas_definitions.parts(name)
    if parts is not None:
        lists.append((Table.KNOWN_SAS, sas_key(*parts).owner))
    return any(rows.get(listed_key(*one), Mark) is not None for one in lists)


# --- tokens ---------------------------------------------------------------------------------------


def is_token_of(event: Any, name: str) -> bool:
    """Whether *event* gave out a token of that secret, or of that account."""
    if not isinstance(event, SasTokenIssued):
        return False
    return names.folded(name) in (names.folded(event.name), names.folded(event.account))


def is_blob_of(event: Any, name: str) -> bool:
    """Whether *event* gave out a blob with the account of that name."""
    if not isinstance(event, StorageAccountBackedUp):
        return False
    return names.folded(name) == names.folded(event.name)


def exposure(
    logs: Logs, principal: str, time_of: Callable[[int], int]
) -> Iterator[answers.ExposureFact]:
    """The tokens that *principal* was given, put together by what they are worth now.

    One fact for each secret, key and worth; those that are still valid say until when.
    """
    groups: dict[tuple[str, str, str], list[tuple[int, SasTokenIssued]]] = {}
    now = logs.now // 1_000_000
    for order, _ in logs.trail.scan(Table.TOKENS, Mark, token_key(principal, 0, 0).owner):
        position = int.from_bytes(order[_POSITION_SIZE:], "big")
        entry = logs.access.entry(position)
        event = entry.event
        # A mark is not sealed: one that was put elsewhere must not name a wrong principal.
        if isinstance(event, SasTokenIssued) and entry.context.principal == principal:
            worth = _worth(logs, event, now)
            groups.setdefault((event.name, event.key_name, worth), []).append((position, event))
    for (name, key_name, worth), tokens in groups.items():
        positions = sorted(position for position, _ in tokens)
        yield answers.ExposureFact(
            name=name,
            version="",
            status=worth,
            count=len(tokens),
            first=positions[0],
            last=positions[-1],
            first_time=time_of(positions[0]),
            last_time=time_of(positions[-1]),
            how=("token",),
            key_name=key_name,
            expires=max(event.expires for _, event in tokens),
        )


def _worth(logs: Logs, event: SasTokenIssued, now: int) -> str:
    if event.expires <= now:
        return EXPIRED
    key = storage_key(event.account)
    signed = logs.as_of(event.at).get(key, StorageAccount)
    stands = logs.rows.get(key, StorageAccount)
    if signed is None or stands is None or signed.key != stands.key:
        # A purge here changes nothing over there: the key may be as good as it was.
        return VALID
    if signed.resource_id.lower() != stands.resource_id.lower():
        return VALID  # nor does an account that stands for another resource since
    same = signed.key_prints.get(event.key_name) == stands.key_prints.get(event.key_name)
    return VALID if same else VOID


# --- blame ----------------------------------------------------------------------------------------


def blame(
    logs: Logs, name: str, rows: Rows, size: int, concerning: Iterator[int]
) -> list[answers.BlameFact] | None:
    """Which event made each attribute of an account or a definition; None if there is none."""
    row = _found(rows, name)
    if row is None:
        return None
    made: dict[str, Entry[Any]] = {}
    for position in takewhile(size.__gt__, concerning):
        entry = logs.changes.entry(position)
        if isinstance(entry.event, StorageAccountPurged):
            made.clear()  # of an account that had the name before
        for attribute in _made_by(entry.event, row):
            made[attribute] = entry
    shown, content = _shown(logs, row)
    closed = ("tags", "template") if content is None else ()
    return [
        answers.BlameFact(
            attribute=attribute,
            value=shown.get(attribute),
            erased=attribute in closed,
            erased_by=logs.erased_by(row) if attribute in closed else None,
            position=entry.position,
            time=entry.time,
            operation=history.operation(entry),
            principal=entry.context.principal,
        )
        for attribute, entry in made.items()
    ]


def _found(rows: Rows, name: str) -> StorageAccount | SasDefinition | None:
    parts = sas_definitions.parts(name)
    if parts is not None:
        return rows.get(sas_key(*parts), SasDefinition)
    return rows.get(storage_key(name), StorageAccount)


def _shown(logs: Logs, row: Holder) -> tuple[dict[str, object], SecretContent | None]:
    shown: dict[str, object] = {"deleted": row.deleted_date is not None}
    if isinstance(row, StorageAccount):
        content = logs.content(row, row.tags_at)
        shown |= {name: getattr(row, name) for name in ACCOUNT}
    elif isinstance(row, SasDefinition):
        content = logs.content(row, row.content_at)
        shown |= {name: getattr(row, name) for name in DEFINITION}
        shown["template"] = None if content is None else content.template
    else:
        content = None
    shown["tags"] = None if content is None else content.tags
    return shown, content


def _made_by(event: Any, row: Holder) -> tuple[str, ...]:
    """Which attributes the event set, if it is about *row*."""
    if isinstance(row, SasDefinition):
        is_its = names.folded(getattr(event, "sas", "")) == names.folded(row.name)
        return _made_of_definition(event) if is_its else ()
    return _made_of_account(event)


def _made_of_definition(event: Any) -> tuple[str, ...]:
    match event:
        case SasDefinitionSet() | SasDefinitionRestored():
            return (*DEFINITION, "template", "tags")
        case SasDefinitionUpdated():
            return event.changed
        case SasDefinitionDeleted() | SasDefinitionRecovered():
            return ("deleted",)
        case _:
            return ()


def _made_of_account(event: Any) -> tuple[str, ...]:
    match event:
        case StorageAccountSet() | StorageAccountRestored():
            return (*ACCOUNT, "tags", *(f"key {name}" for name in sorted(event.key_prints)))
        case StorageAccountUpdated():
            return event.changed
        case StorageKeyRegenerated():
            key = f"key {event.key_name}"
            return (key, "active_key") if event.automatic else (key,)
        case StorageKeysSynced():
            return tuple(f"key {name}" for name in event.drifted)
        case StorageAccountDeleted() | StorageAccountRecovered():
            return ("deleted",)
        case _:
            return ()
