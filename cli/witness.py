"""`muniment witness`: a witness of your own, for the logs of others (C2SP tlog-witness).

It needs no store.  Its directory holds its key, the keys of the logs that it cosigns, what it
cosigned last of each, and, of a log that signed two histories, both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.anchors import verifiers_in
from cli.command import command
from cli.moments import rfc3339
from cli.serve import check_extra
from cli.session import Session
from cli.tables import Column

if TYPE_CHECKING:
    from eventstore.witness import Evidence, Witness
    from server.serving import Options

_LISTENING = """\
The witness {name} cosigns what is submitted to {places}.
  Its key    {key}
  Stop       Ctrl-C, or SIGTERM"""


def directory_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--dir",
        "directory",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        help="The witness [~/.local/share/muniment-witness].",
    )(function)


def _place(given: Path | None) -> Path:
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    return (given or data / "muniment-witness").absolute()


@command("init")
@click.argument("name", metavar="NAME")
@directory_option
def init(session: Session, name: str, directory: Path | None) -> None:
    """Make a witness with a key of its own, and print the key.

    NAME looks like witness.example.com/w1; it tells witnesses apart and need not be reachable.
    """
    from eventstore.witness import Witness

    witness = Witness.create(_place(directory), name, os.urandom)
    _print_key(session, witness)
    witness.close()


@command("show-key")
@directory_option
def show_key(session: Session, directory: Path | None) -> None:
    """Print the witness's verifier key, for the policies of those who believe it."""
    from eventstore.witness import Witness

    witness = Witness(_place(directory))
    _print_key(session, witness)
    witness.close()


def _print_key(session: Session, witness: Witness) -> None:
    line = str(witness.key)
    session.output.raw(line + "\n", {"name": witness.key.name, "key": line})


@command("trust")
@click.argument("keys", metavar="LOGKEY|FILE...", nargs=-1, required=True)
@directory_option
def trust(session: Session, keys: tuple[str, ...], directory: Path | None) -> None:
    """Cosign a log from now on, by its verifier key.

    After the log's signing key was rotated it needs the new one too; the old one goes on counting.
    """
    from eventstore.witness import Witness

    found = verifiers_in(keys, "LOGKEY")
    witness = Witness(_place(directory))
    told = [{"log": key.name, "key": str(key), "new": witness.trust(key)} for key in found]
    witness.close()
    session.output.emit(told, [Column("LOG", "log"), Column("NEW", "new")])


@command("evidence")
@directory_option
def evidence(session: Session, directory: Path | None) -> None:
    """Show the forks that were seen: two notes, signed by one log, that cannot both be true."""
    from eventstore.witness import Witness

    witness = Witness(_place(directory))
    shapes = [_shape(one) for one in witness.evidence()]
    witness.close()
    columns = [Column("TIME", "time"), Column("LOG", "log"), Column("RECORDS", "size")]
    session.output.emit(shapes, columns)


def _shape(found: Evidence) -> dict[str, Any]:
    from eventstore.checkpoint import parse_checkpoint

    notes = [parse_checkpoint(note) for note in (found.first, found.second)]
    return {
        "log": notes[0].origin,
        "notes": [note.note for note in notes],
        "roots": [note.root.hex() for note in notes],
        "size": notes[0].size,
        "time": rfc3339(found.time * 1_000_000),
    }


@command("serve")
@directory_option
@click.option(
    "--bind",
    multiple=True,
    metavar="ADDRESS",
    help="An address, or unix:PATH; may be repeated [127.0.0.1].",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8444, help="The port [8444].")
@click.option(
    "--tls",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Certificates, as `muniment tls init` makes them [plain HTTP].",
)
@click.option(
    "--log-format",
    type=click.Choice(("json", "text")),
    default="json",
    help="Form of the log on standard error [json].",
)
def serve(session: Session, directory: Path | None, tls: Path | None, **given: Any) -> None:
    """Cosign what the logs that are trusted submit.

    Without --tls it speaks plain HTTP, for a proxy in front of it: all that it hears and says is
    signed and nothing of it is secret.
    """
    from eventstore.witness import Witness

    check_extra()
    place = _place(directory)
    witness = Witness(place)
    key = witness.key
    witness.close()
    _supervise(session, _options(place, tls, **given), key.name, str(key))


def _options(place: Path, tls: Path | None, bind: tuple[str, ...], **given: Any) -> Options:
    from server.serving import Options

    return Options(
        home=str(place),
        tls=None if tls is None else str(tls.absolute()),
        bind=bind or ("127.0.0.1",),
        application="server.witness:application",
        **given,
    )


def _supervise(session: Session, options: Options, name: str, key: str) -> None:
    from server.supervisor import Supervisor

    def tell(places: list[str]) -> None:
        told = _LISTENING.format(name=name, places=", ".join(places), key=key)
        session.terminal.note(told)

    Supervisor(options).run(tell)
