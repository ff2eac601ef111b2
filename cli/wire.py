"""What a command is in Key Vault's REST, and what its answer says.  Pure.

Names, versions and values are checked before anything is sent, by the vault's own rules: a name with
a slash in it would be another request.  An answer is read into the structs that a vault gives, so
that what prints it need not know where it came from; and a refusal into the vault's own, so that a
script sees the same code and exit status.

Source: Key Vault REST, api-version 7.4, which is what `az` sends.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, NamedTuple, NoReturn, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from cli.problems import (
    AnswerMalformed,
    NotAuthenticated,
    ServerBusy,
    ServerConflict,
    ServerDenied,
    ServerNotFound,
    ServerRefused,
    Usage,
)
from eventstore.errors import MunimentError, RequestIdReused
from vault import commands, names, refusals
from vault.answers import Attributes, Backup, Deletion, SecretBundle

API_VERSION: Final = "7.4"
PAGE: Final = 25
"""The most that one page may hold."""

_LOCAL: Final = {"as_of": None, "after": "", "expected": None, "backups": False}
"""What a command may hold that REST has no word for."""

_MAX_MESSAGE: Final = 2000

S = TypeVar("S")


class Ask(NamedTuple):
    """One request; *target* is a path with its query."""

    method: str
    target: str
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"Ask({self.method} {self.target})"


class PurgedAfar(NamedTuple):
    """A purge that a server carried out: its receipt stands in the log there."""

    name: str
    position: int | None = None
    receipt: int | None = None
    provider: str | None = None
    assurance: str | None = None
    open_backups: tuple[int, ...] | None = None


# --- from a command to a request ------------------------------------------------------------------


def asked(command: commands.Command[Any]) -> Ask:
    """The request that *command* is.  Raise BadParameter, or Usage for what REST cannot say."""
    _check(command)
    match command:
        case commands.SetSecret(name=name):
            return Ask("PUT", _target("secrets", name), _encoded(_set_body(command)))
        case commands.GetSecret(name=name, version=version):
            return Ask("GET", _target("secrets", name, version))
        case commands.UpdateSecret(name=name, version=version):
            target = _target("secrets", name, version)
            return Ask("PATCH", target, _encoded(_update_body(command)))
        case commands.DeleteSecret(name=name):
            return Ask("DELETE", _target("secrets", name))
        case commands.ListSecrets(limit=limit):
            return Ask("GET", _target("secrets", limit=limit or PAGE))
        case commands.ListSecretVersions(name=name, limit=limit):
            return Ask("GET", _target("secrets", name, "versions", limit=limit or PAGE))
        case commands.ListDeletedSecrets(limit=limit):
            return Ask("GET", _target("deletedsecrets", limit=limit or PAGE))
        case commands.GetDeletedSecret(name=name):
            return Ask("GET", _target("deletedsecrets", name))
        case commands.RecoverDeletedSecret(name=name):
            return Ask("POST", _target("deletedsecrets", name, "recover"))
        case commands.PurgeDeletedSecret(name=name):
            return Ask("DELETE", _target("deletedsecrets", name))
        case commands.BackupSecret(name=name):
            return Ask("POST", _target("secrets", name, "backup"))
        case commands.RestoreSecret(blob=blob):
            text = base64.urlsafe_b64encode(blob).rstrip(b"=").decode("ascii")
            return Ask("POST", _target("secrets", "restore"), _encoded({"value": text}))
        case _:
            _refuse_local()


def is_change(command: commands.Command[Any]) -> bool:
    """Whether *command* alters anything, so that it matters if it was carried out."""
    reads = (
        commands.GetSecret,
        commands.GetDeletedSecret,
        commands.ListSecrets,
        commands.ListSecretVersions,
        commands.ListDeletedSecrets,
    )
    return not isinstance(command, reads)


def _check(command: commands.Command[Any]) -> None:
    if isinstance(command, commands.SetSecret):
        names.check_set(command)
    elif isinstance(command, commands.UpdateSecret):
        names.check_update(command)
    elif (name := getattr(command, "name", None)) is not None:
        names.check_name(name)
    version: str | None = getattr(command, "version", None)
    if version:
        names.check_version(version)
    for name, default in _LOCAL.items():
        if getattr(command, name, default) != default:
            _refuse_local()


def _refuse_local() -> NoReturn:
    raise Usage("this works on a store only: Key Vault's REST has nothing like it")


def _target(*parts: str, limit: int | None = None) -> str:
    """Each part was checked to be letters, digits and hyphens."""
    path = "/" + "/".join(part for part in parts if part)
    size = "" if limit is None else f"&maxresults={min(limit, PAGE)}"
    return f"{path}?api-version={API_VERSION}{size}"


def _set_body(command: commands.SetSecret) -> dict[str, Any]:
    dates = {"nbf": command.nbf, "exp": command.exp}
    attributes = {"enabled": command.enabled, **_present(dates, absent=None)}
    beside = {"tags": command.tags, "contentType": command.content_type}
    return {"value": command.value, **_present(beside, absent=None), "attributes": attributes}


def _update_body(command: commands.UpdateSecret) -> dict[str, Any]:
    attributes = _present(
        {"enabled": command.enabled, "nbf": command.nbf, "exp": command.exp}, absent=UNSET
    )
    # Key Vault clears tags by an empty map, and the rest by null.
    tags: object = {} if command.tags is None else command.tags
    body = {"tags": tags, "contentType": command.content_type, "attributes": attributes or UNSET}
    return _present(body, absent=UNSET)


def _present(members: dict[str, Any], *, absent: UnsetType | None) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not absent}


def _encoded(body: object) -> bytes:
    return msgspec.json.encode(body)


# --- from an answer to what a vault gives ---------------------------------------------------------


class _Attributes(msgspec.Struct, rename="camel"):
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None
    created: int = 0
    updated: int = 0
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
    if isinstance(command, commands.SetSecret):
        return
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
