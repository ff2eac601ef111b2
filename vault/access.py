"""Who may do what.  Checked before anything is read or written.  Pure.

Key Vault's access policies: a principal has exactly the permissions that its policy names.  The
vault's settings and policies are for its administrators.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projections.rows import Policy, Rows, Settings, holder, policy_key
from vault.caller import Caller
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    DescribeVault,
    GetDeletedSecret,
    GetSecret,
    ImportSecrets,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    Malformed,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.refusals import AccessDenied, NotAdministrator, PermissionUnknown

SECRET_PERMISSIONS = ("get", "list", "set", "delete", "recover", "backup", "restore", "purge")
STORAGE_PERMISSIONS = (
    "get",
    "list",
    "update",
    "delete",
    "recover",
    "backup",
    "restore",
    "set",
    "regeneratekey",
    "getsas",
    "listsas",
    "deletesas",
    "setsas",
    "purge",
)

NEEDS: dict[type[Command[Any]], str] = {
    SetSecret: "set",
    ImportSecrets: "set",
    GetSecret: "get",
    UpdateSecret: "set",
    DeleteSecret: "delete",
    ListSecrets: "list",
    ListSecretVersions: "list",
    GetDeletedSecret: "get",
    ListDeletedSecrets: "list",
    RecoverDeletedSecret: "recover",
    PurgeDeletedSecret: "purge",
    BackupSecret: "backup",
    RestoreSecret: "restore",
}
"""The secret permission that a command needs; what is not here is for administrators."""


def authorize(rows: Rows, settings: Settings, caller: Caller, command: Command[Any]) -> str:
    """The rule that lets *caller* do *command*, or raise AccessDenied or NotAdministrator."""
    permission = NEEDS.get(command.kind if isinstance(command, Malformed) else type(command))
    if permission is not None:
        return permit(rows, settings, caller, permission)
    if caller.principal in settings.administrators:
        return "administrator"
    if caller.store_administrator and isinstance(command, DescribeVault):
        return "store administrator"
    raise NotAdministrator(f"{caller.principal} is not an administrator of {settings.name}")


def permit(rows: Rows, settings: Settings, caller: Caller, permission: str) -> str:
    """The rule that gives *caller* a secret *permission*, or raise AccessDenied."""
    for who in _holders(caller):
        policy = rows.get(policy_key(who), Policy)
        if policy is not None and permission in policy.secrets:
            return f"policy #{policy.at}"
    raise AccessDenied(
        f"{caller.principal} does not have secrets {permission} permission on vault {settings.name}"
    )


def _holders(caller: Caller) -> tuple[str, ...]:
    """Whose policies speak for *caller*: a compound one only where its client asks for its user."""
    if not caller.application:
        return (caller.principal,)
    return (caller.principal, holder(caller.principal, caller.application))


def of_data_plane(command: Command[Any]) -> bool:
    """Whether *command* is about the vault's secrets, and not about the vault itself.

    The boundary is for these alone: the control plane is never cut off by it.
    """
    return (command.kind if isinstance(command, Malformed) else type(command)) in NEEDS


def expand(permissions: Iterable[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """*permissions* in the order of *known*, case ignored; `all` is every one of them."""
    asked = {permission.lower() for permission in permissions}
    unknown = asked - set(known) - {"all"}
    if unknown:
        raise PermissionUnknown(f"unknown permission {min(unknown)!r}; known: {', '.join(known)}")
    return tuple(one for one in known if one in asked or "all" in asked)
