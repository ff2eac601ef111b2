"""What a change or a read costs, counted: bytes, system calls, signatures, commits, rows.

Such counts do not depend on the machine, so they stand here as numbers; what they take in time is
for `make bench`.  A number may go down.  One that goes up is a decision, and the commit that raises
it says why.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import lmdb
import pytest

from eventstore import record
from eventstore.checkpoint import Signer
from eventstore.errors import MunimentError
from eventstore.keytree import FANOUT
from eventstore.log import Log
from support.vaults import ALICE, MALLORY, Clock, check_store, make_store, make_vault
from vault.caller import Caller
from vault.commands import (
    Command,
    DeleteSecret,
    GetSecret,
    ImportSecrets,
    ListSecrets,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    SetSecret,
    UpdateSecret,
)
from vault.service import Vault

HOME = "store"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / HOME


@pytest.fixture
def vault(home: Path) -> Iterator[Vault]:
    # The same bytes in every run: where a row of the views lies, and so which page is written, comes
    # from a random key.
    clock, entropy = Clock(), Random(2).randbytes
    store = make_store(home, clock, entropy=entropy)
    yield store.create_vault(ALICE, "test-vault")
    store.close()
    check_store(home, clock)


def a_set(number: int, size: int = 200) -> SetSecret:
    return SetSecret(name=f"secret-{number}", value="v" * size)


def an_import(first: int, many: int) -> ImportSecrets:
    return ImportSecrets(items=tuple(a_set(number) for number in range(first, first + many)))


# --- bytes on disk --------------------------------------------------------------------------------


def growth(log: Log, act: Callable[[], object], times: int) -> float:
    """By how many bytes the file of *log* grows for each of its events, once some are in it."""
    for _ in range(times // 4):
        act()
    before, size = log.head().size, file_size(log)
    for _ in range(times):
        act()
    return (file_size(log) - size) / (log.head().size - before)


def file_size(log: Log) -> int:
    """The pages in use, in bytes; the file is longer by some zeros."""
    environment = log._open_environment()
    return int(environment.stat()["psize"] * (environment.info()["last_pgno"] + 1))


def test_a_file_is_longer_than_its_pages_by_little_and_by_nothing_but_zeros(vault: Vault) -> None:
    for number in range(3):
        vault.handle(ALICE, an_import(number * 100, 100))
    vault.handle(ALICE, a_set(1))
    used, data = file_size(vault.changes), (vault.changes.path / "data.mdb").read_bytes()
    assert 0 < len(data) - used <= used // 4
    assert not any(data[used:])


def test_a_set_in_a_commit_of_its_own_grows_the_file_by_1650_bytes(vault: Vault) -> None:
    vault.handle(ALICE, an_import(0, 100))
    numbers = cycle(range(100))
    assert growth(vault.changes, lambda: vault.handle(ALICE, a_set(next(numbers))), 400) <= 1650


def test_sets_in_commits_of_100_grow_the_file_by_2700_bytes_each(vault: Vault) -> None:
    # More than alone, and less in the long run: LMDB keeps the pages that the last two commits
    # replaced, and these replace a hundred at a time.
    assert growth(vault.changes, lambda: vault.handle(ALICE, an_import(0, 100)), 20) <= 2700


def test_a_read_grows_its_log_by_680_bytes_and_no_other(vault: Vault) -> None:
    vault.handle(ALICE, a_set(1))
    changes = file_size(vault.changes)
    read = GetSecret(name="secret-1")
    assert growth(vault.access, lambda: vault.handle(ALICE, read), 400) <= 680
    assert file_size(vault.changes) == changes


@pytest.mark.parametrize(
    ("size", "stored"),
    [
        (0, 828),
        (200, 828),
        (300, 1084),
        (1000, 1596),
        (2000, 2620),
        (4000, 4668),
        (10_000, 10_812),
        (25_600, 27_196),
    ],
)
def test_a_record_is_as_long_as_its_value_and_at_most_an_eighth_more(
    vault: Vault, size: int, stored: int
) -> None:
    vault.handle(ALICE, a_set(1, size))
    with vault.changes.snapshot() as snapshot:
        row = snapshot.row(snapshot.size - 1)
    assert len(row) == stored
    assert size <= len(row) <= 828 + size * 9 / 8


# --- rows of the views ----------------------------------------------------------------------------


LIVE = range(1, 10)
"""The tables that hold what is so now; those above hold the past and the trail."""


def rows_of(vault: Vault, tables: range = LIVE) -> int:
    with vault.changes.snapshot() as snapshot:
        places = (place for place, _ in vault.views.reader(snapshot.transaction).opened())
        return sum(1 for place in places if place[16] in tables)


def rows_added(vault: Vault, command: Command[Any], request: str = "") -> int:
    before = rows_of(vault)
    vault.handle(Caller(principal=ALICE.principal, auth="test", request=request), command)
    return rows_of(vault) - before


def test_each_version_is_one_row_and_each_secret_one_more(vault: Vault) -> None:
    assert rows_added(vault, a_set(1)) == 2
    assert rows_added(vault, a_set(1)) == 1
    assert rows_added(vault, UpdateSecret(name="secret-1", enabled=False)) == 0
    assert rows_added(vault, an_import(1, 100)) == 1 + 99 * 2


def test_a_change_leaves_one_row_of_the_past_for_each_row_that_it_changes(vault: Vault) -> None:
    every = range(256)

    def added(command: Command[Any]) -> int:
        before = rows_of(vault, every)
        vault.handle(ALICE, command)
        return rows_of(vault, every) - before

    by_name, by_print, listed = 1, 1, 2
    assert added(a_set(1)) == 2 + listed + by_name + by_print
    assert added(a_set(1)) == 1 + 1 + by_name + by_print
    assert added(UpdateSecret(name="secret-1", enabled=False)) == 2 + by_name


def test_a_deletion_is_one_row_until_it_is_undone(vault: Vault) -> None:
    vault.handle(ALICE, a_set(1))
    assert rows_added(vault, DeleteSecret(name="secret-1")) == 1
    assert rows_added(vault, RecoverDeletedSecret(name="secret-1")) == -1


def test_a_purge_leaves_no_row(vault: Vault) -> None:
    before = rows_of(vault)
    for command in (a_set(1), a_set(1), DeleteSecret(name="secret-1")):
        vault.handle(ALICE, command)
    vault.handle(ALICE, PurgeDeletedSecret(name="secret-1"))
    assert rows_of(vault) == before


def test_a_request_id_is_one_row_and_its_repetition_none(vault: Vault) -> None:
    vault.handle(ALICE, a_set(1))
    assert rows_added(vault, a_set(1), request="r-1") == 2
    assert rows_added(vault, a_set(1), request="r-1") == 0


# --- signatures -----------------------------------------------------------------------------------


class Signatures:
    """How many Ed25519 signatures were made since the last look."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._made = 0
        sign = Signer.sign

        def counted(signer: Signer, message: bytes) -> bytes:
            self._made += 1
            return sign(signer, message)

        patch.setattr(Signer, "sign", counted)

    def made_by(self, vault: Vault, command: Command[Any]) -> int:
        self._made = 0
        vault.handle(ALICE, command)
        return self._made


@pytest.fixture
def signatures(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Signatures:
    return Signatures(monkeypatch)


def test_a_change_is_signed_once_and_its_commit_once(vault: Vault, signatures: Signatures) -> None:
    assert signatures.made_by(vault, a_set(1)) == 2
    assert signatures.made_by(vault, an_import(1, 100)) == 101


def test_of_a_read_only_the_commit_is_signed(vault: Vault, signatures: Signatures) -> None:
    vault.handle(ALICE, an_import(1, 10))
    assert signatures.made_by(vault, GetSecret(name="secret-1")) == 1
    assert signatures.made_by(vault, ListSecrets()) == 1


def test_a_purge_takes_two_events_and_two_heads_of_signatures(
    vault: Vault, signatures: Signatures
) -> None:
    vault.handle(ALICE, a_set(1))
    vault.handle(ALICE, DeleteSecret(name="secret-1"))
    assert signatures.made_by(vault, PurgeDeletedSecret(name="secret-1")) == 4


# --- commits --------------------------------------------------------------------------------------


def commits(home: Path, folder: Path) -> Counter[str]:
    """How many commits each LMDB environment of the store has seen, by its directory's name."""
    found: Counter[str] = Counter()
    for file in home.rglob("data.mdb"):
        # A copy, since a process opens an environment once.
        copy = shutil.copy(file, folder / "copied.mdb")
        with lmdb.open(os.fspath(copy), subdir=False, readonly=True, lock=False) as environment:
            found[file.parent.name] += environment.info()["last_txnid"]
    return found


def commits_made(home: Path, vault: Vault, *commands: Command[Any]) -> dict[str, int]:
    before = commits(home, home.parent)
    for command in commands:
        vault.handle(ALICE, command)
    return dict(commits(home, home.parent) - before)


def test_a_set_is_one_commit_however_many_secrets_it_sets(home: Path, vault: Vault) -> None:
    vault.handle(ALICE, an_import(1, 100))
    assert commits_made(home, vault, a_set(1)) == {"changes": 1}
    assert commits_made(home, vault, an_import(1, 100)) == {"changes": 1}


def test_a_read_is_one_commit_and_only_to_access(home: Path, vault: Vault) -> None:
    vault.handle(ALICE, an_import(1, 10))
    assert commits_made(home, vault, GetSecret(name="secret-1")) == {"access": 1}
    assert commits_made(home, vault, ListSecrets()) == {"access": 1}


def test_a_refusal_is_one_commit_and_only_to_access(home: Path, vault: Vault) -> None:
    before = commits(home, home.parent)
    with pytest.raises(MunimentError):
        vault.handle(MALLORY, a_set(1))
    assert dict(commits(home, home.parent) - before) == {"access": 1}


@pytest.mark.parametrize(("limit", "opened"), [(None, 30), (5, 5)])
def test_a_list_opens_one_record_for_each_secret_that_it_shows(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, limit: int | None, opened: int
) -> None:
    vault.handle(ALICE, an_import(0, 30))
    vault.handle(ALICE, an_import(0, 30))
    size = vault.changes.head().size
    contents, open_content = [], record.open_content

    def count(*parts: Any) -> Any:
        contents.append(parts)
        return open_content(*parts)

    monkeypatch.setattr(record, "open_content", count)
    for as_of in (None, size - 30):
        contents.clear()
        shown = vault.handle(ALICE, ListSecrets(limit=limit, as_of=as_of))
        assert len(shown) == len(contents) == opened


def test_64_new_secrets_take_one_commit_of_the_keyring(home: Path, vault: Vault) -> None:
    sets = [a_set(number) for number in range(FANOUT)]
    assert commits_made(home, vault, *sets) == {"changes": FANOUT, "keyring": 1}


def test_a_purge_is_two_commits_of_changes_and_one_of_the_keyring(home: Path, vault: Vault) -> None:
    vault.handle(ALICE, a_set(1))
    vault.handle(ALICE, DeleteSecret(name="secret-1"))
    purge = PurgeDeletedSecret(name="secret-1")
    assert commits_made(home, vault, purge) == {"changes": 2, "keyring": 1}


# --- system calls ---------------------------------------------------------------------------------

DRIVER = """
import os, sys
from pathlib import Path
from support.vaults import ALICE, Clock, open_store
from vault.commands import *

def step(name, *commands):
    os.write(1, b"step " + name.encode())
    for command in commands:
        vault.handle(ALICE, command)
    os.write(1, b"step end")

def a_set(number):
    return SetSecret(name=f"secret-{number}", value="v" * 200)

with open_store(Path(sys.argv[1]), Clock(int(sys.argv[2]))) as store:
    vault = store.vault()
    vault.handle(ALICE, GetSecret(name="secret-1"))
    step("set", a_set(1))
    step("import", ImportSecrets(items=tuple(a_set(number) for number in range(100))))
    step("get", GetSecret(name="secret-1"))
    step("list", ListSecrets())
    step("64 new", *(a_set(number) for number in range(100, 164)))
    vault.handle(ALICE, DeleteSecret(name="secret-1"))
    step("purge", PurgeDeletedSecret(name="secret-1"))
"""

WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2")
SYNCS = ("fdatasync", "fsync", "msync", "sync", "syncfs", "sync_file_range")
TESTS = Path(__file__).parent.parent

_CALL = re.compile(r"^\d+ +(\w+)\((\d+)<([^>]*)>.* = (\d+)(?: .*)?$")
_ZEROS = re.compile(r', "(\\0){32}"')
_STEP = re.compile(r'"step ([^"]*)"')
_SYNCED_FILE = re.compile(r"openat\(.*O_DSYNC.* = (\d+)<")


def cannot_trace() -> str:
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"strace cannot trace here: {tried.stderr.strip()}"


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counter[str]]:
    """What the steps of the driver ask of the disk, counted under strace."""
    if reason := cannot_trace():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("counts")
    clock = Clock()
    store, vault = make_vault(folder / HOME, clock)
    with store:
        vault.handle(ALICE, an_import(0, 100))
    trace = folder / "trace"
    command = ["strace", "-f", "-y", "-s", "32", "-o", os.fspath(trace)]
    command += ["-e", f"trace=openat,{','.join((*WRITES, *SYNCS))}"]
    command += [sys.executable, "-c", DRIVER, os.fspath(folder / HOME), str(clock.now)]
    environment = {**os.environ, "PYTHONPATH": os.fspath(TESTS), "PYTHONSAFEPATH": "1"}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    clock.advance(seconds=1)
    check_store(folder / HOME, clock)
    return counted(trace.read_text().splitlines())


def counted(trace: list[str]) -> dict[str, Counter[str]]:
    """For each step: syncs, synced writes, pages and calls that wrote them."""
    found: dict[str, Counter[str]] = {}
    synced: set[str] = set()
    step = ""
    for line in trace:
        if opened := _SYNCED_FILE.search(line):
            synced.add(opened[1])
        elif said := _STEP.search(line):
            step = said[1]
            found[step] = Counter()
        elif (call := _CALL.match(line)) and step not in ("", "end"):
            name, fd, path, result = call.groups()
            if name in SYNCS:
                found[step][name] += 1
            elif fd in synced:
                found[step]["synced writes"] += 1
            elif path.endswith("data.mdb") and _ZEROS.search(line):
                found[step]["zeros ahead"] += 1
            elif path.endswith("data.mdb"):
                found[step]["pages"] += int(result) // 4096
                found[step]["writes"] += 1
            else:
                found[step][Path(path).name] += 1
    return found


def syncs(step: Counter[str]) -> dict[str, int]:
    """What waited for the disk; a commit of LMDB syncs its data, then its root."""
    return {name: step[name] for name in (*SYNCS, "synced writes") if step[name]}


@pytest.mark.parametrize("step", ["set", "import", "get", "list"])
def test_a_commit_waits_for_the_disk_twice(calls: dict[str, Counter[str]], step: str) -> None:
    # And for nothing else: the checkpoint beside the log can be made again, so it is not synced.
    assert syncs(calls[step]) == {"fdatasync": 1, "synced writes": 1}
    assert calls[step]["checkpoint"] == 1


def test_64_new_secrets_wait_for_one_commit_more(calls: dict[str, Counter[str]]) -> None:
    assert syncs(calls["64 new"]) == {"fdatasync": FANOUT + 1, "synced writes": FANOUT + 1}


def test_a_purge_waits_for_three_commits_and_two_slots(calls: dict[str, Counter[str]]) -> None:
    # A slot is made with two syncs (its file, its directory) and destroyed with three (its bytes,
    # its length, its directory).
    assert syncs(calls["purge"]) == {"fdatasync": 3, "fsync": 2 + 3, "synced writes": 3}
    assert (calls["purge"]["slot-0"], calls["purge"]["slot-1"]) == (1, 1)


# An import took 54 to 61 in twenty runs: its rows lie where hashes under a random key put them.
@pytest.mark.parametrize(("step", "pages"), [("set", 8), ("import", 64), ("get", 3), ("list", 3)])
def test_a_commit_writes_few_pages(calls: dict[str, Counter[str]], step: str, pages: int) -> None:
    assert calls[step]["writes"] <= calls[step]["pages"] <= pages
    assert calls[step]["zeros ahead"] <= 1
