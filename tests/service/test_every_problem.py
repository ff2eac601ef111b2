"""Every row of the table of errors, met by a client at a socket, or named here with why it cannot be."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from eventstore import errors
from eventstore.errors import MunimentError
from server.limits import SETS_IN_TEN_SECONDS
from server.problems import ROWS
from server.refusals import BeingDeleted
from support.edge import OUTSIDE_TENANT, OUTSIDER, VERSION, Answer, Edge
from support.hooks import hooks_file
from support.services import closed_after
from support.sign_in import OUTSIDE
from support.vaults import ALICE
from vault import refusals
from vault.commands import BackupSecret, DeleteSecret, PurgeDeletedSecret, SetSecret
from vault.rule_commands import DeleteVault, RecoverVault
from vault.store import Store, system_clock

Ask = Callable[[Edge], Answer]
PAGE = 4096
VALUE = "a value that no answer repeats"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    edge = Edge(tmp_path_factory.mktemp("edge"))
    with edge.opened() as vault:
        for name in ("db", "off", "erased", "mine", "gone"):
            vault.handle(ALICE, SetSecret(name=name, value=VALUE, enabled=name != "off"))
        edge.blobs = {
            name: base64.urlsafe_b64encode(vault.handle(ALICE, BackupSecret(name=name)).blob)
            .rstrip(b"=")
            .decode()
            for name in ("db", "erased")
        }
        for name in ("erased", "gone", "mine"):
            vault.handle(ALICE, DeleteSecret(name=name))
        vault.handle(ALICE, PurgeDeletedSecret(name="erased", backups=True))
    with edge.opened("two") as vault:
        vault.handle(ALICE, SetSecret(name="kept", value=VALUE))
        vault.handle(ALICE, DeleteSecret(name="kept"))
    providers = hooks_file(edge.directory, well="", floods="floods", fails="fails to regenerate")
    with edge.served(providers=str(providers)):
        for name, place in (("shop", "well"), ("busy", "fails"), ("left", "well")):
            assert account(edge, name, f"/{place}/shop").status == 200
        for name in ("all", "left"):
            assert definition(edge, name).status == 200
        edge.ask("DELETE", "/storage/shop/sas/left", query=STORAGE)
        edge.blobs["shop"] = edge.ask("POST", "/storage/shop/backup", query=STORAGE).json["value"]
        edge.ask("DELETE", "/storage/left", query=STORAGE)
        yield edge
    edge.check()


STORAGE = "api-version=7.3"


def account(edge: Edge, name: str, resource: str) -> Answer:
    body = {"resourceId": resource, "activeKeyName": "key1", "autoRegenerateKey": False}
    return edge.ask("PUT", f"/storage/{name}", body, query=STORAGE)


def definition(edge: Edge, name: str, account: str = "shop") -> Answer:
    template = "sv=2018-03-28&ss=b&srt=sco&sp=rl"
    body = {"templateUri": template, "sasType": "account", "validityPeriod": "PT4H"}
    return edge.ask("PUT", f"/storage/{account}/sas/{name}", body, query=STORAGE)


def stored(method: str, path: str, body: object = None) -> Ask:
    return lambda edge: edge.ask(method, path, body, query=STORAGE)


def regenerate(name: str, key: str) -> Ask:
    return stored("POST", f"/storage/{name}/regeneratekey", {"keyName": key})


def busy(edge: Edge) -> Answer:
    """A regeneration of which nobody knows what it did, and another one behind it."""
    first = regenerate("busy", "key1")(edge)
    assert first.error == (503, "ServiceUnavailable", "StorageProvider")
    return regenerate("busy", "key1")(edge)


def denied(edge: Edge) -> Answer:
    return edge.ask("GET", "/secrets/db", token=edge.token("nobody"))


def of_a_deleted_vault(edge: Edge) -> Answer:
    """Deleted, and recovered, by another process than the service's."""
    assert edge.ask("GET", "/secrets/db", vault="two").error[1] == "SecretNotFound"
    with edge.opened("two") as vault:
        vault.handle(ALICE, DeleteVault())
    answer = edge.ask("GET", "/secrets/db", vault="two")
    with Store.open(edge.home, clock=system_clock) as store:
        store.deleted_vault("two").handle(ALICE, RecoverVault())
    assert edge.ask("GET", "/secrets/db", vault="two").error[1] == "SecretNotFound"
    return answer


def fractional(edge: Edge) -> Answer:
    body = {"value": "x", "attributes": {"exp": -1}}
    return edge.ask("PUT", "/secrets/x", body)


def damaged(edge: Edge) -> Answer:
    """A record that somebody altered on the disk."""
    edge.set("large", "x" * 25_000)
    with altered_large_record(edge):
        return edge.ask("GET", "/secrets/large")


@contextmanager
def altered_large_record(edge: Edge) -> Iterator[None]:
    with edge.opened() as vault:
        file = vault.changes.path / "data.mdb"
    data = file.read_bytes()
    # LMDB keeps what is larger than half a page in pages of its own: flag 0x04 in their head.
    pages = [at for at in range(0, len(data), PAGE) if data[at + 10 : at + 12] == b"\x04\x00"]
    places = [
        at + 3 * PAGE for at in pages if int.from_bytes(data[at + 12 : at + 16], "little") > 5
    ]
    assert places
    fd = os.open(file, os.O_RDWR)
    try:
        for at in places:
            os.pwrite(fd, bytes([data[at] ^ 1]), at)
        yield
    finally:
        for at in places:
            os.pwrite(fd, data[at : at + 1], at)
        os.close(fd)


def unerasable(edge: Edge) -> Answer:
    """The root key cannot be replaced for a while."""
    key, away = edge.home.with_name("home.key"), edge.home.with_name("away")
    assert key.exists()
    key.rename(away)
    try:
        return edge.ask("DELETE", "/deletedsecrets/gone")
    finally:
        away.rename(key)


def outside(edge: Edge) -> Answer:
    return bounded(edge, default_action="Deny")


def without_public_access(edge: Edge) -> Answer:
    return bounded(edge, public_network_access=False)


def bounded(edge: Edge, **boundary: Any) -> Answer:
    edge.set_boundary(**boundary)
    try:
        return edge.ask("GET", "/secrets/db")
    finally:
        edge.set_boundary()


BLOB = "/secrets/restore"

MET: dict[type[MunimentError], tuple[Ask, tuple[int, str, str], str]] = {
    refusals.AccessDenied: (
        denied,
        (403, "Forbidden", "AccessDenied"),
        "does not have secrets get permission on key vault 'one;location=local'",
    ),
    refusals.OutsideBoundary: (
        outside,
        (403, "Forbidden", "ForbiddenByFirewall"),
        "Client address is not authorized and caller is not a trusted service.\r\n"
        "Client address: 127.0.0.1 from unknown subnet\r\nCaller: appid=",
    ),
    refusals.PublicAccessDisabled: (
        without_public_access,
        (403, "Forbidden", "ForbiddenByConnection"),
        "Public network access is disabled and request is not from a trusted service nor via an "
        "approved private link.\r\nCaller: appid=",
    ),
    refusals.BadParameter: (
        lambda edge: edge.ask("GET", "/secrets", query=f"{VERSION}&maxresults=26"),
        (400, "BadParameter", ""),
        "invalid maxresults",
    ),
    refusals.NameInvalid: (
        lambda edge: edge.ask("GET", "/secrets/my_name"),
        (400, "BadParameter", ""),
        "The request URI contains an invalid name: my_name",
    ),
    refusals.VersionInvalid: (
        lambda edge: edge.ask("GET", "/secrets/db/latest"),
        (400, "BadParameter", ""),
        "The request URI contains an invalid version: latest",
    ),
    refusals.AttributesInvalid: (
        fractional,
        (400, "BadRequest", ""),
        "Property has invalid value\r\n",
    ),
    refusals.BackupInvalid: (
        lambda edge: edge.ask("POST", BLOB, {"value": "A" * 4728}),
        (400, "BadParameter", ""),
        "Backup blob contains invalid or corrupt version.",
    ),
    refusals.SecretNotFound: (
        lambda edge: edge.ask("GET", "/secrets/none"),
        (404, "SecretNotFound", ""),
        "A secret with (name/id) none was not found in this key vault.",
    ),
    refusals.BackupErased: (
        lambda edge: edge.ask("POST", BLOB, {"value": edge.blobs["erased"]}),
        (404, "SecretNotFound", "BackupErased"),
        "",
    ),
    refusals.DeletedSecretNotFound: (
        lambda edge: edge.ask("GET", "/deletedsecrets/db"),
        (404, "SecretNotFound", ""),
        "Deleted Secret not found: db",
    ),
    refusals.SecretIsDisabled: (
        lambda edge: edge.ask("GET", "/secrets/off"),
        (403, "Forbidden", "SecretDisabled"),
        "Operation get is not allowed on a disabled secret.",
    ),
    refusals.SecretIsDeleted: (
        lambda edge: edge.ask("PUT", "/secrets/mine", {"value": "x"}),
        (409, "Conflict", "ObjectIsDeletedButRecoverable"),
        "Secret mine is currently in a deleted but recoverable state",
    ),
    refusals.SecretExists: (
        lambda edge: edge.ask("POST", BLOB, {"value": edge.blobs["db"]}),
        (409, "Conflict", ""),
        "",
    ),
    refusals.PurgeIsProtected: (
        lambda edge: edge.ask("DELETE", "/deletedsecrets/kept", vault="two"),
        (403, "Forbidden", "ForbiddenByPolicy"),
        'Operation "purge" is not allowed because purge protection is enabled for this vault.',
    ),
    refusals.VaultNotFound: (
        lambda edge: edge.ask("GET", "/secrets/db", vault="three"),
        (404, "VaultNotFound", ""),
        "",
    ),
    refusals.VaultIsDeleted: (
        of_a_deleted_vault,
        (404, "VaultNotFound", ""),
        "The vault two was not found.",
    ),
    refusals.ErasurePending: (
        unerasable,
        (503, "ServiceUnavailable", ""),
        "The service is temporarily unavailable.",
    ),
    refusals.StorageAccountNotFound: (
        stored("GET", "/storage/none"),
        (404, "StorageAccountNotFound", ""),
        "none",
    ),
    refusals.DeletedStorageAccountNotFound: (
        stored("GET", "/deletedstorage/shop"),
        (404, "StorageAccountNotFound", ""),
        "shop",
    ),
    refusals.StorageKeyNotFound: (
        regenerate("shop", "key3"),
        (404, "StorageAccountKeyNotFound", ""),
        "key3",
    ),
    refusals.StorageIsDeleted: (
        lambda edge: account(edge, "left", "/well/shop"),
        (409, "Conflict", "ObjectIsDeletedButRecoverable"),
        "left",
    ),
    refusals.StorageExists: (
        lambda edge: stored("POST", "/storage/restore", {"value": edge.blobs["shop"]})(edge),
        (409, "Conflict", ""),
        "",
    ),
    refusals.StorageBusy: (busy, (409, "Conflict", "StorageAccountBusy"), "busy"),
    refusals.SasDefinitionNotFound: (
        stored("GET", "/storage/shop/sas/none"),
        (404, "SasDefinitionNotFound", ""),
        "none",
    ),
    refusals.DeletedSasDefinitionNotFound: (
        stored("GET", "/deletedstorage/shop/sas/all"),
        (404, "SasDefinitionNotFound", ""),
        "all",
    ),
    refusals.SasIsDeleted: (
        lambda edge: definition(edge, "left"),
        (409, "Conflict", "ObjectIsDeletedButRecoverable"),
        "left",
    ),
    refusals.SecretIsManaged: (
        lambda edge: edge.ask("PUT", "/secrets/shop-all", {"value": VALUE}),
        (403, "Forbidden", "SecretIsManaged"),
        "",
    ),
    refusals.ProviderMissing: (
        lambda edge: account(edge, "far", "/elsewhere/shop"),
        (409, "Conflict", "StorageProviderMissing"),
        "no provider is declared for",
    ),
    refusals.ProviderRefused: (
        lambda edge: account(edge, "far", "/well/nobody"),
        (409, "Conflict", "StorageProviderRefused"),
        "the program refuses: no-such-account",
    ),
    refusals.ProviderUnavailable: (
        lambda edge: account(edge, "far", "/floods/shop"),
        (503, "ServiceUnavailable", "StorageProvider"),
        "said more than 65,536 bytes",
    ),
    MunimentError: (
        damaged,
        (500, "InternalServerError", ""),
        "An internal error occurred.",
    ),
}

NOT_MET_HERE: dict[type[MunimentError], str] = {
    BeingDeleted: "only with --simulate-delete-lag: see below",
    errors.LogUnavailable: "a full disk: see tests/crash/test_service_killed.py",
    refusals.NotAdministrator: "no operation of Key Vault's data plane is an administrator's",
    refusals.SecretErased: "a purge between finding a version and reading it, in one snapshot",
    errors.KeyErased: "the same",
    errors.LogConflict: "no request names the position that it expects",
    errors.RequestIdReused: "an id used for something else is taken for a new request",
    errors.RootKeyNotErased: "one system call that fails: see tests/crash/test_crashes.py",
    errors.OutcomeUnknown: "one sync that fails: see tests/crash/test_crashes.py",
}


def test_every_row_is_met_or_cannot_be() -> None:
    assert MET.keys() | NOT_MET_HERE.keys() == ROWS.keys()
    assert not MET.keys() & NOT_MET_HERE.keys()


@pytest.mark.parametrize("row", MET, ids=lambda row: row.__name__)
def test_a_row_of_the_table_is_what_a_client_sees(edge: Edge, row: type[MunimentError]) -> None:
    ask, error, message = MET[row]
    answer = ask(edge)
    assert answer.error == error
    assert message in answer.message
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-ms-request-id"]
    assert VALUE not in answer.body.decode()
    assert answer.error[0] != 503 or int(answer.headers["retry-after"]) >= 1


def test_a_purge_that_was_left_by_half_is_ended_by_the_next_request(edge: Edge) -> None:
    edge.set("half")
    edge.ask("DELETE", "/secrets/half")
    key, away = edge.home.with_name("home.key"), edge.home.with_name("away")
    key.rename(away)
    assert edge.ask("DELETE", "/deletedsecrets/half").status == 503
    away.rename(key)
    assert edge.ask("GET", "/secrets/db").status == 200
    assert edge.ask("GET", "/deletedsecrets/half").status == 404


def test_a_request_id_that_is_used_for_something_else_is_a_new_request(edge: Edge) -> None:
    headers = {"x-ms-client-request-id": "one-for-all"}
    versions = {
        edge.ask("PUT", "/secrets/ids", {"value": value}, headers=headers).json["id"]
        for value in ("a", "a", "b")
    }
    assert len(versions) == 2
    edge.set("others", token=edge.outside(sub=OUTSIDER), headers=headers)
    assert len(edge.ask("GET", "/secrets/ids/versions").json["value"]) == 2


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda edge: edge.ask("GET", "/secrets/db", token=None), (401, "Unauthorized", "")),
        (
            lambda edge: edge.ask("GET", "/secrets/db", headers={"Host": "a.example"}),
            (400, "BadRequest", ""),
        ),
        (lambda edge: edge.ask("GET", "/nothing"), (404, "NotFound", "")),
        (lambda edge: edge.ask("GET", "/nothing", vault="", token=None), (404, "NotFound", "")),
        (lambda edge: edge.ask("DELETE", "/secrets"), (405, "MethodNotAllowed", "")),
        (
            # The last byte is never sent, so that nothing unread is left to reset the connection.
            lambda edge: edge.ask(
                "PUT", "/secrets/x", b"x" * 262_145, headers={"Content-Length": "262146"}
            ),
            (413, "RequestEntityTooLarge", ""),
        ),
        (lambda edge: edge.ask("GET", "/secrets/db", query=""), (400, "BadParameter", "")),
        (
            lambda edge: edge.ask("GET", "/secrets/db", query="api-version=1999-01-01"),
            (400, "BadParameter", ""),
        ),
    ],
    ids=["401", "host", "path", "authority", "405", "413", "no version", "old version"],
)
def test_what_fails_before_a_vault_is_asked_is_told_in_the_same_form(
    edge: Edge, ask: Ask, error: tuple[int, str, str]
) -> None:
    try:
        answer = ask(edge)
    finally:
        edge.hang_up()
    assert answer.error == error
    assert ("allow" in answer.headers) == (answer.status == 405)


WORDS: dict[str, tuple[Ask, int, str]] = {
    "no token": (
        lambda edge: edge.ask("GET", "/secrets/db", token=None),
        401,
        "AKV10000: Request is missing a Bearer or PoP token.",
    ),
    "audience": (
        lambda edge: edge.ask(
            "GET", "/secrets/db", token=edge.outside(aud="https://management.azure.com/")
        ),
        401,
        "AKV10022: Invalid audience. Expected {base}, found: https://management.azure.com/.",
    ),
    "issuer": (
        lambda edge: edge.ask("GET", "/secrets/db", token=edge.outside(iss="https://a.example")),
        401,
        "AKV10032: Invalid issuer. Expected one of {base}/{tenant}/v2.0, {outside}, "
        "found https://a.example.",
    ),
    "tenant": (
        lambda edge: edge.ask("GET", "/secrets/db", token=edge.outside(tid="another")),
        401,
        "AKV10032: Invalid issuer. Expected tenant {outside_tenant}, found another.",
    ),
    "expired": (
        lambda edge: edge.ask("GET", "/secrets/db", token=edge.outside(exp=int(time.time()) - 301)),
        401,
        "[TokenExpired] Error validating token: 'S2S12086'.",
    ),
    "unreadable": (
        lambda edge: edge.ask("GET", "/secrets/db", token="a.b.c"),
        401,
        "[BearerReadAccessTokenFailed] Error validating token: the token is malformed.",
    ),
    "no version": (
        lambda edge: edge.ask("GET", "/secrets/db", query=""),
        400,
        "api-version must be specified",
    ),
    "unknown version": (
        lambda edge: edge.ask("GET", "/secrets/db", query="api-version=8.0"),
        400,
        "The specified version (8.0) is not recognized. Consider using the latest supported "
        "version (2026-04-01).",
    ),
    "a version that is not there": (
        lambda edge: edge.ask("GET", f"/secrets/db/{'0' * 32}"),
        404,
        f"A secret with (name/id) db/{'0' * 32} was not found in this key vault. If you recently "
        "deleted this secret you may be able to recover it using the correct recovery command. For "
        "help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182",
    ),
}


@pytest.mark.parametrize(("ask", "status", "words"), WORDS.values(), ids=WORDS)
def test_a_refusal_is_told_in_key_vaults_very_words(
    edge: Edge, ask: Ask, status: int, words: str
) -> None:
    answer = ask(edge)
    known = {"tenant": edge.roll.tenant, "outside": OUTSIDE, "outside_tenant": OUTSIDE_TENANT}
    assert (answer.status, answer.message) == (status, words.format(base=edge.base, **known))


def test_a_deletion_that_is_shown_as_going_on_answers_409_and_ends(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    with edge.served(simulate_delete_lag=1, body_seconds=1):
        edge.set("db")
        edge.ask("DELETE", "/secrets/db")
        being_deleted = (409, "Conflict", "ObjectIsBeingDeleted")
        assert edge.ask("GET", "/deletedsecrets/db").error == (404, "SecretNotFound", "")
        assert edge.ask("DELETE", "/deletedsecrets/db").error == being_deleted
        assert edge.ask("POST", "/deletedsecrets/db/recover").error == being_deleted
        assert edge.ask("PUT", "/secrets/db", {"value": "x"}).error == being_deleted
        time.sleep(1.1)
        assert edge.ask("GET", "/deletedsecrets/db").status == 200
        with edge.service.raw() as connection:
            head = edge.head("PUT", "/secrets/x?api-version=7.4", "Content-Length: 9")
            connection.sendall(head + b"\r\n{")
            heard, _ = closed_after(connection)
        assert heard.startswith(b"HTTP/1.1 408")
        assert b"RequestTimeout" in heard
    edge.check()


def test_a_deletion_goes_on_whichever_worker_is_asked(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    with edge.served(simulate_delete_lag=600, workers=3):
        edge.set("db")
        edge.ask("DELETE", "/secrets/db")
        for _ in range(30):
            edge.hang_up()  # the next connection may come to another worker
            assert edge.ask("GET", "/deletedsecrets/db").error == (404, "SecretNotFound", "")
        assert len({one["worker"] for one in edge.service.seen("request")}) > 1
    edge.check()


def test_key_vaults_limits_are_the_vaults_and_not_a_workers(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    with edge.served(throttle=True, workers=3):
        began = time.monotonic()
        statuses: list[int] = []
        while statuses.count(429) < 30:
            if len(statuses) % 10 == 0:
                edge.hang_up()
            statuses.append(edge.ask("PUT", "/secrets/db", {"value": "x"}).status)
        seconds = time.monotonic() - began
        edge.hang_up()
        assert len({one["worker"] for one in edge.service.seen("request")}) > 1
    rate = SETS_IN_TEN_SECONDS / 10
    assert SETS_IN_TEN_SECONDS <= statuses.count(200) <= SETS_IN_TEN_SECONDS + rate * seconds + 1
    edge.check()


def test_no_answer_names_the_program_that_serves(edge: Edge) -> None:
    for path, vault in (("/secrets/db", "one"), ("/nothing", "one"), ("/healthz", ""), ("/x", "")):
        answer = edge.ask("GET", path, token=None, vault=vault)
        assert answer.headers["server"] == "Muniment"


def test_beyond_key_vaults_limits_the_answer_is_429_if_they_are_on(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    with edge.served(throttle=True):
        answers = edge.ask_until(lambda: edge.ask("PUT", "/secrets/db", {"value": "x"}), 429)
        refused = [answer for answer in answers if answer.status != 200]
        assert refused
        assert {answer.error for answer in refused} == {(429, "Throttled", "")}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert "VaultRequestTypeLimitReached" in refused[0].message
    written = [one for one in edge.changes() if one.event.__struct_config__.tag == "secret.set"]
    assert len(written) == len(answers) - len(refused)
    edge.check()
