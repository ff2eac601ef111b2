"""Vaults as resources of Azure's resource manager: who may what, and what it looks like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventstore.errors import every_error
from eventstore.record import Entry
from server.arm import ROUTES, Found
from server.arm_problems import arm_problem
from server.limits import ALL_REFUSALS_AT_ONCE, REFUSALS_AT_ONCE
from server.roll import Application
from support.managed import BASE, GROUP, Managed, managed_in
from vault.commands import GetSecret, SetSecret
from vault.refusals import VaultError

READS = ["get", "list"]


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[Managed]:
    with managed_in(tmp_path / "store") as managed:
        yield managed


def entries(managed: Managed, name: str = "acme", log: str = "changes") -> list[Entry[Any]]:
    with getattr(managed.store.vault(name), log).snapshot() as snapshot:
        return list(snapshot.entries())


# --- a vault --------------------------------------------------------------------------------------


def test_a_vault_is_shown_with_every_default(managed: Managed) -> None:
    made = managed("PUT", managed.place(), managed.body(tags={"team": "shop"}))
    assert made.status == 201
    assert made.json == {
        "id": managed.place(),
        "name": "acme",
        "type": "Microsoft.KeyVault/vaults",
        "location": "local",
        "tags": {"team": "shop"},
        "properties": {
            "sku": {"family": "A", "name": "standard"},
            "tenantId": managed.tenant,
            "accessPolicies": [],
            "enabledForDeployment": False,
            "enabledForDiskEncryption": False,
            "enabledForTemplateDeployment": False,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": 90,
            "enableRbacAuthorization": False,
            "networkAcls": {
                "bypass": "AzureServices",
                "defaultAction": "Allow",
                "ipRules": [],
                "virtualNetworkRules": [],
            },
            "vaultUri": "https://acme.vault.localhost:8443/",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
        },
    }
    shown = managed("GET", managed.place("ACME", "SHOP"))
    assert (shown.status, shown.json) == (200, made.json)
    assert "ETag" not in shown.headers
    assert shown.headers["x-ms-request-id"]


def test_its_maker_administers_it_and_has_no_permission_that_was_not_given(
    managed: Managed,
) -> None:
    managed.make("acme", managed.policy("ann", "get", "set"))
    [created, policy] = entries(managed)
    assert created.event.administrators == (managed.oid("root"),)
    assert (created.context.rule, created.context.address) == ("store administrator", "203.0.113.9")
    assert (policy.event.object_id, policy.event.secrets) == (managed.oid("ann"), ("get", "set"))
    value = {"value": "v"}
    assert managed.data("PUT", "/secrets/db", value, who="ann").status == 200
    assert managed.data("GET", "/secrets/db", who="root").inner == "AccessDenied"


def test_a_vault_is_made_as_it_was_asked_for(managed: Managed) -> None:
    acls = {
        "defaultAction": "deny",
        "bypass": "none",
        "ipRules": [{"value": "203.0.113.9"}, {"value": "198.51.100.0/24"}],
        "virtualNetworkRules": [],
    }
    shown = managed.make(
        enablePurgeProtection=True,
        softDeleteRetentionInDays=7,
        networkAcls=acls,
        publicNetworkAccess="disabled",
        enabledForDeployment=True,
        sku={"family": "A", "name": "premium"},
    )["properties"]
    assert (shown["enablePurgeProtection"], shown["softDeleteRetentionInDays"]) == (True, 7)
    assert shown["networkAcls"]["ipRules"][0] == {"value": "203.0.113.9/32"}
    assert (shown["networkAcls"]["defaultAction"], shown["networkAcls"]["bypass"]) == (
        "Deny",
        "None",
    )
    assert (shown["publicNetworkAccess"], shown["sku"]["name"]) == ("Disabled", "premium")
    assert (shown["enabledForDeployment"], shown["enabledForDiskEncryption"]) == (True, False)


def test_a_whole_vault_goes_there_and_back_and_changes_nothing(managed: Managed) -> None:
    """As the Azure CLI changes one: it gets it, and puts it."""
    rules = [{"value": "10.0.0.0/8"}]
    acls = {"defaultAction": "Deny", "ipRules": rules, "allowPrivateRanges": True}
    shown = managed.make(
        "acme",
        managed.policy("ann", "all"),
        managed.policy("bob", "get", applicationId="robot"),
        networkAcls=acls,
        tags={"a": "b"},
    )
    del shown["properties"]["networkAcls"]["allowPrivateRanges"]  # Azure's models do not know it
    before = len(entries(managed))
    answer = managed("PUT", managed.place(), shown)
    assert answer.status == 200
    shown["properties"]["networkAcls"]["allowPrivateRanges"] = True
    assert answer.json == shown
    [after] = entries(managed)[before:]
    assert after.event.administrators == (managed.oid("root"),)


def test_a_put_replaces_the_policies_and_a_patch_only_what_it_gives(managed: Managed) -> None:
    managed.make("acme", managed.policy("ann", "get"), tags={"a": "b"}, enabledForDeployment=True)
    acls = {"defaultAction": "Deny", "ipRules": [{"value": "198.51.100.0/24"}]}
    patched = managed("PATCH", managed.place(), {"properties": {"networkAcls": acls}}).json
    assert (patched["tags"], patched["properties"]["enabledForDeployment"]) == ({"a": "b"}, True)
    patched = managed("PATCH", managed.place(), {"tags": {}}).json
    assert patched["properties"]["networkAcls"]["ipRules"] == [{"value": "198.51.100.0/24"}]
    body = {"properties": {"publicNetworkAccess": "Disabled", "enabledForDeployment": False}}
    patched = managed("PATCH", managed.place(), body).json
    assert patched["properties"]["networkAcls"]["defaultAction"] == "Deny"
    assert patched["properties"]["publicNetworkAccess"] == "Disabled"
    before = len(entries(managed))
    put = managed("PUT", managed.place(), managed.body(managed.policy("bob", "list"))).json
    assert [one["objectId"] for one in put["properties"]["accessPolicies"]] == [managed.oid("bob")]
    # What is not said of the boundary leaves it as it is: nothing opens silently.
    assert put["properties"]["networkAcls"]["defaultAction"] == "Deny"
    tags = [type(one.event).__name__ for one in entries(managed)[before:]]
    assert sorted(tags) == ["PolicyDeleted", "PolicySet"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_rules_without_a_default_action_open_nothing(managed: Managed, method: str) -> None:
    rule = {"value": "198.51.100.0/24"}
    managed.make(
        networkAcls={"defaultAction": "Deny", "bypass": "None", "ipRules": [rule]},
        publicNetworkAccess="Disabled",
    )
    for acls in ({}, {"ipRules": [{"value": "203.0.113.0/24"}]}):
        body = managed.body(networkAcls=acls)
        shown = managed(method, managed.place(), body).json["properties"]
        assert shown["publicNetworkAccess"] == "Disabled"
        assert shown["networkAcls"] == {
            "defaultAction": "Deny",
            "bypass": "None",
            "ipRules": acls.get("ipRules", []),
            "virtualNetworkRules": [],
        }


def test_policies_are_added_replaced_and_removed(managed: Managed) -> None:
    managed.make("acme", managed.policy("ann", "get"))

    def change(kind: str, *policies: Any) -> dict[str, list[str]]:
        body = {"properties": {"accessPolicies": list(policies)}}
        answer = managed("PUT", f"{managed.place()}/accessPolicies/{kind}", body)
        assert answer.status == 200, answer
        found = answer.json["properties"]["accessPolicies"]
        return {one["objectId"]: one["permissions"]["secrets"] for one in found}

    ann, bob = managed.oid("ann"), managed.oid("bob")
    assert change("add", managed.policy("ann", "list"), managed.policy("bob", "get")) == {
        ann: ["get", "list"],
        bob: ["get"],
    }
    assert change("replace", managed.policy("ann", "set"))[ann] == ["set"]
    assert change("remove", managed.policy("ann", "set", "get")) == {bob: ["get"]}
    body = {"properties": {"accessPolicies": [managed.policy("ann", "get")]}}
    refused = managed("PUT", f"{managed.place()}/accessPolicies/forget", body)
    assert (refused.status, refused.code) == (400, "BadRequest")


# --- the end of a vault ---------------------------------------------------------------------------


def test_a_vault_is_deleted_listed_recovered_and_purged(managed: Managed) -> None:
    managed.make("acme", managed.policy("root", "all"), tags={"a": "b"})
    managed.data("PUT", "/secrets/db", {"value": "v"})
    assert managed("DELETE", managed.place()).status == 200
    assert managed("DELETE", managed.place()).status == 204
    assert managed("GET", managed.place()).code == "ResourceNotFound"
    assert managed.data("GET", "/secrets/db").code == "VaultNotFound"
    [deleted] = managed("GET", f"{managed.provider}/deletedVaults").json["value"]
    location = f"{managed.provider}/locations/local/deletedVaults/acme"
    assert deleted["id"] == location
    assert deleted["properties"]["vaultId"] == managed.place()
    assert deleted["properties"]["tags"] == {"a": "b"}
    assert managed("GET", location).json == deleted
    refused = managed("PUT", managed.place(), managed.body())
    assert (refused.status, refused.code) == (409, "ConflictError")
    recover = managed.body(createMode="recover")
    del recover["properties"]["accessPolicies"]
    assert managed("PUT", managed.place(), recover).status == 200
    assert managed.data("GET", "/secrets/db").json["value"] == "v"
    assert managed("PUT", managed.place(), recover).code == "DeletedVaultNotFound"
    managed("DELETE", managed.place())
    assert managed("POST", f"{location}/purge").status == 200
    assert managed("POST", f"{location}/purge").status == 404
    assert managed("GET", f"{managed.provider}/deletedVaults").json == {"value": []}
    managed.make("acme", managed.policy("root", "all"))
    assert managed.data("GET", "/secrets/db").code == "SecretNotFound"


def test_a_protected_vault_is_not_purged(managed: Managed) -> None:
    managed.make("acme", enablePurgeProtection=True)
    managed("DELETE", managed.place())
    refused = managed("POST", f"{managed.provider}/locations/local/deletedVaults/acme/purge")
    assert (refused.status, refused.code) == (405, "MethodNotAllowed")
    assert refused.message == "Operation 'DeletedVaultPurge' is not allowed."


def test_a_service_that_had_the_vault_open_gives_the_new_one_of_its_name(managed: Managed) -> None:
    managed.make("acme", managed.policy("root", "all"))
    managed.data("PUT", "/secrets/db", {"value": "old"})
    # Another process ends it and makes another one: this one is told nothing.
    root = managed.caller("root")
    from vault.rule_commands import DeleteVault, PurgeVault, SetPolicy

    old = managed.store.vault("acme")
    old.handle(root, DeleteVault())
    old.handle(root, PurgeVault())
    new = managed.store.create_vault(root, "acme")
    new.handle(root, SetPolicy(object_id=managed.oid("root"), secrets=("get", "set")))
    new.handle(root, SetSecret(name="db", value="new"))
    assert managed.data("GET", "/secrets/db").json["value"] == "new"
    assert new.handle(root, GetSecret(name="db")).value == "new"


# --- lists ----------------------------------------------------------------------------------------


def test_lists_have_pages_and_each_vault_in_them_records_the_look(managed: Managed) -> None:
    for number in range(5):
        managed.make(f"vault{number}")
    path, found, links = f"{managed.provider}/vaults?api-version=2026-02-01&$top=2", [], 0
    while path:
        page = managed("GET", path).json
        found += [one["name"] for one in page["value"]]
        path = page.get("nextLink", "").removeprefix(BASE)
        links += bool(path)
    assert (found, links) == ([f"vault{number}" for number in range(5)], 2)
    looks = [one.event for one in entries(managed, "vault3", "access")]
    assert [one.what for one in looks] == ["resource", "resource"]


def test_lists_show_what_the_caller_may_see(managed: Managed) -> None:
    managed.make("mine")
    managed.make("other")
    from vault.rule_commands import UpdateVault

    administrators = (managed.oid("root"), managed.oid("ann"))
    update = UpdateVault(administrators=administrators)
    managed.store.vault("other").handle(managed.caller("root"), update)

    def names(path: str, who: str, query: str = "api-version=2026-02-01") -> list[str]:
        answer = managed("GET", path, who=who, query=query)
        assert answer.status == 200, answer
        return [one["name"] for one in answer.json["value"]]

    for path in (
        f"{managed.provider}/vaults",
        f"{managed.groups}/{GROUP}/providers/Microsoft.KeyVault/vaults",
        f"/subscriptions/{managed.subscription}/resources",
    ):
        assert names(path, "root") == ["mine", "other"]
        assert names(path, "ann") == ["other"]
        assert names(path, "bob") == []
    assert names(f"{managed.groups}/else/providers/Microsoft.KeyVault/vaults", "root") == []
    resources = f"/subscriptions/{managed.subscription}/resources"
    query = "$filter=resourceType eq 'Microsoft.KeyVault/vaults' and name eq 'MINE'"
    assert names(resources, "root", f"{query}&api-version=2015-11-01") == ["mine"]
    query = "$filter=resourceType eq 'Microsoft.Storage/accounts'"
    assert names(resources, "root", f"{query}&api-version=2015-11-01") == []
    assert names(managed.groups, "root") == ["muniment", GROUP]
    assert names(managed.groups, "bob") == ["muniment"]
    query = "$filter=name ne 'x'&api-version=2015-11-01"
    assert managed("GET", resources, query=query).status == 400


def test_whether_a_name_is_free(managed: Managed) -> None:
    def check(name: str) -> Any:
        body = {"name": name, "type": "Microsoft.KeyVault/vaults"}
        return managed("POST", f"{managed.provider}/checkNameAvailability", body).json

    managed.make()
    assert check("fresh") == {"nameAvailable": True}
    assert check("ACME")["reason"] == "AlreadyExists"
    held = check("acme")
    managed("DELETE", managed.place())
    # the same: that it is deleted is for who may see it
    assert check("acme") == held
    assert check("a--b")["reason"] == "AccountNameInvalid"


def test_what_there_is_besides_vaults(managed: Managed) -> None:
    [tenant] = managed("GET", "/tenants").json["value"]
    assert tenant["tenantId"] == managed.tenant
    scope = f"/subscriptions/{managed.subscription}"
    assert managed("GET", scope).json["state"] == "Enabled"
    for path in (f"{managed.provider}/managedHSMs", f"{managed.provider}/deletedManagedHSMs"):
        assert managed("GET", path).json == {"value": []}
    group = managed("GET", f"{scope}/resourcegroups/any").json
    assert (group["name"], group["location"]) == ("any", "local")
    assert managed("PUT", f"{scope}/resourcegroups/any", {"location": "x"}).json == group
    assert managed("HEAD", f"{scope}/resourcegroups/any").status == 204
    assert managed("GET", f"{scope}/resourcegroups/a%20b").code == "ResourceGroupNotFound"
    operations = managed("GET", "/providers/Microsoft.KeyVault/operations").json["value"]
    assert "Microsoft.KeyVault/vaults/write" in [one["name"] for one in operations]


# --- who may --------------------------------------------------------------------------------------


def test_only_a_store_administrator_makes_vaults(managed: Managed) -> None:
    refused = managed("PUT", managed.place(), managed.body(), who="ann")
    assert (refused.status, refused.code) == (403, "AuthorizationFailed")
    assert "Microsoft.KeyVault/vaults/write" in refused.message
    assert managed.oid("ann") in refused.message
    # and it is told so before it is told what is wrong with what it sent
    assert managed("PUT", managed.place(), b"{", who="ann").status == 403
    assert managed.store.vault_names() == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PUT", "", b"{"),
        ("PATCH", "", {"tags": {}}),
        ("PATCH", "", b"{"),
        ("DELETE", "", None),
        ("PUT", "/accessPolicies/add", b"{"),
        ("PUT", "/accessPolicies/forget", {}),
        ("PUT", "", {"location": "elsewhere", "properties": {}}),
    ],
)
def test_a_stranger_is_refused_and_it_is_recorded(
    managed: Managed, method: str, path: str, body: Any
) -> None:
    managed.make()
    refused = managed(method, managed.place() + path, body, who="bob")
    assert (refused.status, refused.code) == (403, "AuthorizationFailed")
    last = entries(managed, log="access")[-1]
    assert (last.context.principal, last.context.outcome) == (
        managed.oid("bob"),
        "access.not-administrator",
    )


ENDED = "locations/local/deletedVaults/"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PUT", "", {}),
        ("PUT", "", {"location": "local", "properties": {"createMode": "recover"}}),
        ("PATCH", "", {"tags": {}}),
        ("DELETE", "", None),
        ("PUT", "/accessPolicies/add", {}),
        ("GET", ENDED, None),
        ("POST", f"{ENDED}/purge", None),
    ],
)
def test_a_stranger_hears_the_same_of_every_vault_and_of_none(
    managed: Managed, method: str, path: str, body: Any
) -> None:
    for name in ("here", "ended"):
        managed.make(name)
    managed.store.create_vault(managed.caller("root"), "elsewhere")
    managed("DELETE", managed.place("ended"))

    def asked(name: str) -> Any:
        place = managed.place(name) + path
        if path.startswith(ENDED):
            place = f"{managed.provider}/{path.replace(ENDED, ENDED + name)}"
        refused = managed(method, place, body, who="bob")
        return refused.status, refused.code, refused.message.replace(f"/{name}'", "/NAME'")

    answers = {name: asked(name) for name in ("here", "elsewhere", "ended", "none")}
    assert set(answers.values()) == {answers["none"]}
    assert answers["none"][:2] == (403, "AuthorizationFailed")
    [ended] = managed.store.deleted()
    for name in ("here", "elsewhere", ended.id):
        last = entries(managed, name, "access")[-1].context
        assert (last.principal, last.outcome) == (managed.oid("bob"), "access.not-administrator")


def test_the_body_of_a_stranger_is_not_read(managed: Managed) -> None:
    managed.make()
    large = b" " * 500_000 + b"{}"
    place, none = managed.place(), managed.place("none")
    check = f"{managed.provider}/checkNameAvailability"
    before = managed.bodies
    for path in (place, none):
        for method in ("PUT", "PATCH"):
            assert managed(method, path, large, who="bob").status == 403
    assert managed.bodies == before
    assert managed("PATCH", place, large).status == 200
    assert managed.bodies == before + 1
    # where everybody may ask, nobody may send much
    assert managed("POST", check, large, who="bob").status == 413


def test_who_administers_a_vault_hears_where_it_is_not(managed: Managed) -> None:
    managed.make()
    from vault.rule_commands import UpdateVault

    update = UpdateVault(administrators=(managed.oid("ann"),))
    managed.store.vault("acme").handle(managed.caller("root"), update)
    location = f"{managed.provider}/{ENDED}acme"
    assert managed("GET", managed.place(group="other"), who="ann").status == 404
    assert managed("GET", location, who="ann").code == "DeletedVaultNotFound"
    assert managed("DELETE", managed.place(), who="ann").status == 200
    assert managed("DELETE", managed.place(), who="ann").status == 204
    assert managed("GET", managed.place(), who="ann").code == "ResourceNotFound"
    assert managed("GET", location, who="ann").status == 200


def test_a_store_administrator_sees_a_vault_of_another_and_changes_nothing(
    managed: Managed,
) -> None:
    managed.make()
    from vault.rule_commands import UpdateVault

    update = UpdateVault(administrators=(managed.oid("ann"),))
    managed.store.vault("acme").handle(managed.caller("root"), update)
    assert managed("GET", managed.place()).status == 200
    assert managed("PATCH", managed.place(), {"tags": {}}).status == 403
    assert managed("DELETE", managed.place()).status == 403
    assert managed("PATCH", managed.place(), {"tags": {"a": "b"}}, who="ann").status == 200


def test_who_is_no_longer_a_store_administrator_makes_none(managed: Managed) -> None:
    managed.make()
    managed.identities.remove("root")
    managed.clients["root"] = managed.identities.add(
        "root", object_id=managed.clients["root"].object_id
    ).application
    assert managed("PUT", managed.place("second"), managed.body()).status == 403


@pytest.mark.parametrize(
    ("audience", "opens"),
    [
        (f"{BASE}/", True),
        ("https://management.azure.com/", True),
        ("https://management.azure.com", True),
        ("https://management.core.windows.net/", True),
        (BASE, False),
        ("https://vault.azure.net", False),
    ],
)
def test_a_token_for_secrets_does_not_open_the_control_plane(
    managed: Managed, audience: str, opens: bool
) -> None:
    answer = managed("GET", "/subscriptions", token=managed.token("root", audience))
    assert (answer.status == 200) is opens
    if not opens:
        assert (answer.status, answer.code) == (401, "InvalidAuthenticationToken")
        assert f'authorization="{BASE}/{managed.tenant}"' in answer.headers["WWW-Authenticate"]


def test_a_token_for_the_resource_manager_does_not_open_a_vault(managed: Managed) -> None:
    managed.make("acme", managed.policy("root", "all"))
    token = managed.token("root", "https://management.azure.com/")
    assert managed.data("GET", "/secrets", token=token).status == 401


def test_without_a_token_nothing_is_told_and_the_vault_counts_it(managed: Managed) -> None:
    managed.make()
    answer = managed("GET", managed.place(), token="")
    assert (answer.status, answer.code) == (401, "InvalidAuthenticationToken")
    assert managed("PUT", managed.place(), b"x" * 10, token="").status == 401
    for method, path in (("GET", "/subscriptions/x/nothing"), ("POST", managed.place("other"))):
        nowhere = managed(method, path, token="")
        assert (nowhere.status, nowhere.code) == (answer.status, answer.code)
        assert nowhere.headers["WWW-Authenticate"] == answer.headers["WWW-Authenticate"]
    managed.service._write_counts()
    last = entries(managed, log="access")[-1].event
    assert last.unauthenticated == 2


def test_the_boundary_does_not_apply_and_the_address_is_recorded(managed: Managed) -> None:
    acls = {"defaultAction": "Deny", "ipRules": []}
    managed.make("acme", managed.policy("root", "all"), networkAcls=acls)
    assert managed.data("GET", "/secrets").inner == "ForbiddenByFirewall"
    assert managed("PATCH", managed.place(), {"tags": {"a": "b"}}).status == 200
    assert entries(managed)[-1].context.address == "203.0.113.9"


def test_who_is_refused_too_often_has_to_wait(managed: Managed) -> None:
    managed.make()
    token, place = managed.token("bob"), managed.place()
    statuses = [managed("GET", place, token=token).status for _ in range(REFUSALS_AT_ONCE + 1)]
    assert statuses == [*[403] * REFUSALS_AT_ONCE, 429]


def test_a_flood_of_refusals_does_not_fill_a_log_and_keeps_no_administrator_out(
    managed: Managed,
) -> None:
    managed.make()
    token, place = managed.token("bob"), managed.place()
    statuses = Counter(
        # each from an address of its own, as whoever has a network of IPv6 can
        managed("GET", place, token=token, peer=f"2001:db8::{number:x}").status
        for number in range(ALL_REFUSALS_AT_ONCE + 50)
    )
    assert statuses == {403: ALL_REFUSALS_AT_ONCE, 429: 50}
    refused = [one for one in entries(managed, log="access") if one.context.outcome != "ok"]
    assert len(refused) == ALL_REFUSALS_AT_ONCE
    assert managed("GET", place).status == 200


# --- what cannot be read --------------------------------------------------------------------------


def wrong(**properties: Any) -> Any:
    return properties


@pytest.mark.parametrize(
    "properties",
    [
        {"tenantId": "11111111-2222-4333-8444-555555555555"},
        {"sku": {"family": "A", "name": "gold"}},
        {"sku": None},
        {"accessPolicies": None},
        {"enableRbacAuthorization": True},
        {"enableSoftDelete": False},
        {"enablePurgeProtection": False},
        {"softDeleteRetentionInDays": 6},
        {"createMode": "restore"},
        {"publicNetworkAccess": "SecuredByPerimeter"},
        {"networkAcls": {"defaultAction": "Maybe"}},
        {"networkAcls": {"ipRules": [{"value": "10.0.0.0/8"}]}},
        {"networkAcls": {"ipRules": [{"value": "2001:db8::1"}]}},
        {"networkAcls": {"virtualNetworkRules": [{"id": "x"}]}},
    ],
    ids=lambda one: next(iter(one)),
)
def test_what_cannot_be_is_refused_for_a_new_vault_and_for_one_that_stands(
    managed: Managed, properties: dict[str, Any]
) -> None:
    body = managed.body(**properties)
    refused = managed("PUT", managed.place(), body)
    assert (refused.status, refused.code) == (400, "BadRequest"), refused
    assert managed.store.vault_names() == []
    managed.make()
    before = len(entries(managed))
    assert managed("PUT", managed.place(), body).status == 400
    assert len(entries(managed)) == before
    assert entries(managed, log="access")[-1].context.outcome != "ok"


def test_the_retention_is_never_changed(managed: Managed) -> None:
    managed.make(softDeleteRetentionInDays=30)
    refused = managed("PATCH", managed.place(), {"properties": {"softDeleteRetentionInDays": 31}})
    assert (refused.status, "can't be modified" in refused.message) == (400, True)
    same = managed("PATCH", managed.place(), {"properties": {"softDeleteRetentionInDays": 30}})
    assert same.status == 200


def test_a_vault_stays_in_its_group_and_its_location(managed: Managed) -> None:
    managed.make()
    moved = managed("PUT", managed.place(group="other"), managed.body())
    assert (moved.status, moved.code) == (409, "VaultAlreadyExists")
    assert managed("GET", managed.place(group="other")).status == 404
    assert managed("DELETE", managed.place(group="other")).status == 204
    moved = managed("PUT", managed.place(), managed.body() | {"location": "elsewhere"})
    assert (moved.status, moved.code) == (409, "InvalidResourceLocation")
    bad = managed("PUT", managed.place("no--name"), managed.body())
    assert (bad.status, bad.code) == (400, "VaultNameNotValid")


def test_a_vault_made_at_the_terminal_is_a_resource_as_well(managed: Managed) -> None:
    managed.store.create_vault(managed.caller("root"), "Local")
    shown = managed("GET", managed.place("local", "muniment")).json
    assert (shown["name"], shown["location"]) == ("Local", "local")
    assert shown["properties"]["vaultUri"] == "https://local.vault.localhost:8443/"
    assert managed("GET", managed.place(managed.store.vault("Local").id)).status == 404


def test_an_operation_that_is_not_there(managed: Managed) -> None:
    managed.make()
    missing = managed("GET", managed.place(), query="")
    assert (missing.status, missing.code) == (400, "MissingApiVersionParameter")
    unknown = managed("GET", managed.place(), query="api-version=2031-01-01")
    assert (unknown.status, unknown.code) == (400, "NoRegisteredProviderFound")
    assert managed("POST", managed.place()).status == 405
    assert managed("GET", f"{managed.place()}/secrets/db").status == 404
    other = managed.place().replace(managed.subscription, "11111111-2222-4333-8444-555555555555")
    assert managed("GET", other).code == "SubscriptionNotFound"
    assert managed("GET", f"{managed.provider}/vaults?api-version=2026-02-01&$top=x").status == 400
    twice = "api-version=2026-02-01&api-version=2026-02-01"
    assert managed("GET", managed.place(), query=twice).status == 400


def test_a_roll_from_before_has_no_store_administrators(managed: Managed) -> None:
    stored = msgspec.to_builtins(managed.clients["root"])
    del stored["store_administrator"]
    assert msgspec.convert(stored, Application).store_administrator is False


UNREACHED = (
    *("vault.error", "store.not-found", "store.exists", "vault.not-chosen"),
    *("boundary.network-in-use", "boundary.network-not-found", "boundary.rule-not-found"),
    "evidence.period-moved",
)


def test_every_refusal_that_the_control_plane_can_meet_has_a_status_of_its_own() -> None:
    found = Found(ROUTES[0], vault="acme", group=GROUP)
    for error in every_error(VaultError):
        if error.__module__.startswith(("vault.", "server.")):
            problem = arm_problem(error(), found, "/", "client")
            told = problem.status == 500
            assert told is (error.code in UNREACHED), error.code
