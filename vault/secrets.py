"""The rules of secrets: what a command records, given what is so, or why it is refused.  Pure.

`decide` may refuse; what it returns has happened once it is appended.  Rules that are not obvious:

* Every set makes a new version, and a new version inherits nothing.
* The name of a deleted secret is held: it cannot be set or restored before recover or purge.
* An update may touch any version, also a disabled one; it never touches the value.
* A purge is refused under purge protection, until the retention is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar, assert_never

from msgspec import UNSET, UnsetType

from eventstore.errors import LogConflict
from eventstore.event import Event, SecretContent
from eventstore.events import (
    SecretBackedUp,
    SecretDeleted,
    SecretPurged,
    SecretRecovered,
    SecretRestored,
    SecretSet,
    SecretUpdated,
    SecretVersionRestored,
)
from projections.rows import Secret, Settings, Version
from vault import names
from vault.commands import (
    BackupSecret,
    DeleteSecret,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    SetSecret,
    UpdateSecret,
)
from vault.refusals import (
    DeletedSecretNotFound,
    PurgeIsProtected,
    SecretExists,
    SecretIsDeleted,
    SecretNotFound,
)

if TYPE_CHECKING:
    from vault.backup import Blob

DAY = 86_400

T = TypeVar("T")

SecretCommand = (
    SetSecret
    | UpdateSecret
    | DeleteSecret
    | RecoverDeletedSecret
    | PurgeDeletedSecret
    | BackupSecret
)


class Found(NamedTuple):
    """What is so: the secret of that name, the version asked for, its content, its blobs."""

    secret: Secret | None
    version: Version | None = None
    content: SecretContent | None = None
    versions: int = 0
    backups: tuple[int, ...] = ()


class Facts(NamedTuple):
    """What a decision may use besides: the time in seconds, the rules, and fresh identifiers."""

    now: int
    settings: Settings
    new_version: Callable[[], str]
    new_key: Callable[[], int]


class Decision(NamedTuple):
    """One event to append, with its content and the number of the key that seals it."""

    event: Event
    content: SecretContent | None = None
    key: int | None = None


def decide(found: Found, command: SecretCommand, facts: Facts) -> list[Decision]:
    """What *command* records given what was *found*, or the refusal."""
    match command:
        case SetSecret():
            return [_set(found.secret, command, facts)]
        case UpdateSecret():
            return [_update(found, command)]
        case DeleteSecret():
            secret = active(found.secret, command.name)
            _expect(secret, command.expected)
            due = facts.now + facts.settings.retention_days * DAY
            return [Decision(SecretDeleted(name=secret.name, scheduled_purge=due))]
        case RecoverDeletedSecret():
            return [Decision(SecretRecovered(name=deleted(found.secret, command.name).name))]
        case PurgeDeletedSecret():
            secret = deleted(found.secret, command.name)
            if facts.settings.purge_protection:
                raise PurgeIsProtected
            return [purge(secret, found.backups if command.backups else ())]
        case BackupSecret():
            secret = active(found.secret, command.name)
            number = facts.new_key()
            event = SecretBackedUp(name=secret.name, backup_key=number, versions=found.versions)
            return [Decision(event)]
        case _:
            assert_never(command)


def _set(secret: Secret | None, command: SetSecret, facts: Facts) -> Decision:
    names.check_set(command)
    if secret is not None and secret.deleted_date is not None:
        raise is_deleted(secret)
    _expect(secret, command.expected)
    event = SecretSet(
        name=command.name if secret is None else secret.name,
        version=facts.new_version(),
        enabled=command.enabled,
        nbf=command.nbf,
        exp=command.exp,
    )
    content = SecretContent(
        value=command.value, content_type=command.content_type, tags=command.tags or None
    )
    return Decision(event, content, facts.new_key() if secret is None else secret.key)


def _update(found: Found, command: UpdateSecret) -> Decision:
    names.check_update(command)
    secret = active(found.secret, command.name)
    version, content = found.version, found.content
    if version is None or content is None:
        raise not_found(command.name, command.version)
    _expect(secret, command.expected)
    event = SecretUpdated(
        name=secret.name,
        version=version.version,
        changed=_changed(command),
        enabled=given(command.enabled, version.enabled),
        nbf=given(command.nbf, version.nbf),
        exp=given(command.exp, version.exp),
    )
    after = SecretContent(
        content_type=given(command.content_type, content.content_type),
        tags=given(command.tags, content.tags) or None,
    )
    return Decision(event, after, secret.key)


def given(asked: T | UnsetType, known: T) -> T:
    """What is *asked* for, or what stands if nothing is."""
    return known if isinstance(asked, UnsetType) else asked


def _changed(command: UpdateSecret) -> tuple[str, ...]:
    asked = {
        "content_type": command.content_type,
        "tags": command.tags,
        "enabled": command.enabled,
        "nbf": command.nbf,
        "exp": command.exp,
    }
    return tuple(name for name, value in asked.items() if value is not UNSET)


def purge(secret: Secret, backups: tuple[int, ...] = ()) -> Decision:
    """The end of a secret's lifetime, and of the blobs whose keys are *backups*."""
    return Decision(SecretPurged(name=secret.name, key=secret.key, backups=backups))


def restore(secret: Secret | None, blob: Blob, new_key: Callable[[], int]) -> list[Decision]:
    """What bringing *blob* back records: one event that says so, then one for each version."""
    if secret is not None and secret.deleted_date is not None:
        raise is_deleted(secret)
    if secret is not None:
        exists = SecretExists(f"there is a secret {secret.name} already")
        exists.about = secret.name
        raise exists
    key = new_key()
    first = SecretRestored(
        name=blob.name,
        versions=len(blob.versions),
        origin=blob.origin,
        backup_key=blob.backup_key,
    )
    decisions = [Decision(first)]
    for one in blob.versions:
        event = SecretVersionRestored(
            name=blob.name,
            version=one.version,
            created=one.created,
            updated=one.updated,
            enabled=one.enabled,
            nbf=one.nbf,
            exp=one.exp,
        )
        content = SecretContent(value=one.value, content_type=one.content_type, tags=one.tags)
        decisions.append(Decision(event, content, key))
    return decisions


def active(secret: Secret | None, name: str) -> Secret:
    """*secret* if it is active.  Raise SecretNotFound."""
    names.check_name(name)
    if secret is None or secret.deleted_date is not None:
        raise not_found(name)
    return secret


def deleted(secret: Secret | None, name: str) -> Secret:
    """*secret* if it is deleted.  Raise DeletedSecretNotFound."""
    names.check_name(name)
    if secret is None or secret.deleted_date is None:
        raise DeletedSecretNotFound(f"Deleted Secret not found: {name}")
    return secret


def not_found(name: str, version: str = "") -> SecretNotFound:
    which = f"{name}/{version}" if version else name
    return SecretNotFound(
        f"A secret with (name/id) {which} was not found in this key vault. If you recently "
        "deleted this secret you may be able to recover it using the correct recovery command."
    )


def is_deleted(secret: Secret) -> SecretIsDeleted:
    refusal = SecretIsDeleted(
        f"Secret {secret.name} is currently in a deleted but recoverable state, and its name "
        "cannot be reused; in this state, the secret can only be recovered or purged."
    )
    refusal.about = secret.name
    return refusal


def recovery_level(settings: Settings) -> str:
    """Key Vault's word for what can still be done about a deletion."""
    custom = "" if settings.retention_days == 90 else "Customized"
    purgeable = "" if settings.purge_protection else "+Purgeable"
    return f"{custom}Recoverable{purgeable}"


def _expect(secret: Secret | None, expected: int | None) -> None:
    at = -1 if secret is None else secret.at
    if expected is not None and expected != at:
        raise LogConflict(f"expected the secret's last event at #{expected}, found #{at}")
