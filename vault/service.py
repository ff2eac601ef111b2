"""One vault: the one door for every command and every read.

A change is authorized, decided, appended and committed in one transaction, and answered after it.
A read is authorized and answered from one snapshot, the event that says so is committed to `access`,
and only then is the answer given out.  A refusal is committed to `access` before it is raised.  If
none of this can be recorded, the request fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
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
from eventstore.event import Context, Event
from eventstore.events import StoreAdopted, VaultRestored
from eventstore.keyring import Keyring
from eventstore.log import Log
from eventstore.record import Draft, Entry
from eventstore.transaction import Append, Snapshot
from projections import state, trail
from projections.late import LateViews
from projections.past import PastRows
from projections.rows import OPEN, Boundary, Rows, Settings, boundary_key
from projections.views import Views
from vault import answers, names
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
from vault.keeping import Keeping, Overdue
from vault.looking import Looking, ReadyRules
from vault.points import Resolved
from vault.reading import READS, settings_of
from vault.refusals import VaultError
from vault.resolving import Seen
from vault.rule_commands import (
    DeleteVault,
    NewVault,
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
    from projections.rebuild import Progress, Rebuilt
    from vault.backup import Blob
    from vault.packaging import Packaging
    from vault.providers import Providers
    from vault.rotation import Rotating
    from vault.storage import Asked
    from vault.together import Ask
    from vault.writing import Outcome, Writing

A = TypeVar("A")

_QUESTION = HistoryRead.__struct_config__.tag
_RETOLD = (ReadHistory, Replay)
ASKING = (SetStorageAccount, RegenerateKey, SyncStorageKeys)
"""The commands for which a storage account's provider is asked, which may take long."""

_SECOND = 1_000_000
SIGN_EVERY = 250_000
"""Microseconds between two signatures of a vault that serves many."""


class Vault:
    """One vault, open in this process.  Safe for threads."""

    def __init__(
        self,
        path: Path,
        keyring: Keyring,
        *,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        providers: Providers | None = None,
    ) -> None:
        self._keyring = keyring
        self._clock = clock
        self._providers = providers
        self._entropy = entropy
        self.views = Views(keyring, entropy, state.apply)
        self.trail = LateViews(keyring, entropy, trail.apply)
        self._rules = ReadyRules()
        with ExitStack() as opened:
            self.changes = Log(
                path / "changes", keyring, clock=clock, entropy=entropy, observer=self.views
            )
            opened.callback(self.changes.close)
            self.access = Log(
                path / "access", keyring, clock=clock, entropy=entropy, observer=self.trail
            )
            opened.callback(self.access.close)
            self.changes.settle()
            self.access.settle()
            with self.changes.snapshot() as snapshot:
                self.name = settings_of(self.views.reader(snapshot.transaction)).name
            opened.pop_all()
        self.keeping = Keeping(self.changes, self.access, self.views, keyring, clock, entropy)

    def close(self) -> None:
        self.changes.close()
        self.access.close()
        self.trail.close()

    def stay(self, sign_later: Callable[[], None]) -> None:
        """Serve many for long: what need not be done with each commit is done now and then.

        *sign_later* is called, in whatever thread commits, when a head is left unsigned: then
        `sign_what_is_late` is to be called soon.
        """
        self.trail.stay()
        for log in (self.changes, self.access):
            log.sign_every(SIGN_EVERY, sign_later)

    def sign_what_is_late(self) -> None:
        """Sign the heads of both logs, if the commits that made them did not."""
        for log in (self.changes, self.access):
            log.sign_what_is_late()

    @property
    def id(self) -> str:
        """What names the vault also when it is purged: the id of its `changes`."""
        return self.changes.identity.log_id.hex()

    @property
    def settings(self) -> Settings:
        """The settings as they stand."""
        with self.changes.snapshot() as snapshot:
            return settings_of(self.views.reader(snapshot.transaction))

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
                return self._show(caller, command, seen)
            case Restore():
                return self._restore(caller, command, seen)
            case ReadHistory() | Replay():
                return self._retell(caller, command, seen)
            case _ if command.records == _QUESTION:
                return self._ask(caller, command, seen)
            case PackageEvidence():
                return self._packaged(caller, command, seen)
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

    def carry_out(
        self,
        append: Append,
        caller: Caller,
        command: Command[Any],
        seen: Seen,
        asked: Asked | None = None,
        looking: Looking | None = None,
    ) -> Outcome:
        """Authorize, decide and append, inside a write transaction.  Raise the refusal.

        *asked* is what a storage account's provider said before.  *looking* is what was found to
        authorize by before in this transaction, if nothing that matters for that was changed since.
        """
        looking = looking or self.looking(append)
        rule = looking.let_in(caller, command, seen)
        writing = self.writing(append, looking.rows, context(caller, rule))
        writing.asked = asked
        return writing.carry_out(command, caller)

    def writing(self, append: Append, rows: Rows, context: Context) -> Writing:
        from vault.writing import Writing  # most commands of a terminal only read

        return Writing(append, rows, self._keyring, self._entropy, context)

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
            return self._facts()
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

        rule = self._authorize(caller, command, seen)
        # A rotation is not made idempotent, so it does not hold the request's id.
        who = context(replace(caller, request=""), rule)
        entries = self.keeping.rotate(who, command.signing, command.audit)
        return [item(log, entry) for log, entry in entries]

    def _grant(self, caller: Caller, command: GrantAudit, seen: Seen) -> answers.AuditGrant:
        from eventstore.grant import ID_SIZE  # few ever grant
        from vault.granting import Granting

        rule = self._authorize(caller, command, seen)
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

        return Rotating(self, self._providers or Providers(), self._clock)

    def rotate_due(self) -> list[answers.Rotated]:
        """Rotate the keys of storage accounts that are due, and finish what was left unfinished.

        It asks providers, so it may take long; two who call it at once rotate each key once.
        """
        return self._rotating().rotate_due()

    def store_id(self) -> bytes:
        return self._keyring.store_id

    # -- reads -----------------------------------------------------------------------------------

    def _authorize(self, caller: Caller, command: Command[Any], seen: Seen) -> str:
        with self.changes.snapshot() as snapshot:
            return self.admit(snapshot, caller, command, seen)[1]

    def admit(
        self, snapshot: Snapshot, caller: Caller, command: Command[Any], seen: Seen
    ) -> tuple[Rows, str]:
        """The views of *snapshot*, and the rule that lets *caller* do *command*.

        Raise the refusal, or Overdue if the vault has something to do by itself first.
        """
        rows = self._ready(snapshot)
        return rows, self._looking(snapshot, rows).let_in(caller, command, seen)

    @contextmanager
    def keys_for(self, snapshot: Snapshot) -> Iterator[None]:
        """Fetch the keys that open *snapshot* at once, for who opens many records of it."""
        with self._keyring.at_once() as keys:
            snapshot.take_keys_from(keys)
            yield

    def looking(self, snapshot: Snapshot) -> Looking:
        """What can be read of *snapshot*.  Raise Overdue as `admit` does."""
        return self._looking(snapshot, self._ready(snapshot))

    def _looking(self, snapshot: Snapshot, rows: Rows) -> Looking:
        return Looking(snapshot, rows, self._rules, self.now())

    def now(self) -> int:
        """What the clock shows, in Unix seconds."""
        return self._clock() // _SECOND

    def _ready(self, snapshot: Snapshot) -> Rows:
        """The views of *snapshot*.  Raise Overdue if the vault has something to do by itself."""
        rows = self.views.reader(snapshot.transaction)
        self.keeping.mind(rows)
        return rows

    def _read(self, caller: Caller, command: Command[Any], seen: Seen) -> Any:
        with self.changes.snapshot() as snapshot:
            answer, trace = self.looking(snapshot).look(caller, command, seen)
        self.access.transact(lambda append: append.append(trace))
        return answer

    def _ask(self, caller: Caller, command: Command[Any], seen: Seen) -> Any:
        from vault import forensics  # most commands never look back

        if isinstance(command, forensics.OF_THE_TRAIL):
            self.trail.keep_up(self.access)
        with self.changes.snapshot() as changes, self.access.snapshot() as access:
            rows, rule = self.admit(changes, caller, command, seen)
            trail = self.trail.rows(access)
            logs = forensics.Logs(changes, rows, access, trail, self._clock())
            answered = forensics.answer(logs, command, seen.points)
        self._record_read(caller, rule, answered.event)
        return answered.answer

    def _retell(self, caller: Caller, command: ReadHistory | Replay, seen: Seen) -> Iterator[Any]:
        from vault import forensics, history  # most commands never look back

        with self.changes.snapshot() as changes, self.access.snapshot() as access:
            _, rule = self.admit(changes, caller, command, seen)
            books = {
                "changes": history.Book(self.changes, self.views, changes.size),
                "access": history.Book(self.access, self.trail, access.size),
            }
        retold = forensics.retell(books, command, seen.points)
        self._record_read(caller, rule, retold.event)
        return retold.items

    def _copied(self, caller: Caller, command: CopyVault, seen: Seen) -> None:
        rule = self._authorize(caller, command, seen)
        event = VaultRead(what=trail.COPY, at=seen.size, as_of=seen.as_of_size)
        self._record_read(caller, rule, event)

    def _packaged(self, caller: Caller, command: PackageEvidence, seen: Seen) -> Packaging:
        from vault.packaging import begin  # most commands never show the past to others

        with self.changes.snapshot() as changes, self.access.snapshot() as access:
            rows, rule = self.admit(changes, caller, command, seen)
            logs = {"changes": self.changes, "access": self.access}
            packaging = begin(logs, changes, rows, access, command, seen.points)
        self._record_read(caller, rule, packaging.reading)
        return packaging.for_whom(context(caller, rule))

    def _verified(self, caller: Caller, command: RecordVerification) -> None:
        # Whoever holds the public keys may verify; it gives nothing out.
        names.check_caller(caller)
        at = self.changes.head().size
        event = HistoryVerified(at=at, changes=command.changes, access=command.access)
        self._record_read(caller, "public keys", event)

    def _show(self, caller: Caller, command: ShowVault, seen: Seen) -> answers.VaultFacts:
        with self.changes.snapshot() as snapshot:
            rows, rule = self.admit(snapshot, caller, command, seen)
            then = None if seen.as_of is None else self._facts_of_then(snapshot, rows, seen.as_of)
        event = VaultRead(what="settings", at=seen.size, as_of=seen.as_of_size)
        self._record_read(caller, rule, event)
        return then or self._facts()

    def _facts(self) -> answers.VaultFacts:
        with self.changes.snapshot() as snapshot:
            settings = settings_of(self.views.reader(snapshot.transaction))
        logs = {"changes": self.changes, "access": self.access}
        return _facts(
            settings,
            sizes={name: log.head().size for name, log in logs.items()},
            verifiers={name: log.epochs().signing[-1].verifier for name, log in logs.items()},
            checkpoints={name: log.checkpoint() for name, log in logs.items()},
        )

    def _facts_of_then(self, changes: Snapshot, rows: Rows, at: Resolved) -> answers.VaultFacts:
        # A checkpoint of then is one that was kept: its signing key may be destroyed since.
        with self.access.snapshot() as access:
            sizes = {"changes": at.size, "access": access.size_at(at.time)}
            epochs = {"changes": changes.epochs, "access": access.epochs}
        return _facts(
            settings_of(PastRows(rows, at.size)),
            sizes=sizes,
            verifiers={name: one.verifier_at(sizes[name]) for name, one in epochs.items()},
            checkpoints={},
        )

    # -- the trace -------------------------------------------------------------------------------

    def _record_read(self, caller: Caller, rule: str, event: Event) -> None:
        draft = Draft(context(caller, rule), event)
        self.access.transact(lambda append: append.append(draft))

    def _record_refusal(
        self, caller: Caller, command: Command[Any], refusal: MunimentError, at: int
    ) -> None:
        draft = refused(caller, command, refusal, at)
        self.access.transact(lambda append: append.append(draft))

    def record_store_backup(self, caller: Caller) -> None:
        """Say that the store is copied, sealed as it is; whoever has the store may copy it."""
        names.check_caller(caller)
        at = self.changes.head().size
        self._record_read(caller, "store", VaultRead(what="store-backup", at=at))

    def record_identity_change(
        self, caller: Caller, change: str, client: str = "", object_id: str = ""
    ) -> None:
        """Say that who may sign in to the service changed; whoever has the store may change it."""
        names.check_caller(caller)
        at = self.changes.head().size
        event = IdentityChanged(at=at, change=change, client=client, object_id=object_id)
        self._record_read(caller, "store", event)

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

    def probe(self) -> None:
        """Commit nothing to each log.  Raise LogUnavailable if an event could not be recorded."""
        for log in (self.changes, self.access):
            log.transact(lambda append: append.touch())

    def settings_as_of(self, size: int) -> Settings:
        """The settings as they stood when `changes` had *size* records."""
        with self.changes.snapshot() as snapshot:
            return settings_of(PastRows(self.views.reader(snapshot.transaction), size))

    def bounds(self) -> NewVault:
        """The boundary as it stands now, for a vault that must not be reached from more places."""
        from vault.network_rules import as_new  # a vault is hardly ever copied

        with self.changes.snapshot() as snapshot:
            boundary = self.views.reader(snapshot.transaction).get(boundary_key(), Boundary)
        return as_new(boundary or OPEN)

    # -- a copy of another vault -----------------------------------------------------------------

    def begin_copy(self, context: Context, size: int, secrets: int, origin: str) -> None:
        """Say which vault, as of which size, this one is a copy of."""
        event = VaultRestored(to=size, names=secrets, origin=origin)
        self.changes.transact(lambda append: append.append(Draft(context, event)))

    def bring(self, context: Context, blobs: list[Blob]) -> None:
        """Append the secrets in *blobs*, with all their versions, in one commit."""

        def work(append: Append) -> None:
            rows = self.views.reader(append.transaction)
            writing = self.writing(append, rows, context)
            for blob in blobs:
                writing.bring(blob)

        self.changes.transact(work)

    def adopted(self, context: Context, instance: str) -> None:
        """Say that this vault goes on in another store, and give it signing keys of its own."""
        event = StoreAdopted(
            instance=instance, changes=self.changes.head().size, access=self.access.head().size
        )
        self.changes.transact(lambda append: append.append(Draft(context, event)))
        self.keeping.rotate(context, signing=True, audit=False)

    # -- upkeep ----------------------------------------------------------------------------------

    def rebuild(self, progress: Progress | None = None) -> Rebuilt:
        """Make the views of `changes` anew, compare, and swap; those of `access` too."""
        from projections.rebuild import Rebuilt, rebuild

        block = self._keyring.allocate()
        trailed = rebuild(self.access, self.trail, block + 1)
        stated = rebuild(self.changes, self.views, block, progress)
        return Rebuilt(
            stated.events + trailed.events,
            stated.before + trailed.before,
            stated.after + trailed.after,
            stated.seconds + trailed.seconds,
        )


def _facts(
    settings: Settings,
    sizes: dict[str, int],
    verifiers: dict[str, str],
    checkpoints: dict[str, str],
) -> answers.VaultFacts:
    return answers.VaultFacts(
        name=settings.name,
        created=settings.created,
        retention_days=settings.retention_days,
        purge_protection=settings.purge_protection,
        administrators=settings.administrators,
        changes=sizes["changes"],
        access=sizes["access"],
        verifiers=verifiers,
        checkpoints=checkpoints,
        resource_group=settings.resource_group,
        location=settings.location,
        sku=settings.sku,
        vault_tags=settings.vault_tags,
        enabled_for=settings.enabled_for,
        deleted_date=settings.deleted_date,
        scheduled_purge=settings.scheduled_purge,
    )
