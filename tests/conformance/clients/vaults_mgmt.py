"""A program that uses azure-mgmt-keyvault as its documentation shows, and prints what it saw.

python vaults_mgmt.py STORY JSON
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import azure.identity
from azure.core.exceptions import HttpResponseError
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.keyvault.models import (
    AccessPolicyEntry,
    IPRule,
    NetworkRuleSet,
    Permissions,
    Sku,
    VaultAccessPolicyParameters,
    VaultAccessPolicyProperties,
    VaultCheckNameAvailabilityParameters,
    VaultCreateOrUpdateParameters,
    VaultPatchParameters,
    VaultPatchProperties,
    VaultProperties,
)

TOLD = json.loads(sys.argv[2])
TENANT, GROUP, NAME = os.environ["AZURE_TENANT_ID"], "shop", TOLD["name"]


def client() -> KeyVaultManagementClient:
    credential = azure.identity.ClientSecretCredential(
        TENANT,
        os.environ["AZURE_CLIENT_ID"],
        os.environ["AZURE_CLIENT_SECRET"],
        disable_instance_discovery=True,
    )
    scopes: Any = {} if "scope" not in TOLD else {"credential_scopes": [TOLD["scope"]]}
    return KeyVaultManagementClient(
        credential, TOLD["subscription"], base_url=TOLD["base"], **scopes
    )


def policy(*secrets: str) -> AccessPolicyEntry:
    return AccessPolicyEntry(
        tenant_id=TENANT, object_id=TOLD["object"], permissions=Permissions(secrets=list(secrets))
    )


def whole(*policies: AccessPolicyEntry, **more: Any) -> VaultCreateOrUpdateParameters:
    properties = VaultProperties(
        tenant_id=TENANT,
        sku=Sku(name="standard", family="A"),
        access_policies=list(policies),
        **more,
    )
    return VaultCreateOrUpdateParameters(
        location="local", properties=properties, tags={"team": "shop"}
    )


def life(vaults: Any) -> Any:
    """From the first look whether the name is free to the purge."""
    look = VaultCheckNameAvailabilityParameters(name=NAME)
    yield "free", vaults.check_name_availability(look).name_available
    made = vaults.begin_create_or_update(GROUP, NAME, whole(policy("get", "list"))).result()
    yield "made", shown(made)
    yield "taken", vaults.check_name_availability(look).reason
    yield "got", shown(vaults.get(GROUP, NAME))
    yield "in the group", [one.name for one in vaults.list_by_resource_group(GROUP)]
    yield "listed", NAME in [one.name for one in vaults.list_by_subscription()]
    yield "as resources", NAME in [one.name for one in vaults.list()]
    given = VaultAccessPolicyProperties(access_policies=[policy("set")])
    changed = vaults.update_access_policy(
        GROUP, NAME, "add", VaultAccessPolicyParameters(properties=given)
    )
    yield "policies", [one.permissions.secrets for one in changed.properties.access_policies]
    rules = NetworkRuleSet(
        default_action="Deny", bypass="None", ip_rules=[IPRule(value="203.0.113.9")]
    )
    patch = VaultPatchParameters(properties=VaultPatchProperties(network_acls=rules))
    yield "patched", shown(vaults.update(GROUP, NAME, patch))
    again = vaults.get(GROUP, NAME)
    put = VaultCreateOrUpdateParameters(location=again.location, properties=again.properties)
    yield "put back", shown(vaults.begin_create_or_update(GROUP, NAME, put).result())
    vaults.delete(GROUP, NAME)
    yield "gone", refusal(lambda: vaults.get(GROUP, NAME))
    yield "held", refusal(lambda: vaults.begin_create_or_update(GROUP, NAME, whole()).result())
    [deleted] = [one for one in vaults.list_deleted() if one.name == NAME]
    yield "deleted", [deleted.properties.location, deleted.properties.purge_protection_enabled]
    kept = vaults.get_deleted(NAME, "local").properties
    yield "kept for", (kept.scheduled_purge_date - kept.deletion_date).days
    recover = whole(create_mode="recover")
    yield "recovered", shown(vaults.begin_create_or_update(GROUP, NAME, recover).result())
    vaults.delete(GROUP, NAME)
    vaults.begin_purge_deleted(NAME, "local").result()
    yield "purged", refusal(lambda: vaults.get_deleted(NAME, "local"))
    yield "free again", vaults.check_name_availability(look).name_available


def make(vaults: Any) -> Any:
    yield "made", refusal(lambda: vaults.begin_create_or_update(GROUP, NAME, whole()).result())


def shown(vault: Any) -> Any:
    acls = vault.properties.network_acls
    return {
        "name": vault.name,
        "uri": vault.properties.vault_uri,
        "retention": vault.properties.soft_delete_retention_in_days,
        "default": acls.default_action,
        "ranges": [one.value for one in acls.ip_rules],
        "policies": [one.permissions.secrets for one in vault.properties.access_policies],
        "tags": vault.tags,
    }


def refusal(ask: Callable[[], Any]) -> Any:
    try:
        ask()
    except HttpResponseError as error:
        return [type(error).__name__, error.status_code, error.error.code if error.error else None]
    return None


if __name__ == "__main__":
    stories = {"life": life, "make": make}
    with client() as opened:
        print(json.dumps(dict(stories[sys.argv[1]](opened.vaults))))
