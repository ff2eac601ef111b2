"""`storage sas-definition`: what the tokens of a storage account may do, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec import UNSET

from cli import storage_shapes
from cli.as_of import as_of_option
from cli.command import command, limit_option
from cli.problems import Usage
from cli.session import Session
from cli.storage_options import (
    Definition,
    definition_argument,
    disabled_option,
    enabled_option,
    given_tags,
    is_enabled,
    tags_option,
)
from cli.tables import DELETED

if TYPE_CHECKING:
    from vault.answers import SasBundle

_account = click.option("--account-name", required=True, metavar="NAME", help="The account's name.")
_type = click.Choice(("account", "service"))


@command("create")
@definition_argument
@click.option("--template-uri", required=True, metavar="TEXT", help="A token that looks as wanted.")
@click.option("--sas-type", type=_type, required=True, help="What the template is of.")
@click.option("--validity-period", required=True, metavar="PERIOD", help="As PT4H or P2D.")
@enabled_option
@disabled_option
@tags_option
def create(
    session: Session,
    definition: Definition,
    template_uri: str,
    sas_type: str,
    validity_period: str,
    enabled: str | None,
    disabled: str | None,
    tags: tuple[str, ...],
) -> None:
    """Make tokens of a template from now on.

    They are read as the secret ACCOUNT-NAME, and each read makes a new one.  Signature and expiry of
    the template mean nothing.
    """
    from vault.periods import seconds
    from vault.storage_commands import SetSasDefinition

    asked = SetSasDefinition(
        account=definition.account,
        name=definition.name,
        template=template_uri,
        sas_type=sas_type,
        period=seconds(validity_period),
        enabled=is_enabled(enabled, disabled) is not False,
        tags=given_tags(tags),
    )
    _emit(session, *session.ask(asked, definition.vault))


@command("update")
@definition_argument
@click.option("--template-uri", metavar="TEXT", help="A token that looks as wanted.")
@click.option("--sas-type", type=_type, help="What the template is of.")
@click.option("--validity-period", metavar="PERIOD", help="As PT4H or P2D.")
@enabled_option
@disabled_option
@tags_option
def update(
    session: Session,
    definition: Definition,
    template_uri: str | None,
    sas_type: str | None,
    validity_period: str | None,
    enabled: str | None,
    disabled: str | None,
    tags: tuple[str, ...],
) -> None:
    """Change a SAS definition.

    What is not named stays as it is; tokens that were given out do too.
    """
    from vault.periods import seconds
    from vault.storage_commands import UpdateSasDefinition

    wanted = is_enabled(enabled, disabled)
    given = (template_uri, sas_type, validity_period, wanted)
    if not tags and all(one is None for one in given):
        raise Usage("name what is to be changed")
    asked = UpdateSasDefinition(
        account=definition.account,
        name=definition.name,
        template=UNSET if template_uri is None else template_uri,
        sas_type=UNSET if sas_type is None else sas_type,
        period=UNSET if validity_period is None else seconds(validity_period),
        enabled=UNSET if wanted is None else wanted,
        tags=given_tags(tags) if tags else UNSET,
    )
    _emit(session, *session.ask(asked, definition.vault))


@command("show")
@definition_argument
@as_of_option
def show(session: Session, definition: Definition, as_of: str | None) -> None:
    """Show a SAS definition.

    With its template, and without a token: that is `secret show ACCOUNT-NAME`.
    """
    from vault.storage_commands import GetSasDefinition

    asked = GetSasDefinition(account=definition.account, name=definition.name)
    _emit(session, *session.ask(asked, definition.vault, as_of=as_of))


@command("list")
@_account
@limit_option
@as_of_option
def list_definitions(
    session: Session, account_name: str, maxresults: int | None, as_of: str | None
) -> None:
    """List the SAS definitions of a storage account.

    Each with the secret that its tokens are read as.
    """
    from vault.storage_commands import ListSasDefinitions

    asked = ListSasDefinitions(account=account_name, limit=maxresults)
    vault, answers = session.ask(asked, as_of=as_of)
    told = [storage_shapes.definition(vault, one) for one in answers]
    if session.output.for_people and not session.output.has_query:
        told = [storage_shapes.row(shape) for shape in told]
    session.output.emit(told, storage_shapes.DEFINITIONS)


@command("delete")
@definition_argument
def delete(session: Session, definition: Definition) -> None:
    """Delete a SAS definition; it can be recovered.

    Tokens that were given out stay good until they expire, or until the key that signed them is
    regenerated.
    """
    from vault.storage_commands import DeleteSasDefinition

    asked = DeleteSasDefinition(account=definition.account, name=definition.name)
    _emit(session, *session.ask(asked, definition.vault))


@command("list-deleted")
@_account
@limit_option
@as_of_option
def list_deleted(
    session: Session, account_name: str, maxresults: int | None, as_of: str | None
) -> None:
    """List the deleted SAS definitions of a storage account.

    Each with when it goes by itself.
    """
    from vault.storage_commands import ListDeletedSasDefinitions

    asked = ListDeletedSasDefinitions(account=account_name, limit=maxresults)
    vault, answers = session.ask(asked, as_of=as_of)
    told = [storage_shapes.definition(vault, one) for one in answers]
    session.output.emit(told, DELETED)


@command("show-deleted")
@definition_argument
@as_of_option
def show_deleted(session: Session, definition: Definition, as_of: str | None) -> None:
    """Show a deleted SAS definition.

    With its template.
    """
    from vault.storage_commands import GetDeletedSasDefinition

    asked = GetDeletedSasDefinition(account=definition.account, name=definition.name)
    _emit(session, *session.ask(asked, definition.vault, as_of=as_of))


@command("recover")
@definition_argument
def recover(session: Session, definition: Definition) -> None:
    """Bring a deleted SAS definition back.

    Tokens are made of it again.
    """
    from vault.storage_commands import RecoverDeletedSasDefinition

    asked = RecoverDeletedSasDefinition(account=definition.account, name=definition.name)
    _emit(session, *session.ask(asked, definition.vault))


def _emit(session: Session, vault: str, answer: SasBundle) -> None:
    session.output.emit(storage_shapes.definition(vault, answer))
