"""Programs that use azure-mgmt-keyvault, unchanged, see what Azure's resource manager shows them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from support.served import PROGRAMS, Program, Served
from vault.configuration import read_configuration
from vault.resource_ids import subscription_id


@pytest.fixture(scope="module")
def told(served: Served) -> dict[str, Any]:
    store_id = bytes.fromhex(read_configuration(served.terminal.home).store_id)
    return {
        "base": served.base,
        "subscription": subscription_id(store_id),
        "object": served.reader["objectId"],
        "client": served.manager,
    }


@pytest.fixture
def program(served: Served) -> Program:
    return Program(served, sys.executable, "-W", "error", PROGRAMS / "vaults_mgmt.py")


@pytest.mark.parametrize("scope", ["", "{base}//.default"])
def test_a_vault_lives_from_its_making_to_its_purge(
    program: Program, served: Served, told: dict[str, Any], scope: str
) -> None:
    chosen = {"scope": scope.format(base=served.base)} if scope else {}
    saw = program.tell("life", **told, **chosen, name="shop-keys")
    whole = {
        "name": "shop-keys",
        "uri": f"https://shop-keys.vault.localhost:{served.port}/",
        "retention": 90,
        "default": "Allow",
        "ranges": [],
        "policies": [["get", "list"]],
        "tags": {"team": "shop"},
    }
    walled = {
        **whole,
        "policies": [["get", "list", "set"]],
        "default": "Deny",
        "ranges": ["203.0.113.9/32"],
    }
    assert saw == {
        "free": True,
        "made": whole,
        "taken": "AlreadyExists",
        "got": whole,
        "in the group": ["shop-keys"],
        "listed": True,
        "as resources": True,
        "policies": [["get", "list", "set"]],
        "patched": walled,
        "put back": {**walled, "tags": {}},
        "gone": ["ResourceNotFoundError", 404, "ResourceNotFound"],
        "held": ["ResourceExistsError", 409, "ConflictError"],
        "deleted": ["local", False],
        "kept for": 90,
        "recovered": {**walled, "tags": {}},
        "purged": ["ResourceNotFoundError", 404, "DeletedVaultNotFound"],
        "free again": True,
    }


def test_who_may_not_make_vaults_is_told_so(
    program: Program, served: Served, told: dict[str, Any]
) -> None:
    saw = program.tell("make", **{**told, "client": served.all}, name="not-mine")
    assert saw == {"made": ["HttpResponseError", 403, "AuthorizationFailed"]}
