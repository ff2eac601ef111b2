"""`muniment network set`, `delete` and `list`: which callers come from which subnet.

A virtual network of one's own is a name for ways in: address ranges, a listener, an interface, a
VLAN, a namespace.  Rules name its subnets by ids in Azure's form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli import boundary_shapes
from cli.as_of import as_of_option
from cli.command import command
from cli.network_rules import resource_id
from cli.problems import Usage
from cli.session import Session
from cli.tables import Column

if TYPE_CHECKING:
    from eventstore.rule_events import Subnet
    from vault.answers import Boundary

_COLUMNS = [
    Column("NETWORK", "network"),
    Column("SUBNET", "subnet"),
    Column("CALLERS", "callers"),
]
_PARTS = ("name", "ranges", "listener", "interface", "vlan", "namespace")

_bare = click.argument("bare", metavar="[NAME]", required=False)
_name = click.option("-n", "--name", metavar="NAME", help="The network's name.")
_group = click.option(
    "-g", "--resource-group", metavar="NAME", default="", help="Its group [muniment]."
)
_id = click.option("--id", "identifier", metavar="ID", help="Its id, in Azure's form.")


@command("set")
@_bare
@_name
@_group
@_id
@click.option(
    "--subnet",
    "subnets",
    multiple=True,
    metavar="K=V,...",
    help="name=web,ranges=10.1.0.0/16+10.2.0.0/16,interface=eth1; also listener, vlan, namespace.",
)
@click.option("--file", metavar="FILE", help='The subnets as JSON: a list, or {"subnets": [...]}.')
def set_network(
    session: Session,
    bare: str | None,
    name: str | None,
    resource_group: str,
    identifier: str | None,
    subnets: tuple[str, ...],
    file: str | None,
) -> None:
    """Define a virtual network, or define it anew.

    A caller comes from a subnet if all fits that is said of it; of several ranges, one.
    """
    from eventstore.rule_events import VirtualNetwork
    from vault.rule_commands import SetNetwork

    id_ = _network(session, bare, name, resource_group, identifier)
    if bool(subnets) == (file is not None):
        raise Usage("define the subnets: with --subnet name=web,ranges=10.1.0.0/16, or with --file")
    found = _read(file) if file is not None else [_parsed(text) for text in subnets]
    _, answer = session.ask(SetNetwork(network=VirtualNetwork(id=id_, subnets=tuple(found))))
    _emit(session, answer, id_)


@command("delete")
@_bare
@_name
@_group
@_id
def delete(
    session: Session,
    bare: str | None,
    name: str | None,
    resource_group: str,
    identifier: str | None,
) -> None:
    """Forget a virtual network; no rule may need it."""
    from vault.rule_commands import DeleteNetwork

    id_ = _network(session, bare, name, resource_group, identifier)
    _, answer = session.ask(DeleteNetwork(id=id_))
    _emit(session, answer)


@command("list")
@as_of_option
def list_networks(session: Session, as_of: str | None) -> None:
    """List the virtual networks and their subnets."""
    from vault.rule_commands import ShowBoundary

    _, answer = session.ask(ShowBoundary(), as_of=as_of)
    _emit(session, answer)


def _network(
    session: Session, bare: str | None, name: str | None, group: str, identifier: str | None
) -> str:
    given = {one for one in (bare, name) if one is not None}
    if len(given) + (identifier is not None) != 1:
        raise Usage("name one network: NAME, --name NAME or --id ID")
    return identifier if identifier is not None else resource_id(session, group, given.pop())


def _emit(session: Session, answer: Boundary, only: str | None = None) -> None:
    """All networks, or the one of that id."""
    shapes = [boundary_shapes.network(one) for one in answer.networks]
    if only is not None:
        shapes = [shape for shape in shapes if shape["id"] == only]
    if session.output.for_people and not session.output.has_query:
        session.output.emit(boundary_shapes.subnet_rows(shapes), _COLUMNS)
    else:
        session.output.emit(shapes if only is None else shapes[0])


# --- subnets --------------------------------------------------------------------------------------


def _parsed(text: str) -> Subnet:
    """`name=web,ranges=10.1.0.0/16+10.2.0.0/16,vlan=12`.  Raise Usage."""
    parts = dict(word.partition("=")[::2] for word in text.split(",") if word)
    if unknown := sorted(parts.keys() - set(_PARTS)):
        raise Usage(f"--subnet knows {', '.join(_PARTS)}, and not {unknown[0][:40]!r}")
    made: dict[str, Any] = dict(parts)
    made["ranges"] = [one for one in parts.get("ranges", "").split("+") if one]
    if "vlan" in parts:
        if not parts["vlan"].isdecimal():
            raise Usage("--subnet: vlan is a number")
        made["vlan"] = int(parts["vlan"])
    return _subnets([made])[0]


def _read(file: str) -> list[Subnet]:
    import msgspec

    from cli.values import read_bytes

    try:
        read = msgspec.json.decode(read_bytes(file))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Usage(f"{file} is not JSON") from None
    return _subnets(read.get("subnets") if isinstance(read, dict) else read)


def _subnets(given: object) -> list[Subnet]:
    import msgspec

    from eventstore.rule_events import Subnet

    try:
        return msgspec.convert(given, list[Subnet])
    except msgspec.ValidationError as error:
        raise Usage(f"a subnet has {', '.join(_PARTS)}: {error}") from None
