"""What a command is in Key Vault's REST.  Pure.

Names, versions and values are checked before anything is sent, by the vault's own rules: a name with
a slash in it would be another request.

Source: Key Vault REST, api-version 7.4, which is what `az` sends.
"""

from __future__ import annotations

import base64
from typing import Any, Final, NamedTuple, NoReturn

import msgspec
from msgspec import UNSET, UnsetType

from cli.problems import Usage
from vault import commands, names

API_VERSION: Final = "7.4"
PAGE: Final = 25
"""The most that one page may hold."""

_LOCAL: Final = {"as_of": None, "after": "", "expected": None, "backups": False}
"""What a command may hold that REST has no word for."""


class Ask(NamedTuple):
    """One request; *target* is a path with its query."""

    method: str
    target: str
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"Ask({self.method} {self.target})"


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
