"""A program that keeps blobs with tokens from a vault, by azure-storage-blob, and prints what it saw.

python storage_blobs.py STORY JSON
"""

import json
import sys
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient
from azure.storage.blob import BlobClient, ContainerClient

TOLD = json.loads(sys.argv[2])


def tokens() -> Any:
    """A token of each secret that it is told."""
    import os

    who = [os.environ[f"AZURE_{part}"] for part in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")]
    secrets = SecretClient(
        TOLD["vault"], ClientSecretCredential(*who, disable_instance_discovery=True)
    )
    return {name: secrets.get_secret(name).value for name in TOLD["secrets"]}


def keep() -> Any:
    """Keep a blob."""
    with ContainerClient(TOLD["account"], "box", credential=TOLD["token"]) as box:
        box.create_container()
        box.upload_blob("hello.txt", b"hello")
        return [blob.name for blob in box.list_blobs()]


def look() -> Any:
    """The blob, by each token, or the status and the code that refuse it."""
    return {name: _read(token) for name, token in TOLD["tokens"].items()}


def _read(token: str) -> Any:
    with BlobClient(TOLD["account"], "box", "hello.txt", credential=token) as blob:
        try:
            return blob.download_blob().readall().decode()
        except HttpResponseError as refused:
            return [refused.status_code, _code(refused)]


def _code(refused: Any) -> Any:
    return refused.response.headers.get("x-ms-error-code")


if __name__ == "__main__":
    json.dump({"tokens": tokens, "keep": keep, "look": look}[sys.argv[1]](), sys.stdout)
