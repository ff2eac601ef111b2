"""A delete that takes a while, as Key Vault's does: for clients whose pollers expect it.

Off unless it is asked for.  In the vault the delete is done at once; only the answers are those of a
service that is still busy, and so it is no security measure.  A client that asks again may come to
another worker: so the workers share what is on its way.
"""

from __future__ import annotations

from server.keyvault import Plan
from server.refusals import BeingDeleted
from server.shared import SharedNumbers
from vault.commands import (
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    Malformed,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    SetSecret,
)
from vault.names import folded
from vault.refusals import DeletedSecretNotFound, SecretNotFound

_DELETION, _RECOVERY = "deletion", "recovery"


class DeleteLag:
    """Which secrets are on their way, *seconds* long each."""

    def __init__(self, seconds: float, shared: SharedNumbers) -> None:
        self._seconds = seconds
        self._shared = shared

    def before(self, vault: str, plan: Plan, now: float) -> Plan:
        """*plan*, or one that leads to the answer of a service that is not done yet."""
        if not self._seconds:
            return plan
        command = plan.command
        name = folded(getattr(command, "name", ""))
        problem: Exception | None = None
        if self._goes_on(_DELETION, vault, name, now):
            if isinstance(command, GetDeletedSecret):
                problem = DeletedSecretNotFound(f"Deleted Secret not found: {command.name}")
            elif isinstance(command, SetSecret):
                problem = BeingDeleted(
                    f"Secret {command.name} is currently being deleted and cannot be re-created; "
                    "retry later."
                )
            elif isinstance(command, PurgeDeletedSecret | RecoverDeletedSecret):
                problem = BeingDeleted("Secret is currently being deleted.")
        elif isinstance(command, GetSecret) and self._goes_on(_RECOVERY, vault, name, now):
            problem = SecretNotFound(f"Secret not found: {command.name}")
        if problem is None:
            return plan
        held = Malformed(kind=type(command), name=getattr(command, "name", ""), problem=problem)
        return plan._replace(command=held)

    def after(self, vault: str, plan: Plan, now: float) -> None:
        """Remember what was just begun."""
        if not self._seconds:
            return
        command = plan.command
        if isinstance(command, DeleteSecret | RecoverDeletedSecret):
            kind = _DELETION if isinstance(command, DeleteSecret) else _RECOVERY
            place = (kind, vault, folded(command.name))
            self._shared.change(place, lambda _: ((now + self._seconds, 0.0), None))

    def _goes_on(self, kind: str, vault: str, name: str, now: float) -> bool:
        until = self._shared.get(kind, vault, name)
        return until is not None and until[0] > now
