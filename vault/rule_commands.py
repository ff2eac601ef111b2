"""What can be asked of a vault itself: its settings, its policies, its boundary, its end.  Pure."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from eventstore.rule_events import SubnetRule, TrustedService, VirtualNetwork
from vault.answers import (
    Boundary,
    Policy,
    PurgedVault,
    Resource,
    VaultFacts,
)
from vault.commands import Command
from vault.points import Point


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One access policy as it is given; `all` stands for every permission."""

    object_id: str
    secrets: tuple[str, ...] = ()
    storage: tuple[str, ...] = ()
    application_id: str = ""


class NetworkRules(msgspec.Struct, frozen=True, kw_only=True):
    """What Key Vault's `networkAcls` and `publicNetworkAccess` say, all of it."""

    default_action: str = "Allow"
    bypass: str = "AzureServices"
    ip_rules: tuple[str, ...] = ()
    subnet_rules: tuple[SubnetRule, ...] = ()
    public_network_access: bool = True
    allow_private_ranges: bool = False


class NewVault(msgspec.Struct, frozen=True, kw_only=True):
    """What a vault is made with, besides its name, retention, purge protection and maker.

    *policies* stand beside the maker's own; with *is_for_maker* false that one is not given.
    """

    resource_group: str = ""
    location: str = ""
    sku: str = "standard"
    vault_tags: dict[str, str] = {}
    enabled_for: tuple[str, ...] = ()
    policies: tuple[Grant, ...] = ()
    is_for_maker: bool = True
    boundary: NetworkRules = NetworkRules()
    networks: tuple[VirtualNetwork, ...] = ()
    trusted_services: tuple[TrustedService, ...] = ()


class ShowVault(Command[VaultFacts], frozen=True, kw_only=True):
    """The vault's settings, sizes, verifier keys and signed checkpoints (of now only)."""

    records: ClassVar[str] = "vault.read"
    as_of: Point | None = None


class DescribeVault(Command[Resource], frozen=True, kw_only=True):
    """The settings, the policies and the boundary together, as they stand: a resource."""

    records: ClassVar[str] = "vault.read"


class UpdateVault(Command[VaultFacts], frozen=True, kw_only=True):
    """Change the vault's settings, and with them its policies and its boundary: all or nothing.

    Purge protection can only be turned on.  *policies* replaces all that there are; *boundary* as
    NetworkRules leaves virtual networks and trusted services as they are, and as UpdateBoundary all
    that it does not name.  An event is recorded for each thing
    that becomes another one; if none does, the settings are recorded as they stand.
    """

    records: ClassVar[str] = "vault.updated"
    purge_protection: bool | UnsetType = UNSET
    administrators: tuple[str, ...] | UnsetType = UNSET
    sku: str | UnsetType = UNSET
    vault_tags: dict[str, str] | UnsetType = UNSET
    enabled_for: tuple[str, ...] | UnsetType = UNSET
    policies: tuple[Grant, ...] | UnsetType = UNSET
    boundary: NetworkRules | UpdateBoundary | UnsetType = UNSET


class ChangePolicies(Command[list[Policy]], frozen=True, kw_only=True):
    """Change many access policies at once, as the resource provider's `accessPolicies` do.

    *kind*: `add` adds permissions to what stands; `replace` gives each principal that is named
    exactly these, and leaves all others as they are; `remove` takes permissions away, and with the
    last of them the policy.
    """

    records: ClassVar[str] = "policy.set"
    kind: str
    grants: tuple[Grant, ...]


class DeleteVault(Command[VaultFacts], frozen=True, kw_only=True):
    """Delete the vault with all that is in it; it can be recovered until its retention is over."""

    records: ClassVar[str] = "vault.deleted"


class RecoverVault(Command[VaultFacts], frozen=True, kw_only=True):
    """Bring the deleted vault back, with all that was in it."""

    records: ClassVar[str] = "vault.recovered"


class PurgeVault(Command[PurgedVault], frozen=True, kw_only=True):
    """Destroy the keys of all secrets and backups of the deleted vault, and give its name free."""

    records: ClassVar[str] = "vault.purged"


class SetPolicy(Command[Policy], frozen=True, kw_only=True):
    """Say what a principal may do.  `all` stands for every permission; UNSET leaves as it is.

    With *application_id* it may do so only through that client.
    """

    records: ClassVar[str] = "policy.set"
    object_id: str
    secrets: tuple[str, ...] | UnsetType = UNSET
    storage: tuple[str, ...] | UnsetType = UNSET
    application_id: str = ""


class DeletePolicy(Command[Policy], frozen=True, kw_only=True):
    """Take everything from a principal, or with *application_id* what it may do through a client."""

    records: ClassVar[str] = "policy.deleted"
    object_id: str
    application_id: str = ""


class ListPolicies(Command[list[Policy]], frozen=True, kw_only=True):
    """All access policies, by principal."""

    records: ClassVar[str] = "vault.read"
    as_of: Point | None = None


# --- the boundary -------------------------------------------------------------------------------


class ShowBoundary(Command[Boundary], frozen=True, kw_only=True):
    """From where the vault's secrets can be reached."""

    records: ClassVar[str] = "vault.read"
    as_of: Point | None = None


class UpdateBoundary(Command[Boundary], frozen=True, kw_only=True):
    """Replace parts of the boundary as a whole."""

    records: ClassVar[str] = "boundary.set"
    default_action: str | UnsetType = UNSET
    bypass: str | UnsetType = UNSET
    ip_rules: tuple[str, ...] | UnsetType = UNSET
    subnet_rules: tuple[SubnetRule, ...] | UnsetType = UNSET
    public_network_access: bool | UnsetType = UNSET
    allow_private_ranges: bool | UnsetType = UNSET
    networks: tuple[VirtualNetwork, ...] | UnsetType = UNSET
    trusted_services: tuple[TrustedService, ...] | UnsetType = UNSET


class AddNetworkRules(Command[Boundary], frozen=True, kw_only=True):
    """Let callers in from more ranges and subnets."""

    records: ClassVar[str] = "boundary.set"
    ip_rules: tuple[str, ...] = ()
    subnet_rules: tuple[SubnetRule, ...] = ()


class RemoveNetworkRules(Command[Boundary], frozen=True, kw_only=True):
    """Take rules away; each must stand."""

    records: ClassVar[str] = "boundary.set"
    ip_rules: tuple[str, ...] = ()
    subnet_ids: tuple[str, ...] = ()


class SetNetwork(Command[Boundary], frozen=True, kw_only=True):
    """Define a virtual network, or define it anew."""

    records: ClassVar[str] = "boundary.set"
    network: VirtualNetwork


class DeleteNetwork(Command[Boundary], frozen=True, kw_only=True):
    """Forget a virtual network; no rule may need it."""

    records: ClassVar[str] = "boundary.set"
    id: str


class BindTrustedService(Command[Boundary], frozen=True, kw_only=True):
    """Take a client or a principal for a trusted service."""

    records: ClassVar[str] = "boundary.set"
    bound: TrustedService


class UnbindTrustedService(Command[Boundary], frozen=True, kw_only=True):
    """Take it for one no longer."""

    records: ClassVar[str] = "boundary.set"
    bound: TrustedService


BoundaryChange = (
    UpdateBoundary
    | AddNetworkRules
    | RemoveNetworkRules
    | SetNetwork
    | DeleteNetwork
    | BindTrustedService
    | UnbindTrustedService
)
