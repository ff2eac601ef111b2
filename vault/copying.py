"""A new vault as another one stood at a point: its secrets with all their versions.

Values are sealed anew under the new vault's keys.  Versions keep their ids, dates and attributes.
Policies are not copied: a copy never lets more people in than whoever makes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from eventstore.event import Context
from eventstore.events import VaultRestored
from eventstore.record import Draft
from eventstore.transaction import Append
from projections.past import PastRows
from projections.rebuild import Progress
from projections.rows import OPEN, Boundary, Secret, boundary_key
from vault import names
from vault.backup import Blob
from vault.caller import Caller
from vault.founding import Founding, founded_by
from vault.network_rules import as_new
from vault.open_vault import OpenVault
from vault.reading import Reading, settings_of
from vault.refusals import SecretErased

_CHUNK = 500
"""How many secrets go into one commit."""


class Copied(NamedTuple):
    """What a copy brought over, and the names that a purge has closed since."""

    secrets: int
    versions: int
    lost: tuple[str, ...]


def founded_as(caller: Caller, name: str, source: OpenVault, size: int) -> Founding:
    """What a vault of *caller* begins with that is to hold what *source* held as of *size*.

    It has the settings of then, and is reached from where *source* can be reached now.
    """
    with source.changes.snapshot() as snapshot:
        rows = source.views.reader(snapshot.transaction)
        settings = settings_of(PastRows(rows, size))
        boundary = rows.get(boundary_key(), Boundary)
    kept = (settings.retention_days, settings.purge_protection)
    return founded_by(caller, name, *kept, as_new(boundary or OPEN))


def fill(
    target: OpenVault,
    source: OpenVault,
    size: int,
    context: Context,
    progress: Progress | None = None,
) -> Copied:
    """Bring the active secrets of *source*, as of *size*, into the empty vault *target*."""
    origin = source.changes.identity.log_id.hex()
    with source.changes.snapshot() as snapshot:
        reading = Reading(snapshot, source.views.reader(snapshot.transaction), size)
        active = sorted(
            (one for one in reading.rows.secrets() if one.deleted_date is None),
            key=lambda one: names.folded(one.name),
        )
        _say_copied(target, context, VaultRestored(to=size, names=len(active), origin=origin))
        lost: list[str] = []
        copied = versions = 0
        for start in range(0, len(active), _CHUNK):
            blobs = list(_blobs(reading, active[start : start + _CHUNK], origin, lost))
            _bring(target, context, blobs)
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


def _say_copied(target: OpenVault, context: Context, event: VaultRestored) -> None:
    target.changes.transact(lambda append: append.append(Draft(context, event)))


def _bring(target: OpenVault, context: Context, blobs: list[Blob]) -> None:
    """Append the secrets in *blobs*, with all their versions, in one commit."""

    def work(append: Append) -> None:
        rows = target.views.reader(append.transaction)
        writing = target.writing(append, rows, context)
        for blob in blobs:
            writing.bring(blob)

    target.changes.transact(work)
