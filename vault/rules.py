"""What a change of the vault's settings, policies or boundary records.  Pure.

Decided from the rows alone, so that a repeated request can be told by deciding it once more as of
when it came first.
"""

from __future__ import annotations

from msgspec import UnsetType

from eventstore.event import Event
from eventstore.rule_events import BoundarySet, PolicyDeleted, PolicySet, VaultUpdated
from projections.rows import OPEN, Boundary, Rows, Settings, boundary_key, settings_key
from vault import network_rules, policies
from vault.refusals import VaultNotFound
from vault.rule_commands import (
    AddNetworkRules,
    BindTrustedService,
    ChangePolicies,
    DeleteNetwork,
    DeletePolicy,
    RemoveNetworkRules,
    SetNetwork,
    SetPolicy,
    UnbindTrustedService,
    UpdateBoundary,
    UpdateVault,
)

RuleChange = (
    SetPolicy
    | DeletePolicy
    | ChangePolicies
    | UpdateVault
    | UpdateBoundary
    | AddNetworkRules
    | RemoveNetworkRules
    | SetNetwork
    | DeleteNetwork
    | BindTrustedService
    | UnbindTrustedService
)
RULE_EVENTS = (VaultUpdated, PolicySet, PolicyDeleted, BoundarySet)


def decide(rows: Rows, command: RuleChange) -> list[Event]:
    """The events of *command*, at least one.  Raise the refusal."""
    match command:
        case SetPolicy():
            return [policies.set_policy(rows, command)]
        case DeletePolicy():
            return [policies.delete_policy(rows, command)]
        case ChangePolicies():
            return policies.change_policies(rows, command)
        case UpdateVault():
            return _update(rows, command)
        case _:
            return [network_rules.decide(boundary_of(rows), command)]


def boundary_of(rows: Rows) -> Boundary:
    """The boundary that stands; a vault that never had one is open."""
    return rows.get(boundary_key(), Boundary) or OPEN


def _update(rows: Rows, command: UpdateVault) -> list[Event]:
    settings = rows.get(settings_key(), Settings)
    if settings is None:
        raise VaultNotFound
    updated = policies.update_vault(settings, command)
    events: list[Event] = [] if policies.is_as(settings, updated) else [updated]
    if not isinstance(command.policies, UnsetType):
        events += policies.replace_policies(rows, command.policies)
    if not isinstance(command.boundary, UnsetType):
        boundary = boundary_of(rows)
        wanted = network_rules.replaced(boundary, command.boundary)
        events += [] if wanted == network_rules.event_of(boundary) else [wanted]
    # Somebody was allowed to change the vault and asked for it: that stands in its history.
    return events or [updated]
