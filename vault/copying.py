"""A new vault as another one stood at a point: its secrets with all their versions.

Values are sealed anew under the new vault's keys.  Versions keep their ids, dates and attributes.
Policies are not copied: a copy never lets more people in than whoever makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from eventstore.errors import KeyErased
from eventstore.events import Context, SecretContent
from eventstore.transaction import Snapshot
from projections.past import PastRows
from projections.rows import Rows, Secret, Table, Version, secret_key
from vault import names
from vault.backup import BackedUpVersion, Blob
from vault.service import Vault

Progress = Callable[[int, int], None]

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
        rows = PastRows(source.views.reader(snapshot.transaction), size)
        active = sorted(
            (one for one in rows.secrets() if one.deleted_date is None),
            key=lambda one: names.folded(one.name),
        )
        target.begin_copy(context, size, len(active), origin)
        lost: list[str] = []
        copied = versions = 0
        for start in range(0, len(active), _CHUNK):
            blobs = list(_blobs(snapshot, rows, active[start : start + _CHUNK], origin, lost))
            target.bring(context, blobs)
            copied += len(blobs)
            versions += sum(len(blob.versions) for blob in blobs)
            if progress is not None:
                progress(min(start + _CHUNK, len(active)), len(active))
    return Copied(copied, versions, tuple(lost))


def _blobs(
    snapshot: Snapshot, rows: Rows, secrets: list[Secret], origin: str, lost: list[str]
) -> Iterator[Blob]:
    for secret in secrets:
        found = rows.scan(Table.VERSIONS, Version, secret_key(secret.name).owner)
        versions = sorted((version for _, version in found), key=lambda one: one.value_at)
        try:
            brought = tuple(_version(snapshot, secret, version) for version in versions)
        except KeyErased:
            lost.append(secret.name)
            continue
        yield Blob(secret.name, brought, origin, None)


def _version(snapshot: Snapshot, secret: Secret, version: Version) -> BackedUpVersion:
    content = snapshot.content(version.value_at, secret.key)
    shown: SecretContent = content
    if version.content_at != version.value_at:
        shown = snapshot.content(version.content_at, secret.key)
    return BackedUpVersion(
        version=version.version,
        created=version.created,
        updated=version.updated,
        value=content.value or "",
        enabled=version.enabled,
        nbf=version.nbf,
        exp=version.exp,
        content_type=shown.content_type,
        tags=shown.tags,
    )
