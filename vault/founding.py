"""How a vault begins: its first events, checked before anything is made.  Pure."""

from __future__ import annotations

from typing import NamedTuple

from eventstore.event import Context, Event
from eventstore.rule_events import BoundarySet, VaultCreated
from vault import network_rules, policies
from vault.caller import Caller
from vault.rule_commands import NewVault
from vault.trace import context, store_owner


class Founding(NamedTuple):
    """The first events of a vault, checked; the first key is not known yet."""

    created: VaultCreated
    rules: tuple[Event, ...]


def founded_by(
    caller: Caller,
    name: str,
    retention_days: int,
    purge_protection: bool,
    wanted: NewVault,
) -> Founding:
    """How a vault begins.  Raise what is wrong with its rules."""
    created = VaultCreated(
        name=name,
        retention_days=retention_days,
        purge_protection=purge_protection,
        administrators=(caller.principal,),
        first_key=0,
        resource_group=wanted.resource_group,
        location=wanted.location,
        sku=policies.check_sku(wanted.sku),
        vault_tags=policies.check_vault_tags(wanted.vault_tags),
        enabled_for=policies.check_enabled_for(wanted.enabled_for),
    )
    given = policies.founding(wanted.policies, caller.principal, is_for_maker=wanted.is_for_maker)
    boundary = network_rules.founding(wanted.boundary, wanted.networks, wanted.trusted_services)
    is_open = boundary == BoundarySet()
    return Founding(created, (*given, *(() if is_open else (boundary,))))


def maker(caller: Caller) -> Context:
    """Who makes a vault: whoever has the store, or over a network an administrator of it."""
    if caller.arrival is None:
        return store_owner(caller)
    return context(caller, "store administrator")
