"""What a vault does by itself: ends retentions, its own too, finishes erasures, rotates keys.

An erasure is three steps: the event that says so is committed, the keys are destroyed, the receipt
is committed.  A crash between them leaves an erasure without a receipt in the views, and whoever
comes next finishes it.  Destroying twice is harmless; a receipt is appended once.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from eventstore.errors import KeyErased, LogUnavailable, MunimentError, OutcomeUnknown
from eventstore.event import Context
from eventstore.events import KeysErased, RootKeyRotated
from eventstore.keyring import Erasure as Destroyed
from eventstore.keyring import Keyring
from eventstore.log import Log
from eventstore.record import Draft, Entry
from eventstore.transaction import Append
from projections.rows import (
    Due,
    Erasure,
    Rows,
    SasDefinition,
    Secret,
    StorageAccount,
    Table,
    erasure_key,
    owned,
    sas_key,
    secret_key,
    storage_key,
)
from projections.views import Views
from vault.lifecycle import is_over
from vault.reading import settings_of
from vault.refusals import ErasurePending

if TYPE_CHECKING:
    from vault.writing import Writing

ITSELF = Context(principal="muniment", auth="internal")

_SECOND = 1_000_000


class Overdue(Exception):
    """A retention is over or an erasure has no receipt: that comes before any request."""


class Keeping:
    """The upkeep of one vault."""

    def __init__(
        self,
        changes: Log,
        access: Log,
        views: Views,
        keyring: Keyring,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._changes = changes
        self._access = access
        self._views = views
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy

    def mind(self, rows: Rows) -> None:
        """Raise Overdue if there is something to catch up with."""
        if self._is_over(rows) or self._due(rows) or _pending(rows):
            raise Overdue

    def catch_up(self) -> None:
        """Purge what is due, then finish every erasure that has no receipt."""
        with self._changes.snapshot() as snapshot:
            rows = self._views.reader(snapshot.transaction)
            over = self._is_over(rows)
            due = bool(self._due(rows))
            pending = bool(_pending(rows))
        if over:
            self._changes.transact(self._purge_all)
        elif due:
            self._changes.transact(self._purge_due)
        if over or due or pending:
            self.finish_erasures()

    # -- retention -------------------------------------------------------------------------------

    def _is_over(self, rows: Rows) -> bool:
        """Whether the vault itself was deleted, and its retention is over."""
        settings = settings_of(rows)
        # Nearly always it was not, and each request asks.
        return settings.deleted_date is not None and is_over(settings, self._clock() // _SECOND)

    def _purge_all(self, append: Append) -> None:
        rows = self._views.reader(append.transaction)
        if self._is_over(rows):  # and nobody was quicker
            self._retiring(append, rows).end()

    def _due(self, rows: Rows) -> list[Due]:
        if settings_of(rows).purged:
            return []  # their keys went with the vault's
        now = self._clock() // _SECOND
        found = []
        for order, due in rows.scan(Table.DUE, Due):
            if int.from_bytes(order[:8], "big") > now:
                break
            found.append(due)
        return found

    def _purge_due(self, append: Append) -> None:
        rows = self._views.reader(append.transaction)
        writing = self._retiring(append, rows)
        for due in self._due(rows):
            deleted = _deleted(rows, due)
            if deleted is not None:
                writing.retire(deleted)

    def _retiring(self, append: Append, rows: Rows) -> Writing:
        from vault.writing import Writing  # hardly ever is anything due

        context = replace(ITSELF, rule="retention")
        return Writing(append, rows, self._keyring, self._entropy, context)

    # -- erasure ---------------------------------------------------------------------------------

    def unfinished(self) -> tuple[int, ...]:
        """The positions of the erasures that have no receipt yet."""
        with self._changes.snapshot() as snapshot:
            return tuple(_pending(self._views.reader(snapshot.transaction)))

    def finish_erasures(self) -> dict[int, Entry[Any]]:
        """Destroy the keys of every erasure without a receipt, and append the receipts.

        Give each receipt under the position of its cause.  Raise ErasurePending if the keyring
        cannot be written now.
        """
        with self._changes.snapshot() as snapshot:
            pending = _pending(self._views.reader(snapshot.transaction))
        if not pending:
            return {}
        numbers = chain.from_iterable(erasure.numbers() for erasure in pending.values())
        try:
            destroyed = self._keyring.destroy(numbers)
            return self._changes.transact(lambda append: self._receipts(append, pending, destroyed))
        except MunimentError as problem:
            raise ErasurePending(f"{ErasurePending.__doc__} {problem.message}") from problem

    def _receipts(
        self, append: Append, pending: dict[int, Erasure], destroyed: Destroyed
    ) -> dict[int, Entry[Any]]:
        rows = self._views.reader(append.transaction)
        receipts = {}
        for cause, erasure in pending.items():
            if rows.get(erasure_key(cause), Erasure) is None:
                continue  # another process was quicker
            event = KeysErased(
                keys=erasure.keys,
                root_epoch=destroyed.root_epoch,
                provider=destroyed.provider,
                assurance=destroyed.assurance,
                open_backups=erasure.open_backups,
                runs=erasure.runs,
            )
            context = replace(ITSELF, rule="erasure", cause=cause)
            receipts[cause] = append.append(Draft(context, event))
        return receipts

    def receipt(self, cause: int) -> Entry[Any]:
        """The receipt of the erasure that record *cause* called for, appended now or before."""
        receipts = self.finish_erasures()
        if cause in receipts:
            return receipts[cause]
        with self._changes.snapshot() as snapshot:
            for entry in snapshot.entries(cause + 1):
                if isinstance(entry.event, KeysErased) and entry.context.cause == cause:
                    return entry
        raise ErasurePending

    # -- rotation --------------------------------------------------------------------------------

    def rotate(self, context: Context, signing: bool, audit: bool) -> list[tuple[str, Entry[Any]]]:
        """Give both logs new keys; the old signing keys are destroyed, old audit keys are kept."""
        block = self._keyring.allocate()

        def work(log: str, first: int, also: tuple[int, ...], append: Append) -> list[Entry[Any]]:
            entries = []
            if signing:
                entries.append(append.rotate_signing_key(context, first, also))
            if audit:
                entries.append(append.rotate_audit_key(context, first + 1))
            return entries

        access = self._access.transact(lambda append: work("access", block, (), append))
        retired = self._retired() if signing else ()
        try:
            changes = self._changes.transact(
                lambda append: work("changes", block + 2, retired, append)
            )
        except LogUnavailable as problem:
            raise OutcomeUnknown(
                f"the keys of `access` are new, those of `changes` are not: "
                f"rotate them once more ({problem.message})"
            ) from problem
        if signing:
            self.finish_erasures()
        return [("access", entry) for entry in access] + [("changes", entry) for entry in changes]

    def _retired(self) -> tuple[int, ...]:
        """The signing keys of `access` that are no longer used and not yet destroyed."""
        old = self._access.numbers().signing[:-1]
        return tuple(number for number in old if self._is_alive(number))

    def _is_alive(self, number: int) -> bool:
        try:
            self._keyring.key(number)
        except KeyErased:
            return False
        return True

    def record_root_rotation(self, context: Context, destroyed: Destroyed) -> Entry[Any]:
        """Say in this vault's history that the store's root key got a new value."""
        event = RootKeyRotated(
            root_epoch=destroyed.root_epoch,
            provider=destroyed.provider,
            assurance=destroyed.assurance,
        )
        return self._changes.transact(lambda append: append.append(Draft(context, event)))


def _deleted(rows: Rows, due: Due) -> Secret | StorageAccount | SasDefinition | None:
    """What is due; None if it went before it, as a definition does with its account."""
    of_storage = owned(due.name)
    if of_storage is None:
        return rows.get(secret_key(due.name), Secret)
    account, sas = of_storage
    if sas:
        return rows.get(sas_key(account, sas), SasDefinition)
    return rows.get(storage_key(account), StorageAccount)


def _pending(rows: Rows) -> dict[int, Erasure]:
    found = rows.scan(Table.ERASURES, Erasure)
    return {int.from_bytes(order, "big"): erasure for order, erasure in found}
