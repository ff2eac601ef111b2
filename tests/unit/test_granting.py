"""A grant opens a period's records to one auditor, and nothing else to anybody."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from eventstore import auditor, grant, record, seal
from eventstore.auditing import entries
from eventstore.errors import (
    AuditorKeyInvalid,
    GrantForAnotherKey,
    GrantInvalid,
    GrantOfAnotherLog,
    HistoryForked,
    KeyChainBroken,
    KeyErased,
    LogTruncated,
    MunimentError,
    RecordAltered,
    SealBroken,
    WrongKey,
)
from eventstore.events import AuditGranted
from eventstore.storage import open_environment
from eventstore.transaction import RECORDS
from support.auditors import (
    CAROL,
    DAVE,
    KINDS,
    checked,
    copied,
    granted,
    keys_of,
    positions,
    read,
)
from support.vaults import ALICE, BOB, Clock, check, make_store
from vault.answers import HistoryItem
from vault.commands import DeleteSecret, GetSecret, PurgeDeletedSecret, SetSecret
from vault.history import item
from vault.history_commands import Exposed, ReadHistory, RotateKeys, WhoRead
from vault.points import AfterEvent, AtTime
from vault.refusals import BadParameter, NotAdministrator, PointsReversed
from vault.rule_commands import SetPolicy
from vault.service import Vault
from vault.store import Store


class World(NamedTuple):
    """A vault with a quarter in it: *start* and *stop* lie between records."""

    store: Store
    vault: Vault
    clock: Clock
    start: int
    stop: int


def _busy(vault: Vault, clock: Clock, name: str) -> None:
    vault.handle(ALICE, SetSecret(name=name, value=f"the value of {name}", tags={"for": name}))
    vault.handle(ALICE, GetSecret(name=name))
    clock.advance(seconds=1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = Clock()
    with make_store(tmp_path / "store", clock) as store:
        vault = store.create_vault(ALICE, "test-vault")
        for name in ("before-1", "before-2"):
            _busy(vault, clock, name)
        start = clock.now
        clock.advance(days=1)
        for name in ("during-1", "during-2"):
            _busy(vault, clock, name)
        vault.handle(ALICE, RotateKeys())
        _busy(vault, clock, "during-3")
        with pytest.raises(MunimentError):
            vault.handle(BOB, GetSecret(name="during-3"))
        clock.advance(days=1)
        stop = clock.now
        clock.advance(days=1)
        for name in ("after-1", "after-2"):
            _busy(vault, clock, name)
        yield World(store, vault, clock, start, stop)
        check(vault)


def of_period(vault: Vault, start: int, stop: int) -> list[HistoryItem]:
    return vault.handle(ALICE, ReadHistory(start=start, stop=stop))


# --- what it opens --------------------------------------------------------------------------------


def test_the_auditor_reads_of_the_period_what_the_vault_says_itself(
    world: World, tmp_path: Path
) -> None:
    made = granted(world.vault, world.start, world.stop)
    told = read(copied(world.vault, tmp_path / "copy"), made.file, keys_of(world.vault))
    items = [item(kind, entry) for kind in KINDS for entry in told[kind]]
    expected = of_period(world.vault, world.start, world.stop)
    assert sorted(items, key=lambda one: one.time) == expected
    operations = {one.operation for one in expected}
    assert {"secret.set", "secret.read", "audit-key.rotated", "signing-key.rotated"} <= operations
    assert "access.denied" in {one.outcome for one in expected}


@pytest.mark.parametrize("shift", [0, 1])
def test_a_period_includes_the_moment_it_begins_at_and_not_the_one_it_ends_at(
    world: World, tmp_path: Path, shift: int
) -> None:
    first, last = (
        world.vault.changes.read(position).time
        for position in (3, world.vault.changes.head().size - 1)
    )
    made = granted(world.vault, first + shift, last + shift)
    told = read(copied(world.vault, tmp_path / "copy"), made.file, keys_of(world.vault))
    times = [entry.time for entry in told["changes"]]
    assert (first in times, last in times) == ((True, False) if not shift else (False, True))


def test_an_event_may_say_where_a_period_begins(world: World, tmp_path: Path) -> None:
    made = granted(world.vault, AfterEvent(3), AfterEvent(5))
    told = read(copied(world.vault, tmp_path / "copy"), made.file, keys_of(world.vault))
    assert positions(told)["changes"] == [3, 4]


def test_an_empty_period_opens_nothing_and_is_shown_to_be_empty(
    world: World, tmp_path: Path
) -> None:
    made = granted(world.vault, world.stop, world.stop + 1)
    copy = copied(world.vault, tmp_path / "copy")
    assert read(copy, made.file, keys_of(world.vault)) == {"changes": [], "access": []}
    opened = grant.open_with(CAROL.private, made.file)
    assert [len(opened.text.held(kind).keys) for kind in KINDS] == [0, 0]


@pytest.mark.parametrize("ahead", [False, True])
def test_a_period_that_ends_before_it_begins_is_refused(world: World, ahead: bool) -> None:
    since, until = world.stop, world.start
    if ahead:
        since, until = world.clock.now + 10**9, world.clock.now + 10**10
    with pytest.raises(PointsReversed):
        granted(world.vault, since, until)
    assert world.vault.handle(ALICE, ReadHistory(operation="audit.granted", outcome="ok")) == []


def test_a_purge_afterwards_takes_nothing_from_what_the_auditor_reads(
    world: World, tmp_path: Path
) -> None:
    made, keys = granted(world.vault, world.start, world.stop), keys_of(world.vault)
    before = read(copied(world.vault, tmp_path / "before"), made.file, keys)
    world.vault.handle(ALICE, DeleteSecret(name="during-1"))
    world.vault.handle(ALICE, PurgeDeletedSecret(name="during-1"))
    assert read(copied(world.vault, tmp_path / "after"), made.file, keys) == before
    gone = next(entry for entry in before["changes"] if entry.event.name == "during-1")
    with pytest.raises(KeyErased):
        world.vault.changes.content(gone.position, gone.content_key or 0)


# --- what it does not open ------------------------------------------------------------------------


def _keys(file: bytes) -> list[bytes]:
    opened = grant.open_with(CAROL.private, file)
    return [
        opened.text.held(kind).key(index)
        for kind in KINDS
        for index in range(opened.header.part(kind).stop - opened.header.part(kind).first)
    ]


def _rows(vault: Vault, kind: str) -> list[record.Row]:
    log = getattr(vault, kind)
    with log.snapshot() as snapshot:
        return [record.split(log.identity.kind, row) for _, row in snapshot.stored()]


def _opened_by(vault: Vault, keys: list[bytes]) -> set[tuple[str, int]]:
    """Every record that one of *keys* opens, whatever a grant says."""
    found = set()
    for kind in KINDS:
        log_id = getattr(vault, kind).identity.log_id
        for position, row in enumerate(_rows(vault, kind)):
            for key in keys:
                try:
                    record.open_with_its_key(log_id, row, key)
                except WrongKey:
                    continue
                found.add((kind, position))
    return found


def test_every_key_of_a_grant_tried_on_every_record_opens_the_period_alone(world: World) -> None:
    made = granted(world.vault, world.start, world.stop)
    _busy(world.vault, world.clock, "later")
    expected = {
        (kind, position)
        for kind in KINDS
        for position in range(*(made.changes if kind == "changes" else made.access))
    }
    assert len(expected) > 8
    assert _opened_by(world.vault, _keys(made.file)) == expected


def test_what_ends_now_opens_nothing_of_what_comes(world: World, tmp_path: Path) -> None:
    made = granted(world.vault, world.start)
    size = {kind: getattr(world.vault, kind).head().size for kind in KINDS}
    for number in range(3):
        _busy(world.vault, world.clock, f"later-{number}")
    found = _opened_by(world.vault, _keys(made.file))
    assert found
    assert all(position < size[kind] for kind, position in found)
    # And the later copy is still exactly the period: nothing in it got an older time.
    told = read(copied(world.vault, tmp_path / "copy"), made.file, keys_of(world.vault))
    assert {(kind, at) for kind in KINDS for at in positions(told)[kind]} == found


def test_a_clock_that_steps_back_puts_nothing_into_a_period_that_ended(
    world: World, tmp_path: Path
) -> None:
    made = granted(world.vault, world.start)
    world.clock.advance(days=-2)
    for number in range(3):
        _busy(world.vault, world.clock, f"later-{number}")
    again = granted(world.vault, world.start)
    copy = copied(world.vault, tmp_path / "copy")
    told = read(copy, made.file, keys_of(world.vault))
    assert "later-0" not in {getattr(one.event, "name", "") for one in told["changes"]}
    assert len(read(copy, again.file, keys_of(world.vault))["changes"]) > len(told["changes"])


def test_two_grants_together_open_their_union_and_nothing_more(world: World) -> None:
    middle = (world.start + world.stop) // 2
    one, other = granted(world.vault, 0, world.start), granted(world.vault, world.start, middle)
    keys = [_keys(one.file), _keys(other.file)]
    apart = [_opened_by(world.vault, some) for some in keys]
    assert apart[0]
    assert apart[1]
    assert not apart[0] & apart[1]
    assert _opened_by(world.vault, keys[0] + keys[1]) == apart[0] | apart[1]
    assert len(apart[0] | apart[1]) < sum(len(_rows(world.vault, kind)) for kind in KINDS)


def test_no_key_of_a_grant_opens_a_content_in_any_way(world: World) -> None:
    made = granted(world.vault, 0)
    keys, tried = _keys(made.file), 0
    log_id = world.vault.changes.identity.log_id
    for row in _rows(world.vault, "changes"):
        envelope = record.read_envelope(row.envelope)
        if envelope.content is None:
            continue
        for key in keys:
            with pytest.raises(MunimentError):
                record.open_content(record.CHANGES, log_id, row, key)
            for label in (b"content", b"meta"):
                one_time = seal.expand(key, label)
                assert envelope.content[: seal.COMMITMENT_SIZE] != one_time.commitment
                with pytest.raises(MunimentError):
                    seal.open_with(
                        one_time._replace(commitment=envelope.content[:32]), b"", envelope.content
                    )
            tried += 1
    assert tried > 100


def test_a_grant_holds_no_key_of_the_store_and_no_value(world: World) -> None:
    made = granted(world.vault, 0)
    opened = grant.open_with(CAROL.private, made.file)
    text = b"".join(opened.text.held(kind).keys for kind in KINDS) + repr(opened).encode()
    numbers = [getattr(world.vault, kind).numbers() for kind in KINDS]
    used = {number for one in numbers for number in one.signing}
    used |= {epoch.key for one in numbers for epoch in one.audit}
    used |= {entry.content_key for entry in _changes(world.vault) if entry.content_key}
    standing = world.store.keyring.keys(sorted(used))
    assert len(standing) > 8
    for key in standing.values():
        assert key not in text
        assert key not in made.file
    assert b"the value of" not in text


def _changes(vault: Vault) -> list[record.Entry[AuditGranted]]:
    with vault.changes.snapshot() as snapshot:
        return list(snapshot.entries())


# --- forged and altered ---------------------------------------------------------------------------


def test_a_grant_with_any_byte_changed_is_refused(world: World) -> None:
    file = granted(world.vault, world.stop, world.stop + 1).file
    for at in range(len(file)):
        for flip in (1, 0x80):
            changed = file[:at] + bytes((file[at] ^ flip,)) + file[at + 1 :]
            with pytest.raises((GrantInvalid, GrantForAnotherKey)):
                grant.open_with(CAROL.private, changed)
    for size in range(len(file)):
        with pytest.raises(GrantInvalid):
            grant.open_with(CAROL.private, file[:size])
    with pytest.raises(GrantInvalid):
        grant.open_with(CAROL.private, file + b"\0")


def test_a_grant_opens_to_no_other_auditor(world: World) -> None:
    file = granted(world.vault, world.start, world.stop).file
    with pytest.raises(GrantForAnotherKey):
        grant.open_with(DAVE.private, file)
    renamed = file.replace(auditor.fingerprint(CAROL.public), auditor.fingerprint(DAVE.public))
    assert renamed != file
    with pytest.raises(GrantInvalid):
        grant.open_with(DAVE.private, renamed)


def test_a_grant_of_another_vault_is_refused(world: World, tmp_path: Path) -> None:
    other = world.store.create_vault(ALICE, "another-vault")
    file = granted(world.vault, world.start, world.stop).file
    with pytest.raises(GrantOfAnotherLog):
        read(copied(other, tmp_path / "copy"), file, keys_of(other))


def test_the_logs_of_a_copy_cannot_change_places(world: World, tmp_path: Path) -> None:
    file, keys = granted(world.vault, world.start, world.stop).file, keys_of(world.vault)
    copied(world.vault, tmp_path / "copy")
    (tmp_path / "copy" / "changes").rename(tmp_path / "copy" / "elsewhere")
    (tmp_path / "copy" / "access").rename(tmp_path / "copy" / "changes")
    (tmp_path / "copy" / "elsewhere").rename(tmp_path / "copy" / "access")
    from cli.copies import copy_at

    with pytest.raises(GrantOfAnotherLog):
        read(copy_at(tmp_path / "copy", ""), file, keys)


def test_a_grant_that_leaves_a_record_out_is_refused_though_it_is_sealed_rightly(
    world: World, tmp_path: Path
) -> None:
    made = granted(world.vault, world.start, world.stop)
    header, text = grant.open_with(CAROL.private, made.file)
    copy, keys = copied(world.vault, tmp_path / "copy"), keys_of(world.vault)
    part, held = header.access, text.access
    shorter = replace(held, keys=held.keys[: -seal.KEY_SIZE])
    forged = {
        "the last": replace(part, stop=part.stop - 1),
        "the first": replace(part, first=part.first + 1),
    }
    for changed in forged.values():
        file = grant.seal_to(
            CAROL.public, replace(header, access=changed), replace(text, access=shorter)
        )
        with pytest.raises(GrantInvalid, match="in the period and not in the grant"):
            read(copy, file, keys)
    longer = replace(header, access=replace(part, stop=part.stop + 1))
    file = grant.seal_to(
        CAROL.public, longer, replace(text, access=replace(held, keys=held.keys + bytes(32)))
    )
    with pytest.raises(GrantInvalid, match="in the grant and not in its period"):
        read(copy, file, keys)


def test_a_grant_with_a_wrong_key_shows_nothing_at_all(world: World, tmp_path: Path) -> None:
    made = granted(world.vault, world.start, world.stop)
    header, text = grant.open_with(CAROL.private, made.file)
    wrong = replace(text.changes, keys=text.changes.keys[:-32] + bytes(32))
    file = grant.seal_to(CAROL.public, header, replace(text, changes=wrong))
    opened = grant.open_with(CAROL.private, file)
    copy = copied(world.vault, tmp_path / "copy")
    with pytest.raises(GrantInvalid, match="does not open it"):
        checked(copy, opened, keys_of(world.vault))


def test_a_record_is_shown_only_as_its_leaf_commits_to_it(world: World) -> None:
    made = granted(world.vault, 0)
    key = grant.open_with(CAROL.private, made.file).text.changes.key(0)
    row, log_id = _rows(world.vault, "changes")[0], world.vault.changes.identity.log_id
    assert record.open_with_its_key(log_id, row, key).meta
    other = row.leaf[:18] + bytes(32) + row.leaf[50:]
    with pytest.raises(SealBroken, match="commits to"):
        record.open_with_its_key(log_id, row._replace(leaf=other), key)


def test_a_key_that_nothing_can_be_sealed_to_is_refused_before_anything_is_recorded(
    world: World,
) -> None:
    size = world.vault.changes.head().size
    with pytest.raises(AuditorKeyInvalid):
        grant.check_key(bytes(32))
    from vault.history_commands import GrantAudit

    asked = GrantAudit(auditor=bytes(32), since=AtTime(0), until=AtTime(world.stop))
    with pytest.raises(AuditorKeyInvalid):
        world.vault.handle(ALICE, asked)
    assert world.vault.changes.head().size == size
    refused = world.vault.access.read(world.vault.access.head().size - 1)
    assert refused.context.outcome == "auditor-key.invalid"


# --- copies that grow -----------------------------------------------------------------------------


def test_a_later_copy_is_read_with_the_same_grant_and_held_to_the_older(
    world: World, tmp_path: Path
) -> None:
    made, keys = granted(world.vault, world.start, world.stop), keys_of(world.vault)
    older = copied(world.vault, tmp_path / "older")
    first = read(older, made.file, keys)
    kept = {kind: [(tmp_path / "older" / kind / "checkpoint").read_text()] for kind in KINDS}
    for number in range(40):
        _busy(world.vault, world.clock, f"later-{number % 7}")
    newer = copied(world.vault, tmp_path / "newer")
    assert read(newer, made.file, keys, kept) == first
    newest = {kind: [(tmp_path / "newer" / kind / "checkpoint").read_text()] for kind in KINDS}
    with pytest.raises(LogTruncated):
        read(older, made.file, keys, newest)
    world.vault.handle(ALICE, RotateKeys())
    newest_of_all = copied(world.vault, tmp_path / "newest")
    assert read(newest_of_all, made.file, keys, newest) == first


def test_a_copy_from_before_the_grant_is_read_if_it_holds_the_period(
    world: World, tmp_path: Path
) -> None:
    copy = copied(world.vault, tmp_path / "copy")
    made = granted(world.vault, world.start, world.stop)
    opened = grant.open_with(CAROL.private, made.file)
    found = checked(copy, opened, keys_of(world.vault))
    assert [found[kind].held for kind in KINDS] == [False, False]
    until_now = grant.open_with(CAROL.private, granted(world.vault, world.start).file)
    with pytest.raises(LogTruncated):
        checked(copy, until_now, keys_of(world.vault))


def test_a_copy_that_forked_from_the_one_the_grant_was_made_in_is_refused(
    tmp_path: Path,
) -> None:
    import shutil

    clock = Clock()
    with make_store(tmp_path / "one", clock) as store:
        _busy(store.create_vault(ALICE, "test-vault"), clock, "a")
    for suffix in ("", ".key"):
        shutil.copytree(tmp_path / f"one{suffix}", tmp_path / f"two{suffix}")
    with Store.open(tmp_path / "one", clock=clock) as store:
        made, keys = granted(store.vault(), 0), keys_of(store.vault())
    with Store.open(tmp_path / "two", clock=clock) as store:
        for name in ("b", "c", "d"):
            _busy(store.vault(), clock, name)
        fork = copied(store.vault(), tmp_path / "fork")
    with pytest.raises(HistoryForked):
        read(fork, made.file, keys)


def test_a_log_whose_keys_are_not_those_that_the_auditor_holds_is_refused(
    world: World, tmp_path: Path
) -> None:
    made, keys = granted(world.vault, world.start, world.stop), keys_of(world.vault)
    copy = copied(world.vault, tmp_path / "copy")
    with pytest.raises(KeyChainBroken):
        read(copy, made.file, {**keys, "access": keys["changes"]})


# --- who may, and what is recorded ----------------------------------------------------------------


def test_only_an_administrator_grants_whatever_the_policies_say(world: World) -> None:
    world.vault.handle(ALICE, SetPolicy(object_id=BOB.principal, secrets=("all",)))
    with pytest.raises(NotAdministrator):
        granted(world.vault, 0, by=BOB)
    refused = world.vault.access.read(world.vault.access.head().size - 1)
    assert refused.event.operation == "audit.granted"
    assert refused.context.principal == BOB.principal


def test_a_grant_is_recorded_in_both_logs_before_any_key_is_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    def stopped(*_: object) -> bytes:
        raise Stopped

    monkeypatch.setattr(grant, "seal_to", stopped)
    with pytest.raises(Stopped):
        granted(world.vault, world.start, world.stop, label="Q3")
    event = world.vault.changes.read(world.vault.changes.head().size - 1).event
    assert isinstance(event, AuditGranted)
    assert event.auditor == auditor.fingerprint(CAROL.public).hex()
    assert (event.start, event.stop, event.label) == (world.start, world.stop, "Q3")
    trace = world.vault.access.read(world.vault.access.head().size - 1).event
    assert (trace.what, trace.count) == (
        "grant",
        sum(b - a for a, b in (event.changes, event.access)),
    )


def test_a_label_that_could_move_a_cursor_is_refused(world: World) -> None:
    for label in ("a\x1b[2J", "x" * 257):
        with pytest.raises(BadParameter):
            granted(world.vault, 0, label=label)


def test_who_read_names_an_auditor_of_the_period_and_says_that_no_value_was_given(
    world: World,
) -> None:
    made = granted(world.vault, world.start, world.stop)
    told = world.vault.handle(ALICE, WhoRead(name="during-1"))
    assert [fact.how for fact in told] == ["read", "metadata"]
    assert (told[1].principal, told[1].position) == (f"auditor:{made.auditor}", made.position)
    assert [fact.how for fact in world.vault.handle(ALICE, WhoRead(name="before-1"))] == ["read"]
    assert world.vault.handle(ALICE, Exposed(principal=told[1].principal)) == []


def test_a_copy_that_changes_while_it_is_read_is_refused(world: World, tmp_path: Path) -> None:
    """Whoever has the audit key can seal another text to the key that was granted."""
    log = world.vault.access
    made = grant.open_with(CAROL.private, granted(world.vault, world.start, world.stop).file)
    copy = copied(world.vault, tmp_path / "copy")
    found = checked(copy, made, keys_of(world.vault))
    position = made.header.access.first

    entry = log.read(position)
    with log.snapshot() as snapshot:
        row = record.split(record.ACCESS, snapshot.row(position))
        audit_key = world.store.keyring.key(snapshot.numbers.audit_key(position))
    salt = record.read_envelope(row.envelope).salt
    other = record.build(
        record.ACCESS,
        log.identity.log_id,
        position,
        entry.time,
        record.Draft(replace(entry.context, principal="somebody else"), entry.event),
        record.Sealing(audit_key, None, None, salt),
    )
    environment = open_environment(tmp_path / "copy" / "access", create=False)
    records = environment.open_db(RECORDS, create=False)
    with environment.begin(write=True) as transaction:
        transaction.put(position.to_bytes(8, "big"), other.row, db=records)
    environment.close()

    with pytest.raises(RecordAltered, match="changed while it was read"):
        list(entries(copy, made, "access", found["access"]))
