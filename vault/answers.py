"""What a vault answers.  Plain facts; each edge gives them its own form.  Pure.

Dates are Unix seconds, as Key Vault's IntDate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import msgspec

from eventstore.rule_events import SubnetRule, TrustedService, VirtualNetwork
from vault.points import Resolutions

if TYPE_CHECKING:
    # Most commands of a terminal never look at what differs.
    from projections.difference import Difference
    from projections.forks import Touched

A = TypeVar("A")


class Response(NamedTuple, Generic[A]):
    """An answer, and what the points in the command are."""

    answer: A
    points: Resolutions


class Attributes(msgspec.Struct, frozen=True, kw_only=True):
    """A version's attributes, as Key Vault shows them.  What is made anew has no dates of its own."""

    enabled: bool
    nbf: int | None
    exp: int | None
    created: int | None
    updated: int | None
    recovery_level: str
    recoverable_days: int


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """When a secret was deleted, and when it will be gone."""

    deleted_date: int
    scheduled_purge_date: int


class SecretBundle(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a secret.  Only `GetSecret` and `SetSecret` give a *value*.

    *erased* says that a purge since the point that was asked for closed content type and tags, and
    *erased_by* is its position, if the log has it.  A *managed* one is a token of a SAS definition: it
    has no version.
    """

    name: str
    version: str
    attributes: Attributes
    content_type: str | None = None
    tags: dict[str, str] | None = None
    value: str | None = None
    deletion: Deletion | None = None
    erased: bool = False
    erased_by: int | None = None
    managed: bool = False

    def __repr__(self) -> str:
        return f"SecretBundle(name={self.name!r}, version={self.version!r})"


class StorageAccountBundle(msgspec.Struct, frozen=True, kw_only=True):
    """A managed storage account.  No answer holds a key.

    *regeneration_period* is in seconds, *next_rotation* in Unix seconds.  *regenerating* names the
    key that the provider was asked for, where it is not known yet what it did.  *erased* and
    *erased_by*: as in `SecretBundle`, of the tags.
    """

    name: str
    resource_id: str
    active_key_name: str
    auto_regenerate_key: bool
    regeneration_period: int | None
    attributes: Attributes
    tags: dict[str, str] | None = None
    deletion: Deletion | None = None
    next_rotation: int | None = None
    regenerating: str = ""
    erased: bool = False
    erased_by: int | None = None

    def __repr__(self) -> str:
        return f"StorageAccountBundle(name={self.name!r})"


class SasBundle(msgspec.Struct, frozen=True, kw_only=True):
    """A SAS definition.  Its tokens are read as the secret *secret_name*.

    *validity_period* is in seconds; *template* is None where a purge has closed it, and *erased* and
    *erased_by* say so.
    """

    account: str
    name: str
    secret_name: str
    sas_type: str
    template: str | None
    validity_period: int
    attributes: Attributes
    tags: dict[str, str] | None = None
    deletion: Deletion | None = None
    erased: bool = False
    erased_by: int | None = None

    def __repr__(self) -> str:
        return f"SasBundle(account={self.account!r}, name={self.name!r})"


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an account that was due: *outcome* is `ok`, or the code of a failure."""

    name: str
    key_name: str
    outcome: str


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """A purge and its erasure receipt.  Positions are of `changes`."""

    name: str
    position: int
    receipt: int
    provider: str
    assurance: str
    open_backups: tuple[int, ...]


class PurgedVault(msgspec.Struct, frozen=True, kw_only=True):
    """The purge of a vault and its erasure receipt.  *keys* is how many were destroyed, used or not.

    *id* names the vault from then on: its records stay, and its name is free.
    """

    name: str
    id: str
    position: int
    receipt: int
    provider: str
    assurance: str
    keys: int
    open_backups: tuple[int, ...]


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """An encrypted blob with all versions of one secret; how many, only its vault knows.

    Of a storage account, *versions* counts the definitions in it.
    """

    name: str
    versions: int | None
    blob: bytes

    def __repr__(self) -> str:
        return f"Backup(name={self.name!r}, versions={self.versions})"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What one principal may do; *position* is the event that says so.

    With an *application_id*, only through that client.
    """

    object_id: str
    secrets: tuple[str, ...]
    storage: tuple[str, ...]
    position: int
    application_id: str = ""


class Boundary(msgspec.Struct, frozen=True, kw_only=True):
    """From where the vault's secrets can be reached; *position* is the event that says so."""

    default_action: str
    bypass: str
    ip_rules: tuple[str, ...]
    subnet_rules: tuple[SubnetRule, ...]
    public_network_access: bool
    allow_private_ranges: bool
    networks: tuple[VirtualNetwork, ...]
    trusted_services: tuple[TrustedService, ...]
    position: int


class VaultFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A vault's settings and its two logs.

    As of a point of the past, *access* counts what was recorded there no later than the last change,
    and no checkpoint is made.
    """

    name: str
    created: int
    retention_days: int
    purge_protection: bool
    administrators: tuple[str, ...]
    changes: int
    access: int
    verifiers: dict[str, str]
    checkpoints: dict[str, str]
    resource_group: str = ""
    location: str = ""
    sku: str = "standard"
    vault_tags: dict[str, str] = {}
    enabled_for: tuple[str, ...] = ()
    deleted_date: int | None = None
    scheduled_purge: int | None = None


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A vault as a resource provider shows it: how it is set up, and nothing of its logs."""

    name: str
    created: int
    retention_days: int
    purge_protection: bool
    resource_group: str
    location: str
    sku: str
    vault_tags: dict[str, str]
    enabled_for: tuple[str, ...]
    policies: tuple[Policy, ...]
    boundary: Boundary
    deleted_date: int | None = None
    scheduled_purge: int | None = None


class HistoryItem(msgspec.Struct, frozen=True, kw_only=True):
    """One record of either log, without any value.  *time* is in microseconds.

    *application* is the client that asked for the principal.  In *details*, `changed` says of a
    changed rule or setting what it was and what it is; of a list what was taken away and added.
    """

    log: str
    position: int
    time: int
    operation: str
    principal: str
    auth: str
    outcome: str
    rule: str = ""
    name: str = ""
    version: str = ""
    address: str = ""
    agent: str = ""
    request: str = ""
    cause: int | None = None
    at: int | None = None
    details: dict[str, object] = {}
    application: str = ""


class AuditGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A grant's *file* for the auditor, and what is on record of it at *position* of `changes`.

    Times are in microseconds; *changes* and *access* are the first position and the one after the
    last; *auditor* is the fingerprint of the key.
    """

    file: bytes
    grant: str
    auditor: str
    label: str
    position: int
    start: int
    stop: int
    changes: tuple[int, int]
    access: tuple[int, int]

    def __repr__(self) -> str:
        return f"AuditGrant(grant={self.grant!r}, position={self.position})"


class ReadFact(msgspec.Struct, frozen=True, kw_only=True):
    """One time that a value was given out.  *position* is of *log*; *time* in microseconds.

    *how*: by a `read`, in a `backup` blob, or with a `copy` of the whole vault.  The latter two gave
    out all versions that there were, and *version* is empty.  By `metadata` no value was given out:
    an auditor was let read what was done with the secret in a period, and *principal* is that
    auditor's key.  Or as a `token` of a SAS
    definition, which the key *key_name* signed, until *expires* (Unix seconds).
    """

    position: int
    time: int
    principal: str
    auth: str
    name: str
    version: str
    rule: str
    address: str
    at: int
    as_of: int | None = None
    how: str = "read"
    log: str = "access"
    key_name: str = ""
    expires: int | None = None


class ExposureFact(msgspec.Struct, frozen=True, kw_only=True):
    """A version that a principal was given.  *status*: current, older, deleted or purged.

    *how* are the ways, of read, backup and copy; *count* counts them all.  *first* and *last* are
    positions of *first_log* and *last_log*.  Tokens of a SAS definition have no version; of them
    *status* is valid, void (the key that signed them, *key_name*, has another value since) or
    expired, and *expires* is when the last of them ends (Unix seconds).
    """

    name: str
    version: str
    status: str
    count: int
    first: int
    last: int
    first_time: int
    last_time: int
    how: tuple[str, ...] = ("read",)
    first_log: str = "access"
    last_log: str = "access"
    key_name: str = ""
    expires: int | None = None


class BlameFact(msgspec.Struct, frozen=True, kw_only=True):
    """Which event made one attribute what it is.  *position* is of `changes`.

    *erased* and *erased_by*: as in `SecretBundle`, of the value of this attribute.
    """

    attribute: str
    value: object
    erased: bool = False
    erased_by: int | None = None
    position: int
    time: int
    operation: str
    principal: str

    def __repr__(self) -> str:
        return f"BlameFact(attribute={self.attribute!r}, position={self.position})"


class CouldFact(msgspec.Struct, frozen=True, kw_only=True):
    """What a principal could do with a secret, from where, and the event that let it.

    *origins* are in the words of `vault.boundary`: `anywhere`, or address rules, subnets and trusted
    services; with none of them, only who opens the store itself.
    """

    principal: str
    permissions: tuple[str, ...]
    rule: str
    position: int
    application: str = ""
    origins: tuple[str, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a request would be let in, and which rules say so.

    *boundary* and *policy* are the rule that lets it in, or the refusal in words; *outcome* is the
    code of the first refusal, or `ok`.  What the request finds then is another matter.
    """

    allowed: bool
    boundary: str
    boundary_allows: bool
    policy: str
    policy_allows: bool
    outcome: str


class RestoreStep(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that going back does, or cannot do.

    *action*: recover, value, attributes, set, delete, policy, boundary, kept or lost.  *version* is
    the one that comes back; *erased_by* the purge that makes it impossible.  *wider* says in words
    what would be allowed that is not allowed now.  *what* is a secret, a storage-account or a
    sas-definition; keys of an account are kept as they are now, and *after* names those that changed.
    """

    action: str
    name: str
    version: str = ""
    erased_by: int | None = None
    before: object = None
    after: object = None
    wider: tuple[str, ...] = ()
    what: str = "secret"


class RestorePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What going back to *to* does, decided when `changes` had *head* records.

    *stays* names what stood otherwise then and is left as it is: of policies and boundary.
    """

    to: int
    head: int
    steps: tuple[RestoreStep, ...]
    stays: tuple[str, ...] = ()


class ReplayStep(msgspec.Struct, frozen=True, kw_only=True):
    """One record retold: what was done, and what it changed."""

    item: HistoryItem
    differences: tuple[Difference, ...] = ()


class Aftermath(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy did since it parted from another, and how what it touched stood and stands."""

    differences: tuple[Difference, ...]
    touched: tuple[Touched, ...]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The versions that an import set, in the order of the file."""

    items: tuple[tuple[str, str], ...]
