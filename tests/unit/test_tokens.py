"""Who holds a token: what is believed, and every way in which a token is not."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws

from eventstore.errors import LogUnavailable
from server.http import Request
from server.roll import Issuer
from server.signatures import Refused, verify
from server.tokens import KeysAwaited, Unauthenticated, issue
from support.sign_in import (
    EC,
    NOW,
    OTHER_RSA,
    OUTSIDE,
    RESOURCE,
    RSA,
    RSA_PRIVATE,
    Service,
    bearing,
    key_set,
    outside_claims,
    service,
    signed,
)

KEYS_AT = "https://issuer.example/keys"


def trusting(one: Service, **options: Any) -> None:
    one.identities.trust(Issuer(issuer=OUTSIDE, **{"jwks": key_set(RSA, EC), **options}))


def refusal(one: Service, token: str, resource: str = RESOURCE) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        one.who(token, resource)
    return caught.value


def own(one: Service, name: str = "app", **changes: Any) -> str:
    """A token of the service's own authority."""
    roll = one.identities.roll
    asked: dict[str, Any] = {
        "authority": RESOURCE,
        "audience": RESOURCE,
        "now": NOW,
        "method": "test",
    }
    return issue(roll, roll.named(name), **asked | changes).token


# --- believed -------------------------------------------------------------------------------------


def test_a_token_of_the_own_authority_says_who_holds_it(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        client = one.identities.add("app").application
        principal = one.who(own(one))

        assert principal.oid == client.object_id
        assert principal.appid == client.client_id
        assert principal.tenant == one.tenant
        assert principal.name == "app"
        assert principal.method == "test"
        assert principal.caller_text == (
            f"appid={client.client_id};oid={client.object_id};iss={RESOURCE}/{one.tenant}/v2.0"
        )


@pytest.mark.parametrize("key", [RSA, EC], ids=["RS256", "ES256"])
def test_a_token_of_a_trusted_issuer_says_who_holds_it(tmp_path: Path, key: Any) -> None:
    with service(tmp_path) as one:
        trusting(one)
        claims = outside_claims(oid="object", azp="client", tid="t", preferred_username="Ada")
        principal = one.who(signed(claims, key))
        assert principal[:5] == ("object", "client", "t", OUTSIDE, "Ada")


def test_without_an_object_id_the_subject_counts(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        assert one.who(signed(outside_claims())).oid == "user-1"


@pytest.mark.parametrize(
    ("audience", "resource"),
    [
        (RESOURCE, RESOURCE),
        (RESOURCE + "/", RESOURCE),
        (RESOURCE, RESOURCE + "/"),
        ("https://vault.azure.net", RESOURCE),
        ("https://vault.azure.net/", RESOURCE),
        ("https://kv.example", "https://kv.example:443"),
        ("https://kv.example:443/", "https://kv.example"),
        (["https://other.example", RESOURCE], RESOURCE),
    ],
    ids=str,
)
def test_the_audience_is_the_service_or_key_vault(
    tmp_path: Path, audience: Any, resource: str
) -> None:
    with service(tmp_path) as one:
        trusting(one)
        assert one.who(signed(outside_claims(aud=audience)), resource).oid == "user-1"


def test_clocks_may_differ_by_five_minutes(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        assert one.who(signed(outside_claims(exp=NOW - 299)))
        assert one.who(signed(outside_claims(nbf=NOW + 299)))
        assert one.who(signed(outside_claims(nbf=None)))


def test_the_scheme_is_read_in_any_case(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        one.identities.add("app")
        headers = (("authorization", f"bEaReR  {own(one)} "),)
        request = Request("GET", "/", headers=headers)
        assert one.authenticator.authenticate(request, RESOURCE).name == "app"


# --- no token -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("authorization", ""),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer  "),),
        (("authorization", "Basic dXNlcjpwYXNz"),),
        (("authorization", "PoP abc"),),
        (("x-authorization", "Bearer abc"),),
    ],
    ids=str,
)
def test_without_a_token_there_is_only_the_challenge(tmp_path: Path, headers: Any) -> None:
    with service(tmp_path) as one:
        with pytest.raises(Unauthenticated) as caught:
            one.authenticator.authenticate(Request("GET", "/", headers=headers), RESOURCE)
        assert caught.value.message == "AKV10000: Request is missing a Bearer or PoP token."
        assert (caught.value.error, caught.value.description) == ("", "")


def test_two_authorization_headers_are_refused_even_if_both_are_good(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        one.identities.add("app")
        header = bearing(own(one)).headers[0]
        with pytest.raises(Unauthenticated, match="more than one"):
            one.authenticator.authenticate(Request("GET", "/", headers=(header, header)), RESOURCE)


def test_a_header_that_is_too_long_is_refused_unread(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        long = signed(outside_claims(more="x" * 20_000))
        assert "too long" in refusal(one, long).message
        assert "too long" in refusal(one, "a" * 1_000_000).message


@pytest.mark.parametrize(
    "token",
    [
        "abc",
        "a.b",
        "a.b.c",
        "..",
        "a.b.c.d.e",
        "é.b.c",
        "\ud800.b.c",
        "a b.c.d",
        "\0",
        "eyJhbGciOiJSUzI1NiJ9.e30.e30",
        "W10.W10.e30",
        "bnVsbA.bnVsbA.e30",
        "eyJhbGciOjF9.e30.e30",
        base64.urlsafe_b64encode(b"[" * 9000).rstrip(b"=").decode() + ".e30.e30",
    ],
    ids=lambda token: ascii(token[:30]),
)
def test_what_is_no_token_is_told_to_be_malformed(tmp_path: Path, token: str) -> None:
    with service(tmp_path) as one:
        told = refusal(one, token)
        assert told.message.startswith("[BearerReadAccessTokenFailed] Error validating token: ")
        assert told.error == "invalid_token"
        assert "malformed" in told.message


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": 7},
        {"aud": {"a": 1}},
        {"aud": None},
        {"exp": None},
        {"exp": "2040-01-01"},
        {"exp": True},
        {"nbf": "soon"},
        {"oid": ["object"]},
        {"sub": 1},
    ],
    ids=str,
)
def test_a_claim_of_another_type_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with service(tmp_path) as one:
        trusting(one)
        assert "malformed" in refusal(one, signed(outside_claims(**changes))).message


# --- signatures -----------------------------------------------------------------------------------


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "HS256", "RS384", "PS256", "EdDSA"])
def test_an_algorithm_that_is_not_allowed_is_refused(tmp_path: Path, alg: str) -> None:
    with service(tmp_path) as one:
        trusting(one)
        for signature in ("", "AAAA"):
            token = f"{part({'alg': alg, 'kid': 'rsa'})}.{part(outside_claims())}.{signature}"
            refusal(one, token)


def test_a_public_key_is_not_taken_for_a_shared_secret(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        body = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{part(outside_claims())}"
        for encoding in (Encoding.PEM, Encoding.DER):
            public = RSA_PRIVATE.public_key().public_bytes(
                encoding, PublicFormat.SubjectPublicKeyInfo
            )
            mac = hmac.digest(public, body.encode(), "sha256")
            signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
            assert "not allowed" in refusal(one, f"{body}.{signature}").message


def test_a_key_of_one_kind_verifies_no_other(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        for key, kid in ((RSA, "ec"), (EC, "rsa")):
            told = refusal(one, signed(outside_claims(), key, kid=kid))
            assert "signature is not valid" in told.message


def test_a_forged_signature_is_refused(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        header, claims, signature = signed(outside_claims()).split(".")
        other = part(outside_claims(sub="admin"))
        for forged in (
            signed(outside_claims(), OTHER_RSA),
            f"{header}.{other}.{signature}",
            f"{part({'alg': 'RS256'})}.{claims}.{signature}",
            f"{header}.{claims}.{signature[:-8]}AAAAAAAA",
            f"{header}.{claims}.{signed(outside_claims(sub='b')).split('.')[2]}",
        ):
            assert "signature is not valid" in refusal(one, forged).message


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": NOW},
        {"crit": ["kid"]},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"crit": []},
        {"crit": "kid"},
    ],
    ids=str,
)
def test_a_critical_header_is_refused(tmp_path: Path, header: dict[str, Any]) -> None:
    with service(tmp_path) as one:
        trusting(one)
        good = {"alg": "RS256", "kid": "rsa"}
        assert one.who(signed_by_hand(good, outside_claims())).oid == "user-1"
        told = refusal(one, signed_by_hand({**good, **header}, outside_claims()))
        assert "critical" in told.message or "malformed" in told.message


def signed_by_hand(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A good signature over a header that no library would write."""
    body = f"{part(header)}.{part(claims)}"
    signature = RSA_PRIVATE.sign(body.encode(), PKCS1v15(), SHA256())
    return f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_a_key_inside_a_token_is_not_believed(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        own_key = OTHER_RSA.as_dict(private=False)
        for header in ({"jwk": own_key}, {"jku": "https://evil.example/keys"}, {"kid": "../rsa"}):
            refusal(one, signed(outside_claims(), OTHER_RSA, **header))


def test_a_header_that_is_not_known_is_passed_over(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        assert one.who(signed(outside_claims(), x5t="thumb", nonce="n", typ="at+jwt"))


def test_a_token_without_a_key_id_needs_an_issuer_with_one_key(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one, jwks=key_set(RSA))
        nameless = _without_kid()
        assert one.who(nameless).oid == "user-1"
        trusting(one, jwks=key_set(RSA, EC))
        refusal(one, nameless)


def _without_kid() -> str:
    claims = msgspec.json.encode(outside_claims())
    return jws.serialize_compact({"alg": "RS256"}, claims, RSA, algorithms=["RS256"])


# --- claims ---------------------------------------------------------------------------------------


def test_an_expired_token_says_so_in_key_vaults_words(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        told = refusal(one, signed(outside_claims(exp=NOW - 301)))
        assert told.message == "[TokenExpired] Error validating token: 'S2S12086'."
        assert told.error == "invalid_token"


def test_a_token_of_the_future_is_refused(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        assert "not valid yet" in refusal(one, signed(outside_claims(nbf=NOW + 301))).message


@pytest.mark.parametrize(
    "audience",
    [
        "https://management.azure.com/",
        "https://evil.example",
        "http://vault.localhost:8443",
        "https://vault.localhost",
        "https://vault.localhost:8443.evil.example",
        "https://v.vault.localhost:8443",
        "",
        [],
    ],
    ids=str,
)
def test_a_token_for_another_audience_is_refused(tmp_path: Path, audience: Any) -> None:
    with service(tmp_path) as one:
        trusting(one)
        told = refusal(one, signed(outside_claims(aud=audience)))
        assert told.message.startswith(f"AKV10022: Invalid audience. Expected {RESOURCE}, found: ")


def test_an_issuer_with_audiences_of_its_own_is_held_to_them(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one, audiences=("api://muniment",))
        assert one.who(signed(outside_claims(aud="api://muniment")))
        assert "AKV10022" in refusal(one, signed(outside_claims())).message


@pytest.mark.parametrize(
    "issuer",
    ["https://evil.example", OUTSIDE + "/", OUTSIDE.upper(), "", "https://sts.windows.net/t/"],
)
def test_a_token_of_another_issuer_is_refused(tmp_path: Path, issuer: str) -> None:
    with service(tmp_path) as one:
        trusting(one)
        told = refusal(one, signed(outside_claims(iss=issuer)))
        assert told.message.startswith("AKV10032: Invalid issuer. Expected one of ")
        assert OUTSIDE in told.message


def test_what_a_stranger_writes_cannot_flood_or_break_the_answer(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        told = refusal(one, signed(outside_claims(iss="https://e/\r\nSet-Cookie: a" + "x" * 5000)))
        assert "\n" not in told.message
        assert "\r" not in told.message
        assert len(told.message) < 500


def test_a_token_of_another_tenant_is_refused(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one, tenant="their-tenant")
        assert one.who(signed(outside_claims(tid="THEIR-TENANT")))
        for tenant in ("other", None):
            assert "AKV10032" in refusal(one, signed(outside_claims(tid=tenant))).message


def test_the_own_authority_of_another_address_is_another_issuer(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        one.identities.add("app")
        assert "AKV10032" in refusal(one, own(one, authority="https://other.example")).message
        assert "AKV10022" in refusal(one, own(one, audience="https://other.example")).message


def test_a_token_of_another_store_is_refused(tmp_path: Path) -> None:
    with service(tmp_path / "a") as one, service(tmp_path / "b") as other:
        for made in (one, other):
            made.identities.add("app", object_id="11111111-1111-4111-8111-111111111111")
        refusal(other, own(one))


def test_an_outside_issuer_cannot_name_itself_the_own_authority(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        client = one.identities.add("app").application
        issuer = f"{RESOURCE}/{one.tenant}/v2.0"
        one.identities.trust(Issuer(issuer=issuer, jwks=key_set(RSA)))
        claims = outside_claims(
            iss=issuer, oid=client.object_id, appid=client.client_id, tid=one.tenant
        )
        assert "signature" in refusal(one, signed(claims)).message


@pytest.mark.parametrize("claim", ["oid", "sub"])
def test_an_outside_issuer_cannot_speak_for_a_client_a_local_account_or_the_store(
    tmp_path: Path, claim: str
) -> None:
    with service(tmp_path) as one:
        trusting(one)
        client = one.identities.add("app").application
        for stolen in (
            client.object_id,
            client.object_id.upper(),
            "local:root",
            "LOCAL:root",
            "Muniment",
        ):
            told = refusal(one, signed(outside_claims(**{claim: stolen})))
            assert "may not speak" in told.message


@pytest.mark.parametrize("claim", ["appid", "azp"])
def test_an_outside_issuer_does_not_speak_for_a_registered_application(
    tmp_path: Path, claim: str
) -> None:
    with service(tmp_path) as one:
        trusting(one)
        ours = one.identities.add("web").application.client_id
        for stolen in (ours, ours.upper(), f"{ours}\0", f"\u200b{ours}"):
            told = refusal(one, signed(outside_claims(**{claim: stolen})))
            assert "may not speak" in told.message


@pytest.mark.parametrize("name", ["", "x" * 257, "a\nb", "\u202eroot"])
def test_a_token_that_names_nobody_is_refused(tmp_path: Path, name: str) -> None:
    with service(tmp_path) as one:
        trusting(one)
        assert "names nobody" in refusal(one, signed(outside_claims(sub=name))).message


# --- memory ---------------------------------------------------------------------------------------


def test_a_removed_client_is_refused_although_its_token_was_believed(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        one.identities.add("app")
        token = own(one)
        assert one.who(token)
        one.other_process().remove("app")
        one.ticks.now += 1
        assert "no longer registered" in refusal(one, token).message


def test_a_token_of_a_client_that_was_removed_is_not_that_of_a_new_one_with_its_client_id(
    tmp_path: Path,
) -> None:
    with service(tmp_path) as one:
        gone = one.identities.add("app").application
        token = own(one)
        one.identities.remove("app")
        one.identities.add("app", client_id=gone.client_id)
        assert "no longer registered" in refusal(one, token).message
        assert one.who(own(one)).oid != gone.object_id


def test_tokens_of_a_signing_key_that_is_revoked_are_refused_at_once(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        one.identities.add("app")
        first = own(one)
        one.identities.rotate_signing_key()
        second = own(one)
        assert one.who(first).oid == one.who(second).oid
        one.identities.rotate_signing_key(revoke=True)
        for token in (first, second):
            assert "signature is not valid" in refusal(one, token).message
        assert one.who(own(one)).name == "app"


def test_an_issuer_that_is_trusted_no_more_is_refused_at_once(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        token = signed(outside_claims())
        assert one.who(token)
        one.identities.distrust(OUTSIDE)
        assert "AKV10032" in refusal(one, token).message


def test_a_believed_token_still_expires(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        token = signed(outside_claims(exp=NOW + 10))
        assert one.who(token)
        one.clock.advance(seconds=312)
        assert "TokenExpired" in refusal(one, token).message


def test_a_token_believed_by_one_service_is_not_by_another(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        trusting(one)
        token = signed(outside_claims())
        assert one.who(token)
        assert "AKV10022" in refusal(one, token, "https://other.example").message


def test_a_believed_token_is_verified_once_and_a_refused_one_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = []

    def counted(parsed: Any, keys: Any) -> None:
        verified.append(parsed)
        verify(parsed, keys)

    monkeypatch.setattr("server.tokens.verify", counted)
    with service(tmp_path) as one:
        trusting(one)
        token, forged = signed(outside_claims()), signed(outside_claims(), OTHER_RSA)
        for _ in range(5):
            one.who(token)
        assert len(verified) == 1
        for _ in range(5):
            refusal(one, forged)
        assert len(verified) == 6


def test_what_is_remembered_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.tokens._REMEMBERED", 3)
    with service(tmp_path) as one:
        trusting(one)
        for n in range(10):
            assert one.who(signed(outside_claims(jti=str(n)))).oid == "user-1"
        assert len(one.authenticator._believed) == 3


def test_identities_that_cannot_be_read_let_nobody_in(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        one.identities.add("app")
        token = own(one)
        assert one.who(token)
        place = one.store.home / "identities"
        place.rename(place.with_name("gone"))
        one.ticks.now += 1
        with pytest.raises(LogUnavailable):
            one.who(token)


# --- keys that are fetched ------------------------------------------------------------------------


class Publisher:
    """An issuer's address: what it publishes, and how often it was asked."""

    def __init__(self, *keys: Any) -> None:
        self.body: bytes | None = key_set(*keys)
        self.asked = 0
        self.open = threading.Event()
        self.open.set()

    def __call__(self, address: str) -> bytes:
        assert address == KEYS_AT
        self.asked += 1
        assert self.open.wait(20)
        if self.body is None:
            raise Refused("down")
        return self.body


def admitted(one: Service, token: str) -> str:
    return asyncio.run(one.authenticator.admit(bearing(token), RESOURCE)).oid


def fetching(one: Service) -> None:
    trusting(one, jwks=b"", jwks_url=KEYS_AT)


def test_keys_are_fetched_once_and_waited_for(tmp_path: Path) -> None:
    publisher = Publisher(RSA)
    with service(tmp_path, fetch=publisher) as one:
        fetching(one)
        for n in range(5):
            assert admitted(one, signed(outside_claims(jti=str(n)))) == "user-1"
        assert publisher.asked == 1


def test_the_event_loop_never_waits_for_keys(tmp_path: Path) -> None:
    publisher = Publisher(RSA)
    publisher.open.clear()
    with service(tmp_path, fetch=publisher) as one:
        fetching(one)
        token = signed(outside_claims())
        with pytest.raises(KeysAwaited) as caught:
            one.who(token)
        publisher.open.set()
        caught.value.arrived.result(20)
        assert one.who(token).oid == "user-1"


def test_a_new_key_of_an_issuer_is_found(tmp_path: Path) -> None:
    publisher = Publisher(RSA)
    with service(tmp_path, fetch=publisher) as one:
        fetching(one)
        assert admitted(one, signed(outside_claims()))
        publisher.body = key_set(RSA, EC)
        one.ticks.now += 61
        assert admitted(one, signed(outside_claims(), EC)) == "user-1"
        assert publisher.asked == 2


def test_unknown_key_ids_cost_one_fetch_a_minute_however_many_come(tmp_path: Path) -> None:
    publisher = Publisher(RSA)
    with service(tmp_path, fetch=publisher) as one:
        fetching(one)
        for n in range(50):
            with pytest.raises(Unauthenticated):
                admitted(one, signed(outside_claims(), OTHER_RSA, kid=f"k{n}"))
        assert publisher.asked == 1
        one.ticks.now += 61
        with pytest.raises(Unauthenticated):
            admitted(one, signed(outside_claims(), OTHER_RSA, kid="again"))
        assert publisher.asked == 2


def test_an_issuer_that_is_down_locks_nobody_out_for_a_day(tmp_path: Path) -> None:
    publisher = Publisher(RSA)
    with service(tmp_path, fetch=publisher) as one:
        fetching(one)
        assert admitted(one, signed(outside_claims()))
        publisher.body = None
        one.ticks.now += 2 * 3600
        assert admitted(one, signed(outside_claims(jti="2")))
        one.ticks.now += 24 * 3600
        with pytest.raises(Unauthenticated):
            admitted(one, signed(outside_claims(jti="3")))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"keys":[{"kty":"oct","k":"AAAA"}]}'])
def test_an_answer_that_is_no_key_set_changes_nothing(tmp_path: Path, body: bytes) -> None:
    publisher = Publisher(RSA)
    with service(tmp_path, fetch=publisher) as one:
        fetching(one)
        assert admitted(one, signed(outside_claims()))
        publisher.body = body
        one.ticks.now += 3601
        assert admitted(one, signed(outside_claims(jti="2")))


def test_fetched_keys_outlive_a_change_of_the_clients(tmp_path: Path) -> None:
    publisher = Publisher(RSA)
    with service(tmp_path, fetch=publisher) as one:
        fetching(one)
        assert admitted(one, signed(outside_claims()))
        one.identities.add("app")
        assert admitted(one, signed(outside_claims(jti="2")))
        assert publisher.asked == 1
