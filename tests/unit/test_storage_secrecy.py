"""No key of a storage account stands anywhere but sealed: looked for in all that a vault gives out.

In every file of the store, in backup blobs and exports, in answers and what hangs on them in memory,
in what Python shows of objects and failures, and in both logs as an auditor reads them.
"""

from __future__ import annotations

import base64
import gc
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventstore.errors import MunimentError
from eventstore.event import SecretContent
from eventstore.export import export_tiles, public_log
from support.providers import key, lost, refusing
from support.storage import Place, storage_place
from support.vaults import BOB
from vault import exporting, storage, storage_backup
from vault.commands import Command, GetSecret, ListSecrets
from vault.history_commands import Blame, Diff, Exposed, PlanRestore, ReadHistory, Replay, WhoRead
from vault.storage_commands import (
    BackupStorageAccount,
    DeleteSasDefinition,
    DeleteStorageAccount,
    GetDeletedStorageAccount,
    GetSasDefinition,
    GetStorageAccount,
    ListDeletedStorageAccounts,
    ListSasDefinitions,
    ListStorageAccounts,
    PurgeDeletedStorageAccount,
    RecoverDeletedSasDefinition,
    RecoverDeletedStorageAccount,
    RegenerateKey,
    RestoreStorageAccount,
    SyncStorageKeys,
    UpdateSasDefinition,
    UpdateStorageAccount,
)

MADE = 40
"""More keys than the provider of these tests ever makes."""


def forms() -> list[bytes]:
    """Every key in the forms that it could leak in."""
    found = []
    for number in range(1, MADE):
        raw = base64.b64decode(key(number))
        found += [raw, raw.hex().encode(), key(number).encode()]
        found += [base64.urlsafe_b64encode(raw), base64.b64encode(raw)[:44], raw[:32]]
    return found


FORMS = forms()


def holds_a_key(text: bytes) -> bool:
    return any(form in text for form in FORMS)


def reachable(thing: object) -> Iterator[object]:
    """All that hangs on *thing* in memory, types and modules aside."""
    seen: set[int] = set()
    waiting = [thing]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type) or callable(one):
            continue
        seen.add(id(one))
        yield one
        waiting += gc.get_referents(one)


def texts(thing: object) -> Iterator[bytes]:
    """What *thing* shows of itself, says to others, and holds."""
    yield f"{thing!r} {thing}".encode()
    yield msgspec.json.encode(thing, enc_hook=repr)
    for one in reachable(thing):
        if isinstance(one, str):
            yield one.encode("utf-8", "replace")
        elif isinstance(one, bytes | bytearray):
            yield bytes(one)


class Watch:
    """Asks, and looks at every answer and every failure."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.seen: list[bytes] = []

    def ask(self, command: Command[Any]) -> Any:
        answer = self.place.ask(command)
        self.seen += texts(answer)
        return answer

    def fail(self, command: Command[Any]) -> None:
        with pytest.raises(MunimentError) as refused:
            self.place.ask(command)
        problem: BaseException | None = refused.value
        while problem is not None:
            self.seen.append(f"{problem!r} {problem} {problem.args}".encode())
            problem = problem.__cause__ or problem.__context__
        self.seen.append("".join(traceback.format_exception(refused.value)).encode())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with storage_place(tmp_path / "store") as place:
        yield place


def live(place: Place) -> list[bytes]:
    """Everything that can be done with an account; all that was seen of it."""
    watch = Watch(place)
    watch.seen += texts(place.set_account(tags={"a": "b"}))
    watch.seen += texts(place.set_sas())
    changes: tuple[Command[Any], ...] = (
        GetSecret(name="shop-all"),
        RegenerateKey(name="shop", key_name="key2"),
        SyncStorageKeys(name="shop"),
        UpdateStorageAccount(name="shop", active_key="key2"),
        UpdateSasDefinition(account="shop", name="all", period=60),
        GetStorageAccount(name="shop"),
        GetSasDefinition(account="shop", name="all"),
        ListStorageAccounts(),
        ListSasDefinitions(account="shop"),
        ListSecrets(),
        DeleteSasDefinition(account="shop", name="all"),
        RecoverDeletedSasDefinition(account="shop", name="all"),
        DeleteStorageAccount(name="shop"),
        GetDeletedStorageAccount(name="shop"),
        ListDeletedStorageAccounts(),
        RecoverDeletedStorageAccount(name="shop"),
    )
    for command in changes:
        watch.ask(command)
    place.provider.drift("key1")
    watch.ask(SyncStorageKeys(name="shop"))
    _fail(place, watch)
    place.clock.advance(days=100)
    watch.seen += texts(place.vault.rotate_due())
    blob = watch.ask(BackupStorageAccount(name="shop"))
    questions: tuple[Command[Any], ...] = (
        WhoRead(name="shop"),
        Exposed(principal="alice@example.com"),
        Blame(name="shop"),
        Diff(before=2, after=place.vault.changes.head().size),
        Replay(),
        ReadHistory(),
        PlanRestore(to=4, prune=True),
    )
    for command in questions:
        watch.ask(command)
    for item in place.ask(ReadHistory()):
        origin = exporting.Origin("v", "https://v.vault.localhost")
        watch.seen += [exporting.line(form, origin, item).encode() for form in exporting.FORMS]
    watch.ask(DeleteStorageAccount(name="shop"))
    watch.ask(PurgeDeletedStorageAccount(name="shop"))
    watch.ask(RestoreStorageAccount(blob=blob.blob))
    return watch.seen


def _fail(place: Place, watch: Watch) -> None:
    """Failures with keys in hand."""
    place.provider.after = lost
    watch.fail(RegenerateKey(name="shop", key_name="key1"))
    watch.fail(SyncStorageKeys(name="shop"))
    place.clock.advance(seconds=121)
    watch.fail(SyncStorageKeys(name="shop"))
    place.provider.after = lambda call: None
    watch.ask(SyncStorageKeys(name="shop"))
    place.provider.before = refusing
    watch.fail(RegenerateKey(name="shop", key_name="key1"))
    place.provider.before = lambda call: None
    place.provider.spoilt = {"bad": key(2)[:-8]}
    watch.fail(SyncStorageKeys(name="shop"))
    place.provider.spoilt = {}
    with pytest.raises(MunimentError):
        place.ask(GetStorageAccount(name="shop"), BOB)


def test_no_answer_no_failure_and_no_line_of_a_log_holds_a_key(place: Place) -> None:
    seen = live(place)
    assert len(seen) > 500
    assert place.provider.made >= 4
    assert any(b"?sv=2018-03-28" in text for text in seen), "not even a token was seen"
    assert not any(holds_a_key(text) for text in seen)


def test_no_file_of_the_store_holds_a_key(place: Place) -> None:
    live(place)
    tiles = place.home.parent / "tiles"
    changes = place.vault.changes.path
    place.store.close()
    with public_log(changes) as log:
        export_tiles(log, tiles)
    place.reopen()
    files = [path for path in (*place.home.rglob("*"), *tiles.rglob("*")) if path.is_file()]
    assert len(files) > 8
    assert not any(holds_a_key(path.read_bytes()) for path in files)


def test_what_is_looked_for_would_be_found(place: Place) -> None:
    place.set_account()
    with place.vault.changes.snapshot() as snapshot:
        (account,) = place.vault.views.reader(snapshot.transaction).storage_accounts()
        content = snapshot.content(account.keys_at, account.key)
    assert any(holds_a_key(text) for text in texts(content))
    place.provider.drift("key1")
    assert holds_a_key((place.home.parent / "provider.json").read_bytes())


@pytest.mark.parametrize(
    "thing",
    [
        SecretContent(keys={"key1": key(1)}),
        storage.Asked({"key1": key(1)}, "shop"),
        storage.Found(None, asked=storage.Asked({"key1": key(1)})),
        storage_backup.BackedUpAccount(
            name="shop", resource_id="/x", account_name="shop", active_key="key1",
            auto_regenerate=False, created=1, updated=1, keys={"key1": key(1)},
        ),
    ],
)  # fmt: skip
def test_what_has_a_key_in_hand_does_not_show_it(thing: object) -> None:
    assert not holds_a_key(f"{thing!r} {thing} {[thing]!r}".encode())
