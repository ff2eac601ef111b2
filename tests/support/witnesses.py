"""Logs to submit, without a disk, and witnesses to submit them to."""

from __future__ import annotations

from pathlib import Path

from eventstore import merkle
from eventstore.checkpoint import Signer, sign_checkpoint
from eventstore.proof import Consistency
from eventstore.witness import Witness

NOW = 1_790_000_000


class Grown:
    """A log whose leaves are named: two of the same names are the same up to there."""

    def __init__(self, *branches: tuple[str, int], key: int = 1, origin: str = "") -> None:
        self.signer = Signer(origin or "muniment/00/changes", bytes([key]) * 32)
        self._leaves = [
            merkle.leaf_hash(f"{name} {at}".encode())
            for name, length in branches
            for at in range(length)
        ]

    def root(self, size: int) -> bytes:
        return merkle.root_of(self._leaves[:size])

    def note(self, size: int) -> str:
        return sign_checkpoint(size, self.root(size), self.signer)

    def proof(self, old: int, new: int) -> list[bytes]:
        return merkle.consistency_proof(
            old, new, lambda start, stop: merkle.root_of(self._leaves[start:stop])
        )

    def submission(self, old: int, new: int, path: list[bytes] | None = None) -> bytes:
        steps = self.proof(old, new) if path is None else path
        return str(Consistency(old, steps, self.note(new))).encode()


def witness_in(directory: Path, *trusted: Grown, name: str = "witness.example/w1") -> Witness:
    made = Witness.create(directory, name, lambda size: bytes(range(size)))
    for log in trusted:
        made.trust(log.signer.verifier)
    return made


def now() -> int:
    return NOW
