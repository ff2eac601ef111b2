"""Questions about the past, and what of the past leaves the vault.

Each is let in and answered from one moment of both logs; the event that says so is committed to
`access` before anything is given out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vault import forensics, history
from vault.caller import Caller
from vault.commands import Command
from vault.history_commands import PackageEvidence, ReadHistory, Replay
from vault.open_vault import OpenVault
from vault.resolving import Seen
from vault.trace import context

if TYPE_CHECKING:
    from vault.packaging import Packaging


def answer(vault: OpenVault, caller: Caller, command: Command[Any], seen: Seen) -> Any:
    """What *command* asks of the past.  Raise the refusal."""
    match command:
        case ReadHistory() | Replay():
            return _retold(vault, caller, command, seen)
        case PackageEvidence():
            return _packaged(vault, caller, command, seen)
        case _:
            return _asked(vault, caller, command, seen)


def _asked(vault: OpenVault, caller: Caller, command: Command[Any], seen: Seen) -> Any:
    if isinstance(command, forensics.OF_THE_TRAIL):
        vault.trail.keep_up(vault.access)
    with vault.changes.snapshot() as changes, vault.access.snapshot() as access:
        rows, rule = vault.admit(changes, caller, command, seen)
        trail = vault.trail.rows(access)
        logs = forensics.Logs(changes, rows, access, trail, vault.changes.now())
        answered = forensics.answer(logs, command, seen.points)
    vault.record_read(caller, rule, answered.event)
    return answered.answer


def _retold(
    vault: OpenVault, caller: Caller, command: ReadHistory | Replay, seen: Seen
) -> Iterator[Any]:
    with vault.changes.snapshot() as changes, vault.access.snapshot() as access:
        _, rule = vault.admit(changes, caller, command, seen)
        books = {
            "changes": history.Book(vault.changes, vault.views, changes.size),
            "access": history.Book(vault.access, vault.trail, access.size),
        }
    retold = forensics.retell(books, command, seen.points)
    vault.record_read(caller, rule, retold.event)
    return retold.items


def _packaged(vault: OpenVault, caller: Caller, command: PackageEvidence, seen: Seen) -> Packaging:
    from vault.packaging import begin  # most commands never show the past to others

    with vault.changes.snapshot() as changes, vault.access.snapshot() as access:
        rows, rule = vault.admit(changes, caller, command, seen)
        logs = {"changes": vault.changes, "access": vault.access}
        packaging = begin(logs, changes, rows, access, command, seen.points)
    vault.record_read(caller, rule, packaging.reading)
    return packaging.for_whom(context(caller, rule))
