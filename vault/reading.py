"""Answers from one snapshot of a vault: views say where, records say what.

The view gives a position and never a value.  What a read gives out, it also names in the event that
the caller of this module commits before the answer leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec.structs import asdict, replace

from eventstore.access_events import (
    DeletedSecretRead,
    DeletedSecretsListed,
    SecretRead,
    SecretsListed,
    SecretVersionsListed,
    VaultRead,
)
from eventstore.errors import KeyErased
from eventstore.event import Event, SecretContent
from eventstore.transaction import Snapshot
from projections.past import PastRows
from projections.rows import (
    OPEN,
    Boundary,
    Erased,
    Known,
    Policy,
    Rows,
    Secret,
    Settings,
    Table,
    Version,
    boundary_key,
    erased_key,
    secret_key,
    settings_key,
    version_key,
)
from vault import answers, names
from vault.commands import (
    Command,
    GetDeletedSecret,
    GetSecret,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
)
from vault.refusals import SecretErased, SecretIsDisabled, VaultNotFound
from vault.rule_commands import DescribeVault, ListPolicies, ShowBoundary
from vault.secrets import active, deleted, not_found, recovery_level
from vault.storage_commands import (
    GetDeletedSasDefinition,
    GetDeletedStorageAccount,
    GetSasDefinition,
    GetStorageAccount,
    ListDeletedSasDefinitions,
    ListDeletedStorageAccounts,
    ListSasDefinitions,
    ListStorageAccounts,
)

if TYPE_CHECKING:
    from projections.difference import Holder
    from vault.backup import BackedUpVersion
    from vault.storage_reading import StorageReading

E = TypeVar("E", bound=Event)

STORAGE_READS = (
    GetStorageAccount,
    ListStorageAccounts,
    GetDeletedStorageAccount,
    ListDeletedStorageAccounts,
    GetSasDefinition,
    ListSasDefinitions,
    GetDeletedSasDefinition,
    ListDeletedSasDefinitions,
)

READS = (
    GetSecret,
    ListSecrets,
    ListSecretVersions,
    GetDeletedSecret,
    ListDeletedSecrets,
    ListPolicies,
    ShowBoundary,
    DescribeVault,
    *STORAGE_READS,
)


_SET_UP = (
    "name",
    "created",
    "retention_days",
    "purge_protection",
    "resource_group",
    "location",
    "sku",
    "vault_tags",
    "enabled_for",
    "deleted_date",
    "scheduled_purge",
)


class Answered(NamedTuple):
    """An answer, and the event to commit before it is given."""

    answer: Any
    event: Event


def settings_of(rows: Rows) -> Settings:
    """The vault's settings.  Raise VaultNotFound while the vault is being made."""
    settings = rows.get(settings_key(), Settings)
    if settings is None:
        raise VaultNotFound("the vault was not made to the end")
    return settings


class Reading:
    """One snapshot, its views and the vault's settings, now or as of a size of `changes`.

    *now* is the time in Unix seconds: a token of a SAS definition is made while it is read.
    """

    def __init__(
        self, snapshot: Snapshot, rows: Rows, as_of: int | None = None, now: int = 0
    ) -> None:
        self.snapshot = snapshot
        self.as_of = as_of
        self.rows = rows if as_of is None else PastRows(rows, as_of)
        self._live = rows
        self.settings = settings_of(self.rows)
        self.recovery_level = recovery_level(self.settings)
        self._now = now

    def answer(self, command: Command[Any]) -> Answered:
        """Answer a read.  Raise the refusal."""
        if isinstance(command, STORAGE_READS):
            return self.storage.answer(command)
        told = partial(seen, at=self.snapshot.size, as_of=self.as_of)
        match command:
            case GetSecret():
                return self._get(command)
            case ListSecrets(after=after, limit=limit):
                listed = self._list(after, limit, gone=False)
                return Answered(listed, told(SecretsListed, count=len(listed)))
            case ListDeletedSecrets(after=after, limit=limit):
                listed = self._list(after, limit, gone=True)
                return Answered(listed, told(DeletedSecretsListed, count=len(listed)))
            case ListSecretVersions(name=name):
                listed = self._versions(command)
                return Answered(listed, told(SecretVersionsListed, name=name, count=len(listed)))
            case GetDeletedSecret(name=name):
                secret = deleted(self.secret(name), name)
                version = self.version(secret.name, secret.current)
                if version is None or not version.enabled:
                    raise SecretIsDisabled("Operation get is not allowed on a disabled secret.")
                return Answered(
                    self.bundle(secret, version), told(DeletedSecretRead, name=secret.name)
                )
            case ListPolicies():
                return Answered(self.policies(), told(VaultRead, what="policies"))
            case ShowBoundary():
                return Answered(self.boundary(), told(VaultRead, what="boundary"))
            case DescribeVault():
                return Answered(self._resource(), told(VaultRead, what="resource"))
            case _:
                raise TypeError(f"{type(command).__name__} is not a read")

    def _resource(self) -> answers.Resource:
        return answers.Resource(
            **{name: getattr(self.settings, name) for name in _SET_UP},
            policies=tuple(self.policies()),
            boundary=self.boundary(),
        )

    @cached_property
    def storage(self) -> StorageReading:
        """The part that is about storage accounts, for who asks."""
        from vault.storage_reading import StorageReading

        return StorageReading(self)

    # -- rows ------------------------------------------------------------------------------------

    def secret(self, name: str) -> Secret | None:
        names.check_name(name)
        return self.rows.get(secret_key(name), Secret)

    def version(self, name: str, version: str) -> Version | None:
        if version:
            version = names.check_version(version)
        return self.rows.get(version_key(name, version), Version)

    def versions(self, name: str, after: str = "") -> Iterator[Version]:
        order = bytes.fromhex(names.check_version(after)) if after else b""
        owner = secret_key(name).owner
        for _, version in self.rows.scan(Table.VERSIONS, Version, owner, order):
            yield version

    def policies(self) -> list[answers.Policy]:
        found = sorted(self.rows.policies(), key=lambda policy: policy.holder)
        return [policy_answer(policy) for policy in found]

    def boundary(self) -> answers.Boundary:
        known = asdict(self.rows.get(boundary_key(), Boundary) or OPEN)
        return answers.Boundary(position=known.pop("at"), **known)

    # -- records ---------------------------------------------------------------------------------

    def content(self, secret: Secret, position: int) -> SecretContent:
        """The content at *position*.  Raise SecretErased if a purge has destroyed its key since."""
        try:
            return self.snapshot.content(position, secret.key)
        except KeyErased:
            by = self.erased_by(secret)
            purge = "a purge" if by is None else f"#{by}"
            raise SecretErased(f"{secret.name} was erased by {purge}") from None

    def erased_by(self, secret: Holder) -> int | None:
        return erased_by(self._live, secret)

    def backed_up(self, secret: Secret, version: Version) -> BackedUpVersion:
        """A version as a blob or a copied vault holds it.  Raise SecretErased."""
        from vault.backup import BackedUpVersion  # most reads are of one version

        content = self.whole_content(secret, version)
        return BackedUpVersion(
            version=version.version,
            created=version.created,
            updated=version.updated,
            value=content.value or "",
            enabled=version.enabled,
            nbf=version.nbf,
            exp=version.exp,
            content_type=content.content_type,
            tags=content.tags,
        )

    def whole_content(self, secret: Secret, version: Version) -> SecretContent:
        """Value, content type and tags as they stand: an update may have changed the latter."""
        content = self.content(secret, version.value_at)
        if version.content_at == version.value_at:
            return content
        shown = self.content(secret, version.content_at)
        return SecretContent(value=content.value, content_type=shown.content_type, tags=shown.tags)

    def bundle(
        self, secret: Secret, version: Version, content: SecretContent | None = None
    ) -> answers.SecretBundle:
        """A version with its content type and tags, and no value unless *content* holds it."""
        if content is None:
            content = _without_value(self.content(secret, version.content_at))
        gone = None
        if secret.deleted_date is not None and secret.scheduled_purge is not None:
            gone = answers.Deletion(
                deleted_date=secret.deleted_date, scheduled_purge_date=secret.scheduled_purge
            )
        return answers.SecretBundle(
            name=secret.name,
            version=version.version,
            attributes=self._attributes(version),
            content_type=content.content_type,
            tags=content.tags,
            value=content.value,
            deletion=gone,
        )

    def _attributes(self, version: Version) -> answers.Attributes:
        return answers.Attributes(
            enabled=version.enabled,
            nbf=version.nbf,
            exp=version.exp,
            created=version.created,
            updated=version.updated,
            recovery_level=self.recovery_level,
            recoverable_days=self.settings.retention_days,
        )

    # -- queries ---------------------------------------------------------------------------------

    def _get(self, command: GetSecret) -> Answered:
        asked = names.check_version(command.version) if command.version else ""
        known = self.secret(command.name)
        if known is None and not asked:
            token = self.storage.token(command.name, self._now)
            if token is not None:
                return token
        secret = active(known, command.name)
        version = self.version(secret.name, asked or secret.current)
        if version is None:
            raise not_found(command.name, command.version)
        if not version.enabled:
            raise SecretIsDisabled("Operation get is not allowed on a disabled secret.")
        bundle = self.bundle(secret, version, self.whole_content(secret, version))
        at, as_of = self.snapshot.size, self.as_of
        event = SecretRead(name=bundle.name, version=bundle.version, at=at, as_of=as_of)
        return Answered(bundle, event)

    def _list(self, after: str, limit: int | None, *, gone: bool) -> list[answers.SecretBundle]:
        found = (
            secret
            for secret in self.rows.secrets(after)
            if (secret.deleted_date is not None) is gone
        )
        if not gone and self._has_accounts():
            return self._with_managed(found, after, limit)
        # A secret and its version lie side by side: both are read before the next secret.
        return self._items((secret, self._current(secret)) for secret in islice(found, limit))

    def _has_accounts(self) -> bool:
        """Whether there ever was a storage account: one look-up, which is all that others pay."""
        return next(self.rows.scan(Table.KNOWN_STORAGE, Known), None) is not None

    def _with_managed(
        self, found: Iterator[Secret], after: str, limit: int | None
    ) -> list[answers.SecretBundle]:
        secrets = ((names.folded(one.name), one) for one in found)
        managed = ((names.folded(one.name), one) for one in self.storage.managed(after))
        both: Iterator[tuple[str, Any]] = merge(secrets, managed, key=itemgetter(0))
        page = [one for _, one in islice(both, limit)]
        ordinary = [(one, self._current(one)) for one in page if isinstance(one, Secret)]
        others = [one for one in page if isinstance(one, answers.SecretBundle)]
        return sorted((*self._items(ordinary), *others), key=lambda one: names.folded(one.name))

    def _current(self, secret: Secret) -> Version | None:
        return self.rows.get(version_key(secret.name, secret.current), Version)

    def _items(self, listed: Iterable[tuple[Secret, Version | None]]) -> list[answers.SecretBundle]:
        """Versions in a list.  What was purged since is named, and has no content any more."""
        there = [(secret, version) for secret, version in listed if version is not None]
        places = [(version.content_at, secret.key) for secret, version in there]
        return [
            self._item(secret, version, content)
            for (secret, version), content in zip(
                there, self.snapshot.contents(places), strict=True
            )
        ]

    def _item(
        self, secret: Secret, version: Version, content: SecretContent | None
    ) -> answers.SecretBundle:
        if content is None:
            closed = self.bundle(secret, version, SecretContent())
            return replace(closed, erased=True, erased_by=self.erased_by(secret))
        return self.bundle(secret, version, _without_value(content))

    def _versions(self, command: ListSecretVersions) -> list[answers.SecretBundle]:
        secret = self.secret(command.name)
        if secret is None or secret.deleted_date is not None:
            return []
        found = islice(self.versions(secret.name, command.after), command.limit)
        return self._items((secret, version) for version in found)


def _without_value(content: SecretContent) -> SecretContent:
    return SecretContent(content_type=content.content_type, tags=content.tags)


def seen(kind: type[E], *, at: int, as_of: int | None, **facts: Any) -> E:
    return kind(at=at, as_of=as_of, **facts)


def erased_by(live: Rows, secret: Holder) -> int | None:
    """The position of the purge that destroyed the secret's key.

    None if none did, or if this copy of the log is older than the purge.
    """
    erased = live.get(erased_key(secret.key), Erased)
    if erased is not None:
        return erased.at
    settings = settings_of(live)
    return settings.at if settings.purged else None


def policy_answer(policy: Policy) -> answers.Policy:
    return answers.Policy(
        object_id=policy.object_id,
        secrets=policy.secrets,
        storage=policy.storage,
        position=policy.at,
        application_id=policy.application_id,
    )
