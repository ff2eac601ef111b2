"""`storage add`, `show`, `list` and `update`: which accounts the vault manages, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec import UNSET

from cli import storage_shapes
from cli.as_of import as_of_option
from cli.command import command, limit_option
from cli.problems import Usage
from cli.session import Session
from cli.shapes import Shape
from cli.storage_options import (
    Account,
    account_argument,
    auto_option,
    disabled_option,
    enabled_option,
    given_tags,
    is_enabled,
    period_option,
    tags_option,
    truth,
)

if TYPE_CHECKING:
    from vault.answers import StorageAccountBundle


@command("add")
@account_argument
@click.option("--resource-id", required=True, metavar="ID", help="What its provider knows it by.")
@click.option("--active-key-name", required=True, metavar="KEY", help="The key that signs.")
@auto_option
@period_option
@enabled_option
@disabled_option
@tags_option
def add(
    session: Session,
    account: Account,
    resource_id: str,
    active_key_name: str,
    auto_regenerate_key: str | None,
    regeneration_period: str | None,
    enabled: str | None,
    disabled: str | None,
    tags: tuple[str, ...],
) -> None:
    """Manage a storage account from now on.

    Its keys are asked of its provider, sealed, and never printed.  With a period the key that is not
    active gets a new value each time, and then becomes the active one.
    """
    from vault.storage_commands import SetStorageAccount

    period = _period(regeneration_period)
    auto = truth(auto_regenerate_key)
    asked = SetStorageAccount(
        name=account.name,
        resource_id=resource_id,
        active_key=active_key_name,
        auto_regenerate=period is not None if auto is None else auto,
        period=period,
        enabled=is_enabled(enabled, disabled) is not False,
        tags=given_tags(tags),
    )
    emit(session, *session.ask(asked, account.vault))


@command("update")
@account_argument
@click.option("--active-key-name", metavar="KEY", help="The key that signs.")
@auto_option
@period_option
@enabled_option
@disabled_option
@tags_option
def update(
    session: Session,
    account: Account,
    active_key_name: str | None,
    auto_regenerate_key: str | None,
    regeneration_period: str | None,
    enabled: str | None,
    disabled: str | None,
    tags: tuple[str, ...],
) -> None:
    """Change how a storage account is managed.

    What is not named stays as it is.  Its provider is not asked.
    """
    from vault.storage_commands import UpdateStorageAccount

    period, auto = _period(regeneration_period), truth(auto_regenerate_key)
    wanted = is_enabled(enabled, disabled)
    if not tags and all(one is None for one in (active_key_name, period, auto, wanted)):
        raise Usage("name what is to be changed")
    asked = UpdateStorageAccount(
        name=account.name,
        active_key=UNSET if active_key_name is None else active_key_name,
        auto_regenerate=UNSET if auto is None else auto,
        period=UNSET if period is None else period,
        enabled=UNSET if wanted is None else wanted,
        tags=given_tags(tags) if tags else UNSET,
    )
    emit(session, *session.ask(asked, account.vault))


@command("show")
@account_argument
@as_of_option
def show(session: Session, account: Account, as_of: str | None) -> None:
    """Show how a storage account is managed.

    Never a key.
    """
    from vault.storage_commands import GetStorageAccount

    asked = GetStorageAccount(name=account.name)
    emit(session, *session.ask(asked, account.vault, as_of=as_of))


@command("list")
@limit_option
@as_of_option
def list_accounts(session: Session, maxresults: int | None, as_of: str | None) -> None:
    """List the storage accounts.

    Each with its active key's name and when it rotates next.
    """
    from vault.storage_commands import ListStorageAccounts

    vault, answers = session.ask(ListStorageAccounts(limit=maxresults), as_of=as_of)
    emit_all(session, [storage_shapes.account(vault, one) for one in answers])


def emit(session: Session, vault: str, answer: StorageAccountBundle) -> None:
    session.output.emit(storage_shapes.account(vault, answer))


def emit_all(session: Session, shapes: list[Shape]) -> None:
    if session.output.for_people and not session.output.has_query:
        shapes = [storage_shapes.row(shape) for shape in shapes]
    session.output.emit(shapes, storage_shapes.ACCOUNTS)


def _period(text: str | None) -> int | None:
    if text is None:
        return None
    from vault.periods import seconds

    return seconds(text)
