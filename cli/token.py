"""`muniment token issue`: a token for curl, from whoever holds the store's root key.

The token says so itself: whatever is done with it is recorded as issued by this account.
"""

from __future__ import annotations

import click

from cli.command import command
from cli.identity import identities, record
from cli.moments import rfc3339
from cli.problems import Usage
from cli.session import Session, os_user

DEFAULT_RESOURCE = "https://vault.localhost:8443"


@command("issue")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--client-id", metavar="GUID", help="The client, by its id.")
@click.option(
    "--resource",
    default=DEFAULT_RESOURCE,
    metavar="URL",
    help=f"The service, without a vault's name [{DEFAULT_RESOURCE}].",
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
    resource: str,
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
