"""From a failure to Key Vault's error: one table, by class.  Pure.

`{"error": {"code", "message", "innererror": {"code"}}}`, the inner code only where Key Vault has one.
What is not in the table is a 500 that tells nothing.  No message quotes a body or a value.
Where Key Vault's own text is not known, ours says what is so; see docs/azure.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from eventstore import errors
from eventstore.errors import MunimentError
from server.http import Response, json_response
from server.refusals import BeingDeleted
from vault import refusals
from vault.resource_ids import LOCATION
from vault.trace import writable

RETRY_AFTER = 5
"""Seconds after which a request that could not be recorded may be tried again."""

_HELP = "For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid="
_LONGEST_NAME = 140


class Problem(Exception):
    """An answer that says no, or that something failed."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        inner: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner
        self.headers = headers

    def response(self) -> Response:
        error: dict[str, object] = {"code": self.code, "message": writable(self.message)}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return json_response(self.status, {"error": error}, self.headers)


class _Row(NamedTuple):
    """What an error is at this edge.  An empty *message* is the error's own.

    *message* may hold {name} (with its version), {permission}, {caller}, {origin}, {vault} and
    {vault_name}.
    """

    status: int
    code: str
    inner: str = ""
    message: str = ""
    retry: bool = False


_BAD = _Row(400, "BadParameter")
_GONE = _Row(
    404,
    "SecretNotFound",
    message="A secret with (name/id) {name} was not found in this key vault. If you recently "
    "deleted this secret you may be able to recover it using the correct recovery command. "
    + _HELP
    + "2125182",
)
_NO_VAULT = _Row(404, "VaultNotFound", message="The vault {vault_name} was not found.")
_LATER = _Row(
    503, "ServiceUnavailable", message="The service is temporarily unavailable.", retry=True
)
_FAILED = _Row(500, "InternalServerError", message="An internal error occurred.")

ROWS: dict[type[MunimentError], _Row] = {
    MunimentError: _FAILED,
    # Who may.
    refusals.AccessDenied: _Row(
        403,
        "Forbidden",
        "AccessDenied",
        "The user, group or application '{caller}' does not have {permission} permission "
        "on key vault '{vault}'. " + _HELP + "2125287",
    ),
    refusals.NotAdministrator: _Row(
        403,
        "Forbidden",
        "AccessDenied",
        "The user, group or application '{caller}' is not an administrator of key vault '{vault}'.",
    ),
    refusals.OutsideBoundary: _Row(
        403,
        "Forbidden",
        "ForbiddenByFirewall",
        "Client address is not authorized and caller is not a trusted service.\r\n"
        "Client address: {origin}\r\nCaller: {caller}\r\nVault: {vault}",
    ),
    refusals.PublicAccessDisabled: _Row(
        403,
        "Forbidden",
        "ForbiddenByConnection",
        "Public network access is disabled and request is not from a trusted service nor via an "
        "approved private link.\r\nCaller: {caller}\r\nVault: {vault}",
    ),
    # What was asked for cannot be read, or is beyond a limit.
    refusals.BadParameter: _BAD,
    refusals.NameInvalid: _BAD._replace(message="The request URI contains an invalid name: {name}"),
    refusals.VersionInvalid: _BAD._replace(
        message="The request URI contains an invalid version: {version}"
    ),
    refusals.AttributesInvalid: _Row(400, "BadRequest", message="Property has invalid value\r\n"),
    refusals.BackupInvalid: _BAD._replace(
        message="Backup blob contains invalid or corrupt version."
    ),
    # What is so.
    refusals.SecretNotFound: _GONE,
    refusals.SecretErased: _GONE,
    errors.KeyErased: _GONE,
    refusals.BackupErased: _Row(404, "SecretNotFound", "BackupErased"),
    refusals.DeletedSecretNotFound: _Row(
        404, "SecretNotFound", message="Deleted Secret not found: {name}"
    ),
    refusals.SecretIsDisabled: _Row(
        403,
        "Forbidden",
        "SecretDisabled",
        "Operation get is not allowed on a disabled secret.",
    ),
    refusals.SecretIsDeleted: _Row(409, "Conflict", "ObjectIsDeletedButRecoverable"),
    refusals.SecretExists: _Row(409, "Conflict"),
    BeingDeleted: _Row(409, "Conflict", "ObjectIsBeingDeleted"),
    refusals.PurgeIsProtected: _Row(
        403,
        "Forbidden",
        "ForbiddenByPolicy",
        'Operation "purge" is not allowed because purge protection is enabled for this vault. '
        "Key Vault service will automatically purge it after the retention period has passed.\r\n"
        "Vault: {vault}",
    ),
    refusals.VaultNotFound: _NO_VAULT,
    refusals.VaultIsDeleted: _NO_VAULT,
    errors.LogConflict: _Row(409, "Conflict"),
    errors.RequestIdReused: _Row(409, "Conflict", "RequestIdReused"),
    refusals.StorageAccountNotFound: _Row(404, "StorageAccountNotFound"),
    refusals.DeletedStorageAccountNotFound: _Row(404, "StorageAccountNotFound"),
    refusals.StorageKeyNotFound: _Row(404, "StorageAccountKeyNotFound"),
    refusals.SasDefinitionNotFound: _Row(404, "SasDefinitionNotFound"),
    refusals.DeletedSasDefinitionNotFound: _Row(404, "SasDefinitionNotFound"),
    refusals.StorageIsDeleted: _Row(409, "Conflict", "ObjectIsDeletedButRecoverable"),
    refusals.SasIsDeleted: _Row(409, "Conflict", "ObjectIsDeletedButRecoverable"),
    refusals.StorageExists: _Row(409, "Conflict"),
    refusals.StorageBusy: _Row(409, "Conflict", "StorageAccountBusy"),
    refusals.SecretIsManaged: _Row(403, "Forbidden", "SecretIsManaged"),
    # The account's provider stands behind this service: it is not the caller who is wrong.
    refusals.ProviderMissing: _Row(409, "Conflict", "StorageProviderMissing"),
    refusals.ProviderRefused: _Row(409, "Conflict", "StorageProviderRefused"),
    refusals.ProviderUnavailable: _Row(503, "ServiceUnavailable", "StorageProvider", retry=True),
    # What could not be recorded was not done.
    errors.LogUnavailable: _LATER,
    refusals.ErasurePending: _LATER,
    errors.RootKeyNotErased: _LATER,
    errors.OutcomeUnknown: _FAILED._replace(
        message="It is not known whether the request was carried out. Repeat it with the same "
        "x-ms-client-request-id."
    ),
}


def problem_of(
    error: BaseException,
    caller_text: str,
    vault: str,
    *,
    name: str = "",
    version: str = "",
    permission: str = "",
) -> Problem:
    """What *error* is to a client.  *caller_text* is `appid=A;oid=O;iss=I`."""
    if isinstance(error, Problem):
        return error
    if not isinstance(error, MunimentError):
        return Problem(_FAILED.status, _FAILED.code, _FAILED.message)
    row = next(ROWS[kind] for kind in type(error).__mro__ if kind in ROWS)
    if row.message:
        message = row.message.format(
            name=_told(name, "" if row is ROWS[refusals.NameInvalid] else version),
            version=version[:_LONGEST_NAME],
            permission=permission,
            caller=caller_text,
            origin=getattr(error, "origin", ""),
            vault=f"{vault};location={LOCATION}",
            vault_name=vault,
        )
    else:
        message = error.message
    headers = (("Retry-After", str(RETRY_AFTER)),) if row.retry else ()
    return Problem(row.status, row.code, message, row.inner, headers)


def _told(name: str, version: str) -> str:
    short = name[:_LONGEST_NAME]
    return f"{short}/{version[:_LONGEST_NAME]}" if version else short


# --- what fails before a vault is asked -----------------------------------------------------------


def nothing_here() -> Problem:
    """404 for a path that no operation has."""
    return Problem(404, "NotFound", "There is nothing at this path.")


def method_not_allowed(allowed: Iterable[str]) -> Problem:
    """405 that names the methods of the path."""
    named = ", ".join(sorted(allowed))
    return Problem(
        405, "MethodNotAllowed", f"This path allows {named}.", headers=(("Allow", named),)
    )


def hidden() -> Problem:
    """400 where a proxy hides for whom it asks: who is let in depends on it, and it is recorded."""
    return Problem(400, "BadRequest", "The proxy does not say clearly whose request this is.")


def unavailable() -> Problem:
    """What is needed to answer cannot be read now."""
    headers = (("Retry-After", str(RETRY_AFTER)),)
    return Problem(_LATER.status, _LATER.code, _LATER.message, headers=headers)
