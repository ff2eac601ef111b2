"""A program that uses azure-keyvault-secrets as its documentation shows, and prints what it saw.

python secrets_sync.py STORY JSON
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import azure.identity
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, HttpResponseError
from azure.keyvault.secrets import DeletedSecret, KeyVaultSecret, SecretClient, SecretProperties

TOLD = json.loads(sys.argv[2])
SOON, LATE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2037, 1, 2, 3, 4, 5, tzinfo=UTC)


class Fixed:
    """Always the same token."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(TOLD["token"], 4_000_000_000)


def credential() -> Any:
    offline: Any = {"disable_instance_discovery": True}
    match TOLD.get("credential", "ClientSecretCredential"):
        case "ClientSecretCredential":
            return azure.identity.ClientSecretCredential(
                os.environ["AZURE_TENANT_ID"],
                os.environ["AZURE_CLIENT_ID"],
                os.environ["AZURE_CLIENT_SECRET"],
                **offline,
            )
        case "ClientCertificateCredential":
            return azure.identity.CertificateCredential(
                os.environ["AZURE_TENANT_ID"],
                os.environ["AZURE_CLIENT_ID"],
                os.environ["AZURE_CLIENT_CERTIFICATE_PATH"],
                **offline,
            )
        case "WorkloadIdentityCredential":
            return azure.identity.WorkloadIdentityCredential(**offline)
        case "ManagedIdentityCredential":
            return azure.identity.ManagedIdentityCredential(client_id=os.environ["AZURE_CLIENT_ID"])
        case "DefaultAzureCredential":
            return azure.identity.DefaultAzureCredential()
        case _:
            return Fixed()


def client(vault: str = TOLD["vault"]) -> SecretClient:
    return SecretClient(vault, credential(), **TOLD.get("options", {}))


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


def refusal(ask: Callable[[], Any]) -> list[Any]:
    """The class, the status and the code of the error that *ask* ends with."""
    try:
        ask()
    except HttpResponseError as error:
        told = error.error
        inner = getattr(told, "innererror", None) or {}
        return [type(error).__name__, error.status_code, told and told.code, inner.get("code")]
    except AzureError as error:
        return [type(error).__name__]
    return ["nothing"]


def life() -> Any:
    secrets, name = client(), TOLD["name"]
    saw: dict[str, Any] = {}
    first = secrets.set_secret(
        name,
        "first \u2603",
        content_type="text/plain",
        tags={"team": "a", "Owner": "\u00fc"},
        not_before=SOON,
        expires_on=LATE,
    )
    saw["set"] = whole(first)
    saw["second"] = whole(secrets.set_secret(name, ""))
    saw["latest"] = whole(secrets.get_secret(name))
    version = first.properties.version
    saw["by version"] = whole(secrets.get_secret(name, version))
    saw["updated"] = of(
        secrets.update_secret_properties(
            name, version, content_type="application/json", tags={}, enabled=True
        )
    )
    saw["versions"] = [of(one) for one in secrets.list_properties_of_secret_versions(name)]
    saw["listed"] = [of(one) for one in secrets.list_properties_of_secrets() if one.name == name]
    deleted = secrets.begin_delete_secret(name).result()
    saw["deleted"] = [
        deleted.name,
        deleted.recovery_id,
        days(deleted),
    ]
    saw["deleted shown"] = secrets.get_deleted_secret(name).name
    saw["deleted listed"] = [one.name for one in secrets.list_deleted_secrets() if one.name == name]
    saw["gone"] = refusal(lambda: secrets.get_secret(name))
    saw["recovered"] = secrets.begin_recover_deleted_secret(name).result().name
    saw["again"] = whole(secrets.get_secret(name, version))
    secrets.begin_delete_secret(name).wait()
    secrets.purge_deleted_secret(name)
    saw["purged"] = refusal(lambda: secrets.get_deleted_secret(name))
    saw["anew"] = whole(secrets.set_secret(name, "new"))
    return saw


def fill() -> Any:
    """More than a page of versions, and of deleted secrets."""
    secrets = client()
    for number in range(60):
        secrets.set_secret("many", str(number))
    for number in range(30):
        secrets.set_secret(f"gone{number:02}", "v")
        secrets.begin_delete_secret(f"gone{number:02}")


def pages() -> Any:
    secrets = client()
    return {
        "names": [one.name for one in secrets.list_properties_of_secrets()],
        "pages": [len(list(page)) for page in secrets.list_properties_of_secrets().by_page()],
        "of ten": [
            len(list(page))
            for page in secrets.list_properties_of_secrets(max_page_size=10).by_page()
        ],
        "versions": len(list(secrets.list_properties_of_secret_versions("many"))),
        "deleted": [one.name for one in secrets.list_deleted_secrets()],
    }


def states() -> Any:
    """A disabled secret, and one that expired."""
    secrets, name = client(), TOLD["name"]
    first = secrets.set_secret(name, "first").properties.version
    past = datetime(2020, 1, 1, tzinfo=UTC)
    secrets.set_secret(name + "-expired", "old", expires_on=past)
    last = secrets.set_secret(name, "last", enabled=False).properties.version
    saw: dict[str, Any] = {
        "expired": secrets.get_secret(name + "-expired").value,
        "latest": refusal(lambda: secrets.get_secret(name)),
        "version": refusal(lambda: secrets.get_secret(name, last)),
        "older": secrets.get_secret(name, first).value,
        "listed": [one.enabled for one in secrets.list_properties_of_secrets() if one.name == name],
    }
    secrets.begin_delete_secret(name).wait()
    saw["deleted"] = refusal(lambda: secrets.get_deleted_secret(name))
    secrets.begin_recover_deleted_secret(name).wait()
    secrets.update_secret_properties(name, last, enabled=True)
    saw["enabled"] = secrets.get_secret(name).value
    return saw


def refusals() -> Any:
    secrets, name = client(), TOLD["name"]
    secrets.set_secret(name, "v")
    blob = secrets.backup_secret(name)
    saw = {
        "exists": refusal(lambda: secrets.restore_secret_backup(blob)),
        "no backup": refusal(lambda: secrets.restore_secret_backup(b"noise")),
        "missing": refusal(lambda: secrets.get_secret("nobody")),
        "missing version": refusal(lambda: secrets.get_secret(name, "0" * 32)),
        "no update": refusal(lambda: secrets.update_secret_properties("nobody", tags={"a": "b"})),
        "no delete": refusal(lambda: secrets.begin_delete_secret("nobody")),
        "not deleted": refusal(lambda: secrets.get_deleted_secret(name)),
        "no purge": refusal(lambda: secrets.purge_deleted_secret("nobody")),
        "no recovery": refusal(lambda: secrets.begin_recover_deleted_secret("nobody")),
        "name": refusal(lambda: secrets.set_secret("under_score", "v")),
        "too long": refusal(lambda: secrets.set_secret(name, "v" * 25_601)),
        "tags": refusal(
            lambda: secrets.set_secret(name, "v", tags={str(n): "" for n in range(16)})
        ),
        "no versions": [one.name for one in secrets.list_properties_of_secret_versions("nobody")],
        "longest": len(secrets.set_secret(name, "v" * 25_600).value or ""),
    }
    secrets.begin_delete_secret(name).wait()
    saw["deleted"] = refusal(lambda: secrets.set_secret(name, "v"))
    return saw


def turned_away() -> Any:
    """What somebody sees who may get and list in one vault."""
    secrets, name = client(), TOLD["name"]
    return {
        "get": secrets.get_secret(name).value,
        "set": refusal(lambda: secrets.set_secret(name, "v")),
        "delete": refusal(lambda: secrets.begin_delete_secret(name)),
        "backup": refusal(lambda: secrets.backup_secret(name)),
        "elsewhere": refusal(lambda: client(TOLD["other"]).get_secret(name)),
    }


def backup() -> Any:
    secrets, other, name = client(), client(TOLD["other"]), TOLD["name"]
    for value in ("first", "second"):
        secrets.set_secret(name, value, tags={"of": value})
    blob = secrets.backup_secret(name)
    restored = other.restore_secret_backup(blob)
    saw: dict[str, Any] = {
        "restored": restored.name,
        "value": whole(other.get_secret(name)),
        "versions": sorted(
            other.get_secret(name, one.version).value or ""
            for one in other.list_properties_of_secret_versions(name)
        ),
        "conflict": refusal(lambda: other.restore_secret_backup(blob)),
        "same version": other.get_secret(name).properties.version
        == secrets.get_secret(name).properties.version,
    }
    secrets.begin_delete_secret(name).wait()
    saw["deleted"] = refusal(lambda: secrets.restore_secret_backup(blob))
    secrets.purge_deleted_secret(name)
    saw["after purge"] = secrets.restore_secret_backup(blob).name
    return saw


def pollers() -> Any:
    """How pollers go on while the service takes its time."""
    secrets, name = client(), TOLD["name"]
    secrets.set_secret(name, "v")
    poller = secrets.begin_delete_secret(name)
    saw: dict[str, Any] = {
        "under way": poller.status() != "finished",
        "busy": refusal(lambda: secrets.purge_deleted_secret(name)),
        "not yet": refusal(lambda: secrets.get_deleted_secret(name)),
    }
    poller.wait()
    saw["deleted"] = secrets.get_deleted_secret(name).name
    recovery = secrets.begin_recover_deleted_secret(name)
    saw["recovering"] = [
        recovery.status() != "finished",
        refusal(lambda: secrets.get_secret(name)),
    ]
    recovery.wait()
    saw["recovered"] = secrets.get_secret(name).value
    return saw


def sign_in() -> Any:
    secrets = client()
    secrets.set_secret(TOLD["name"], "v")
    return whole(secrets.get_secret(TOLD["name"]))


def attempt() -> Any:
    return refusal(lambda: client().get_secret("nobody"))


if __name__ == "__main__":
    json.dump(globals()[sys.argv[1]](), sys.stdout)
