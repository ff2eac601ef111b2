"""Who asks with many others of one snapshot is judged as if he came alone, and leaves the same trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from eventstore.errors import MunimentError
from eventstore.rule_events import BoundarySet, Subnet, SubnetRule, TrustedService, VirtualNetwork
from projections.rows import Boundary, Policy, Row, Settings, boundary_key, policy_key, settings_key
from support.life import Life, life_in
from support.vaults import ALICE
from vault.access import SECRET_PERMISSIONS, STORAGE_PERMISSIONS
from vault.caller import Arrival, Caller
from vault.commands import (
    Command,
    GetDeletedSecret,
    GetSecret,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    Malformed,
)
from vault.history_commands import ReadHistory, RotateKeys
from vault.looking import Looking, ReadyRules
from vault.names import MAX_CALLER_TEXT
from vault.refusals import BadParameter
from vault.resolving import Seen
from vault.rule_commands import (
    DeleteVault,
    DescribeVault,
    Grant,
    ListPolicies,
    PurgeVault,
    RecoverVault,
    ShowBoundary,
    ShowVault,
    UpdateBoundary,
    UpdateVault,
)
from vault.storage_commands import (
    GetSasDefinition,
    GetStorageAccount,
    ListSasDefinitions,
    ListStorageAccounts,
)
from vault.together import Ask

NETWORK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/office"
NETWORKS = (
    VirtualNetwork(
        id=NETWORK,
        subnets=(
            Subnet(name="web", listener="front"),
            Subnet(name="lab", vlan=12, ranges=("10.1.0.0/16",)),
            Subnet(name="blue", namespace="blue"),
        ),
    ),
)
PRINCIPALS = (ALICE.principal, "bob", "Bob")
APPLICATIONS = ("", "robot", "ROBOT")
ODD = "\udcff"

# --- what is drawn ------------------------------------------------------------------------------

_some = st.sampled_from


def _few(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(_some(values), unique=True, max_size=3).map(tuple)


def _most(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    # Nothing is remembered of who is never let in.
    return st.just(values) | _few(values)


_grants = st.builds(
    Grant,
    object_id=_some(PRINCIPALS),
    application_id=_some(APPLICATIONS[:2]),
    secrets=_most(SECRET_PERMISSIONS),
    storage=_most(STORAGE_PERMISSIONS),
)
_policies = st.lists(
    _grants, min_size=2, max_size=4, unique_by=lambda grant: (grant.object_id, grant.application_id)
).map(tuple)
_bounds = st.fixed_dictionaries(
    {
        "default_action": _some(["Allow", "Deny"]),
        "bypass": _some(["AzureServices", "None"]),
        "public_network_access": st.booleans(),
        "ip_rules": _few(("203.0.113.0/24", "198.51.100.7/32")),
        "subnet_rules": _few(("web", "lab", "blue")).map(
            lambda names: tuple(SubnetRule(id=f"{NETWORK}/subnets/{name}") for name in names)
        ),
        "trusted_services": st.lists(
            _some(
                [
                    TrustedService(service="backup", application_id="robot"),
                    TrustedService(service="backup", object_id="bob"),
                ]
            ),
            unique=True,
            max_size=2,
        ).map(tuple),
    }
)
_arrivals = st.none() | st.builds(
    Arrival,
    listener=_some(["", "front"]),
    vlan=_some([None, 12]),
    namespace=_some(["", "blue"]),
)
_PARTS: dict[str, st.SearchStrategy[Any]] = {
    "principal": _some(PRINCIPALS),
    "auth": _some(["token", "os"]),
    "address": _some(["", "203.0.113.9", "198.51.100.7", "10.1.2.3", "::ffff:203.0.113.9"]),
    "agent": _some(["", "curl"]),
    "request": _some(["", "a-request"]),
    "application": _some(APPLICATIONS),
    "arrival": _arrivals,
    "store_administrator": st.booleans(),
}
UNWRITABLE = st.builds(
    lambda part, text: {part: text},
    _some(["principal", "auth", "address", "agent", "request", "application"]),
    _some([ODD, "x" * (MAX_CALLER_TEXT + 1)]),
)


@st.composite
def _callers(draw) -> list[Caller]:
    """One, and others who differ from it in one thing alone: what lets it in may not let them in."""
    first = Caller(**draw(st.fixed_dictionaries(_PARTS)))
    others = [replace(first, **{part: draw(values)}) for part, values in _PARTS.items()]
    return draw(st.permutations([first, *others, replace(first, **draw(UNWRITABLE))]))


@st.composite
def _asked(draw, commands: st.SearchStrategy[Command[Any]]) -> list[Ask]:
    callers, few = draw(_callers()), draw(st.lists(commands, min_size=1, max_size=3))
    few += [_unread(type(command)) for command in few if not isinstance(command, Malformed)]
    return [Ask(caller, command) for caller in callers for command in few]


READ: tuple[Command[Any], ...] = (
    GetSecret(name="one"),
    GetSecret(name="gone"),
    GetSecret(name="off"),
    GetSecret(name="one" + ODD),
    ListSecrets(),
    ListSecretVersions(name="one"),
    ListSecrets(as_of=0),
    ListPolicies(as_of=4),
    GetDeletedSecret(name="gone"),
    ListDeletedSecrets(),
    ListPolicies(),
    ShowBoundary(),
    DescribeVault(),
    GetStorageAccount(name="account"),
    ListStorageAccounts(),
    ListSasDefinitions(account="account"),
    GetSasDefinition(account="account", name="sas"),
)
RARE: tuple[Command[Any], ...] = (
    ShowVault(),
    ReadHistory(),
    DeleteVault(),
    RecoverVault(),
    PurgeVault(),
    RotateKeys(),
)


def _kinds(of: type[Command[Any]] = Command) -> Iterator[type[Command[Any]]]:
    for kind in of.__subclasses__():
        if kind is not Malformed and "records" in vars(kind):
            yield kind
        yield from _kinds(kind)


def _unread(kind: type[Command[Any]]) -> Malformed:
    return Malformed(kind=kind, problem=BadParameter("no JSON"), name="one")


_any = _some(sorted(_kinds(), key=lambda kind: kind.__name__)).map(_unread)
# One of each plane, with other rules, comes often.
_often: tuple[Command[Any], ...] = (GetSecret(name="one"), DescribeVault())
_reads: st.SearchStrategy[Command[Any]] = _some(READ) | _any | _some(_often)

# --- by the rules alone -------------------------------------------------------------------------


class _Table:
    """Rows in a dict, of what the rules look at."""

    def __init__(self, policies: tuple[Grant, ...], bounds: Any, deleted: bool) -> None:
        self.rows: dict[Any, Row] = {
            settings_key(): Settings(
                name="v",
                retention_days=90,
                purge_protection=False,
                administrators=(ALICE.principal,),
                created=0,
                at=0,
                deleted_date=1 if deleted else None,
            )
        }
        for at, grant in enumerate(policies):
            policy = Policy(**asdict(grant), at=at)
            self.rows[policy_key(policy.holder)] = policy
        if bounds is not None:
            event = BoundarySet(**bounds, networks=NETWORKS)
            self.rows[boundary_key()] = Boundary(**asdict(event), at=9)

    def get(self, key: Any, kind: type[Row]) -> Any:
        return self.rows.get(key)


def _told(failure: BaseException) -> Any:
    return (type(failure), str(failure), vars(failure))


def _judged(looking: Looking, caller: Caller, command: Command[Any]) -> Any:
    seen = Seen()
    try:
        return looking.let_in(caller, command, seen), seen.size
    except MunimentError as refusal:
        return _told(refusal), seen.size


@settings(max_examples=300)
@given(_policies, st.none() | _bounds, st.booleans(), _asked(_reads | _some(RARE)))
def test_the_rule_that_lets_in_is_the_one_that_would_let_in_alone(policies, bounds, deleted, asks):
    rows: Any = _Table(policies, bounds, deleted)
    snapshot: Any = SimpleNamespace(size=12)

    def looking() -> Looking:
        return Looking(snapshot, rows, ReadyRules(), 0)

    plain = [(caller, command) for caller, command in asks if not getattr(command, "as_of", None)]
    shared = looking()
    for caller, command in plain:
        assert _judged(shared, caller, command) == _judged(looking(), caller, command)


# --- in a vault ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    home: Path = tmp_path_factory.mktemp("judged") / "store"
    with life_in(home) as life:
        life.set("one")
        life.set("off", enabled=False)
        life.set("gone")
        life.delete("gone")
        yield life


def _alone(life: Life, ask: Ask) -> Any:
    try:
        return life.vault.handle(*ask)
    except Exception as failure:
        return _told(failure)


def _traces(life: Life, since: int) -> list[tuple[Any, Any]]:
    with life.vault.access.snapshot() as snapshot:
        return [(entry.context, entry.event) for entry in snapshot.entries(since)]


@settings(max_examples=60)
@given(_policies, _bounds, _asked(_reads))
def test_many_get_the_answers_and_leave_the_traces_of_each_alone(life, policies, bounds, asks):
    whole = UpdateBoundary(**bounds, networks=NETWORKS, allow_private_ranges=True)
    life(UpdateVault(policies=policies, boundary=whole))
    began = life.vault.access.head().size
    alone = [_alone(life, ask) for ask in asks]
    between = life.vault.access.head().size
    together = life.vault.handle_all(asks)
    assert [_told(one) if isinstance(one, Exception) else one for one in together] == alone
    traces = _traces(life, began)
    assert traces[between - began :] == traces[: between - began]
    assert len(traces) == 2 * len(asks)
