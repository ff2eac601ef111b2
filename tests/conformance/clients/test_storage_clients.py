"""The old clients' storage operations, each of them; and tokens that open blobs in a real Azurite.

azure-keyvault 1.1.0 and npm's azure-keyvault 3.0.5 are the last that have these operations.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import azurite
from support.hooks import hook_program
from support.served import CLIENTS, PROGRAMS, Program, Served, missing
from support.services import free_port

RESOURCE = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/"
TEMPLATE = "sv=2018-03-28&ss=bqtf&srt=sco&sp=rwdlacup&spr=https"
LEVEL = "Recoverable+Purgeable"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Here a program makes the keys."""
    directory = tmp_path_factory.mktemp("storage")
    hook = {
        "kind": "manual",
        "name": "hook",
        "prefix": RESOURCE,
        "program": list(hook_program(directory)),
    }
    with Served(directory, providers=[hook]) as served:
        yield served


def legacy(served: Served) -> Program:
    python = CLIENTS / "bin" / "python"
    if not python.exists():
        missing("azure-keyvault 1.1.0 is not installed: make clients")
    return Program(served, python, PROGRAMS / "storage_legacy.py")


def node(served: Served) -> Program:
    modules = CLIENTS / "node_modules"
    if not (modules / "azure-keyvault").is_dir():
        missing("npm's azure-keyvault is not installed: make clients")
    script = PROGRAMS / "node" / "storage.cjs"
    return Program(served, CLIENTS / "bin" / "node", script, NODE_PATH=str(modules))


def whole(shown: dict[str, Any]) -> dict[str, Any]:
    """Members as the service names them, whatever the client calls them."""
    shown = {"sid" if name in ("secret_id", "secretId") else name: shown[name] for name in shown}
    return {
        re.sub("_([a-z])", lambda found: found[1].upper(), name): value
        for name, value in shown.items()
    }


def check_life(saw: dict[str, Any], name: str) -> None:
    """What both clients must see alike."""
    account = {
        "id": f"/storage/{name}",
        "resourceId": f"{RESOURCE}shop",
        "activeKeyName": "key1",
        "autoRegenerateKey": True,
        "regenerationPeriod": "P90D",
        "attributes": [True, LEVEL, True],
        "tags": {"team": "a"},
    }
    updated = {
        **account,
        "activeKeyName": "key2",
        "autoRegenerateKey": False,
        "tags": {"team": "b"},
    }
    sas = {
        "id": f"/storage/{name}/sas/all",
        "sid": f"/secrets/{name}-all",
        "templateUri": TEMPLATE,
        "sasType": "account",
        "validityPeriod": "PT4H",
        "attributes": [True, LEVEL, True],
        "tags": {"of": "c"},
    }
    sas_updated = {**sas, "validityPeriod": "P1D", "tags": {"of": "d"}}
    deleted, sas_deleted = f"/deletedstorage/{name}", f"/deletedstorage/{name}/sas/all"
    assert whole(saw["set"]) == account
    assert whole(saw["update"]) == updated
    assert saw["listed"] == [f"/storage/{name}"]
    assert saw["regenerate"] == "key2"
    assert whole(saw["sas set"]) == sas
    assert whole(saw["sas update"]) == sas_updated
    assert saw["sas listed"] == [f"/storage/{name}/sas/{one}" for one in ("all", "more")]
    assert saw["token"][:5] == [
        f"?{TEMPLATE}",
        "application/vnd.ms-sastoken-storage",
        f"/secrets/{name}-all",
        True,
        True,
    ]
    assert whole(saw["sas deleted"]) == {**sas_updated, "recoveryId": sas_deleted, "days": 90}
    assert saw["sas gone"] == [404, "SasDefinitionNotFound", None]
    assert saw["sas deleted get"] == sas_deleted
    assert saw["sas deleted listed"] == [sas_deleted]
    assert saw["sas recovered"] == sas["id"]
    assert saw["exists"] == [409, "Conflict", None]
    assert whole(saw["deleted"]) == {**updated, "recoveryId": deleted, "days": 90}
    assert saw["gone"] == [404, "StorageAccountNotFound", None]
    assert saw["deleted get"] == deleted
    assert saw["deleted listed"] == [deleted]
    assert saw["recovered"] == account["id"]
    assert saw["purged is gone"] == [404, "StorageAccountNotFound", None]
    assert whole(saw["restored"]) == updated
    assert saw["restored sas"] == [f"/storage/{name}/sas/{one}" for one in ("all", "more")]
    assert saw["wrong key"] == [404, "StorageAccountKeyNotFound", None]


def test_the_old_python_client_does_all_that_it_can_with_storage_accounts(served: Served) -> None:
    name = "python"
    saw = legacy(served).tell(
        "life", api="7.0", name=name, resource=f"{RESOURCE}shop", template=TEMPLATE
    )
    check_life(saw, name)
    assert [saw["get"], saw["sas get"], saw["again"]] == [True, True, True]
    assert saw["token"][5] is None
    assert saw["managed"] == [f"/secrets/{name}-{one}" for one in ("all", "more")]
    assert saw["no set"] == [403, "Forbidden", "SecretIsManaged"]
    assert saw["token gone"] == [404, "SecretNotFound", None]
    assert saw["held"] == [409, "Conflict", "ObjectIsDeletedButRecoverable"]
    assert saw["secrets left"] == []
    assert saw["purged"] is None
    assert saw["wrong name"] == [404, "StorageAccountNotFound", None]


def test_the_first_version_with_storage_accounts_has_them_too(served: Served) -> None:
    saw = legacy(served).tell(
        "first_life", api="2016-10-01", name="first", resource=f"{RESOURCE}shop"
    )
    assert saw == {
        "ids": ["/storage/first"] * 3,
        "said": [{"team": "b"}, "key2", "P90D"],
        "definitions": [],
        "refused": [400, "BadParameter", None],
        "gone": [404, "StorageAccountNotFound", None],
    }


def test_the_old_node_client_does_all_that_it_can_with_storage_accounts(served: Served) -> None:
    saw = node(served).tell("life", name="node", resource=f"{RESOURCE}shop", template=TEMPLATE)
    check_life(saw, "node")
    assert saw["get"] == saw["set"]
    assert saw["sas get"] == saw["sas set"]


# --- a real Azurite -------------------------------------------------------------------------------


def test_a_token_opens_a_blob_until_its_key_is_regenerated_and_the_next_one_does(
    tmp_path: Path,
) -> None:
    script = CLIENTS / "azurite/node_modules/azurite/dist/src/blob/main.js"
    if not script.exists():
        missing("Azurite is not installed: make clients")
    directory, port = tmp_path / "azurite", free_port()
    directory.mkdir()
    starter = [sys.executable, "-I", azurite.__file__, str(directory), str(port)]
    declared = {
        "kind": "azurite",
        "name": "azurite",
        "prefix": RESOURCE,
        "accounts": ["shop"],
        "keys": str(directory / "keys.json"),
        "environment": str(directory / "azurite.env"),
        "restart": [*starter, str(CLIENTS / "bin" / "node"), str(script)],
        "seconds": 50,
    }
    account = f"http://127.0.0.1:{port}/shop"
    templates = {
        "account": "sv=2020-12-06&ss=b&srt=sco&sp=rwdlac",
        "service": f"{account}/box/hello.txt?sv=2020-12-06&sr=b&sp=r",
        "elsewhere": f"{account}/box/other.txt?sv=2020-12-06&sr=b&sp=r",
    }
    refused = [403, "AuthorizationFailure"]
    try:
        with Served(tmp_path, providers=[declared]) as served:
            old = legacy(served)
            made = old.tell("set_up", api="7.0", resource=f"{RESOURCE}shop", templates=templates)
            assert made == ["/storage/shop", *(f"/secrets/shop-{name}" for name in templates)]
            blobs = Program(served, sys.executable, PROGRAMS / "storage_blobs.py")
            secrets = [f"shop-{name}" for name in templates]

            first = blobs.tell("tokens", secrets=secrets)
            kept = blobs.tell("keep", account=account, token=first["shop-account"])
            assert kept == ["hello.txt"]
            seen = blobs.tell("look", account=account, tokens=first)
            assert seen == {
                "shop-account": "hello",
                "shop-service": "hello",
                "shop-elsewhere": refused,
            }

            assert old.tell("regenerate", api="7.0") == "key1"
            seen = blobs.tell("look", account=account, tokens=first)
            assert seen == dict.fromkeys(secrets, refused)
            second = blobs.tell("tokens", secrets=secrets)
            seen = blobs.tell("look", account=account, tokens=second)
            assert seen == {
                "shop-account": "hello",
                "shop-service": "hello",
                "shop-elsewhere": refused,
            }
            history = served.everything()
            issued = [one for one in history if one["operation"] == "sas-token.issued"]
            assert len(issued) == 6
            told = str(history)
            for token in (*first.values(), *second.values()):
                assert token.partition("sig=")[2] not in told
    finally:
        azurite.stop(directory)
