"""Signed checkpoints, cut out of raw bytes: whatever was ever signed and is still lying about.

Neither LMDB nor the checkpoint file is asked.  A note counts wherever it stands, in a file's slack
as much as in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from eventstore import head as heads
from eventstore.checkpoint import Verifier, open_note, parse_checkpoint
from eventstore.errors import CheckpointSignatureInvalid
from vault.store import Store

_NOTE = re.compile(
    rb"muniment/[0-9a-f]{32}/(?:changes|access)\n"
    rb"(?:0|[1-9][0-9]*)\n"
    rb"[A-Za-z0-9+/]{43}=\n"
    rb"\n"
    rb"(?:\xe2\x80\x94 [^\n ]+ [A-Za-z0-9+/=]+\n)+"
)


class Signed(NamedTuple):
    """What a signature on a checkpoint says."""

    origin: str
    size: int
    root: bytes


def files_in(folder: Path) -> Iterator[bytes]:
    """The bytes of every file."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.read_bytes()


def notes_in(folder: Path) -> list[str]:
    """Every text in any file that has the form of a checkpoint with a signature."""
    return [match.decode() for text in files_in(folder) for match in _NOTE.findall(text)]


def signed_by(store: Store, notes: Iterable[str]) -> dict[Signed, str]:
    """Those of *notes* whose signature is that of any key that the store's logs ever had."""
    verifiers: dict[str, list[Verifier]] = {}
    for vault in store.vaults():
        for log in (vault.changes, vault.access):
            verifiers[log.identity.origin] = heads.verifiers(log.identity, log.epochs())
    found = {}
    for note in notes:
        if _NOTE.fullmatch(note.encode()) is None:
            continue
        checkpoint = parse_checkpoint(note)
        if any(_accepts(verifier, note) for verifier in verifiers.get(checkpoint.origin, ())):
            found[Signed(checkpoint.origin, checkpoint.size, checkpoint.root)] = note
    return found


def sizes_with_two_roots(signed: Iterable[Signed]) -> list[tuple[str, int]]:
    """The sizes of a log for which more than one root was signed.  Law 4: none."""
    seen = [(one.origin, one.size) for one in set(signed)]
    return sorted({place for place in seen if seen.count(place) > 1})


def _accepts(verifier: Verifier, note: str) -> bool:
    try:
        open_note(note, verifier)
    except CheckpointSignatureInvalid:
        return False
    return True
