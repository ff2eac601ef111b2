"""A program that uses azure-keyvault-secrets' asynchronous client as its documentation shows, and prints what it saw.

python secrets_aio.py STORY JSON
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterable, Awaitable
from datetime import UTC, datetime
from typing import Any

import azure.identity.aio
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, HttpResponseError
from azure.keyvault.secrets import DeletedSecret, KeyVaultSecret, SecretProperties
from azure.keyvault.secrets.aio import SecretClient

TOLD = json.loads(sys.argv[2])
SOON, LATE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2037, 1, 2, 3, 4, 5, tzinfo=UTC)


class Fixed:
    """Always the same token."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(TOLD["token"], 4_000_000_000)

    async def __aenter__(self) -> "Fixed":
        return self

    async def __aexit__(self, *_: Any) -> None:
        pass


def credential() -> Any:
    offline: Any = {"disable_instance_discovery": True}
    match TOLD.get("credential", "ClientSecretCredential"):
        case "ClientSecretCredential":
            return azure.identity.aio.ClientSecretCredential(
                os.environ["AZURE_TENANT_ID"],
                os.environ["AZURE_CLIENT_ID"],
                os.environ["AZURE_CLIENT_SECRET"],
                **offline,
            )
        case "ClientCertificateCredential":
            return azure.identity.aio.CertificateCredential(
                os.environ["AZURE_TENANT_ID"],
                os.environ["AZURE_CLIENT_ID"],
                os.environ["AZURE_CLIENT_CERTIFICATE_PATH"],
                **offline,
            )
        case "WorkloadIdentityCredential":
            return azure.identity.aio.WorkloadIdentityCredential(**offline)
        case "ManagedIdentityCredential":
            return azure.identity.aio.ManagedIdentityCredential(
                client_id=os.environ["AZURE_CLIENT_ID"]
            )
        case "DefaultAzureCredential":
            return azure.identity.aio.DefaultAzureCredential()
        case _:
            return Fixed()


def of(properties: SecretProperties) -> dict[str, Any]:
    return {
        "name": properties.name,
        "version": properties.version,
        "contentType": properties.content_type,
        "tags": properties.tags,
        "enabled": properties.enabled,
        "notBefore": properties.not_before and int(properties.not_before.timestamp()),
        "expires": properties.expires_on and int(properties.expires_on.timestamp()),
        "recovery": [properties.recovery_level, properties.recoverable_days],
        "dated": bool(properties.created_on and properties.updated_on),
    }


def days(deleted: DeletedSecret) -> int:
    """How long it can be recovered."""
    assert deleted.scheduled_purge_date is not None
    assert deleted.deleted_date is not None
    return (deleted.scheduled_purge_date - deleted.deleted_date).days


def whole(secret: KeyVaultSecret) -> dict[str, Any]:
    return {"value": secret.value, **of(secret.properties)}


async def refusal(asked: Awaitable[Any]) -> list[Any]:
    """The class, the status and the code of the error that *asked* ends with."""
    try:
        await asked
    except HttpResponseError as error:
        told = error.error
        inner = getattr(told, "innererror", None) or {}
        return [type(error).__name__, error.status_code, told and told.code, inner.get("code")]
    except AzureError as error:
        return [type(error).__name__]
    return ["nothing"]


async def life(secrets: SecretClient, other: SecretClient) -> Any:
    name = TOLD["name"]
    saw: dict[str, Any] = {}
    first = await secrets.set_secret(
        name,
        "first \u2603",
        content_type="text/plain",
        tags={"team": "a", "Owner": "\u00fc"},
        not_before=SOON,
        expires_on=LATE,
    )
    saw["set"] = whole(first)
    saw["second"] = whole(await secrets.set_secret(name, ""))
    saw["latest"] = whole(await secrets.get_secret(name))
    version = first.properties.version
    saw["by version"] = whole(await secrets.get_secret(name, version))
    updated = await secrets.update_secret_properties(
        name, version, content_type="application/json", tags={}, enabled=True
    )
    saw["updated"] = of(updated)
    saw["versions"] = [of(one) async for one in secrets.list_properties_of_secret_versions(name)]
    saw["listed"] = [
        of(one) async for one in secrets.list_properties_of_secrets() if one.name == name
    ]
    deleted = await secrets.delete_secret(name)
    saw["deleted"] = [
        deleted.name,
        deleted.recovery_id,
        days(deleted),
    ]
    saw["deleted shown"] = (await secrets.get_deleted_secret(name)).name
    saw["deleted listed"] = [
        one.name async for one in secrets.list_deleted_secrets() if one.name == name
    ]
    saw["gone"] = await refusal(secrets.get_secret(name))
    saw["recovered"] = (await secrets.recover_deleted_secret(name)).name
    saw["again"] = whole(await secrets.get_secret(name, version))
    await secrets.delete_secret(name)
    await secrets.purge_deleted_secret(name)
    saw["purged"] = await refusal(secrets.get_deleted_secret(name))
    saw["anew"] = whole(await secrets.set_secret(name, "new"))
    return saw


async def sizes(pages: AsyncIterable[AsyncIterable[Any]]) -> list[int]:
    return [len([one async for one in page]) async for page in pages]


async def pages(secrets: SecretClient, other: SecretClient) -> Any:
    return {
        "names": [one.name async for one in secrets.list_properties_of_secrets()],
        "pages": await sizes(secrets.list_properties_of_secrets().by_page()),
        "of ten": await sizes(secrets.list_properties_of_secrets(max_page_size=10).by_page()),
        "versions": len([one async for one in secrets.list_properties_of_secret_versions("many")]),
        "deleted": [one.name async for one in secrets.list_deleted_secrets()],
    }


async def states(secrets: SecretClient, other: SecretClient) -> Any:
    """A disabled secret, and one that expired."""
    name = TOLD["name"]
    first = (await secrets.set_secret(name, "first")).properties.version
    past = datetime(2020, 1, 1, tzinfo=UTC)
    await secrets.set_secret(name + "-expired", "old", expires_on=past)
    last = (await secrets.set_secret(name, "last", enabled=False)).properties.version
    saw: dict[str, Any] = {
        "expired": (await secrets.get_secret(name + "-expired")).value,
        "latest": await refusal(secrets.get_secret(name)),
        "version": await refusal(secrets.get_secret(name, last)),
        "older": (await secrets.get_secret(name, first)).value,
        "listed": [
            one.enabled async for one in secrets.list_properties_of_secrets() if one.name == name
        ],
    }
    await secrets.delete_secret(name)
    saw["deleted"] = await refusal(secrets.get_deleted_secret(name))
    await secrets.recover_deleted_secret(name)
    await secrets.update_secret_properties(name, last, enabled=True)
    saw["enabled"] = (await secrets.get_secret(name)).value
    return saw


async def refusals(secrets: SecretClient, other: SecretClient) -> Any:
    name = TOLD["name"]
    await secrets.set_secret(name, "v")
    blob = await secrets.backup_secret(name)
    many = {str(number): "" for number in range(16)}
    none = [one.name async for one in secrets.list_properties_of_secret_versions("nobody")]
    saw = {
        "exists": await refusal(secrets.restore_secret_backup(blob)),
        "no backup": await refusal(secrets.restore_secret_backup(b"noise")),
        "missing": await refusal(secrets.get_secret("nobody")),
        "missing version": await refusal(secrets.get_secret(name, "0" * 32)),
        "no update": await refusal(secrets.update_secret_properties("nobody", tags={"a": "b"})),
        "no delete": await refusal(secrets.delete_secret("nobody")),
        "not deleted": await refusal(secrets.get_deleted_secret(name)),
        "no purge": await refusal(secrets.purge_deleted_secret("nobody")),
        "no recovery": await refusal(secrets.recover_deleted_secret("nobody")),
        "name": await refusal(secrets.set_secret("under_score", "v")),
        "too long": await refusal(secrets.set_secret(name, "v" * 25_601)),
        "tags": await refusal(secrets.set_secret(name, "v", tags=many)),
        "no versions": none,
        "longest": len((await secrets.set_secret(name, "v" * 25_600)).value or ""),
    }
    await secrets.delete_secret(name)
    saw["deleted"] = await refusal(secrets.set_secret(name, "v"))
    return saw


async def turned_away(secrets: SecretClient, other: SecretClient) -> Any:
    """What somebody sees who may get and list in one vault."""
    name = TOLD["name"]
    return {
        "get": (await secrets.get_secret(name)).value,
        "set": await refusal(secrets.set_secret(name, "v")),
        "delete": await refusal(secrets.delete_secret(name)),
        "backup": await refusal(secrets.backup_secret(name)),
        "elsewhere": await refusal(other.get_secret(name)),
    }


async def backup(secrets: SecretClient, other: SecretClient) -> Any:
    name = TOLD["name"]
    for value in ("first", "second"):
        await secrets.set_secret(name, value, tags={"of": value})
    blob = await secrets.backup_secret(name)
    restored = await other.restore_secret_backup(blob)
    latest = await other.get_secret(name)
    versions = [one.version async for one in other.list_properties_of_secret_versions(name)]
    saw: dict[str, Any] = {
        "restored": restored.name,
        "value": whole(latest),
        "versions": sorted([(await other.get_secret(name, one)).value or "" for one in versions]),
        "conflict": await refusal(other.restore_secret_backup(blob)),
        "same version": latest.properties.version
        == (await secrets.get_secret(name)).properties.version,
    }
    await secrets.delete_secret(name)
    saw["deleted"] = await refusal(secrets.restore_secret_backup(blob))
    await secrets.purge_deleted_secret(name)
    saw["after purge"] = (await secrets.restore_secret_backup(blob)).name
    return saw


async def pollers(secrets: SecretClient, other: SecretClient) -> Any:
    """How pollers go on while the service takes its time."""
    name = TOLD["name"]
    await secrets.set_secret(name, "v")
    deleting = asyncio.ensure_future(secrets.delete_secret(name))
    await asyncio.sleep(1)
    saw: dict[str, Any] = {
        "under way": not deleting.done(),
        "busy": await refusal(secrets.purge_deleted_secret(name)),
        "not yet": await refusal(secrets.get_deleted_secret(name)),
    }
    await deleting
    saw["deleted"] = (await secrets.get_deleted_secret(name)).name
    recovering = asyncio.ensure_future(secrets.recover_deleted_secret(name))
    await asyncio.sleep(1)
    saw["recovering"] = [not recovering.done(), await refusal(secrets.get_secret(name))]
    await recovering
    saw["recovered"] = (await secrets.get_secret(name)).value
    return saw


async def sign_in(secrets: SecretClient, other: SecretClient) -> Any:
    await secrets.set_secret(TOLD["name"], "v")
    return whole(await secrets.get_secret(TOLD["name"]))


async def attempt(secrets: SecretClient, other: SecretClient) -> Any:
    return await refusal(secrets.get_secret("nobody"))


async def main() -> None:
    options = TOLD.get("options", {})
    async with (
        credential() as known,
        SecretClient(TOLD["vault"], known, **options) as secrets,
        SecretClient(TOLD["other"], known, **options) as other,
    ):
        json.dump(await globals()[sys.argv[1]](secrets, other), sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
