"""The token authority: unmodified clients sign in, and nobody else does."""

from __future__ import annotations

import asyncio
import base64
import datetime
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import KeySet

from server import roll
from server.authority import Authority
from server.http import Request, Response
from server.identities import client_keys
from support.sign_in import (
    EC,
    EC_PRIVATE,
    NOW,
    OTHER_RSA,
    RESOURCE,
    RSA,
    RSA_PRIVATE,
    InProcess,
    Service,
    service,
    signed,
    told,
)

SUBJECT = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PUBLIC = RSA_PRIVATE.public_key().public_bytes(*SUBJECT)
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPE = f"{RESOURCE}/.default"


def refused(response: Response, error: str, status: int = 400) -> str:
    """The description of a refusal in OAuth's form."""
    said = told(response)
    assert (response.status, said["error"]) == (status, error), said
    assert ("Cache-Control", "no-store") in response.headers
    return str(said["error_description"])


# --- clients as they are --------------------------------------------------------------------------


def transport(one: Service) -> tuple[RequestsTransport, InProcess]:
    session, adapter = requests.Session(), InProcess(one)
    session.trust_env = False
    session.mount("https://", adapter)
    return RequestsTransport(session=session, session_owner=False), adapter


def of_today(one: Service) -> Service:
    one.clock.now = time.time_ns() // 1000
    return one


def test_azure_identity_signs_in_with_a_secret(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = of_today(one).identities.add("app")
        through, adapter = transport(one)
        credential = ClientSecretCredential(
            one.tenant,
            made.application.client_id,
            made.secret,
            authority=RESOURCE,
            disable_instance_discovery=True,
            transport=through,
        )
        token = credential.get_token(SCOPE, tenant_id=one.tenant, enable_cae=True)

        assert one.who(token.token).oid == made.application.object_id
        assert one.who(token.token).method == "client secret"
        assert adapter.seen == [
            f"GET /{one.tenant}/v2.0/.well-known/openid-configuration",
            f"POST /{one.tenant}/oauth2/v2.0/token",
        ]


def test_azure_identity_is_told_that_its_secret_is_wrong(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = of_today(one).identities.add("app")
        credential = ClientSecretCredential(
            one.tenant,
            made.application.client_id,
            "wrong",
            authority=RESOURCE,
            disable_instance_discovery=True,
            transport=transport(one)[0],
        )
        with pytest.raises(ClientAuthenticationError, match="7000215"):
            credential.get_token(SCOPE)


def test_azure_identity_signs_in_with_a_certificate(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        certificate = self_signed()
        made = of_today(one).identities.add("app", keys=client_keys(certificate))
        private = RSA_PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        credential = CertificateCredential(
            one.tenant,
            made.application.client_id,
            certificate_data=private + certificate,
            authority=RESOURCE,
            disable_instance_discovery=True,
            transport=transport(one)[0],
        )
        principal = one.who(credential.get_token(SCOPE).token)
        assert principal.oid == made.application.object_id
        assert principal.method == "client assertion"


def test_azure_identity_signs_in_with_an_assertion_from_a_file(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = of_today(one).identities.add("app", keys=client_keys(PUBLIC))
        now = one.clock.now // 1_000_000
        file = tmp_path / "assertion"
        file.write_text(signed(assertion(one, exp=now + 60, nbf=now)))
        credential = WorkloadIdentityCredential(
            tenant_id=one.tenant,
            client_id=made.application.client_id,
            token_file_path=str(file),
            authority=RESOURCE,
            disable_instance_discovery=True,
            transport=transport(one)[0],
        )
        assert one.who(credential.get_token(SCOPE).token).oid == made.application.object_id


@pytest.mark.parametrize("named", [False, True])
def test_azure_identity_signs_in_as_a_managed_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    with service(tmp_path) as one:
        made = of_today(one).identities.add("app")
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{RESOURCE}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", made.secret)
        credential = ManagedIdentityCredential(
            client_id=made.application.client_id if named else None,
            transport=transport(one)[0],
        )
        principal = one.who(credential.get_token(SCOPE).token)
        assert principal.oid == made.application.object_id
        assert principal.method == "managed identity"


def test_any_verifier_finds_the_keys_by_discovery(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app")
        token = one.token(made.application.client_id, made.secret)
        before = one.identities.rotate_signing_key()
        described = told(one.ask("GET", f"/{one.tenant}/v2.0/.well-known/openid-configuration"))
        published = told(one.ask("GET", described["jwks_uri"].removeprefix(RESOURCE)))

        checked = jwt.decode(token, KeySet.import_key_set(published), algorithms=["RS256"])
        assert checked.claims["iss"] == described["issuer"]
        assert checked.claims["aud"] == RESOURCE
        assert {key["kid"] for key in published["keys"]} == {
            before.kid,
            checked.header["kid"],
        }
        assert not {"d", "p", "q", "k"} & set().union(*published["keys"])


@pytest.mark.parametrize("tenant", ["{}", "common", "organizations"])
def test_discovery_leads_to_the_tenant(tmp_path: Path, tenant: str) -> None:
    with service(tmp_path) as one:
        for version in ("", "v2.0/"):
            path = f"/{tenant.format(one.tenant)}/{version}.well-known/openid-configuration"
            described = told(one.ask("GET", path))
            assert described["token_endpoint"] == f"{RESOURCE}/{one.tenant}/oauth2/v2.0/token"


def test_instance_discovery_knows_the_service(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        said = told(one.ask("GET", "/common/discovery/instance", query="api-version=1.1"))
        place = said["tenant_discovery_endpoint"].removeprefix(RESOURCE)
        assert one.ask("GET", place).status == 200
        assert said["metadata"][0]["aliases"] == ["vault.localhost:8443"]


def test_the_azure_cli_finds_its_endpoints(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        said = told(one.ask("GET", "/metadata/endpoints", query="api-version=2022-09-01"))
        assert said["authentication"]["loginEndpoint"] == RESOURCE
        # With a slash at the end: a token for the resource manager, and not for a vault.
        assert said["authentication"]["audiences"][0] == f"{RESOURCE}/"


def test_a_legacy_client_gets_a_token_for_a_resource(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app")
        said = told(
            one.post(
                f"/{one.tenant}/oauth2/token",
                grant_type="client_credentials",
                client_id=made.application.client_id,
                client_secret=made.secret,
                resource="https://vault.azure.net",
            )
        )
        assert said["resource"] == "https://vault.azure.net"
        assert said["expires_on"] == str(int(said["not_before"]) + int(said["expires_in"]))
        assert one.who(said["access_token"]).oid == made.application.object_id


def test_a_secret_may_come_in_a_basic_header(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app")
        text = f"{made.application.client_id}:{made.secret.replace('~', '%7E')}"
        header = ("authorization", "Basic " + base64.b64encode(text.encode()).decode())
        path = f"/{one.tenant}/oauth2/v2.0/token"
        asked = {"grant_type": "client_credentials", "scope": SCOPE}
        assert one.post(path, header, **asked).status == 200
        refused(one.post(path, header, **asked, client_id="other"), "invalid_request")
        both = one.post(path, header, **asked, client_secret=made.secret)
        refused(both, "invalid_request")
        refused(one.post(path, header, header, **asked), "invalid_request")


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic YQ==", "Bearer abc", "Basic /w=="])
def test_a_malformed_basic_header_is_refused(tmp_path: Path, header: str) -> None:
    with service(tmp_path) as one:
        response = one.post(
            f"/{one.tenant}/oauth2/v2.0/token",
            ("authorization", header),
            grant_type="client_credentials",
            scope=SCOPE,
        )
        refused(response, "invalid_request")


# --- who is not let in ----------------------------------------------------------------------------


def test_unknown_wrong_and_ended_are_told_alike(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made, other = one.identities.add("app"), one.identities.add("other")
        ended = one.identities.add("ended", lifetime=1)
        one.clock.advance(seconds=2)
        client = made.application.client_id
        told_of = {
            refused(one.sign_in(*tried), "invalid_client", 401)
            for tried in (
                (client, "wrong"),
                (client, ""),
                (client, made.secret[:-1]),
                (client, made.secret + "x"),
                (client, other.secret),
                ("", made.secret),
                (made.application.object_id, made.secret),
                ("app", made.secret),
                (ended.application.client_id, ended.secret),
                ("00000000-0000-4000-8000-000000000000", "wrong"),
                (client, "x" * 10_000),
            )
        }
        assert len(told_of) == 1
        assert one.sign_in(client.upper(), made.secret).status == 200


def test_each_try_costs_one_hash_of_one_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = []

    def counted(secret: str, salt: bytes, cost: roll.Cost) -> bytes:
        costs.append(cost)
        return hashed(secret, salt, cost)

    hashed = roll.hashed
    with service(tmp_path) as one:
        made = one.identities.add("app")
        second = one.identities.rotate("app", keep=3600)
        monkeypatch.setattr(roll, "hashed", counted)
        client = made.application.client_id
        for tried in (made.secret, second.secret, "wrong", made.secret[:12], ""):
            before = len(costs)
            one.sign_in(client, tried)
            one.sign_in("nobody", tried)
            assert len(costs) == before + 2
        assert set(costs) == {roll.LIGHT}


def test_unknown_and_wrong_take_the_same_time(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app")
        client = made.application.client_id
        wrong = made.secret[:-4] + "AAAA"
        times: dict[str, list[float]] = {"wrong": [], "unknown": []}
        for _ in range(15):
            for name, tried in (("wrong", (client, wrong)), ("unknown", ("nobody", "nothing"))):
                before = time.perf_counter()
                one.sign_in(*tried)
                times[name].append(time.perf_counter() - before)
        # A hash is 20 ms and all else is below one: without a hash the ratio would be above 10.
        ratio = statistics.median(times["wrong"]) / statistics.median(times["unknown"])
        assert 1 / 3 < ratio < 3


def test_a_removed_client_gets_no_token(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app")
        one.identities.remove("app")
        refused(one.sign_in(made.application.client_id, made.secret), "invalid_client", 401)


@pytest.mark.parametrize(
    "scope",
    [
        "",
        RESOURCE,
        "/.default",
        "https://graph.microsoft.com/.default",
        "https://evil.example/.default",
        f"{SCOPE} https://vault.azure.net/.default",
        f"{RESOURCE}.evil.example/.default",
        f"{RESOURCE}//.default/.default",
    ],
)
def test_there_are_tokens_for_this_service_only(tmp_path: Path, scope: str) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app")
        response = one.sign_in(made.application.client_id, made.secret, scope=scope)
        assert response.status == 400
        assert told(response)["error"] in ("invalid_scope", "invalid_resource")


@pytest.mark.parametrize(
    "scope",
    [
        SCOPE,
        f"{RESOURCE}//.default",
        "https://vault.azure.net/.default",
        f"openid profile offline_access {SCOPE}",
        SCOPE.replace("vault", "VAULT"),
    ],
)
def test_a_token_is_good_for_the_scope_it_was_asked_for(tmp_path: Path, scope: str) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app")
        response = one.sign_in(made.application.client_id, made.secret, scope=scope)
        assert one.who(told(response)["access_token"]).name == "app"


@pytest.mark.parametrize("tenant", ["11111111-1111-4111-8111-111111111111", "contoso.com", "%2e"])
def test_another_tenant_is_not_found(tmp_path: Path, tenant: str) -> None:
    with service(tmp_path) as one:
        for path in ("v2.0/.well-known/openid-configuration", "discovery/v2.0/keys"):
            refused(one.ask("GET", f"/{tenant}/{path}"), "invalid_request")
        refused(one.post(f"/{tenant}/oauth2/v2.0/token"), "invalid_request")


@pytest.mark.parametrize(
    "grant", ["", "password", "authorization_code", "refresh_token", "CLIENT_CREDENTIALS"]
)
def test_another_grant_is_refused(tmp_path: Path, grant: str) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app")
        response = one.sign_in(made.application.client_id, made.secret, grant_type=grant)
        refused(response, "unsupported_grant_type")


# --- what is sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("", b"grant_type=client_credentials"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("application/x-www-form-urlencoded", b"a=1&a=2"),
        ("application/x-www-form-urlencoded", b"scope=%ff%fe"),
        ("application/x-www-form-urlencoded", "scope=é".encode()),
        ("application/x-www-form-urlencoded", b"a=" + b"x" * 40_000),
        ("application/x-www-form-urlencoded", b"&".join(b"f%d=1" % n for n in range(40))),
    ],
    ids=["json", "no type", "multipart", "twice", "utf-8", "not ascii", "long", "many"],
)
def test_a_form_that_could_be_read_in_two_ways_is_refused(
    tmp_path: Path, content_type: str, body: bytes
) -> None:
    with service(tmp_path) as one:
        headers = (("content-type", content_type),)
        for path in ("oauth2/v2.0/token", "oauth2/token"):
            response = one.ask("POST", f"/{one.tenant}/{path}", headers=headers, body=body)
            refused(response, "invalid_request")


def test_an_empty_form_is_refused(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        refused(one.post(f"/{one.tenant}/oauth2/v2.0/token"), "invalid_scope")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/secrets/a",
        "/{tenant}",
        "/{tenant}/oauth2/v2.0/token/",
        "/{tenant}/oauth2/v2.0/authorize",
        "//{tenant}/oauth2/v2.0/token",
        "/{tenant}/../oauth2/token",
        "/msi/token/",
        "/%6dsi/token",
        "/MSI/token",
    ],
)
def test_a_path_of_nobodys_is_not_answered(tmp_path: Path, path: str) -> None:
    with service(tmp_path) as one:
        request = Request("GET", path.format(tenant=one.tenant))
        assert asyncio.run(one.authority.answer(request, RESOURCE)) is None


def test_the_wrong_method_is_told_the_right_one(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        for method, path, right in (
            ("GET", f"/{one.tenant}/oauth2/v2.0/token", "POST"),
            ("POST", f"/{one.tenant}/discovery/keys", "GET"),
            ("DELETE", "/msi/token", "GET"),
        ):
            response = one.ask(method, path)
            assert response.status == 405
            assert ("Allow", right) in response.headers


def test_too_many_at_once_are_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.authority._WAITING", 2)
    with service(tmp_path) as one:
        made = one.identities.add("app")
        form = (("content-type", "application/x-www-form-urlencoded"),)
        body = (
            f"grant_type=client_credentials&client_id={made.application.client_id}"
            f"&client_secret={made.secret}&scope={SCOPE}"
        )
        path = f"/{one.tenant}/oauth2/v2.0/token"
        request = Request("POST", path, headers=form, body=body.encode())

        async def crowd() -> list[Response | None]:
            return await asyncio.gather(
                *(one.authority.answer(request, RESOURCE) for _ in range(6))
            )

        answers = [answer for answer in asyncio.run(crowd()) if answer is not None]
        assert sorted(answer.status for answer in answers) == [200, 200, 503, 503, 503, 503]
        assert all(("Retry-After", "1") in one.headers for one in answers if one.status == 503)
        assert one.sign_in(made.application.client_id, made.secret).status == 200


def test_the_event_loop_goes_on_while_a_secret_is_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app")
        slow = roll.HashedSecret.fits

        def slowly(kept: roll.HashedSecret, secret: str) -> bool:
            time.sleep(0.5)
            return slow(kept, secret)

        monkeypatch.setattr(roll.HashedSecret, "fits", slowly)
        turns = 0

        async def watch() -> None:
            nonlocal turns
            signing = asyncio.create_task(signs_in(one.authority, one, made.secret))
            while not signing.done():
                turns += 1
                await asyncio.sleep(0.01)

        asyncio.run(watch())
        assert turns > 10


async def signs_in(authority: Authority, one: Service, secret: str) -> None:
    headers = (("x-identity-header", secret),)
    query = f"api-version=2019-08-01&resource={RESOURCE}"
    request = Request("GET", "/msi/token", query, headers)
    answer = await authority.answer(request, RESOURCE)
    assert answer is not None
    assert answer.status == 200


# --- assertions -----------------------------------------------------------------------------------


def assertion(one: Service, **changes: Any) -> dict[str, Any]:
    client = one.identities.roll.named("app").client_id
    claims = {
        "iss": client,
        "sub": client,
        "aud": f"{RESOURCE}/{one.tenant}/oauth2/v2.0/token",
        "exp": NOW + 600,
        "nbf": NOW,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def asserted(one: Service, token: str, **fields: str) -> Response:
    asked = {
        "grant_type": "client_credentials",
        "client_assertion_type": JWT_BEARER,
        "client_assertion": token,
        "scope": SCOPE,
    }
    return one.post(f"/{one.tenant}/oauth2/v2.0/token", **asked | fields)


@pytest.mark.parametrize("key", [RSA, EC], ids=["RS256", "ES256"])
def test_a_client_signs_in_with_its_key(tmp_path: Path, key: Any) -> None:
    with service(tmp_path) as one:
        curve = EC_PRIVATE.public_key().public_bytes(*SUBJECT)
        made = one.identities.add("app", keys=client_keys(PUBLIC + curve))
        assert made.secret == ""
        said = told(asserted(one, signed(assertion(one), key)))
        assert one.who(said["access_token"]).method == "client assertion"


def test_a_client_with_a_key_has_no_secret(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app", keys=client_keys(PUBLIC))
        refused(one.sign_in(made.application.client_id, ""), "invalid_client", 401)


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "other"},
        {"sub": None},
        {"iss": "other"},
        {"aud": "https://evil.example/token"},
        {"aud": RESOURCE},
        {"exp": NOW - 301},
        {"exp": NOW + 25 * 3600},
        {"exp": None},
        {"nbf": NOW + 301},
    ],
    ids=str,
)
def test_an_assertion_that_says_something_else_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with service(tmp_path) as one:
        one.identities.add("app", keys=client_keys(PUBLIC))
        refused(asserted(one, signed(assertion(one, **changes))), "invalid_client", 401)


def test_a_forged_assertion_is_refused(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app", keys=client_keys(PUBLIC))
        other = one.identities.add("other")
        good = signed(assertion(one))
        for tried in (
            signed(assertion(one), OTHER_RSA),
            signed(assertion(one), EC),
            good[:-8] + "AAAAAAAA",
            "abc",
            "",
            "x" * 20_000,
        ):
            refused(asserted(one, tried), "invalid_client", 401)
        client = other.application.client_id
        refused(asserted(one, good, client_id=client), "invalid_client", 401)
        refused(asserted(one, good, client_assertion_type="other"), "invalid_request")
        refused(asserted(one, good, client_secret="x"), "invalid_request")
        assert asserted(one, good, client_id=made.application.client_id).status == 200


def test_an_access_token_is_no_assertion(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app")
        token = one.token(made.application.client_id, made.secret)
        refused(asserted(one, token), "invalid_client", 401)


# --- managed identity -----------------------------------------------------------------------------


def managed(one: Service, *secrets: str, query: str = "") -> Response:
    asked = query or f"api-version=2019-08-01&resource={RESOURCE}"
    headers = tuple(("x-identity-header", secret) for secret in secrets)
    return one.ask("GET", "/msi/token", query=asked, headers=headers)


def test_a_managed_identity_needs_its_header(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made, other = one.identities.add("app"), one.identities.add("other")
        wanted = f"api-version=2019-08-01&resource={RESOURCE}"
        assert managed(one, made.secret).status == 200
        for tried in ((), ("",), ("wrong",), (made.secret + "x",)):
            assert managed(one, *tried).status == 401
        for named in ("client_id", "object_id", "principal_id"):
            mine = getattr(made.application, "client_id" if named == "client_id" else "object_id")
            theirs = other.application.client_id
            assert managed(one, made.secret, query=f"{wanted}&{named}={mine}").status == 200
            assert managed(one, made.secret, query=f"{wanted}&{named}={theirs}").status == 401


@pytest.mark.parametrize(
    "query",
    [
        "resource=https://vault.localhost:8443",
        "api-version=1&resource=https://vault.localhost:8443",
        "api-version=2019-08-01",
        "api-version=2019-08-01&resource=https://graph.microsoft.com/",
        "api-version=2019-08-01&resource=%ff",
        "api-version=2019-08-01&resource=a&resource=https://vault.localhost:8443",
    ],
)
def test_a_malformed_request_for_a_managed_identity_is_refused(tmp_path: Path, query: str) -> None:
    with service(tmp_path) as one:
        secret = one.identities.add("app").secret
        response = managed(one, secret, query=query)
        assert response.status == 400
        assert told(response)["statusCode"] == 400


def test_two_identity_headers_are_refused(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        secret = one.identities.add("app").secret
        assert managed(one, secret, secret).status == 400


def self_signed() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(RSA_PRIVATE.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .sign(RSA_PRIVATE, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def test_a_signing_key_is_read_once_and_not_for_each_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def counted(der: bytes, password: None) -> Any:
        read.append(der)
        return load_der_private_key(der, password)

    monkeypatch.setattr("server.signatures.load_der_private_key", counted)
    with service(tmp_path) as one:
        made = one.identities.add("app")
        tokens = [one.token(made.application.client_id, made.secret) for _ in range(3)]
        assert len(set(tokens)) == 3
        assert len(read) == 1
