"""A request id makes a retry harmless: carried out once, answered again, never a second meaning."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from eventstore.errors import RequestIdReused
from eventstore.rule_events import Subnet, TrustedService, VirtualNetwork
from support.vaults import ALICE, BOB, Clock, check_store, make_vault, open_store
from vault.caller import Caller
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    GetSecret,
    ImportSecrets,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.history_commands import ReadHistory
from vault.refusals import BackupErased, SecretNotFound
from vault.rule_commands import (
    AddNetworkRules,
    BindTrustedService,
    ChangePolicies,
    DeleteNetwork,
    DeletePolicy,
    Grant,
    ListPolicies,
    NetworkRules,
    RemoveNetworkRules,
    SetNetwork,
    SetPolicy,
    UnbindTrustedService,
    UpdateBoundary,
    UpdateVault,
)
from vault.service import Vault
from vault.store import Store


class Stage:
    """A vault with something in every state that a command needs, and a way to reopen it."""

    store: Store
    vault: Vault

    def __init__(self, home: Path) -> None:
        self.home, self.clock = home, Clock()
        self.store, self.vault = make_vault(home, self.clock)
        for name in ("active", "gone", "to-purge", "to-restore"):
            self.do(ALICE, SetSecret(name=name, value=f"value of {name}", tags={"a": "b"}))
        self.blob = self.do(ALICE, BackupSecret(name="to-restore")).blob
        self.other_blob = self.do(ALICE, BackupSecret(name="to-restore")).blob
        for name in ("gone", "to-purge", "to-restore"):
            self.do(ALICE, DeleteSecret(name=name))
        self.do(ALICE, PurgeDeletedSecret(name="to-restore"))
        self.do(ALICE, SetPolicy(object_id="carol", secrets=("get",)))
        self.do(
            ALICE,
            UpdateBoundary(
                ip_rules=("198.51.100.0/24",), networks=(NETWORK,), trusted_services=(BACKUP,)
            ),
        )

    def do(self, caller: Caller, command: Command[Any]) -> Any:
        return self.vault.handle(caller, command)

    def changes(self) -> int:
        return self.vault.changes.head().size

    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.home, self.clock)
        self.vault = self.store.vault()

    def copied_to(self, home: Path) -> Stage:
        """The same in another place, opened there; this one must be closed."""
        for place in ("store", "store.key"):
            shutil.copytree(self.home.with_name(place), home.with_name(place))
        there = copy(self)
        there.home, there.clock = home, Clock(self.clock.now)
        there.store = open_store(home, there.clock)
        there.vault = there.store.vault()
        return there


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    stage = Stage(tmp_path_factory.mktemp("built") / "store")
    stage.store.close()
    return stage


@pytest.fixture
def stage(built: Stage, tmp_path: Path) -> Iterator[Stage]:
    stage = built.copied_to(tmp_path / "store")
    yield stage
    stage.store.close()
    check_store(stage.home, stage.clock)


RETRY = replace(ALICE, request="0f8e5f44")

NETWORK = VirtualNetwork(
    id="/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n",
    subnets=(Subnet(name="web", ranges=("10.0.0.0/8",)),),
)
BACKUP = TrustedService(service="backup", object_id="b")
EVERYTHING = Grant(object_id=ALICE.principal, storage=("all",))

COMMANDS: dict[str, Command[Any]] = {
    "set": SetSecret(name="active", value="new", content_type="text/plain", tags={}, exp=4),
    "import": ImportSecrets(
        items=(SetSecret(name="one", value="1"), SetSecret(name="ONE", value="2", tags={"t": ""}))
    ),
    "update": UpdateSecret(name="active", enabled=False, tags=None, content_type="x", nbf=None),
    "delete": DeleteSecret(name="active"),
    "recover": RecoverDeletedSecret(name="gone"),
    "purge": PurgeDeletedSecret(name="to-purge"),
    "backup": BackupSecret(name="active"),
    "restore": RestoreSecret(blob=b"taken from the stage"),
    "set policy": SetPolicy(object_id="dave", secrets=("get", "LIST"), storage=("all",)),
    "delete policy": DeletePolicy(object_id="carol"),
    "update vault": UpdateVault(purge_protection=True, administrators=(ALICE.principal, "bob")),
    "update all of the vault": UpdateVault(
        sku="premium",
        policies=(Grant(object_id=ALICE.principal, secrets=("all",)),),
        boundary=NetworkRules(default_action="Deny"),
    ),
    "update nothing of the vault": UpdateVault(sku="standard"),
    "change policies": ChangePolicies(
        kind="remove", grants=(Grant(object_id="carol", secrets=("get",)), EVERYTHING)
    ),
    "update boundary": UpdateBoundary(default_action="Deny", bypass="None"),
    "add rules": AddNetworkRules(ip_rules=("203.0.113.9",)),
    "remove rules": RemoveNetworkRules(ip_rules=("198.51.100.0/24",)),
    "set network": SetNetwork(network=NETWORK),
    "delete network": DeleteNetwork(id=NETWORK.id),
    "bind": BindTrustedService(bound=TrustedService(service="storage", object_id="s")),
    "unbind": UnbindTrustedService(bound=BACKUP),
}
"""Every command that changes something, but the rotation of keys: that is carried out each time."""

DIFFERENT: dict[str, tuple[str, Command[Any]]] = {
    "another value": ("set", SetSecret(name="active", value="old")),
    "another name": ("set", replace(COMMANDS["set"], name="other")),
    "other tags": ("set", replace(COMMANDS["set"], tags={"a": "b"})),
    "another content type": ("set", replace(COMMANDS["set"], content_type=None)),
    "another expiry": ("set", replace(COMMANDS["set"], exp=5)),
    "disabled": ("set", replace(COMMANDS["set"], enabled=False)),
    "one more item": (
        "import",
        ImportSecrets(items=(*COMMANDS["import"].items, SetSecret(name="two", value="2"))),  # type: ignore[attr-defined]
    ),
    "one item less": ("import", ImportSecrets(items=COMMANDS["import"].items[:1])),  # type: ignore[attr-defined]
    "enabled, not disabled": ("update", replace(COMMANDS["update"], enabled=True)),
    "tags kept, not cleared": ("update", UpdateSecret(name="active", enabled=False)),
    "tags changed, not cleared": ("update", replace(COMMANDS["update"], tags={"c": "d"})),
    "type cleared, not changed": ("update", replace(COMMANDS["update"], content_type=None)),
    "a date besides": ("update", replace(COMMANDS["update"], exp=7)),
    "another version": ("update", replace(COMMANDS["update"], version="0" * 32)),
    "another deletion": ("delete", DeleteSecret(name="gone")),
    "another recovery": ("recover", RecoverDeletedSecret(name="to-purge")),
    "another purge": ("purge", PurgeDeletedSecret(name="gone")),
    "another backup": ("backup", BackupSecret(name="gone")),
    "another blob": ("restore", RestoreSecret(blob=b"the other one")),
    "fewer permissions": ("set policy", SetPolicy(object_id="dave", secrets=("get",))),
    "no permissions": ("set policy", SetPolicy(object_id="dave", secrets=(), storage=())),
    "another principal's policy": ("set policy", replace(COMMANDS["set policy"], object_id="e")),
    "another policy's end": ("delete policy", DeletePolicy(object_id=ALICE.principal)),
    "other administrators": ("update vault", UpdateVault(administrators=(ALICE.principal,))),
    "no protection": ("update vault", replace(COMMANDS["update vault"], purge_protection=False)),
    "other rules": ("add rules", AddNetworkRules(ip_rules=("203.0.113.8",))),
    "a rule more": ("add rules", AddNetworkRules(ip_rules=("203.0.113.9", "203.0.113.8"))),
    "the rule's end": ("add rules", RemoveNetworkRules(ip_rules=("203.0.113.9",))),
    "another default": ("update boundary", UpdateBoundary(default_action="Allow", bypass="None")),
    "another kind of change": ("change policies", replace(COMMANDS["change policies"], kind="add")),
    "policies left as they are": (
        "update all of the vault",
        replace(COMMANDS["update all of the vault"], policies=UNSET),
    ),
    "no boundary": (
        "update all of the vault",
        replace(COMMANDS["update all of the vault"], boundary=UNSET),
    ),
    "a set, not an update": ("update", SetSecret(name="active", value="new")),
    "a deletion, not a recovery": ("recover", DeleteSecret(name="gone")),
}
"""What may not hide behind the id of which command."""


def on(stage: Stage, command: Command[Any]) -> Command[Any]:
    """*command*, with a blob of the stage's where one is needed."""
    if isinstance(command, RestoreSecret):
        first = command == COMMANDS["restore"]
        return RestoreSecret(blob=stage.blob if first else stage.other_blob)
    return command


def told(answer: Any) -> Any:
    """What an answer tells: a blob is sealed anew, and the sizes of logs move by looking."""
    for name in ("blob", "access", "checkpoints"):
        if name in getattr(answer, "__struct_fields__", ()):
            answer = replace(answer, **{name: type(getattr(answer, name))()})
    return answer


@pytest.mark.parametrize("reopened", [False, True], ids=["at once", "after reopening"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_request_that_comes_again_is_carried_out_once_and_answered_alike(
    stage: Stage, command: Command[Any], reopened: bool
) -> None:
    first = stage.do(RETRY, on(stage, command))
    size = stage.changes()
    if reopened:
        stage.reopen()
    again = [stage.do(RETRY, on(stage, command)) for _ in range(2)]
    assert [told(answer) for answer in again] == [told(first)] * 2
    assert stage.changes() == size


@pytest.mark.parametrize(("recorded", "command"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_another_request_under_the_same_id_is_refused_and_the_refusal_recorded(
    stage: Stage, recorded: str, command: Command[Any]
) -> None:
    stage.do(RETRY, on(stage, COMMANDS[recorded]))
    size = stage.changes()
    with pytest.raises(RequestIdReused):
        stage.do(RETRY, on(stage, command))
    assert stage.changes() == size
    [refusal] = stage.do(ALICE, ReadHistory(outcome="request.id-reused"))
    assert (refusal.operation, refusal.principal) == (command.records, ALICE.principal)
    assert refusal.request == RETRY.request


def test_another_principal_may_use_the_same_id_for_something_else(stage: Stage) -> None:
    stage.do(ALICE, SetPolicy(object_id=BOB.principal, secrets=("all",)))
    stage.do(RETRY, SetSecret(name="mine", value="alice's"))
    stage.do(replace(BOB, request=RETRY.request), SetSecret(name="his", value="bob's"))
    assert stage.do(ALICE, GetSecret(name="mine")).value == "alice's"
    assert stage.do(ALICE, GetSecret(name="his")).value == "bob's"


def test_the_same_id_in_another_vault_is_another_request(stage: Stage) -> None:
    other = stage.store.create_vault(ALICE, "other-vault")
    stage.do(RETRY, SetSecret(name="one", value="1"))
    other.handle(RETRY, SetSecret(name="one", value="2"))
    assert other.handle(ALICE, GetSecret(name="one")).value == "2"


def test_a_refused_request_may_be_tried_again_with_its_id(stage: Stage) -> None:
    with pytest.raises(SecretNotFound):
        stage.do(RETRY, DeleteSecret(name="later"))
    stage.do(ALICE, SetSecret(name="later", value="x"))
    assert stage.do(RETRY, DeleteSecret(name="later")).name == "later"


def test_a_retry_by_one_who_may_no_longer_is_refused(stage: Stage) -> None:
    bob = replace(BOB, request="7")
    stage.do(ALICE, SetPolicy(object_id=BOB.principal, secrets=("backup",)))
    stage.do(bob, BackupSecret(name="active"))
    stage.do(ALICE, DeletePolicy(object_id=BOB.principal))
    with pytest.raises(Exception, match="permission") as refusal:
        stage.do(bob, BackupSecret(name="active"))
    assert refusal.value.code == "access.denied"  # type: ignore[attr-defined]


def test_a_read_is_recorded_each_time_even_under_one_id(stage: Stage) -> None:
    before = stage.vault.access.head().size
    for _ in range(3):
        stage.do(RETRY, GetSecret(name="active"))
    assert stage.vault.access.head().size == before + 3


def test_a_retry_after_the_clock_stepped_back_is_still_the_same_request(stage: Stage) -> None:
    stage.clock.advance(seconds=-3600)
    first = stage.do(RETRY, COMMANDS["import"])
    stage.clock.advance(seconds=-3600)
    assert stage.do(RETRY, COMMANDS["import"]) == first


def test_an_import_of_nothing_changes_nothing(stage: Stage) -> None:
    size = stage.changes()
    assert stage.do(RETRY, ImportSecrets(items=())).items == ()
    assert stage.changes() == size


def test_an_update_of_the_current_version_does_not_hide_behind_one_of_an_old_version(
    stage: Stage,
) -> None:
    old = stage.do(ALICE, GetSecret(name="active")).version
    new = stage.do(ALICE, SetSecret(name="active", value="new")).version
    stage.do(RETRY, UpdateSecret(name="active", version=old, exp=7))
    with pytest.raises(RequestIdReused):
        stage.do(RETRY, UpdateSecret(name="active", exp=7))
    again = replace(ALICE, request="another")
    stage.do(again, UpdateSecret(name="active", exp=8))
    stage.do(ALICE, SetSecret(name="active", value="newer"))
    assert stage.do(again, UpdateSecret(name="active", exp=8)).version == new


# --- after a purge --------------------------------------------------------------------------------


def test_a_purged_value_does_not_come_back_by_a_retry_of_its_set(stage: Stage) -> None:
    command = SetSecret(name="short-lived", value="s3cret")
    stage.do(RETRY, command)
    stage.do(ALICE, DeleteSecret(name="short-lived"))
    stage.do(ALICE, PurgeDeletedSecret(name="short-lived"))
    with pytest.raises(RequestIdReused):
        stage.do(RETRY, command)
    with pytest.raises(SecretNotFound):
        stage.do(ALICE, GetSecret(name="short-lived"))


def test_a_purge_that_comes_again_has_the_same_receipt_though_the_name_is_in_use(
    stage: Stage,
) -> None:
    first = stage.do(RETRY, PurgeDeletedSecret(name="to-purge"))
    stage.do(ALICE, SetSecret(name="to-purge", value="a new life"))
    stage.do(ALICE, DeleteSecret(name="to-purge"))
    assert stage.do(RETRY, PurgeDeletedSecret(name="to-purge")) == first
    assert [one.name for one in stage.do(ALICE, ListDeletedSecrets())] == ["gone", "to-purge"]


def test_a_purge_of_the_backups_too_does_not_hide_behind_a_purge_that_left_them(
    stage: Stage,
) -> None:
    blob = stage.do(ALICE, BackupSecret(name="active")).blob
    stage.do(ALICE, DeleteSecret(name="active"))
    assert stage.do(RETRY, PurgeDeletedSecret(name="active")).open_backups
    with pytest.raises(RequestIdReused):
        stage.do(RETRY, PurgeDeletedSecret(name="active", backups=True))
    assert stage.do(ALICE, RestoreSecret(blob=blob)).name == "active"


@pytest.mark.parametrize("backed_up", [False, True])
def test_a_purge_with_all_backups_may_be_tried_again(stage: Stage, backed_up: bool) -> None:
    if backed_up:
        stage.do(ALICE, RecoverDeletedSecret(name="to-purge"))
        stage.do(ALICE, BackupSecret(name="to-purge"))
        stage.do(ALICE, DeleteSecret(name="to-purge"))
    command = PurgeDeletedSecret(name="to-purge", backups=True)
    assert stage.do(RETRY, command) == stage.do(RETRY, command)


def test_a_purge_with_all_backups_may_be_tried_again_though_another_vault_issued_one(
    stage: Stage,
) -> None:
    other = stage.store.create_vault(ALICE, "other-vault")
    other.handle(ALICE, RestoreSecret(blob=stage.blob))
    other.handle(ALICE, DeleteSecret(name="to-restore"))
    command = PurgeDeletedSecret(name="to-restore", backups=True)
    assert other.handle(RETRY, command) == other.handle(RETRY, command)


def test_a_backup_that_comes_again_holds_what_the_first_one_held(stage: Stage) -> None:
    first = stage.do(RETRY, BackupSecret(name="active"))
    stage.do(ALICE, SetSecret(name="active", value="newer"))
    again = stage.do(RETRY, BackupSecret(name="active"))
    assert again.versions == first.versions == 1
    stage.do(ALICE, DeleteSecret(name="active"))
    stage.do(ALICE, PurgeDeletedSecret(name="active"))
    stage.do(ALICE, RestoreSecret(blob=again.blob))
    assert len(stage.do(ALICE, ListSecretVersions(name="active"))) == 1
    assert stage.do(ALICE, GetSecret(name="active")).value == "value of active"


def test_a_retry_of_a_backup_never_holds_a_later_life_of_the_name(stage: Stage) -> None:
    # Such a blob would be under a key that the later life's purge does not know of.
    stage.do(RETRY, BackupSecret(name="active"))
    stage.do(ALICE, DeleteSecret(name="active"))
    stage.do(ALICE, PurgeDeletedSecret(name="active"))
    stage.do(ALICE, SetSecret(name="active", value="a new life"))
    with pytest.raises(SecretNotFound):
        stage.do(RETRY, BackupSecret(name="active"))


def test_a_restore_that_comes_again_says_so_when_the_backup_was_destroyed_since(
    stage: Stage,
) -> None:
    blob = stage.do(ALICE, BackupSecret(name="active")).blob
    stage.do(ALICE, DeleteSecret(name="active"))
    stage.do(ALICE, PurgeDeletedSecret(name="active", backups=True))
    with pytest.raises(BackupErased):
        stage.do(RETRY, RestoreSecret(blob=blob))


def test_a_retry_touches_nothing_else(stage: Stage) -> None:
    stage.do(RETRY, SetSecret(name="active", value="new"))
    before = stage.do(ALICE, ListSecrets()), stage.do(ALICE, ListPolicies())
    stage.do(RETRY, SetSecret(name="active", value="new"))
    assert (stage.do(ALICE, ListSecrets()), stage.do(ALICE, ListPolicies())) == before
