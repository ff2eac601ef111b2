"""What happened in a period, counted record by record.  Pure.

Every record counts once, in one of four kinds, so that the kinds add up to the records that the
bundle proves.  Times are counted by the hour; memory grows with hours, principals and names and not
with records.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import msgspec

from eventstore.record import Entry
from vault.evidence import Period

READ, CHANGE, OTHER, REFUSED = KINDS = ("read", "change", "other", "refused")
"""A value was given out; something was changed; all other questions; what was refused."""

LABELS = {
    READ: "values given out",
    CHANGE: "changes",
    OTHER: "other questions",
    REFUSED: "refused",
}

HOUR = 3_600_000_000
MOST_MARKS = 500

_GIVEN = {"secret.read", "sas-token.issued"}
_MARKED = {
    "secret.purged": "purge",
    "storage-account.purged": "purge",
    "sas-definition.purged": "purge",
    "vault.purged": "purge",
    "keys.erased": "erasure receipt",
    "signing-key.rotated": "key rotation",
    "audit-key.rotated": "key rotation",
    "root-key.rotated": "key rotation",
    "storage-key.regenerated": "key rotation",
    "storage-key.regeneration-failed": "key rotation",
    "policy.set": "rule",
    "policy.deleted": "rule",
    "boundary.set": "rule",
    "vault.created": "rule",
    "vault.updated": "rule",
    "vault.deleted": "rule",
    "vault.recovered": "rule",
    "identity.changed": "rule",
    "audit.granted": "evidence",
    "evidence.packaged": "evidence",
    "vault.restored": "restore",
    "store.adopted": "restore",
    "clock.stepped-back": "clock",
}


class Mark(NamedTuple):
    """A record that is worth a line of its own."""

    time: int
    log: str
    position: int
    what: str
    operation: str
    principal: str
    details: str


class Tally:
    """The counts of one period."""

    def __init__(self, period: Period) -> None:
        self.vault = ""
        self.kinds: Counter[str] = Counter()
        self.operations: Counter[tuple[str, str]] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.people: dict[str, Counter[str]] = {}
        self.names: Counter[str] = Counter()
        self.hours: dict[int, Counter[str]] = {}
        self.marks: list[Mark] = []
        self.marked: Counter[str] = Counter()
        self.rules: list[Mark] = []
        self._period = period

    def add(self, log: str, entry: Entry[Any]) -> None:
        """Count a record of the period."""
        event, context = entry.event, entry.context
        tag: str = event.__struct_config__.tag
        kind = _kind(log, tag, context.outcome)
        self.kinds[kind] += 1
        self.operations[log, tag] += 1
        self.people.setdefault(context.principal, Counter())[kind] += 1
        self.hours.setdefault(entry.time // HOUR, Counter())[kind] += 1
        if kind == READ:
            self.names[event.name] += 1
        elif kind == REFUSED:
            self.outcomes[context.outcome] += 1
        if tag in _MARKED:
            self._mark(log, entry, tag)

    def _mark(self, log: str, entry: Entry[Any], tag: str) -> None:
        self._name(entry, tag)
        self.marked[_MARKED[tag]] += 1
        if len(self.marks) < MOST_MARKS:
            self.marks.append(_marked(log, entry, tag))

    def _name(self, entry: Entry[Any], tag: str) -> None:
        if tag == "vault.created":
            self.vault = entry.event.name

    def add_rule(self, entry: Entry[Any]) -> None:
        """Note a rule that was in force when the period began."""
        tag: str = entry.event.__struct_config__.tag
        self._name(entry, tag)
        self.rules.append(_marked("changes", entry, tag))


def _kind(log: str, tag: str, outcome: str) -> str:
    if tag == "request.refused" or outcome != "ok":
        return REFUSED
    if tag in _GIVEN:
        return READ
    return CHANGE if log == "changes" else OTHER


def _marked(log: str, entry: Entry[Any], tag: str) -> Mark:
    fields = msgspec.to_builtins(entry.event)
    del fields["type"]
    details = ", ".join(f"{key} {_short(value)}" for key, value in fields.items())
    what, who = _MARKED.get(tag, "rule"), entry.context.principal
    return Mark(entry.time, log, entry.position, what, tag, who, details)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else text[:200] + "..."
