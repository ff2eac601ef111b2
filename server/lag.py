"""A delete that takes a while, as Key Vault's does: for clients whose pollers expect it.

Off unless it is asked for.  In the vault the delete is done at once; only the answers are those of a
service that is still busy, and so it is no security measure.
"""

from __future__ import annotations

from server.keyvault import Plan
from server.refusals import BeingDeleted
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


class DeleteLag:
    """Which secrets are on their way, *seconds* long each."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deleted: dict[tuple[str, str], float] = {}
        self._recovered: dict[tuple[str, str], float] = {}

    def before(self, vault: str, plan: Plan, now: float) -> Plan:
        """*plan*, or one that leads to the answer of a service that is not done yet."""
        if not self._seconds:
            return plan
        command = plan.command
        place = (vault, folded(getattr(command, "name", "")))
        problem: Exception | None = None
        if self._deleted.get(place, 0) > now:
            if isinstance(command, GetDeletedSecret):
                problem = DeletedSecretNotFound(f"Deleted Secret not found: {command.name}")
            elif isinstance(command, SetSecret):
                problem = BeingDeleted(
                    f"Secret {command.name} is currently being deleted and cannot be re-created; "
                    "retry later."
                )
            elif isinstance(command, PurgeDeletedSecret | RecoverDeletedSecret):
                problem = BeingDeleted("Secret is currently being deleted.")
        elif self._recovered.get(place, 0) > now and isinstance(command, GetSecret):
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
            begun = self._deleted if isinstance(command, DeleteSecret) else self._recovered
            gone = {place: until for place, until in begun.items() if until > now}
            begun.clear()
            begun.update(gone)
            begun[(vault, folded(command.name))] = now + self._seconds
