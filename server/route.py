"""One row of the table of operations.  Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from vault.commands import Command


class Route(NamedTuple):
    """One operation.  *operation* is its name in Key Vault's AuditEvent log.

    *storage* says that it is about managed storage accounts, which not every api-version has.
    """

    method: str
    path: str
    operation: str
    kind: type[Command[Any]]
    summary: str
    takes: str = ""
    gives: str = "SecretBundle"
    storage: bool = False
