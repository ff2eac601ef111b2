"""A program that uses azure-keyvault 1.1.0, the client before today's, and prints what it saw.

python secrets_legacy.py STORY JSON

On Python 3.11 and newer its msrest lacks a function that Python dropped: one line gives it back.
"""

import inspect
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import requests

inspect.getargspec = inspect.getfullargspec  # type: ignore[attr-defined]

# Installed elsewhere than the linters' tools are: see `make clients`.
keyvault: Any = import_module("azure.keyvault")

TOLD = json.loads(sys.argv[2])
API = "v" + TOLD["api"].replace("-", "_").replace(".", "_")
models: Any = import_module(f"azure.keyvault.{API}.models")


def token(server: str, resource: str, scope: str) -> tuple[str, str]:
    """Ask where the challenge says, as adal did."""
    response = requests.post(
        f"{server}/oauth2/token",
        data={
            "grant_type": "client_credentials",
            "client_id": os.environ["AZURE_CLIENT_ID"],
            "client_secret": os.environ["AZURE_CLIENT_SECRET"],
            "resource": resource,
        },
        timeout=20,
    )
    told = response.json()
    return told["token_type"], told["access_token"]


def client() -> Any:
    return keyvault.KeyVaultClient(keyvault.KeyVaultAuthentication(token), api_version=TOLD["api"])


def of(bundle: Any) -> dict[str, Any]:
    secret = keyvault.SecretId(uri=bundle.id)
    return {
        "name": secret.name,
        "contentType": bundle.content_type,
        "tags": bundle.tags,
        "enabled": bundle.attributes.enabled,
        "recovery": bundle.attributes.recovery_level,
    }


def refusal(ask: Callable[[], Any]) -> list[Any]:
    try:
        ask()
    except models.KeyVaultErrorException as error:
        inner = error.error.error.inner_error
        return [error.response.status_code, error.error.error.code, inner and inner.code]
    return ["nothing"]


def life() -> Any:
    secrets, vault, name = client(), TOLD["vault"], TOLD["name"]
    saw: dict[str, Any] = {}
    first = secrets.set_secret(
        vault, name, "first \u2603", tags={"team": "a"}, content_type="text/plain"
    )
    version = keyvault.SecretId(uri=first.id).version
    saw["set"] = [first.value, of(first)]
    secrets.set_secret(vault, name, "second")
    saw["latest"] = secrets.get_secret(vault, name, "").value
    saw["by version"] = secrets.get_secret(vault, name, version).value
    saw["updated"] = of(
        secrets.update_secret(
            vault, name, version, secret_attributes=models.SecretAttributes(enabled=False)
        )
    )
    saw["disabled"] = refusal(lambda: secrets.get_secret(vault, name, version))
    saw["versions"] = len(list(secrets.get_secret_versions(vault, name)))
    saw["listed"] = [
        of(one)["name"] for one in secrets.get_secrets(vault) if one.id.endswith(f"/{name}")
    ]
    blob = secrets.backup_secret(vault, name).value
    saw["exists"] = refusal(lambda: secrets.restore_secret(vault, blob))
    saw["restored"] = of(secrets.restore_secret(TOLD["other"], blob))["name"]
    deleted = secrets.delete_secret(vault, name)
    saw["deleted"] = [
        deleted.recovery_id,
        (deleted.scheduled_purge_date - deleted.deleted_date).days,
    ]
    saw["gone"] = refusal(lambda: secrets.get_secret(vault, name, ""))
    saw["taken"] = refusal(lambda: secrets.set_secret(vault, name, "third"))
    saw["deleted listed"] = [
        one.recovery_id.rpartition("/")[2]
        for one in secrets.get_deleted_secrets(vault)
        if one.id.endswith(f"/{name}")
    ]
    saw["recovered"] = of(secrets.recover_deleted_secret(vault, name))["name"]
    secrets.delete_secret(vault, name)
    secrets.purge_deleted_secret(vault, name)
    saw["purged"] = refusal(lambda: secrets.get_deleted_secret(vault, name))
    return saw


def pages() -> Any:
    secrets = client()
    found = [keyvault.SecretId(uri=one.id).name for one in secrets.get_secrets(TOLD["vault"])]
    ten = secrets.get_secrets(TOLD["vault"], maxresults=10)
    return {"names": found, "first of ten": len(ten.advance_page())}


if __name__ == "__main__":
    json.dump(globals()[sys.argv[1]](), sys.stdout)
