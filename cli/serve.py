"""`muniment serve`: the HTTPS service, in the foreground."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.command import command
from cli.problems import Usage
from cli.session import Session

if TYPE_CHECKING:
    from server.serving import Options, Publish

_NEEDED = ("granian", "joserfc", "prometheus_client", "urllib3")

_LISTENING = """\
Vaults answer at {vaults}; {workers}, listening on {places}.
  Clients trust  {authority}
  Set them up    {set_up}
  Let one in     muniment identity add NAME
  Stop           Ctrl-C, or SIGTERM; requests that were begun are ended"""


def tls_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--tls",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        help="The certificates [the store's path + .tls].",
    )(function)


def domain_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--domain",
        default="vault.localhost",
        metavar="NAME",
        help="Vaults are NAME's sub-domains [vault.localhost].",
    )(function)


def port_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--port", type=click.IntRange(1, 65535), default=8443, help="The port [8443]."
    )(function)


def tls_directory(session: Session, given: Path | None) -> Path:
    """Where the certificates are: beside the store, as the root key is."""
    home = session.home.absolute()
    return (given or home.with_name(home.name + ".tls")).absolute()


@command("serve")
@domain_option
@click.option(
    "--bind",
    multiple=True,
    metavar="ADDRESS",
    help="An address, or unix:PATH; may be repeated [127.0.0.1].",
)
@port_option
@click.option(
    "--listen",
    multiple=True,
    metavar="name=NAME,...",
    help="A named listener: address=, interface=, namespace=, vlan=, proxy=v2; may be repeated.",
)
@click.option(
    "--trusted-proxy",
    multiple=True,
    metavar="RANGE",
    help="Who may say for whom it asks: an address range, or unix; may be repeated.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Processes [1].")
@tls_option
@click.option(
    "--simulate-delete-lag",
    type=click.FloatRange(0, 600),
    default=0.0,
    metavar="SECONDS",
    help="Let deletion take a while, as Key Vault does [0].",
)
@click.option(
    "--throttle",
    type=click.Choice(("off", "on")),
    default="off",
    help="Answer 429 beyond Key Vault's limits [off].",
)
@click.option("--metrics", is_flag=True, help="Answer /metrics, for Prometheus.")
@click.option(
    "--log-format",
    type=click.Choice(("json", "text")),
    default="json",
    help="Form of the log on standard error [json].",
)
@click.option(
    "--publish-policy", metavar="FILE", help="Let the witnesses of this policy cosign, by itself."
)
@click.option("--tsa", multiple=True, metavar="URL", help="Let this authority stamp; repeatable.")
@click.option("--tsa-roots", metavar="FILE", help="The roots of the authorities, as PEM.")
@click.option("--publish-ca", metavar="FILE", help="Whom to trust for their hosts [the system's].")
@click.option(
    "--publish-interval", default="10m", metavar="TIME", help="Publish after this long [10m]."
)
@click.option(
    "--publish-growth",
    type=click.IntRange(min=1),
    default=1_000,
    metavar="N",
    help="Publish after so many records [1000].",
)
def serve(session: Session, /, tls: Path | None, **given: Any) -> None:
    """Serve the vaults over HTTPS, as Azure Key Vault does.

    It stays in the foreground and logs a line a request on standard error, without any name or
    value.  SIGHUP starts new workers, with the certificate as it is then; a certificate that
    `muniment tls init` made is renewed in time.  Under systemd it takes the sockets that systemd
    opened.
    """
    from server.certificates import check_domain
    from server.supervisor import Supervisor

    check_extra()
    given["domain"] = check_domain(given["domain"])
    given["publish"] = _publishing(
        given.pop("publish_policy"),
        given.pop("tsa"),
        given.pop("tsa_roots"),
        given.pop("publish_ca"),
        given.pop("publish_interval"),
        given.pop("publish_growth"),
    )
    options = options_of(session, tls_directory(session, tls), **given)
    supervisor = Supervisor(options, _passphrase(session))
    supervisor.run(lambda places: session.terminal.note(_listening(options, places)))


def options_of(
    session: Session,
    tls: Path,
    *,
    bind: tuple[str, ...],
    listen: tuple[str, ...],
    trusted_proxy: tuple[str, ...],
    throttle: str,
    **given: Any,
) -> Options:
    """What the command line says, as the workers read it.  Raise ListenInvalid or ProxyInvalid."""
    from server.entrances import listen_of
    from server.hops import check_proxies
    from server.serving import Options

    listeners = tuple(listen_of(text) for text in listen)
    root, providers = session.root_directory, session.settings.path("providers")
    return Options(
        home=str(session.home.absolute()),
        root_key=None if root is None else str(root.absolute()),
        providers=None if providers is None else str(providers.absolute()),
        state=str(session.settings.state.absolute()),
        tls=str(tls),
        bind=bind or (() if listeners else ("127.0.0.1",)),
        listen=listeners,
        proxies=check_proxies(trusted_proxy, listeners),
        throttle=throttle == "on",
        **given,
    )


def _publishing(
    policy: str | None,
    tsa: tuple[str, ...],
    roots: str | None,
    ca: str | None,
    interval: str,
    growth: int,
) -> Publish | None:
    """To whom checkpoints go by themselves; None if to nobody.

    Its files are read here, so that what is wrong with them is told before anything is served.
    """
    from cli.points import seconds_of
    from eventstore.trust import trust_in
    from server.serving import Publish

    if policy is None and not tsa:
        return None
    if bool(tsa) != (roots is not None):
        raise Usage("--tsa and --tsa-roots go together: who is asked, and what is believed")
    files = [None if file is None else str(Path(file).absolute()) for file in (policy, roots, ca)]
    trust_in(*(None if file is None else Path(file) for file in files[:2]))
    return Publish(
        policy=files[0],
        tsa=tsa,
        tsa_roots=files[1],
        ca=files[2],
        interval=seconds_of(interval),
        growth=growth,
    )


def check_extra() -> None:
    from importlib.util import find_spec

    from server.serving import ServerExtraMissing

    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ServerExtraMissing(f"not installed: {', '.join(missing)}")


def _passphrase(session: Session) -> bytes | None:
    """Asked for once, here: a worker has no terminal, and another may be started at any time."""
    from eventstore.errors import StoreLocked
    from vault.configuration import read_configuration

    if read_configuration(session.home).provider != "passphrase":
        return None
    ask = session.passphrase()
    if ask is None:
        raise StoreLocked
    return ask()


def _set_up(options: Options) -> str:
    """`env azure`, with all that was said here and that it would else take to be otherwise."""
    from server.serving import DOMAIN, PORT

    words = ["muniment", "env", "azure"]
    words += [] if options.domain == DOMAIN else ["--domain", options.domain]
    words += [] if options.port == PORT else ["--port", str(options.port)]
    words += [] if options.tls == f"{options.home}.tls" else ["--tls", str(options.tls)]
    return shlex.join(words)


def _listening(options: Options, places: list[str]) -> str:
    authority = Path(options.tls or "") / "ca.pem"
    return _LISTENING.format(
        vaults=options.base.replace("https://", "https://VAULT."),
        workers="1 worker" if options.workers == 1 else f"{options.workers} workers",
        places=", ".join(places),
        set_up=_set_up(options),
        authority=authority if authority.is_file() else "whoever vouches for the certificate",
    )
