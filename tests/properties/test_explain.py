"""What is explained is what happens: `Explain` and `WhoCould` against the door itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from eventstore.errors import MunimentError
from eventstore.rule_events import Subnet, SubnetRule, TrustedService, VirtualNetwork
from projections.rows import OPEN, Policy, Put, Settings, policy_key
from projections.state import State
from support.life import Life, life_in
from vault.boundary import Rules
from vault.caller import Arrival, Caller
from vault.commands import Command, DeleteSecret, GetSecret, ListSecrets
from vault.explaining import explain
from vault.history_commands import Explain, WhoCould
from vault.rule_commands import Grant, ShowBoundary, UpdateBoundary, UpdateVault
from vault.rules import boundary_of
from vault.storage_commands import DeleteSasDefinition, ListStorageAccounts, UpdateStorageAccount

NETWORK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n"
WEB = f"{NETWORK}/subnets/web"
NETWORKS = (
    VirtualNetwork(
        id=NETWORK,
        subnets=(
            Subnet(name="web", ranges=("10.1.0.0/16",), interface="eth1"),
            Subnet(name="app", listener="front"),
        ),
    ),
)
PEOPLE, CLIENTS = ("ann", "ben"), ("", "portal", "robot")

boundaries = st.builds(
    UpdateBoundary,
    default_action=st.sampled_from(["Allow", "Deny"]),
    bypass=st.sampled_from(["AzureServices", "None"]),
    public_network_access=st.sampled_from([True, True, False]),
    ip_rules=st.sets(st.sampled_from(["203.0.113.0/24", "198.51.100.7/32"])).map(tuple),
    subnet_rules=st.sampled_from([(), (SubnetRule(id=WEB),)]),
    networks=st.just(NETWORKS),
    trusted_services=st.sets(
        st.sampled_from(
            [
                TrustedService(service="backup", application_id="robot"),
                TrustedService(service="storage", object_id="ben"),
            ]
        )
    ).map(tuple),
)
grants = st.lists(
    st.builds(
        Grant,
        object_id=st.sampled_from(PEOPLE),
        application_id=st.sampled_from(CLIENTS),
        secrets=st.sampled_from([("get",), ("get", "list"), ("all",), ()]),
        storage=st.sampled_from([("list",), ("set", "deletesas"), ("all",), ()]),
    ),
    max_size=4,
    unique_by=lambda grant: (grant.object_id, grant.application_id),
).map(tuple)
callers = st.builds(
    Caller,
    principal=st.sampled_from(PEOPLE),
    auth=st.just("test"),
    application=st.sampled_from(CLIENTS),
    address=st.sampled_from(["203.0.113.9", "198.51.100.8", "10.1.2.3", "2001:db8::1"]),
    arrival=st.none()
    | st.builds(
        Arrival,
        interface=st.sampled_from(["", "eth1"]),
        listener=st.sampled_from(["", "front"]),
    ),
)
COMMANDS: dict[str, Command[Any]] = {
    "get": GetSecret(name="db"),
    "list": ListSecrets(),
    "delete": DeleteSecret(name="no"),
    "storage/list": ListStorageAccounts(),
    "storage/update": UpdateStorageAccount(name="no", enabled=True),
    "storage/deletesas": DeleteSasDefinition(account="no", name="no"),
}
FAR = Arrival()


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with life_in(tmp_path_factory.mktemp("explained") / "store") as life:
        life.set("db")
        yield life


def outcome(life: Life, caller: Caller, permission: str) -> str:
    try:
        life(COMMANDS[permission], caller)
    except MunimentError as refusal:
        # What is there is not asked: who gets this far was let in.
        return "ok" if refusal.code.endswith(".not-found") else refusal.code
    return "ok"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(boundaries, grants, st.lists(callers, min_size=1, max_size=4))
def test_what_is_explained_is_what_happens(
    life: Life, boundary: UpdateBoundary, given_to: tuple[Grant, ...], who: list[Caller]
) -> None:
    life(UpdateVault(boundary=boundary, policies=given_to))
    for caller in who:
        for permission in COMMANDS:
            told = life(
                Explain(
                    principal=caller.principal,
                    permission=permission,
                    address=caller.address,
                    application=caller.application,
                    arrival=caller.arrival,
                )
            )
            happened = outcome(life, caller, permission)
            assert (told.outcome, told.allowed) == (happened, happened == "ok")
            assert told.allowed == (told.boundary_allows and told.policy_allows)
            if told.allowed and not permission.endswith(("delete", "deletesas", "update")):
                rule = life.traces()[-1].context.rule
                assert rule in (told.policy, f"{told.policy}, {told.boundary}")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(boundaries, grants)
def test_who_could_names_everybody_who_can_and_every_place_from_where(
    life: Life, boundary: UpdateBoundary, given_to: tuple[Grant, ...]
) -> None:
    life(UpdateVault(boundary=boundary, policies=given_to))
    could = life(WhoCould(name="db", permission="get"))
    for principal in PEOPLE:
        for client in CLIENTS:
            facts = [
                one
                for one in could
                if one.principal == principal and one.application in ("", client)
            ]
            for address, place in (
                ("203.0.113.9", "address 203.0.113.0/24"),
                ("198.51.100.7", "address 198.51.100.7/32"),
                ("192.0.2.1", ""),
            ):
                caller = Caller(
                    principal=principal,
                    auth="test",
                    application=client,
                    address=address,
                    arrival=FAR,
                )
                named = {origin for fact in facts for origin in fact.origins}
                service = any(
                    origin in ("trusted service backup", "trusted service storage")
                    or origin == f"trusted service backup through {client}"
                    for origin in named
                )
                expected = "anywhere" in named or place in named or service
                assert (outcome(life, caller, "get") == "ok") == bool(facts and expected)


def test_the_boundary_that_is_shown_is_the_one_that_decides(life: Life) -> None:
    shown = life(UpdateBoundary(default_action="Deny", ip_rules=("203.0.113.0/24",)))
    with life.vault.changes.snapshot() as snapshot:
        stands = boundary_of(life.vault.views.reader(snapshot.transaction))
    assert replace(life(ShowBoundary()), position=0) == replace(shown, position=0)
    assert Rules(stands).range_of("203.0.113.9") == "203.0.113.0/24"


@pytest.mark.parametrize(
    ("purged", "code"), [(False, "vault.is-deleted"), (True, "vault.not-found")]
)
def test_a_vault_that_is_no_more_lets_nobody_in_whatever_its_rules_say(
    purged: bool, code: str
) -> None:
    gone = Settings("v", 90, False, ("ann",), 1, 0, deleted_date=2, purged=purged)
    rows = State()
    rows.put([Put(policy_key("ann"), Policy("ann", ("get",), (), 1))])
    told = explain(rows, gone, OPEN, Explain(principal="ann", permission="get"))
    assert (told.allowed, told.outcome) == (False, code)
    assert told.boundary_allows
    assert told.policy_allows
