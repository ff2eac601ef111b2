"""What can happen to a vault itself: its life, its policies, its boundary.  Pure."""

from __future__ import annotations

import msgspec

from eventstore.event import Event


class VaultCreated(Event, frozen=True, kw_only=True, tag="vault.created"):
    """A vault began.  Retention in days is fixed from now on.

    *first_key* is the number of the first key that the vault gives to a secret.
    """

    name: str
    retention_days: int
    purge_protection: bool
    administrators: tuple[str, ...]
    first_key: int
    resource_group: str = ""
    location: str = ""
    sku: str = "standard"
    vault_tags: dict[str, str] = msgspec.field(default_factory=dict)
    enabled_for: tuple[str, ...] = ()


class VaultUpdated(Event, frozen=True, kw_only=True, tag="vault.updated"):
    """The vault's settings as they stand from now on.

    *enabled_for* is of deployment, disk-encryption and template-deployment: Key Vault's flags.
    """

    purge_protection: bool
    administrators: tuple[str, ...]
    sku: str = "standard"
    vault_tags: dict[str, str] = msgspec.field(default_factory=dict)
    enabled_for: tuple[str, ...] = ()


class VaultDeleted(Event, frozen=True, kw_only=True, tag="vault.deleted"):
    """The vault answers nobody; it can be recovered until *scheduled_purge*."""

    scheduled_purge: int


class VaultRecovered(Event, frozen=True, kw_only=True, tag="vault.recovered"):
    """A deleted vault is active again, with all that is in it."""


class VaultPurged(Event, frozen=True, kw_only=True, tag="vault.purged"):
    """A deleted vault is gone: its name is free, and these keys are to be destroyed.

    They are those of all its secrets and backups, as runs: the first and the last number of each.
    The records stay, and still verify.  *open_backups* are the keys of blobs that other vaults
    issued, and that could still bring a value back.
    """

    keys: tuple[tuple[int, int], ...]
    open_backups: tuple[int, ...] = ()


class PolicySet(Event, frozen=True, kw_only=True, tag="policy.set"):
    """A principal may do exactly this from now on; with *application_id* only through that client."""

    object_id: str
    secrets: tuple[str, ...] = ()
    storage: tuple[str, ...] = ()
    application_id: str = ""


class PolicyDeleted(Event, frozen=True, kw_only=True, tag="policy.deleted"):
    """A principal may do nothing from now on, or nothing through that client."""

    object_id: str
    application_id: str = ""


class Part(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A part of the vault's boundary."""


class SubnetRule(Part, frozen=True, kw_only=True):
    """Callers from one subnet are let in.  *id* is a subnet's id in Azure's form.

    With *ignore_missing* the subnet need not be known yet; until then nobody comes from it.
    """

    id: str
    ignore_missing: bool = False


class Subnet(Part, frozen=True, kw_only=True):
    """Where callers come from: everything that is given here must fit.

    *ranges* are CIDR blocks, one of which must hold the address; the others say by what way a
    request came in: the name of a listener, of a network interface, a VLAN's number, the name of a
    network namespace.
    """

    name: str
    ranges: tuple[str, ...] = ()
    listener: str = ""
    interface: str = ""
    vlan: int | None = None
    namespace: str = ""


class VirtualNetwork(Part, frozen=True, kw_only=True):
    """A named network.  *id* is a virtual network's id in Azure's form."""

    id: str
    subnets: tuple[Subnet, ...] = ()


class TrustedService(Part, frozen=True, kw_only=True):
    """Who is taken for a trusted service: a client by its application id, or a principal.

    *service* is a name of the shipped list.
    """

    service: str
    application_id: str = ""
    object_id: str = ""


class BoundarySet(Event, frozen=True, kw_only=True, tag="boundary.set"):
    """From where the vault's secrets can be reached, as it stands from now on.

    *default_action* is Allow or Deny, *bypass* AzureServices or None, as in Key Vault's networkAcls.
    *ip_rules* are canonical IPv4 ranges.
    """

    default_action: str = "Allow"
    bypass: str = "AzureServices"
    ip_rules: tuple[str, ...] = ()
    subnet_rules: tuple[SubnetRule, ...] = ()
    public_network_access: bool = True
    allow_private_ranges: bool = False
    networks: tuple[VirtualNetwork, ...] = ()
    trusted_services: tuple[TrustedService, ...] = ()
