"""What Python shows of an object, or of a failure, holds no value: it ends up in logs and reports."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventstore import (
    access_events,
    event,
    events,
    record,
    rule_events,
    seal,
    storage_events,
)
from eventstore.errors import MunimentError
from eventstore.event import SecretContent
from eventstore.rootkey import FileRootKey, PassphraseRootKey
from projections import rows
from support.life import Life, life_in
from support.vaults import ALICE, BOB, Clock, check_store, make_store
from vault import (
    answers,
    backup,
    commands,
    history_commands,
    rule_commands,
    storage_backup,
    storage_commands,
    writing,
)
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
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.history_commands import (
    Blame,
    Diff,
    DiffFork,
    PlanRestore,
    ReadHistory,
    Replay,
    Restore,
    RotateKeys,
)
from vault.rule_commands import ShowVault
from vault.service import Vault

MARK = "xyzzy"
SECRET_FIELDS = {"value", "content_type", "tags", "blob", "template"}


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


def shown(thing: object) -> str:
    return f"{thing!r} {thing} {thing:} {[thing]!r} { ({'key': thing})!r}"


def structs(*modules: Any) -> list[type[msgspec.Struct]]:
    """Every struct that these modules define."""
    found = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and kind.__module__ == module.__name__
    }
    return sorted(found, key=lambda kind: kind.__qualname__)


def marked(kind: type[msgspec.Struct]) -> msgspec.Struct:
    """One of *kind* whose secret fields hold the marker."""
    fields: dict[str, Any] = dict.fromkeys(kind.__struct_fields__, 0)
    for name in SECRET_FIELDS & fields.keys():
        fields[name] = {MARK: MARK} if name == "tags" else MARK
    if "blob" in fields:
        fields["blob"] = MARK.encode()
    if "items" in fields:
        fields["items"] = (marked(SetSecret),)
    if kind.__name__ == "_Payload":
        fields["versions"] = (marked(backup.BackedUpVersion),)
    return kind(**fields)


EVENTS = (event, events, rule_events, storage_events, access_events)
ALL_STRUCTS = structs(
    commands,
    history_commands,
    rule_commands,
    storage_commands,
    answers,
    *EVENTS,
    backup,
    storage_backup,
    rows,
    record,
)


@pytest.mark.parametrize("kind", ALL_STRUCTS, ids=lambda kind: kind.__qualname__)
def test_no_command_answer_event_or_row_shows_its_secret_fields(
    kind: type[msgspec.Struct],
) -> None:
    assert MARK not in shown(marked(kind))


def test_the_marker_stood_where_it_must_not_be_shown() -> None:
    holding = {kind.__qualname__ for kind in ALL_STRUCTS if SECRET_FIELDS & set(_fields(kind))}
    assert holding >= {
        *("SetSecret", "UpdateSecret", "RestoreSecret"),
        *("SecretBundle", "Backup", "SecretContent", "BackedUpVersion"),
        *("SetStorageAccount", "UpdateStorageAccount", "SetSasDefinition", "UpdateSasDefinition"),
        *("StorageAccountBundle", "SasBundle", "BackedUpAccount", "BackedUpDefinition"),
    }


def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return kind.__struct_fields__


def test_no_event_and_no_row_has_a_field_for_a_value_at_all() -> None:
    for kind in structs(*EVENTS, rows):
        if kind is not SecretContent:
            assert not SECRET_FIELDS & set(_fields(kind))


# --- what a vault hands about while it works ----------------------------------------------------

WHOLE: dict[str, Any] = {
    "value": f"a {MARK} value",
    "content_type": f"{MARK}/type",
    "tags": {f"{MARK}-tag": f"{MARK}-tagged"},
}
TOO_MUCH: dict[str, dict[str, Any]] = {
    "value": {"value": MARK * 10_000},
    "half a character": {"value": MARK + "\ud800"},
    "content type": {"content_type": MARK * 100},
    "tag name": {"tags": {MARK * 100: "x"}},
    "tag value": {"tags": {"x": MARK * 100}},
    "tags": {"tags": {f"{MARK}{number}": MARK for number in range(16)}},
    "half a tag": {"tags": {MARK + "\udfff": MARK}},
    "half a type": {"content_type": MARK + "\udfff"},
    "date": {**WHOLE, "exp": -1},
    "expected": {**WHOLE, "expected": 77},
}


def whole_chain(problem: BaseException) -> Iterator[BaseException]:
    """An exception with all that led to it, also what a traceback would not print."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [problem]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__]
    yield from seen


def all_that_a_report_may_hold(problem: BaseException) -> str:
    texts = ["".join(traceback.format_exception(problem))]
    for one in whole_chain(problem):
        texts += [shown(one), repr(one.args), repr(vars(one)), repr(getattr(one, "__notes__", ""))]
    if isinstance(problem, MunimentError):
        texts += [problem.message, problem.hint]
    return " ".join(texts)


@pytest.fixture
def handed_about(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is shown of all decisions, contents and outcomes that pass inside the vault."""
    found: list[str] = []

    def watch(owner: Any, name: str) -> None:
        act = getattr(owner, name)

        def watched(*args: Any, **rest: Any) -> Any:
            result = act(*args, **rest)
            found.extend(shown(thing) for thing in (*args, *rest.values(), result))
            return result

        monkeypatch.setattr(owner, name, watched)

    watch(writing.Writing, "_decide")
    watch(writing.Writing, "record")
    watch(writing.Writing, "carry_out")
    watch(backup, "open_blob")
    watch(Vault, "handle")
    return found


def test_nothing_that_passes_inside_a_vault_shows_a_value(
    life: Life, handed_about: list[str]
) -> None:
    life(SetSecret(name="db", **WHOLE))
    life(ImportSecrets(items=(SetSecret(name="db", **WHOLE), SetSecret(name="b", **WHOLE))))
    life(UpdateSecret(name="db", content_type=WHOLE["content_type"], tags=WHOLE["tags"]))
    asked: list[Command[Any]] = [
        *(GetSecret(name="db"), ListSecrets(), ListSecretVersions(name="db"), ShowVault()),
        *(DeleteSecret(name="db"), GetDeletedSecret(name="db"), ListDeletedSecrets()),
        *(RecoverDeletedSecret(name="db"), BackupSecret(name="db"), ReadHistory(), RotateKeys()),
        *(Blame(name="db"), Diff(before=3, after=5), DiffFork(common=3, size=5), Replay()),
        *(PlanRestore(to=4, attributes=True), Restore(plan=PlanRestore(to=4), head=12)),
    ]
    for command in asked:
        life(command)
    blob = life(BackupSecret(name="db")).blob
    life.delete("db")
    life(PurgeDeletedSecret(name="db"))
    life(RestoreSecret(blob=blob))
    assert life.read("db") == WHOLE["value"]
    assert len(handed_about) > 100
    assert [text for text in handed_about if MARK in text] == []


@pytest.mark.parametrize("what", TOO_MUCH)
def test_no_refusal_of_a_change_holds_what_was_refused(life: Life, what: str) -> None:
    life.set("db")
    given = TOO_MUCH[what]
    rest = {name: held for name, held in given.items() if name != "value"}
    refused: list[Command[Any]] = [
        SetSecret(**{"name": "db", "value": MARK, **given}),
        ImportSecrets(items=(SetSecret(**{"name": "db", "value": MARK, **given}),)),
    ]
    if rest:
        refused.append(UpdateSecret(name="db", **rest))
    for command in refused:
        with pytest.raises(MunimentError) as caught:
            life(command)
        assert MARK not in all_that_a_report_may_hold(caught.value)


def test_no_other_refusal_holds_a_value(life: Life) -> None:
    life(SetSecret(name="off", enabled=False, **WHOLE))
    life(SetSecret(name="db", **WHOLE))
    blob = life(BackupSecret(name="db")).blob
    life(SetSecret(name="gone", **WHOLE))
    life.delete("gone")
    once = Caller(principal=ALICE.principal, auth="test", request="once")
    life(SetSecret(name="again", **WHOLE), once)
    refused: list[tuple[Command[Any], Caller]] = [
        (SetSecret(name="db", **WHOLE), BOB),
        (SetSecret(name="no name", **WHOLE), ALICE),
        (SetSecret(name="gone", **WHOLE), ALICE),
        (SetSecret(name="again", **{**WHOLE, "value": MARK}), once),
        (GetSecret(name="off"), ALICE),
        (UpdateSecret(name="gone", tags=WHOLE["tags"]), ALICE),
        (UpdateSecret(name="nil", tags=WHOLE["tags"]), ALICE),
        (RestoreSecret(blob=blob), ALICE),
        (RestoreSecret(blob=blob[:-1] + MARK.encode()), ALICE),
        (RestoreSecret(blob=MARK.encode() * 100), ALICE),
        (RestoreSecret(blob=blob), BOB),
    ]
    for command, caller in refused:
        with pytest.raises(MunimentError) as caught:
            life(command, caller)
        assert MARK not in all_that_a_report_may_hold(caught.value)


def test_a_blob_with_a_broken_inside_is_refused_without_its_values(life: Life) -> None:
    """Sealed with the right key, so that what is wrong is found only once it is open."""
    life.set("db")
    blob = life(BackupSecret(name="db")).blob
    header = backup.read_header(blob, life.store.store_id)
    key = life.store.keyring.key(header.backup_key)
    good = backup.BackedUpVersion(version="0" * 32, created=1, updated=1, **WHOLE)
    changes: list[dict[str, Any]] = [
        {"value": MARK * 10_000},
        {"content_type": MARK * 100},
        {"tags": {MARK * 100: MARK}},
        {"created": -1},
        {"value": {MARK: MARK}},
        {"tags": MARK},
        {"unknown": MARK},
    ]
    fields = msgspec.to_builtins(good)
    for change in changes:
        inside = {"name": "other", "versions": [{**fields, **change}]}
        text = msgspec.msgpack.encode(inside)
        front = blob[:48]
        broken = front + seal.seal(key, bytes(32), b"backup", front, text)
        refusal = life.refuses("backup.invalid", RestoreSecret(blob=broken))
        assert MARK not in all_that_a_report_may_hold(refusal)


def test_no_passphrase_and_no_root_key_is_shown(tmp_path: Path) -> None:
    root = PassphraseRootKey(tmp_path / "key", MARK.encode())
    assert MARK not in shown(root)
    with make_store(tmp_path / "store", Clock()) as store:
        key = store._root.read(0)
        assert key is not None
        shows = shown(store._root) + shown(store.keyring) + shown(store) + shown(FileRootKey("x"))
        assert repr(key)[2:-1] not in shows
        assert key.hex() not in shows
    check_store(tmp_path / "store")


def test_no_key_is_shown_of_what_holds_keys() -> None:
    key = MARK.encode().ljust(32, b".")
    holders = [
        record.Sealing(key, key, None, bytes(32)),
        seal.OneTimeKeys(key, bytes(32), key),
    ]
    assert [type(holder).__name__ for holder in holders if MARK in shown(holder)] == []
