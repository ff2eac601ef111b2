"""What a serving process is told: one struct, handed to each worker as JSON in a variable.

No secret stands in it, for everybody of the same account can read a process's environment: the
passphrase of the root key comes through a pipe whose number stands here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from eventstore.errors import MunimentError
from server.entrances import Entrance, Listen

if TYPE_CHECKING:
    from vault.providers import Providers

VARIABLE: Final = "MUNIMENT_SERVE"
APPLICATION: Final = "server.asgi:application"
DOMAIN: Final = "vault.localhost"
PORT: Final = 8443

READY: Final = b"ready"
"""What a worker says to its supervisor when it serves."""
STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


class ServingError(MunimentError):
    """The service could not do what was asked."""

    code = "serve.error"


class ServerExtraMissing(ServingError):
    """A package of the extra `server` is not installed."""

    code = "serve.extra-missing"
    hint = "pip install 'muniment[server]', with the same version"


class ServingFailed(ServingError):
    """A worker did not start."""

    code = "serve.not-started"


class AddressUnusable(ServingError):
    """The service cannot listen there."""

    code = "serve.address-unusable"
    hint = "another process may listen there: choose another --port or --bind"


class OptionsInvalid(ServingError):
    """The options of a worker are not what its supervisor writes."""

    code = "serve.options-invalid"


class Publish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To whom checkpoints go by themselves, and when.  *interval* is in seconds.

    *policy*, *tsa_roots* and *ca* are files; *tsa* holds the URLs of time-stamping authorities.
    """

    policy: str | None = None
    tsa: tuple[str, ...] = ()
    tsa_roots: str | None = None
    ca: str | None = None
    interval: float = 600
    growth: int = 1_000


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to serve.  Times are in seconds, sizes in bytes.

    *bind* holds addresses, or `unix:PATH`; *listen* more listeners, each with a name.  *proxies* are
    the address ranges whose word about a caller's address is taken, or `unix`.  Without *tls* it
    speaks plain HTTP, which only a witness does: all that it says and hears is signed.  *entrances*
    are the sockets that a worker listens on; nobody but its supervisor sets it, nor *worker* (from 1,
    no two alive with the same), *passphrase_fd* and *metrics_directory*.
    """

    home: str
    root_key: str | None = None
    providers: str | None = None
    state: str | None = None
    tls: str | None
    domain: str = DOMAIN
    bind: tuple[str, ...] = ("127.0.0.1",)
    port: int = PORT
    listen: tuple[Listen, ...] = ()
    proxies: tuple[str, ...] = ()
    workers: int = 1
    simulate_delete_lag: float = 0
    throttle: bool = False
    metrics: bool = False
    publish: Publish | None = None
    log_format: Literal["json", "text"] = "json"
    application: str = APPLICATION
    # One limit for the head of a request and for an idle connection: granian knows only one.
    header_seconds: float = 30
    header_limit: int = 32 * 1024
    announcement_seconds: float = 5
    body_seconds: float = 10
    body_limit: int = 64 * 1024
    connections: int = 1024
    backlog: int = 1024
    start_seconds: float = 60
    drain_seconds: float = 30
    # So long a worker that was told to go ends handshakes, and sends kept connections elsewhere.
    linger_seconds: float = 1
    # How often the certificate's files are looked at.
    look_seconds: float = 60
    worker: int = 0
    entrances: tuple[Entrance, ...] = ()
    channel: int | None = None
    passphrase_fd: int | None = None
    metrics_directory: str | None = None

    @property
    def base(self) -> str:
        """The address of the token authority; a vault's is the same with its name in front."""
        return f"https://{self.domain}" + ("" if self.port == 443 else f":{self.port}")

    def environment(self) -> dict[str, str]:
        """The variable that hands these options to a worker."""
        return {VARIABLE: msgspec.json.encode(self).decode()}


class Failure(msgspec.Struct, frozen=True):
    """An error of a worker on its way to its supervisor."""

    code: str
    message: str
    hint: str


class Draining:
    """Whether this worker was told to go; there is one, `draining`.

    An adapter that sends `Connection: close` from then on lets its callers go over to another worker
    between two requests.  Else a kept connection is closed while it is idle, just when a caller may
    be sending the next request on it.
    """

    began = False


draining = Draining()


def options_from(environ: Mapping[str, str] | None = None) -> Options:
    """The options in the environment.  Raise OptionsInvalid."""
    given = (os.environ if environ is None else environ).get(VARIABLE)
    if given is None:
        raise OptionsInvalid(f"{VARIABLE} is not set: `muniment serve` starts the workers")
    try:
        return msgspec.json.decode(given, type=Options)
    except msgspec.DecodeError as error:
        raise OptionsInvalid(f"{VARIABLE}: {error}") from None


def passphrase_of(options: Options) -> Callable[[], bytes] | None:
    """How the store may ask for its passphrase in a worker; None if none was handed over."""
    if options.passphrase_fd is None:
        return None
    fd = options.passphrase_fd
    return lambda: _read_once(fd)


@cache
def _read_once(fd: int) -> bytes:
    # A pipe can be read once, and a store may be opened again.
    with open(fd, "rb") as pipe:
        return pipe.read()


def providers_of(options: Options) -> Providers | None:
    """Who makes the keys of storage accounts.  Raise ProvidersInvalid or ProvidersExposed."""
    if options.providers is None:
        return None
    from vault.provider_file import load

    return load(Path(options.providers))


def root_directory_of(options: Options) -> Path | None:
    """Where the root key is, if not where the store says."""
    return None if options.root_key is None else Path(options.root_key)
