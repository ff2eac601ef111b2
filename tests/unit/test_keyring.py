"""Keys are given out, read by many, and destroyed so that nobody opens them again."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from eventstore.errors import (
    FormatUnknown,
    KeyErased,
    KeyringExists,
    KeyringFull,
    KeyringNotFound,
    KeyUnknown,
    LogBusy,
    LogUnavailable,
    MunimentError,
    OutcomeUnknown,
    RecordMalformed,
    RootKeyExists,
    RootKeyMissing,
    RootKeyNotErased,
    RootKeyWrong,
    StoreLocked,
)
from eventstore.keyheader import Header, commit_to, encode_header
from eventstore.keyring import Keyring
from eventstore.keytree import CAPACITY, LEAF_NODES
from eventstore.rootkey import FileRootKey, PassphraseRootKey
from support.keyring_processes import destroy_and_read, destroy_and_read_elsewhere, full_disk
from support.keyrings import CHEAP, STORE, Attacker, Crash, Faults, MemoryRoot, given_out, holds

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "store" / "keyring"


@pytest.fixture
def root(tmp_path: Path) -> FileRootKey:
    return FileRootKey(tmp_path / "store.key")


@pytest.fixture
def ring(place: Path, root: FileRootKey) -> Iterator[Keyring]:
    with Keyring.create(place, root, STORE) as made:
        yield made


def slots(tmp_path: Path) -> list[str]:
    return sorted(file.name for file in (tmp_path / "store.key").iterdir())


def commits(ring: Keyring) -> int:
    return ring._env.info()["last_txnid"]


# --- giving out and reading ---------------------------------------------------------------------


def test_new_keys_are_all_different_and_come_back_after_reopening(
    ring: Keyring, place: Path, root: FileRootKey
) -> None:
    keys = given_out(ring, 2) | given_out(ring)
    assert len(set(keys.values())) == len(keys) == 192
    ring.close()
    with Keyring.open(place, root) as again:
        assert again.store_id == STORE
        holds(again, keys)


@pytest.mark.parametrize("number", [-1, 64, CAPACITY - 1, CAPACITY, 1 << 64])
def test_a_number_that_was_never_given_out_is_unknown(ring: Keyring, number: int) -> None:
    keys = given_out(ring)
    with pytest.raises(KeyUnknown):
        ring.key(number)
    with pytest.raises(KeyUnknown):
        ring.destroy([0, number])
    holds(ring, keys)


def test_keys_reach_over_inner_nodes(ring: Keyring) -> None:
    ring.allocate(64 * 64 - 1)
    keys = given_out(ring, 2)
    ring.destroy([64**3])
    holds(ring, keys | {64**3: None})


def test_a_full_keyring_gives_out_no_more(ring: Keyring, place: Path, root: FileRootKey) -> None:
    ring.close()
    with lmdb.open(str(place)) as env, env.begin(write=True) as txn:
        full = Header.first(STORE, root.read(0) or b"").with_leaf_nodes(LEAF_NODES)
        txn.put(b"header", encode_header(full))
    with Keyring.open(place, root) as again, pytest.raises(KeyringFull):
        again.allocate()


def test_memory_holds_a_bounded_number_of_nodes(ring: Keyring) -> None:
    first = ring.allocate(4200)
    keys = {number: ring.key(number) for number in range(first, first + 4200 * 64, 64)}
    assert ring._opened is not None
    assert len(ring._opened.tree._leaves) == 4096
    holds(ring, keys)  # type: ignore[arg-type]


def test_files_are_for_the_owner_only(ring: Keyring, place: Path, tmp_path: Path) -> None:
    ring.rotate_root()
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "store.key").stat().st_mode) == 0o700
    files = [*place.iterdir(), *(tmp_path / "store.key").iterdir()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_no_key_shows_in_repr_or_error(ring: Keyring, root: FileRootKey) -> None:
    key = ring.key(ring.allocate())
    ring.destroy([0])
    with pytest.raises(KeyErased) as erased:
        ring.key(0)
    assert ring._opened is not None
    shown = f"{ring!r} {root!r} {ring._opened!r} {erased.value!r}"
    # Eight bytes of each: two stand in the header by chance now and then.
    assert repr(key[:8])[2:-1] not in shown
    assert repr((root.read(1) or b"")[:8])[2:-1] not in shown


# --- destroying ---------------------------------------------------------------------------------


def test_destroyed_keys_are_gone_and_all_others_stay(
    ring: Keyring, place: Path, root: FileRootKey, tmp_path: Path
) -> None:
    keys = given_out(ring, 3)
    erasure = ring.destroy([5, 70, 5])
    assert erasure.destroyed == (5, 70)
    assert (erasure.root_epoch, ring.root_epoch) == (1, 1)
    assert erasure.provider == "file"
    assert "SSD" in erasure.assurance
    assert slots(tmp_path) == ["slot-1"]
    keys |= {5: None, 70: None}
    holds(ring, keys)
    ring.close()
    with Keyring.open(place, root) as again:
        holds(again, keys)


def test_destroying_again_destroys_nothing_and_changes_nothing(ring: Keyring) -> None:
    ring.allocate()
    ring.destroy([3])
    before = commits(ring)
    again = ring.destroy([3])
    assert (again.destroyed, again.root_epoch) == ((), 1)
    assert ring.destroy([]).destroyed == ()
    assert commits(ring) == before
    assert ring.destroy([3, 4]).destroyed == (4,)


def test_keys_that_are_fetched_at_once_are_those_that_the_keyring_gives(ring: Keyring) -> None:
    first = ring.allocate(2)
    ring.destroy([first + 1])
    with ring.at_once() as keys:
        assert keys.key(first) == ring.key(first)
        assert keys.keys([first + 1, first + 64]) == {first + 64: ring.key(first + 64)}
        for number, failure in ((first + 1, KeyErased), (first + 128, KeyUnknown)):
            with pytest.raises(failure):
                keys.key(number)
    ring.destroy([first])
    with ring.at_once() as keys, pytest.raises(KeyErased):
        keys.key(first)


def test_who_finds_no_root_key_for_many_keys_holds_up_nobody_else(
    ring: Keyring, place: Path, root: FileRootKey, tmp_path: Path
) -> None:
    """Whoever changes the root key has its lock, and reads: who waits for it must let him."""
    number = ring.allocate()
    ring.close()
    with Keyring.open(place, root) as again:
        (tmp_path / "store.key").rename(tmp_path / "unmounted")
        epochs: list[int] = []
        other = threading.Thread(target=lambda: epochs.append(again.root_epoch), daemon=True)
        with again.at_once() as keys:
            other.start()
            other.join(10)
            assert epochs == [0]
            with pytest.raises(RootKeyMissing):
                keys.key(number)
        (tmp_path / "unmounted").rename(tmp_path / "store.key")


def test_rotating_the_root_key_keeps_every_key(
    ring: Keyring, root: FileRootKey, tmp_path: Path
) -> None:
    keys = given_out(ring)
    old = root.read(0)
    assert ring.rotate_root().root_epoch == 1
    assert slots(tmp_path) == ["slot-1"]
    assert root.read(1) != old
    assert ring.rotate_root().root_epoch == 2
    holds(ring, keys)


def test_one_destroy_among_262144_keys_is_one_commit(ring: Keyring) -> None:
    ring.allocate(4096)
    before, times = commits(ring), []
    numbers = random.Random(7).sample(range(262_144), 50)
    for number in numbers:
        start = time.perf_counter()
        ring.destroy([number])
        times.append(1000 * (time.perf_counter() - start))
    assert commits(ring) - before == len(numbers)
    ring.destroy(range(100_000, 100_500))
    assert commits(ring) - before == len(numbers) + 1
    print(f"durable destroy among 262,144 keys: median {sorted(times)[25]:.2f} ms")


def test_giving_out_keys_is_one_commit(ring: Keyring) -> None:
    before = commits(ring)
    ring.allocate(100)
    assert commits(ring) - before == 1


# --- the attacker -------------------------------------------------------------------------------


def test_who_held_the_root_key_before_a_rotation_opens_no_key_made_after_it(
    ring: Keyring, place: Path, root: FileRootKey, tmp_path: Path
) -> None:
    attacker = Attacker()
    before = given_out(ring, 3)
    attacker.copies(place, tmp_path / "before")
    attacker.learns(root.read(0))
    assert attacker.opens() >= set(before.values())

    ring.rotate_root()
    attacker.copies(place, tmp_path / "rotated")
    after = given_out(ring, 66)  # beside the nodes that were there, and under new ones
    ring.destroy([1])
    after |= given_out(ring)
    attacker.copies(place, tmp_path / "after")

    assert attacker.opens().isdisjoint(after.values())
    holds(ring, before | after | {1: None})


def play(ring: Keyring, place: Path, tmp_path: Path, attacker: Attacker) -> list[dict]:
    """A life of a keyring, copied after every step; gives the keys as they were and as they are."""
    were = given_out(ring, 3)
    now = dict(were)

    def step(name: str, *numbers: int) -> None:
        if numbers:
            ring.destroy(numbers)
            now.update(dict.fromkeys(numbers))
        attacker.copies(place, tmp_path / name)
        attacker.copies_slots(tmp_path / "store.key")

    step("made")
    step("one destroyed", 5)
    more = given_out(ring, 62)
    were, now = were | more, now | more
    step("more made")
    step("neighbours destroyed", 6, 7, 70)
    ring.rotate_root()
    step("rotated")
    step("last node", 64 * 64)
    step("far apart", 0, 191, 100)
    return [were, now]


def test_all_copies_and_the_current_root_key_open_nothing_destroyed(
    tmp_path: Path, place: Path
) -> None:
    root = MemoryRoot()
    attacker = Attacker()
    (tmp_path / "store.key").mkdir()
    with Keyring.create(place, root, STORE) as ring:
        first_root = root.read(0)
        were, now = play(ring, place, tmp_path, attacker)
        holds(ring, now)
    attacker.learns(root.read(1))
    opened = attacker.opens()
    assert {key for key in now.values() if key} <= opened
    lost = {were[number] for number, key in now.items() if key is None}
    assert len(lost) == 8
    assert not lost & opened

    # The attacker is worth something: with the first root key it opens all that was made under it.
    attacker.learns(first_root)
    assert {were[number] for number in (5, 6, 70, 0, 191)} <= attacker.opens()


def test_under_a_passphrase_old_slot_files_do_not_help_either(tmp_path: Path, place: Path) -> None:
    root = PassphraseRootKey(tmp_path / "store.key", b"correct horse", CHEAP)
    attacker = Attacker()
    with Keyring.create(place, root, STORE) as ring:
        were, now = play(ring, place, tmp_path, attacker)
    attacker.learns(root.read(0) or root.read(1))
    opened = attacker.opens()
    assert len(attacker.sealed_slots) == 6
    assert {key for key in now.values() if key} <= opened
    assert not {were[number] for number, key in now.items() if key is None} & opened


def test_in_a_plain_file_old_slot_files_do_help_as_its_assurance_says(
    tmp_path: Path, place: Path, ring: Keyring
) -> None:
    attacker = Attacker()
    were, now = play(ring, place, tmp_path, attacker)
    assert {were[number] for number, key in now.items() if key is None} <= attacker.opens()


# --- crashes and failing disks ------------------------------------------------------------------


@pytest.mark.parametrize("act", ["destroy", "rotate_root", "allocate", "destroy after a crash"])
@pytest.mark.parametrize("how", ["before", "after", "half"])
def test_a_crash_at_any_step_loses_nothing_and_keeps_nothing_half_destroyed(
    tmp_path: Path, how: str, act: str
) -> None:
    at, fault = 0, None
    while fault is None or fault.happened:
        at += 1
        fault = Faults(how, at)
        crash_once(tmp_path / str(at), fault, act)
    assert at > (2 if act == "allocate" else 10)


def crash_once(tmp_path: Path, fault: Faults, act: str) -> None:
    place, root = tmp_path / "store" / "keyring", FileRootKey(tmp_path / "store.key")
    ring = Keyring.create(place, root, STORE)
    keys = given_out(ring, 2)
    if act.endswith("a crash"):
        root.write(1, b"never committed".ljust(32))
    with fault.injected(ring), contextlib.suppress(Crash):
        ring.destroy([1, 65]) if act.startswith("destroy") else getattr(ring, act)()
    ring.close()
    with Keyring.open(place, root) as again:
        gone = keys | {1: None, 65: None}
        epoch = again.root_epoch
        holds(again, gone if epoch and act.startswith("destroy") else keys)
        assert slots(tmp_path) == [f"slot-{epoch}"]
        again.destroy([1, 65])
        holds(again, gone | given_out(again))


@pytest.mark.parametrize("act", ["destroy", "rotate_root", "allocate", "destroy after a crash"])
@pytest.mark.parametrize("how", ["error", "late error"])
def test_a_failing_disk_gives_a_coded_error_and_the_same_keyring_goes_on(
    tmp_path: Path, how: str, act: str
) -> None:
    at, fault = 0, None
    while fault is None or fault.happened:
        at += 1
        fault = Faults(how, at)
        fail_once(tmp_path / str(at), fault, act)


def fail_once(tmp_path: Path, fault: Faults, act: str) -> None:
    place, root = tmp_path / "store" / "keyring", FileRootKey(tmp_path / "store.key")
    with Keyring.create(place, root, STORE) as ring:
        keys = given_out(ring, 2)
        gone = keys | {1: None, 65: None}
        if act.endswith("a crash"):
            root.write(1, b"never committed".ljust(32))
        error = None
        with fault.injected(ring):
            try:
                ring.destroy([1, 65]) if act.startswith("destroy") else getattr(ring, act)()
            except (LogUnavailable, RootKeyNotErased) as failure:
                error = failure
        committed = act.startswith("destroy") and ring.root_epoch
        assert isinstance(error, LogUnavailable) <= (not committed)
        holds(ring, gone if committed else keys)
        again = ring.destroy([1, 65])
        assert again.destroyed == (() if committed else (1, 65))
        assert len(slots(tmp_path)) == 1
        holds(ring, gone)


def test_a_commit_that_failed_and_cannot_be_looked_up_is_unknown_and_keeps_both_keys(
    ring: Keyring, place: Path, root: FileRootKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = given_out(ring)

    def fails(*_: object) -> None:
        raise lmdb.DiskError("injected")

    with monkeypatch.context() as patch:
        patch.setattr(ring, "_end", fails)
        patch.setattr(
            "eventstore.keyring._open_environment",
            lambda *_, **__: (_ for _ in ()).throw(LogUnavailable()),
        )
        with pytest.raises(OutcomeUnknown):
            ring.destroy([1])
        with pytest.raises(LogUnavailable):
            ring.key(1)
    assert slots(tmp_path) == ["slot-0", "slot-1"]
    holds(ring, keys)
    ring.close()
    with Keyring.open(place, root) as again:
        holds(again, keys)
        assert slots(tmp_path) == ["slot-0"]


def test_a_commit_that_failed_but_stands_is_committed_once_more_before_the_old_key_goes(
    ring: Keyring, place: Path, root: FileRootKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = given_out(ring)
    end = ring._end
    ends = []

    def lies(txn: lmdb.Transaction[bytes]) -> None:
        end(txn)
        ends.append(slots(tmp_path))
        if len(ends) == 1:
            raise lmdb.DiskError("injected")

    monkeypatch.setattr(ring, "_end", lies)
    assert ring.destroy([1]).destroyed == (1,)
    assert ends == [["slot-0", "slot-1"]] * 2
    assert slots(tmp_path) == ["slot-1"]
    holds(ring, keys | {1: None})


def test_what_a_crash_left_is_destroyed_only_after_one_more_commit(
    ring: Keyring, root: FileRootKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = ring._end
    ends = []

    def counted(txn: lmdb.Transaction[bytes]) -> None:
        ends.append(slots(tmp_path))
        end(txn)

    monkeypatch.setattr(ring, "_end", counted)
    ring.recover()
    assert ends == []
    root.write(1, bytes(32))
    ring.recover()
    assert ends == [["slot-0", "slot-1"]]
    assert slots(tmp_path) == ["slot-0"]


def test_a_file_that_may_not_grow_is_a_refusal_and_no_damage(
    ring: Keyring, place: Path, tmp_path: Path, root: FileRootKey
) -> None:
    keys = given_out(ring, 10)
    ring.close()
    here, there = SPAWN.Pipe()
    child = SPAWN.Process(target=full_disk, args=(place, tmp_path / "store.key", there))
    child.start()
    assert here.poll(60)
    codes, first, destroyed = here.recv()
    child.join(60)
    assert codes[0] == "log.not-recorded"
    assert set(codes) == {"log.not-recorded"}
    assert (first, destroyed) == (640, (3,))
    with Keyring.open(place, root) as again:
        gone = set(range(0, 640, 64)) if len(codes) == 1 else set()
        holds(again, keys | dict.fromkeys(gone | {3}))


def test_a_keyring_that_was_cut_short_is_a_refusal_and_no_end_of_the_process(
    ring: Keyring, place: Path, root: FileRootKey
) -> None:
    keys = given_out(ring, 10)
    ring.close()
    whole = (place / "data.mdb").read_bytes()
    (place / "data.mdb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordMalformed):
        Keyring.open(place, root)
    (place / "data.mdb").write_bytes(whole)
    with Keyring.open(place, root) as again:
        holds(again, keys)


# --- the wrong root key -------------------------------------------------------------------------


def test_a_missing_root_key_is_missing_and_nothing_is_made_in_its_place(
    ring: Keyring, place: Path, root: FileRootKey, tmp_path: Path
) -> None:
    first = ring.allocate()
    (tmp_path / "store.key").rename(tmp_path / "elsewhere")
    with pytest.raises(RootKeyMissing):
        ring.destroy([first])
    with pytest.raises(RootKeyMissing):
        ring.allocate()
    ring.close()
    with pytest.raises(RootKeyMissing):
        Keyring.open(place, root)
    assert not (tmp_path / "store.key").exists()
    (tmp_path / "elsewhere").rename(tmp_path / "store.key")
    Keyring.open(place, root).close()


def test_the_root_key_of_another_store_is_wrong_and_is_not_touched(
    ring: Keyring, place: Path, tmp_path: Path
) -> None:
    other = FileRootKey(tmp_path / "other.key")
    Keyring.create(tmp_path / "other", other, b"another one, 16 ").close()
    other.write(1, bytes(32))
    ring.close()
    with pytest.raises(RootKeyWrong):
        Keyring.open(place, other)
    assert other.read(1) == bytes(32)


def test_creating_touches_neither_a_keyring_nor_a_root_key_that_is_there(
    ring: Keyring, place: Path, root: FileRootKey, tmp_path: Path
) -> None:
    keys = given_out(ring)
    with pytest.raises(KeyringExists):
        Keyring.create(place, FileRootKey(tmp_path / "new.key"), STORE)
    with pytest.raises(RootKeyExists):
        Keyring.create(tmp_path / "new", root, STORE)
    holds(ring, keys)


def test_where_no_keyring_is_none_is_found(tmp_path: Path, root: FileRootKey) -> None:
    with pytest.raises(KeyringNotFound):
        Keyring.open(tmp_path / "nothing", root)
    lmdb.open(str(tmp_path / "empty")).close()
    with pytest.raises(KeyringNotFound):
        Keyring.open(tmp_path / "empty", root)
    (tmp_path / "empty" / "data.mdb").write_bytes(b"no LMDB file" * 1000)
    with pytest.raises(RecordMalformed):
        Keyring.open(tmp_path / "empty", root)


def test_an_old_keyring_put_back_does_not_open_with_the_current_root_key(
    ring: Keyring, place: Path, root: FileRootKey, tmp_path: Path
) -> None:
    ring.allocate()
    shutil.copytree(place, tmp_path / "old")
    ring.destroy([1])
    ring.close()
    with pytest.raises(RootKeyMissing):
        Keyring.open(tmp_path / "old", root)
    with Keyring.open(place, root) as again:
        again.rotate_root()
    with pytest.raises(RootKeyWrong):
        Keyring.open(tmp_path / "old", root)


def test_a_new_passphrase_opens_and_the_old_one_does_not(
    ring: Keyring, place: Path, root: FileRootKey, tmp_path: Path
) -> None:
    keys = given_out(ring)
    old = PassphraseRootKey(tmp_path / "store.key", b"old", CHEAP)
    assert ring.rotate_root(old).provider == "file"
    new = old.with_passphrase(b"new")
    assert ring.rotate_root(new).provider == "passphrase"
    holds(ring, keys)
    ring.destroy([1])
    ring.close()
    for wrong, error in ((old, RootKeyWrong), (root, StoreLocked)):
        with pytest.raises(error):
            Keyring.open(place, wrong)
    with Keyring.open(place, PassphraseRootKey(tmp_path / "store.key", b"new")) as again:
        holds(again, keys | {1: None})


def test_a_new_root_key_in_other_slots_is_refused(
    ring: Keyring, root: FileRootKey, tmp_path: Path
) -> None:
    keys = given_out(ring)
    with pytest.raises(LogUnavailable):
        ring.rotate_root(FileRootKey(tmp_path / "elsewhere.key"))
    assert root.read(0)
    holds(ring, keys)


# --- bad bytes ----------------------------------------------------------------------------------


def rewrite(place: Path, key: bytes, row: bytes) -> None:
    with lmdb.open(str(place)) as env, env.begin(write=True) as txn:
        assert txn.put(key, row)


def read_rows(place: Path) -> dict[bytes, bytes]:
    with lmdb.open(str(place)) as env, env.begin() as txn:
        return dict(txn.cursor())


def test_any_byte_of_a_row_changed_is_a_coded_error(
    ring: Keyring, place: Path, root: FileRootKey
) -> None:
    keys = given_out(ring)
    ring.close()
    for key, row in read_rows(place).items():
        step = 1 if key == b"header" else 97
        for at in range(0, len(row), step):
            rewrite(place, key, row[:at] + bytes([row[at] ^ 1]) + row[at + 1 :])
            try:
                with Keyring.open(place, root) as again:
                    assert again.key(0) == keys[0]
            except MunimentError:
                continue
            assert key == b"header"
            assert b"next_leaf_node" in row[:at]
        rewrite(place, key, row)
    with Keyring.open(place, root) as again:
        holds(again, keys)


def test_rows_swapped_cut_or_missing_are_coded_errors(
    ring: Keyring, place: Path, root: FileRootKey
) -> None:
    ring.allocate(2)
    ring.close()
    rows = read_rows(place)
    one, two = bytes(9), bytes(8) + b"\1"
    for key, row in ((one, rows[two]), (one, rows[one][:100]), (one, b""), (b"header", b"\x80")):
        rewrite(place, key, row)
        with pytest.raises(MunimentError), Keyring.open(place, root) as again:
            again.key(0)
        rewrite(place, key, rows[key])
    with lmdb.open(str(place)) as env, env.begin(write=True) as txn:
        txn.delete(one)
    with Keyring.open(place, root) as again, pytest.raises(RecordMalformed):
        again.key(0)


def test_a_header_of_a_later_format_is_unknown(
    ring: Keyring, place: Path, root: FileRootKey
) -> None:
    ring.close()
    row = read_rows(place)[b"header"]
    rewrite(place, b"header", row.replace(b"format\x01", b"format\x02"))
    with pytest.raises(FormatUnknown):
        Keyring.open(place, root)


def test_a_header_put_back_to_fewer_keys_gives_none_out_twice(
    ring: Keyring, place: Path, root: FileRootKey
) -> None:
    ring.allocate()
    early = read_rows_of(ring)
    keys = given_out(ring)
    ring.close()
    rewrite(place, b"header", early)
    with Keyring.open(place, root) as again:
        with pytest.raises(RecordMalformed):
            again.allocate()
        holds(again, keys)


def read_rows_of(ring: Keyring) -> bytes:
    return ring._read(lambda txn: txn.get(b"header") or b"")


def test_the_commitment_is_what_the_format_says() -> None:
    commitment = commit_to(bytes(range(32)), STORE, 3, 1)
    assert commitment.hex() == "36bdcfec6fe4cbd2043421402c6bdc6010ef53a37a5a5b2db29a61eecdf5c14a"


# --- threads, processes, forks ------------------------------------------------------------------


def test_thirty_two_threads_read_give_out_and_destroy(ring: Keyring) -> None:
    keys = given_out(ring, 32)
    errors: list[BaseException] = []
    mine: list[dict[int, bytes | None]] = [{} for _ in range(32)]

    def work(thread: int) -> None:
        try:
            numbers = list(range(thread * 64, thread * 64 + 64))
            for number in numbers[:8]:
                assert ring.destroy([number]).destroyed == (number,)
                mine[thread][number] = None
                holds(ring, {n: keys[n] for n in numbers} | mine[thread])
            mine[thread] |= given_out(ring)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for part in mine:
        keys |= part
    assert len(keys) == 64 * 64
    holds(ring, keys)
    assert ring.root_epoch == 256


def test_processes_destroy_and_read_at_once_and_none_reads_what_another_destroyed(
    ring: Keyring, tmp_path: Path, place: Path
) -> None:
    keys = given_out(ring, 10)
    gone, start = SPAWN.Array("b", 640, lock=False), SPAWN.Barrier(3)
    children = [
        SPAWN.Process(
            target=destroy_and_read_elsewhere,
            args=(place, tmp_path / "store.key", range(child, 120, 3), gone, start),
        )
        for child in range(2)
    ]
    for child in children:
        child.start()
    start.wait(60)
    destroy_and_read(ring, keys, range(2, 120, 3), gone, 2)
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    holds(ring, keys | dict.fromkeys(range(120)))
    assert len(slots(tmp_path)) == 1
    assert ring.root_epoch == 120


def test_one_process_opens_a_keyring_once(ring: Keyring, place: Path, root: FileRootKey) -> None:
    with pytest.raises(LogBusy):
        Keyring.open(place, root)
    assert ring.allocate() == 0


def test_a_forked_child_is_refused(ring: Keyring) -> None:
    keys = given_out(ring)
    child = os.fork()
    if child == 0:
        refused = 0
        for act in (lambda: ring.key(0), ring.allocate, ring.rotate_root, ring.recover):
            try:
                act()
            except LogBusy:
                refused += 1
        ring.close()
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    holds(ring, keys)
