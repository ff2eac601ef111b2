"""Storage accounts and SAS definitions as Key Vault's clients see them: JSON in, JSON out."""

from __future__ import annotations

from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.versions import STORAGE_VERSIONS, VERSIONS
from support.life import Life
from support.providers import RESOURCE, FileProvider, lost, providers, refusing
from support.rest import BASE, Rest, Told, rest_in
from support.vaults import BOB, START
from vault.access import STORAGE_PERMISSIONS
from vault.rule_commands import SetPolicy

NOW = START // 1_000_000
API = "api-version=7.0"
TEMPLATE = "sv=2018-03-28&ss=bqtf&srt=sco&sp=rl&spr=https"
ACCOUNT = {
    "resourceId": RESOURCE,
    "activeKeyName": "key1",
    "autoRegenerateKey": True,
    "regenerationPeriod": "P90D",
}
SAS = {"templateUri": TEMPLATE, "sasType": "account", "validityPeriod": "PT4H"}


@pytest.fixture
def provider(tmp_path: Path) -> FileProvider:
    return FileProvider(tmp_path / "provider.json")


@pytest.fixture
def rest(tmp_path: Path, provider: FileProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rest]:
    with rest_in(tmp_path / "store") as rest:
        rest.life.vault._providers = providers(provider)
        yield rest


def ask(rest: Rest, method: str, path: str, body: Any = None, api: str = API, **more: Any) -> Told:
    path, _, query = path.partition("?")
    return rest(method, path, body, query="&".join(filter(None, (api, query))), **more)


def must(rest: Rest, method: str, path: str, body: Any = None, **more: Any) -> Any:
    answer = ask(rest, method, path, body, **more)
    assert answer.status == 200, answer
    return answer.json


@pytest.fixture
def shop(rest: Rest) -> Rest:
    must(rest, "PUT", "/storage/Shop", {**ACCOUNT, "tags": {"team": "a"}})
    must(rest, "PUT", "/storage/shop/sas/All", {**SAS, "tags": {"of": "b"}})
    return rest


def about(**more: Any) -> dict[str, Any]:
    return {"enabled": True, "created": NOW, "updated": NOW, "recoveryLevel": LEVEL, **more}


LEVEL = "Recoverable+Purgeable"


def listed(answer: Any) -> list[str]:
    return [one["id"].rpartition("/")[2] for one in answer["value"]]


# --- shapes ---------------------------------------------------------------------------------------


def test_an_account_is_shown_with_key_vaults_members_in_its_order(rest: Rest) -> None:
    told = must(rest, "PUT", "/storage/Shop", {**ACCOUNT, "tags": {"team": "a"}})
    assert list(told.items()) == [
        ("id", f"{BASE}/storage/Shop"),
        ("resourceId", RESOURCE),
        ("activeKeyName", "key1"),
        ("autoRegenerateKey", True),
        ("regenerationPeriod", "P90D"),
        ("attributes", about()),
        ("tags", {"team": "a"}),
    ]
    assert list(told["attributes"]) == list(about())
    assert must(rest, "GET", "/storage/SHOP") == told
    [item] = must(rest, "GET", "/storage")["value"]
    assert list(item) == ["id", "resourceId", "attributes", "tags"]
    assert item == {name: told[name] for name in item}


def test_what_was_not_given_is_left_out(rest: Rest) -> None:
    body = {**ACCOUNT, "autoRegenerateKey": False, "regenerationPeriod": None}
    told = must(rest, "PUT", "/storage/shop", body)
    assert list(told) == [
        "id",
        "resourceId",
        "activeKeyName",
        "autoRegenerateKey",
        "attributes",
    ]


def test_a_definition_is_shown_with_the_secret_that_its_tokens_are_read_as(shop: Rest) -> None:
    told = must(shop, "GET", "/storage/SHOP/sas/ALL")
    assert list(told.items()) == [
        ("id", f"{BASE}/storage/Shop/sas/All"),
        ("sid", f"{BASE}/secrets/Shop-All"),
        ("templateUri", TEMPLATE),
        ("sasType", "account"),
        ("validityPeriod", "PT4H"),
        ("attributes", about()),
        ("tags", {"of": "b"}),
    ]
    [item] = must(shop, "GET", "/storage/shop/sas")["value"]
    assert list(item) == ["id", "sid", "attributes", "tags"]
    assert item == {name: told[name] for name in item}


@pytest.mark.parametrize("place", ["/storage/shop", "/storage/shop/sas/all"])
def test_what_was_deleted_says_since_when_and_until_when(shop: Rest, place: str) -> None:
    before = must(shop, "GET", place)
    told = must(shop, "DELETE", place)
    assert list(told)[:3] == ["recoveryId", "deletedDate", "scheduledPurgeDate"]
    recovery = before["id"].replace("/storage/", "/deletedstorage/")
    assert told.pop("recoveryId") == recovery
    assert told.pop("scheduledPurgeDate") - told.pop("deletedDate") == 90 * 86_400
    assert told == before
    deleted = place.replace("/storage/", "/deletedstorage/")
    assert must(shop, "GET", deleted)["recoveryId"] == recovery
    [item] = must(shop, "GET", deleted.rpartition("/")[0])["value"]
    assert item["recoveryId"] == recovery
    assert "templateUri" not in item
    assert "activeKeyName" not in item
    assert ask(shop, "GET", place).status == 404
    assert must(shop, "POST", f"{deleted}/recover") == before
    assert must(shop, "GET", place) == before


@pytest.mark.parametrize("api", STORAGE_VERSIONS)
def test_days_of_recovery_are_told_from_the_version_on_that_has_them(shop: Rest, api: str) -> None:
    told = must(shop, "GET", "/storage/shop", api=f"api-version={api}")
    assert ("recoverableDays" in told["attributes"]) is (api not in ("2016-10-01", "7.0"))


@pytest.mark.parametrize("api", sorted(VERSIONS.keys() - set(STORAGE_VERSIONS)))
def test_a_later_version_has_no_storage_accounts_and_names_the_last_that_has(
    shop: Rest, api: str
) -> None:
    answer = ask(shop, "GET", "/storage/shop", api=f"api-version={api}")
    assert (answer.status, answer.code) == (400, "BadParameter")
    assert answer.message == (
        f"The specified version ({api}) is not recognized. "
        "Consider using the latest supported version (7.3)."
    )
    # Their tokens are secrets, and those are in every version.
    assert must(shop, "GET", "/secrets/shop-all", api=f"api-version={api}")["managed"] is True


# --- verbs ----------------------------------------------------------------------------------------


def test_an_update_changes_what_it_names(shop: Rest) -> None:
    shop.life.clock.advance(seconds=5)
    before = must(shop, "GET", "/storage/shop")
    told = must(shop, "PATCH", "/storage/shop", {"activeKeyName": "key2", "tags": {}})
    now = told["attributes"]["updated"]
    assert now > before["attributes"]["updated"]
    attributes = {**before["attributes"], "updated": now}
    del before["tags"]
    assert told == {**before, "activeKeyName": "key2", "attributes": attributes}
    told = must(
        shop,
        "PATCH",
        "/storage/shop",
        {"autoRegenerateKey": False, "regenerationPeriod": None, "attributes": {"enabled": False}},
    )
    assert told["activeKeyName"] == "key2"
    assert "regenerationPeriod" not in told
    assert told["attributes"]["enabled"] is False


def test_a_definitions_update_changes_what_it_names(shop: Rest) -> None:
    before = must(shop, "GET", "/storage/shop/sas/all")
    body = {"validityPeriod": "P1D", "templateUri": TEMPLATE.replace("sp=rl", "sp=r")}
    told = must(shop, "PATCH", "/storage/shop/sas/all", body)
    assert told["validityPeriod"] == "P1D"
    assert told["templateUri"].endswith("sp=r&spr=https")
    assert (told["sasType"], told["tags"]) == (before["sasType"], before["tags"])
    assert "sp=r&" in must(shop, "GET", "/secrets/shop-all")["value"]


def test_a_regenerated_key_signs_from_then_on_and_is_never_told(
    shop: Rest, provider: FileProvider
) -> None:
    before = provider.keys
    shop.life.clock.advance(seconds=60)
    told = must(shop, "POST", "/storage/shop/regeneratekey", {"keyName": "key2"})
    assert told["activeKeyName"] == "key1"
    # Key Vault sets both to the time of the regeneration.
    assert told["attributes"]["created"] == told["attributes"]["updated"] == NOW + 60
    assert provider.keys["key1"] == before["key1"]
    assert provider.keys["key2"] != before["key2"]


@pytest.mark.parametrize("encode", [b64encode, lambda raw: b64encode(raw, b"-_").rstrip(b"=")])
def test_a_backup_brings_everything_back_in_either_alphabet(shop: Rest, encode: Any) -> None:
    before = must(shop, "GET", "/storage/shop"), must(shop, "GET", "/storage/shop/sas/all")
    value = must(shop, "POST", "/storage/shop/backup")["value"]
    raw = urlsafe_b64decode(value + "=" * (-len(value) % 4))
    must(shop, "DELETE", "/storage/shop")
    assert ask(shop, "DELETE", "/deletedstorage/shop").status == 204
    assert ask(shop, "GET", "/deletedstorage/shop").status == 404
    body = {"value": encode(raw).decode()}
    assert must(shop, "POST", "/storage/restore", body) == before[0]
    assert must(shop, "GET", "/storage/shop/sas/all") == before[1]
    again = ask(shop, "POST", "/storage/restore", body)
    assert (again.status, again.code) == (409, "Conflict")


def test_pages_of_accounts_and_of_definitions_have_each_once(shop: Rest) -> None:
    for number in range(30):
        must(shop, "PUT", f"/storage/a{number:02}", ACCOUNT)
        must(shop, "PUT", f"/storage/shop/sas/d{number:02}", SAS)
    for place, first in (("/storage", "Shop"), ("/storage/shop/sas", "All")):
        pages = shop.pages(f"{place}?{API}&maxresults=7")
        names = [one["id"].rpartition("/")[2] for page in pages for one in page]
        assert {len(page) for page in pages[:-1]} == {7}
        assert names == sorted(names, key=str.upper)
        assert len(set(names)) == len(names) == 31
        assert first in names


def test_a_page_of_one_accounts_definitions_leads_to_no_other_accounts(shop: Rest) -> None:
    must(shop, "PUT", "/storage/other", ACCOUNT)
    for name in ("shop", "other"):
        must(shop, "PUT", f"/storage/{name}/sas/more", SAS)
    link = must(shop, "GET", "/storage/shop/sas?maxresults=1")["nextLink"]
    query = link.partition("?")[2]
    assert must(shop, "GET", "/storage/shop/sas", api=query)["value"]
    assert ask(shop, "GET", "/storage/other/sas", api=query).code == "BadParameter"


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_is_a_managed_secret_that_is_made_at_each_read(shop: Rest) -> None:
    shop.life.clock.advance(seconds=100)
    told = must(shop, "GET", "/secrets/shop-ALL")
    value = told.pop("value")
    end = NOW + 100 + 4 * 3600
    assert list(told.items()) == [
        ("contentType", "application/vnd.ms-sastoken-storage"),
        ("id", f"{BASE}/secrets/Shop-All"),
        ("managed", True),
        ("attributes", {"enabled": True, "exp": end, "recoveryLevel": LEVEL}),
    ]
    assert value.startswith("?sv=2018-03-28&ss=bqtf&srt=sco&sp=rl&spr=https&se=")
    shop.life.clock.advance(seconds=3)
    assert must(shop, "GET", "/secrets/Shop-All")["value"] != value


def test_tokens_stand_in_the_list_of_secrets_as_managed(shop: Rest) -> None:
    for name in ("a", "shop-", "zz"):
        shop.set(name)
    found = {one["id"].rpartition("/")[2]: one for one in must(shop, "GET", "/secrets")["value"]}
    assert list(found) == ["a", "shop-", "Shop-All", "zz"]
    assert found["Shop-All"]["managed"] is True
    assert "managed" not in found["zz"]
    pages = shop.pages(f"/secrets?{API}&maxresults=1")
    assert [listed({"value": page}) for page in pages if page] == [[name] for name in found]
    must(shop, "DELETE", "/storage/shop/sas/all")
    assert "Shop-All" not in listed(must(shop, "GET", "/secrets"))
    assert ask(shop, "GET", "/secrets/shop-all").code == "SecretNotFound"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/secrets/shop-all", {"value": "v"}),
        ("PATCH", "/secrets/shop-all", {"tags": {}}),
        ("DELETE", "/secrets/shop-all", None),
        ("POST", "/secrets/shop-all/backup", None),
    ],
)
def test_a_token_is_changed_by_its_definition_alone(
    shop: Rest, method: str, path: str, body: Any
) -> None:
    answer = ask(shop, method, path, body)
    assert (answer.status, answer.code, answer.inner) == (403, "Forbidden", "SecretIsManaged")


@pytest.mark.parametrize("place", ["/storage/shop", "/storage/shop/sas/all"])
def test_what_is_disabled_makes_no_token(shop: Rest, place: str) -> None:
    must(shop, "PATCH", place, {"attributes": {"enabled": False}})
    answer = ask(shop, "GET", "/secrets/shop-all")
    assert (answer.status, answer.code, answer.inner) == (403, "Forbidden", "SecretDisabled")


# --- refusals -------------------------------------------------------------------------------------

MISSING = [
    ("GET", "/storage/none", None, "StorageAccountNotFound"),
    ("PATCH", "/storage/none", {}, "StorageAccountNotFound"),
    ("DELETE", "/storage/none", None, "StorageAccountNotFound"),
    ("POST", "/storage/none/backup", None, "StorageAccountNotFound"),
    ("POST", "/storage/none/regeneratekey", {"keyName": "key1"}, "StorageAccountNotFound"),
    ("GET", "/deletedstorage/shop", None, "StorageAccountNotFound"),
    ("DELETE", "/deletedstorage/shop", None, "StorageAccountNotFound"),
    ("POST", "/deletedstorage/shop/recover", None, "StorageAccountNotFound"),
    ("GET", "/storage/none/sas", None, "StorageAccountNotFound"),
    ("PUT", "/storage/none/sas/all", SAS, "StorageAccountNotFound"),
    ("GET", "/storage/shop/sas/none", None, "SasDefinitionNotFound"),
    ("PATCH", "/storage/shop/sas/none", {}, "SasDefinitionNotFound"),
    ("DELETE", "/storage/shop/sas/none", None, "SasDefinitionNotFound"),
    ("GET", "/deletedstorage/shop/sas/all", None, "SasDefinitionNotFound"),
    ("POST", "/deletedstorage/shop/sas/all/recover", None, "SasDefinitionNotFound"),
    ("POST", "/storage/shop/regeneratekey", {"keyName": "key3"}, "StorageAccountKeyNotFound"),
    ("PATCH", "/storage/shop", {"activeKeyName": "key3"}, "StorageAccountKeyNotFound"),
    ("PUT", "/storage/a", {**ACCOUNT, "activeKeyName": "key3"}, "StorageAccountKeyNotFound"),
]


@pytest.mark.parametrize(("method", "path", "body", "code"), MISSING, ids=range(len(MISSING)))
def test_what_is_not_there_is_404(shop: Rest, method: str, path: str, body: Any, code: str) -> None:
    answer = ask(shop, method, path, body)
    assert (answer.status, answer.code) == (404, code)


INVALID = [
    ("PUT", "/storage/my-shop", ACCOUNT),
    ("GET", "/storage/my-shop", None),
    ("PUT", "/storage/shop/sas/my-sas", SAS),
    ("PUT", "/storage/shop", {**ACCOUNT, "regenerationPeriod": "P1M"}),
    ("PUT", "/storage/shop", {**ACCOUNT, "regenerationPeriod": "PT1H"}),
    ("PUT", "/storage/shop", {**ACCOUNT, "regenerationPeriod": None}),
    ("PUT", "/storage/shop", {**ACCOUNT, "resourceId": ""}),
    ("PUT", "/storage/shop", {"resourceId": RESOURCE}),
    ("PUT", "/storage/shop", {**ACCOUNT, "autoRegenerateKey": "yes"}),
    ("PUT", "/storage/shop", b'{"resourceId":"a","resourceId":"b"}'),
    ("PUT", "/storage/shop", b"["),
    ("PATCH", "/storage/shop", {"regenerationPeriod": ""}),
    ("PATCH", "/storage/shop", {"attributes": {"enabled": 1}}),
    ("POST", "/storage/shop/regeneratekey", {}),
    ("POST", "/storage/shop/regeneratekey", None),
    ("POST", "/storage/restore", {"value": "A" * 4728}),
    ("POST", "/storage/restore", {"value": "~"}),
    ("PUT", "/storage/shop/sas/x", {**SAS, "validityPeriod": "PT59S"}),
    ("PUT", "/storage/shop/sas/x", {**SAS, "sasType": "user"}),
    ("PUT", "/storage/shop/sas/x", {**SAS, "templateUri": "sv=2018-03-28"}),
    ("PUT", "/storage/shop/sas/x", {**SAS, "templateUri": TEMPLATE.replace("2018", "2118")}),
    ("PUT", "/storage/shop/sas/x", {"sasType": "account"}),
    ("PATCH", "/storage/shop/sas/all", {"templateUri": ""}),
    ("GET", "/storage?maxresults=26", None),
    ("GET", "/storage/shop/sas?maxresults=0", None),
]


@pytest.mark.parametrize(("method", "path", "body"), INVALID, ids=range(len(INVALID)))
def test_what_cannot_be_read_or_is_beyond_a_limit_is_400(
    shop: Rest, method: str, path: str, body: Any
) -> None:
    answer = ask(shop, method, path, body)
    assert (answer.status, answer.code) == (400, "BadParameter"), answer


def test_a_deleted_name_is_held(shop: Rest) -> None:
    must(shop, "DELETE", "/storage/shop/sas/all")
    answer = ask(shop, "PUT", "/storage/shop/sas/all", SAS)
    assert (answer.status, answer.inner) == (409, "ObjectIsDeletedButRecoverable")
    must(shop, "DELETE", "/storage/shop")
    answer = ask(shop, "PUT", "/storage/shop", ACCOUNT)
    assert (answer.status, answer.inner) == (409, "ObjectIsDeletedButRecoverable")


def test_what_a_provider_does_not_do_is_told(shop: Rest, provider: FileProvider) -> None:
    regenerate = ("POST", "/storage/shop/regeneratekey", {"keyName": "key1"})
    provider.before = refusing
    answer = ask(shop, *regenerate)
    assert (answer.status, answer.code, answer.inner) == (409, "Conflict", "StorageProviderRefused")
    provider.before = lost
    answer = ask(shop, *regenerate)
    assert (answer.status, answer.inner) == (503, "StorageProvider")
    assert int(answer.headers["Retry-After"]) >= 1
    answer = ask(shop, *regenerate)
    assert (answer.status, answer.inner) == (409, "StorageAccountBusy")
    answer = ask(shop, "PUT", "/storage/far", {**ACCOUNT, "resourceId": "/elsewhere"})
    assert (answer.status, answer.inner) == (409, "StorageProviderMissing")


NEEDED = [
    ("GET", "/storage", None, "list"),
    ("GET", "/storage/shop", None, "get"),
    ("PUT", "/storage/shop", ACCOUNT, "set"),
    ("PATCH", "/storage/shop", {}, "update"),
    ("DELETE", "/storage/shop", None, "delete"),
    ("POST", "/storage/shop/regeneratekey", {"keyName": "key1"}, "regeneratekey"),
    ("POST", "/storage/shop/backup", None, "backup"),
    ("POST", "/storage/restore", {"value": "AAAA"}, "restore"),
    ("GET", "/deletedstorage", None, "list"),
    ("GET", "/deletedstorage/shop", None, "get"),
    ("DELETE", "/deletedstorage/shop", None, "purge"),
    ("POST", "/deletedstorage/shop/recover", None, "recover"),
    ("GET", "/storage/shop/sas", None, "listsas"),
    ("GET", "/storage/shop/sas/all", None, "getsas"),
    ("PUT", "/storage/shop/sas/all", SAS, "setsas"),
    ("PATCH", "/storage/shop/sas/all", {}, "setsas"),
    ("DELETE", "/storage/shop/sas/all", None, "deletesas"),
    ("GET", "/deletedstorage/shop/sas", None, "listsas"),
    ("GET", "/deletedstorage/shop/sas/all", None, "getsas"),
    ("POST", "/deletedstorage/shop/sas/all/recover", None, "recover"),
]


@pytest.mark.parametrize(("method", "path", "body", "permission"), NEEDED)
def test_each_operation_needs_its_storage_permission_and_no_secret_one_helps(
    shop: Rest, method: str, path: str, body: Any, permission: str
) -> None:
    others = [one for one in STORAGE_PERMISSIONS if one != permission]
    if permission == "update":
        others.remove("set")  # Key Vault takes either
    shop.life(SetPolicy(object_id=BOB.principal, secrets=("all",), storage=tuple(others)))
    answer = ask(shop, method, path, body, caller=BOB)
    assert (answer.status, answer.code, answer.inner) == (403, "Forbidden", "AccessDenied")
    assert f"does not have storage {permission} permission on key vault" in answer.message
    shop.life(SetPolicy(object_id=BOB.principal, secrets=(), storage=(permission,)))
    assert ask(shop, method, path, body, caller=BOB).status != 403


def test_a_token_needs_the_permission_for_secrets_alone(shop: Rest) -> None:
    shop.life(SetPolicy(object_id=BOB.principal, secrets=(), storage=("all",)))
    answer = ask(shop, "GET", "/secrets/shop-all", caller=BOB)
    assert "does not have secrets get permission" in answer.message
    shop.life(SetPolicy(object_id=BOB.principal, secrets=("get",), storage=()))
    assert must(shop, "GET", "/secrets/shop-all", caller=BOB)["managed"] is True


# --- no key ---------------------------------------------------------------------------------------


def test_no_answer_has_a_key_in_any_writing(shop: Rest, provider: FileProvider) -> None:
    told: list[bytes] = []
    for method, path, body, _ in NEEDED:
        told.append(ask(shop, method, path, body).body)
    for method, path, body, _ in MISSING:
        told.append(ask(shop, method, path, body).body)
    must(shop, "PUT", "/storage/again", ACCOUNT)
    must(shop, "PUT", "/storage/again/sas/all", SAS)
    told += [ask(shop, "GET", path).body for path in ("/secrets", "/secrets/again-all", "/storage")]
    everything = b"\n".join(told)
    assert b"?sv=" in everything
    for value in provider.keys.values():
        raw = b64decode(value)
        for form in (value.encode(), raw, raw.hex().encode(), b64encode(raw, b"-_")):
            assert form.rstrip(b"=") not in everything


def of(life: Life) -> list[str]:
    with life.vault.access.snapshot() as snapshot:
        return [entry.event.__struct_config__.tag for entry in snapshot.entries()]


def test_every_read_and_refusal_is_recorded(shop: Rest) -> None:
    must(shop, "GET", "/storage/shop")
    must(shop, "GET", "/secrets/shop-all")
    ask(shop, "GET", "/storage/none")
    assert of(shop.life)[-3:] == ["storage-account.read", "sas-token.issued", "request.refused"]
