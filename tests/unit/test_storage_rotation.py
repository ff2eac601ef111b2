"""Keys that get new values: by hand, by themselves, after a crash, and by two at once.

What the vault signs with is what the provider takes: each test ends by comparing the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from eventstore.storage_events import (
    StorageKeyRegenerated,
    StorageKeyRegenerating,
    StorageKeyRegenerationFailed,
    StorageKeysSynced,
)
from projections.rows import StorageAccount, storage_key
from support.other_process import server
from support.providers import OTHER, key, lost, refusing
from support.storage import DAY, Place, rotate_in_another_process, storage_place
from support.vaults import ALICE
from vault.caller import Caller
from vault.refusals import (
    ProviderRefused,
    ProviderUnavailable,
    StorageAccountNotFound,
    StorageBusy,
    StorageKeyNotFound,
)
from vault.service import Vault
from vault.storage_commands import (
    DeleteStorageAccount,
    GetStorageAccount,
    RecoverDeletedStorageAccount,
    RegenerateKey,
    SetStorageAccount,
    SyncStorageKeys,
    UpdateStorageAccount,
)

LEASE = 120
REGENERATE = RegenerateKey(name="shop", key_name="key2")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with storage_place(tmp_path / "store") as place:
        place.set_account()
        yield place
        assert known(place.vault) == place.provider.keys


def known(vault: Vault, name: str = "shop") -> dict[str, str]:
    """The keys that the vault would sign with."""
    with vault.changes.snapshot() as snapshot:
        rows = vault.views.reader(snapshot.transaction)
        account = rows.get(storage_key(name), StorageAccount)
        assert account is not None
        return snapshot.content(account.keys_at, account.key).keys or {}


def kinds(place: Place) -> list[str]:
    """What was recorded of keys."""
    told = [type(event).__name__ for event in place.history()]
    return [name.removeprefix("StorageKey") for name in told if name.startswith("StorageKey")]


def last(place: Place, kind: type[Any]) -> Any:
    return [entry for entry in place.entries() if isinstance(entry.event, kind)][-1]


class Killed(BaseException):
    """The process ends here."""


def killed(_: str) -> None:
    raise Killed


# --- by hand --------------------------------------------------------------------------------------


def test_a_key_asked_for_is_new_and_the_active_one_stays_active(place: Place) -> None:
    place.clock.advance(days=3)
    answer = place.ask(REGENERATE)

    assert answer.active_key_name == "key1"
    assert place.provider.keys == {"key1": key(1), "key2": key(5)}
    assert kinds(place) == ["Regenerating", "Regenerated"]
    begun, done = last(place, StorageKeyRegenerating), last(place, StorageKeyRegenerated)
    assert done.context.cause == begun.position
    assert done.context.principal == ALICE.principal
    assert not done.event.automatic


def test_after_it_the_account_is_as_new_as_key_vault_says(place: Place) -> None:
    place.clock.advance(days=3)
    answer = place.ask(REGENERATE)
    time = last(place, StorageKeyRegenerated).time // 1_000_000
    assert (answer.attributes.created, answer.attributes.updated) == (time, time)


def test_a_key_that_is_not_there_is_not_asked_for(place: Place) -> None:
    with pytest.raises(StorageKeyNotFound):
        place.ask(RegenerateKey(name="shop", key_name="key3"))
    with pytest.raises(StorageAccountNotFound):
        place.ask(RegenerateKey(name="other", key_name="key1"))
    assert kinds(place) == []
    assert place.provider.calls == ["list"]


def test_a_refusal_of_the_provider_is_recorded_and_leaves_nothing_open(place: Place) -> None:
    place.provider.before = refusing
    caller = Caller(principal=ALICE.principal, auth="test", request="once")
    with pytest.raises(ProviderRefused):
        place.ask(REGENERATE, caller)
    assert kinds(place) == ["Regenerating", "RegenerationFailed"]
    assert last(place, StorageKeyRegenerationFailed).event.reason == "provider.refused"
    assert place.entries("access")[-1].context.outcome == "provider.refused"
    place.provider.before = lambda call: None
    with pytest.raises(ProviderRefused):
        place.ask(REGENERATE, caller)
    assert place.ask(REGENERATE).regenerating == ""


def test_an_old_value_is_not_recorded_as_a_new_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def regenerate_nothing(resource: str, _: str) -> dict[str, str]:
        return place.provider.list_keys(resource)

    monkeypatch.setattr(place.provider, "regenerate_key", regenerate_nothing)
    with pytest.raises(ProviderRefused):
        place.ask(REGENERATE)
    assert kinds(place) == ["Regenerating", "RegenerationFailed"]


def test_half_an_answer_loses_no_key(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = place.provider.regenerate_key

    def tell_half(resource: str, name: str) -> dict[str, str]:
        return {name: whole(resource, name)[name]}

    monkeypatch.setattr(place.provider, "regenerate_key", tell_half)
    with pytest.raises(ProviderUnavailable):
        place.ask(REGENERATE)
    assert known(place.vault) == {"key1": key(1), "key2": key(2)}
    place.clock.advance(seconds=LEASE)
    assert [one.outcome for one in place.vault.rotate_due()] == ["ok"]
    assert kinds(place) == ["Regenerating", "Regenerated"]


# --- by itself ------------------------------------------------------------------------------------


def test_nothing_is_rotated_before_its_time(place: Place) -> None:
    place.clock.advance(days=89.9)
    assert place.vault.rotate_due() == []
    assert kinds(place) == []


def test_a_rotation_renews_the_inactive_key_and_then_makes_it_active(place: Place) -> None:
    place.clock.advance(days=90)
    (told,) = place.vault.rotate_due()

    assert (told.name, told.key_name, told.outcome) == ("shop", "key2", "ok")
    account = place.ask(GetStorageAccount(name="shop"))
    assert account.active_key_name == "key2"
    assert place.provider.keys == {"key1": key(1), "key2": key(5)}
    done = last(place, StorageKeyRegenerated)
    assert (done.event.automatic, done.context.principal) == (True, "muniment")
    assert account.next_rotation == done.time // 1_000_000 + 90 * DAY
    assert account.attributes.created != account.attributes.updated
    assert place.vault.rotate_due() == []


def test_a_year_of_periods_rotates_the_keys_in_turn(place: Place) -> None:
    active = []
    for _ in range(365):
        place.clock.advance(days=1)
        if place.vault.rotate_due():
            active.append(place.ask(GetStorageAccount(name="shop")).active_key_name)
        assert known(place.vault) == place.provider.keys
    assert active == ["key2", "key1", "key2", "key1"]
    assert place.provider.made == 4


def test_missed_periods_are_caught_up_with_once(place: Place) -> None:
    place.clock.advance(days=1000)
    assert len(place.vault.rotate_due()) == 1
    assert place.vault.rotate_due() == []
    account = place.ask(GetStorageAccount(name="shop"))
    assert account.next_rotation >= place.clock.now // 1_000_000 + 89 * DAY


def test_what_is_deleted_or_disabled_waits_and_is_rotated_when_it_is_back(place: Place) -> None:
    place.ask(UpdateStorageAccount(name="shop", enabled=False))
    place.clock.advance(days=91)
    assert place.vault.rotate_due() == []
    place.ask(DeleteStorageAccount(name="shop"))
    place.ask(RecoverDeletedStorageAccount(name="shop"))
    assert place.vault.rotate_due() == []
    place.ask(UpdateStorageAccount(name="shop", enabled=True))
    assert len(place.vault.rotate_due()) == 1


def test_a_rotation_by_hand_alone_never_comes_by_itself(place: Place) -> None:
    place.ask(UpdateStorageAccount(name="shop", auto_regenerate=False))
    place.clock.advance(days=1000)
    assert place.vault.rotate_due() == []
    place.ask(UpdateStorageAccount(name="shop", auto_regenerate=True))
    assert place.vault.rotate_due() == []
    place.clock.advance(days=91)
    assert len(place.vault.rotate_due()) == 1


@pytest.mark.parametrize("outcome", ["ok", "provider.refused"])
def test_a_rotation_that_is_turned_off_while_it_goes_on_is_the_last_one(
    place: Place, outcome: str
) -> None:
    def turn_off(call: str) -> None:
        place.provider.before = lambda call: None
        place.ask(UpdateStorageAccount(name="shop", auto_regenerate=False, period=None))
        if outcome != "ok":
            refusing(call)

    place.clock.advance(days=90)
    place.provider.before = turn_off
    assert [one.outcome for one in place.vault.rotate_due()] == [outcome]
    place.clock.advance(days=1000)
    assert place.vault.rotate_due() == []
    assert place.ask(GetStorageAccount(name="shop")).next_rotation is None


def test_who_says_the_same_again_puts_no_rotation_off(place: Place) -> None:
    for _ in range(8):
        place.clock.advance(days=10)
        assert place.vault.rotate_due() == []
        place.set_account()
        place.ask(UpdateStorageAccount(name="shop", auto_regenerate=True, period=90 * DAY))
    place.clock.advance(days=10)
    assert len(place.vault.rotate_due()) == 1


def test_a_rotation_that_is_refused_is_tried_again_an_hour_later(place: Place) -> None:
    place.clock.advance(days=90)
    place.provider.before = refusing
    assert [one.outcome for one in place.vault.rotate_due()] == ["provider.refused"]
    assert place.vault.rotate_due() == []
    place.clock.advance(seconds=3601)
    assert len(place.vault.rotate_due()) == 1
    place.provider.before = lambda call: None
    place.clock.advance(seconds=3601)
    assert [one.outcome for one in place.vault.rotate_due()] == ["ok"]


def test_one_account_that_fails_keeps_no_other_waiting(place: Place) -> None:
    place.set_account("other", resource_id=OTHER)
    place.clock.advance(days=91)

    def refuse_once(call: str) -> None:
        place.provider.before = lambda call: None
        refusing(call)

    place.provider.before = refuse_once
    told = {one.name: one.outcome for one in place.vault.rotate_due()}
    assert sorted(told.values()) == ["ok", "provider.refused"]


def test_no_event_is_added_while_a_provider_is_away(place: Place) -> None:
    place.clock.advance(days=90)
    place.provider.before = lost
    assert [one.outcome for one in place.vault.rotate_due()] == ["provider.unavailable"]
    size = place.vault.changes.head().size
    for _ in range(50):
        place.clock.advance(seconds=60)
        assert all(one.outcome == "provider.unavailable" for one in place.vault.rotate_due())
    assert place.vault.changes.head().size == size
    place.provider.before = lambda call: None
    place.clock.advance(seconds=LEASE)
    assert [one.outcome for one in place.vault.rotate_due()] == ["ok"]


# --- what nobody heard of, and crashes ------------------------------------------------------------

STEPS = {
    "before the provider does anything": ("before", 1),
    "after it did, before that is recorded": ("after", 1),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("is_automatic", [False, True])
@pytest.mark.parametrize("how", [killed, lost])
def test_whoever_comes_next_finishes_what_was_begun(
    tmp_path: Path, step: str, is_automatic: bool, how: Any
) -> None:
    hook, made = STEPS[step]
    with storage_place(tmp_path / "store") as place:
        place.set_account()
        place.clock.advance(days=91)
        setattr(place.provider, hook, how)
        try:
            if is_automatic:
                place.vault.rotate_due()
            else:
                place.ask(REGENERATE)
        except (Killed, ProviderUnavailable):
            pass
        setattr(place.provider, hook, lambda call: None)
        assert kinds(place) == ["Regenerating"]
        assert place.ask(GetStorageAccount(name="shop")).regenerating == "key2"

        place.reopen()
        assert place.vault.rotate_due() == []  # whoever began may still be at it
        with pytest.raises(StorageBusy):
            place.ask(REGENERATE)
        place.clock.advance(seconds=LEASE)
        told = place.vault.rotate_due()
        assert [one.outcome for one in told] == ["ok"]
        assert known(place.vault) == place.provider.keys

        assert place.provider.made == made
        account = place.ask(GetStorageAccount(name="shop"))
        assert account.regenerating == ""
        assert account.active_key_name == ("key2" if is_automatic else "key1")
        first, done = last(place, StorageKeyRegenerating), last(place, StorageKeyRegenerated)
        assert done.context.cause == first.position


@pytest.mark.parametrize("hook", ["before", "after"])
def test_a_request_that_comes_again_finishes_itself_and_makes_no_second_key(
    place: Place, hook: str
) -> None:
    caller = Caller(principal=ALICE.principal, auth="test", request="once")
    setattr(place.provider, hook, lost)
    with pytest.raises(ProviderUnavailable):
        place.ask(REGENERATE, caller)
    setattr(place.provider, hook, lambda call: None)
    place.clock.advance(seconds=LEASE)
    assert place.ask(REGENERATE, caller).regenerating == ""
    assert place.ask(REGENERATE, caller).regenerating == ""
    assert place.provider.made == 1


def test_a_set_takes_the_keys_as_they_are_and_ends_what_was_left_open(place: Place) -> None:
    place.provider.after = lambda call: lost(call) if call.startswith("regenerate") else None
    with pytest.raises(ProviderUnavailable):
        place.ask(REGENERATE)
    with pytest.raises(StorageBusy):
        place.set_account()
    place.clock.advance(seconds=LEASE)
    assert place.set_account().regenerating == ""
    assert place.vault.rotate_due() == []


def test_an_account_deleted_while_its_key_is_made_keeps_the_new_one(place: Place) -> None:
    def delete(call: str) -> None:
        place.provider.after = lambda call: None
        place.ask(DeleteStorageAccount(name="shop"))

    place.provider.after = delete
    with pytest.raises(StorageAccountNotFound):
        place.ask(REGENERATE)
    place.ask(RecoverDeletedStorageAccount(name="shop"))
    assert place.ask(GetStorageAccount(name="shop")).regenerating == ""


# --- two at once ----------------------------------------------------------------------------------


def test_who_answers_after_his_lease_does_not_undo_what_another_did(place: Place) -> None:
    """The first is slow: another finishes for it, and then the first one's key is made after all."""

    def overtaken(call: str) -> None:
        place.provider.before = lambda call: None
        place.clock.advance(seconds=LEASE)
        assert [one.outcome for one in place.vault.rotate_due()] == ["ok"]

    place.provider.before = overtaken
    place.ask(REGENERATE)

    assert place.provider.made == 2
    assert kinds(place) == ["Regenerating", "Regenerating", "Regenerated", "sSynced"]
    assert last(place, StorageKeysSynced).event.drifted == ("key2",)


def test_two_threads_that_look_at_the_same_time_rotate_once(place: Place) -> None:
    place.clock.advance(days=91)
    start = Barrier(2)

    def rotate(_: int) -> int:
        start.wait()
        return len(place.vault.rotate_due())

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(rotate, range(2))) == [0, 1]
    assert place.provider.made == 1


def test_two_processes_that_look_at_the_same_time_rotate_once(place: Place) -> None:
    place.clock.advance(days=91)
    place.store.close()
    context, pipes = server(), []
    for _ in range(2):
        ours, theirs = context.Pipe()
        told = (place.home, place.home.parent / "provider.json", place.clock.now, "", theirs)
        context.Process(target=rotate_in_another_process, args=told, daemon=True).start()
        pipes.append(ours)
    assert [pipe.recv() for pipe in pipes] == ["ready", "ready"]
    for pipe in pipes:
        pipe.send("go")
    assert sorted(pipe.recv() for pipe in pipes) == [0, 1]
    place.clock.advance(seconds=1)
    place.reopen()
    assert place.provider.made == 1


# --- sync -----------------------------------------------------------------------------------------


def test_a_sync_records_what_drifted_and_what_did_not(place: Place) -> None:
    place.ask(SyncStorageKeys(name="shop"))
    assert last(place, StorageKeysSynced).event.drifted == ()
    place.provider.drift("key1")
    place.ask(SyncStorageKeys(name="shop"))
    assert last(place, StorageKeysSynced).event.drifted == ("key1",)


def test_a_sync_that_is_overtaken_by_a_regeneration_is_busy(place: Place) -> None:
    def overtaken(call: str) -> None:
        place.provider.after = lambda call: None
        place.ask(REGENERATE)

    place.provider.after = overtaken
    with pytest.raises(StorageBusy):
        place.ask(SyncStorageKeys(name="shop"))


def test_a_set_that_is_overtaken_by_a_regeneration_is_busy(place: Place) -> None:
    def overtaken(call: str) -> None:
        place.provider.after = lambda call: None
        place.ask(REGENERATE)

    place.provider.after = overtaken
    with pytest.raises(StorageBusy):
        place.set_account()


def test_a_provider_is_never_asked_inside_of_a_transaction(place: Place) -> None:
    """Were it, this write would wait for itself."""

    def write(call: str) -> None:
        place.ask(UpdateStorageAccount(name="other", enabled=True))

    place.set_account("other", resource_id=OTHER)
    place.provider.before = write
    place.ask(REGENERATE)
    place.ask(SyncStorageKeys(name="shop"))
    place.ask(
        SetStorageAccount(name="third", resource_id=OTHER, active_key="key1", auto_regenerate=False)
    )
    place.clock.advance(days=91)
    assert all(one.outcome == "ok" for one in place.vault.rotate_due())
