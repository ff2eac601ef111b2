"""What other processes and threads do to a keyring in tests.

It stands in a module of its own because a spawned process imports it by name.
"""

from __future__ import annotations

import random
import resource
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from eventstore.errors import KeyErased, MunimentError
from eventstore.keyring import Keyring
from eventstore.rootkey import FileRootKey


def full_disk(place: Path, key: Path, pipe: Connection) -> None:
    with Keyring.open(place, FileRootKey(key)) as ring:
        size = (place / "data.mdb").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        codes = []
        for act in (lambda: ring.allocate(500), lambda: ring.destroy(range(0, 640, 64))):
            try:
                act()
            except MunimentError as error:
                codes.append(error.code)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        pipe.send((codes, ring.allocate(), ring.destroy([3]).destroyed))


def destroy_and_read(
    ring: Keyring, keys: dict[int, bytes | None], mine: range, gone: Sequence[int], seed: int
) -> None:
    """Destroy *mine*, and between them read; *gone* is set once a destroy was answered."""
    draw = random.Random(seed)
    for number in mine:
        ring.destroy([number])
        gone[number] = True  # type: ignore[index]
        for other in draw.sample(range(640), 60):
            was_gone = gone[other]
            try:
                assert ring.key(other) == keys[other]
                assert not was_gone
            except KeyErased:
                assert other < 120


def destroy_and_read_elsewhere(
    place: Path, key: Path, mine: range, gone: Sequence[int], start: Barrier
) -> None:
    with Keyring.open(place, FileRootKey(key)) as ring:
        keys: dict[int, bytes | None] = {number: ring.key(number) for number in range(640)}
        start.wait(60)
        destroy_and_read(ring, keys, mine, gone, mine.start)
