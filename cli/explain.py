"""`muniment explain`: would somebody be let in from somewhere to do something, and by which rule.

Nothing is done.  The rules that a request meets are asked, in their order, as they stand or stood;
whether there is such a secret is not asked.  Exit status 0 is allowed, 4 denied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.as_of import as_of_option
from cli.command import command
from cli.exits import DENIED
from cli.problems import Usage
from cli.session import Session

if TYPE_CHECKING:
    from vault.caller import Arrival


@command("explain")
@click.argument("words", metavar="PERMISSION [NAME]", nargs=-1, required=True)
@click.option("--as", "who", metavar="PRINCIPAL", required=True, help="Who would ask.")
@click.option(
    "--app-id",
    metavar="ID",
    help='The client that asks for them [the one registered so]; "" is none.',
)
@click.option("--address", metavar="IP", default="", help="From where [over no network].")
@click.option("--listener", metavar="NAME", default="", help="The listener it would come in by.")
@click.option("--interface", metavar="NAME", default="", help="The network interface.")
@click.option("--vlan", type=int, metavar="N", help="The VLAN.")
@click.option("--namespace", metavar="NAME", default="", help="The network namespace.")
@as_of_option
def explain(
    session: Session,
    words: tuple[str, ...],
    who: str,
    app_id: str | None,
    address: str,
    listener: str,
    interface: str,
    vlan: int | None,
    namespace: str,
    as_of: str | None,
) -> None:
    """Tell whether somebody would be let in, and by which rule.

    PERMISSION is get, list, set or another one for secrets; or storage/get, storage/setsas or another
    one for storage accounts.  Exit status 4 if they would not be.
    To ask as somebody else than you are, set MUNIMENT_PRINCIPAL: --as is who is asked about.
    """
    from vault.history_commands import Explain

    if len(words) > 2:
        raise Usage("name one permission, and at most one secret")
    arrival = _arrival(address, listener, interface, vlan, namespace)
    if app_id is None:
        app_id = "" if arrival is None else _client(session, who)
    asked = Explain(
        principal=who,
        permission=words[0],
        name="".join(words[1:]),
        address=address,
        application=app_id,
        arrival=arrival,
    )
    _, answer = session.ask(asked, as_of=as_of)
    session.output.emit(
        {
            "allowed": answer.allowed,
            "outcome": answer.outcome,
            "boundary": {"allows": answer.boundary_allows, "rule": answer.boundary},
            "policy": {"allows": answer.policy_allows, "rule": answer.policy},
        }
    )
    if not answer.allowed:
        raise click.exceptions.Exit(DENIED)


def _client(session: Session, who: str) -> str:
    """The client that is registered as *who*: its tokens say so, and rules may ask for it."""
    from server.identities import Identities
    from vault.store import IDENTITIES

    with session.store() as store:
        # To look must not make them.
        has_any = (store.home / IDENTITIES).exists()
        client = Identities(store).roll.client_of(who) if has_any else None
    if client is None:
        return ""
    session.terminal.note(f"through its client {client.name}, {client.client_id}")
    return client.client_id


def _arrival(
    address: str, listener: str, interface: str, vlan: int | None, namespace: str
) -> Arrival | None:
    """By what way the request would come; None over no network."""
    from vault.caller import Arrival

    if vlan is None and not any((address, listener, interface, namespace)):
        return None
    if not address:
        raise Usage("a request over a network has an address: give --address")
    return Arrival(listener=listener, interface=interface, vlan=vlan, namespace=namespace)
