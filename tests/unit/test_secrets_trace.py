"""Every read leaves a trace, and the trace is there before the answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.access_events import (
    DeletedSecretRead,
    DeletedSecretsListed,
    HistoryRead,
    SecretRead,
    SecretsListed,
    SecretVersionsListed,
    VaultRead,
)
from eventstore.errors import LogUnavailable, MunimentError
from eventstore.record import Entry
from eventstore.rule_events import PolicySet
from support.life import Life, life_in
from support.vaults import ALICE, BOB
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
    RestoreSecret,
    SetSecret,
)
from vault.history_commands import ReadHistory
from vault.refusals import SecretExists, SecretIsDeleted
from vault.rule_commands import ListPolicies, ShowVault


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


READS: list[Command[Any]] = [
    GetSecret(name="db"),
    GetDeletedSecret(name="gone"),
    ListSecrets(),
    ListSecretVersions(name="db"),
    ListDeletedSecrets(),
    ListPolicies(),
    ReadHistory(),
    ShowVault(),
]


def named(command: Command[Any]) -> str:
    return type(command).__name__


def trace_of(life: Life, command: Command[Any], caller: Caller = ALICE) -> Entry[Any]:
    """The one record that *command* leaves in `access`."""
    size = life.vault.access.head().size
    life(command, caller)
    [trace] = life.traces()[size:]
    return trace


def with_secrets(life: Life) -> str:
    """A vault with `Db` and the deleted `Gone`; give the latest version of `Db`."""
    life.set("Db", "old")
    life.set("Gone")
    life.delete("gone")
    return life.set("db", "new").version


def test_a_read_is_recorded_with_name_and_version_as_given_out(life: Life) -> None:
    version = with_secrets(life)
    at = life.vault.changes.head().size
    expected = SecretRead(name="Db", version=version, at=at)
    assert trace_of(life, GetSecret(name="dB")).event == expected
    assert trace_of(life, GetSecret(name="db", version=version.upper())).event == expected


def test_every_list_is_recorded_with_how_many_it_gave_out(life: Life) -> None:
    with_secrets(life)
    at = life.vault.changes.head().size
    assert trace_of(life, ListSecrets()).event == SecretsListed(at=at, count=1)
    assert trace_of(life, ListSecrets(after="Z")).event == SecretsListed(at=at, count=0)
    assert trace_of(life, ListDeletedSecrets()).event == DeletedSecretsListed(at=at, count=1)
    versions = SecretVersionsListed(name="db", at=at, count=2)
    assert trace_of(life, ListSecretVersions(name="db")).event == versions
    one = SecretVersionsListed(name="db", at=at, count=1)
    assert trace_of(life, ListSecretVersions(name="db", limit=1)).event == one


def test_every_other_look_is_recorded_as_well(life: Life) -> None:
    with_secrets(life)
    at = life.vault.changes.head().size
    gone = trace_of(life, GetDeletedSecret(name="GONE")).event
    assert gone == DeletedSecretRead(name="Gone", at=at)
    assert trace_of(life, ListPolicies()).event == VaultRead(what="policies", at=at)
    assert trace_of(life, ShowVault()).event == VaultRead(what="settings", at=at)
    history = trace_of(life, ReadHistory(name="db", logs=("changes",))).event
    assert history == HistoryRead(at=at, count=2, name="db")


@pytest.mark.parametrize("command", READS, ids=named)
def test_a_read_says_at_which_position_of_changes_it_was_answered(
    life: Life, command: Command[Any]
) -> None:
    with_secrets(life)
    first = trace_of(life, command).event.at
    assert first == life.vault.changes.head().size
    life.set("another")
    assert trace_of(life, command).event.at == first + 1


@pytest.mark.parametrize("command", READS, ids=named)
def test_a_read_names_who_asked_and_from_where(life: Life, command: Command[Any]) -> None:
    with_secrets(life)
    who = Caller(
        principal=ALICE.principal, auth="token", address="192.0.2.7", agent="sdk", request="r-1"
    )
    said = trace_of(life, command, who).context
    assert (said.principal, said.auth, said.outcome) == (ALICE.principal, "token", "ok")
    assert (said.address, said.agent, said.request) == ("192.0.2.7", "sdk", "r-1")


@pytest.mark.parametrize("command", READS[:5], ids=named)
def test_a_read_names_the_policy_that_allowed_it_by_its_position(
    life: Life, command: Command[Any]
) -> None:
    with_secrets(life)
    life.allow("set")
    for _ in range(2):
        position = life.allow("get", "list")
        rule = trace_of(life, command, BOB).context.rule
        assert rule == f"policy #{position}"
        policy = life.changes()[position].event
        assert isinstance(policy, PolicySet)
        assert (policy.object_id, set(policy.secrets)) == (BOB.principal, {"get", "list"})


@pytest.mark.parametrize("command", READS[5:], ids=named)
def test_what_an_administrator_may_see_is_recorded_as_an_administrators(
    life: Life, command: Command[Any]
) -> None:
    with_secrets(life)
    assert trace_of(life, command).context.rule == "administrator"


def test_a_change_names_the_policy_that_allowed_it(life: Life) -> None:
    position = life.allow("set", "delete", "backup")
    changes: list[Command[Any]] = [
        SetSecret(name="db", value="v"),
        BackupSecret(name="db"),
        DeleteSecret(name="db"),
    ]
    for command in changes:
        life(command, BOB)
        said = life.changes()[-1].context
        assert (said.principal, said.rule) == (BOB.principal, f"policy #{position}")


@pytest.mark.parametrize("command", READS, ids=named)
def test_nothing_is_given_out_that_cannot_be_recorded(
    life: Life, command: Command[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_secrets(life)

    def full(*_: object) -> None:
        raise LogUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(life.vault.access, "transact", full)
        with pytest.raises(MunimentError) as caught:
            life(command)
    assert caught.value.code == "log.not-recorded"
    trace_of(life, command)


def test_a_refusal_that_cannot_be_recorded_tells_nothing(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LogUnavailable("the disk is full")

    life.set("off", enabled=False)
    with monkeypatch.context() as patch:
        patch.setattr(life.vault.access, "transact", full)
        for name in ("off", "nil"):
            with pytest.raises(MunimentError) as caught:
                life(GetSecret(name=name))
            assert caught.value.code == "log.not-recorded"


@pytest.mark.parametrize("command", READS, ids=named)
def test_the_trace_is_on_disk_before_the_answer(
    life: Life, command: Command[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_secrets(life)
    committed: list[int] = []
    transact = life.vault.access.transact

    def watched(work: Any) -> Any:
        result = transact(work)
        committed.append(life.vault.access.head().size)
        return result

    size = life.vault.access.head().size
    monkeypatch.setattr(life.vault.access, "transact", watched)
    life(command)
    assert committed == [size + 1]


@pytest.mark.parametrize("deleted", [False, True], ids=["active", "deleted"])
def test_a_refused_restore_names_the_secret_that_stood_in_its_way(
    life: Life, deleted: bool
) -> None:
    life.set("Db", "v")
    blob = life(BackupSecret(name="db")).blob
    if deleted:
        life(DeleteSecret(name="db"))

    with pytest.raises(SecretIsDeleted if deleted else SecretExists):
        life(RestoreSecret(blob=blob))

    assert life(ReadHistory(name="db"))[-1].operation == "secret.restored"


def test_a_refused_import_names_the_secret_that_stood_in_its_way(life: Life) -> None:
    life.set("db", "v")
    life(DeleteSecret(name="db"))
    items = tuple(SetSecret(name=name, value="v") for name in ("a", "db", "c"))

    with pytest.raises(SecretIsDeleted):
        life(ImportSecrets(items=items))

    last = life(ReadHistory(name="db"))[-1]
    assert (last.operation, last.outcome) == ("secret.set", "secret.is-deleted")


def test_changes_leave_no_trace_among_the_reads(life: Life) -> None:
    with_secrets(life)
    assert life.traces() == []
