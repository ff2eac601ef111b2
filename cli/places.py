"""Which logs on the disk a command means, with a key or without any.

A store, one vault of it by its name or id, or a directory that holds one log.  A vault's id is
public; its name is sealed, and only to find it by its name takes the keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.problems import Usage
from cli.session import Session

if TYPE_CHECKING:
    from eventstore.checkpoint import Checkpoint
    from eventstore.export import PublicLog

LOGS = ("changes", "access")

one_log = click.option("--log", type=click.Choice(LOGS), default="changes", help="[changes]")


def directories(session: Session, log: str | None) -> list[Path]:
    """The logs of the store, of one vault in it, or the one log that --home names."""
    from eventstore.log_directory import logs_of
    from eventstore.pages import DATA_FILE
    from vault.refusals import StoreNotFound

    home = session.home
    if (home / DATA_FILE).is_file() and not (home / "store.json").exists():
        return [home]
    found = logs_of(home)
    if not found and not (home / "store.json").exists():
        raise StoreNotFound(f"there is no store in {home}")
    if (name := session.vault_name()) is not None:
        place = home / "vaults" / name
        vault = place if "/" not in name and place.is_dir() else _place_of(session)
        found = [directory for directory in found if directory.parent == vault]
    return [directory for directory in found if log in (None, directory.name)]


def _place_of(session: Session) -> Path:
    with session.vault() as vault:
        return vault.changes.path.parent


def claimed(directory: Path) -> Checkpoint | None:
    """Which log this says it is.  Only to look up what is kept of it: that holds it to its word."""
    from eventstore.checkpoint import parse_checkpoint
    from eventstore.errors import CheckpointMalformed

    try:
        return parse_checkpoint((directory / "checkpoint").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, CheckpointMalformed):
        return None


def seen_of(session: Session, directory: Path) -> Checkpoint | None:
    """What this account has seen of the log in *directory*.  Ask before the log is read."""
    claims = claimed(directory)
    try:
        return session.kept.newest(claims.origin) if claims else None
    except OSError:
        return None


def check_vaults_of(session: Session) -> None:
    """Hold the store to the vaults that were seen in it, without a key.  Raise RolledBack."""
    from vault.configuration import read_configuration
    from vault.refusals import StoreNotFound

    there = {made.parent.name for made in (session.home / "vaults").glob("*/made")}
    with suppress(OSError, StoreNotFound):
        session.kept.check_vaults(read_configuration(session.home).store_id, there)


@contextmanager
def public(session: Session, directory: Path) -> Iterator[PublicLog]:
    """The public side of a log, held to what this account has seen of it.  Raise RolledBack."""
    from cli.kept import check
    from eventstore.export import public_log

    seen = seen_of(session, directory)
    with public_log(directory) as log:
        check(seen, log.tree)
        yield log


@contextmanager
def one_public(session: Session, log: str) -> Iterator[PublicLog]:
    """The one log that is meant.  Raise Usage if there are several."""
    found = directories(session, log)
    if len(found) != 1:
        raise Usage(f"there are {len(found)} such logs: name the vault with --vault-name")
    with public(session, found[0]) as opened:
        yield opened
