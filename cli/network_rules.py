"""`muniment network-rule add`, `remove` and `list`: from where a vault can be reached.

In the words of `az keyvault network-rule`.  The default action, the bypass and public access are
settings of the vault: `muniment vault update`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import boundary_shapes
from cli.as_of import as_of_option
from cli.command import TRUTH, Greedy, command
from cli.problems import Usage
from cli.session import Session
from cli.tables import Column
from cli.vault_options import vault_option

if TYPE_CHECKING:
    from vault.answers import Boundary

_COLUMNS = [Column("RULE", "rule"), Column("VALUE", "value"), Column("NOTE", "note")]
_BLAME = [
    Column("RULE", "attribute"),
    Column("VALUE", "value"),
    Column("SINCE", "_since"),
    Column("BY", "principal"),
    Column("TIME", "time"),
]
_addresses = click.option(
    "--ip-address",
    "addresses",
    cls=Greedy,
    metavar="CIDR ...",
    help="IPv4 addresses or ranges; of the public internet, unless the vault allows private ones.",
)
_subnet = click.option("--subnet", metavar="ID", help="A subnet: its id, or a name with the next.")
_network = click.option("--vnet-name", metavar="NAME", help="The virtual network that it is in.")
_group = click.option("-g", "--resource-group", metavar="NAME", default="", help="Its group.")


@command("add")
@vault_option
@_addresses
@_subnet
@_network
@_group
@click.option(
    "--ignore-missing-endpoint", type=TRUTH, default="false", help="The subnet may be undefined."
)
def add(
    session: Session,
    name: str | None,
    addresses: tuple[str, ...],
    subnet: str | None,
    vnet_name: str | None,
    resource_group: str,
    ignore_missing_endpoint: str,
) -> None:
    """Let callers in from more addresses, or from a subnet."""
    from eventstore.rule_events import SubnetRule
    from vault.rule_commands import AddNetworkRules

    id_ = _subnet_id(session, subnet, vnet_name, resource_group)
    rules = (
        []
        if id_ is None
        else [SubnetRule(id=id_, ignore_missing=ignore_missing_endpoint == "true")]
    )
    if not addresses and not rules:
        raise Usage("give --ip-address or --subnet")
    _, answer = session.ask(
        AddNetworkRules(ip_rules=_words(addresses), subnet_rules=tuple(rules)), name
    )
    emit(session, answer)
    if answer.default_action == "Allow":
        session.terminal.note(
            "The default action is Allow, so these rules keep nobody out: "
            "muniment vault update --default-action Deny"
        )


@command("remove")
@vault_option
@_addresses
@_subnet
@_network
@_group
def remove(
    session: Session,
    name: str | None,
    addresses: tuple[str, ...],
    subnet: str | None,
    vnet_name: str | None,
    resource_group: str,
) -> None:
    """Take rules away; each must stand."""
    from vault.rule_commands import RemoveNetworkRules

    id_ = _subnet_id(session, subnet, vnet_name, resource_group)
    ids = () if id_ is None else (id_,)
    if not addresses and not ids:
        raise Usage("give --ip-address or --subnet")
    asked = RemoveNetworkRules(ip_rules=_words(addresses), subnet_ids=ids)
    _, answer = session.ask(asked, name)
    emit(session, answer)
    warn_of_nobody(session, answer)


@command("list")
@vault_option
@click.option("--blame", is_flag=True, help="Since when each part stands, and by whose hand.")
@as_of_option
def list_rules(session: Session, name: str | None, blame: bool, as_of: str | None) -> None:
    """Show from where a vault can be reached."""
    from vault.rule_commands import ShowBoundary

    if blame:
        _blame(session, name, as_of)
        return
    _, answer = session.ask(ShowBoundary(), name, as_of=as_of)
    shape = boundary_shapes.rules(answer)
    if session.output.for_people and not session.output.has_query:
        session.output.emit(boundary_shapes.rows(shape), _COLUMNS)
    else:
        session.output.emit(shape)


def _blame(session: Session, name: str | None, as_of: str | None) -> None:
    from cli import shapes
    from vault.history_commands import BlameBoundary

    _, facts = session.ask(BlameBoundary(), name, as_of=as_of)
    found = [shapes.blame(fact) for fact in facts]
    if session.output.for_people and not session.output.has_query:
        found = [
            shape
            | {"value": boundary_shapes.told(shape["value"]), "_since": f"#{shape['position']}"}
            for shape in found
        ]
    session.output.emit(found, _BLAME)


def emit(session: Session, answer: Boundary) -> None:
    """The boundary as it stands now; for people without its lists."""
    shape = boundary_shapes.rules(answer)
    people = session.output.for_people and not session.output.has_query
    session.output.emit(boundary_shapes.summary(shape) if people else shape)


def warn_of_nobody(session: Session, answer: Boundary) -> None:
    """Say so if nobody at all is let in over a network."""
    bypassing = answer.bypass == "AzureServices" and answer.trusted_services
    listed = answer.ip_rules or answer.subnet_rules
    if answer.default_action == "Deny" and not listed and not bypassing:
        session.terminal.note(
            "The default action is Deny and there is no rule: nobody is let in over a network. "
            "Let callers in with muniment network-rule add --ip-address"
        )


def resource_id(session: Session, group: str, network: str) -> str:
    """The id that a virtual network of this name has in this store."""
    from vault.configuration import read_configuration
    from vault.resource_ids import network_id, subscription_id

    store_id = bytes.fromhex(read_configuration(session.home).store_id)
    return network_id(subscription_id(store_id), group, network)


def _subnet_id(session: Session, subnet: str | None, network: str | None, group: str) -> str | None:
    if subnet is None:
        if network is not None:
            raise Usage("--vnet-name is for a --subnet that is given by its name")
        return None
    if network is None:
        return subnet
    if "/" in subnet:
        raise Usage("give --subnet by its id, or by its name with --vnet-name")
    place = network if "/" in network else resource_id(session, group, network)
    return f"{place}/subnets/{subnet}"


def _words(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for word in given for part in word.split(",") if part)
