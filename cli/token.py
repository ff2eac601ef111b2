"""`muniment token issue`: a token for curl, from whoever holds the store's root key.

The token says so itself: whatever is done with it is recorded as issued by this account.
"""

from __future__ import annotations

import click

from cli.command import command
from cli.env import base_of
from cli.identity import identities, record
from cli.moments import rfc3339
from cli.problems import Usage
from cli.serve import domain_option, port_option
from cli.session import Session, os_user


@command("issue")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--client-id", metavar="GUID", help="The client, by its id.")
@domain_option
@port_option
@click.option(
    "--resource",
    metavar="URL",
    help="The service, without a vault's name [what --domain and --port say].",
)
@click.option(
    "--control-plane",
    is_flag=True,
    help="For the control plane too: whoever holds it may do there what the client may.",
)
@click.option(
    "--lifetime",
    type=click.IntRange(1, 86_400),
    default=3600,
    metavar="SECONDS",
    help="How long it is good, a day at most [3600].",
)
def issue_token(
    session: Session,
    name: str | None,
    client_id: str | None,
    domain: str,
    port: int,
    resource: str | None,
    control_plane: bool,
    lifetime: int,
) -> None:
    """Print an access token of a client, for curl."""
    try:
        from server.tokens import issue, origin
    except ModuleNotFoundError:
        from server.serving import ServerExtraMissing

        raise ServerExtraMissing("not installed: joserfc or urllib3") from None

    named = name or client_id
    if named is None or (name is not None and client_id is not None):
        raise Usage("name the client, or give its --client-id")
    if resource is None:
        resource = base_of(domain, port)
    if not resource.startswith("https://"):
        raise Usage("--resource is an https address")
    with identities(session) as known:
        application = known.roll.named(named)
        issued = issue(
            known.roll,
            application,
            authority=resource,
            # A slash at its end is said on purpose, by the flag: see `management_audiences`.
            audience=origin(resource) + ("/" if control_plane else ""),
            now=known.now,
            method=f"issued by local:{os_user()}",
            lifetime=lifetime,
        )
        record(session, known, "token-issued", application.name, application.object_id)
    session.output.raw(
        issued.token + "\n",
        {
            "accessToken": issued.token,
            "expiresOn": rfc3339(issued.expires * 1_000_000),
            "objectId": application.object_id,
            "tokenType": "Bearer",
        },
    )
