"""Keys of storage accounts, between a vault and who makes them: asked outside of any transaction.

A regeneration is two commits with the provider between them.  The first says which key is about to
get a new value, so that whoever comes after a crash knows what to ask for; the second holds the keys
as they are then.  If nothing follows the first for as long as a lease, the next who looks asks for
the keys: if that key's value is another one, the provider did it, and that is recorded; if it is not,
a new first commit claims the work, and the provider is asked once more.

Each second commit counts only while the first one stands.  Who comes too late with an answer, since
his lease ran out, asks for the keys once more and records what differs: the provider has the last
word, and the vault never ends with a key that the provider does not take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from eventstore.errors import KeyErased
from eventstore.event import Context
from eventstore.record import Entry
from eventstore.storage_events import StorageKeyRegenerationFailed
from eventstore.transaction import Append, Snapshot
from projections.rows import (
    Mark,
    Rotation,
    Rows,
    StorageAccount,
    Table,
    by_name_key,
    storage_key,
)
from projections.storage import waits_until
from vault import answers, repeats, storage
from vault.caller import Caller
from vault.keeping import ITSELF
from vault.open_vault import OpenVault
from vault.providers import Providers, StorageProvider, checked
from vault.reading import Reading, settings_of
from vault.refusals import ProviderRefused, StorageBusy, VaultError
from vault.resolving import Seen
from vault.secrets import Decision
from vault.storage_commands import RegenerateKey, SetStorageAccount, SyncStorageKeys
from vault.trace import context

if TYPE_CHECKING:
    from vault.writing import Writing

ROTATING = replace(ITSELF, rule="rotation")
_TRIES = 3


class _Begun(NamedTuple):
    """A regeneration that was recorded as begun, and who asked for it."""

    account: StorageAccount
    context: Context


class Rotating:
    """What one vault asks of its providers."""

    def __init__(self, vault: OpenVault, providers: Providers) -> None:
        self._vault = vault
        self._providers = providers

    # -- commands --------------------------------------------------------------------------------

    def carry_out(self, caller: Caller, command: Any, seen: Seen) -> answers.StorageAccountBundle:
        """Do what *command* asks for.  Raise the refusal."""
        match command:
            case SetStorageAccount():
                return self._set(caller, command, seen)
            case RegenerateKey():
                return self._regenerate(caller, command, seen)
            case SyncStorageKeys():
                return self._sync(caller, command, seen)
            case _:
                raise TypeError(f"{type(command).__name__} asks no provider")

    def _set(
        self, caller: Caller, command: SetStorageAccount, seen: Seen
    ) -> answers.StorageAccountBundle:
        asked = None
        with self._vault.changes.snapshot() as snapshot:
            rows, _ = self._vault.admit(snapshot, caller, command, seen)
            is_new = not self._past(snapshot, rows, caller, command)
            storage.check_name(command.name)
            account = rows.get(storage_key(command.name), StorageAccount)
            if is_new:
                storage.check_set(account, command, self._vault.now())
        if is_new:
            provider = self._provider_of(command.resource_id)
            asked = storage.Asked(
                checked(provider.list_keys(command.resource_id)),
                provider.account_name(command.resource_id),
                None if account is None else account.keys_at,
            )
        outcome = self._vault.changes.transact(
            lambda append: self._vault.carry_out(append, caller, command, seen, asked)
        )
        answer: answers.StorageAccountBundle = outcome.answer
        return answer

    def _regenerate(
        self, caller: Caller, command: RegenerateKey, seen: Seen
    ) -> answers.StorageAccountBundle:
        self._settle(caller, command, seen)

        def work(append: Append) -> _Begun | None:
            rows, rule = self._vault.admit(append, caller, command, seen)
            past = self._past(append, rows, caller, command)
            if past:
                self._refuse_failed(append, rows, past[0])
                return None
            account = storage.active(self._account(rows, command.name), command.name)
            storage.refuse_busy(account, self._vault.now())
            self._provider_of(account.resource_id)
            who = context(caller, rule)
            return self._begun(append, rows, account, command.key_name, who)

        begun = self._vault.changes.transact(work)
        if begun is not None:
            self._complete(begun)
        return self._answer(command.name)

    def _sync(
        self, caller: Caller, command: SyncStorageKeys, seen: Seen
    ) -> answers.StorageAccountBundle:
        self._settle(caller, command, seen)
        with self._vault.changes.snapshot() as snapshot:
            rows, rule = self._vault.admit(snapshot, caller, command, seen)
            account = storage.active(self._account(rows, command.name), command.name)
            is_new = not self._past(snapshot, rows, caller, command)
        if is_new:
            storage.refuse_busy(account, self._vault.now())
            if not self._synced(account, context(caller, rule), always=True):
                raise StorageBusy(f"the keys of {account.name} changed while they were asked for")
        return self._answer(command.name)

    def _settle(self, caller: Caller, command: Any, seen: Seen) -> None:
        """Finish what somebody began and left, if *caller* may go on at all."""
        with self._vault.changes.snapshot() as snapshot:
            rows, _ = self._vault.admit(snapshot, caller, command, seen)
            account = storage.active(self._account(rows, command.name), command.name)
            storage.refuse_busy(account, self._vault.now())
        if account.regenerating:
            self._resolve(account)

    # -- what is due -----------------------------------------------------------------------------

    def rotate_due(self) -> list[answers.Rotated]:
        """Rotate what is due, and finish what was left; say what became of each."""
        with self._vault.changes.snapshot() as snapshot:
            rows = self._vault.views.reader(snapshot.transaction)
            if settings_of(rows).deleted_date is not None:
                return []
            due = _due(rows, self._vault.now())
        return [told for account in due if (told := self._rotate(account)) is not None]

    def _rotate(self, seen: StorageAccount) -> answers.Rotated | None:
        key_name = seen.regenerating or storage.inactive(seen)
        try:
            if seen.regenerating:
                self._resolve(seen)
            elif not self._rotate_now(seen):
                return None  # another process was quicker
        except (VaultError, KeyErased) as failure:
            return answers.Rotated(name=seen.name, key_name=key_name, outcome=failure.code)
        return answers.Rotated(name=seen.name, key_name=key_name, outcome="ok")

    def _rotate_now(self, seen: StorageAccount) -> bool:
        self._provider_of(seen.resource_id)

        def work(append: Append) -> _Begun | None:
            rows = self._vault.views.reader(append.transaction)
            account = self._account(rows, seen.name)
            until = None if account is None else waits_until(account)
            if (
                account is None
                or account.regenerating
                or until is None
                or until > self._vault.now()
            ):
                return None
            key_name = storage.inactive(account)
            return self._begun(append, rows, account, key_name, ROTATING, automatic=True)

        begun = self._vault.changes.transact(work)
        if begun is not None:
            self._complete(begun)
        return begun is not None

    # -- the two phases --------------------------------------------------------------------------

    def _begun(
        self,
        append: Append,
        rows: Rows,
        account: StorageAccount,
        key_name: str,
        who: Context,
        *,
        automatic: bool = False,
    ) -> _Begun:
        decision = storage.begin(account, key_name, automatic=automatic)
        self._writing(append, who).record(decision)
        now = rows.get(storage_key(account.name), StorageAccount)
        assert now is not None
        # What follows is no request of its own: the id stands with the first event.
        return _Begun(now, replace(who, request="", cause=None))

    def _complete(self, begun: _Begun) -> None:
        """Ask the provider, and record what it did.  Raise ProviderRefused or ProviderUnavailable."""
        account = begun.account
        provider = self._provider_of(account.resource_id)
        before = self._last_known(account)
        try:
            keys = checked(provider.regenerate_key(account.resource_id, account.regenerating))
            storage.check_regenerated(account, before, keys)
        except ProviderRefused:
            self._commit(begun, lambda now: storage.fail(now, ProviderRefused.code))
            raise
        if not self._commit(begun, lambda now: storage.finish(now, keys)):
            self._catch_up(account)

    def _resolve(self, account: StorageAccount) -> None:
        """Finish a regeneration of which it is not known what it did."""
        provider = self._provider_of(account.resource_id)
        keys = checked(provider.list_keys(account.resource_id))
        before = self._known(account)
        if keys.get(account.regenerating) != before.get(account.regenerating):
            self._commit(_Begun(account, ROTATING), lambda now: storage.finish(now, keys))
            return

        def claim(append: Append) -> _Begun | None:
            rows = self._vault.views.reader(append.transaction)
            now = self._account(rows, account.name)
            if now is None or now.regenerating_at != account.regenerating_at:
                return None
            who = replace(ROTATING, cause=account.regenerating_at)
            automatic = account.automatic
            return self._begun(append, rows, now, now.regenerating, who, automatic=automatic)

        begun = self._vault.changes.transact(claim)
        if begun is not None:
            self._complete(begun)

    def _commit(self, begun: _Begun, decide: Callable[[StorageAccount], Decision]) -> bool:
        """Record what became of *begun*, if it still stands."""

        def work(append: Append) -> bool:
            rows = self._vault.views.reader(append.transaction)
            now = self._account(rows, begun.account.name)
            if now is None or now.regenerating_at != begun.account.regenerating_at:
                return False
            who = replace(begun.context, cause=now.regenerating_at)
            self._writing(append, who).record(decide(now))
            return True

        return self._vault.changes.transact(work)

    # -- the keys as they are --------------------------------------------------------------------

    def _catch_up(self, seen: StorageAccount) -> None:
        """Record the keys that the provider has, after an answer that came too late."""
        for _ in range(_TRIES):
            with self._vault.changes.snapshot() as snapshot:
                rows = self._vault.views.reader(snapshot.transaction)
                account = self._account(rows, seen.name)
            if account is None or account.key != seen.key or account.regenerating:
                return  # it is gone, or whoever regenerates now has the last word
            if self._synced(account, ROTATING, always=False):
                return
        raise StorageBusy(f"the keys of {seen.name} change faster than they can be asked for")

    def _synced(self, account: StorageAccount, who: Context, *, always: bool) -> bool:
        """Record the keys that the provider has; not if they were recorded meanwhile."""
        provider = self._provider_of(account.resource_id)
        keys = checked(provider.list_keys(account.resource_id))
        decision = storage.sync(account, self._known(account), keys)

        def work(append: Append) -> bool:
            now = self._account(self._vault.views.reader(append.transaction), account.name)
            if now is None or now.keys_at != account.keys_at or now.regenerating:
                return False
            self._writing(append, who).record(decision)
            return True

        if not always and not getattr(decision.event, "drifted", ()):
            return True
        return self._vault.changes.transact(work)

    def _last_known(self, account: StorageAccount) -> dict[str, str]:
        """As `_known`; nothing if the account was purged meanwhile."""
        try:
            return self._known(account)
        except KeyErased:
            return {}

    def _provider_of(self, resource_id: str) -> StorageProvider:
        return self._providers.of(resource_id, self._vault.name)

    def _known(self, account: StorageAccount) -> dict[str, str]:
        """The keys as they were last recorded."""
        with self._vault.changes.snapshot() as snapshot:
            return snapshot.content(account.keys_at, account.key).keys or {}

    # -- what stands -----------------------------------------------------------------------------

    def _account(self, rows: Rows, name: str) -> StorageAccount | None:
        storage.check_name(name)
        return rows.get(storage_key(name), StorageAccount)

    def _answer(self, name: str) -> answers.StorageAccountBundle:
        with self._vault.changes.snapshot() as snapshot:
            reading = Reading(snapshot, self._vault.views.reader(snapshot.transaction)).storage
            return reading.bundle(storage.active(reading.account(name), name))

    def _past(
        self, snapshot: Snapshot, rows: Rows, caller: Caller, command: Any
    ) -> list[Entry[Any]]:
        return repeats.carried_out(snapshot, rows, caller, command, self._vault.store_id)

    def _refuse_failed(self, snapshot: Snapshot, rows: Rows, begun: Entry[Any]) -> None:
        """Raise ProviderRefused if the repeated request was refused when it came first."""
        key, cause = by_name_key(begun.event.name, 0), begun.position
        for order, _ in rows.scan(Table.BY_NAME, Mark, key.owner, cause.to_bytes(8, "big")):
            entry = snapshot.entry(int.from_bytes(order, "big"))
            if entry.context.cause == cause:
                if isinstance(entry.event, StorageKeyRegenerationFailed):
                    raise ProviderRefused
                cause = entry.position  # one that was left, and begun once more

    def _writing(self, append: Append, who: Context) -> Writing:
        return self._vault.writing(append, self._vault.views.reader(append.transaction), who)


def _due(rows: Rows, now: int) -> list[StorageAccount]:
    found = []
    for order, waiting in rows.scan(Table.ROTATIONS, Rotation):
        if int.from_bytes(order[:8], "big") > now:
            break
        account = rows.get(storage_key(waiting.name), StorageAccount)
        if account is not None:
            found.append(account)
    return found
