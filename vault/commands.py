"""What can be asked of a vault's secrets.  Imperative, closed, and checked before use.  Pure.

What is asked of storage accounts, of a vault's rules, and of its history stands in the modules
beside this one.

A command names the answer it leads to.  `UNSET` in an update means unchanged, `None` means cleared.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from vault.answers import (
    Backup,
    Imported,
    Purged,
    SecretBundle,
)
from vault.points import Point

A = TypeVar("A")


class Command(msgspec.Struct, Generic[A], frozen=True, kw_only=True):
    """Something asked of a vault, with the answer *A*.

    *records* is the tag of the event that it leads to; a refusal is recorded under it as well.
    *as_of*, in a read, is the point of the past that is asked for; who may ask is a matter of the
    policies of today, and what a point is, is told to nobody else.
    """

    records: ClassVar[str]


# --- secrets ------------------------------------------------------------------------------------


class SetSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Make a new version and make it current.

    *expected* is an append condition: the position of the secret's last event (-1: no such secret).
    """

    records: ClassVar[str] = "secret.set"
    name: str
    value: str
    content_type: str | None = None
    tags: dict[str, str] | None = None
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    expected: int | None = None

    def __repr__(self) -> str:
        return f"SetSecret(name={self.name!r})"


class ImportSecrets(Command[Imported], frozen=True, kw_only=True):
    """Set many secrets in one commit, one event each: all of them or none."""

    records: ClassVar[str] = "secret.set"
    items: tuple[SetSecret, ...]


class GetSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Give out a value.  An empty *version* is the newest created, whatever its attributes."""

    records: ClassVar[str] = "secret.read"
    name: str
    version: str = ""
    as_of: Point | None = None


class UpdateSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Change a version's attributes, content type or tags; never its value."""

    records: ClassVar[str] = "secret.updated"
    name: str
    version: str = ""
    content_type: str | None | UnsetType = UNSET
    tags: dict[str, str] | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    nbf: int | None | UnsetType = UNSET
    exp: int | None | UnsetType = UNSET
    expected: int | None = None

    def __repr__(self) -> str:
        return f"UpdateSecret(name={self.name!r}, version={self.version!r})"


class DeleteSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Delete a secret with all its versions; it can be recovered until its retention is over."""

    records: ClassVar[str] = "secret.deleted"
    name: str
    expected: int | None = None


class ListSecrets(Command[list[SecretBundle]], frozen=True, kw_only=True):
    """The newest version of each active secret, by name; no values.

    Names greater than *after* (compared in upper case), at most *limit* of them.
    """

    records: ClassVar[str] = "secrets.listed"
    after: str = ""
    limit: int | None = None
    as_of: Point | None = None


class ListSecretVersions(Command[list[SecretBundle]], frozen=True, kw_only=True):
    """All versions of a secret, by version id; of an unknown or deleted one, none."""

    records: ClassVar[str] = "secret-versions.listed"
    name: str
    after: str = ""
    limit: int | None = None
    as_of: Point | None = None


class GetDeletedSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """The newest version of a deleted secret, without its value."""

    records: ClassVar[str] = "deleted-secret.read"
    name: str
    as_of: Point | None = None


class ListDeletedSecrets(Command[list[SecretBundle]], frozen=True, kw_only=True):
    """The newest version of each deleted secret, by name."""

    records: ClassVar[str] = "deleted-secrets.listed"
    after: str = ""
    limit: int | None = None
    as_of: Point | None = None


class RecoverDeletedSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Bring a deleted secret back with all its versions."""

    records: ClassVar[str] = "secret.recovered"
    name: str


class PurgeDeletedSecret(Command[Purged], frozen=True, kw_only=True):
    """Destroy a deleted secret's key, and with *backups* those of its issued backups."""

    records: ClassVar[str] = "secret.purged"
    name: str
    backups: bool = False


class BackupSecret(Command[Backup], frozen=True, kw_only=True):
    """Issue an encrypted blob with all versions."""

    records: ClassVar[str] = "secret.backed-up"
    name: str


class RestoreSecret(Command[SecretBundle], frozen=True, kw_only=True):
    """Bring back what a blob holds, under the name it had, if that name is free."""

    records: ClassVar[str] = "secret.restored"
    blob: bytes

    def __repr__(self) -> str:
        return "RestoreSecret(...)"


class Malformed(Command[None], frozen=True, kw_only=True):
    """A request that cannot be read: authorized as *kind*, then refused with *problem*."""

    kind: type[Command[Any]]
    problem: Exception
    name: str = ""

    @property
    def records(self) -> str:  # type: ignore[override]
        return self.kind.records


def kind_of(command: Command[Any]) -> type[Command[Any]]:
    """What *command* is authorized as: all of it that decides who may do it."""
    return command.kind if isinstance(command, Malformed) else type(command)
