"""Who may see what of one snapshot: many requests of one caller are judged once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from eventstore.record import Draft
from eventstore.transaction import Snapshot
from projections.rows import Boundary, Rows, boundary_key
from vault import names
from vault.access import authorize, of_data_plane
from vault.caller import Caller
from vault.commands import Command, Malformed, kind_of
from vault.lifecycle import check_alive
from vault.reading import Reading, settings_of
from vault.resolving import Seen, resolved
from vault.trace import context

if TYPE_CHECKING:
    from vault.boundary import Rules


class ReadyRules:
    """A boundary made ready to judge by: once for each change of it, and not for each request."""

    def __init__(self) -> None:
        self._known: tuple[Boundary, Rules] | None = None

    def of(self, boundary: Boundary) -> Rules:
        from vault.boundary import Rules  # a terminal comes over no network

        known = self._known
        if known is None or (known[0] is not boundary and known[0] != boundary):
            known = self._known = (boundary, Rules(boundary))
        return known[1]


class Looking:
    """One snapshot of `changes`, at *now* in Unix seconds.

    What a caller is judged by (settings, policies, boundary) must not change meanwhile; for `look`,
    no row must.
    """

    def __init__(self, snapshot: Snapshot, rows: Rows, rules: ReadyRules, now: int) -> None:
        self._snapshot = snapshot
        self.rows = rows
        self._rules = rules
        self.now = now
        self._let_in: dict[Hashable, str] = {}
        self._reading: Reading | None = None

    def let_in(self, caller: Caller, command: Command[Any], seen: Seen) -> str:
        """The rule that lets *caller* do *command*.  Raise the refusal.

        What a point in *command* is, is found here, after that: who is not let in learns nothing
        of it.
        """
        seen.size = self._snapshot.size
        names.check_told(caller.agent, caller.request)
        rule = self.rule(caller, command)
        seen.points = resolved(self._snapshot, command)
        return rule

    def rule(self, caller: Caller, command: Command[Any]) -> str:
        """The same, with no regard to points, nor to what differs from request to request."""
        # All that a rule looks at: not the request's id, the agent, or what the command is about.
        asked = (kind_of(command), caller.principal, caller.auth, caller.application)
        asked_from = (*asked, caller.address, caller.arrival, caller.store_administrator)
        known = self._let_in.get(asked_from)
        if known is None:
            known = self._let_in[asked_from] = self._judge(caller, command)
        return known

    def _judge(self, caller: Caller, command: Command[Any]) -> str:
        names.check_caller(caller)
        settings = settings_of(self.rows)
        check_alive(settings, command)
        admitted = self._pass_boundary(caller, command)
        rule = authorize(self.rows, settings, caller, command)
        return f"{rule}, {admitted}" if admitted else rule

    def _pass_boundary(self, caller: Caller, command: Command[Any]) -> str:
        """The rule that lets *caller* through the boundary, if one had to.  Raise the refusal."""
        if caller.arrival is None or not of_data_plane(command):
            return ""
        boundary = self.rows.get(boundary_key(), Boundary)
        return "" if boundary is None else self._rules.of(boundary).admit(caller).rule

    def look(self, caller: Caller, command: Command[Any], seen: Seen) -> tuple[Any, Draft]:
        """The answer to a read, and what must be committed before it is given.

        Raise the refusal; for what is malformed, its problem.
        """
        rule = self.let_in(caller, command, seen)
        if isinstance(command, Malformed):
            raise command.problem
        answered = self._as_of(seen.as_of_size).answer(command)
        return answered.answer, Draft(context(caller, rule), answered.event)

    def _as_of(self, size: int | None) -> Reading:
        if size is not None:
            return Reading(self._snapshot, self.rows, size, self.now)
        if self._reading is None:
            self._reading = Reading(self._snapshot, self.rows, None, self.now)
        return self._reading
