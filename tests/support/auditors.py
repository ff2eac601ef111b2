"""An auditor in a test: a key pair, a copy of both logs, and all that a grant opens of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cli.copies import copy_at
from eventstore import auditor, grant
from eventstore.auditing import Checked, Copy, check, entries
from eventstore.record import Entry
from support.vaults import ALICE
from vault.answers import AuditGrant
from vault.caller import Caller
from vault.history_commands import GrantAudit
from vault.points import AtTime, Now, Point
from vault.service import Vault

KINDS = ("changes", "access")


class Auditor(NamedTuple):
    """A key pair."""

    private: bytes

    @property
    def public(self) -> bytes:
        return auditor.public_of(self.private)


CAROL = Auditor(b"carol's private key, 32 bytes..!")
DAVE = Auditor(b"dave's private key, 32 bytes...!")


def granted(
    vault: Vault,
    since: int | Point,
    until: int | Point | None = None,
    *,
    to: Auditor = CAROL,
    by: Caller = ALICE,
    label: str = "",
) -> AuditGrant:
    """What *by* grants: times are microseconds; no *until* is now."""
    bounds = [
        AtTime(bound) if isinstance(bound, int) else bound
        for bound in (since, Now() if until is None else until)
    ]
    asked = GrantAudit(auditor=to.public, since=bounds[0], until=bounds[1], label=label)
    return vault.handle(by, asked)


def copied(vault: Vault, place: Path) -> Copy:
    """A copy of both logs as they are now."""
    place.mkdir(parents=True)
    for kind in KINDS:
        getattr(vault, kind).copy(place / kind)
    return copy_at(place, "")


def keys_of(vault: Vault) -> dict[str, str]:
    """The verifier key of each log that somebody noted when the vault was new."""
    return {kind: getattr(vault, kind).epochs().signing[0].verifier for kind in KINDS}


def checked(
    copy: Copy,
    opened: grant.Grant,
    trusted: dict[str, str],
    kept: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Checked]:
    return {
        kind: check(copy, opened, kind, trusted[kind], kept=(kept or {}).get(kind, ()))
        for kind in KINDS
    }


def read(
    copy: Copy,
    file: bytes,
    trusted: dict[str, str],
    kept: Mapping[str, Sequence[str]] | None = None,
    who: Auditor = CAROL,
) -> dict[str, list[Entry[Any]]]:
    """All that the grant in *file* opens to its auditor, by log."""
    opened = grant.open_with(who.private, file)
    found = checked(copy, opened, trusted, kept)
    return {kind: list(entries(copy, opened, kind, found[kind])) for kind in KINDS}


def positions(told: dict[str, list[Entry[Any]]]) -> dict[str, list[int]]:
    return {kind: [entry.position for entry in told[kind]] for kind in KINDS}
