"""How every LMDB environment of a store is opened, and what its failures mean.

Without writemap a full disk is a clean error; with it, a SIGBUS.  A huge map is reserved once,
because growing it under several processes corrupts.  Pages are zeroed before use, so that no
memory of this process reaches a file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import lmdb

from eventstore.errors import (
    LogBusy,
    LogNotFound,
    LogUnavailable,
    RecordAltered,
    RecordMalformed,
)
from eventstore.pages import DATA_FILE, MAP_SIZE, Pages

MAX_READERS = 1024

_LEAST_AHEAD = 16
_MOST_AHEAD = 256
"""Pages, of zeros at the end of a file."""


def open_environment(
    path: Path, *, create: bool, max_dbs: int = 8, map_size: int = MAP_SIZE
) -> lmdb.Environment:
    """Open the LMDB environment in the directory *path*, mode 0700, files 0600.

    Raise LogNotFound, LogBusy (once per process and file), LogUnavailable, or RecordAltered if the
    file was cut short or its meta pages are damaged.
    """
    if not create:
        _check_length(path / DATA_FILE)
    try:
        if create:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        environment = lmdb.open(
            os.fspath(path),
            map_size=map_size,
            max_dbs=max_dbs,
            max_readers=MAX_READERS,
            mode=0o600,
            create=create,
            writemap=False,
            sync=True,
            metasync=True,
            meminit=True,
        )
        environment.reader_check()
    except lmdb.Error as problem:
        if "already open" in str(problem):
            raise LogBusy(f"{path} is already open in this process") from None
        # LMDB begins some of its messages with the path, and others not.
        said = str(problem).removeprefix(f"{path}: ")
        raise LogUnavailable(f"{path}: {said}") from None
    except OSError as problem:
        raise LogUnavailable(f"{path}: {problem.strerror}") from None
    return environment


def _check_length(file: Path) -> None:
    try:
        pages = Pages(file)
    except (FileNotFoundError, NotADirectoryError):
        raise LogNotFound(f"no log in {file.parent}") from None
    except OSError as problem:
        raise LogUnavailable(f"{file}: {problem.strerror}") from None
    except RecordMalformed as problem:
        raise RecordAltered(f"{file}: {problem.message}") from None
    try:
        pages.check_length()
    except RecordMalformed as problem:
        raise RecordAltered(f"{file} was cut short: {problem.message}") from None
    finally:
        pages.close()


class Headroom:
    """Zeros that are written ahead of the pages in use, in steps of an eighth of the file.

    A file that grows with a commit makes that commit's sync wait for the file system's journal too
    (tried: a set takes a tenth longer).  Pages that are there already are only overwritten.
    """

    def __init__(self, path: Path) -> None:
        self._file = path / DATA_FILE
        self._size = 0

    def keep(self, environment: lmdb.Environment) -> None:
        """Make the file longer if the next commits need it.  Call it inside a write transaction.

        It is no loss if the disk is too full for that: a commit then grows the file by itself.
        """
        page = environment.stat()["psize"]
        used = (environment.info()["last_pgno"] + 1) * page
        if used + _LEAST_AHEAD * page <= self._size:
            return
        ahead = min(max(used // 8, _LEAST_AHEAD * page), _MOST_AHEAD * page)
        with suppress(OSError):
            self._size = self._lengthen(used + ahead // page * page + _LEAST_AHEAD * page)

    def _lengthen(self, size: int) -> int:
        fd = os.open(self._file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            there = os.fstat(fd).st_size
            if there < size:
                there += os.pwrite(fd, bytes(size - there), there)
        finally:
            os.close(fd)
        return there
