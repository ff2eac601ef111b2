"""Whose word on a checkpoint is enough: a trust policy as a file.  Pure.

The file names the logs that are meant, the witnesses that are believed, groups of them, and the
quorum: the witness or the group that must have cosigned.  Whoever verifies brings it along; one that
came with the evidence would let the evidence choose its own judges.

Source: C2SP tlog-policy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eventstore.bracket import Seen
from eventstore.checkpoint import Verifier, open_note, parse_checkpoint, parse_verifier
from eventstore.cosignature import Cosigner, parse_cosigner
from eventstore.errors import (
    CheckpointMalformed,
    CheckpointSignatureInvalid,
    MunimentError,
)

NONE = "none"
MOST_LINES = 1_000

_BETWEEN = re.compile(r"[ \t]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class TrustPolicyInvalid(MunimentError):
    """The file is not a trust policy (C2SP tlog-policy)."""

    code = "trust-policy.invalid"
    hint = "lines are: log VKEY [URL], witness NAME VKEY [URL], group NAME K NAME..., quorum NAME"


class Witness(NamedTuple):
    """A witness of the policy.  *name* means something in this file only."""

    name: str
    key: Cosigner
    url: str


class Group(NamedTuple):
    """Of these *members*, witnesses or groups, so many must have cosigned."""

    least: int
    members: tuple[str, ...]


class TrustPolicy(NamedTuple):
    """A policy as it was read.  Without *logs* any log is meant."""

    logs: tuple[Verifier, ...]
    witnesses: tuple[Witness, ...]
    groups: Mapping[str, Group]
    quorum: str

    def cosigned(self, note: str) -> dict[str, int]:
        """The witnesses that cosigned *note*, by name, and when, in seconds."""
        found = {one.name: one.key.time_in(note) for one in self.witnesses}
        return {name: seconds for name, seconds in found.items() if seconds is not None}

    def is_met(self, by: Mapping[str, int]) -> bool:
        """Whether the witnesses in *by* are a quorum."""
        return self.quorum == NONE or self._has(self.quorum, by)

    def _has(self, name: str, by: Mapping[str, int]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in by
        return sum(self._has(member, by) for member in group.members) >= group.least

    def knows(self, note: str) -> bool:
        """Whether a log of the policy signed *note*."""
        return not self.logs or any(_signed(note, log) for log in self.logs)

    def seen(self, note: str) -> list[Seen]:
        """What the witnesses say of *note*, if a quorum says when: else nothing is believed.

        Each bound is one that a quorum vouches for, so that fewer can move neither: all of them had
        signed by the later one, and none before the earlier one.
        """
        size, by = parse_checkpoint(note).size, self.cosigned(note)
        # A cosignature without a time (0x06 may have none) says nothing of when.
        times = sorted((at, name) for name, at in by.items() if at)
        first = self._quorum_of(times)
        if not (self.knows(note) and first):
            return []
        last = self._quorum_of(times[::-1])
        until, since = first[-1][0] * 1_000_000, last[-1][0] * 1_000_000
        who = ", ".join(name for _, name in first)
        return [Seen(size, until, who, True, None if since == until else since)]

    def _quorum_of(self, times: Sequence[tuple[int, str]]) -> Sequence[tuple[int, str]]:
        """As many of *times*, from the first on, as make a quorum; none if they do not."""
        for count in range(1, len(times) + 1):
            if self.is_met({name: at for at, name in times[:count]}):
                return times[:count]
        return ()


def _signed(note: str, log: Verifier) -> bool:
    try:
        open_note(note, log)
    except CheckpointSignatureInvalid:
        return False
    return parse_checkpoint(note).origin == log.name


def parse_policy(raw: bytes) -> TrustPolicy:
    """Read a policy.  Raise TrustPolicyInvalid."""
    text = raw.decode("utf-8", "surrogateescape")
    if _FORBIDDEN.search(text) or text.count("\n") > MOST_LINES:
        raise TrustPolicyInvalid("the policy has control characters, or too many lines")
    reading = _Reading()
    for number, line in enumerate(text.split("\n"), 1):
        words = [word for word in _BETWEEN.split(line) if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            reading.take(words)
        except (TrustPolicyInvalid, CheckpointMalformed) as problem:
            raise TrustPolicyInvalid(f"line {number}: {problem.message}") from None
    return reading.done()


class _Reading:
    """The lines that were read so far; each names only what stands above it."""

    def __init__(self) -> None:
        self._logs: list[Verifier] = []
        self._witnesses: list[Witness] = []
        self._groups: dict[str, Group] = {}
        self._free: set[str] = set()
        self._names: set[str] = {NONE}
        self._quorum: str | None = None

    def take(self, words: Sequence[str]) -> None:
        match words:
            case ["log", key, *url] if len(url) < 2:
                self._log(parse_verifier(key))
            case ["witness", name, key, *url] if len(url) < 2:
                self._witness(Witness(name, parse_cosigner(key), url[0] if url else ""))
            case ["group", name, least, _, *_]:
                self._group(name, least, words[3:])
            case ["quorum", name]:
                self._choose(name)
            case _:
                raise TrustPolicyInvalid("this is none of log, witness, group and quorum")

    def done(self) -> TrustPolicy:
        if self._quorum is None:
            raise TrustPolicyInvalid("there is no quorum line")
        return TrustPolicy(tuple(self._logs), tuple(self._witnesses), self._groups, self._quorum)

    def _log(self, key: Verifier) -> None:
        if any(one.public == key.public for one in self._logs):
            raise TrustPolicyInvalid("this log's key stands here twice")
        self._logs.append(key)

    def _witness(self, witness: Witness) -> None:
        if any(one.key.public == witness.key.public for one in self._witnesses):
            raise TrustPolicyInvalid("this witness's key stands here twice")
        self._name(witness.name)
        self._witnesses.append(witness)

    def _group(self, name: str, least: str, members: Sequence[str]) -> None:
        count = {"any": "1", "all": str(len(members))}.get(least, least)
        if not re.fullmatch(r"[1-9][0-9]{0,3}", count) or int(count) > len(members):
            raise TrustPolicyInvalid(f"a group of {len(members)} cannot ask for {least} of them")
        for member in members:
            if member not in self._free:
                raise TrustPolicyInvalid(f"{member} is not defined above, or is a member already")
            # In one group at most, so that no witness counts twice.
            self._free.remove(member)
        self._name(name)
        self._groups[name] = Group(int(count), tuple(members))

    def _choose(self, name: str) -> None:
        if self._quorum is not None:
            raise TrustPolicyInvalid("there are two quorum lines")
        if name not in self._names:
            raise TrustPolicyInvalid(f"{name} is not defined above")
        self._quorum = name

    def _name(self, name: str) -> None:
        if name in self._names:
            raise TrustPolicyInvalid(f"the name {name} is taken")
        self._names.add(name)
        self._free.add(name)
