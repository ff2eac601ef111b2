"""What a client is told when a request fails: Key Vault's statuses, codes and texts.

Source: the error table of docs/azure.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore import errors
from eventstore.errors import MunimentError, every_error
from server.http import Request
from server.keyvault import common_headers, largest_body
from server.lag import DeleteLag
from server.problems import problem_of
from server.shared import SharedNumbers
from support.rest import CALLER_TEXT, Rest, rest_in, told
from support.vaults import BOB
from vault import refusals
from vault.rule_commands import UpdateVault

HELP = "For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid="
NO_VERSION = "0" * 32

OPERATIONS: dict[tuple[str, str], str] = {
    ("PUT", "/secrets/db"): "set",
    ("GET", "/secrets/db"): "get",
    ("GET", f"/secrets/db/{NO_VERSION}"): "get",
    ("PATCH", "/secrets/db"): "set",
    ("PATCH", f"/secrets/db/{NO_VERSION}"): "set",
    ("DELETE", "/secrets/db"): "delete",
    ("GET", "/secrets"): "list",
    ("GET", "/secrets/db/versions"): "list",
    ("POST", "/secrets/db/backup"): "backup",
    ("POST", "/secrets/restore"): "restore",
    ("GET", "/deletedsecrets"): "list",
    ("GET", "/deletedsecrets/db"): "get",
    ("POST", "/deletedsecrets/db/recover"): "recover",
    ("DELETE", "/deletedsecrets/db"): "purge",
}
PERMISSIONS = ("get", "list", "set", "delete", "recover", "backup", "restore", "purge")


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Rest]:
    with rest_in(tmp_path / "store") as rest:
        yield rest


def not_found(name: str) -> str:
    return (
        f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted "
        f"this secret you may be able to recover it using the correct recovery command. {HELP}2125182"
    )


def deleted(name: str) -> str:
    return (
        f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be "
        "reused; in this state, the secret can only be recovered or purged."
    )


# --- who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "permission"), OPERATIONS.items(), ids=str)
@pytest.mark.parametrize("query", ["api-version=7.4", "", "api-version=1.0&maxresults=x"])
def test_without_the_permission_all_else_is_not_even_looked_at(
    rest: Rest, asked: tuple[str, str], permission: str, query: str
) -> None:
    rest.life.allow(*(one for one in PERMISSIONS if one != permission))
    answer = rest(*asked, b"\xff not json", query=query, caller=BOB)
    assert (answer.status, answer.code, answer.inner) == (403, "Forbidden", "AccessDenied")
    assert answer.message == (
        f"The user, group or application '{CALLER_TEXT}' does not have secrets {permission} "
        f"permission on key vault 'test-vault;location=local'. {HELP}2125287"
    )


@pytest.mark.parametrize(("asked", "permission"), OPERATIONS.items(), ids=str)
def test_with_the_permission_alone_the_request_is_looked_at(
    rest: Rest, asked: tuple[str, str], permission: str
) -> None:
    rest.life.allow(permission)
    assert rest(*asked, query="", caller=BOB).message == "api-version must be specified"


def test_purge_protection_refuses_a_purge(tmp_path: Path) -> None:
    with rest_in(tmp_path / "store", purge_protection=True) as rest:
        rest.set("db")
        rest("DELETE", "/secrets/db")
        answer = rest("DELETE", "/deletedsecrets/db")
        assert (answer.status, answer.code, answer.inner) == (403, "Forbidden", "ForbiddenByPolicy")
        assert answer.message == (
            'Operation "purge" is not allowed because purge protection is enabled for this vault. '
            "Key Vault service will automatically purge it after the retention period has passed."
            "\r\nVault: test-vault;location=local"
        )


# --- what is beyond a limit ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("my_name", "my_name"),
        ("a.b", "a.b"),
        ("..", ".."),
        ("%2e%2e", ".."),
        ("a%2Fb", "a/b"),
        ("a%00b", "a\0b"),
        ("%C3%A9", "é"),
        ("%FF", "\N{REPLACEMENT CHARACTER}"),
        ("%25", "%"),
        ("a%0D%0Ab", "a\r\nb"),
        ("a" * 128, "a" * 128),
        ("a" * 5000, "a" * 140),
        ("\xff", "\xff"),
        ("\udcff", "\\udcff"),
        ("{name}", "{name}"),
    ],
    ids=ascii,
)
def test_an_invalid_name_is_told_back(rest: Rest, written: str, name: str) -> None:
    for method, path in OPERATIONS:
        if "/db" not in path:
            continue
        body = {"value": "v"} if method == "PUT" else {}
        answer = rest(method, path.replace("/db", f"/{written}"), body)
        assert (answer.status, answer.code) == (400, "BadParameter")
        assert answer.message == f"The request URI contains an invalid name: {name}"


@pytest.mark.parametrize("version", ["x", "0" * 31, "0" * 33, "latest", "0" * 5000])
def test_an_invalid_version_is_a_bad_parameter(rest: Rest, version: str) -> None:
    rest.set("db")
    for method, body in (("GET", None), ("PATCH", {})):
        answer = rest(method, f"/secrets/db/{version}", body)
        assert (answer.status, answer.code) == (400, "BadParameter")
        assert answer.message == (f"The request URI contains an invalid version: {version[:140]}")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "api-version must be specified"),
        ("api-version=", "api-version must be specified"),
        ("apiversion=7.4", "api-version must be specified"),
        (
            "api-version=7.7",
            "The specified version (7.7) is not recognized. "
            "Consider using the latest supported version (2026-04-01).",
        ),
        (
            "api-version=" + "9" * 5000,
            f"The specified version ({'9' * 40}) is not recognized. "
            "Consider using the latest supported version (2026-04-01).",
        ),
        ("api-version=7.4&API-Version=7.4", "api-version was given more than once"),
    ],
    ids=lambda given: given[:30],
)
def test_the_api_version_must_be_one_that_is_known(rest: Rest, query: str, message: str) -> None:
    for method, path in OPERATIONS:
        answer = rest(method, path, query=query)
        assert (answer.status, answer.code, answer.message) == (400, "BadParameter", message)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"value": "x" * 25_601}, "BadParameter"),
        ({"contentType": "x" * 256}, "BadParameter"),
        ({"tags": {str(number): "" for number in range(16)}}, "BadParameter"),
        ({"tags": {"": ""}}, "BadParameter"),
        ({"tags": {"n" * 257: ""}}, "BadParameter"),
        ({"tags": {"n": "v" * 257}}, "BadParameter"),
        ({"attributes": {"exp": -1}}, "BadRequest"),
        ({"attributes": {"nbf": 2**63}}, "BadRequest"),
        ({"attributes": {"exp": 10**300}}, "BadRequest"),
    ],
    ids=lambda given: str(given)[:30],
)
def test_beyond_a_documented_limit_is_refused_and_nothing_is_set(
    rest: Rest, given: dict[str, Any], code: str
) -> None:
    answer = rest("PUT", "/secrets/db", {"value": "v", **given})
    assert (answer.status, answer.code) == (400, code)
    if code == "BadRequest":
        assert answer.message == "Property has invalid value\r\n"
    assert rest("GET", "/secrets").json["value"] == []


@pytest.mark.parametrize(
    "text", ["A" * 6304, "", "AAAA", "TU5NQktQ", "!", "A", "AAAA\n", "=AAA", "\u00e9", "AA AA"]
)
def test_a_blob_that_is_none_is_told_as_key_vault_tells_it(rest: Rest, text: str) -> None:
    answer = rest("POST", "/secrets/restore", {"value": text})
    assert (answer.status, answer.code) == (400, "BadParameter")
    assert answer.message == "Backup blob contains invalid or corrupt version."


def test_a_blob_of_another_store_is_refused(rest: Rest, tmp_path: Path) -> None:
    with rest_in(tmp_path / "other") as other:
        other.set("db")
        blob = other("POST", "/secrets/db/backup").json
    answer = rest("POST", "/secrets/restore", blob)
    assert (answer.status, answer.code) == (400, "BadParameter")
    assert "another store" in answer.message
    assert rest("GET", "/secrets").json["value"] == []


def test_an_out_content_type_is_refused_since_no_secret_is_a_certificate(rest: Rest) -> None:
    rest.set("db")
    asked = "api-version=2026-04-01&outContentType=application/x-pem-file"
    answer = rest("GET", "/secrets/db", query=asked)
    assert (answer.status, answer.code) == (400, "BadParameter")
    assert "outContentType" in answer.message
    assert rest("GET", "/secrets/db", query="api-version=2026-04-01&outContentType=").status == 200


# --- what is so ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_secret_that_is_not_there_is_not_found(rest: Rest, method: str) -> None:
    answer = rest(method, "/secrets/Nil", {})
    assert (answer.status, answer.code, answer.inner) == (404, "SecretNotFound", None)
    assert answer.message == not_found("Nil")
    assert rest("POST", "/secrets/Nil/backup").message == not_found("Nil")


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_version_that_is_not_there_is_not_found(rest: Rest, method: str) -> None:
    rest.set("db")
    answer = rest(method, f"/secrets/db/{NO_VERSION}", {})
    assert (answer.status, answer.message) == (404, not_found(f"db/{NO_VERSION}"))


def test_a_deleted_secret_that_is_not_there_is_not_found(rest: Rest) -> None:
    rest.set("db")
    for method, path in (
        ("GET", "/deletedsecrets/db"),
        ("DELETE", "/deletedsecrets/db"),
        ("POST", "/deletedsecrets/db/recover"),
    ):
        answer = rest(method, path)
        assert (answer.status, answer.code) == (404, "SecretNotFound")
        assert answer.message == "Deleted Secret not found: db"


def test_a_disabled_version_is_not_given_out_in_the_very_bytes_of_key_vault(rest: Rest) -> None:
    made = rest.set("db", attributes={"enabled": False})
    version = made["id"].rpartition("/")[2]
    answers = [rest("GET", "/secrets/db"), rest("GET", f"/secrets/db/{version}")]
    rest("DELETE", "/secrets/db")
    answers.append(rest("GET", "/deletedsecrets/db"))
    for answer in answers:
        assert answer.status == 403
        assert answer.body == (
            b'{"error":{"code":"Forbidden","message":"Operation get is not allowed on a disabled '
            b'secret.","innererror":{"code":"SecretDisabled"}}}'
        )
        assert len(answer.body) == 132


def test_a_disabled_secret_is_updated_listed_backed_up_deleted_and_recovered(rest: Rest) -> None:
    rest.set("db", attributes={"enabled": False})
    asked = [
        ("PATCH", "/secrets/db", {"tags": {"a": "b"}}),
        ("GET", "/secrets/db/versions", None),
        ("POST", "/secrets/db/backup", None),
        ("DELETE", "/secrets/db", None),
        ("POST", "/deletedsecrets/db/recover", None),
    ]
    assert [rest(*one).status for one in asked] == [200] * len(asked)


def test_the_name_of_a_deleted_secret_is_neither_set_nor_restored(rest: Rest) -> None:
    rest.set("Db")
    blob = rest("POST", "/secrets/db/backup").json
    rest("DELETE", "/secrets/db")
    refused = [rest("PUT", "/secrets/db", {"value": "v"}), rest("POST", "/secrets/restore", blob)]
    for answer in refused:
        assert (answer.status, answer.code) == (409, "Conflict")
        assert answer.inner == "ObjectIsDeletedButRecoverable"
        assert answer.message == deleted("Db")


def test_a_backup_is_not_restored_over_a_secret_nor_after_its_key_was_destroyed(
    rest: Rest,
) -> None:
    rest.set("db")
    blob = rest("POST", "/secrets/db/backup").json
    answer = rest("POST", "/secrets/restore", blob)
    assert (answer.status, answer.code, answer.inner) == (409, "Conflict", None)
    rest.life.purge("db", backups=True)
    answer = rest("POST", "/secrets/restore", blob)
    assert (answer.status, answer.code, answer.inner) == (404, "SecretNotFound", "BackupErased")


# --- what is wrong with us ------------------------------------------------------------------------


def shown(error: BaseException) -> Any:
    return told(problem_of(error, CALLER_TEXT, "v", name="db").response())


def test_what_could_not_be_recorded_may_be_tried_again() -> None:
    for error in (
        errors.LogUnavailable("no space at /var/lib/muniment"),
        refusals.ErasurePending("EIO at /var/lib/muniment"),
        errors.RootKeyNotErased("EIO at /var/lib/muniment"),
    ):
        answer = shown(error)
        assert (answer.status, answer.code) == (503, "ServiceUnavailable")
        assert answer.headers["Retry-After"] == "5"
        assert "/var" not in answer.message


def test_an_unknown_outcome_is_a_failure_that_says_how_to_find_out() -> None:
    answer = shown(errors.OutcomeUnknown("EIO at /var/lib/muniment"))
    assert (answer.status, answer.code) == (500, "InternalServerError")
    assert "x-ms-client-request-id" in answer.message
    assert "Retry-After" not in answer.headers


def test_a_conflict_and_a_request_id_used_for_something_else_are_conflicts() -> None:
    assert (shown(errors.LogConflict("x")).status, shown(errors.LogConflict("x")).code) == (
        409,
        "Conflict",
    )
    assert shown(errors.RequestIdReused()).inner == "RequestIdReused"


EXPECTED_FAILURES = (
    "purge.erasure-pending",
    "provider.unavailable",
    "vault.error",
    *("policy.not-found", "store.not-found", "store.exists", "vault.exists", "vault.not-chosen"),
    *("access.not-store-administrator", "vault.deleted-not-found", "vault.purge-protected"),
    *("boundary.network-in-use", "boundary.network-not-found", "boundary.rule-not-found"),
    "evidence.period-moved",
)


def test_every_refusal_of_a_vault_that_a_request_can_meet_is_below_500() -> None:
    for error in every_error(refusals.VaultError):
        if error.__module__.startswith(("vault.", "server.")):
            failed = shown(error()).status >= 500
            assert failed is (error.code in EXPECTED_FAILURES), error.code


@pytest.mark.parametrize(
    "error",
    [
        ValueError("xyzzy"),
        KeyError("xyzzy"),
        MemoryError(),
        MunimentError("xyzzy"),
        errors.SealBroken("xyzzy"),
        errors.RootKeyWrong("xyzzy"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_other_failure_tells_nothing(error: Exception) -> None:
    answer = shown(error)
    assert (answer.status, answer.code, answer.inner) == (500, "InternalServerError", None)
    assert answer.message == "An internal error occurred."
    assert b"xyzzy" not in answer.body


def test_an_error_of_a_later_layer_is_told_as_the_one_that_it_specializes() -> None:
    class Fuller(errors.LogUnavailable):
        """Not in the table."""

        code = "log.fuller"

    assert shown(Fuller()).status == 503


DOCUMENT = Path(__file__).parents[2] / "docs" / "azure.md"


def test_the_document_tells_the_same_statuses_and_codes() -> None:
    table = DOCUMENT.read_text(encoding="utf-8").partition("\n## Errors\n")[2]
    by_code = {error.code: error for error in every_error()}
    compared = 0
    for line in table.splitlines():
        row = re.fullmatch(r"\| (\d{3}) (\w+)[^|]* \| (.*) \|", line)
        for code in re.findall(r"`([a-z.-]+)`", row[3]) if row else ():
            if code in by_code:
                assert row
                answer = shown(by_code[code]())
                assert (str(answer.status), answer.code) == (row[1], row[2]), code
                assert answer.inner is None or answer.inner in line or code == "request.id-reused"
                compared += 1
    assert compared > 20


# --- a deletion that is shown as going on -----------------------------------------------------------


def test_while_a_deletion_is_shown_as_going_on_the_answers_are_those_of_a_busy_service(
    rest: Rest,
) -> None:
    rest.lag = DeleteLag(5, SharedNumbers(b"k" * 32))
    rest.set("db")
    rest("DELETE", "/secrets/db")
    told = {
        ("GET", "/deletedsecrets/db"): (404, None, "Deleted Secret not found: db"),
        ("DELETE", "/deletedsecrets/db"): (
            *(409, "ObjectIsBeingDeleted", "Secret is currently being deleted."),
        ),
        ("POST", "/deletedsecrets/db/recover"): (
            *(409, "ObjectIsBeingDeleted", "Secret is currently being deleted."),
        ),
        ("PUT", "/secrets/db"): (
            *(409, "ObjectIsBeingDeleted"),
            "Secret db is currently being deleted and cannot be re-created; retry later.",
        ),
    }
    for (method, path), expected in told.items():
        answer = rest(method, path, {"value": "v"})
        assert (answer.status, answer.inner, answer.message) == expected
    rest.now += 6
    assert rest("GET", "/deletedsecrets/db").status == 200
    assert rest("POST", "/deletedsecrets/db/recover").status == 200
    assert rest("GET", "/secrets/db").status == 404
    rest.now += 6
    assert rest("GET", "/secrets/db").status == 200


# --- headers --------------------------------------------------------------------------------------


def test_every_answer_says_what_key_vaults_answers_say_and_not_which_server_it_is() -> None:
    asked = Request(
        "GET", "/secrets", headers=(("x-ms-client-request-id", "mine"),), peer="10.0.0.1"
    )
    headers = dict(common_headers(asked, "ours"))
    assert headers == {
        "Cache-Control": "no-cache",
        "Pragma": "no-cache",
        "Expires": "-1",
        "Strict-Transport-Security": "max-age=31536000;includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "x-ms-keyvault-region": "local",
        "x-ms-keyvault-service-version": "1.0.0",
        "Server": "Muniment",
        "x-ms-request-id": "ours",
        "x-ms-client-request-id": "mine",
        "x-ms-keyvault-network-info": "conn_type=Ipv4;addr=10.0.0.1;act_addr_fam=InterNetwork;",
    }
    six = dict(common_headers(asked._replace(peer="::1")))["x-ms-keyvault-network-info"]
    assert six == "conn_type=Ipv6;addr=::1;act_addr_fam=InterNetworkV6;"


@pytest.mark.parametrize("given", ["a\r\nSet-Cookie: x", "a\0", "\u00e9", "x" * 129, ""], ids=ascii)
def test_a_request_id_that_cannot_stand_in_a_header_is_not_echoed(given: str) -> None:
    asked = Request("GET", "/secrets", headers=(("x-ms-client-request-id", given),))
    assert "x-ms-client-request-id" not in dict(common_headers(asked))


def test_a_blob_may_be_larger_than_any_other_body() -> None:
    for place in ("/secrets/restore/", "//Storage/restore"):
        assert largest_body(Request("POST", place)) == 16 * 1024 * 1024
    for method, path in (("PUT", "/secrets/restore"), ("POST", "/secrets/db/backup")):
        assert largest_body(Request(method, path)) == 256 * 1024


def test_administrators_alone_change_settings_and_a_client_would_be_told_so(rest: Rest) -> None:
    refused = rest.life.refuses("access.not-administrator", UpdateVault(purge_protection=True), BOB)
    answer = told(problem_of(refused, CALLER_TEXT, "v").response())
    assert (answer.status, answer.inner) == (403, "AccessDenied")
