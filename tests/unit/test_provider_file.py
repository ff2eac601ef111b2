"""The file of providers: what it may say, who may write it, and what `doctor` tells of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from support.hooks import hook_program
from support.terminal import Terminal
from vault.provider_arm import ArmProvider
from vault.provider_azurite import AzuriteProvider
from vault.provider_file import ProvidersExposed, ProvidersInvalid, load, read
from vault.provider_manual import ManualProvider
from vault.refusals import ProviderMissing

ARM: dict[str, Any] = {
    "kind": "arm",
    "name": "azure",
    "prefix": "/subscriptions/1",
    "credential": {
        "by": "secret",
        "tenant": "11111111-2222-4333-8444-555555555555",
        "clientId": "c",
        "secretFile": "/run/secret",
    },
}
MANAGED = {"by": "managed-identity"}
AZURITE: dict[str, Any] = {
    "kind": "azurite",
    "name": "local",
    "prefix": "/local",
    "accounts": ["shop"],
    "keys": "/var/keys.json",
    "environment": "/var/azurite.env",
    "restart": ["/bin/true"],
}
MANUAL: dict[str, Any] = {
    "kind": "manual",
    "name": "hook",
    "prefix": "",
    "program": ["/bin/cat", "-"],
}


def written(directory: Path, *entries: Any, text: str | None = None) -> Path:
    path = directory / "providers.json"
    path.write_text(json.dumps(entries) if text is None else text)
    path.chmod(0o600)
    return path


def test_each_resource_has_the_provider_with_the_longest_prefix(tmp_path: Path) -> None:
    nearer = {**MANUAL, "name": "nearer", "prefix": "/subscriptions/1/resourceGroups/Mine"}
    found = load(written(tmp_path, ARM, AZURITE, MANUAL, nearer))
    assert isinstance(found.of("/subscriptions/1/resourceGroups/g/x", "shop"), ArmProvider)
    assert isinstance(found.of("/SUBSCRIPTIONS/1/resourcegroups/mine/x", "shop"), ManualProvider)
    assert isinstance(found.of("/local/shop", "shop"), AzuriteProvider)
    assert isinstance(found.of("/subscriptions/12", "shop"), ManualProvider)
    with pytest.raises(ProviderMissing):
        load(written(tmp_path, ARM)).of("/subscriptions/12", "shop")


def test_a_provider_of_named_vaults_answers_no_other(tmp_path: Path) -> None:
    theirs = {**MANUAL, "name": "theirs", "prefix": "/well/theirs", "vaults": ["Shop", "bank"]}
    found = load(written(tmp_path, {**MANUAL, "prefix": "/well"}, theirs))
    assert found.of("/well/theirs/x", "shop") is not found.of("/well/x", "shop")
    assert isinstance(found.of("/well/x", "other"), ManualProvider)
    for vault in ("other", "sho", ""):
        with pytest.raises(ProviderMissing):
            found.of("/well/THEIRS/x", vault)


def test_a_managed_identity_needs_no_secret(tmp_path: Path) -> None:
    [entry] = read(written(tmp_path, {**ARM, "credential": MANAGED}))
    assert entry.problem() == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o606])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, MANUAL)
    path.chmod(mode)
    with pytest.raises(ProvidersExposed):
        load(path)


def test_a_file_of_another_account_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, MANUAL)
    if os.geteuid() == 0:
        os.chown(path, 12_345, -1)
    else:
        monkeypatch.setattr("os.geteuid", lambda: 12_345)
    with pytest.raises(ProvidersExposed, match="another account"):
        load(path)


def changed(entry: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {**entry, **given}


@pytest.mark.parametrize(
    "entry",
    [
        changed(MANUAL, second=3),
        changed(MANUAL, kind="shell"),
        changed(MANUAL, name="Hook"),
        changed(MANUAL, name=""),
        changed(MANUAL, prefix="subscriptions"),
        changed(MANUAL, program=[]),
        changed(MANUAL, program=["hook"]),
        changed(MANUAL, program="/bin/cat -"),
        changed(MANUAL, program=["/bin/cat\0"]),
        changed(MANUAL, seconds=0),
        changed(MANUAL, seconds=51),
        changed(MANUAL, vaults=[]),
        changed(MANUAL, vaults=["a vault"]),
        {"kind": "manual", "name": "hook", "program": ["/bin/cat"]},
        changed(AZURITE, accounts=[]),
        changed(AZURITE, accounts=["Shop"]),
        changed(AZURITE, accounts=["a:b;c"]),
        changed(AZURITE, keys="keys.json"),
        changed(AZURITE, keys="/var/azurite.env"),
        changed(AZURITE, restart=["systemctl", "restart", "azurite"]),
        changed(ARM, endpoint="http://management.azure.com"),
        changed(ARM, endpoint="https://management.azure.com/"),
        changed(ARM, endpoint="https://user@management.azure.com"),
        changed(ARM, endpoint="https://"),
        changed(ARM, credential={**ARM["credential"], "authority": "http://login.example"}),
        changed(ARM, credential={**ARM["credential"], "secret": "s"}),
        changed(ARM, credential={**MANAGED, "endpoint": "http://10.0.0.1/token"}),
        changed(ARM, credential={**MANAGED, "endpoint": "https://localhost/token"}),
        changed(ARM, credential={}),
        changed(ARM, ca="ca.pem"),
    ],
    ids=range(30),
)
def test_what_is_not_known_or_not_plain_is_refused(tmp_path: Path, entry: Any) -> None:
    with pytest.raises(ProvidersInvalid):
        read(written(tmp_path, entry))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[1]",
        "[" * 100_000,
        '[{"kind":"manual","kind":"arm"}]',
        '"' + "x" * 300_000,
    ],
    ids=range(7),
)
def test_what_is_no_list_of_providers_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProvidersInvalid):
        read(written(tmp_path, text=text))


@pytest.mark.parametrize(
    "other",
    [changed(MANUAL, prefix="/x"), changed(MANUAL, name="other", prefix="/")],
    ids=["name", "prefix"],
)
def test_no_two_have_one_name_or_one_prefix(tmp_path: Path, other: Any) -> None:
    with pytest.raises(ProvidersInvalid, match="same"):
        read(written(tmp_path, MANUAL, other))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProvidersInvalid, match="No such file"):
        read(tmp_path / "none.json")


# --- the terminal ---------------------------------------------------------------------------------


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    return terminal


def findings(terminal: Terminal, path: Path) -> dict[str, Any]:
    ran = terminal.run("doctor", "--providers", str(path), "-o", "json")
    return {found["check"]: found for found in ran.json if "provider" in found["check"]}


def test_doctor_tells_the_providers_and_no_argument_of_a_program(
    terminal: Terminal, tmp_path: Path
) -> None:
    hook = changed(MANUAL, program=["/bin/cat", "--secret=x"])
    told = findings(terminal, written(tmp_path, hook, ARM, AZURITE))
    assert told["provider hook"]["found"] == "manual for every resource"
    assert told["provider hook"]["state"] == "ok"
    assert told["provider local"]["found"] == "azurite for /local"
    assert told["provider azure"]["state"] == "wrong"
    assert "/run/secret: No such file" in told["provider azure"]["found"]
    assert "--secret" not in json.dumps(told)


def test_doctor_says_what_is_wrong_with_the_file(terminal: Terminal, tmp_path: Path) -> None:
    path = written(tmp_path, MANUAL)
    path.chmod(0o644)
    assert findings(terminal, path)["providers"]["state"] == "wrong"
    missing = written(tmp_path, changed(MANUAL, program=["/nowhere/hook"]))
    assert "cannot be run" in findings(terminal, missing)["provider hook"]["found"]


def test_the_terminal_asks_the_providers_that_are_declared(
    terminal: Terminal, tmp_path: Path
) -> None:
    program = list(hook_program(tmp_path))
    terminal.environ["MUNIMENT_PROVIDERS"] = str(
        written(tmp_path, changed(MANUAL, program=program))
    )
    told = terminal.json(
        "storage", "add", "shop", "--active-key-name", "key1", "--auto-regenerate-key", "false",
        "--resource-id", "/my/shop",
    )  # fmt: skip
    assert told["activeKeyName"] == "key1"
    before = json.loads((tmp_path / "accounts.json").read_text())
    terminal.must("storage", "regenerate-key", "shop", "--key-name", "key2", "--yes")
    after = json.loads((tmp_path / "accounts.json").read_text())
    assert before["shop"]["key1"] == after["shop"]["key1"]
    assert before["shop"]["key2"] != after["shop"]["key2"]
    ran = terminal.run("storage", "sync", "shop", "--providers", str(tmp_path / "none"))
    assert (ran.status, ran.told.count("none")) == (2, 1)
