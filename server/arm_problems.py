"""From a failure to the resource manager's error: `{"error": {"code", "message"}}`.  Pure.

Source of codes and texts: what users of Azure report of it, see docs/azure.md; where none is known
the text is ours.
"""

from __future__ import annotations

from typing import NamedTuple

from eventstore import errors
from eventstore.errors import MunimentError
from server.arm import Found
from server.problems import Problem, problem_of, unavailable
from vault import refusals


class _Row(NamedTuple):
    """What an error is here.  An empty *message* is the error's own."""

    status: int
    code: str
    message: str = ""


_FORBIDDEN = _Row(
    403,
    "AuthorizationFailed",
    "The client '{client}' with object id '{client}' does not have authorization to perform action "
    "'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please "
    "refresh your credentials.",
)
_NO_VAULT = _Row(
    404,
    "ResourceNotFound",
    "The Resource 'Microsoft.KeyVault/vaults/{vault}' under resource group '{group}' was not found. "
    "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
)

ROWS: dict[type[MunimentError], _Row] = {
    refusals.NotAdministrator: _FORBIDDEN,
    refusals.NotStoreAdministrator: _FORBIDDEN,
    refusals.BadParameter: _Row(400, "BadRequest"),
    refusals.VaultNameInvalid: _Row(
        400,
        "VaultNameNotValid",
        "The vault name '{vault}' is invalid. A vault's name must be between 3-24 alphanumeric "
        "characters. The name must begin with a letter, end with a letter or digit, and not contain "
        "consecutive hyphens. Follow this link for more information: "
        "https://go.microsoft.com/fwlink/?linkid=2147742",
    ),
    refusals.RetentionIsFixed: _Row(
        400,
        "BadRequest",
        'The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.',
    ),
    refusals.LocationIsFixed: _Row(
        409,
        "InvalidResourceLocation",
        "The resource '{vault}' already exists in another location in resource group '{group}'. A "
        "resource with the same name cannot be created in the one that was given. Please select a "
        "new resource name.",
    ),
    refusals.PurgeProtectionIsOneWay: _Row(
        400,
        "BadRequest",
        'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection '
        "for a vault is an irreversible action.",
    ),
    refusals.VaultNotFound: _NO_VAULT,
    refusals.VaultIsDeleted: _NO_VAULT,
    refusals.DeletedVaultNotFound: _Row(
        404, "DeletedVaultNotFound", "The deleted vault '{vault}' was not found."
    ),
    refusals.VaultExists: _Row(
        409,
        "VaultAlreadyExists",
        "The vault name '{vault}' is already in use. Vault names are globally unique so it is "
        "possible that the name is already taken. If you are sure that the vault name was not taken "
        "then it is possible that a vault with the same name was recently deleted but not purged "
        "after being placed in a recoverable state. If the vault is in a recoverable state then the "
        "vault will need to be purged before reusing the name. For more information on soft delete "
        "and purging a vault follow this link https://go.microsoft.com/fwlink/?linkid=2147740.",
    ),
    refusals.VaultPurgeIsProtected: _Row(
        405, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed."
    ),
    refusals.PolicyNotFound: _Row(404, "AccessPolicyNotFound"),
    errors.LogConflict: _Row(409, "ConflictError"),
    errors.RequestIdReused: _Row(409, "ConflictError"),
}

IN_DELETED_STATE = _Row(
    409,
    "ConflictError",
    "A vault with the same name already exists in deleted state. You need to either recover or purge "
    "existing key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more "
    "information on soft delete.",
)


def arm_problem(error: BaseException, found: Found, scope: str, client: str) -> Problem:
    """What *error* is to a client of the resource manager."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, refusals.ErasurePending | errors.LogBusy):
        return unavailable()
    rows = (ROWS[kind] for kind in type(error).__mro__ if kind in ROWS)
    row = next(rows, None)
    if row is None or not isinstance(error, MunimentError):
        return problem_of(error, client, found.vault)
    return told(row, found, scope, client, error.message)


def name_taken(vault: str) -> str:
    """What is said of a name that another vault has."""
    return ROWS[refusals.VaultExists].message.format(vault=vault[:64])


def told(row: _Row, found: Found, scope: str, client: str, message: str = "") -> Problem:
    """The problem that *row* is for this request."""
    text = row.message.format(
        client=client,
        action=found.route.action,
        scope=scope,
        vault=found.vault[:64],
        group=found.group[:90],
    )
    return Problem(row.status, row.code, text or message)
