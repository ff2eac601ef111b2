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
from eventstore.transaction import Append
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
    from vault.writing import Outcome

CHANGES = frozenset(
    (
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
)
"""The changes that need nothing but a place in a commit, and so may share one."""

_SHARED = CHANGES.union(READS, (Malformed,))


class Ask(NamedTuple):
    """One of many requests."""

    caller: Caller
    command: Command[Any]


class _Asked:
    """One of many requests on its way: its outcome, and the trace that must be recorded first."""

    __slots__ = ("caller", "command", "is_left", "outcome", "seen", "trace")

    def __init__(self, ask: Ask) -> None:
        self.caller, self.command = ask
        self.seen = Seen()
        self.outcome: Any = None
        self.trace: Draft | None = None
        self.is_left = type(self.command) not in _SHARED

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


class _Together:
    """Changes that follow each other in one transaction, each by what the one before looked at.

    None of `CHANGES` touches what a caller is judged by, nor what the vault has to do by itself; but
    what falls due does so with a second.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._append: Append | None = None
        self._appended = 0
        self._looking: Looking | None = None

    def carry_out(self, one: _Asked, append: Append) -> Outcome:
        """Do *one* of them.  Raise the refusal."""
        looking = self._known(append)
        self._append, self._looking = append, looking
        try:
            return self._vault.carry_out(append, one.caller, one.command, one.seen, looking=looking)
        finally:
            self._appended = len(append.appended)

    def _known(self, append: Append) -> Looking:
        """What the change before looked at, unless somebody else's work came between."""
        known = self._looking
        if (
            known is None
            or append is not self._append
            or len(append.appended) != self._appended
            or known.now != self._vault.now()
            or known.rows is not self._vault.views.reader(append.transaction)  # after a rebuild
        ):
            return self._vault.looking(append)
        return known


def handle_all(vault: Vault, asks: Sequence[Ask]) -> list[Any]:
    """An answer, or the exception that refuses it, for each of *asks*."""
    asked = [_Asked(ask) for ask in asks]
    shared = [one for one in asked if not one.is_left]
    _change_all(vault, [one for one in shared if type(one.command) in CHANGES])
    _read_all(vault, [one for one in shared if type(one.command) not in CHANGES])
    _record_all(vault, shared)
    for one in asked:
        if one.is_left:
            try:
                one.outcome = vault.handle(one.caller, one.command)
            except Exception as failure:
                one.outcome = failure
    return [one.outcome for one in asked]


def _change_all(vault: Vault, asked: list[_Asked]) -> None:
    together = _Together(vault)
    tickets = vault.changes.transact_all([partial(together.carry_out, one) for one in asked])
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
    traced = [(one, one.trace) for one in asked if one.trace is not None]
    if not traced:
        return
    try:
        vault.access.transact(lambda append: [append.append(draft) for _, draft in traced])
    except Exception as failure:
        for one, _ in traced:
            one.outcome = failure
