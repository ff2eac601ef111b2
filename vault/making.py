"""A new vault on the disk: its two logs with their first records, and the views that follow them.

A vault takes one block of keys when it is made: two for each log, three for the views, and the first
secret's is the next.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from eventstore import record
from eventstore.durable import failing_disk, sync_directory
from eventstore.keyring import Keyring
from eventstore.log import Log
from eventstore.record import LOG_ID_SIZE, Draft, Kind
from eventstore.transaction import Append
from projections import state, trail
from projections.late import LateViews
from projections.views import Pointer, Views
from vault.caller import Caller
from vault.founding import Founding, maker

_CHANGES_SIGNING, _CHANGES_AUDIT, _ACCESS_SIGNING, _ACCESS_AUDIT = range(4)
_INDEX, _VIEW, _TRAIL, _FIRST = range(4, 8)
_KEYS_OF = {
    record.CHANGES.name: (_CHANGES_SIGNING, _CHANGES_AUDIT),
    record.ACCESS.name: (_ACCESS_SIGNING, _ACCESS_AUDIT),
}


class Making:
    """What makes the vaults of one store in *place*, a folder for each."""

    def __init__(
        self,
        place: Path,
        keyring: Keyring,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._place = place
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy

    def make(self, caller: Caller, founded: Founding) -> Path:
        """The folder of a new vault, which is not called made yet.  Raise LogUnavailable."""
        block = self._keyring.allocate()
        log_id = self._entropy(LOG_ID_SIZE)
        directory = self._place / log_id.hex()
        views = Views(self._keyring, self._entropy, state.apply)
        traces = LateViews(self._keyring, self._entropy, trail.apply)
        context = maker(caller)
        created = replace(founded.created, first_key=block + _FIRST)

        def work(append: Append) -> None:
            views.swap(append.transaction, Pointer(0, block + _VIEW, block + _INDEX))
            append.append(Draft(context, created))
            for event in founded.rules:
                append.append(Draft(context, event))

        with ExitStack() as made, failing_disk(directory):
            directory.mkdir(mode=0o700)
            changes = self._make_log(directory / "changes", record.CHANGES, log_id, block, views)
            made.callback(changes.close)
            access_id = self._entropy(LOG_ID_SIZE)
            access = self._make_log(directory / "access", record.ACCESS, access_id, block, traces)
            made.callback(access.close)
            changes.transact(work)
            access.transact(partial(_point, traces, Pointer(0, block + _TRAIL, block + _INDEX, 0)))
            access.publish()
            # LMDB syncs its files, but not the directories that name them.
            for place in (changes.path, access.path, directory.parent):
                sync_directory(place)
        return directory

    def _make_log(self, path: Path, kind: Kind, log_id: bytes, block: int, views: Views) -> Log:
        signing, audit = _KEYS_OF[kind.name]
        return Log.create(
            path,
            kind,
            self._keyring,
            log_id=log_id,
            signing_key=block + signing,
            audit_key=block + audit,
            clock=self._clock,
            entropy=self._entropy,
            observer=views,
        )


def _point(views: Views, pointer: Pointer, append: Append) -> None:
    views.swap(append.transaction, pointer)
    append.touch()
