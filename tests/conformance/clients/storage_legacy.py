"""A program that uses azure-keyvault 1.1.0 for managed storage accounts, and prints what it saw.

python storage_legacy.py STORY JSON

The client's own models read each answer: what they cannot read would be missing here.
"""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

# Beside this file, where no linter looks for it.
secrets_legacy: Any = import_module("secrets_legacy")
TOLD, models = secrets_legacy.TOLD, secrets_legacy.models
client, refusal = secrets_legacy.client, secrets_legacy.refusal

VAULT = TOLD["vault"]


def name_of(identifier: str) -> str:
    return identifier.removeprefix(VAULT)


def shown(bundle: Any) -> list[Any]:
    """What the model of an account or a definition holds."""
    told = bundle.as_dict()
    told["attributes"] = [
        bundle.attributes.enabled,
        bundle.attributes.recovery_level,
        bundle.attributes.created is not None and bundle.attributes.updated is not None,
    ]
    for member in ("id", "secret_id", "recovery_id"):
        if told.get(member):
            told[member] = name_of(told[member])
    if told.pop("scheduled_purge_date", None) and told.pop("deleted_date", None):
        told["days"] = (bundle.scheduled_purge_date - bundle.deleted_date).days
    return told


def set_up() -> Any:
    """An account and a definition of each template that it is told."""
    vault = client()
    account = vault.set_storage_account(
        VAULT, "shop", TOLD["resource"], "key1", auto_regenerate_key=False
    )
    return [name_of(account.id)] + [
        name_of(
            vault.set_sas_definition(
                VAULT, "shop", name, template, "service" if "://" in template else "account", "PT1H"
            ).secret_id
        )
        for name, template in TOLD["templates"].items()
    ]


def regenerate() -> Any:
    return client().regenerate_storage_account_key(VAULT, "shop", "key1").active_key_name


def life() -> Any:
    vault, name, template = client(), TOLD["name"], TOLD["template"]
    saw: dict[str, Any] = {}

    def ask(what: str, *given: Any, **more: Any) -> Any:
        return getattr(vault, what)(VAULT, *given, **more)

    def names(found: Any) -> list[str]:
        told = [name_of(one.id) for one in found]
        return [one for one in told if one.split("/")[2] == name]

    def refused(what: str, *given: Any) -> Any:
        return refusal(lambda: ask(what, *given))

    saw["set"] = shown(
        ask(
            *("set_storage_account", name, TOLD["resource"], "key1", True, "P90D"),
            storage_account_attributes=models.StorageAccountAttributes(enabled=True),
            tags={"team": "a"},
        )
    )
    saw["get"] = shown(ask("get_storage_account", name)) == saw["set"]
    saw["update"] = shown(ask("update_storage_account", name, "key2", False, tags={"team": "b"}))
    saw["listed"] = names(ask("get_storage_accounts", maxresults=1))
    saw["regenerate"] = ask("regenerate_storage_account_key", name, "key1").active_key_name
    saw["sas set"] = shown(
        ask("set_sas_definition", name, "all", template, "account", "PT4H", tags={"of": "c"})
    )
    saw["sas get"] = shown(ask("get_sas_definition", name, "all")) == saw["sas set"]
    saw["sas update"] = shown(
        ask("update_sas_definition", name, "all", validity_period="P1D", tags={"of": "d"})
    )
    ask("set_sas_definition", name, "more", template, "account", "PT4H")
    saw["sas listed"] = names(ask("get_sas_definitions", name, maxresults=1))
    token = ask("get_secret", f"{name}-all", "")
    saw["token"] = [
        token.value.split("&se=")[0],
        token.content_type,
        name_of(token.id),
        token.managed,
        token.attributes.expires is not None,
        token.attributes.created,
    ]
    saw["again"] = ask("get_secret", f"{name}-more", "").value != token.value
    managed = [one for one in ask("get_secrets") if one.managed]
    saw["managed"] = names(managed) or [name_of(one.id) for one in managed if f"/{name}-" in one.id]
    saw["no set"] = refused("set_secret", f"{name}-all", "v")
    saw["sas deleted"] = shown(ask("delete_sas_definition", name, "all"))
    saw["sas gone"] = refused("get_sas_definition", name, "all")
    saw["token gone"] = refused("get_secret", f"{name}-all", "")
    saw["sas deleted get"] = name_of(ask("get_deleted_sas_definition", name, "all").recovery_id)
    saw["sas deleted listed"] = [
        name_of(one.recovery_id) for one in ask("get_deleted_sas_definitions", name)
    ]
    saw["sas recovered"] = name_of(ask("recover_deleted_sas_definition", name, "all").id)
    blob = ask("backup_storage_account", name).value
    saw["exists"] = refused("restore_storage_account", blob)
    saw["deleted"] = shown(ask("delete_storage_account", name))
    saw["gone"] = refused("get_storage_account", name)
    saw["held"] = refused("set_storage_account", name, TOLD["resource"], "key1", False)
    saw["secrets left"] = [one.id for one in ask("get_secrets") if f"/{name}-" in one.id]
    saw["deleted get"] = name_of(ask("get_deleted_storage_account", name).recovery_id)
    saw["deleted listed"] = [
        found
        for one in ask("get_deleted_storage_accounts")
        if (found := name_of(one.recovery_id)).endswith(f"/{name}")
    ]
    saw["recovered"] = name_of(ask("recover_deleted_storage_account", name).id)
    ask("delete_storage_account", name)
    saw["purged"] = ask("purge_deleted_storage_account", name)
    saw["purged is gone"] = refused("get_deleted_storage_account", name)
    saw["restored"] = shown(ask("restore_storage_account", blob))
    saw["restored sas"] = names(ask("get_sas_definitions", name))
    saw["wrong key"] = refused("regenerate_storage_account_key", name, "key3")
    saw["wrong name"] = refused("get_storage_account", "none")
    return saw


def first_life() -> Any:
    """What api-version 2016-10-01 has of accounts: nothing that is deleted, and no backup.

    Its definitions had another form, which is refused.
    """
    vault, name = client(), TOLD["name"]
    made = vault.set_storage_account(VAULT, name, TOLD["resource"], "key1", True, "P90D")
    updated = vault.update_storage_account(VAULT, name, "key2", tags={"team": "b"})
    regenerated = vault.regenerate_storage_account_key(VAULT, name, "key1")
    shown = vault.get_storage_account(VAULT, name)
    listed = [one.id for one in vault.get_storage_accounts(VAULT) if one.id.endswith(f"/{name}")]
    definitions = list(vault.get_sas_definitions(VAULT, name))
    form = {"sasType": "account", "validityPeriod": "PT4H"}
    refused = refusal(lambda: vault.set_sas_definition(VAULT, name, "all", form))
    vault.delete_storage_account(VAULT, name)
    gone = refusal(lambda: vault.get_storage_account(VAULT, name))
    return {
        "ids": [name_of(one) for one in (made.id, shown.id, *listed)],
        "said": [updated.tags, regenerated.active_key_name, shown.regeneration_period],
        "definitions": definitions,
        "refused": refused,
        "gone": gone,
    }


STORIES: dict[str, Callable[[], Any]] = {
    "life": life,
    "first_life": first_life,
    "set_up": set_up,
    "regenerate": regenerate,
}

if __name__ == "__main__":
    json.dump(STORIES[sys.argv[1]](), sys.stdout)
