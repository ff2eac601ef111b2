"""Azure's own client for the resource manager reads the server that stands for it in our tests.

So what the provider `arm` is tested against has the shape of what Azure answers.
Source: azure-mgmt-storage 25.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.mgmt.storage import StorageManagementClient

from support.arm import arm_served, authority_in


def told(answer: Any) -> list[Any]:
    """The keys, under the name that the client gives them beside a method of that name."""
    return list(answer.keys_property)


class Signed:
    """A token of the server's."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)


def test_azures_client_lists_and_regenerates_keys_there(tmp_path: Path) -> None:
    authority = authority_in(tmp_path)
    with arm_served(tmp_path, "shop") as server:

        def client(token: str) -> StorageManagementClient:
            return StorageManagementClient(
                Signed(token),
                "1",
                base_url=server.address,
                credential_scopes=[f"{server.address}/.default"],
                connection_verify=str(authority),
                retry_total=0,
            )

        with client(server.signed_in()["access_token"]) as azure:
            accounts = azure.storage_accounts
            before = {key.key_name: key.value for key in told(accounts.list_keys("g", "shop"))}
            assert before == server.keys["shop"]
            made = accounts.regenerate_key("g", "shop", {"keyName": "key2"})
            after = {key.key_name: key.value for key in told(made)}
            assert after == server.keys["shop"]
            assert after["key1"] == before["key1"]
            assert after["key2"] != before["key2"]
            with pytest.raises(HttpResponseError) as missing:
                accounts.list_keys("g", "nobody")
            assert missing.value.error is not None
            assert missing.value.error.code == "ResourceNotFound"
        with client("stolen") as stranger, pytest.raises(ClientAuthenticationError):
            stranger.storage_accounts.list_keys("g", "shop")
    assert all("api-version=" in asked for asked in server.asked)
