"""A store that a release wrote stays readable, verifiable and writable in every later one.

`make.py` made each folder release-N once, with that release; the facts beside the archive say what it
held.  A format that moves without saying so fails here.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cli.copies import copy_at
from eventstore.errors import LogTruncated, RootKeyMissing, RootKeyWrong, StoreLocked
from eventstore.log_directory import logs_of, verify_log
from stores import make
from support.auditors import Auditor, positions, read
from support.vaults import ALICE, BOB, Clock, check, stale_rows
from vault.commands import DeleteSecret, GetSecret, PurgeDeletedSecret, RestoreSecret, SetSecret
from vault.history_commands import RotateKeys
from vault.refusals import DeletedSecretNotFound, SecretNotFound
from vault.store import Store

RELEASES = sorted(path for path in Path(make.__file__).parent.glob("release-*"))
CASES = [(release, provider) for release in RELEASES for provider in make.PROVIDERS]


class Released(NamedTuple):
    """A store unpacked, the facts that were kept of it, and how it is opened."""

    folder: Path
    home: Path
    facts: dict[str, Any]
    open: Callable[[], Store]

    def kept(self, log: Path) -> list[str]:
        notes: list[str] = self.facts["kept"][log.name]
        return notes


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0].name}-{case[1]}")
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Released:
    folder, provider = request.param
    with tarfile.open(folder / make.ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    facts = json.loads((folder / make.FACTS).read_text(encoding="utf-8"))
    home, told = tmp_path / provider, facts[provider]
    clock = Clock(told["now"])

    def opened() -> Store:
        return Store.open(home, clock=clock, **make.open_with(provider))

    return Released(folder, home, told, opened)


def verified(released: Released) -> dict[str, int]:
    """Verify both logs as an outsider, against all that was kept when the store was made."""
    found = {}
    for log in logs_of(released.home):
        trusted = released.facts["first_verifiers"][log.name]
        kept = released.kept(log)
        report = verify_log(log, trusted=trusted, kept=kept, every_signature=True)
        assert report.kept == len(kept)
        found[log.name] = report.size
    return found


def test_it_verifies_against_every_checkpoint_that_was_kept(released: Released) -> None:
    assert verified(released)["changes"] == released.facts["sizes"]["changes"]


def test_every_value_is_what_it_was(released: Released) -> None:
    with released.open() as store:
        found = json.loads(json.dumps(make.facts(store.vault())))
        check(store.vault())
    history = released.facts["history"]
    assert found["history"][: len(history)] == history
    for what in ("secrets", "deleted", "policies"):
        assert found[what] == released.facts[what]
    verified(released)


def test_its_views_are_what_its_log_says_and_can_be_made_anew(released: Released) -> None:
    with released.open() as store:
        vault = store.vault()
        assert stale_rows(vault) == []
        rebuilt = vault.rebuild()
        assert rebuilt.before == rebuilt.after
        sizes = released.facts["sizes"]
        assert rebuilt.events == sizes["changes"] + sizes["access"]
        check(vault)
    verified(released)


def test_it_can_be_written_to(released: Released) -> None:
    with released.open() as store:
        vault = store.vault()
        vault.handle(ALICE, SetSecret(name="new", value="of a later release"))
        vault.handle(ALICE, SetSecret(name="unicode", value="changed"))
        vault.handle(ALICE, RotateKeys())
        vault.handle(ALICE, DeleteSecret(name="large"))
        vault.handle(ALICE, PurgeDeletedSecret(name="large"))
        assert vault.handle(BOB, GetSecret(name="unicode")).value == "changed"
        check(vault)
    with released.open() as store:
        vault = store.vault()
        assert vault.handle(ALICE, GetSecret(name="new")).value == "of a later release"
        with pytest.raises(SecretNotFound):
            vault.handle(ALICE, GetSecret(name="large"))
        store.rotate_root_key(ALICE)
        check(vault)
    assert verified(released)["changes"] > released.facts["sizes"]["changes"]


def test_a_backup_that_it_issued_can_be_restored(released: Released) -> None:
    name = "service-1"
    with released.open() as store:
        vault = store.vault()
        vault.handle(ALICE, DeleteSecret(name=name))
        vault.handle(ALICE, PurgeDeletedSecret(name=name))
        vault.handle(ALICE, RestoreSecret(blob=bytes.fromhex(released.facts["backup"])))
        found = json.loads(json.dumps(make.facts(vault)))["secrets"][name]
        assert {one["version"]: one.get("value") for one in found} == {
            one["version"]: one.get("value") for one in released.facts["secrets"][name]
        }
        check(vault)
    verified(released)


def test_what_it_purged_stays_purged(released: Released) -> None:
    with released.open() as store:
        vault = store.vault()
        with pytest.raises(SecretNotFound):
            vault.handle(ALICE, GetSecret(name="batch-1"))
        with pytest.raises(DeletedSecretNotFound):
            vault.handle(ALICE, PurgeDeletedSecret(name="batch-1"))
        check(vault)
    verified(released)


def test_a_later_checkpoint_refuses_it_once_it_was_written_to(
    released: Released, tmp_path: Path
) -> None:
    """The copy in the archive is then an old copy."""
    with released.open() as store:
        vault = store.vault()
        vault.handle(ALICE, SetSecret(name="new", value="later"))
        later = vault.changes.checkpoint()
        check(vault)
    log = next(log for log in logs_of(released.home) if log.name == "changes")
    verify_log(log, kept=[later], every_signature=True)
    with tarfile.open(released.folder / make.ARCHIVE) as archive:
        archive.extractall(tmp_path / "old", filter="data")
    old = tmp_path / "old" / log.relative_to(tmp_path)
    with pytest.raises(LogTruncated):
        verify_log(old, kept=[later], every_signature=True)


def test_without_the_right_root_key_it_stays_closed(released: Released) -> None:
    if "passphrase" in released.home.name:
        with pytest.raises(StoreLocked):
            Store.open(released.home)
        with pytest.raises(RootKeyWrong):
            Store.open(released.home, passphrase=lambda: b"another")
    slots = released.home.with_name(released.home.name + ".key")
    slots.rename(slots.with_name("elsewhere"))
    with pytest.raises(RootKeyMissing):
        released.open()
    slots.with_name("elsewhere").rename(slots)
    with released.open() as store:
        check(store.vault())
    verified(released)


def test_there_is_a_store_of_some_release() -> None:
    assert RELEASES


def test_a_grant_that_a_release_made_is_read_by_every_later_one(released: Released) -> None:
    (vault,) = (released.home / "vaults").iterdir()
    told = released.facts["grant"]
    keys = released.facts["first_verifiers"]
    who = Auditor(bytes.fromhex(told["private"]))
    found = read(copy_at(vault, ""), bytes.fromhex(told["file"]), keys, who=who)
    assert positions(found) == {log: list(range(*told[log])) for log in ("changes", "access")}
    assert len(found["access"]) > 10
