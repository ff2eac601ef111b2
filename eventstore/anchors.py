"""What others said of a log's checkpoints, kept beside the log: who signed them, and when.

`anchors/` in a log's directory holds, for each size that was published, `<size>.note`, the signed
checkpoint with every signature that it gathered, and `<size>-<n>.tsr`, the answers of time-stamping
authorities (RFC 3161) over SHA-256 of the checkpoint's text.  Sizes are written with 20 digits.
Nothing here is secret, and nothing here is believed: who reads it checks each signature with keys
that come from elsewhere.

A note only gains signatures and never changes its text, since a log never signs two roots of one
size.  Several processes may keep at once; a lock on the folder puts them in order.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from eventstore.bracket import Seen as Seen
from eventstore.bracket import bracket as bracket
from eventstore.checkpoint import MAX_NOTE_SIZE, parse_checkpoint, signatures
from eventstore.durable import failing_disk, sync_directory, write_durably
from eventstore.errors import CheckpointMalformed, HistoryForked

FOLDER = "anchors"
MAX_TIMESTAMP_SIZE = 64 * 1024

_NOTE = re.compile(r"([0-9]{20})\.note")
_SECOND = re.compile(r"second-([0-9]{20})\.note")
_STAMP = re.compile(r"([0-9]{20})-([1-9][0-9]{0,8})\.tsr")


class Anchor(NamedTuple):
    """A published checkpoint: its size, the note with all signatures, and its time stamps."""

    size: int
    note: str
    timestamps: tuple[bytes, ...]


def kept(directory: Path) -> list[Anchor]:
    """What is kept of the log in *directory*, by size.

    Raise CheckpointMalformed if a file is not what its name says, and LogUnavailable.
    """
    return [kept_at(directory, size) for size in sizes(directory)]


def sizes(directory: Path) -> list[int]:
    """The sizes of which a checkpoint is kept, in order.  Raise LogUnavailable."""
    return sorted(int(found[1]) for found in _matching(directory / FOLDER, _NOTE))


def kept_at(directory: Path, size: int) -> Anchor:
    """What is kept of the checkpoint of that *size*.  Raise as `kept` does."""
    folder = directory / FOLDER
    note = _note_of(folder, size)
    if note is None:
        raise CheckpointMalformed(f"{folder}: there is no checkpoint of {size} records")
    found = [one for one in _matching(folder, _STAMP) if int(one[1]) == size]
    names = [one[0] for one in sorted(found, key=lambda one: int(one[2]))]
    return Anchor(size, note, tuple(_read(folder / name, MAX_TIMESTAMP_SIZE) for name in names))


def _matching(folder: Path, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    with failing_disk(folder):
        names = os.listdir(folder) if folder.is_dir() else []
    return [found for name in names if (found := pattern.fullmatch(name)) is not None]


def _note_of(folder: Path, size: int) -> str | None:
    place = folder / f"{size:020}.note"
    if not place.exists():
        return None
    try:
        note = _read(place, MAX_NOTE_SIZE).decode()
        if parse_checkpoint(note).size != size:
            raise CheckpointMalformed("its size is another")
    except UnicodeDecodeError:
        raise CheckpointMalformed(f"{place}: this is not text") from None
    except CheckpointMalformed as problem:
        raise CheckpointMalformed(f"{place}: {problem.message}") from None
    return note


def _read(place: Path, most: int) -> bytes:
    with failing_disk(place), place.open("rb") as file:
        read = file.read(most + 1)
    if len(read) > most:
        raise CheckpointMalformed(f"{place} is too large")
    return read


# --- keeping --------------------------------------------------------------------------------------


def keep(directory: Path, note: str) -> str:
    """Keep the signatures of *note*, a checkpoint, with those that stand; give all as one note.

    Raise HistoryForked if another root of that size stands, CheckpointMalformed, LogUnavailable, or
    OutcomeUnknown.
    """
    size = parse_checkpoint(note).size
    with _locked(directory) as folder:
        standing = _note_of(folder, size)
        merged = note if standing is None else merge(standing, note)
        if merged != standing:
            write_durably(folder / f"{size:020}.note", merged.encode())
    return merged


def keep_timestamp(directory: Path, size: int, answer: bytes) -> None:
    """Keep a time stamp of the checkpoint of *size*.  Raise as `keep` does."""
    with _locked(directory) as folder:
        numbers = [int(found[2]) for found in _matching(folder, _STAMP) if int(found[1]) == size]
        write_durably(folder / f"{size:020}-{max(numbers, default=0) + 1}.tsr", answer)


def keep_endorsement(directory: Path, start: int, note: str) -> None:
    """Keep the note that endorses the second key of the epoch from *start*.  Raise as `keep`."""
    with _locked(directory) as folder:
        place = folder / f"second-{start:020}.note"
        if not place.exists() or _read(place, MAX_NOTE_SIZE) != note.encode():
            write_durably(place, note.encode())


def endorsements(directory: Path) -> list[tuple[int, str]]:
    """The notes that endorse second keys, by the position from which they count."""
    folder = directory / FOLDER
    found = sorted((int(one[1]), one[0]) for one in _matching(folder, _SECOND))
    try:
        return [(start, _read(folder / name, MAX_NOTE_SIZE).decode()) for start, name in found]
    except UnicodeDecodeError:
        raise CheckpointMalformed(f"{folder}: an endorsement is not text") from None


def copy(directory: Path, target: Path, size: int) -> None:
    """Copy what is kept of the log in *directory*, up to *size* records, beside the copy *target*."""
    found = [anchor for anchor in kept(directory) if anchor.size <= size]
    for anchor in found:
        keep(target, anchor.note)
        for answer in anchor.timestamps:
            keep_timestamp(target, anchor.size, answer)
    for start, note in endorsements(directory) if found else ():
        keep_endorsement(target, start, note)


def merge(standing: str, note: str) -> str:
    """*standing* with the signatures of *note* by keys that have none there.  Raise HistoryForked.

    One of each key is enough: the first is the one that bounds the time from above.
    """
    text, have = signatures(standing)
    other, found = signatures(note)
    if text != other:
        raise HistoryForked(f"two checkpoints were signed for one size: {text!r} and {other!r}")
    lines = note[len(other) + 1 :].splitlines(keepends=True)
    known = {(name, key_id) for name, key_id, _ in have}
    for line, (name, key_id, _) in zip(lines, found, strict=True):
        if (name, key_id) not in known:
            known.add((name, key_id))
            standing += line
    # What signed-note limits is limited here too: the next reader must accept what was written.
    signatures(standing)
    return standing


@contextmanager
def _locked(directory: Path) -> Iterator[Path]:
    folder = directory / FOLDER
    with failing_disk(folder):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_directory(directory)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(fd)
