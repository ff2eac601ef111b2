"""A copy of a vault's two logs, in whatever form somebody was given it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventstore.auditing import Copy
    from eventstore.verify import Evidence


def copy_at(place: Path, vault_id: str) -> Copy:
    """What opens the logs of the vault with that id in *place*.

    A folder with `changes.log` and `access.log` (`muniment export records`), a vault's folder, or a
    store.  Raise LogNotFound when a log is opened that is not there.
    """

    def opened(kind: str) -> AbstractContextManager[Evidence]:
        from eventstore.errors import LogNotFound
        from eventstore.log_directory import evidence_in
        from eventstore.log_file import SUFFIX, evidence_of
        from eventstore.pages import DATA_FILE

        file = place / f"{kind}{SUFFIX}"
        if file.is_file():
            return evidence_of(file)
        for directory in (place / kind, place / "vaults" / vault_id / kind):
            if (directory / DATA_FILE).is_file():
                return evidence_in(directory)
        raise LogNotFound(f"there is no copy of {kind} in {place}")

    return opened
