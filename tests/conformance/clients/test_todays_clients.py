"""Programs that use Key Vault's clients of today, unchanged, see what Key Vault shows them.

Three clients do the same: azure-keyvault-secrets, its asynchronous form, and @azure/keyvault-secrets
on Node.  A program is told what `muniment env azure` prints, and the vault's address.
"""

import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from support.served import CLIENTS, PROGRAMS, Program, Served, missing, seen

ALL_RECOVERY = ["Recoverable+Purgeable", 90]
HELD = {"notBefore": 1_893_553_445, "expires": 2_114_478_245}
MANY = [f"s{number:03}" for number in range(300)]
NAMES = ("sync", "aio", "node")


def program(name: str, served: Served) -> Program:
    if name != "node":
        return Program(served, sys.executable, "-W", "error", PROGRAMS / f"secrets_{name}.py")
    modules = CLIENTS / "node_modules"
    if not modules.is_dir():
        missing("the Node client is not installed: make clients")
    script = PROGRAMS / "node" / "secrets.cjs"
    return Program(served, CLIENTS / "bin" / "node", script, NODE_PATH=str(modules))


@pytest.fixture(params=NAMES)
def client(request: pytest.FixtureRequest, served: Served) -> Program:
    return program(request.param, served)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return re.sub("[^a-z]+", "-", request.node.name.lower()).strip("-")[:100]


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that takes its time over a delete, as Key Vault does."""
    with Served(tmp_path_factory.mktemp("slow"), "--simulate-delete-lag", "3") as served:
        yield served


def error(client: str, status: int, code: str, inner: str | None = None) -> list[Any]:
    """What a program sees of an error: its client has classes, or has one for all."""
    kinds = {401: "ClientAuthenticationError", 404: "ResourceNotFoundError"}
    kind = "ResourceExistsError" if status == 409 else kinds.get(status, "HttpResponseError")
    return ["RestError" if client == "node" else kind, status, code, inner]


def of(request: pytest.FixtureRequest) -> str:
    """Which of the three clients a test has."""
    return str(request.node.callspec.params["client"])


# --- the life of a secret -------------------------------------------------------------------------


def test_a_secret_lives_from_its_first_version_to_its_purge(
    client: Program, name: str, served: Served, request: pytest.FixtureRequest
) -> None:
    saw = client.tell("life", name=name)

    first, second = saw["set"]["version"], saw["second"]["version"]
    bare = {"name": name, "enabled": True, "recovery": ALL_RECOVERY, "dated": True}
    plain = {**bare, "contentType": None, "tags": None, "notBefore": None, "expires": None}
    dressed = {**bare, **HELD, "version": first}
    kept = {"contentType": "text/plain", "tags": {"team": "a", "Owner": "\u00fc"}}
    changed = {**dressed, "contentType": "application/json", "tags": None}
    gone = error(of(request), 404, "SecretNotFound")
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert saw["set"] == saw["by version"] == {"value": "first \u2603", **dressed, **kept}
    assert saw["second"] == saw["latest"] == {"value": "", **plain, "version": second}
    assert saw["updated"] == changed
    assert sorted(saw["versions"], key=lambda one: one["version"] == second) == [
        changed,
        {**plain, "version": second},
    ]
    assert saw["listed"] == [{**plain, "version": None}]
    assert saw["deleted"] == [name, f"{served.vault()}/deletedsecrets/{name}", 90]
    assert (saw["deleted shown"], saw["deleted listed"]) == (name, [name])
    assert saw["gone"] == saw["purged"] == gone
    assert saw["recovered"] == name
    assert saw["again"] == {**changed, "value": "first \u2603"}
    assert saw["anew"]["value"] == "new"
    done = {(one["operation"], one["outcome"]) for one in served.history(name)}
    assert done >= {
        ("secret.set", "ok"),
        ("secret.read", "ok"),
        ("secret.read", "secret.not-found"),
        ("secret.purged", "ok"),
    }


def test_a_disabled_secret_is_kept_back_and_one_that_expired_is_not(
    client: Program, name: str, request: pytest.FixtureRequest
) -> None:
    disabled = error(of(request), 403, "Forbidden", "SecretDisabled")
    assert client.tell("states", name=name) == {
        "expired": "old",
        "latest": disabled,
        "version": disabled,
        "older": "first",
        "listed": [False],
        "deleted": disabled,
        "enabled": "last",
    }


def test_a_backup_is_restored_into_another_vault_and_after_a_purge(
    client: Program, name: str, request: pytest.FixtureRequest
) -> None:
    saw = client.tell("backup", name=name)

    assert (saw["restored"], saw["after purge"], saw["same version"]) == (name, name, True)
    assert saw["versions"] == ["first", "second"]
    assert (saw["value"]["value"], saw["value"]["tags"]) == ("second", {"of": "second"})
    assert saw["conflict"] == error(of(request), 409, "Conflict")
    assert saw["deleted"] == error(of(request), 409, "Conflict", "ObjectIsDeletedButRecoverable")


def test_pagers_give_all_of_300_secrets_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with Served(tmp_path_factory.mktemp("many")) as served:
        served.bring_in(MANY)
        program("sync", served).tell("fill")
        began = [program(name, served).begin("pages") for name in NAMES]
        for process in began:
            saw = seen(process)
            assert saw["names"] == ["many", *MANY]
            assert saw["pages"] == [25] * 12 + [1]
            assert saw["of ten"] == [10] * 30 + [1]
            assert saw["versions"] == 60
            assert saw["deleted"] == [f"gone{number:02}" for number in range(30)]


def test_pollers_wait_for_a_service_that_takes_its_time(slow: Served, name: str) -> None:
    began = {
        client: program(client, slow).begin("pollers", name=f"{name}-{client}") for client in NAMES
    }
    for client, process in began.items():
        assert seen(process) == {
            "under way": True,
            "busy": error(client, 409, "Conflict", "ObjectIsBeingDeleted"),
            "not yet": error(client, 404, "SecretNotFound"),
            "deleted": f"{name}-{client}",
            "recovering": [True, error(client, 404, "SecretNotFound")],
            "recovered": "v",
        }


def test_the_oldest_protocol_of_the_client_works_too(client: Program, name: str) -> None:
    saw = client.tell("sign_in", name=name, options={"api_version": "7.0", "serviceVersion": "7.0"})
    assert saw["value"] == "v"
    # Key Vault told it only from 7.1 on.
    assert saw["recovery"] == ["Recoverable+Purgeable", None]


# --- refusals -------------------------------------------------------------------------------------


def test_refusals_are_the_errors_that_programs_catch(
    client: Program, name: str, request: pytest.FixtureRequest
) -> None:
    missing = error(of(request), 404, "SecretNotFound")
    bad = error(of(request), 400, "BadParameter")
    assert client.tell("refusals", name=name) == {
        "exists": error(of(request), 409, "Conflict"),
        "no backup": bad,
        "missing": missing,
        "missing version": missing,
        "no update": missing,
        "no delete": missing,
        "not deleted": missing,
        "no purge": missing,
        "no recovery": missing,
        "name": bad,
        "too long": bad,
        "tags": bad,
        "no versions": [],
        "longest": 25_600,
        "deleted": error(of(request), 409, "Conflict", "ObjectIsDeletedButRecoverable"),
    }


def test_who_may_only_read_in_one_vault_is_refused_the_rest(
    client: Program, name: str, served: Served, request: pytest.FixtureRequest
) -> None:
    served.bring_in([name], "seen")
    denied = error(of(request), 403, "Forbidden", "AccessDenied")
    assert client.tell("turned_away", name=name, client=served.reader) == {
        "get": "seen",
        "set": denied,
        "delete": denied,
        "backup": denied,
        "elsewhere": denied,
    }


def test_who_is_not_known_is_turned_away(
    client: Program, served: Served, request: pytest.FixtureRequest
) -> None:
    noise = client.tell("attempt", credential="Fixed", token="a.b.c")
    wrong = client.tell("attempt", environ={"AZURE_CLIENT_SECRET": served.reader["clientSecret"]})

    assert noise == error(of(request), 401, "Unauthorized")
    assert wrong[0] == (
        "AuthenticationRequiredError" if of(request) == "node" else "ClientAuthenticationError"
    )


def test_a_protocol_of_the_future_is_refused(
    client: Program, request: pytest.FixtureRequest
) -> None:
    options = {"api_version": "2099-01-01", "serviceVersion": "2099-01-01"}
    assert client.tell("attempt", options=options) == error(of(request), 400, "BadParameter")


# --- signing in -----------------------------------------------------------------------------------


@pytest.mark.parametrize("credential", ["ManagedIdentityCredential", "DefaultAzureCredential"])
def test_a_program_signs_in_with_nothing_but_its_environment(
    client: Program, name: str, credential: str, served: Served
) -> None:
    assert client.tell("sign_in", name=name, credential=credential)["value"] == "v"
    done = served.history(name)[0]
    assert done["principal"] == served.all["objectId"]


def test_a_program_signs_in_with_its_certificate(
    client: Program, name: str, served: Served
) -> None:
    saw = client.tell(
        "sign_in",
        name=name,
        client=served.holder,
        credential="ClientCertificateCredential",
        environ={"AZURE_CLIENT_CERTIFICATE_PATH": str(served.holder_key)},
    )
    assert saw["value"] == "v"


def test_a_workload_signs_in_with_a_token_that_its_key_signed(
    client: Program, name: str, served: Served
) -> None:
    me = served.holder["clientId"]
    audience = f"{served.base}/{served.holder['tenantId']}/oauth2/v2.0/token"
    claims = {"iss": me, "sub": me, "aud": audience, "exp": int(time.time()) + 600}
    signer = RSAKey.import_key(served.holder_key.read_bytes())
    file = served.terminal.directory / f"{name}.jwt"
    file.write_text(jwt.encode({"alg": "RS256"}, claims, signer))

    saw = client.tell(
        "sign_in",
        name=name,
        client=served.holder,
        credential="WorkloadIdentityCredential",
        environ={"AZURE_FEDERATED_TOKEN_FILE": str(file)},
    )
    assert saw["value"] == "v"
