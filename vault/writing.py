"""Carrying out a command inside one write transaction: load, decide, append, answer.

Views follow each append in the same transaction, so a later decision sees an earlier one and the
answer is read back from what now stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import asdict, replace

from eventstore.errors import KeyErased, KeyUnknown, LogConflict
from eventstore.event import Context, Event, SecretContent
from eventstore.events import (
    SecretBackedUp,
    SecretSet,
    SecretUpdated,
    SecretVersionRestored,
    VaultRestored,
)
from eventstore.keyring import Keyring
from eventstore.keytree import FANOUT
from eventstore.record import Draft, Entry
from eventstore.rule_events import BoundarySet, VaultPurged
from eventstore.seal import SALT_SIZE, fingerprint
from eventstore.transaction import Append
from projections.rows import (
    Backup,
    Keys,
    Rows,
    SasDefinition,
    Secret,
    StorageAccount,
    Table,
    backup_key,
    keys_key,
)
from vault import answers, backup, lifecycle, names, repeats, rules, secrets
from vault.caller import Caller
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    ImportSecrets,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.history_commands import Restore
from vault.reading import Reading
from vault.refusals import BackupErased, BackupInvalid
from vault.rule_commands import (
    ChangePolicies,
    DeletePolicy,
    DeleteVault,
    PurgeVault,
    RecoverVault,
    SetPolicy,
    UpdateVault,
)
from vault.secrets import Decision, Facts, Found, SecretCommand

if TYPE_CHECKING:
    from vault.storage import Asked
    from vault.storage_writing import StorageWriting

_SECOND = 1_000_000
_STORAGE = ("storage-", "sas-")
"""What is recorded of storage begins so."""


class Outcome(NamedTuple):
    """The events of a command, now or when it was first asked, and the answer to it."""

    entries: list[Entry[Any]]
    answer: Any


class Writing:
    """A command in a write transaction."""

    def __init__(
        self,
        append: Append,
        rows: Rows,
        keyring: Keyring,
        entropy: Callable[[int], bytes],
        context: Context,
    ) -> None:
        self._append = append
        self.rows = rows
        self._keyring = keyring
        self._entropy = entropy
        self._context = context
        self.reading = Reading(append, rows)
        self.asked: Asked | None = None
        """What a storage account's provider said, for the command that it was asked for."""

    def carry_out(self, command: Command[Any], caller: Caller) -> Outcome:
        """Record *command*, or find what it recorded before, and answer.

        Raise the refusal, before anything is appended.
        """
        past = repeats.carried_out(
            self._append, self.rows, caller, command, lambda: self._keyring.store_id
        )
        entries = past or [self.record(decision) for decision in self._decide(command)]
        return Outcome(entries, self._answer(command, entries))

    def restore(self, command: Restore, to: int) -> answers.RestorePlan:
        """Go back to when `changes` had *to* records, as the plan says.

        Raise LogConflict if the log moved on since the plan was made.
        """
        from vault import forensics, restoring  # most commands never look back

        append = self._append
        if append.size != command.head:
            raise LogConflict(f"the plan saw {command.head} records, the log has {append.size}")
        logs = forensics.Logs(append, self.rows, append, self.rows)
        planned = forensics.plan_restore(logs, command.plan, to)
        then = logs.as_of(to)
        facts = self.facts()
        first = self.record(
            Decision(VaultRestored(to=to, names=len({one.name for one in planned.steps})))
        )
        self._context = replace(self._context, cause=first.position)
        for step in planned.steps:
            decision = restoring.decide(self.rows, then, step, logs.content, facts)
            if decision is not None:
                self.record(decision)
        return planned

    def bring(self, blob: backup.Blob) -> None:
        """Record a secret with all its versions, from a blob or another vault."""
        for decision in secrets.restore(self._free(blob.name), blob, self._new_key):
            self.record(decision)

    def retire(self, deleted: Secret | StorageAccount | SasDefinition) -> Entry[Any]:
        """Record that the retention of something deleted is over."""
        if isinstance(deleted, Secret):
            return self.record(secrets.purge(deleted))
        from vault import sas_definitions, storage

        if isinstance(deleted, StorageAccount):
            return self.record(storage.purge(deleted))
        return self.record(sas_definitions.purge(deleted))

    def end(self) -> Entry[Any]:
        """Record that a deleted vault's retention is over."""
        return self.record(Decision(self._purge()))

    def _purge(self) -> VaultPurged:
        created: Any = self._append.entry(0).event
        given = self._keyring.blocks_of(self._append.identity.log_id)
        return lifecycle.purge(self.rows, created.first_key, given)

    def record(self, decision: Decision) -> Entry[Any]:
        event, content, key = decision
        if content is not None and key is not None:
            event = self._with_prints(event, content, self._keyring.key(key))
        return self._append.append(Draft(self._context, event, content, key))

    @cached_property
    def storage(self) -> StorageWriting:
        """The part that is about storage accounts, for who changes one."""
        from vault.storage_writing import StorageWriting

        return StorageWriting(self)

    @staticmethod
    def _with_prints(event: Event, content: SecretContent, key: bytes) -> Event:
        """*event* with the fingerprints of its content, made under the secret's own key."""
        described = fingerprint(key, content.described())
        if isinstance(event, SecretUpdated):
            return replace(event, content_print=described)
        if isinstance(event, SecretSet | SecretVersionRestored):
            value = fingerprint(key, (content.value or "").encode())
            return replace(event, value_print=value, content_print=described)
        from vault.storage_writing import with_prints

        return with_prints(event, content, partial(fingerprint, key))

    # -- deciding --------------------------------------------------------------------------------

    def _decide(self, command: Command[Any]) -> list[Decision]:
        match command:
            case ImportSecrets(items=items):
                return self._decide_import(items)
            case RestoreSecret(blob=blob):
                opened = self._open_blob(blob)
                return secrets.restore(self._free(opened.name), opened, self._new_key)
            case DeleteVault() | RecoverVault() | PurgeVault():
                now, settings = self.facts().now, self.reading.settings
                return [Decision(lifecycle.decide(settings, command, now, self._purge))]
            case (
                SetSecret()
                | UpdateSecret()
                | DeleteSecret()
                | RecoverDeletedSecret()
                | PurgeDeletedSecret()
                | BackupSecret()
            ):
                return secrets.decide(self._found(command), command, self.facts())
            case _ if command.records.startswith(_STORAGE):
                return self.storage.decide(command)
            case _ if isinstance(command, rules.RuleChange):
                return [Decision(event) for event in rules.decide(self.rows, command)]
            case _:
                raise TypeError(f"{type(command).__name__} records nothing")

    def _decide_import(self, items: tuple[SetSecret, ...]) -> list[Decision]:
        """Decide all items before any is appended: the second set of a name follows the first."""
        facts = self.facts()
        free = self._free_keys()
        names_and_keys: dict[str, tuple[str, int]] = {}
        decisions: list[Decision] = []
        for item in items:
            folded = names.folded(item.name)
            if folded in names_and_keys:
                name, key = names_and_keys[folded]
                known, new_key, item = None, partial(int, key), replace(item, name=name)
            else:
                known, new_key = self._free(item.name), partial(next, free)
            decided = secrets.decide(Found(known), item, facts._replace(new_key=new_key))
            event: Any = decided[0].event
            names_and_keys[folded] = (event.name, decided[0].key or 0)
            decisions += decided
        return decisions

    def _found(self, command: SecretCommand) -> Found:
        if isinstance(command, SetSecret):
            return Found(self._free(command.name))
        secret = self.reading.secret(command.name)
        if secret is None:
            self._refuse_managed(command)
            return Found(None)
        if isinstance(command, UpdateSecret) and secret.deleted_date is None:
            version = self.reading.version(secret.name, command.version or secret.current)
            if version is not None:
                content = self.reading.content(secret, version.content_at)
                return Found(secret, version, content)
        if isinstance(command, PurgeDeletedSecret):
            return Found(secret, backups=self._backups(secret))
        if isinstance(command, BackupSecret):
            return Found(secret, versions=sum(1 for _ in self.reading.versions(secret.name)))
        return Found(secret)

    def _free(self, name: str) -> Secret | None:
        """The secret of that name, which may be set.  Raise SecretIsManaged."""
        secret = self.reading.secret(name)
        if secret is None and "-" in name:
            from vault import sas_definitions, storage_reading

            if storage_reading.held(self.rows, name) is not None:
                raise sas_definitions.is_managed(name)
        return secret

    def _refuse_managed(self, command: SecretCommand) -> None:
        """Raise SecretIsManaged for what would change a token of a SAS definition."""
        if isinstance(command, UpdateSecret | DeleteSecret | BackupSecret) and "-" in command.name:
            from vault import sas_definitions, storage_reading

            if storage_reading.managed(self.rows, command.name) is not None:
                raise sas_definitions.is_managed(command.name)

    def _backups(self, secret: Secret) -> tuple[int, ...]:
        owner = backup_key(secret.name, 0).owner
        issued = self.rows.scan(Table.BACKUPS, Backup, owner)
        return tuple(one.backup_key for _, one in issued if not one.foreign)

    def facts(self) -> Facts:
        return Facts(
            now=self._append.now // _SECOND,
            settings=self.reading.settings,
            new_version=lambda: self._entropy(16).hex(),
            new_key=self._new_key,
        )

    def _new_key(self) -> int:
        return next(self._free_keys())

    def _free_keys(self) -> Iterator[int]:
        """The vault's next key numbers; when a block is used up, those of a new one."""
        keys = self.rows.get(keys_key(), Keys)
        number = 0 if keys is None else keys.next
        while True:
            if number % FANOUT == 0:
                number = self._new_block(number)
            yield number
            number += 1

    def _new_block(self, end: int) -> int:
        """The first key of a new block, when those before *end* are used up.

        Blocks behind them were for writes that did not come to stand: nobody else writes now.  What
        such a write left on the disk must not stay open, for no purge would ever name its key.
        """
        log_id = self._append.identity.log_id
        given = set(self._keyring.blocks_of(log_id, since=end // FANOUT))
        # Asked of each row, though none can be in use: what is destroyed does not come back.
        lost = given - lifecycle.blocks_in_use(self.rows) if given else given
        if lost:
            self._keyring.destroy(
                number for block in lost for number in range(block * FANOUT, (block + 1) * FANOUT)
            )
        return self._keyring.allocate(to=log_id)

    # -- answering -------------------------------------------------------------------------------

    def _answer(self, command: Command[Any], entries: list[Entry[Any]]) -> Any:
        if isinstance(command, ImportSecrets):
            pairs = [(entry.event.name, entry.event.version) for entry in entries]
            return answers.Imported(items=tuple(pairs))
        event = entries[0].event
        match command:
            case SetPolicy() | DeletePolicy():
                return _policy(entries[0])
            case ChangePolicies():
                return [_policy(entry) for entry in entries]
            case BackupSecret():
                return self._backup(entries[0])
            case _ if command.records.startswith(_STORAGE):
                return self.storage.answer(command, entries[0])
            case (
                UpdateVault() | PurgeDeletedSecret() | DeleteVault() | RecoverVault() | PurgeVault()
            ):
                return None  # told by the service: it also needs the receipt, or both heads
            case _ if isinstance(event, BoundarySet):
                return answers.Boundary(**asdict(event), position=entries[0].position)
            case _:
                return self._bundle(command, event)

    def _bundle(self, command: Command[Any], event: Any) -> answers.SecretBundle:
        secret = self.reading.secret(event.name)
        if secret is None:
            raise secrets.not_found(event.name)
        asked = getattr(event, "version", "") or secret.current
        version = self.reading.version(secret.name, asked)
        if version is None:
            raise secrets.not_found(event.name, asked)
        content = None
        if isinstance(command, SetSecret):
            content = SecretContent(
                value=command.value,
                content_type=command.content_type,
                tags=command.tags or None,
            )
        return self.reading.bundle(secret, version, content)

    # -- blobs -----------------------------------------------------------------------------------

    def _backup(self, entry: Entry[Any]) -> answers.Backup:
        event: SecretBackedUp = entry.event
        secret = secrets.active(self.reading.secret(event.name), event.name)
        header, key, salt = self.new_blob(event.backup_key)
        # Asked again, the blob holds the versions that the record counts, and none set since.
        held = [v for v in self.reading.versions(secret.name) if v.value_at < entry.position]
        if not held:  # and nothing of a later secret that has the name after a purge
            raise secrets.not_found(event.name)
        versions = sorted(held, key=lambda one: one.value_at)
        closed = backup.close(
            header,
            key,
            salt,
            secret.name,
            tuple(self.reading.backed_up(secret, version) for version in versions),
        )
        return answers.Backup(name=secret.name, versions=len(versions), blob=closed)

    def _open_blob(self, blob: bytes) -> backup.Blob:
        header, key = self.key_of_blob(blob)
        return backup.open_blob(blob, header, key)

    def new_blob(self, number: int) -> tuple[backup.Header, bytes, bytes]:
        """The public part, the key and a salt of a blob under backup key *number*."""
        log_id = self._append.identity.log_id
        header = backup.Header(self._keyring.store_id, log_id, number)
        return header, self._keyring.key(number), self._entropy(SALT_SIZE)

    def key_of_blob(self, blob: bytes) -> tuple[backup.Header, bytes]:
        """The public part of a blob, and its key.  Raise why it cannot be opened."""
        header = backup.read_header(blob, self._keyring.store_id)
        try:
            return header, self._keyring.key(header.backup_key)
        except KeyErased:
            raise BackupErased from None
        except KeyUnknown:
            raise BackupInvalid from None


def _policy(entry: Entry[Any]) -> answers.Policy:
    """The policy as *entry* leaves it; one that is deleted gives nothing."""
    event = entry.event
    return answers.Policy(
        object_id=event.object_id,
        secrets=getattr(event, "secrets", ()),
        storage=getattr(event, "storage", ()),
        position=entry.position,
        application_id=event.application_id,
    )
