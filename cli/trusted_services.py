"""`muniment trusted-service bind`, `unbind` and `list`: who may pass the boundary as a service.

A name of the list lets nobody in.  Bound to a client or a principal it does, where the vault's
bypass is AzureServices; a token and a permission are needed all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import boundary_shapes
from cli.as_of import as_of_option
from cli.command import command
from cli.problems import Usage
from cli.session import Session
from cli.tables import Column

if TYPE_CHECKING:
    from eventstore.rule_events import TrustedService
    from vault.answers import Boundary

_BOUND = [
    Column("SERVICE", "service"),
    Column("APPLICATION", "applicationId"),
    Column("PRINCIPAL", "objectId"),
]
_ALL = [Column("SERVICE", "service"), Column("TITLE", "title"), Column("SCENARIO", "scenario")]

_service = click.argument("service", metavar="SERVICE")
_application = click.option("--application-id", metavar="ID", default="", help="A client.")
_principal = click.option("--object-id", metavar="PRINCIPAL", default="", help="A principal.")


@command("bind")
@_service
@_application
@_principal
def bind(session: Session, service: str, application_id: str, object_id: str) -> None:
    """Take a client or a principal for a trusted service."""
    from vault.rule_commands import BindTrustedService

    _, answer = session.ask(BindTrustedService(bound=_bound(service, application_id, object_id)))
    _emit(session, answer)
    if answer.bypass != "AzureServices":
        session.terminal.note(
            "The bypass is None, so it lets nobody in: muniment vault update --bypass AzureServices"
        )


@command("unbind")
@_service
@_application
@_principal
def unbind(session: Session, service: str, application_id: str, object_id: str) -> None:
    """Take it for a trusted service no longer."""
    from vault.rule_commands import UnbindTrustedService

    bound = _bound(service, application_id, object_id)
    _, answer = session.ask(UnbindTrustedService(bound=bound))
    _emit(session, answer)


@command("list")
@click.option("--all", "every", is_flag=True, help="The names that there are, bound or not.")
@as_of_option
def list_services(session: Session, every: bool, as_of: str | None) -> None:
    """List the trusted services that are bound."""
    if every:
        from vault.trusted_services import LIST_VERSION, SERVICES

        if as_of is not None:
            raise Usage("--all shows the list of this release: give no --as-of")
        shown = [
            {"service": one.name, "title": one.title, "scenario": one.scenario}
            for one in SERVICES.values()
        ]
        session.output.emit(shown, _ALL)
        session.terminal.note(f"Key Vault's list of {LIST_VERSION}.")
        return
    from vault.rule_commands import ShowBoundary

    _, answer = session.ask(ShowBoundary(), as_of=as_of)
    _emit(session, answer)


def _bound(service: str, application_id: str, object_id: str) -> TrustedService:
    from eventstore.rule_events import TrustedService

    if bool(application_id) == bool(object_id):
        raise Usage("bind it to one: --application-id or --object-id")
    return TrustedService(service=service, application_id=application_id, object_id=object_id)


def _emit(session: Session, answer: Boundary) -> None:
    found = [boundary_shapes.trusted_service(one) for one in answer.trusted_services]
    session.output.emit(found, _BOUND)
