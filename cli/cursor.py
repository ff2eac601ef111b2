"""How far somebody has read: a position of each log, kept in a file so that reading goes on there.

A cursor is moved after what it covers was written out, so that a crash in between repeats records
and never skips one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from cli.problems import CursorInvalid, FileUnusable

_PART = re.compile(r"(changes|access):([0-9]{1,18})", re.ASCII)


class Cursor(NamedTuple):
    """The last position of each log that was read; -1 is none yet."""

    changes: int = -1
    access: int = -1

    def __str__(self) -> str:
        return ",".join(f"{log}:{at}" for log, at in self._asdict().items() if at >= 0)

    def of(self, log: str) -> int:
        at: int = getattr(self, log)
        return at

    def moved(self, log: str, position: int) -> Cursor:
        return self._replace(**{log: position})


def parse(text: str) -> Cursor:
    """Read `changes:N,access:M`; a log that is not named was not read.  Raise CursorInvalid."""
    found: dict[str, int] = {}
    for part in filter(None, text.strip().split(",")):
        read = _PART.fullmatch(part)
        if read is None or read[1] in found:
            raise CursorInvalid
        found[read[1]] = int(read[2])
    return Cursor(**found)


def load(file: str) -> Cursor:
    """The cursor in *file*; if there is no such file, one that has read nothing."""
    try:
        return parse(Path(file).read_text(encoding="ascii"))
    except FileNotFoundError:
        return Cursor()
    except UnicodeDecodeError:
        raise CursorInvalid(f"{file} holds no cursor") from None
    except OSError as error:
        raise FileUnusable(f"{file}: {error.strerror}") from None


def keep(file: str, cursor: Cursor) -> None:
    """Write *cursor* to *file*, whole or not at all.  Raise FileUnusable."""
    path = Path(file)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="ascii") as stream:
            stream.write(f"{cursor}\n")
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FileUnusable(f"{path}: {error.strerror}") from None
