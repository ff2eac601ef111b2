"""A new vault as another one stood at a point: its secrets with all their versions.

Values are sealed anew under the new vault's keys.  Versions keep their ids, dates and attributes.
Policies are not copied: a copy never lets more people in than whoever makes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from eventstore.event import Context
from projections.rebuild import Progress
from projections.rows import Secret
from vault import names
from vault.backup import Blob
from vault.reading import Reading
from vault.refusals import SecretErased
from vault.service import Vault

_CHUNK = 500
"""How many secrets go into one commit."""


class Copied(NamedTuple):
    """What a copy brought over, and the names that a purge has closed since."""

    secrets: int
    versions: int
    lost: tuple[str, ...]


def fill(
    target: Vault, source: Vault, size: int, context: Context, progress: Progress | None = None
) -> Copied:
    """Bring the active secrets of *source*, as of *size*, into the empty vault *target*."""
    origin = source.changes.identity.log_id.hex()
    with source.changes.snapshot() as snapshot:
        reading = Reading(snapshot, source.views.reader(snapshot.transaction), size)
        active = sorted(
            (one for one in reading.rows.secrets() if one.deleted_date is None),
            key=lambda one: names.folded(one.name),
        )
        target.begin_copy(context, size, len(active), origin)
        lost: list[str] = []
        copied = versions = 0
        for start in range(0, len(active), _CHUNK):
            blobs = list(_blobs(reading, active[start : start + _CHUNK], origin, lost))
            target.bring(context, blobs)
            copied += len(blobs)
            versions += sum(len(blob.versions) for blob in blobs)
            if progress is not None:
                progress(min(start + _CHUNK, len(active)), len(active))
    return Copied(copied, versions, tuple(lost))


def _blobs(reading: Reading, secrets: list[Secret], origin: str, lost: list[str]) -> Iterator[Blob]:
    for secret in secrets:
        versions = sorted(reading.versions(secret.name), key=lambda one: one.value_at)
        try:
            brought = tuple(reading.backed_up(secret, version) for version in versions)
        except SecretErased:
            lost.append(secret.name)
            continue
        yield Blob(secret.name, brought, origin, None)
