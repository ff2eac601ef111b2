"""The api-versions of Key Vault's data plane, and what each of them shows.  Pure.

One table, and no code of its own for any version.  `api-version` is mandatory: "there is no default"
(Key Vault REST reference).  2015-06-01 had no deleted secrets and is not here.
"""

from __future__ import annotations

from typing import NamedTuple

from server.refusals import ApiVersionMissing, ApiVersionUnknown


class Shows(NamedTuple):
    """What the answers of a version hold beside what all of them hold."""

    recoverable_days: bool
    """`recoverableDays` in attributes, from 7.1 on: recorded traffic of 7.0 lacks it."""
    storage: bool
    """Managed storage accounts, up to 7.3: Azure's clients for later versions have no such paths."""


VERSIONS: dict[str, Shows] = {
    "2016-10-01": Shows(recoverable_days=False, storage=True),
    "7.0": Shows(recoverable_days=False, storage=True),
    "7.1": Shows(recoverable_days=True, storage=True),
    "7.2": Shows(recoverable_days=True, storage=True),
    "7.3": Shows(recoverable_days=True, storage=True),
    "7.4": Shows(recoverable_days=True, storage=False),
    "7.5": Shows(recoverable_days=True, storage=False),
    "7.6": Shows(recoverable_days=True, storage=False),
    "2025-07-01": Shows(recoverable_days=True, storage=False),
    "2026-04-01": Shows(recoverable_days=True, storage=False),
}
STORAGE_VERSIONS = [version for version, shows in VERSIONS.items() if shows.storage]
NEWEST = "2026-04-01"


def shows(version: str, *, storage: bool = False) -> Shows:
    """What *version* shows.  Raise ApiVersionMissing or ApiVersionUnknown.

    For an operation on *storage* a version that has none is as unknown as one that is not there.
    """
    if not version:
        raise ApiVersionMissing("api-version must be specified")
    found = VERSIONS.get(version)
    if found is None or (storage and not found.storage):
        newest = STORAGE_VERSIONS[-1] if storage else NEWEST
        raise ApiVersionUnknown(
            f"The specified version ({version[:40]}) is not recognized. "
            f"Consider using the latest supported version ({newest})."
        )
    return found
