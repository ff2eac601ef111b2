"""`muniment policy set`, `delete` and `list`: access policies, as `az keyvault set-policy` has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli import shapes
from cli.as_of import as_of_option
from cli.command import Greedy, command
from cli.problems import Usage
from cli.session import Session
from cli.tables import Column
from cli.vault_options import vault_option

if TYPE_CHECKING:
    from msgspec import UnsetType

_COLUMNS = [
    Column("PRINCIPAL", "objectId"),
    Column("THROUGH", "applicationId"),
    Column("SECRETS", "secrets"),
    Column("STORAGE", "storage"),
]
_who = click.option("--object-id", required=True, metavar="PRINCIPAL", help="Who is meant.")
_through = click.option(
    "--application-id", metavar="ID", default="", help="Only where this client asks for them."
)


@command("set")
@vault_option
@_who
@_through
@click.option(
    "--secret-permissions",
    cls=Greedy,
    metavar="WORD ...",
    help='get list set delete recover backup restore purge, or all; "" is none.',
)
@click.option(
    "--storage-permissions",
    cls=Greedy,
    metavar="WORD ...",
    help="As for secrets, and update regeneratekey getsas listsas setsas deletesas.",
)
def set_policy(
    session: Session,
    name: str | None,
    object_id: str,
    application_id: str,
    secret_permissions: tuple[str, ...],
    storage_permissions: tuple[str, ...],
) -> None:
    """Say what a principal may do.

    What is named replaces what stood there; what is not named stays.
    """
    from vault.rule_commands import SetPolicy

    if not secret_permissions and not storage_permissions:
        raise Usage("give --secret-permissions, --storage-permissions or both")
    asked = SetPolicy(
        object_id=object_id,
        secrets=_words(secret_permissions),
        storage=_words(storage_permissions),
        application_id=application_id,
    )
    _, answer = session.ask(asked, name)
    session.output.emit(shapes.policy(answer))


@command("delete")
@vault_option
@_who
@_through
def delete(session: Session, name: str | None, object_id: str, application_id: str) -> None:
    """Take everything from a principal.

    With --application-id only what it may do through that client; without, only what it may do by
    itself.
    """
    from vault.rule_commands import DeletePolicy

    asked = DeletePolicy(object_id=object_id, application_id=application_id)
    _, answer = session.ask(asked, name)
    session.output.emit(shapes.policy(answer))


@command("list")
@vault_option
@as_of_option
def list_policies(session: Session, name: str | None, as_of: str | None) -> None:
    """List the access policies."""
    from vault.rule_commands import ListPolicies

    _, answers = session.ask(ListPolicies(), name, as_of=as_of)
    found = [shapes.policy(answer) for answer in answers]
    if session.output.for_people and not session.output.has_query:
        found = [policy | policy["permissions"] for policy in found]
    session.output.emit(found, _COLUMNS)


def _words(given: Sequence[str]) -> tuple[str, ...] | UnsetType:
    """Permissions separated by spaces or commas; none given leaves what stands."""
    from msgspec import UNSET

    if not given:
        return UNSET
    return tuple(part.lower() for word in given for part in word.split(",") if part)
