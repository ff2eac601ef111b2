"""`muniment identity`: the clients that may sign in to `muniment serve`, and the issuers it trusts.

A new secret is printed once, on standard output, and kept by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.command import Greedy, command
from cli.moments import rfc3339
from cli.problems import Usage
from cli.session import Session
from cli.tables import Column

if TYPE_CHECKING:
    from cli.shapes import Shape
    from server.identities import Identities, NewSecret
    from server.roll import Application, Issuer

_COLUMNS = [
    Column("NAME", "name"),
    Column("CLIENT ID", "clientId"),
    Column("OBJECT ID", "objectId"),
    Column("SECRETS END", "secretsEnd"),
    Column("KEYS", "keys"),
]
_ISSUERS = [
    Column("ISSUER", "issuer"),
    Column("AUDIENCES", "audiences"),
    Column("TENANT", "tenant"),
    Column("KEYS FROM", "keysFrom"),
]

_DAY = 86_400

_name = click.argument("name", metavar="NAME")
_days = click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=365,
    metavar="N",
    help="How long the new secret is good [365].",
)


@command("add")
@_name
@click.option("--object-id", metavar="GUID", help="What policies know it by [a new one].")
@click.option("--client-id", metavar="GUID", help="What it signs in with [a new one].")
@click.option(
    "--public-key",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Sign in by this key or certificate (PEM), and with no secret.",
)
@click.option(
    "--store-administrator",
    is_flag=True,
    help="It may make vaults over HTTPS, and see how each of them is set up.",
)
@_days
def add(
    session: Session,
    name: str,
    object_id: str | None,
    client_id: str | None,
    public_key: Path | None,
    store_administrator: bool,
    days: int,
) -> None:
    """Register a client, and print its secret.

    It may read nothing yet: give its object id to `muniment policy set`.
    """
    from server.identities import client_keys

    keys = client_keys(public_key.read_bytes()) if public_key is not None else ()
    with identities(session) as known:
        made = known.add(
            name,
            object_id=object_id or "",
            client_id=client_id or "",
            keys=keys,
            lifetime=days * _DAY,
            store_administrator=store_administrator,
        )
        added = "store-administrator-added" if store_administrator else "client-added"
        record(session, known, added, name, made.application.object_id)
        _emit_secret(session, known, made)
    allowed = "make vaults, and read no secret" if store_administrator else "do nothing"
    session.terminal.note(
        f"It may {allowed} yet: muniment policy set --object-id {made.application.object_id} "
        "--secret-permissions get list"
    )


@command("list")
@click.option("--issuers", is_flag=True, help="The outside issuers that are trusted.")
def list_identities(session: Session, issuers: bool) -> None:
    """List the clients, or the issuers that are trusted."""
    with identities(session) as known:
        roll = known.roll
    if issuers:
        session.output.emit([_issuer(one) for one in roll.issuers], _ISSUERS)
    else:
        session.output.emit([_client(one) for one in roll.applications], _COLUMNS)


@command("remove")
@_name
@click.option("--issuer", is_flag=True, help="NAME is an outside issuer: trust it no more.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(session: Session, name: str, issuer: bool, yes: bool) -> None:
    """Forget a client, or an issuer.

    Their tokens are refused from now on.  Policies stay: they are for whoever gets that object id again.
    """
    session.terminal.confirm(
        f"All programs that sign in as {name} are refused from now on.", name, yes=yes
    )
    with identities(session) as known:
        if issuer:
            record(session, known, "issuer-distrusted", name)
            known.distrust(name)
            session.output.emit({"issuer": name})
        else:
            record(session, known, "client-removed", name, known.roll.named(name).object_id)
            session.output.emit(_client(known.remove(name)))


@command("rotate")
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--keep-days",
    type=click.IntRange(0, 365),
    default=0,
    metavar="N",
    help="How long the secrets before it stay good [0].",
)
@_days
@click.option("--signing-key", is_flag=True, help="The key that signs tokens; no client.")
@click.option("--revoke", is_flag=True, help="With --signing-key: refuse every token given out.")
def rotate(
    session: Session,
    name: str | None,
    keep_days: int,
    days: int,
    signing_key: bool,
    revoke: bool,
) -> None:
    """Give a client a new secret, and print it.

    Tokens that it got before stay good until they end, an hour at most.
    """
    if (name is None) != signing_key or (revoke and not signing_key):
        raise Usage("name a client, or give --signing-key with or without --revoke")
    with identities(session) as known:
        if name is None:
            record(session, known, "tokens-revoked" if revoke else "signing-key-rotated")
            session.output.emit({"kid": known.rotate_signing_key(revoke=revoke).kid})
        else:
            made = known.rotate(name, keep=keep_days * _DAY, lifetime=days * _DAY)
            record(session, known, "secret-rotated", name, made.application.object_id)
            _emit_secret(session, known, made)


@command("trust")
@click.argument("issuer", metavar="ISSUER")
@click.option("--audience", cls=Greedy, metavar="TEXT ...", help="Only tokens for these [this].")
@click.option("--tenant", default="", metavar="ID", help="Only tokens of this tenant.")
@click.option(
    "--jwks-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Its keys, which are pinned.",
)
@click.option("--jwks-url", metavar="URL", help="Its keys [found at the issuer].")
def trust(
    session: Session,
    issuer: str,
    audience: tuple[str, ...],
    tenant: str,
    jwks_file: Path | None,
    jwks_url: str | None,
) -> None:
    """Believe the tokens of an outside issuer.

    It then says who its people are (`oid`, else `sub`), and policies say what they may.  It cannot
    speak for a client registered here, nor for an account of this machine.
    """
    from server.roll import Issuer, check_issuer

    jwks = jwks_file.read_bytes() if jwks_file is not None else b""
    if jwks_file is None and jwks_url is None:
        jwks_url = _discovered(issuer)
    trusted = Issuer(
        issuer=issuer, audiences=audience, tenant=tenant, jwks=jwks, jwks_url=jwks_url or ""
    )
    check_issuer(trusted)
    with identities(session) as known:
        record(session, known, "issuer-trusted", issuer)
        known.trust(trusted)
    session.output.emit(_issuer(trusted))


@contextmanager
def identities(session: Session) -> Iterator[Identities]:
    """The identities of the store."""
    from server.identities import Identities

    with session.store() as store:
        yield Identities(store)


def record(
    session: Session, known: Identities, change: str, client: str = "", object_id: str = ""
) -> None:
    """Write down in every vault's `access` what is done, before it takes effect or is given out."""
    for vault in (*known.store.active(), *known.store.deleted()):
        vault.record_identity_change(session.caller, change, client, object_id)


def _discovered(issuer: str) -> str:
    """Where *issuer* says that its keys are (OpenID Connect Discovery 1.0)."""
    import msgspec

    try:
        from server.issuers import fetch
        from server.signatures import Refused
    except ModuleNotFoundError:
        from server.serving import ServerExtraMissing

        raise ServerExtraMissing("not installed: joserfc or urllib3") from None
    place = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        told = msgspec.json.decode(fetch(place), type=dict[str, object])
    except (Refused, msgspec.DecodeError) as problem:
        raise Usage(f"{place} does not say where its keys are ({problem})") from None
    if told.get("issuer") != issuer or not isinstance(told.get("jwks_uri"), str):
        raise Usage(f"{place} is not about this issuer")
    return str(told["jwks_uri"])


def _emit_secret(session: Session, known: Identities, made: NewSecret) -> None:
    shape: Shape = {
        "name": made.application.name,
        "tenantId": known.tenant,
        "clientId": made.application.client_id,
        "objectId": made.application.object_id,
    }
    if made.secret:
        shape |= {"clientSecret": made.secret, "expires": rfc3339(made.expires * 1_000_000)}
    session.output.emit(shape)
    if made.secret:
        session.terminal.note("The secret is shown this once, and kept by nobody.")


def _client(one: Application) -> Shape:
    return {
        "name": one.name,
        "clientId": one.client_id,
        "objectId": one.object_id,
        "created": rfc3339(one.created * 1_000_000),
        "storeAdministrator": one.store_administrator,
        "secretsEnd": [rfc3339(secret.expires * 1_000_000) for secret in one.secrets],
        "keys": [key.id[:16] for key in one.keys],
    }


def _issuer(one: Issuer) -> Shape:
    return {
        "issuer": one.issuer,
        "audiences": list(one.audiences),
        "tenant": one.tenant or None,
        "keysFrom": one.jwks_url or "pinned",
    }
