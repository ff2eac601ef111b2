"""What `doctor` sees of a store's files without any key."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SCARCE: Final = 0.05
"""Less free space than this share of the disk is worth a note."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def exposed(place: Path) -> list[Path]:
    """The files that others than their owner may use.

    Behind a directory that only its owner may enter, the modes of files do not matter.
    """
    return list(_exposed(place))


def _exposed(place: Path) -> Iterator[Path]:
    try:
        mode = place.lstat().st_mode
    except OSError:
        return
    if not mode & _OTHERS:
        return
    if not stat.S_ISDIR(mode):
        yield place
        return
    yield place
    for child in sorted(place.iterdir()):
        yield from _exposed(child)


def free_share(place: Path) -> float:
    """The share of the disk under *place* that may still be written."""
    found = os.statvfs(place)
    return found.f_bavail / found.f_blocks if found.f_blocks else 1.0


def signed_sizes(home: Path) -> dict[Path, int]:
    """How many records the checkpoint beside each log covers; a log without one is left out."""
    from eventstore.checkpoint import parse_checkpoint
    from eventstore.errors import CheckpointMalformed
    from eventstore.log_directory import logs_of

    sizes = {}
    for directory in logs_of(home):
        try:
            note = (directory / "checkpoint").read_text(encoding="utf-8")
            sizes[directory] = parse_checkpoint(note).size
        except (OSError, UnicodeDecodeError, CheckpointMalformed):
            continue
    return sizes


def unsigned(home: Path) -> dict[Path, int]:
    """How many records of each log are under no checkpoint; -1 if none can be read beside it.

    A service signs four times a second: what it has not signed yet is not counted.
    """
    from eventstore import head as heads
    from eventstore.checkpoint import parse_checkpoint
    from eventstore.errors import MunimentError
    from eventstore.log_directory import evidence_in, logs_of

    found = {}
    for directory in logs_of(home):
        try:
            with evidence_in(directory) as evidence:
                size = heads.decode_head(evidence.head).size
                found[directory] = size - parse_checkpoint(evidence.checkpoint).size
        except (OSError, MunimentError):
            found[directory] = -1
    return found
