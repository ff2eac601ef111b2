"""Many requests in one turn of a server, with one commit of each log for all of them.

Changes come first, so a read sees those that came with it.  Reads are answered from one snapshot, and
then one transaction holds the events of all reads and refusals; only after its commit does any of
those answers go.  A refusal hurts nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from eventstore.errors import MunimentError
from eventstore.record import Draft
from vault.caller import Caller
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    Malformed,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.keeping import Overdue
from vault.reading import READS
from vault.resolving import Seen
from vault.storage_commands import (
    BackupStorageAccount,
    DeleteSasDefinition,
    DeleteStorageAccount,
    RecoverDeletedSasDefinition,
    RecoverDeletedStorageAccount,
    RestoreStorageAccount,
    SetSasDefinition,
    UpdateSasDefinition,
    UpdateStorageAccount,
)
from vault.trace import REFUSED, refused

if TYPE_CHECKING:
    from vault.looking import Looking
    from vault.service import Vault

CHANGES = (
    SetSecret,
    UpdateSecret,
    DeleteSecret,
    RecoverDeletedSecret,
    BackupSecret,
    RestoreSecret,
    UpdateStorageAccount,
    DeleteStorageAccount,
    RecoverDeletedStorageAccount,
    BackupStorageAccount,
    RestoreStorageAccount,
    SetSasDefinition,
    UpdateSasDefinition,
    DeleteSasDefinition,
    RecoverDeletedSasDefinition,
)
"""The changes that need nothing but a place in a commit, and so may share one."""

_SHARED = (*CHANGES, *READS, Malformed)


class Ask(NamedTuple):
    """One of many requests."""

    caller: Caller
    command: Command[Any]


class _Asked:
    """One of many requests on its way: its outcome, and the trace that must be recorded first."""

    def __init__(self, ask: Ask) -> None:
        self.caller, self.command = ask
        self.seen = Seen()
        self.outcome: Any = None
        self.trace: Draft | None = None
        self.is_shared = isinstance(self.command, _SHARED)
        self.is_left = not self.is_shared

    def end(self, outcome: Any) -> None:
        self.outcome, self.trace = outcome, None
        if isinstance(outcome, Overdue):
            self.is_left = True
        elif isinstance(outcome, REFUSED):
            self.trace = refused(self.caller, self.command, outcome, self.seen.size)

    def look(self, looking: Looking) -> None:
        try:
            self.outcome, self.trace = looking.look(self.caller, self.command, self.seen)
        except MunimentError as failure:
            self.end(failure)  # a refusal, or bytes that do not open: nobody else's


def handle_all(vault: Vault, asks: Sequence[Ask]) -> list[Any]:
    """An answer, or the exception that refuses it, for each of *asks*."""
    asked = [_Asked(ask) for ask in asks]
    shared = [one for one in asked if one.is_shared]
    _change_all(vault, [one for one in shared if isinstance(one.command, CHANGES)])
    _read_all(vault, [one for one in shared if not isinstance(one.command, CHANGES)])
    _record_all(vault, [one for one in shared if one.trace is not None])
    for one in asked:
        if one.is_left:
            try:
                one.outcome = vault.handle(one.caller, one.command)
            except Exception as failure:
                one.outcome = failure
    return [one.outcome for one in asked]


def _change_all(vault: Vault, asked: list[_Asked]) -> None:
    works = [
        partial(vault.carry_out, caller=one.caller, command=one.command, seen=one.seen)
        for one in asked
    ]
    tickets = vault.changes.transact_all(works)
    for one, ticket in zip(asked, tickets, strict=True):
        one.end(ticket.failure or ticket.result.answer)


def _read_all(vault: Vault, asked: list[_Asked]) -> None:
    if not asked:
        return
    try:
        with vault.changes.snapshot() as snapshot:
            looking = vault.looking(snapshot)  # itself fetches the keys of the views
            with vault.keys_for(snapshot):
                for one in asked:
                    one.look(looking)
    except Exception as failure:  # Overdue among them: then each is asked alone
        for one in asked:
            one.end(failure)


def _record_all(vault: Vault, asked: list[_Asked]) -> None:
    """Commit every trace, and only then let the answers go."""
    drafts = [one.trace for one in asked if one.trace is not None]
    if not drafts:
        return
    try:
        vault.access.transact(lambda append: [append.append(draft) for draft in drafts])
    except Exception as failure:
        for one in asked:
            one.outcome = failure
