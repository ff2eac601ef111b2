"""What an answer of Key Vault's REST says.  Pure.

An answer is read into the structs that a vault gives, so that what prints it need not know where it
came from; and a refusal into the vault's own, so that a script sees the same code and exit status.
What a server sends is believed only where it fits what was asked.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from cli.problems import (
    AnswerMalformed,
    NotAuthenticated,
    ServerBusy,
    ServerConflict,
    ServerDenied,
    ServerNotFound,
    ServerRefused,
)
from eventstore.errors import MunimentError, RequestIdReused
from vault import commands, names, refusals
from vault.answers import Attributes, Backup, Deletion, SecretBundle

_MAX_MESSAGE: Final = 2000

S = TypeVar("S")


class PurgedAfar(NamedTuple):
    """A purge that a server carried out: its receipt stands in the log there."""

    name: str
    position: int | None = None
    receipt: int | None = None
    provider: str | None = None
    assurance: str | None = None
    open_backups: tuple[int, ...] | None = None


# --- from an answer to what a vault gives ---------------------------------------------------------


class _Attributes(msgspec.Struct, rename="camel"):
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    created: int | None = None
    updated: int | None = None
    recovery_level: str = ""
    recoverable_days: int = 0


class _Bundle(msgspec.Struct, rename="camel"):
    id: str
    attributes: _Attributes
    value: str | None = None
    content_type: str | None = None
    tags: dict[str, str] | None = None
    deleted_date: int | None = None
    scheduled_purge_date: int | None = None
    managed: bool = False


class _Page(msgspec.Struct, rename="camel"):
    value: list[_Bundle] = []
    next_link: str | None = None


class _Blob(msgspec.Struct):
    value: str


class Page(NamedTuple):
    """A part of a list, and the link to the next; None after the last."""

    items: list[SecretBundle]
    next_link: str | None


def answered(command: commands.Command[Any], body: bytes) -> Any:
    """What *body* says in answer to a *command* that is no list.  Raise AnswerMalformed."""
    match command:
        case commands.PurgeDeletedSecret(name=name):
            return PurgedAfar(name)
        case commands.BackupSecret(name=name):
            return Backup(name=name, versions=None, blob=_blob(_decoded(body, _Blob).value))
        case _:
            answer = _bundle(_decoded(body, _Bundle))
            _check_answer(command, answer)
            return answer


def page(body: bytes) -> Page:
    """One page of a list.  Raise AnswerMalformed."""
    read = _decoded(body, _Page)
    return Page([_bundle(one) for one in read.value], read.next_link or None)


def _check_answer(command: commands.Command[Any], answer: SecretBundle) -> None:
    """An answer to something else than *command* is none."""
    name = getattr(command, "name", answer.name)
    version = getattr(command, "version", "") or answer.version
    if (names.folded(name), version.lower()) != (names.folded(answer.name), answer.version.lower()):
        raise AnswerMalformed("the server answered with another secret")
    if isinstance(command, commands.GetSecret) and answer.value is None:
        raise AnswerMalformed("the server's answer has no value")
    if isinstance(command, commands.UpdateSecret):
        stands = (answer.content_type, answer.attributes.nbf, answer.attributes.exp)
        wanted = (command.content_type, command.nbf, command.exp)
        if any(
            want is None and stand is not None for want, stand in zip(wanted, stands, strict=True)
        ):
            raise AnswerMalformed(
                "the server changed the version, but did not clear what it should"
            )


def _bundle(read: _Bundle) -> SecretBundle:
    name, version = _identified(read.id)
    deletion = None
    if read.deleted_date is not None and read.scheduled_purge_date is not None:
        deletion = Deletion(
            deleted_date=read.deleted_date, scheduled_purge_date=read.scheduled_purge_date
        )
    _check_dates(read)
    return SecretBundle(
        name=name,
        version=version,
        attributes=Attributes(**msgspec.structs.asdict(read.attributes)),
        content_type=read.content_type,
        tags=read.tags or None,
        value=read.value,
        deletion=deletion,
        managed=read.managed,
    )


def _check_dates(read: _Bundle) -> None:
    """A time that cannot be written is not one."""
    told = read.attributes
    dates = (told.nbf, told.exp, told.created, told.updated)
    for date in (*dates, read.deleted_date, read.scheduled_purge_date):
        if date is not None and not 0 <= date <= names.MAX_DATE:
            raise AnswerMalformed("the server's answer has a time that is none")


def _identified(identifier: str) -> tuple[str, str]:
    """Name and version in an id; a list's item has no version."""
    try:
        parts = urlsplit(identifier).path.strip("/").split("/")
        if len(parts) in (2, 3) and parts[0] in ("secrets", "deletedsecrets"):
            names.check_name(parts[1])
            return parts[1], names.check_version(parts[2]) if len(parts) == 3 else ""
    except (ValueError, refusals.BadParameter):
        pass
    raise AnswerMalformed("the server's answer has an id that is none")


def _blob(text: str) -> bytes:
    """Base64 of either alphabet, padded or not."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise AnswerMalformed("the server's backup is not base64") from None


def _decoded(body: bytes, form: type[S]) -> S:
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Not what was wrong with it: the body may hold a value.
        raise AnswerMalformed("the server's answer is not what Key Vault answers") from None


# --- from a refusal to the vault's own ------------------------------------------------------------


class _Inner(msgspec.Struct):
    code: str = ""


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""
    innererror: _Inner | None = None


class _Problem(msgspec.Struct):
    error: _Error


_INNER: Final[dict[str, type[MunimentError]]] = {
    "AccessDenied": refusals.AccessDenied,
    "SecretDisabled": refusals.SecretIsDisabled,
    "ForbiddenByPolicy": refusals.PurgeIsProtected,
    "ObjectIsDeletedButRecoverable": refusals.SecretIsDeleted,
    "RequestIdReused": RequestIdReused,
    "BackupErased": refusals.BackupErased,
}
_STATUS: Final[dict[int, type[MunimentError]]] = {
    400: refusals.BadParameter,
    401: NotAuthenticated,
    403: ServerDenied,
    404: ServerNotFound,
    409: ServerConflict,
    413: refusals.BadParameter,
    429: ServerBusy,
    502: ServerBusy,
    503: ServerBusy,
    504: ServerBusy,
}
_DELETED: Final = (
    commands.GetDeletedSecret,
    commands.RecoverDeletedSecret,
    commands.PurgeDeletedSecret,
)


def refusal(command: commands.Command[Any] | None, status: int, body: bytes) -> MunimentError:
    """The error that an answer with *status* is: the vault's own where it can be told."""
    try:
        told = msgspec.json.decode(body, type=_Problem).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = _Error()
    kind = _kind(command, status, told)
    said = told.message.strip()[:_MAX_MESSAGE]
    return kind(said or f"the server answered {status} and does not say why")


def _kind(command: commands.Command[Any] | None, status: int, told: _Error) -> type[MunimentError]:
    inner = told.innererror.code if told.innererror else ""
    if status in (403, 404, 409) and inner in _INNER:
        return _INNER[inner]
    if status == 404 and told.code == "SecretNotFound":
        deleted = isinstance(command, _DELETED)
        return refusals.DeletedSecretNotFound if deleted else refusals.SecretNotFound
    if isinstance(command, commands.RestoreSecret) and status == 409 and not inner:
        return refusals.SecretExists
    return _STATUS.get(status, ServerRefused)
