"""Tokens that must not be believed, sent to a service as an attacker would send them.

`tests/unit/test_tokens.py` has each rule; here it is shown that a socket leads to all of them, that
nobody gets further than the challenge, and that a good token works all the while.
"""

from __future__ import annotations

import base64
import hmac
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import RSAKey

from eventstore.access_events import RequestRefused
from server.identities import Identities
from support.edge import OUTSIDER, Edge
from support.services import DOMAIN
from support.sign_in import EC, OTHER_RSA, OUTSIDE, RSA, RSA_PRIVATE, signed
from vault.store import Store


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    edge = Edge(tmp_path_factory.mktemp("edge"))
    with edge.served():
        edge.set("db", "a value that is nobody's business")
        yield edge
    edge.check()


def segment(content: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=")


def unsigned(edge: Edge, header: dict[str, Any], signature: bytes = b"") -> str:
    return b".".join((segment(header), segment(edge.claims()), signature)).decode()


def hmac_with_the_public_key(edge: Edge) -> str:
    public = RSA_PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signing = segment({"alg": "HS256", "kid": "rsa"}) + b"." + segment(edge.claims())
    mac = base64.urlsafe_b64encode(hmac.digest(public, signing, "sha256")).rstrip(b"=")
    return (signing + b"." + mac).decode()


def other_algorithm(edge: Edge) -> str:
    """A good RS256 token whose header says ES256."""
    _, claims, signature = edge.outside().split(".")
    return f"{segment({'alg': 'ES256', 'kid': 'rsa'}).decode()}.{claims}.{signature}"


def own_key_inside(edge: Edge) -> str:
    key = RSAKey.import_key(OTHER_RSA.as_dict(private=True), {"kid": "mine"})
    return signed(edge.claims(), key, jwk=key.as_dict(private=False))


def other_claims(edge: Edge) -> str:
    header, _, signature = edge.outside().split(".")
    return f"{header}.{segment(edge.claims(sub='somebody-else')).decode()}.{signature}"


def now() -> int:
    return int(time.time())


FORGED: dict[str, Callable[[Edge], str]] = {
    "none": lambda edge: unsigned(edge, {"alg": "none"}),
    "None": lambda edge: unsigned(edge, {"alg": "None"}),
    "none, signed": lambda edge: unsigned(edge, {"alg": "none"}, b"AAAA"),
    "no algorithm": lambda edge: unsigned(edge, {"kid": "rsa"}, b"AAAA"),
    "HS256 with the public key": hmac_with_the_public_key,
    "RS256 that says ES256": other_algorithm,
    "another key with that id": lambda edge: edge.outside(OTHER_RSA),
    "its own key inside": own_key_inside,
    "a key id that is a path": lambda edge: signed(edge.claims(), RSA, kid="../../dev/null"),
    "other claims": other_claims,
    "no signature": lambda edge: edge.outside().rpartition(".")[0] + ".",
    "critical header": lambda edge: signed(edge.claims(), RSA, crit=["b64"], b64=True),
    "another audience": lambda edge: edge.outside(aud="https://management.azure.com/"),
    "an audience like ours": lambda edge: edge.outside(aud=f"{edge.base}.example.com"),
    "the vault's audience on another port": lambda edge: edge.outside(aud=f"https://{DOMAIN}:1"),
    "no audience": lambda edge: edge.outside(aud=[]),
    "another issuer": lambda edge: edge.outside(iss=OUTSIDE + "x"),
    "our issuer": lambda edge: edge.outside(iss=f"{edge.base}/{edge.roll.tenant}/v2.0"),
    "our authority at another address": lambda edge: edge.token(authority=f"https://{DOMAIN}:1"),
    "another tenant": lambda edge: edge.outside(tid="99999999-2222-4333-8444-555555555555"),
    "no tenant": lambda edge: edge.outside(tid=None),
    "expired": lambda edge: edge.outside(exp=now() - 301),
    "never expires": lambda edge: edge.outside(exp=None),
    "expires in words": lambda edge: edge.outside(exp="tomorrow"),
    "of the future": lambda edge: edge.outside(nbf=now() + 400),
    "for a client of ours": lambda edge: edge.outside(sub=edge.oid("all")),
    "for an account of the machine": lambda edge: edge.outside(sub="local:root"),
    "for the store itself": lambda edge: edge.outside(sub="muniment"),
    "oversized": lambda edge: edge.outside(name="x" * 20_000),
    "not ASCII": lambda edge: edge.outside()[:-1] + "\xff",
    "rubbish": lambda edge: "rubbish",
}


def test_tokens_that_are_good_are_believed(edge: Edge) -> None:
    for token in (edge.token(), edge.outside(), edge.outside(EC)):
        assert edge.ask("GET", "/secrets/db", token=token).status == 200


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_token_that_is_forged_or_for_somebody_else_leads_to_the_challenge(
    edge: Edge, forge: Callable[[Edge], str]
) -> None:
    answer = edge.ask("GET", "/secrets/db", token=forge(edge))
    assert answer.error == (401, "Unauthorized", "")
    assert answer.headers["www-authenticate"].startswith(
        f'Bearer authorization="{edge.base}/{edge.roll.tenant}", resource="{edge.base}"'
    )
    assert b"nobody's business" not in answer.body


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "POST", "BREW"])
@pytest.mark.parametrize("vault", ["one", "two", "nothing-of-that-name"])
@pytest.mark.parametrize("path", ["/secrets/db", "/secrets/none", "/nothing", "/secrets/%00"])
def test_without_a_token_everything_looks_the_same(
    edge: Edge, method: str, vault: str, path: str
) -> None:
    answer = edge.ask(method, path, token=None, vault=vault)
    same = edge.ask("GET", "/", token=None, vault="one")
    assert (answer.status, answer.body) == (same.status, same.body) == (401, same.body)
    assert answer.headers["www-authenticate"] == same.headers["www-authenticate"]
    assert answer.headers.keys() == same.headers.keys()


def test_a_body_is_neither_awaited_nor_read_without_a_token(edge: Edge) -> None:
    sent = edge.head("PUT", "/secrets/db", "Content-Length: 1000000000", token=None)
    with edge.service.raw() as connection:
        connection.sendall(sent + b"\r\n")
        began = time.monotonic()
        assert connection.recv(4096).startswith(b"HTTP/1.1 401")
        assert time.monotonic() - began < 5


def test_two_authorization_headers_are_refused_though_both_are_good(edge: Edge) -> None:
    bearer = f"Authorization: Bearer {edge.token()}"
    sent = edge.head("GET", "/secrets/db?api-version=7.4", bearer, "Connection: close")
    assert edge.raw(sent + b"\r\n") == [401]


def test_a_client_that_is_removed_and_a_key_that_is_revoked_are_refused_at_once(
    tmp_path: Path,
) -> None:
    edge = Edge(tmp_path)
    gone, kept = edge.token("nobody"), edge.token()
    with edge.served(workers=2):
        for token, status in ((gone, 403), (kept, 200)) * 4:
            assert edge.ask("GET", "/secrets", token=token).status == status
            edge.hang_up()
        with Store.open(edge.home) as store:
            Identities(store).remove("nobody")
        time.sleep(1.1)  # the file is looked at once a second
        assert edge.ask("GET", "/secrets", token=gone).status == 401
        assert edge.ask("GET", "/secrets", token=kept).status == 200
        with Store.open(edge.home) as store:
            Identities(store).rotate_signing_key(revoke=True)
        time.sleep(1.1)
        for _ in range(4):
            edge.hang_up()
            assert edge.ask("GET", "/secrets", token=kept).status == 401
    edge.check()


# --- the authority --------------------------------------------------------------------------------


def sign_in(edge: Edge, client_id: str, secret: str) -> tuple[int, bytes, float]:
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": secret,
        "scope": f"{edge.base}/.default",
    }
    began = time.perf_counter()
    answer = edge.ask(
        "POST",
        f"/{edge.roll.tenant}/oauth2/v2.0/token",
        urlencode(form).encode(),
        token=None,
        vault="",
        query="",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    return answer.status, answer.body, time.perf_counter() - began


def test_who_signs_in_gets_a_token_that_works(edge: Edge) -> None:
    status, body, _ = sign_in(edge, edge.roll.named("all").client_id, edge.secrets["all"])
    assert status == 200
    assert edge.ask("GET", "/secrets/db", token=json.loads(body)["access_token"]).status == 200


def test_nobody_learns_by_the_words_or_by_the_time_who_is_registered(edge: Edge) -> None:
    known = edge.roll.named("all").client_id
    secret = edge.secrets["all"]
    wrong = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    tries = {
        "a wrong secret": (known, wrong),
        "an unknown secret": (known, "x" * len(secret)),
        "an unknown client": ("99999999-2222-4333-8444-555555555555", wrong),
    }
    times: dict[str, list[float]] = {name: [] for name in tries}
    words = set()
    for _ in range(25):
        for name, given in tries.items():
            status, body, seconds = sign_in(edge, *given)
            times[name].append(seconds)
            told = json.loads(body)
            words.add((status, told["error"], told["error_description"]))
    assert len(words) == 1
    # Half a hash of difference would be seen; the least of many is what noise cannot lengthen.
    least = [statistics.quantiles(found, n=5)[0] for found in times.values()]
    assert max(least) < 1.5 * min(least)


# --- another vault --------------------------------------------------------------------------------


def test_a_host_of_no_vault_is_refused_and_a_vault_that_is_not_there_is_told_to_clients_only(
    edge: Edge,
) -> None:
    for host in ("example.com", "", "a.one." + DOMAIN, "one.example.com", "one@" + DOMAIN, "::1"):
        answer = edge.ask("GET", "/secrets/db", headers={"Host": host})
        assert answer.status == 400, host
    answer = edge.ask("GET", "/secrets/db", vault="nothing-of-that-name")
    assert answer.error == (404, "VaultNotFound", "")


@pytest.mark.parametrize(
    "hosts",
    [[], ["one", "two"], ["two", "one"], ["one", "one"]],
    ids=["none", "two", "two, turned round", "the same twice"],
)
def test_a_request_without_just_one_host_is_refused(edge: Edge, hosts: list[str]) -> None:
    lines = edge.head("GET", "/secrets/db?api-version=7.4").split(b"\r\n")
    lines[1:2] = [f"Host: {edge.host(host)}".encode() for host in hosts]
    assert edge.raw(b"\r\n".join(lines[:-1]) + b"\r\nConnection: close\r\n\r\n") == [400]


def test_each_vault_has_secrets_and_rights_of_its_own(edge: Edge) -> None:
    assert edge.ask("GET", "/secrets/db", vault="two").error == (404, "SecretNotFound", "")
    token = edge.outside(sub="user-2")
    for vault in ("one", "two"):
        answer = edge.ask("GET", "/secrets/db", vault=vault, token=token)
        assert answer.error == (403, "Forbidden", "AccessDenied")
    assert edge.ask("GET", "/secrets/db", token=edge.outside(sub=OUTSIDER)).status == 200


def test_a_skiptoken_is_good_for_its_list_alone_and_cannot_be_made(edge: Edge) -> None:
    for number in range(3):
        edge.set(f"page-{number}")
        edge.set("many")
        edge.set(f"page-{number}", vault="two")
    link = edge.ask("GET", "/secrets?api-version=7.4&maxresults=2").json["nextLink"]
    token = link.partition("$skiptoken=")[2].partition("&")[0]

    def status(path: str, token: str, vault: str = "one", who: str = "") -> int:
        query = f"api-version=7.4&maxresults=2&$skiptoken={token}"
        return edge.ask("GET", path, query=query, vault=vault, token=who).status

    assert status("/secrets", token) == 200
    assert status("/secrets", token, vault="two") == 400
    assert status("/deletedsecrets", token) == 400
    assert status("/secrets/many/versions", token) == 400
    assert status("/secrets", token, who=edge.token("nobody")) == 403
    made = base64.urlsafe_b64encode(bytes(16) + b"db").rstrip(b"=").decode()
    longer = base64.urlsafe_b64encode(base64.urlsafe_b64decode(token + "==") + b"x").decode()
    other = ("A" if token[0] != "A" else "B") + token[1:]
    for forged in (made, longer.rstrip("="), other, token[:-4], token + "=", "%ff", "x" * 9000):
        assert status("/secrets", forged) == 400, forged


# --- what is recorded -----------------------------------------------------------------------------


def test_probes_are_counted_and_refusals_recorded_one_by_one(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    nobody = edge.token("nobody")
    with edge.served():
        for number in range(1500):
            # Enough names of no vault to fill any table of names: no count may be lost by them.
            vault = "one" if number % 10 == 0 else f"made-up-{number}"
            assert edge.ask("GET", "/secrets/db", token=None, vault=vault).status == 401
        for name in ("x", "y", "z"):
            answer = edge.ask("GET", f"/secrets/{name}", token=nobody)
            assert answer.error == (403, "Forbidden", "AccessDenied")
        assert edge.ask("GET", "/secrets/-%20-").status == 400
    traces = edge.traces()
    refused = [one for one in traces if isinstance(one.event, RequestRefused)]
    assert [(one.event.name, one.context.principal) for one in refused] == [
        *((name, edge.oid("nobody")) for name in ("x", "y", "z")),
        ("- -", edge.oid("all")),
    ]
    turned = [one for one in traces if one.event.__struct_config__.tag == "requests.turned-away"]
    assert [(one.event.unauthenticated, one.event.throttled) for one in turned] == [(150, 0)]
    assert len(traces) == len(refused) + len(turned)
    assert [one.event for one in edge.traces("two")] == []
    logged = {(one["status"], one["operation"]) for one in edge.service.seen("request")}
    assert logged == {(401, "Authentication"), (403, "SecretGet"), (400, "SecretGet")}
    edge.check()


def test_who_is_refused_too_often_is_held_back_counted_and_not_let_in(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    nobody = edge.token("nobody")
    with edge.served():
        edge.set("db")
        answers = edge.ask_until(lambda: edge.ask("GET", "/secrets/db", token=nobody), 429)
        assert edge.ask("GET", "/secrets/db").status == 200
        time.sleep(1)
        assert edge.ask("GET", "/secrets/db", token=nobody).status == 403
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {403, 429}
    for answer in answers:
        if answer.status == 429:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.error == (429, "Throttled", "")
    traces = edge.traces()
    refused = [one for one in traces if isinstance(one.event, RequestRefused)]
    assert len(refused) == statuses.count(403) + 1
    (turned,) = [one for one in traces if one.event.__struct_config__.tag == "requests.turned-away"]
    assert turned.event.throttled == statuses.count(429)
    edge.check()
