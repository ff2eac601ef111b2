"""A vault that is open in this process: its two logs, their views, and what both are asked for.

It lets a caller in, and gives what a command is carried out with; which command is carried out how
is said by the door alone (`vault.service`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventstore.event import Context, Event
from eventstore.keyring import Keyring
from eventstore.log import Log
from eventstore.record import Draft
from eventstore.transaction import Append, Snapshot
from projections import state, trail
from projections.late import LateViews
from projections.rows import Rows, Settings
from projections.views import Views
from vault.caller import Caller
from vault.commands import Command
from vault.keeping import Keeping
from vault.looking import Looking, ReadyRules
from vault.reading import settings_of
from vault.resolving import Seen
from vault.trace import context

if TYPE_CHECKING:
    from projections.rebuild import Progress, Rebuilt
    from vault.providers import Providers
    from vault.storage import Asked
    from vault.writing import Outcome, Writing

_SECOND = 1_000_000
SIGN_EVERY = 250_000
"""Microseconds between two signatures of a vault that serves many."""


class OpenVault:
    """One vault, open in this process.  Safe for threads."""

    def __init__(
        self,
        path: Path,
        keyring: Keyring,
        *,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        providers: Providers | None = None,
    ) -> None:
        self._keyring = keyring
        self._clock = clock
        self._providers = providers
        self._entropy = entropy
        self.views = Views(keyring, entropy, state.apply)
        self.trail = LateViews(keyring, entropy, trail.apply)
        self._rules = ReadyRules()
        with ExitStack() as opened:
            self.changes = Log(
                path / "changes", keyring, clock=clock, entropy=entropy, observer=self.views
            )
            opened.callback(self.changes.close)
            self.access = Log(
                path / "access", keyring, clock=clock, entropy=entropy, observer=self.trail
            )
            opened.callback(self.access.close)
            self.changes.settle()
            self.access.settle()
            with self.changes.snapshot() as snapshot:
                self.name = settings_of(self.views.reader(snapshot.transaction)).name
            opened.pop_all()
        self.keeping = Keeping(self.changes, self.access, self.views, keyring, clock, entropy)

    def close(self) -> None:
        self.changes.close()
        self.access.close()
        self.trail.close()

    def stay(self, sign_later: Callable[[], None]) -> None:
        """Serve many for long: what need not be done with each commit is done now and then.

        *sign_later* is called, in whatever thread commits, when a head is left unsigned: then
        `sign_what_is_late` is to be called soon.
        """
        self.trail.stay()
        for log in (self.changes, self.access):
            log.sign_every(SIGN_EVERY, sign_later)

    def sign_what_is_late(self) -> None:
        """Sign the heads of both logs, if the commits that made them did not."""
        for log in (self.changes, self.access):
            log.sign_what_is_late()

    @property
    def id(self) -> str:
        """What names the vault also when it is purged: the id of its `changes`."""
        return self.changes.identity.log_id.hex()

    def store_id(self) -> bytes:
        return self._keyring.store_id

    @property
    def settings(self) -> Settings:
        """The settings as they stand."""
        with self.changes.snapshot() as snapshot:
            return settings_of(self.views.reader(snapshot.transaction))

    # -- letting in ------------------------------------------------------------------------------

    def authorize(self, caller: Caller, command: Command[Any], seen: Seen) -> str:
        """The rule that lets *caller* do *command* now.  Raise as `admit` does."""
        with self.changes.snapshot() as snapshot:
            return self.admit(snapshot, caller, command, seen)[1]

    def admit(
        self, snapshot: Snapshot, caller: Caller, command: Command[Any], seen: Seen
    ) -> tuple[Rows, str]:
        """The views of *snapshot*, and the rule that lets *caller* do *command*.

        Raise the refusal, or Overdue if the vault has something to do by itself first.
        """
        rows = self._ready(snapshot)
        return rows, self._looking(snapshot, rows).let_in(caller, command, seen)

    def looking(self, snapshot: Snapshot) -> Looking:
        """What can be read of *snapshot*.  Raise Overdue as `admit` does."""
        return self._looking(snapshot, self._ready(snapshot))

    def _looking(self, snapshot: Snapshot, rows: Rows) -> Looking:
        return Looking(snapshot, rows, self._rules, self.now())

    def now(self) -> int:
        """What the clock shows, in Unix seconds."""
        return self._clock() // _SECOND

    def _ready(self, snapshot: Snapshot) -> Rows:
        """The views of *snapshot*.  Raise Overdue if the vault has something to do by itself."""
        rows = self.views.reader(snapshot.transaction)
        self.keeping.mind(rows)
        return rows

    @contextmanager
    def keys_for(self, snapshot: Snapshot) -> Iterator[None]:
        """Fetch the keys that open *snapshot* at once, for who opens many records of it."""
        with self._keyring.at_once() as keys:
            snapshot.take_keys_from(keys)
            yield

    # -- writing ---------------------------------------------------------------------------------

    def carry_out(
        self,
        append: Append,
        caller: Caller,
        command: Command[Any],
        seen: Seen,
        asked: Asked | None = None,
        looking: Looking | None = None,
    ) -> Outcome:
        """Authorize, decide and append, inside a write transaction.  Raise the refusal.

        *asked* is what a storage account's provider said before.  *looking* is what was found to
        authorize by before in this transaction, if nothing that matters for that was changed since.
        """
        looking = looking or self.looking(append)
        rule = looking.let_in(caller, command, seen)
        writing = self.writing(append, looking.rows, context(caller, rule))
        writing.asked = asked
        return writing.carry_out(command, caller)

    def writing(self, append: Append, rows: Rows, context: Context) -> Writing:
        from vault.writing import Writing  # most commands of a terminal only read

        return Writing(append, rows, self._keyring, self._entropy, context)

    def record_read(self, caller: Caller, rule: str, event: Event) -> None:
        """Commit to `access` that *caller* was told what *event* says, by *rule*."""
        draft = Draft(context(caller, rule), event)
        self.access.transact(lambda append: append.append(draft))

    def probe(self) -> None:
        """Commit nothing to each log.  Raise LogUnavailable if an event could not be recorded."""
        for log in (self.changes, self.access):
            log.transact(lambda append: append.touch())

    def rebuild(self, progress: Progress | None = None) -> Rebuilt:
        """Make the views of `changes` anew, compare, and swap; those of `access` too."""
        from projections.rebuild import Rebuilt, rebuild

        block = self._keyring.allocate()
        trailed = rebuild(self.access, self.trail, block + 1)
        stated = rebuild(self.changes, self.views, block, progress)
        return Rebuilt(
            stated.events + trailed.events,
            stated.before + trailed.before,
            stated.after + trailed.after,
            stated.seconds + trailed.seconds,
        )
