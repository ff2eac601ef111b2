"""Access policies: a principal can do exactly what its policy says, and learns nothing by trying."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from eventstore.rule_events import TrustedService, VirtualNetwork
from eventstore.storage import open_environment
from projections.rows import Table
from support.life import Life, life_in
from support.vaults import ALICE, BOB, MALLORY
from vault import commands, history_commands, rule_commands, storage_commands
from vault.access import STORAGE_NEEDS
from vault.caller import Caller
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ImportSecrets,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    Malformed,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.history_commands import (
    Blame,
    BlameBoundary,
    CopyVault,
    Diff,
    DiffFork,
    Explain,
    Exposed,
    GrantAudit,
    PackageEvidence,
    PlanRestore,
    ReadHistory,
    RecordVerification,
    Replay,
    Restore,
    RotateKeys,
    ShowFields,
    WhoCould,
    WhoRead,
)
from vault.refusals import NotAdministrator
from vault.rule_commands import (
    AddNetworkRules,
    BindTrustedService,
    ChangePolicies,
    DeleteNetwork,
    DeletePolicy,
    DeleteVault,
    DescribeVault,
    Grant,
    ListPolicies,
    PurgeVault,
    RecoverVault,
    RemoveNetworkRules,
    SetNetwork,
    SetPolicy,
    ShowBoundary,
    ShowVault,
    UnbindTrustedService,
    UpdateBoundary,
    UpdateVault,
)

ALL = {"get", "list", "set", "delete", "recover", "backup", "restore", "purge"}


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


class Needs(NamedTuple):
    """Which permission a command needs, how it is asked of a name, and a name it works on."""

    permission: str
    ask: Callable[[str], Command[Any]]
    works_on: str


NEEDS = [
    Needs("set", lambda name: SetSecret(name=name, value="v"), "free"),
    Needs("set", lambda name: ImportSecrets(items=(SetSecret(name=name, value="v"),)), "free"),
    Needs("set", lambda name: UpdateSecret(name=name, exp=1), "active"),
    Needs("get", lambda name: GetSecret(name=name), "active"),
    Needs("get", lambda name: GetDeletedSecret(name=name), "deleted"),
    Needs("list", lambda _: ListSecrets(), "active"),
    Needs("list", lambda name: ListSecretVersions(name=name), "active"),
    Needs("list", lambda _: ListDeletedSecrets(), "deleted"),
    Needs("delete", lambda name: DeleteSecret(name=name), "active"),
    Needs("recover", lambda name: RecoverDeletedSecret(name=name), "deleted"),
    Needs("purge", lambda name: PurgeDeletedSecret(name=name), "deleted"),
    Needs("backup", lambda name: BackupSecret(name=name), "active"),
]
KINDS = [type(row.ask("x")).__name__ for row in NEEDS]

NETWORK = VirtualNetwork(
    id="/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n"
)
BACKUP = TrustedService(service="backup", object_id="b")
BOUNDARY = UpdateBoundary(
    ip_rules=("198.51.100.7",), networks=(NETWORK,), trusted_services=(BACKUP,)
)
ADMINISTRATION: list[Command[Any]] = [
    ShowVault(),
    UpdateVault(administrators=(ALICE.principal, "root")),
    SetPolicy(object_id="carol", secrets=("get",)),
    DeletePolicy(object_id=MALLORY.principal),
    ListPolicies(),
    ReadHistory(),
    WhoRead(name="active"),
    Exposed(principal=ALICE.principal),
    Blame(name="active"),
    BlameBoundary(),
    WhoCould(name="active"),
    Diff(before=2, after=4),
    DiffFork(common=2, size=4),
    Replay(),
    PlanRestore(to=2),
    CopyVault(as_of=2),
    RotateKeys(),
    ChangePolicies(kind="add", grants=(Grant(object_id="carol", secrets=("get",)),)),
    ShowBoundary(),
    UpdateBoundary(default_action="Deny"),
    AddNetworkRules(ip_rules=("203.0.113.9",)),
    RemoveNetworkRules(ip_rules=("198.51.100.7",)),
    SetNetwork(network=replace(NETWORK, id=NETWORK.id + "2")),
    DeleteNetwork(id=NETWORK.id),
    BindTrustedService(bound=replace(BACKUP, object_id="another")),
    UnbindTrustedService(bound=BACKUP),
    Explain(principal=BOB.principal, permission="get", name="active"),
    GrantAudit(auditor=bytes(range(32)), since=1, until=3),
    DescribeVault(),
    DeleteVault(),
    ShowFields(log="changes", position=1, fields=("principal",)),
    PackageEvidence(until=3),
]


def with_secrets(life: Life) -> bytes:
    """A vault with `active` and `deleted`; give the blob of `free`, which is purged."""
    life.set("active")
    life.set("free")
    blob = life(BackupSecret(name="free")).blob
    life.purge("free")
    life.set("deleted")
    life.delete("deleted")
    return blob


def test_the_tables_here_hold_every_command_there_is() -> None:
    known = {type(row.ask("x")) for row in NEEDS} | {RestoreSecret, RecordVerification, Restore}
    known |= {type(command) for command in ADMINISTRATION} | {RecoverVault, PurgeVault}
    known |= set(STORAGE_NEEDS)  # asked for in test_storage_accounts
    there_are = {
        kind
        for module in (commands, history_commands, rule_commands, storage_commands)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Command) and kind is not Command
    }
    # What is malformed is authorized as the command that it would have been.
    assert known == there_are - {Malformed}


# --- the eight permissions ----------------------------------------------------------------------


@pytest.mark.parametrize("row", NEEDS, ids=KINDS)
def test_a_command_works_with_its_one_permission_and_with_no_other(life: Life, row: Needs) -> None:
    with_secrets(life)
    life.allow(*(ALL - {row.permission}))
    life.refuses("access.denied", row.ask(row.works_on), BOB)
    life.allow(row.permission)
    life(row.ask(row.works_on), BOB)


def test_a_restore_works_with_its_one_permission_and_with_no_other(life: Life) -> None:
    blob = with_secrets(life)
    life.allow(*(ALL - {"restore"}))
    life.refuses("access.denied", RestoreSecret(blob=blob), BOB)
    life.refuses("access.denied", RestoreSecret(blob=b"not a blob"), BOB)
    life.allow("restore")
    assert life(RestoreSecret(blob=blob), BOB).name == "free"


@pytest.mark.parametrize("row", NEEDS, ids=KINDS)
def test_who_is_denied_cannot_tell_what_exists(life: Life, row: Needs) -> None:
    with_secrets(life)
    life.allow(*(ALL - {row.permission}))
    names = ("active", "deleted", "free", "never-was", "no name", "")
    [said] = {str(life.refuses("access.denied", row.ask(name), BOB)) for name in names}
    assert not any(name in said for name in ("active", "deleted", "free"))


@pytest.mark.parametrize("row", NEEDS, ids=KINDS)
def test_a_denied_request_reads_and_changes_nothing(life: Life, row: Needs) -> None:
    with_secrets(life)
    before = life(ListSecrets()), life(ListDeletedSecrets())
    size = life.vault.access.head().size
    life.refuses("access.denied", row.ask(row.works_on), MALLORY)
    [trace] = life.traces()[size:]
    assert trace.context.outcome == "access.denied"
    assert (life(ListSecrets()), life(ListDeletedSecrets())) == before


def test_who_has_no_policy_may_do_nothing(life: Life) -> None:
    life.set("db")
    life.refuses("access.denied", GetSecret(name="db"), BOB)
    life.refuses("access.denied", ListSecrets(), BOB)


def test_a_policy_of_another_principal_does_not_help(life: Life) -> None:
    life.set("db")
    life.allow("all")
    for name in ("BOB@example.com", "bob@example.com ", "bob"):
        other = Caller(principal=name, auth="test")
        life.refuses("access.denied", GetSecret(name="db"), other)


def test_storage_permissions_are_no_secret_permissions(life: Life) -> None:
    life.set("db")
    life(SetPolicy(object_id=BOB.principal, storage=("all",)))
    life.refuses("access.denied", GetSecret(name="db"), BOB)
    life(SetPolicy(object_id=BOB.principal, secrets=("get",)))
    [policy] = [one for one in life(ListPolicies()) if one.object_id == BOB.principal]
    assert (policy.secrets, len(policy.storage)) == (("get",), 14)


def test_a_policy_counts_in_its_own_vault(life: Life) -> None:
    life.allow("all")
    other = life.store.create_vault(ALICE, "other")
    other.handle(ALICE, SetSecret(name="db", value="v"))
    with pytest.raises(Exception, match="does not have secrets get permission on vault other"):
        other.handle(BOB, GetSecret(name="db"))


def test_a_policy_that_is_taken_away_no_longer_counts(life: Life) -> None:
    life.set("db")
    life.allow("get")
    assert life(GetSecret(name="db"), BOB).value == "a value"
    life(DeletePolicy(object_id=BOB.principal))
    life.refuses("access.denied", GetSecret(name="db"), BOB)
    life.refuses("policy.not-found", DeletePolicy(object_id=BOB.principal))


def test_a_narrower_policy_replaces_the_wider_one(life: Life) -> None:
    life.set("db")
    life.allow("all")
    life.allow("list")
    assert [item.name for item in life(ListSecrets(), BOB)] == ["db"]
    life.refuses("access.denied", GetSecret(name="db"), BOB)


# --- administrators -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ADMINISTRATION, ids=lambda command: type(command).__name__)
def test_only_an_administrator_governs_the_vault(life: Life, command: Command[Any]) -> None:
    life.set("active")
    life.allow("all", who=MALLORY)
    life.allow("all")
    life(SetPolicy(object_id=BOB.principal, storage=("all",)))
    life(BOUNDARY)
    life.refuses("access.not-administrator", command, BOB)
    life(DeletePolicy(object_id=ALICE.principal))
    life(command)


@pytest.mark.parametrize("command", [RecoverVault(), PurgeVault()], ids=["recover", "purge"])
def test_only_an_administrator_decides_on_a_deleted_vault(
    life: Life, command: Command[Any]
) -> None:
    life.allow("all")
    life(DeleteVault())
    life.refuses("access.not-administrator", command, BOB)
    life(command)


def test_only_an_administrator_asks_whose_hand_it_was_or_goes_back(life: Life) -> None:
    life.set("db")
    to = life.vault.changes.head().size
    life.set("db", "another value")
    life.allow("all")
    head = life.vault.changes.head().size
    back = Restore(plan=PlanRestore(to=to), head=head)
    life.refuses("access.not-administrator", Blame(name="db"), BOB)
    life.refuses("access.not-administrator", back, BOB)
    assert {fact.attribute for fact in life(Blame(name="db"))} >= {"value", "tags"}
    assert [step.action for step in life(back).steps] == ["value"]
    assert life.read("db") == "a value"


def test_an_administrator_reads_no_secret_without_a_policy(life: Life) -> None:
    life.set("db")
    life(DeletePolicy(object_id=ALICE.principal))
    for row in NEEDS:
        life.refuses("access.denied", row.ask("db"))


def test_administrators_can_be_changed_and_there_is_always_one(life: Life) -> None:
    life(UpdateVault(administrators=(BOB.principal,)))
    life.refuses("access.not-administrator", ShowVault())
    assert life(ShowVault(), BOB).administrators == (BOB.principal,)
    life.refuses("principal.invalid", UpdateVault(administrators=()), BOB)


def test_anybody_may_verify_and_it_is_recorded_who_did(life: Life) -> None:
    assert life(RecordVerification(changes=2, access=0), MALLORY) is None
    [trace] = life.traces()
    assert trace.context.principal == MALLORY.principal


# --- refusals are recorded ----------------------------------------------------------------------


@pytest.mark.parametrize("row", NEEDS, ids=KINDS)
def test_a_denied_request_is_recorded_with_who_what_and_why(life: Life, row: Needs) -> None:
    who = Caller(principal="eve", auth="token", address="192.0.2.7", agent="curl/8", request="r-17")
    command = row.ask("active")
    life.refuses("access.denied", command, who)
    last = life.traces()[-1]
    assert last.event.operation == command.records
    assert last.event.name == getattr(command, "name", "")
    assert last.event.at == life.vault.changes.head().size
    said = last.context
    assert (said.principal, said.auth, said.outcome) == ("eve", "token", "access.denied")
    assert (said.address, said.agent, said.request, said.rule) == (
        "192.0.2.7",
        "curl/8",
        "r-17",
        "",
    )


@pytest.mark.parametrize(
    ("code", "command"),
    [
        ("secret.not-found", GetSecret(name="nil", version="0" * 32)),
        ("secret.deleted-not-found", PurgeDeletedSecret(name="nil")),
        ("secret.disabled", GetSecret(name="off")),
        ("secret.is-deleted", SetSecret(name="gone", value="v")),
        ("value.too-large", SetSecret(name="db", value="x" * 25_601)),
        ("name.invalid", DeleteSecret(name="no_name")),
        ("version.invalid", GetSecret(name="off", version="0")),
        ("log.conflict", SetSecret(name="off", value="v", expected=0)),
        ("backup.invalid", RestoreSecret(blob=b"")),
        ("policy.not-found", DeletePolicy(object_id="nobody")),
        ("permission.unknown", SetPolicy(object_id="bob", secrets=("fly",))),
        ("principal.invalid", UpdateVault(administrators=())),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_every_other_refusal_is_recorded_too(life: Life, code: str, command: Command[Any]) -> None:
    life.set("off", enabled=False)
    life.set("gone")
    life.delete("gone")
    size = life.vault.access.head().size
    life.refuses(code, command)
    [trace] = life.traces()[size:]
    assert (trace.context.outcome, trace.context.principal) == (code, ALICE.principal)
    assert trace.event.operation == command.records
    assert trace.event.name == getattr(command, "name", "")
    assert trace.event.version == getattr(command, "version", "")


def test_one_reused_request_id_is_refused_and_recorded(life: Life) -> None:
    who = Caller(principal=ALICE.principal, auth="test", request="once")
    life(SetSecret(name="db", value="1"), who)
    life.refuses("request.id-reused", SetSecret(name="db", value="2"), who)
    assert life.traces()[-1].context.outcome == "request.id-reused"
    assert life.read("db") == "1"


def rows_of_policies(life: Life, put_back: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
    """The policies' rows as they lie on the disk, after those of *put_back* were put there."""
    environment = open_environment(life.vault.changes.path, create=False)
    table = environment.open_db(b"views.0", create=False)
    with environment.begin(write=True) as transaction:
        for place, sealed in (put_back or {}).items():
            transaction.put(place, sealed, db=table)
        rows = {
            bytes(place): bytes(sealed)
            for place, sealed in transaction.cursor(db=table)
            if place[16] in (Table.POLICIES, Table.LISTED)
        }
    environment.close()
    return rows


def test_after_a_rebuild_nobody_gets_in_by_a_policy_that_was_put_back(life: Life) -> None:
    life.set("db")
    life.allow("get")
    life.store.close()
    old = rows_of_policies(life)
    life.reopen()
    life(DeletePolicy(object_id=BOB.principal))
    life.store.close()
    rows_of_policies(life, old)
    life.reopen()
    assert life(GetSecret(name="db"), BOB).value  # the weakness that G6 tells of

    rebuilt = life.vault.rebuild()
    assert rebuilt.before != rebuilt.after
    life.refuses("access.denied", GetSecret(name="db"), BOB)


def test_who_is_no_administrator_makes_no_vault_of_the_past_of_one(life: Life) -> None:
    life.set("db")
    life.allow("all")
    with pytest.raises(NotAdministrator):
        life.store.restore_into(BOB, life.vault, life.vault.changes.head().size, "copied")
    assert life.store.vault_names() == ["test-vault"]
    assert life.traces()[-1].context.outcome == "access.not-administrator"
