"""One vault: the one door for every command and every read.

A change is authorized, decided, appended and committed in one transaction, and answered after it.
A read is authorized and answered from one snapshot, the event that says so is committed to `access`,
and only then is the answer given out.  A refusal is committed to `access` before it is raised.  If
none of this can be recorded, the request fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec.structs import replace

from eventstore.access_events import (
    HistoryRead,
    HistoryVerified,
    IdentityChanged,
    RequestsTurnedAway,
    VaultRead,
)
from eventstore.errors import MunimentError
from eventstore.event import Context
from eventstore.record import Draft, Entry
from eventstore.transaction import Append
from projections import trail
from vault import answers, facts, names
from vault.caller import Caller
from vault.commands import Command, Malformed, PurgeDeletedSecret
from vault.history_commands import (
    CopyVault,
    GrantAudit,
    PackageEvidence,
    ReadHistory,
    RecordVerification,
    Replay,
    Restore,
    RotateKeys,
)
from vault.keeping import Overdue
from vault.open_vault import OpenVault
from vault.reading import READS
from vault.refusals import VaultError
from vault.resolving import Seen
from vault.rule_commands import (
    DeleteVault,
    PurgeVault,
    RecoverVault,
    ShowVault,
    UpdateVault,
)
from vault.storage_commands import (
    PurgeDeletedStorageAccount,
    RegenerateKey,
    SetStorageAccount,
    SyncStorageKeys,
)
from vault.trace import REFUSED, context, refused

if TYPE_CHECKING:
    from vault.rotation import Rotating
    from vault.together import Ask
    from vault.writing import Outcome

A = TypeVar("A")

_QUESTION = HistoryRead.__struct_config__.tag
_RETOLD = (ReadHistory, Replay)
_LOOKING_BACK = (*_RETOLD, PackageEvidence)
ASKING = (SetStorageAccount, RegenerateKey, SyncStorageKeys)
"""The commands for which a storage account's provider is asked, which may take long."""


class Vault(OpenVault):
    """One vault, open in this process, and its one door.  Safe for threads."""

    def handle(self, caller: Caller, command: Command[A]) -> A:
        """Do what *command* asks for *caller*, and answer.  Raise the refusal."""
        return self.respond(caller, command).answer

    def lets(self, caller: Caller, command: Command[Any]) -> bool:
        """Whether *caller* may do *command* now, by the rules alone; nothing is done or recorded.

        For an edge that would spare itself a large body.  `handle` decides, and records it.
        """
        with self.changes.snapshot() as snapshot:
            rows = self.views.reader(snapshot.transaction)
            try:
                self._looking(snapshot, rows).rule(caller, command)
            except VaultError:
                return False
        return True

    def respond(self, caller: Caller, command: Command[A]) -> answers.Response[A]:
        """The same, and beside the answer what the points in *command* are."""
        answer, points = self._respond(caller, command)
        found = list(answer) if isinstance(command, _RETOLD) else answer
        return answers.Response(cast(A, found), points)

    def stream(self, caller: Caller, command: Command[list[A]]) -> Iterator[A]:
        """What `handle` answers, item by item: for `ReadHistory` and `Replay`, in flat memory.

        Allowed and recorded before this returns.  Raise the refusal.
        """
        return self.retell(caller, command).answer

    def retell(self, caller: Caller, command: Command[list[A]]) -> answers.Response[Iterator[A]]:
        """What `respond` answers, item by item, as `stream` does."""
        answer, points = self._respond(caller, command)
        return answers.Response(iter(answer), points)

    def _respond(self, caller: Caller, command: Command[Any]) -> answers.Response[Any]:
        seen = Seen()
        try:
            answer = self._handle_in_time(caller, command, seen)
            return answers.Response(answer, seen.points)
        except REFUSED as refusal:
            self._record_refusal(caller, command, refusal, seen.size)
            raise

    def _handle_in_time(self, caller: Caller, command: Command[Any], seen: Seen) -> Any:
        """Handle *command* once the vault has done what it has to do by itself."""
        while True:
            try:
                return self._handle(caller, command, seen)
            except Overdue:
                self.keeping.catch_up()

    def _handle(self, caller: Caller, command: Command[Any], seen: Seen) -> Any:
        match command:
            case Malformed():
                return self._read(caller, command, seen)
            case ShowVault():
                return facts.show(self, caller, command, seen)
            case Restore():
                return self._restore(caller, command, seen)
            case _ if command.records == _QUESTION or isinstance(command, _LOOKING_BACK):
                from vault import questions  # most commands never look back

                return questions.answer(self, caller, command, seen)
            case CopyVault():
                return self._copied(caller, command, seen)
            case RecordVerification():
                return self._verified(caller, command)
            case GrantAudit():
                return self._grant(caller, command, seen)
            case _ if isinstance(command, ASKING):
                return self._rotating().carry_out(caller, command, seen)
            case RotateKeys():
                return self._rotate(caller, command, seen)
            case _ if isinstance(command, READS):
                return self._read(caller, command, seen)
            case _:
                outcome = self._change(caller, command, seen)
                return self._tell(caller, command, outcome)

    def handle_all(self, asks: Sequence[Ask]) -> list[Any]:
        """Do what many ask at once; an answer, or the exception that refuses it, for each."""
        from vault.together import handle_all  # for who serves many

        return handle_all(self, asks)

    # -- changes ---------------------------------------------------------------------------------

    def _change(self, caller: Caller, command: Command[Any], seen: Seen) -> Outcome:
        return self.changes.transact(
            lambda append: self.carry_out(append, caller, command, seen),
        )

    def _tell(self, caller: Caller, command: Command[Any], outcome: Outcome) -> Any:
        if isinstance(command, PurgeDeletedSecret | PurgeDeletedStorageAccount):
            purged = outcome.entries[0]
            receipt = self.keeping.receipt(purged.position)
            return answers.Purged(
                name=purged.event.name,
                position=purged.position,
                receipt=receipt.position,
                provider=receipt.event.provider,
                assurance=receipt.event.assurance,
                open_backups=receipt.event.open_backups,
            )
        if isinstance(command, PurgeVault):
            return self._tell_end(outcome)
        if isinstance(command, UpdateVault | DeleteVault | RecoverVault):
            return facts.standing(self)
        return outcome.answer

    def _tell_end(self, outcome: Outcome) -> answers.PurgedVault:
        purged = outcome.entries[0]
        receipt = self.keeping.receipt(purged.position)
        return answers.PurgedVault(
            name=self.name,
            id=self.id,
            position=purged.position,
            receipt=receipt.position,
            provider=receipt.event.provider,
            assurance=receipt.event.assurance,
            keys=sum(last - first + 1 for first, last in receipt.event.runs),
            open_backups=receipt.event.open_backups,
        )

    def _rotate(self, caller: Caller, command: RotateKeys, seen: Seen) -> list[answers.HistoryItem]:
        from vault.history import item

        rule = self.authorize(caller, command, seen)
        # A rotation is not made idempotent, so it does not hold the request's id.
        who = context(replace(caller, request=""), rule)
        entries = self.keeping.rotate(who, command.signing, command.audit)
        return [item(log, entry) for log, entry in entries]

    def _grant(self, caller: Caller, command: GrantAudit, seen: Seen) -> answers.AuditGrant:
        from eventstore.grant import ID_SIZE  # few ever grant
        from vault.granting import Granting

        rule = self.authorize(caller, command, seen)
        granting = Granting(self.changes, self.access, command, self.name)
        # A grant is not made idempotent, so it does not hold the request's id.
        who = replace(caller, request="")
        granting.begin(context(who, rule), seen)

        def work(append: Append) -> Entry[Any]:
            _, rule = self.admit(append, caller, command, seen)
            return granting.record(append, context(who, rule), self._entropy(ID_SIZE))

        return granting.seal(self.changes.transact(work), self._keyring.store_id)

    def _restore(self, caller: Caller, command: Restore, seen: Seen) -> answers.RestorePlan:
        def work(append: Append) -> answers.RestorePlan:
            rows, rule = self.admit(append, caller, command, seen)
            writing = self.writing(append, rows, context(caller, rule))
            return writing.restore(command, seen.points["to"].size)

        return self.changes.transact(work)

    def _rotating(self) -> Rotating:
        from vault.providers import Providers
        from vault.rotation import Rotating  # most vaults have no storage account

        return Rotating(self, self._providers or Providers())

    def rotate_due(self) -> list[answers.Rotated]:
        """Rotate the keys of storage accounts that are due, and finish what was left unfinished.

        It asks providers, so it may take long; two who call it at once rotate each key once.
        """
        return self._rotating().rotate_due()

    # -- reads -----------------------------------------------------------------------------------

    def _read(self, caller: Caller, command: Command[Any], seen: Seen) -> Any:
        with self.changes.snapshot() as snapshot:
            answer, trace = self.looking(snapshot).look(caller, command, seen)
        self.access.transact(lambda append: append.append(trace))
        return answer

    def _copied(self, caller: Caller, command: CopyVault, seen: Seen) -> None:
        rule = self.authorize(caller, command, seen)
        event = VaultRead(what=trail.COPY, at=seen.size, as_of=seen.as_of_size)
        self.record_read(caller, rule, event)

    def _verified(self, caller: Caller, command: RecordVerification) -> None:
        # Whoever holds the public keys may verify; it gives nothing out.
        names.check_caller(caller)
        at = self.changes.head().size
        event = HistoryVerified(at=at, changes=command.changes, access=command.access)
        self.record_read(caller, "public keys", event)

    # -- the trace -------------------------------------------------------------------------------

    def _record_refusal(
        self, caller: Caller, command: Command[Any], refusal: MunimentError, at: int
    ) -> None:
        draft = refused(caller, command, refusal, at)
        self.access.transact(lambda append: append.append(draft))

    def record_identity_change(
        self, caller: Caller, change: str, client: str = "", object_id: str = ""
    ) -> None:
        """Say that who may sign in to the service changed; whoever has the store may change it."""
        names.check_caller(caller)
        at = self.changes.head().size
        event = IdentityChanged(at=at, change=change, client=client, object_id=object_id)
        self.record_read(caller, "store", event)

    def record_turned_away(self, since: int, unauthenticated: int, throttled: int) -> None:
        """Say how many requests an edge turned away since *since* (Unix seconds) without a record."""
        event = RequestsTurnedAway(
            at=self.changes.head().size,
            since=since,
            unauthenticated=unauthenticated,
            throttled=throttled,
        )
        draft = Draft(Context(principal="muniment", auth="internal", rule="edge"), event)
        self.access.transact(lambda append: append.append(draft))
