"""What a witness keeps: which logs it trusts, and what it cosigned last of each.

One LMDB environment, one write transaction for each submission: the last checkpoint is compared and
the new one put in its place, synced, before anything is signed.  LMDB lets one writer in at a time,
of all threads and processes, so two submissions that race are put in order, and the second meets
what the first left.  After a crash the environment holds either the old checkpoint or the new one;
a cosignature exists only over what is on the disk.

A log that signed two roots for one size has given itself away.  Both notes are kept, in a
transaction of their own, before the refusal is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import msgspec

from eventstore.checkpoint import Checkpoint, Verifier, parse_checkpoint, parse_verifier
from eventstore.cosignature import Cosigner, cosign, witness_key
from eventstore.durable import failing_disk, sync_directory, write_durably
from eventstore.errors import FormatUnknown, LogUnavailable, MunimentError
from eventstore.storage import open_environment
from eventstore.submission import (
    ForkSeen,
    Submission,
    authenticated,
    check_growth,
    contradicts,
    read_submission,
)

FORMAT = 1
_KEY_SIZE = 32


class WitnessNotFound(MunimentError):
    """There is no witness in that directory."""

    code = "witness.not-found"
    hint = "make one with `muniment witness init NAME`"


class WitnessExists(MunimentError):
    """There is a witness in that directory already; it was not touched."""

    code = "witness.exists"


class WitnessNameInvalid(MunimentError):
    """A witness's name is a schema-less URL: no spaces, no plus sign, at most 255 bytes."""

    code = "witness.name-invalid"
    hint = "a name like witness.example.com/w1; it need not be reachable"


class _About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    name: str


class Evidence(NamedTuple):
    """Two notes by one log that cannot both be true, and when the second came (seconds)."""

    time: int
    first: str
    second: str


class Witness:
    """The witness in *directory*.  Safe for threads, and for several processes."""

    def __init__(self, directory: Path) -> None:
        """Open it.  Raise WitnessNotFound, FormatUnknown or LogUnavailable."""
        about = _read_about(directory)
        self._directory = directory
        self._name = about.name
        self._private = _read_key(directory)
        self.key: Cosigner = witness_key(about.name, self._private)
        # An environment must not be closed, after a failure, while another thread is in it.
        self._alone = threading.Lock()
        self._open()

    @classmethod
    def create(cls, directory: Path, name: str, entropy: Callable[[int], bytes]) -> Witness:
        """Make a witness with a key of its own.  Raise WitnessExists or WitnessNameInvalid."""
        plain = name.isprintable() and not any(letter.isspace() for letter in name)
        if not plain or "+" in name or not 1 <= len(name.encode()) <= 255:
            raise WitnessNameInvalid
        if (directory / "witness.json").exists():
            raise WitnessExists(f"{directory} holds a witness")
        with failing_disk(directory):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_durably(directory / "key", entropy(_KEY_SIZE).hex().encode() + b"\n")
            open_environment(directory / "state", create=True, max_dbs=4).close()
            sync_directory(directory)
            # Last, so that what a crash cut short is no witness yet.
            about = msgspec.json.encode(_About(FORMAT, name))
            write_durably(directory / "witness.json", about + b"\n")
        return cls(directory)

    def _open(self) -> None:
        self._environment = open_environment(self._directory / "state", create=False, max_dbs=4)
        try:
            tables = [self._environment.open_db(name) for name in _TABLES]
        except lmdb.Error as problem:
            self._environment.close()
            raise LogUnavailable(f"{self._directory}: {problem}") from None
        self._trusted, self._last, self._cosigned, self._evidence = tables

    def close(self) -> None:
        self._environment.close()

    # -- whom it trusts --------------------------------------------------------------------------

    def trust(self, key: Verifier) -> bool:
        """Cosign what *key* signs from now on, for the log of its name.  False if it did before."""
        line = str(key).encode()
        added: bool = self._write(lambda txn: txn.put(line, b"", db=self._trusted, overwrite=False))
        return added

    def trusted(self) -> list[Verifier]:
        return [parse_verifier(line.decode()) for line, _ in self._rows(self._trusted)]

    # -- cosigning -------------------------------------------------------------------------------

    def add_checkpoint(self, body: bytes, clock: Callable[[], int]) -> str:
        """The cosignature's line for what *body* submits; *clock* gives seconds.

        Raise a WitnessRefusal, or LogUnavailable.
        """
        asked = read_submission(body)
        checkpoint = authenticated(asked.checkpoint, self.trusted())
        asked = asked._replace(checkpoint=checkpoint)
        fork = self._write(lambda txn: self._take(txn, asked, clock))
        if fork is not None:
            raise fork
        # Only now: what is signed stands on the disk, and nothing smaller can follow it.
        return cosign(self._name, self._private, checkpoint, clock())

    def _take(
        self, txn: lmdb.Transaction[bytes], asked: Submission, clock: Callable[[], int]
    ) -> ForkSeen | None:
        """Put the checkpoint in the last one's place; give a fork after keeping what shows it."""
        new = asked.checkpoint
        origin = sha256(new.origin.encode()).digest()
        place = origin + new.size.to_bytes(8, "big")
        last = _checkpoint(txn.get(origin, db=self._last))
        before = _checkpoint(txn.get(place, db=self._cosigned))
        if before is not None and contradicts(before, new):
            found = Evidence(clock(), before.note, new.note)
            kept = msgspec.msgpack.encode(found)
            txn.put(place + new.root, kept, db=self._evidence, overwrite=False)
            return ForkSeen(last.size if last else 0)
        check_growth(asked, last)
        note = new.note.encode()
        # Also where it stood already: a commit that failed may have left it in memory only.
        txn.put(origin, note, db=self._last)
        txn.put(place, note, db=self._cosigned)
        return None

    def last(self, origin: str) -> Checkpoint | None:
        """What it cosigned last of that log."""
        with self._alone, self._environment.begin() as txn:
            return _checkpoint(txn.get(sha256(origin.encode()).digest(), db=self._last))

    def evidence(self) -> list[Evidence]:
        """Every fork that it saw."""
        return [msgspec.msgpack.decode(row, type=Evidence) for _, row in self._rows(self._evidence)]

    def _rows(self, table: Any) -> list[tuple[bytes, bytes]]:
        with self._alone, self._environment.begin() as txn, txn.cursor(db=table) as cursor:
            return list(cursor)

    def _write(self, work: Callable[[lmdb.Transaction[bytes]], Any]) -> Any:
        """Run *work* in a transaction of its own and commit it.  Raise LogUnavailable."""
        with self._alone:
            try:
                with self._environment.begin(write=True) as txn:
                    return work(txn)
            except lmdb.Error as problem:
                # What a failed commit left in memory is not to be trusted: read the disk anew.
                with suppress(lmdb.Error):
                    self._environment.close()
                self._open()
                raise LogUnavailable(f"{self._directory}: {problem}") from None


_TABLES = (b"trusted", b"last", b"cosigned", b"evidence")


def _checkpoint(note: bytes | None) -> Checkpoint | None:
    return None if note is None else parse_checkpoint(note.decode())


def _read_about(directory: Path) -> _About:
    try:
        about = msgspec.json.decode((directory / "witness.json").read_bytes(), type=_About)
    except (FileNotFoundError, NotADirectoryError):
        raise WitnessNotFound(f"there is no witness in {directory}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise FormatUnknown(f"{directory / 'witness.json'} is not of a known form") from None
    if about.format != FORMAT:
        raise FormatUnknown(f"{directory / 'witness.json'}: format {about.format}")
    return about


def _read_key(directory: Path) -> bytes:
    try:
        key = bytes.fromhex((directory / "key").read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise WitnessNotFound(f"{directory / 'key'} is not readable") from None
    if len(key) != _KEY_SIZE:
        raise FormatUnknown(f"{directory / 'key'} is not a key")
    return key
