"""Make the stores that a release leaves behind: python tests/stores/make.py

Two real stores, one with its root key in a file and one under a passphrase, live through everything
that happens to a vault, and are kept with their root keys as one compressed archive.  Beside it stands
what every later release must find in it.  A released archive is never made again: remove the folder
by hand, before the release, to make it anew.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from eventstore.checkpoint import parse_checkpoint
from support.auditors import CAROL, granted
from support.pasts import LOGS, live
from support.vaults import ALICE, BOB, START, Clock, check
from vault.commands import (
    BackupSecret,
    GetSecret,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    SetSecret,
)
from vault.history_commands import ReadHistory
from vault.rule_commands import ListPolicies, SetPolicy
from vault.service import Vault
from vault.store import Store

PASSPHRASE = "correct horse battery staple"
PROVIDERS = ("file", "passphrase")
ARCHIVE, FACTS = "stores.tar.xz", "facts.json"


def folder(release: str) -> Path:
    return Path(__file__).parent / f"release-{release}"


def open_with(provider: str) -> dict[str, Any]:
    """What opens a store of that provider."""
    return {"passphrase": lambda: PASSPHRASE.encode()} if provider == "passphrase" else {}


def made(home: Path, provider: str) -> dict[str, Any]:
    """A store in *home* that has lived, and what is to be found in it."""
    clock = Clock(START)
    with Store.create(home, provider=provider, clock=clock, **open_with(provider)) as store:
        store.create_vault(ALICE, "test-vault", retention_days=30)

    def again() -> Store:
        return Store.open(home, clock=clock, **open_with(provider))

    past = live(home, clock, again)
    with again() as store:
        vault = store.vault()
        vault.handle(ALICE, SetPolicy(object_id=BOB.principal, secrets=("get",)))
        vault.handle(ALICE, SetSecret(name="unicode", value="\N{SNOWMAN} s\u00e9cret \U0001f511"))
        vault.handle(ALICE, SetSecret(name="large", value="x" * 25_600, tags={"size": "largest"}))
        opened = grant(vault)
        found = {**facts(vault), "backup": blob(vault), "grant": opened}
        check(vault)
        signers = {log: str(past.signing[log][0].verifier) for log in LOGS}
        return {
            **found,
            "now": clock.now,
            "sizes": {log: getattr(vault, log).head().size for log in LOGS},
            "first_verifiers": signers,
            "kept": {log: [state.checkpoint for state in past.states[log]] for log in LOGS},
        }


def blob(vault: Vault) -> str:
    return vault.handle(ALICE, BackupSecret(name="service-1")).blob.hex()


def grant(vault: Vault) -> dict[str, Any]:
    """A grant of half of what there is, and how many records of each log it is of."""
    middle = vault.changes.read(vault.changes.head().size // 2).time
    made = granted(vault, 0, middle)
    runs = {"changes": made.changes, "access": made.access}
    return {"file": made.file.hex(), "private": CAROL.private.hex(), **runs}


def facts(vault: Vault) -> dict[str, Any]:
    """What the vault says of every secret it holds: values, versions, attributes, policies."""
    ask = vault.handle
    return {
        "secrets": {
            listed.name: list(_versions(vault, listed.name)) for listed in ask(ALICE, ListSecrets())
        },
        "deleted": [one.name for one in ask(ALICE, ListDeletedSecrets())],
        "policies": {
            one.object_id: [list(one.secrets), list(one.storage)]
            for one in ask(ALICE, ListPolicies())
        },
        "history": [
            [item.position, item.operation, item.name, item.principal]
            for item in ask(ALICE, ReadHistory(logs=("changes",)))
        ],
    }


def _versions(vault: Vault, name: str) -> Iterator[dict[str, Any]]:
    for one in vault.handle(ALICE, ListSecretVersions(name=name)):
        told = {
            "version": one.version,
            "enabled": one.attributes.enabled,
            "created": one.attributes.created,
            "updated": one.attributes.updated,
            "exp": one.attributes.exp,
            "content_type": one.content_type,
            "tags": one.tags,
        }
        if one.attributes.enabled:
            asked = GetSecret(name=name, version=one.version)
            told["value"] = vault.handle(ALICE, asked).value
        yield told


def write(release: str) -> None:
    place = folder(release)
    if place.exists():
        sys.exit(f"{place} is there already: a released store is never made again")
    found: dict[str, Any] = {"release": release, "passphrase": PASSPHRASE}
    with tempfile.TemporaryDirectory() as home:
        for provider in PROVIDERS:
            found[provider] = made(Path(home) / provider, provider)
        packed = _packed(Path(home))
    for provider in PROVIDERS:
        for log in LOGS:
            sizes = [parse_checkpoint(note).size for note in found[provider]["kept"][log]]
            assert sizes == sorted(sizes)
    place.mkdir()
    (place / ARCHIVE).write_bytes(packed)
    text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True)
    (place / FACTS).write_text(text + "\n", encoding="utf-8")
    print(f"{place}: {len(packed)} bytes")


def _packed(home: Path) -> bytes:
    """The folder as tar.xz, without LMDB's lock files, owners and times."""
    kept: Callable[[tarfile.TarInfo], tarfile.TarInfo | None] = _plain
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:xz", preset=9) as archive:
        for path in sorted(home.iterdir()):
            archive.add(path, path.name, filter=kept)
    return written.getvalue()


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if info.name.endswith("lock.mdb"):
        return None
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info


if __name__ == "__main__":
    write(version("muniment"))
