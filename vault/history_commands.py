"""What can be asked of the past, and of the keys that fix it.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vault.answers import (
    Aftermath,
    AuditGrant,
    BlameFact,
    CouldFact,
    Explanation,
    ExposureFact,
    HistoryItem,
    ReadFact,
    ReplayStep,
    RestorePlan,
)
from vault.caller import Arrival
from vault.commands import Command
from vault.points import Point

if TYPE_CHECKING:
    # Named in quotes below: most commands of a terminal never look at what differs.
    from eventstore.disclosure import Shown  # noqa: F401
    from projections.difference import Difference  # noqa: F401


class ReadHistory(Command[list[HistoryItem]], frozen=True, kw_only=True):
    """Records of both logs, oldest first, without values.

    *start* and *stop* are microseconds (start included, stop not); *from_event* and *before_event*
    positions of `changes`, and of `access` what was answered there.  *since* and *until* are such
    positions by a point that only the vault can read: the last event of a checkpoint.  *refused* is
    any outcome but ok.  *newest* keeps the last so many of those that fit.
    """

    records: ClassVar[str] = "history.read"
    name: str = ""
    logs: tuple[str, ...] = ("changes", "access")
    start: int = 0
    stop: int | None = None
    operation: str = ""
    principal: str = ""
    outcome: str = ""
    refused: bool = False
    address: str = ""
    from_event: int | None = None
    before_event: int | None = None
    newest: int | None = None
    since: Point | None = None
    until: Point | None = None


class WhoRead(Command[list[ReadFact]], frozen=True, kw_only=True):
    """Every time a value of *name* was given out, oldest first; *since* included, *until* not."""

    records: ClassVar[str] = "history.read"
    name: str
    version: str = ""
    since: Point | None = None
    until: Point | None = None


class Exposed(Command[list[ExposureFact]], frozen=True, kw_only=True):
    """Every version that *principal* ever read, those that are still current first."""

    records: ClassVar[str] = "history.read"
    principal: str


class Blame(Command[list[BlameFact]], frozen=True, kw_only=True):
    """Which event made each attribute of a version, by default the current one, what it is."""

    records: ClassVar[str] = "history.read"
    name: str
    version: str = ""
    as_of: Point | None = None


class BlameBoundary(Command[list[BlameFact]], frozen=True, kw_only=True):
    """Which event made each part of the boundary stand."""

    records: ClassVar[str] = "history.read"
    as_of: Point | None = None


class WhoCould(Command[list[CouldFact]], frozen=True, kw_only=True):
    """Who could do what with *name*, and from where, by the policies and the boundary as they stood.

    With *permission*, only who could do that, and the administrators, who could grant it.
    """

    records: ClassVar[str] = "history.read"
    name: str
    permission: str = ""
    as_of: Point | None = None


class Explain(Command[Explanation], frozen=True, kw_only=True):
    """Whether somebody would be let in to do something, and by which rules; nothing is done.

    *permission* is one for secrets, or `storage/` and one for storage accounts.  Without an
    *arrival* the caller comes over no network.
    """

    records: ClassVar[str] = "history.read"
    principal: str
    permission: str
    name: str = ""
    address: str = ""
    application: str = ""
    arrival: Arrival | None = None
    as_of: Point | None = None


class Diff(Command["list[Difference]"], frozen=True, kw_only=True):
    """What differs between two points; of *names* only, if any."""

    records: ClassVar[str] = "history.read"
    before: Point
    after: Point
    names: tuple[str, ...] = ()


class DiffFork(Command[Aftermath], frozen=True, kw_only=True):
    """What differs since another copy of the vault parted from this one, to compare their heads.

    They have the first *common* records of `changes` in common; this one had *size* of them.
    """

    records: ClassVar[str] = "history.read"
    common: int
    size: int


class Replay(Command[list[ReplayStep]], frozen=True, kw_only=True):
    """Retell a period, each record with what it changed; *since* included, *until* not."""

    records: ClassVar[str] = "history.read"
    name: str = ""
    principal: str = ""
    since: Point | None = None
    until: Point | None = None


class PlanRestore(Command[RestorePlan], frozen=True, kw_only=True):
    """What going back to the point *to* would do.

    Deleted secrets come back, changed ones get the old value as a new version.  *attributes* also
    puts attributes, content types and tags back where the value did not change; *policies* the
    access policies and the boundary; *prune* deletes what was not there.
    """

    records: ClassVar[str] = "history.read"
    to: Point
    names: tuple[str, ...] = ()
    attributes: bool = False
    policies: bool = False
    prune: bool = False


class Restore(Command[RestorePlan], frozen=True, kw_only=True):
    """Do what *plan* says, if `changes` still has the *head* records that its plan saw."""

    records: ClassVar[str] = "vault.restored"
    plan: PlanRestore
    head: int


class ShowFields(Command["Shown"], frozen=True, kw_only=True):
    """Open chosen *fields* of the record at *position* of *log*, to be shown to an outsider.

    A field is `context.NAME` or `event.NAME`; a name alone is looked for in both; `all` is each.
    """

    records: ClassVar[str] = "history.read"
    log: str
    position: int
    fields: tuple[str, ...]


class PackageEvidence(Command[Any], frozen=True, kw_only=True):
    """Put together what shows an outsider all operations of a period, and no value.

    *since* included, *until* not.  *against* are kept checkpoints that it shall be shown to extend.
    Answered by a `vault.packaging.Packaging`, which knows the disk and so is not named here.
    """

    records: ClassVar[str] = "evidence.packaged"
    until: Point
    since: Point | None = None
    against: tuple[str, ...] = ()


class CopyVault(Command[None], frozen=True, kw_only=True):
    """Be copied, with all values, as of a point: recorded before anything is read."""

    records: ClassVar[str] = "vault.read"
    as_of: Point


class RecordVerification(Command[None], frozen=True, kw_only=True):
    """Say in `access` that the history was verified, up to so many records of each log."""

    records: ClassVar[str] = "history.verified"
    changes: int
    access: int


class GrantAudit(Command[AuditGrant], frozen=True, kw_only=True):
    """Seal the metadata of a period to an auditor's public key: for ever, and no value.

    *auditor* is the key, 32 bytes; *since* is included and *until* not, nor anything to come.
    """

    records: ClassVar[str] = "audit.granted"
    auditor: bytes
    since: Point
    until: Point
    label: str = ""


class RotateKeys(Command[list[HistoryItem]], frozen=True, kw_only=True):
    """Rotate the signing keys, the audit keys, or both, of both logs."""

    records: ClassVar[str] = "signing-key.rotated"
    signing: bool = True
    audit: bool = True
