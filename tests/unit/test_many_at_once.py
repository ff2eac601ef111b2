"""Many requests in one turn: each answered as if it came alone, with one commit of each log."""

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from eventstore.errors import LogUnavailable, MunimentError, RequestIdReused, SealBroken
from eventstore.event import SecretContent
from eventstore.transaction import Append, Snapshot
from projections.rows import Secret, secret_key
from projections.state import State
from support.vaults import ALICE, Clock, check_store, make_vault
from vault.answers import SecretBundle
from vault.caller import Caller
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ListSecrets,
    Malformed,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    SetSecret,
)
from vault.history_commands import ReadHistory, WhoRead
from vault.looking import Looking
from vault.refusals import (
    AccessDenied,
    BadParameter,
    DeletedSecretNotFound,
    NameInvalid,
    SecretNotFound,
)
from vault.resolving import Seen
from vault.rule_commands import DeletePolicy, DescribeVault, SetPolicy
from vault.service import Vault
from vault.together import Ask

HOME = "store"
MALLORY = Caller(principal="mallory@example.com", auth="test")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(tmp_path: Path, clock: Clock):
    store, vault = make_vault(tmp_path / HOME, clock)
    with store:
        yield vault
    check_store(tmp_path / HOME, clock)


def together(vault: Vault, *commands: Command, caller: Caller = ALICE) -> list:
    return vault.handle_all([Ask(caller, command) for command in commands])


def commits(vault: Vault) -> tuple[int, int]:
    logs = (vault.changes, vault.access)
    changes, access = (log._open_environment().info()["last_txnid"] for log in logs)
    return changes, access


def test_many_sets_and_reads_take_one_commit_of_each_log(vault: Vault) -> None:
    before = commits(vault)
    sets = [SetSecret(name=f"s{number}", value=f"v{number}") for number in range(20)]
    gets = [GetSecret(name=f"s{number}") for number in range(20)]
    answers = together(vault, *gets, *sets)
    assert [one.value for one in answers[:20]] == [f"v{number}" for number in range(20)]
    assert all(isinstance(one, SecretBundle) for one in answers)
    assert commits(vault) == (before[0] + 1, before[1] + 1)


def test_a_refusal_hurts_nobody_else_and_is_recorded(vault: Vault) -> None:
    answers = vault.handle_all(
        [
            Ask(ALICE, SetSecret(name="kept", value="v")),
            Ask(MALLORY, SetSecret(name="kept", value="stolen")),
            Ask(ALICE, SetSecret(name="no_name", value="v")),
            Ask(MALLORY, GetSecret(name="kept")),
            Ask(ALICE, GetSecret(name="absent")),
            Ask(ALICE, GetSecret(name="kept")),
        ]
    )
    kinds = [type(answer) for answer in answers]
    assert kinds == [
        SecretBundle,
        AccessDenied,
        NameInvalid,
        AccessDenied,
        SecretNotFound,
        SecretBundle,
    ]
    assert answers[5].value == "v"
    items = vault.handle(ALICE, ReadHistory(logs=("access",)))
    assert [item.outcome for item in items] == [
        "access.denied",
        "name.invalid",
        "access.denied",
        "secret.not-found",
        "ok",
    ]


def test_what_cannot_be_read_is_authorized_before_it_is_refused(vault: Vault) -> None:
    asked = Malformed(kind=SetSecret, name="s", problem=BadParameter("no JSON"))
    denied, bad = vault.handle_all([Ask(MALLORY, asked), Ask(ALICE, asked)])
    assert isinstance(denied, AccessDenied)
    assert isinstance(bad, BadParameter)
    items = vault.handle(ALICE, ReadHistory(logs=("access",)))
    assert [(item.outcome, item.operation) for item in items] == [
        ("access.denied", "secret.set"),
        ("parameter.invalid", "secret.set"),
    ]


def test_who_sees_how_a_vault_is_set_up_need_not_ask_well_to_be_let_in(vault: Vault) -> None:
    """Judged as what he asks for: with others of one turn, or alone."""
    bob = Caller(principal="bob", auth="test", store_administrator=True)
    bad = Malformed(kind=DescribeVault, problem=BadParameter("no JSON"))
    with pytest.raises(BadParameter):
        vault.handle(bob, bad)
    described, refused = together(vault, DescribeVault(), bad, caller=bob)
    assert (described.name, type(refused)) == ("test-vault", BadParameter)


def test_a_question_about_the_past_that_cannot_be_read_is_refused_as_such(vault: Vault) -> None:
    with pytest.raises(BadParameter):
        vault.handle(ALICE, Malformed(kind=WhoRead, problem=BadParameter("no JSON")))


def test_reads_ask_nothing_of_a_keyring_that_they_hold(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else they could wait for root.lock while whoever has it waits for them."""
    together(vault, SetSecret(name="s", value="v"))
    held: list[str] = []
    look, at_once = vault._keyring._look, vault._keyring.at_once

    @contextmanager
    def holding():
        with at_once() as keys:
            held.append("held")
            yield keys
            held.remove("held")

    def looked(find):
        assert not held
        return look(find)

    monkeypatch.setattr(vault._keyring, "at_once", holding)
    monkeypatch.setattr(vault._keyring, "_look", looked)
    vault.views._known = None  # as after a rebuild: the keys of the views are fetched anew
    assert together(vault, GetSecret(name="s"))[0].value == "v"


def test_what_needs_more_than_a_place_in_a_commit_is_done_too(vault: Vault) -> None:
    together(vault, SetSecret(name="s", value="v"), BackupSecret(name="s"))
    gone, deleted, purged, policy = together(
        vault,
        DeleteSecret(name="s"),
        GetDeletedSecret(name="s"),
        PurgeDeletedSecret(name="s"),
        SetPolicy(object_id="bob", secrets=("get",)),
    )
    assert gone.deletion is not None
    assert deleted.name == "s"
    assert purged.receipt > purged.position
    assert policy.object_id == "bob"


def test_what_is_overdue_is_done_before_the_answers(vault: Vault, clock: Clock) -> None:
    together(vault, SetSecret(name="old", value="v"), DeleteSecret(name="old"))
    clock.advance(seconds=91 * 86_400)
    absent, there, listed = together(
        vault, GetDeletedSecret(name="old"), SetSecret(name="new", value="v"), ListSecrets()
    )
    assert isinstance(absent, MunimentError)
    assert there.name == "new"
    assert [one.name for one in listed] == ["new"]


def test_nothing_is_given_out_that_cannot_be_recorded(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.handle(ALICE, SetSecret(name="s", value="v"))

    def full(*_: object) -> None:
        raise LogUnavailable("no space")

    monkeypatch.setattr(vault.access, "transact", full)
    written, read, refused = together(
        vault, SetSecret(name="t", value="w"), GetSecret(name="s"), GetSecret(name="absent")
    )
    monkeypatch.undo()
    assert written.version
    assert isinstance(read, LogUnavailable)
    assert isinstance(refused, LogUnavailable)


def test_one_id_for_two_things_is_refused(vault: Vault) -> None:
    caller = replace(ALICE, request="session-1")
    first, again, other = together(
        vault,
        SetSecret(name="s", value="v"),
        SetSecret(name="s", value="v"),
        SetSecret(name="s", value="w"),
        caller=caller,
    )
    assert first.version == again.version
    assert isinstance(other, RequestIdReused)


def test_a_shared_id_stands_with_all_that_a_client_does_and_refuses_none_of_it(
    vault: Vault,
) -> None:
    """Also where the vault needs more than a place in a commit, as for a purge."""
    client = replace(ALICE, request="session-1", shared=True)
    asked: list[Command] = [
        SetSecret(name="s", value="v"),
        SetSecret(name="s", value="v"),
        SetSecret(name="s", value="w"),
        BackupSecret(name="s"),
        DeleteSecret(name="s"),
        PurgeDeletedSecret(name="s"),
        SetSecret(name="t", value="v"),
    ]
    first, again, other, *rest = [together(vault, one, caller=client)[0] for one in asked]
    assert first.version == again.version != other.version
    assert not [one for one in rest if isinstance(one, Exception)]
    items = vault.handle(ALICE, ReadHistory())
    assert [item for item in items if item.outcome != "ok"] == [], "nothing was refused"
    assert {item.request for item in items if item.operation.startswith("secret.")} == {"session-1"}


def test_a_value_that_does_not_open_is_the_trouble_of_who_asked_for_it(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        vault.handle(ALICE, SetSecret(name=name, value=name))
    at = vault.changes.head().size - 2
    content = Snapshot.content

    def damaged(snapshot: Snapshot, position: int, key: int) -> SecretContent:
        if position == at:
            raise SealBroken
        return content(snapshot, position, key)

    monkeypatch.setattr(Snapshot, "content", damaged)
    broken, whole = together(vault, GetSecret(name="a"), GetSecret(name="b"))
    monkeypatch.undo()
    assert isinstance(broken, SealBroken)
    assert whole.value == "b"


def test_what_cannot_be_read_is_refused_also_when_something_is_overdue(
    vault: Vault, clock: Clock
) -> None:
    together(vault, SetSecret(name="old", value="v"), DeleteSecret(name="old"))
    clock.advance(seconds=91 * 86_400)
    asked = Malformed(kind=SetSecret, name="s", problem=BadParameter("no JSON"))
    denied, bad = vault.handle_all([Ask(MALLORY, asked), Ask(ALICE, asked)])
    assert isinstance(denied, AccessDenied)
    assert isinstance(bad, BadParameter)


# --- what the changes of a turn share -----------------------------------------------------------


def among(vault: Vault, monkeypatch: pytest.MonkeyPatch, work: Callable[[Append], object]) -> None:
    """Have *work* done behind the first change of a turn, as if another thread had brought it."""
    real = vault.changes.transact_all

    def mixed(works: Iterable[Callable[[Append], object]]) -> list:
        first, *others = works
        tickets = real([first, work, *others])
        return [tickets[0], *tickets[2:]]

    monkeypatch.setattr(vault.changes, "transact_all", mixed)


def test_the_changes_of_a_turn_are_judged_by_one_look_at_the_rules(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Snapshot] = []
    real = vault.looking

    def looking(snapshot: Snapshot) -> Looking:
        looks.append(snapshot)
        return real(snapshot)

    monkeypatch.setattr(vault, "looking", looking)
    answers = together(vault, *(SetSecret(name=f"s{number}", value="v") for number in range(9)))
    assert [answer.name for answer in answers] == [f"s{number}" for number in range(9)]
    assert len(looks) == 1


def test_a_policy_that_is_taken_away_amid_a_turn_lets_nobody_in_behind_it(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.handle(ALICE, SetPolicy(object_id=MALLORY.principal, secrets=("set",)))
    taken = DeletePolicy(object_id=MALLORY.principal)
    among(vault, monkeypatch, lambda append: vault.carry_out(append, ALICE, taken, Seen()))
    answers = together(
        vault, SetSecret(name="a", value="v"), SetSecret(name="b", value="v"), caller=MALLORY
    )
    assert isinstance(answers[0], SecretBundle)
    assert isinstance(answers[1], AccessDenied)


def test_what_falls_due_amid_a_turn_is_done_before_the_changes_behind_it(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.handle(ALICE, SetSecret(name="gone", value="v"))
    vault.handle(ALICE, DeleteSecret(name="gone"))
    purged = PurgeDeletedSecret(name="gone")
    among(vault, monkeypatch, lambda append: vault.carry_out(append, ALICE, purged, Seen()))
    answers = together(vault, SetSecret(name="a", value="v"), SetSecret(name="gone", value="new"))
    assert answers[1].value == "new"
    kinds = [type(entry.event).__name__ for entry in entries(vault)]
    assert kinds[-4:] == ["SecretSet", "SecretPurged", "KeysErased", "SecretSet"]


def test_a_retention_that_ends_amid_a_turn_is_over_for_the_changes_behind_it(
    vault: Vault, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.handle(ALICE, SetSecret(name="gone", value="v"))
    vault.handle(ALICE, DeleteSecret(name="gone"))
    among(vault, monkeypatch, lambda _: clock.advance(days=91))
    answers = together(vault, SetSecret(name="a", value="v"), RecoverDeletedSecret(name="gone"))
    assert isinstance(answers[1], DeletedSecretNotFound)


def test_changes_behind_a_rebuild_see_the_new_views(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = vault.views

    def rebuilt(append: Append) -> None:
        live = views.pointer(append.transaction)
        fresh = replace(live, generation=live.generation + 1)
        rows = State().fold(append.entries(0, append.size))
        views.generation(append.transaction, fresh).fill(rows.items())
        views.swap(append.transaction, fresh)
        views.clear(append.transaction, live)
        append.touch()

    among(vault, monkeypatch, rebuilt)
    before, _ = commits(vault)
    answers = together(
        vault,
        SetSecret(name="s", value="one"),
        SetSecret(name="s", value="two", expected=2),
        SetSecret(name="s", value="three", expected=3),
    )
    assert [answer.value for answer in answers] == ["one", "two", "three"]
    assert commits(vault)[0] == before + 1  # and not each alone, after they had failed together
    assert vault.handle(ALICE, GetSecret(name="s")).value == "three"


def test_a_refused_change_teaches_the_next_snapshot_nothing(vault: Vault) -> None:
    vault.handle(ALICE, SetSecret(name="s", value="v"))

    def write_and_fail(append: Append) -> None:
        vault.carry_out(append, ALICE, DeleteSecret(name="s"), Seen())
        raise SecretNotFound

    with pytest.raises(SecretNotFound):
        vault.changes.transact(write_and_fail)
    assert vault.handle(ALICE, GetSecret(name="s")).value == "v"


def test_a_snapshot_that_was_begun_before_a_change_stays_as_it_was(vault: Vault) -> None:
    vault.handle(ALICE, SetSecret(name="s", value="v"))
    with vault.changes.snapshot() as before:
        assert name_in(vault, before).deleted_date is None
        vault.handle(ALICE, DeleteSecret(name="s"))
        with vault.changes.snapshot() as after:
            assert name_in(vault, after).deleted_date is not None
        assert name_in(vault, before).deleted_date is None


def test_a_snapshot_amid_a_change_sees_nothing_of_it_nor_hides_it(vault: Vault) -> None:
    vault.handle(ALICE, SetSecret(name="s", value="v"))

    def look_and_fail(append: Append) -> None:
        vault.carry_out(append, ALICE, DeleteSecret(name="s"), Seen())
        with vault.changes.snapshot() as outside:
            assert outside.size == append.size - 1
            vault.views.reader(outside.transaction)  # of the state that the change began with
        assert name_in(vault, append).deleted_date is not None
        raise SecretNotFound

    with pytest.raises(SecretNotFound):
        vault.changes.transact(look_and_fail)
    assert vault.handle(ALICE, GetSecret(name="s")).value == "v"


def test_rows_are_read_once_for_all_snapshots_of_one_state(vault: Vault) -> None:
    vault.handle(ALICE, SetSecret(name="s", value="v"))
    with vault.changes.snapshot() as one:
        first = name_in(vault, one)
    with vault.changes.snapshot() as two:
        assert name_in(vault, two) is first
    vault.handle(ALICE, DeleteSecret(name="s"))
    with vault.changes.snapshot() as three:
        assert name_in(vault, three) != first


def name_in(vault: Vault, snapshot: Snapshot) -> Secret:
    found = vault.views.reader(snapshot.transaction).get(secret_key("s"), Secret)
    assert found is not None
    return found


def entries(vault: Vault) -> list:
    with vault.changes.snapshot() as snapshot:
        return list(snapshot.entries())
