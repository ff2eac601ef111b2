"""Who may do what.  Checked before anything is read or written.  Pure.

Key Vault's access policies: a principal has exactly the permissions that its policy names.  The
vault's settings and policies are for its administrators.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from projections.rows import Policy, Rows, Settings, holder, policy_key
from vault.caller import Caller
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ImportSecrets,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
    kind_of,
)
from vault.refusals import AccessDenied, NotAdministrator, PermissionUnknown
from vault.rule_commands import DescribeVault
from vault.storage_commands import (
    BackupStorageAccount,
    DeleteSasDefinition,
    DeleteStorageAccount,
    GetDeletedSasDefinition,
    GetDeletedStorageAccount,
    GetSasDefinition,
    GetStorageAccount,
    ListDeletedSasDefinitions,
    ListDeletedStorageAccounts,
    ListSasDefinitions,
    ListStorageAccounts,
    PurgeDeletedStorageAccount,
    RecoverDeletedSasDefinition,
    RecoverDeletedStorageAccount,
    RegenerateKey,
    RestoreStorageAccount,
    SetSasDefinition,
    SetStorageAccount,
    SyncStorageKeys,
    UpdateSasDefinition,
    UpdateStorageAccount,
)

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
"""The secret permission that a command needs."""

STORAGE_NEEDS: dict[type[Command[Any]], tuple[str, ...]] = {
    SetStorageAccount: ("set",),
    GetStorageAccount: ("get",),
    ListStorageAccounts: ("list",),
    # Key Vault takes either: its documentation calls this permission "set/update".
    UpdateStorageAccount: ("update", "set"),
    DeleteStorageAccount: ("delete",),
    GetDeletedStorageAccount: ("get",),
    ListDeletedStorageAccounts: ("list",),
    RecoverDeletedStorageAccount: ("recover",),
    PurgeDeletedStorageAccount: ("purge",),
    BackupStorageAccount: ("backup",),
    RestoreStorageAccount: ("restore",),
    RegenerateKey: ("regeneratekey",),
    # Key Vault asks for the keys anew at each set, and has no other way.
    SyncStorageKeys: ("set",),
    SetSasDefinition: ("setsas",),
    GetSasDefinition: ("getsas",),
    ListSasDefinitions: ("listsas",),
    UpdateSasDefinition: ("setsas",),
    DeleteSasDefinition: ("deletesas",),
    GetDeletedSasDefinition: ("getsas",),
    ListDeletedSasDefinitions: ("listsas",),
    RecoverDeletedSasDefinition: ("recover",),
}
"""The storage permissions any of which a command needs; what is in neither is for administrators.

A token is read as a secret, and needs the secret permission for that.
"""


def authorize(rows: Rows, settings: Settings, caller: Caller, command: Command[Any]) -> str:
    """The rule that lets *caller* do *command*, or raise AccessDenied or NotAdministrator."""
    kind = kind_of(command)
    permission = NEEDS.get(kind)
    if permission is not None:
        return permit(rows, settings, caller, permission)
    if kind in STORAGE_NEEDS:
        return permit_storage(rows, settings, caller, STORAGE_NEEDS[kind])
    if caller.principal in settings.administrators:
        return "administrator"
    if caller.store_administrator and kind is DescribeVault:
        return "store administrator"
    raise NotAdministrator(f"{caller.principal} is not an administrator of {settings.name}")


def permit(rows: Rows, settings: Settings, caller: Caller, permission: str) -> str:
    """The rule that gives *caller* a secret *permission*, or raise AccessDenied."""
    for policy in _policies(rows, caller):
        if permission in policy.secrets:
            return f"policy #{policy.at}"
    raise _denied(settings, caller, f"secrets {permission}")


def permit_storage(
    rows: Rows, settings: Settings, caller: Caller, permissions: tuple[str, ...]
) -> str:
    """The rule that gives *caller* one of the storage *permissions*, or raise AccessDenied."""
    for policy in _policies(rows, caller):
        if not set(permissions).isdisjoint(policy.storage):
            return f"policy #{policy.at}"
    raise _denied(settings, caller, f"storage {permissions[0]}")


def _denied(settings: Settings, caller: Caller, permission: str) -> AccessDenied:
    return AccessDenied(
        f"{caller.principal} does not have {permission} permission on vault {settings.name}"
    )


def _policies(rows: Rows, caller: Caller) -> Iterator[Policy]:
    for who in _holders(caller):
        policy = rows.get(policy_key(who), Policy)
        if policy is not None:
            yield policy


def permission_of(kind: type[Command[Any]]) -> str:
    """The permission that a command of that kind needs, as `secrets get` or `storage set`."""
    if kind in STORAGE_NEEDS:
        return f"storage {STORAGE_NEEDS[kind][0]}"
    return f"secrets {NEEDS.get(kind, '')}"


def _holders(caller: Caller) -> tuple[str, ...]:
    """Whose policies speak for *caller*: a compound one only where its client asks for its user.

    The ids of clients are compared without regard to case, as those of trusted services are.
    """
    if not caller.application:
        return (caller.principal,)
    return (caller.principal, holder(caller.principal, caller.application.lower()))


def of_data_plane(command: Command[Any]) -> bool:
    """Whether *command* is about what the vault keeps, and not about the vault itself.

    The boundary is for these alone: the control plane is never cut off by it.
    """
    kind = kind_of(command)
    return kind in NEEDS or kind in STORAGE_NEEDS


def expand(permissions: Iterable[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """*permissions* in the order of *known*, case ignored; `all` is every one of them."""
    asked = {permission.lower() for permission in permissions}
    unknown = asked - set(known) - {"all"}
    if unknown:
        raise PermissionUnknown(f"unknown permission {min(unknown)!r}; known: {', '.join(known)}")
    return tuple(one for one in known if one in asked or "all" in asked)
