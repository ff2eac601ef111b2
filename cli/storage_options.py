"""Options that the `storage` commands share: which account, which definition, and their attributes.

The names are those of `az keyvault storage`, which the Azure CLI had until 2.54.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click

from cli.command import TRUTH, Greedy
from cli.problems import Usage

Function = Callable[..., None]

tags_option = click.option(
    "--tags", cls=Greedy, only="=", metavar="K=V ...", help='Tags; "" is none.'
)
enabled_option = click.option("--enabled", type=TRUTH, help="Whether it signs tokens.")
disabled_option = click.option("--disabled", type=TRUTH, help="The contrary of --enabled.")
period_option = click.option(
    "--regeneration-period", metavar="PERIOD", help="How often, as P90D; a day at least."
)
auto_option = click.option(
    "--auto-regenerate-key", type=TRUTH, help="Whether the keys rotate by themselves."
)


class Account(NamedTuple):
    """A storage account; a *vault* of None is the one that is chosen."""

    name: str
    vault: str | None = None


class Definition(NamedTuple):
    """A SAS definition of a storage account."""

    account: str
    name: str
    vault: str | None = None


def account_argument(function: Function) -> Function:
    """NAME, --name NAME or --id URL: given on as `account`."""

    @functools.wraps(function)
    def run(
        *args: Any, bare: str | None, name: str | None, identifier: str | None, **given: Any
    ) -> None:
        function(*args, account=_account(bare, name, identifier), **given)

    for option in (
        click.option("--id", "identifier", metavar="URL", help="Its id, as lists print it."),
        click.option("-n", "--name", metavar="NAME", help="The storage account's name."),
        click.argument("bare", metavar="[NAME]", required=False),
    ):
        run = option(run)
    return run


def definition_argument(function: Function) -> Function:
    """--account-name ACCOUNT with NAME or --name NAME, or --id URL: given on as `definition`."""

    @functools.wraps(function)
    def run(
        *args: Any,
        bare: str | None,
        name: str | None,
        account_name: str | None,
        identifier: str | None,
        **given: Any,
    ) -> None:
        found = _definition(bare, name, account_name, identifier)
        function(*args, definition=found, **given)

    for option in (
        click.option("--id", "identifier", metavar="URL", help="Its id, as lists print it."),
        click.option("-n", "--name", metavar="NAME", help="The definition's name."),
        click.option("--account-name", metavar="NAME", help="The storage account's name."),
        click.argument("bare", metavar="[NAME]", required=False),
    ):
        run = option(run)
    return run


def _account(bare: str | None, name: str | None, identifier: str | None) -> Account:
    given = [text for text in (bare, name, identifier) if text is not None]
    if len(given) != 1:
        raise Usage("name one storage account: NAME, --name NAME or --id URL")
    if identifier is None:
        return Account(given[0])
    host, parts = _parsed(identifier)
    if len(parts) != 1:
        raise Usage("--id has the form https://VAULT.vault.localhost/storage/NAME")
    return Account(parts[0], host)


def _definition(
    bare: str | None, name: str | None, account: str | None, identifier: str | None
) -> Definition:
    named = [text for text in (bare, name) if text is not None]
    if identifier is not None and not named and account is None:
        host, parts = _parsed(identifier)
        if len(parts) != 3 or parts[1] != "sas":
            raise Usage("--id has the form https://VAULT.vault.localhost/storage/ACCOUNT/sas/NAME")
        return Definition(parts[0], parts[2], host)
    if identifier is not None or len(named) != 1 or account is None:
        raise Usage("name one definition: --account-name ACCOUNT --name NAME, or --id URL")
    return Definition(account, named[0])


def _parsed(identifier: str) -> tuple[str, list[str]]:
    """The vault, and what stands behind `storage` or `deletedstorage`.  Raise Usage."""
    try:
        url = urlsplit(identifier)
        host = url.hostname or ""
    except ValueError:
        raise Usage("--id is not a URL") from None
    collection, *parts = url.path.strip("/").split("/")
    if url.scheme != "https" or not host or collection not in ("storage", "deletedstorage"):
        raise Usage("--id has the form https://VAULT.vault.localhost/storage/NAME")
    return host.split(".")[0], parts


def truth(word: str | None) -> bool | None:
    """What `true` and `false` say."""
    return None if word is None else word.lower() == "true"


def is_enabled(word: str | None, contrary: str | None) -> bool | None:
    """What --enabled or --disabled says.  Raise Usage if both do."""
    if word is not None and contrary is not None:
        raise Usage("give --enabled or --disabled, not both")
    disabled = truth(contrary)
    return truth(word) if disabled is None else not disabled


def given_tags(words: tuple[str, ...]) -> dict[str, str] | None:
    """The tags; of `--tags ""`, none."""
    from cli.secret_options import parse_tags

    return parse_tags(words) if words else None
