"""Key Vault's documented limits: exactly at the limit is taken, one beyond is refused.

Source: "About Azure Key Vault secrets" and "About keys, secrets and certificates".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import MunimentError
from support.life import Life, life_in
from support.vaults import ALICE, check_store, make_store
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ImportSecrets,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    SetSecret,
    UpdateSecret,
)
from vault.rule_commands import SetPolicy, UpdateVault

LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


def tags(count: int) -> dict[str, str]:
    return {f"tag{number}": "x" for number in range(count)}


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["x" * 25_600, "é" * 12_800, "€" * 8_533 + "x", "\N{LOCK}" * 6_400, "\x00" * 25_600],
    ids=["1 byte each", "2 bytes each", "3 bytes each", "4 bytes each", "zeros"],
)
def test_a_value_of_25_600_bytes_is_kept_whole_and_one_byte_more_is_refused(
    life: Life, value: str
) -> None:
    assert len(value.encode()) == 25_600
    life.set("db", value)
    assert life.read("db") == value
    life.refuses("value.too-large", SetSecret(name="db", value=value + "x"))
    life.refuses("value.too-large", ImportSecrets(items=(SetSecret(name="i", value=value + "x"),)))
    assert life.read("db") == value


# --- content types, tags and dates --------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"content_type": ""},
        {"content_type": "x" * 255},
        {"content_type": "é" * 255},
        {"tags": tags(15)},
        {"tags": {"n" * 256: "v" * 256}},
        {"tags": {"ñ" * 256: "€" * 256}},
        {"tags": {"n": ""}},
        {"nbf": 0, "exp": LAST_SECOND},
    ],
    ids=lambda given: str(given)[:40],
)
def test_at_the_limit_is_taken_by_a_set_and_by_an_update(life: Life, given: dict[str, Any]) -> None:
    life.set("by-set", "v", **given)
    life.set("by-update", "v")
    life(UpdateSecret(name="by-update", **given))
    for name in ("by-set", "by-update"):
        found = life(GetSecret(name=name))
        seen = {
            "content_type": found.content_type,
            "tags": found.tags,
            "nbf": found.attributes.nbf,
            "exp": found.attributes.exp,
        }
        assert {key: seen[key] for key in given} == given


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("content-type.too-long", {"content_type": "x" * 256}),
        ("tags.invalid", {"tags": tags(16)}),
        ("tags.invalid", {"tags": {"n" * 257: "v"}}),
        ("tags.invalid", {"tags": {"n": "v" * 257}}),
        ("tags.invalid", {"tags": {"": "v"}}),
        ("attributes.invalid", {"nbf": -1}),
        ("attributes.invalid", {"exp": -1}),
        ("attributes.invalid", {"nbf": LAST_SECOND + 1}),
        ("attributes.invalid", {"exp": LAST_SECOND + 1}),
        ("content-type.too-long", {"content_type": "\ud800"}),
        ("tags.invalid", {"tags": {"n": "\ud800"}}),
    ],
    ids=lambda given: ascii(given)[:40],
)
def test_one_beyond_is_refused_by_a_set_an_import_and_an_update(
    life: Life, code: str, given: dict[str, Any]
) -> None:
    life.set("db", "v")
    life.refuses(code, SetSecret(name="db", value="w", **given))
    life.refuses(code, ImportSecrets(items=(SetSecret(name="db", value="w", **given),)))
    life.refuses(code, UpdateSecret(name="db", **given))
    found = life(GetSecret(name="db"))
    assert (found.value, found.content_type, found.tags) == ("v", None, None)


# --- names and versions -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "-", "0", "a" * 127, "Az-09", "restore"])
def test_a_name_of_1_to_127_letters_digits_and_hyphens_is_taken(life: Life, name: str) -> None:
    life.set(name, "v")
    assert life.read(name) == "v"


BAD_NAMES = ["", "a" * 128, "a_b", "a.b", "a b", "a/b", "é", "\uff41", "\u0661", "a\n", "a\0"]
HALF_A_CHARACTER = "a\udcff"


def naming(name: str) -> list[Command[Any]]:
    """Every command that names a secret."""
    return [
        SetSecret(name=name, value="v"),
        ImportSecrets(items=(SetSecret(name=name, value="v"),)),
        GetSecret(name=name),
        UpdateSecret(name=name, exp=1),
        DeleteSecret(name=name),
        ListSecretVersions(name=name),
        GetDeletedSecret(name=name),
        RecoverDeletedSecret(name=name),
        PurgeDeletedSecret(name=name),
        BackupSecret(name=name),
    ]


@pytest.mark.parametrize("name", [*BAD_NAMES, HALF_A_CHARACTER], ids=ascii)
def test_any_other_name_is_refused_by_every_command_and_the_refusal_is_recorded(
    life: Life, name: str
) -> None:
    commands = naming(name)
    for command in commands:
        life.refuses("name.invalid", command)
    assert [trace.context.outcome for trace in life.traces()] == ["name.invalid"] * len(commands)
    assert life(ListSecrets()) == []


@pytest.mark.parametrize(
    "version", ["0" * 31, "0" * 33, "g" * 32, "\uff10" * 32, " " * 32, "\udcff" * 32], ids=ascii
)
def test_a_version_that_is_not_32_hexadecimal_digits_is_refused(life: Life, version: str) -> None:
    life.set("db")
    life.refuses("version.invalid", GetSecret(name="db", version=version))
    life.refuses("version.invalid", UpdateSecret(name="db", version=version, exp=1))
    life.refuses("version.invalid", ListSecretVersions(name="db", after=version))


# --- vaults -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["abc", "A" * 24, "a-b-c", "a12", "Kv-01"])
def test_a_vault_may_have_a_name_that_key_vault_allows(tmp_path: Path, name: str) -> None:
    with make_store(tmp_path / "store") as store:
        assert store.create_vault(ALICE, name).name == name
        assert store.vault(name.swapcase()).name == name
    check_store(tmp_path / "store")


@pytest.mark.parametrize(
    "name",
    ["", "ab", "a" * 25, "1ab", "-ab", "ab-", "a--b", "a_b", "a.b", "äbc", "abc\n", "ab\udcff"],
    ids=ascii,
)
def test_a_vault_may_not_have_another_name(tmp_path: Path, name: str) -> None:
    with make_store(tmp_path / "store") as store:
        with pytest.raises(MunimentError) as caught:
            store.create_vault(ALICE, name)
        assert caught.value.code == "vault-name.invalid"
        assert store.vault_names() == []
    check_store(tmp_path / "store")


def test_two_vaults_of_one_store_do_not_have_one_name_in_any_case(tmp_path: Path) -> None:
    with make_store(tmp_path / "store") as store:
        store.create_vault(ALICE, "main")
        with pytest.raises(MunimentError) as caught:
            store.create_vault(ALICE, "MAIN")
        assert caught.value.code == "vault.exists"
        assert store.vault_names() == ["main"]
    check_store(tmp_path / "store")


@pytest.mark.parametrize("days", [7, 90])
def test_retention_may_be_7_to_90_days(tmp_path: Path, days: int) -> None:
    with life_in(tmp_path / "store", retention_days=days) as life:
        assert life.set("db").attributes.recoverable_days == days


@pytest.mark.parametrize("days", [-1, 0, 6, 91])
def test_retention_may_not_be_shorter_or_longer(tmp_path: Path, days: int) -> None:
    with make_store(tmp_path / "store") as store:
        with pytest.raises(MunimentError) as caught:
            store.create_vault(ALICE, "main", retention_days=days)
        assert caught.value.code == "retention.invalid"
        assert store.vault_names() == []
    check_store(tmp_path / "store")


# --- principals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("principal", ["", "p" * 257, "a\nb", "\udc80"], ids=ascii)
def test_a_principal_has_1_to_256_printable_characters(life: Life, principal: str) -> None:
    life.refuses("principal.invalid", SetPolicy(object_id=principal, secrets=("get",)))
    life.refuses("principal.invalid", UpdateVault(administrators=("alice", principal)))
    life(SetPolicy(object_id="p" * 256, secrets=("get",)))


def test_a_permission_that_does_not_exist_is_refused_and_all_means_all(life: Life) -> None:
    life.refuses("permission.unknown", SetPolicy(object_id="bob", secrets=("get", "gett")))
    life.refuses("permission.unknown", SetPolicy(object_id="bob", storage=("recoverkey",)))
    given = life(SetPolicy(object_id="bob", secrets=("ALL",), storage=("Get",)))
    assert set(given.secrets) == {
        *("get", "list", "set", "delete", "recover", "backup", "restore", "purge")
    }
    assert given.storage == ("get",)
