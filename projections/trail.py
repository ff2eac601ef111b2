"""Which records concern a name or a principal, and which versions a principal was given.  Pure.

Kept for both logs: a mark for each record under the name that it is about.  For `access`, where the
many records are, also one under its principal, and the exposure of each principal: every version it
ever read, with how often and when, which is what must be changed after that principal leaked.

What is of a SAS definition has marks under its account and under the secret's name that its tokens
are read as.  A token has one more under its principal, in the order in which they expire.

A value also leaves in a backup blob, which `changes` records: its exposure stands there, and a mark
under the secret's name.  And it leaves with a copy of the whole vault, which `access` records: there
a mark under the principal, and one for anybody, since such a copy is about every name.  What was
granted to an auditor, metadata alone, has a mark as well.

To apply an entry once more, when later ones were applied already, changes nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from eventstore.access_events import SecretRead, VaultRead
from eventstore.event import Event
from eventstore.events import AuditGranted, SecretBackedUp
from eventstore.record import Entry
from eventstore.storage_events import SasTokenIssued, StorageAccountBackedUp
from projections.rows import (
    Exposure,
    Mark,
    Put,
    Rows,
    Table,
    Version,
    backed_up_key,
    by_name_key,
    by_principal_key,
    copied_key,
    exposure_key,
    granted_key,
    owner_of,
    secret_key,
    token_key,
)

ANYBODY = ""
COPY = "copy"
"""What `vault.read` says of a copy of the whole vault."""

_MARK = Mark()


def name_of(event: Any) -> str:
    """The secret's name that *event* is about, or the principal whose policy it is, or nothing."""
    name: str = getattr(event, "name", "") or getattr(event, "object_id", "")
    return name


@cache
def _is_of_storage(kind: type[Event]) -> bool:
    return not {"sas", "account"}.isdisjoint(kind.__struct_fields__)


def names_of(event: Any) -> tuple[str, ...]:
    """All names that *event* is found by."""
    name, kind = name_of(event), event.__class__
    if not _is_of_storage(kind):
        return (name,)
    sas: str = getattr(event, "sas", "")
    account: str = getattr(event, "account", "")
    if account:
        return (name, account)
    return (name, f"{name}-{sas}") if sas else (name,)


def apply(rows: Rows, entry: Entry[Any]) -> list[Put]:
    """All rows of `access` that *entry* changes."""
    principal, at = entry.context.principal, entry.position
    puts = [*_by_name(entry), Put(by_principal_key(principal, at), _MARK)]
    match entry.event:
        case SecretRead(name=name, version=version):
            puts.append(_exposed(rows, entry, name, version))
        case SasTokenIssued(expires=expires):
            puts.append(Put(token_key(principal, expires, at), _MARK))
        case VaultRead(what=what) if what == COPY:
            puts += [Put(copied_key(who, at), _MARK) for who in (ANYBODY, principal)]
        case _:
            pass
    return puts


def of_changes(rows: Rows, entry: Entry[Any]) -> list[Put]:
    """The rows of the trail that *entry* changes in `changes`."""
    puts = _by_name(entry)
    if isinstance(entry.event, AuditGranted):
        puts.append(Put(granted_key(entry.position), _MARK))
    if isinstance(entry.event, SecretBackedUp):
        name = entry.event.name
        puts.append(Put(backed_up_key(name, entry.position), _MARK))
        for _, version in rows.scan(Table.VERSIONS, Version, secret_key(name).owner):
            puts.append(_exposed(rows, entry, name, version.version))
    if isinstance(entry.event, StorageAccountBackedUp):
        owner = owner_of(entry.event.name)
        puts.append(Put(backed_up_key(owner, entry.position), _MARK))
    return puts


def _by_name(entry: Entry[Any]) -> list[Put]:
    at = entry.position
    return [Put(by_name_key(name, at), _MARK) for name in names_of(entry.event) if name]


def _exposed(rows: Rows, entry: Entry[Any], name: str, version: str) -> Put:
    key, at = exposure_key(entry.context.principal, version), entry.position
    known = rows.get(key, Exposure)
    if known is None:
        return Put(key, Exposure(name, version, at, at, 1))
    if known.last >= at:
        return Put(key, known)  # it counts this record already: see `projections.late`
    return Put(key, Exposure(name, version, known.first, at, known.count + 1))
