"""The boundary of a vault: changed by its administrators alone, whole at any time, one event each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from eventstore.rule_events import BoundarySet, Subnet, SubnetRule, TrustedService, VirtualNetwork
from support.life import Life, life_in
from support.vaults import ALICE, BOB
from vault.caller import Arrival
from vault.commands import Command, GetSecret
from vault.network_rules import MAX_ALL_RANGES
from vault.ranges import MAX_IP_RULES
from vault.rule_commands import (
    AddNetworkRules,
    BindTrustedService,
    DeleteNetwork,
    Grant,
    ListPolicies,
    NetworkRules,
    NewVault,
    RemoveNetworkRules,
    SetNetwork,
    ShowBoundary,
    UnbindTrustedService,
    UpdateBoundary,
    UpdateVault,
)

NETWORK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/intranet"
WEB = f"{NETWORK}/subnets/web"
INTRANET = VirtualNetwork(id=NETWORK, subnets=(Subnet(name="web", ranges=("10.1.0.0/16",)),))
BACKUP = TrustedService(service="backup", object_id="backup-agent")
AFAR = replace(ALICE, address="203.0.113.9", arrival=Arrival())


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


def recorded(life: Life, since: int) -> list[str]:
    return [entry.event.__struct_config__.tag for entry in life.changes()[since:]]


def test_a_vault_that_nobody_bounded_is_open(life: Life) -> None:
    shown = life(ShowBoundary())
    assert (shown.default_action, shown.bypass, shown.ip_rules) == ("Allow", "AzureServices", ())
    assert shown.public_network_access
    assert not shown.allow_private_ranges


def test_each_change_is_one_event_that_says_all_that_stands(life: Life) -> None:
    life(UpdateBoundary(default_action="deny"))
    life(AddNetworkRules(ip_rules=("203.0.113.9",)))
    life(SetNetwork(network=INTRANET))
    life(AddNetworkRules(subnet_rules=(SubnetRule(id=WEB),)))
    answer = life(BindTrustedService(bound=BACKUP))
    event = life.changes()[-1].event
    assert event == BoundarySet(
        default_action="Deny",
        ip_rules=("203.0.113.9/32",),
        subnet_rules=(SubnetRule(id=WEB),),
        networks=(INTRANET,),
        trusted_services=(BACKUP,),
    )
    assert answer == life(ShowBoundary())
    assert answer.position == len(life.changes()) - 1


def test_what_is_taken_away_no_longer_lets_anybody_in(life: Life) -> None:
    life.set("db")
    life(UpdateBoundary(default_action="Deny", ip_rules=("203.0.113.0/24", "198.51.100.7")))
    assert life(GetSecret(name="db"), AFAR).value
    life(RemoveNetworkRules(ip_rules=("203.0.113.0/24",)))
    life.refuses("boundary.outside", GetSecret(name="db"), AFAR)
    assert life(ShowBoundary()).ip_rules == ("198.51.100.7/32",)


def test_the_boundary_of_then_can_be_asked_for(life: Life) -> None:
    before = life.vault.changes.head().size
    life(UpdateBoundary(public_network_access=False))
    assert life(ShowBoundary(as_of=before)).public_network_access
    assert not life(ShowBoundary()).public_network_access
    assert life.traces()[-1].event.what == "boundary"


CHANGES: dict[str, Command[Any]] = {
    "update": UpdateBoundary(default_action="Deny"),
    "add": AddNetworkRules(ip_rules=("203.0.113.9",)),
    "remove": RemoveNetworkRules(ip_rules=("203.0.113.9",)),
    "network": SetNetwork(network=INTRANET),
    "no network": DeleteNetwork(id=NETWORK),
    "bind": BindTrustedService(bound=BACKUP),
    "unbind": UnbindTrustedService(bound=BACKUP),
    "show": ShowBoundary(),
    "update vault": UpdateVault(boundary=NetworkRules()),
}


@pytest.mark.parametrize("command", CHANGES.values(), ids=CHANGES.keys())
def test_only_an_administrator_sees_or_changes_it(life: Life, command: Command[Any]) -> None:
    life.allow("all")
    life.refuses("access.not-administrator", command, BOB)


def test_an_administrator_outside_the_boundary_still_changes_it(life: Life) -> None:
    life(UpdateBoundary(public_network_access=False))
    assert life(UpdateBoundary(public_network_access=True), AFAR).public_network_access


RANGES = tuple(f"10.{n >> 8}.{n & 255}.0/24" for n in range(MAX_ALL_RANGES + 1))
REFUSED: dict[str, tuple[str, Command[Any]]] = {
    "a private range without leave": (
        "boundary.range-invalid",
        AddNetworkRules(ip_rules=("10.0.0.0/8",)),
    ),
    "no range": ("boundary.range-invalid", UpdateBoundary(ip_rules=("everywhere",))),
    "too many ranges": (
        "boundary.too-many-rules",
        UpdateBoundary(ip_rules=tuple(f"8.{n >> 8}.{n & 255}.1" for n in range(MAX_IP_RULES + 1))),
    ),
    "a subnet that nobody defined": (
        "boundary.subnet-unknown",
        AddNetworkRules(subnet_rules=(SubnetRule(id=WEB),)),
    ),
    "a subnet's id that is none": (
        "boundary.network-invalid",
        AddNetworkRules(subnet_rules=(SubnetRule(id="web", ignore_missing=True),)),
    ),
    "a rule that does not stand": (
        "boundary.rule-not-found",
        RemoveNetworkRules(ip_rules=("203.0.113.9",)),
    ),
    "a subnet rule that does not stand": (
        "boundary.rule-not-found",
        RemoveNetworkRules(subnet_ids=(WEB,)),
    ),
    "a network that is not there": ("boundary.network-not-found", DeleteNetwork(id=NETWORK)),
    "two networks of one id": (
        "boundary.network-invalid",
        UpdateBoundary(networks=(INTRANET, replace(INTRANET, id=NETWORK.upper()))),
    ),
    "too many ranges of subnets": (
        "boundary.network-invalid",
        SetNetwork(network=replace(INTRANET, subnets=(Subnet(name="web", ranges=RANGES),))),
    ),
    "a default action that is none": (
        "vault.setting-invalid",
        UpdateBoundary(default_action="Maybe"),
    ),
    "a bypass that is none": ("vault.setting-invalid", UpdateBoundary(bypass="All")),
    "a service that is not listed": (
        "boundary.trusted-service-invalid",
        BindTrustedService(bound=replace(BACKUP, service="my-cron-job")),
    ),
    "a binding that does not stand": (
        "boundary.rule-not-found",
        UnbindTrustedService(bound=BACKUP),
    ),
}


@pytest.mark.parametrize(("code", "command"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_is_refused_and_changes_nothing(
    life: Life, code: str, command: Command[Any]
) -> None:
    life.refuses(code, command)


def test_a_rule_may_wait_for_its_subnet_if_it_says_so(life: Life) -> None:
    life(AddNetworkRules(subnet_rules=(SubnetRule(id=WEB, ignore_missing=True),)))
    life(SetNetwork(network=INTRANET))
    life(DeleteNetwork(id=NETWORK.upper()))
    assert life(ShowBoundary()).networks == ()


def test_a_network_that_a_rule_needs_stays_as_far_as_it_is_needed(life: Life) -> None:
    life(SetNetwork(network=INTRANET))
    life(AddNetworkRules(subnet_rules=(SubnetRule(id=WEB),)))
    life.refuses("boundary.network-in-use", DeleteNetwork(id=NETWORK))
    renamed = replace(INTRANET, subnets=(replace(INTRANET.subnets[0], name="app"),))
    life.refuses("boundary.network-in-use", SetNetwork(network=renamed))
    life.refuses("boundary.subnet-unknown", UpdateBoundary(networks=()))
    wider = replace(INTRANET, subnets=(*INTRANET.subnets, Subnet(name="app", interface="eth1")))
    assert life(SetNetwork(network=wider)).networks == (wider,)
    life(RemoveNetworkRules(subnet_ids=(WEB.upper(),)))
    assert life(DeleteNetwork(id=NETWORK)).networks == ()


def test_private_ranges_stand_with_the_leave_for_them_and_not_without(life: Life) -> None:
    life(UpdateBoundary(allow_private_ranges=True, ip_rules=("10.0.0.0/8",)))
    life.refuses("boundary.range-invalid", UpdateBoundary(allow_private_ranges=False))
    life(RemoveNetworkRules(ip_rules=("10.0.0.0/8",)))
    assert not life(UpdateBoundary(allow_private_ranges=False)).allow_private_ranges


def test_a_rule_that_is_given_twice_stands_once(life: Life) -> None:
    life(AddNetworkRules(ip_rules=("203.0.113.9", "203.0.113.9/32")))
    answer = life(AddNetworkRules(ip_rules=("203.0.113.9",)))
    assert answer.ip_rules == ("203.0.113.9/32",)


# --- the vault as a whole -------------------------------------------------------------------------


def test_one_update_of_the_vault_is_one_commit_with_an_event_for_each_thing_that_changes(
    life: Life,
) -> None:
    since = len(life.changes())
    commits = life.vault.changes.head().size
    facts = life(
        UpdateVault(
            sku="Premium",
            vault_tags={"team": "red"},
            enabled_for=("template-deployment", "deployment"),
            policies=(
                Grant(object_id=ALICE.principal, secrets=("all",), storage=("all",)),
                Grant(object_id="carol", secrets=("get",), application_id="portal"),
            ),
            boundary=NetworkRules(default_action="Deny"),
        )
    )
    assert recorded(life, since) == ["vault.updated", "policy.set", "boundary.set"]
    assert (facts.sku, facts.vault_tags) == ("premium", {"team": "red"})
    assert facts.enabled_for == ("deployment", "template-deployment")
    assert [one.application_id for one in life(ListPolicies())] == ["", "portal"]
    assert life.vault.changes.head().size == commits + 3


def test_an_update_of_the_vault_records_nothing_for_what_stays(life: Life) -> None:
    life(SetNetwork(network=INTRANET))
    since = len(life.changes())
    life(UpdateVault(sku="standard", boundary=NetworkRules(bypass="None")))
    assert recorded(life, since) == ["boundary.set"]
    assert life(ShowBoundary()).networks == (INTRANET,)
    life(UpdateVault(sku="standard", boundary=NetworkRules(bypass="None")))
    # It was asked for and allowed, so that it was stands in the history.
    assert recorded(life, since) == ["boundary.set", "vault.updated"]


def test_an_update_of_the_vault_is_all_or_nothing(life: Life) -> None:
    rules = NetworkRules(ip_rules=("10.0.0.0/8",))
    life.refuses("boundary.range-invalid", UpdateVault(sku="premium", boundary=rules))
    tags = {str(n): "" for n in range(51)}
    life.refuses("vault-tags.invalid", UpdateVault(vault_tags=tags, boundary=NetworkRules()))
    life.refuses("vault.setting-invalid", UpdateVault(sku="gold"))
    life.refuses("vault.setting-invalid", UpdateVault(enabled_for=("mining",)))


def test_a_vault_can_be_bounded_from_its_first_commit_on(life: Life) -> None:
    wanted = NewVault(
        sku="premium",
        resource_group="rg",
        location="cellar",
        vault_tags={"a": "b"},
        boundary=NetworkRules(default_action="Deny", ip_rules=("203.0.113.9",)),
        policies=(Grant(object_id="carol", secrets=("get",)),),
        is_for_maker=False,
    )
    vault = life.store.create_vault(ALICE, "bounded", wanted=wanted)
    assert vault.handle(ALICE, ShowBoundary()).ip_rules == ("203.0.113.9/32",)
    assert [one.object_id for one in vault.handle(ALICE, ListPolicies())] == ["carol"]
    with vault.changes.snapshot() as snapshot:
        events = [entry.event for entry in snapshot.entries()]
    assert (events[0].resource_group, events[0].location) == ("rg", "cellar")
    assert [event.__struct_config__.tag for event in events] == [
        "vault.created",
        "policy.set",
        "boundary.set",
    ]
