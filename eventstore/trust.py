"""Whose word on time is believed, and what a log's anchors say by it.

The trust policy says which witnesses count, a file of root certificates which time-stamping
authorities do.  Both come from whoever verifies, never from the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from eventstore.anchors import Anchor, kept_at, sizes
from eventstore.bracket import Brackets, Seen
from eventstore.checkpoint import parse_checkpoint
from eventstore.errors import CheckpointMalformed, MunimentError
from eventstore.quorum import TrustPolicy, TrustPolicyInvalid, parse_policy

if TYPE_CHECKING:
    from eventstore.timestamps import Authorities


class EvidenceExtraMissing(MunimentError):
    """A package of the extra `evidence` is not installed."""

    code = "evidence.extra-missing"
    hint = "pip install 'muniment[evidence]', with the same version"


class Anchored(NamedTuple):
    """The newest checkpoint that somebody who is believed vouches for, and the first who did."""

    size: int
    seen: Seen


class Trust(NamedTuple):
    """A policy, authorities, or both."""

    policy: TrustPolicy | None
    authorities: Authorities | None

    @property
    def is_empty(self) -> bool:
        return self.policy is None and self.authorities is None

    def seen(self, anchor: Anchor) -> list[Seen]:
        """What is believed of *anchor*; what is not valid counts for nothing."""
        said = self.policy.seen(anchor.note) if self.policy is not None else []
        return said + self._stamped(anchor)

    def _stamped(self, anchor: Anchor) -> list[Seen]:
        if self.authorities is None or not anchor.timestamps:
            return []
        from eventstore.timestamps import TimestampInvalid

        text, found = parse_checkpoint(anchor.note).text, []
        for answer in anchor.timestamps:
            try:
                stamp = self.authorities.check(answer, text)
            except TimestampInvalid:
                continue
            found.append(Seen(anchor.size, stamp.time, stamp.source, False))
        return found

    def anchors(self, anchor: Anchor) -> bool:
        """Whether *anchor* has all that is asked: the quorum, and somebody who says when."""
        policy, note = self.policy, anchor.note
        if policy is not None and not (policy.knows(note) and policy.is_met(policy.cosigned(note))):
            return False
        return bool(self.seen(anchor))

    def newest(self, directory: Path) -> Anchored | None:
        """How far the log in *directory* is anchored.  A note that cannot be read anchors nothing."""
        for size in reversed(sizes(directory)):
            try:
                anchor = kept_at(directory, size)
            except CheckpointMalformed:
                continue
            if self.anchors(anchor):
                return Anchored(size, min(self.seen(anchor), key=lambda one: one.time))
        return None

    def brackets(self, anchors: Iterable[Anchor]) -> Brackets:
        return Brackets(one for anchor in anchors for one in self.seen(anchor))


def trust_in(policy: Path | None, roots: Path | None) -> Trust:
    """The trust that two files say.

    Raise TrustPolicyInvalid, RootsInvalid or EvidenceExtraMissing.
    """
    return Trust(
        None if policy is None else _policy(policy), None if roots is None else _authorities(roots)
    )


def _policy(file: Path) -> TrustPolicy:
    try:
        return parse_policy(file.read_bytes())
    except OSError as problem:
        raise TrustPolicyInvalid(f"{file}: {problem.strerror}") from None
    except TrustPolicyInvalid as problem:
        raise TrustPolicyInvalid(f"{file}: {problem.message}") from None


def _authorities(file: Path) -> Authorities:
    try:
        from eventstore.timestamps import Authorities
    except ModuleNotFoundError as missing:
        raise EvidenceExtraMissing(f"not installed: {missing.name}") from None
    return Authorities.of(file)
