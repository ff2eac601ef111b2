"""A kill, an I/O error or a full disk at every single write and sync: nothing answered is lost.

Each operation is rehearsed once under strace, to learn which calls it makes on the store's files.
Then, once for every call, a fresh copy of the same store goes through the same operation, and that
call kills the process or fails.  Afterwards another process opens what is left.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from crash import strace
from crash.carving import Signed, files_in, notes_in, signed_by, sizes_with_two_roots
from crash.driver import AFTERWARDS, CREATE_STORE, REOPEN, STILL_HERE
from crash.operations import OPERATIONS, VAULT, Place, prepare
from crash.strace import Call, Ended, Fault
from eventstore.errors import KeyErased, KeyringExists, MunimentError, RootKeyExists
from eventstore.events import SecretPurged
from eventstore.keyring import Keyring
from eventstore.rootkey import SLOTS, FileRootKey
from projections.rows import Erasure, Table
from support.vaults import ALICE, START, Clock, check_store
from vault.commands import GetSecret, SetSecret
from vault.refusals import StoreNotFound
from vault.store import Store

MISSING = strace.missing()

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]

LATER = START + 3_600_000_000

NOT_RECORDED = "log.not-recorded"
PENDING = "purge.erasure-pending"
"""The change is recorded; what it asked to destroy is destroyed by whoever comes next."""

FEWEST = {
    "read": 3,
    "set": 4,
    "delete": 4,
    "purge": 20,
    "restore": 4,
    "rotate-keys": 24,
    "rotate-root": 15,
    "rebuild": 10,
    "regenerate": 9,
    "create-vault": 25,
    "purge-vault": 20,
    CREATE_STORE: 14,
    REOPEN: 8,
}
"""Calls that an operation cannot do without: a rehearsal that finds fewer has missed some."""

DESTROYERS = {"purge", "purge-vault", "rotate-keys", "rotate-root"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("prepared"))
    prepare(place)
    return place


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("nothing"))


class Cases:
    """Fresh copies of one folder, one after the other in the same place, and what befalls them."""

    def __init__(self, start: Place, place: Place, operation: str) -> None:
        self.start = start
        self.place = place
        self.operation = operation
        rehearsed = self.run()
        assert rehearsed.is_done(operation), (rehearsed.said, rehearsed.errors)
        self.calls = strace.calls_of(rehearsed, place.folder)
        assert len(self.calls) > FEWEST[operation], [call.shown for call in self.calls]

    def run(self, *faults: Fault, tries: int = 1) -> Ended:
        shutil.rmtree(self.place.folder, ignore_errors=True)
        shutil.copytree(self.start.folder, self.place.folder)
        return strace.run(self.place.folder, self.operation, tries, faults)

    def all_from(self, call: Call, error: str, length: int) -> list[Fault]:
        """From *call* on *length* calls of every kind fail."""
        rest = self.calls[self.calls.index(call) : -1]
        first = {later.name: later for later in reversed(rest)}
        return [Fault(later, f"error={error}", length) for later in first.values()]


class Findings:
    """What went wrong in any case of a test, so that one does not hide the next."""

    def __init__(self) -> None:
        self.cases = 0
        self._problems: list[Exception] = []

    @contextmanager
    def case(self, call: Call, ended: Ended) -> Iterator[None]:
        self.cases += 1
        try:
            yield
        except Exception as problem:
            problem.add_note(f"at {call.shown}\nsaid {ended.said}\n{ended.errors}")
            self._problems.append(problem)

    def report(self) -> None:
        if self._problems:
            raise ExceptionGroup(f"{len(self._problems)} of {self.cases} cases", self._problems)


@pytest.fixture
def findings(record_property: Callable[[str, object], None]) -> Iterator[Findings]:
    found = Findings()
    yield found
    record_property("cases", found.cases)


@pytest.fixture
def cases(prepared: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Cases:
    prepare_more = OPERATIONS[request.param].prepare
    if prepare_more is None:
        return Cases(prepared, Place(tmp_path / "case"), request.param)
    start = Place(tmp_path / "start")
    shutil.copytree(prepared.folder, start.folder)
    prepare_more(start)
    return Cases(start, Place(tmp_path / "case"), request.param)


each_operation = pytest.mark.parametrize("cases", [*OPERATIONS], indirect=True)


# --- what must hold afterwards ------------------------------------------------------------------


def check_aftermath(prepared: Place, place: Place, operation: str, ended: Ended) -> None:
    """Another process opens what a case left, asks again, and writes on."""
    clock = Clock(LATER)
    notes = [*ended.notes, *notes_in(place.folder)]
    with place.open(clock=clock) as store:
        vault = store.vault(VAULT)
        assert vault.handle(ALICE, GetSecret(name="kept")).value == "kept-second"
        check_answer(place, store, operation, ended)
        ask_again(place, store, operation)
        vault.handle(ALICE, SetSecret(name="later", value="written later"))
        check_destroyed(prepared, place, store, operation)
    with Store.open(place.home, clock=clock) as store:
        assert store.vault(VAULT).handle(ALICE, GetSecret(name="later")).value == "written later"
        signed = signed_by(store, [*notes, *notes_in(place.folder)])
        assert len(signed) > 2, "hardly a signed checkpoint was found in the files"
        assert sizes_with_two_roots(signed) == []
        kept = by_log(store, signed)
    # The log goes on from every head that was ever signed: a signed head that it disowned, and
    # passed again with another record, is one that has two roots.
    check_store(place.home, clock, kept)


def check_answer(place: Place, store: Store, operation: str, ended: Ended) -> None:
    """What the process said is true."""
    vault = store.vault(VAULT)
    stands, codes = OPERATIONS[operation].stands(place, store, vault), ended.codes(operation)
    if ended.is_done(operation) or PENDING in codes:
        assert stands, f"{operation} was answered and is gone"
    elif codes and set(codes) == {NOT_RECORDED}:
        assert not stands, f"{operation} was said not to be recorded and stands"
    if ended.is_done(AFTERWARDS):
        assert vault.handle(ALICE, GetSecret(name=AFTERWARDS)).value == STILL_HERE


def ask_again(place: Place, store: Store, operation: str) -> None:
    """Whoever heard no answer asks again; it is carried out once."""
    asked, vault = OPERATIONS[operation], store.vault(VAULT)
    with suppress(*asked.already_done):
        asked.ask(place, store, vault)
    assert asked.stands(place, store, vault)


def check_destroyed(prepared: Place, place: Place, store: Store, operation: str) -> None:
    """Every purge has its receipt, its key is gone, and no root key but the newest lies about."""
    vault = store.vault(VAULT)
    with vault.changes.snapshot() as snapshot:
        rows = vault.views.reader(snapshot.transaction)
        assert list(rows.scan(Table.ERASURES, Erasure)) == []
        purged = [one.event for one in snapshot.entries() if isinstance(one.event, SecretPurged)]
    assert purged
    for event in purged:
        with pytest.raises(KeyErased):
            store.keyring.key(event.key)
    assert len(list(place.slots.iterdir())) == 1
    if operation in DESTROYERS:
        (old,) = filter(None, map(FileRootKey(prepared.slots).read, SLOTS))
        assert not any(old in text for text in files_in(place.folder))
        old_keyring_stays_closed(prepared, place)


def old_keyring_stays_closed(prepared: Place, place: Place) -> None:
    """The current root key does not open a copy of the keyring from before."""
    copy = Place(place.folder.with_name("copy"))
    shutil.copytree(prepared.home / "keyring", copy.home)
    shutil.copytree(place.slots, copy.slots)
    try:
        with pytest.raises(MunimentError) as refused:
            Keyring.open(copy.home, FileRootKey(copy.slots)).close()
        assert refused.value.code.startswith("root.")
    finally:
        shutil.rmtree(copy.folder)


def by_log(store: Store, signed: dict[Signed, str]) -> dict[str, list[str]]:
    """Signed checkpoints by their log's directory, as a witness would keep them."""
    logs = [log for vault in store.vaults() for log in (vault.changes, vault.access)]
    return {
        str(log.path.relative_to(store.home)): [
            note for one, note in signed.items() if one.origin == log.identity.origin
        ]
        for log in logs
    }


# --- killed -------------------------------------------------------------------------------------


@each_operation
def test_a_kill_loses_nothing_answered_and_leaves_nothing_by_half(
    prepared: Place, cases: Cases, findings: Findings
) -> None:
    for call in cases.calls:
        ended = cases.run(Fault(call, "signal=KILL"))
        with findings.case(call, ended):
            assert not ended.is_done(AFTERWARDS), "the kill did not hit"
            check_aftermath(prepared, cases.place, cases.operation, ended)
    findings.report()


@pytest.mark.parametrize("part", range(4))
def test_a_kill_while_a_killed_purge_is_finished_changes_nothing(
    part: int, prepared: Place, tmp_path: Path, findings: Findings
) -> None:
    first = Cases(prepared, Place(tmp_path / "first"), "purge")
    call = first.calls[4 + part * len(first.calls) // 5]
    first.run(Fault(call, "signal=KILL"))
    second = Cases(first.place, Place(tmp_path / "second"), REOPEN)
    for call in second.calls:
        ended = second.run(Fault(call, "signal=KILL"))
        with findings.case(call, ended):
            check_aftermath(prepared, second.place, "purge", ended)
    findings.report()


@pytest.mark.parametrize("cases", ["set"], indirect=True)
def test_a_head_left_unsigned_is_committed_again_before_it_is_signed(
    prepared: Place, cases: Cases, tmp_path: Path
) -> None:
    """What a killed commit left may stand in memory only, and a power cut would take it back."""
    (unsigned,) = [call for call in cases.calls if "/changes/checkpoint" in call.shown]
    cases.run(Fault(unsigned, "signal=KILL"))
    reopened = Cases(cases.place, Place(tmp_path / "again"), REOPEN)
    files = [call.shown for call in reopened.calls if "/changes/" in call.shown]
    first = next(number for number, call in enumerate(files) if "/checkpoint" in call)
    before = [call for call in files[:first] if "/data.mdb" in call]
    assert any(call.startswith("fdatasync") for call in before)
    assert before[-1].startswith("pwrite64"), "LMDB's page with the head comes last, synced"
    check_aftermath(prepared, cases.place, "set", strace.run(cases.place.folder, REOPEN))


# --- an I/O error, once -------------------------------------------------------------------------


@each_operation
def test_after_an_io_error_the_answer_is_true_and_the_process_goes_on(
    prepared: Place, cases: Cases, findings: Findings
) -> None:
    for call in cases.calls[:-1]:
        ended = cases.run(Fault(call, "error=EIO"))
        with findings.case(call, ended):
            assert ended.injected, "the error did not hit"
            assert not ended.told("escaped", cases.operation)
            assert ended.is_done(AFTERWARDS)
            check_aftermath(prepared, cases.place, cases.operation, ended)
    findings.report()


# --- a full disk, for a while -------------------------------------------------------------------


@each_operation
def test_when_a_full_disk_has_room_again_the_same_process_recovers(
    prepared: Place, cases: Cases, findings: Findings
) -> None:
    repeated = [refusal.code for refusal in OPERATIONS[cases.operation].already_done]
    for call in cases.calls[:-1]:
        ended = cases.run(*cases.all_from(call, "ENOSPC", 2), tries=60)
        with findings.case(call, ended):
            assert ended.injected, "the error did not hit"
            assert not ended.told("escaped", cases.operation)
            assert ended.is_done(cases.operation) or ended.codes(cases.operation)[-1] in repeated
            assert ended.is_done(AFTERWARDS)
            check_aftermath(prepared, cases.place, cases.operation, ended)
    findings.report()


# --- fail closed --------------------------------------------------------------------------------


@pytest.mark.parametrize("cases", ["read"], indirect=True)
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_no_value_is_given_out_while_the_read_cannot_be_recorded(
    prepared: Place, cases: Cases, findings: Findings, error: str
) -> None:
    for call in cases.calls[:-1]:
        if "/data.mdb" not in call.shown:
            continue
        ended = cases.run(*cases.all_from(call, error, 100), tries=3)
        with findings.case(call, ended):
            assert not ended.is_done("read")
            assert len(ended.codes("read")) == 3
            assert "kept-second" not in str(ended.said)
            check_aftermath(prepared, cases.place, cases.operation, ended)
    assert findings.cases >= 3
    findings.report()


# --- a store in the making ----------------------------------------------------------------------


def check_new_store(place: Place, ended: Ended) -> None:
    """A store that was made opens; one that was not can be made.

    What its making left may have to be removed by hand: a root key is never overwritten unasked.
    """
    clock = Clock(LATER)
    try:
        store = Store.open(place.home, clock=clock)
    except StoreNotFound:
        assert not ended.is_done(CREATE_STORE)
        store = make_anew(place, clock)
    with store:
        assert store.vault_names() == []
        vault = store.create_vault(ALICE, VAULT)
        vault.handle(ALICE, SetSecret(name="first", value="first-value"))
        assert vault.handle(ALICE, GetSecret(name="first")).value == "first-value"
    assert len(list(place.slots.iterdir())) == 1
    check_store(place.home, clock)


def make_anew(place: Place, clock: Clock) -> Store:
    try:
        return Store.create(place.home, clock=clock)
    except (KeyringExists, RootKeyExists):
        shutil.rmtree(place.home)
        shutil.rmtree(place.slots, ignore_errors=True)
        return Store.create(place.home, clock=clock)


def test_a_store_whose_making_was_killed_is_there_or_can_be_made(
    nothing: Place, tmp_path: Path, findings: Findings
) -> None:
    cases = Cases(nothing, Place(tmp_path / "case"), CREATE_STORE)
    for call in cases.calls:
        ended = cases.run(Fault(call, "signal=KILL"))
        with findings.case(call, ended):
            check_new_store(cases.place, ended)
    findings.report()


@pytest.mark.parametrize(("error", "length"), [("EIO", 0), ("ENOSPC", 2)])
def test_a_store_whose_making_failed_can_be_made_when_the_disk_is_mended(
    nothing: Place, tmp_path: Path, findings: Findings, error: str, length: int
) -> None:
    cases = Cases(nothing, Place(tmp_path / "case"), CREATE_STORE)
    for call in cases.calls[:-1]:
        ended = cases.run(*cases.all_from(call, error, length))
        with findings.case(call, ended):
            assert ended.injected, "the error did not hit"
            assert not ended.told("escaped", CREATE_STORE)
            check_new_store(cases.place, ended)
    findings.report()
