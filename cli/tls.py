"""`muniment tls init` and `tls renew`: a local authority, and the service's short certificates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.command import command
from cli.moments import rfc3339
from cli.serve import domain_option, tls_directory
from cli.session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from server.certificates import Validity

OUT = click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where they are kept [the store's path + .tls].",
)


@command("init")
@domain_option
@OUT
def init(session: Session, domain: str, out: Path | None) -> None:
    """Make a local authority and a certificate of it.

    The authority can vouch for the domain and its sub-domains and for nothing else.  Clients have
    to trust its certificate, `ca.pem`.  The service's certificate is good for 30 days and is
    renewed by the service as long as `ca.key` is there.
    """
    from server.certificates import init

    directory = tls_directory(session, out)
    _emit(session, directory, init(directory, domain, _now(session)))
    session.terminal.note(
        f"Clients trust {directory / 'ca.pem'}: `muniment env azure` prints the variables for it."
    )


@command("renew")
@OUT
def renew(session: Session, out: Path | None) -> None:
    """Make a new certificate of the same authority.

    A service that runs takes it within a minute, or at once after SIGHUP, and drops no request.
    """
    from server.certificates import renew

    directory = tls_directory(session, out)
    _emit(session, directory, renew(directory, _now(session)))


def _emit(session: Session, directory: Path, validity: Validity) -> None:
    session.output.emit(
        {
            "authority": str(directory / "ca.pem"),
            "certificate": str(directory / "server.pem"),
            "expires": rfc3339(int(validity.end.timestamp()) * 1_000_000),
        }
    )


def _now(session: Session) -> datetime:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(session.now // 1_000_000, UTC)
