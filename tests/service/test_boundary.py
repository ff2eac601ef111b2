"""The firewall over HTTPS: who is refused, with which words, in which order, and what is recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from eventstore.access_events import RequestsTurnedAway
from eventstore.rule_events import Subnet, SubnetRule, TrustedService, VirtualNetwork
from server.limits import (
    ALL_REFUSALS_A_SECOND,
    ALL_REFUSALS_AT_ONCE,
    SPARE_REFUSALS_A_SECOND,
    SPARE_REFUSALS_AT_ONCE,
)
from support.edge import OUTSIDER, VERSION, Answer, Edge
from support.services import closed_after
from support.vaults import ALICE
from support.ways import ask_by, client, over, recorded
from vault.rule_commands import DeletePolicy, SetPolicy

HERE, THERE = "127.0.0.7", "127.0.0.9"
FIREWALL = (403, "Forbidden", "ForbiddenByFirewall")
CONNECTION = (403, "Forbidden", "ForbiddenByConnection")
DENIED = (403, "Forbidden", "AccessDenied")
ONLY_HERE: dict[str, Any] = {
    "default_action": "Deny",
    "bypass": "None",
    "ip_rules": (f"{HERE}/32",),
}
OFFICE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/office"
DESK = f"{OFFICE}/subnets/desk"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    edge = Edge(tmp_path_factory.mktemp("edge"))
    with edge.served():
        edge.set("db")
        edge.hang_up()
        yield edge
    edge.check()


@pytest.fixture(autouse=True)
def reopened(edge: Edge) -> Iterator[None]:
    yield
    edge.set_boundary()


def ask(
    edge: Edge, source: str, method: str = "GET", path: str = "/secrets/db", **more: Any
) -> Answer:
    return ask_by(edge, over(edge.port, source), method, path, **more)


# --- the words ------------------------------------------------------------------------------------


def test_the_refusal_names_the_address_the_caller_and_the_vault(edge: Edge) -> None:
    edge.set_boundary(**ONLY_HERE)
    answer = ask(edge, THERE)
    all_ = edge.roll.named("all")
    assert answer.json == {
        "error": {
            "code": "Forbidden",
            "message": "Client address is not authorized and caller is not a trusted service.\r\n"
            f"Client address: {THERE} from unknown subnet\r\n"
            f"Caller: appid={all_.client_id};oid={all_.object_id};"
            f"iss={edge.base}/{edge.roll.tenant}/v2.0\r\n"
            "Vault: one;location=local",
            "innererror": {"code": "ForbiddenByFirewall"},
        }
    }
    told = answer.headers["x-ms-keyvault-network-info"]
    assert told == f"conn_type=Ipv4;addr={THERE};act_addr_fam=InterNetwork;"
    assert ask(edge, HERE).status == 200


def test_the_refusal_without_public_access_says_so(edge: Edge) -> None:
    edge.set_boundary(public_network_access=False, ip_rules=(f"{HERE}/32",))
    answer = ask(edge, HERE)
    assert answer.error == CONNECTION
    assert answer.message.startswith(
        "Public network access is disabled and request is not from a trusted service nor via an "
        "approved private link.\r\nCaller: appid="
    )
    assert answer.message.endswith("\r\nVault: one;location=local")
    assert recorded(edge).outcome == "boundary.public-access-disabled"


def test_a_refusal_is_recorded_with_the_rule_that_decided_and_its_caller(edge: Edge) -> None:
    edge.set_boundary(**ONLY_HERE)
    known = len(edge.traces())
    assert ask(edge, THERE, path="/secrets/secret-name").error == FIREWALL
    trace = edge.traces()[known:]
    assert len(trace) == 1
    found = trace[0].context
    at = edge.changes()[-1].position
    assert (found.outcome, found.rule) == (
        "boundary.outside",
        f"default action Deny (boundary #{at})",
    )
    assert (found.address, found.principal) == (THERE, edge.oid("all"))
    assert (trace[0].event.operation, trace[0].event.name) == ("secret.read", "secret-name")


def test_who_is_let_in_is_recorded_with_the_rule_that_let_it(edge: Edge) -> None:
    edge.set_boundary(**ONLY_HERE)
    assert ask(edge, HERE).status == 200
    assert f", address {HERE}/32 (boundary #" in recorded(edge).rule


# --- the order ------------------------------------------------------------------------------------

OUTSIDE_ANSWERS: dict[str, tuple[str, dict[str, Any], tuple[int, str, str]]] = {
    "no token": (THERE, {"token": None}, (401, "Unauthorized", "")),
    "a bad token": (THERE, {"token": "nonsense"}, (401, "Unauthorized", "")),
    "no permission": (THERE, {"token": "nobody"}, FIREWALL),
    "no version of the interface": (THERE, {"query": ""}, FIREWALL),
    "a name that is none": (THERE, {"path": "/secrets/my_name"}, FIREWALL),
    "a secret that is not there": (THERE, {"path": "/secrets/none"}, FIREWALL),
    "a body that is none": (THERE, {"method": "PUT", "body": b"{"}, FIREWALL),
    "inside, no permission": (HERE, {"token": "nobody"}, DENIED),
    "inside, no permission and no version": (HERE, {"token": "nobody", "query": ""}, DENIED),
    "inside, no version": (HERE, {"query": ""}, (400, "BadParameter", "")),
    "inside, not there": (HERE, {"path": "/secrets/none"}, (404, "SecretNotFound", "")),
}


@pytest.mark.parametrize(
    ("source", "asked", "error"), OUTSIDE_ANSWERS.values(), ids=OUTSIDE_ANSWERS
)
def test_token_then_firewall_then_permission_then_request(
    edge: Edge, source: str, asked: dict[str, Any], error: tuple[int, str, str]
) -> None:
    edge.set_boundary(**ONLY_HERE)
    if asked.get("token") == "nobody":
        asked = {**asked, "token": edge.token("nobody")}
    assert ask(edge, source, **asked).error == error


PATHS = {
    "GET": (
        *("/secrets", "/secrets/db", f"/secrets/db/{'0' * 32}", "/secrets/db/versions"),
        *("/deletedsecrets", "/deletedsecrets/db"),
    ),
    "PUT": ("/secrets/new",),
    "PATCH": ("/secrets/db",),
    "DELETE": ("/secrets/db", "/deletedsecrets/db"),
    "POST": ("/secrets/db/backup", "/secrets/restore", "/deletedsecrets/db/recover"),
}


@pytest.mark.parametrize("method", PATHS)
def test_every_operation_of_the_data_plane_is_behind_it(edge: Edge, method: str) -> None:
    edge.set_boundary(**ONLY_HERE)
    body = b'{"value":"x"}' if method in ("PUT", "PATCH", "POST") else None
    known = len(edge.changes())
    for path in PATHS[method]:
        assert ask(edge, THERE, method, path, body=body).error == FIREWALL, path
    assert len(edge.changes()) == known


def test_what_everybody_may_know_is_before_it(edge: Edge) -> None:
    edge.set_boundary(**ONLY_HERE)
    assert ask(edge, THERE, path="/healthz", token=None).status == 200
    path = f"/{edge.roll.tenant}/v2.0/.well-known/openid-configuration"
    assert ask(edge, THERE, vault="", path=path, token=None).status == 200


def test_the_boundary_of_one_vault_is_not_anothers(edge: Edge) -> None:
    edge.set_boundary(**ONLY_HERE)
    assert ask(edge, THERE, vault="two").error == (404, "SecretNotFound", "")


def test_a_boundary_holds_from_the_next_request_on_of_a_kept_connection(edge: Edge) -> None:
    assert edge.ask("GET", "/secrets/db").status == 200
    edge.set_boundary(**ONLY_HERE)
    assert edge.ask("GET", "/secrets/db").error == FIREWALL
    edge.set_boundary()
    assert edge.ask("GET", "/secrets/db").status == 200


def test_the_blob_of_one_outside_is_not_read(edge: Edge) -> None:
    edge.set_boundary(**ONLY_HERE)
    with edge.service.raw() as connection:
        connection.sendall(
            edge.head(
                "POST",
                "/secrets/restore?api-version=7.4",
                "Content-Type: application/json",
                f"Content-Length: {10 * 1024 * 1024}",
            )
            + b"\r\n"
        )
        # Not a byte of the body was sent, and none is waited for.
        heard, seconds = closed_after(connection)
    assert heard.startswith(b"HTTP/1.1 403")
    assert b"ForbiddenByFirewall" in heard
    assert seconds < 8


# --- networks -------------------------------------------------------------------------------------


def test_a_subnet_that_is_not_known_yet_lets_nobody_in(edge: Edge) -> None:
    rule = SubnetRule(id=DESK, ignore_missing=True)
    edge.set_boundary(default_action="Deny", subnet_rules=(rule,))
    assert ask(edge, HERE).error == FIREWALL
    desk = Subnet(name="desk", ranges=(f"{HERE}/32",))
    networks = (VirtualNetwork(id=OFFICE, subnets=(desk,)),)
    edge.set_boundary(default_action="Deny", subnet_rules=(rule,), networks=networks)
    assert ask(edge, HERE).status == 200
    assert f"subnet {DESK} (boundary #" in recorded(edge).rule
    edge.set_boundary(default_action="Deny", networks=networks)
    refused = ask(edge, HERE)
    assert f"Client address: {HERE} from subnet {DESK}\r\n" in refused.message


# --- trusted services -----------------------------------------------------------------------------


def trusting(edge: Edge, *bound: TrustedService, **more: Any) -> None:
    edge.set_boundary(**{"default_action": "Deny", "trusted_services": bound, **more})


def backup_by(edge: Edge, client: str = "all") -> TrustedService:
    return TrustedService(service="backup", application_id=edge.roll.named(client).client_id)


@pytest.mark.parametrize("public", [True, False])
def test_a_bound_application_passes_and_the_event_says_by_what(edge: Edge, public: bool) -> None:
    trusting(edge, backup_by(edge), public_network_access=public)
    assert ask(edge, THERE).status == 200
    found = recorded(edge)
    assert found.rule.startswith("policy #")
    assert ", trusted service backup (boundary #" in found.rule
    assert found.application == edge.roll.named("all").client_id


def test_it_needs_its_permission_all_the_same(edge: Edge) -> None:
    trusting(edge, backup_by(edge, "nobody"))
    assert ask(edge, THERE, token=edge.token("nobody")).error == DENIED
    assert recorded(edge).outcome == "access.denied"
    with edge.opened() as vault:
        vault.handle(ALICE, SetPolicy(object_id=edge.oid("nobody"), secrets=("get",)))
    try:
        assert ask(edge, THERE, token=edge.token("nobody")).status == 200
        assert ask(edge, THERE, "DELETE", token=edge.token("nobody")).error == DENIED
    finally:
        with edge.opened() as vault:
            vault.handle(ALICE, DeletePolicy(object_id=edge.oid("nobody")))


def test_it_needs_a_token_that_is_valid(edge: Edge) -> None:
    trusting(edge, backup_by(edge))
    assert ask(edge, THERE, token=None).status == 401
    assert ask(edge, THERE, token=edge.token(now=1_000_000_000)).status == 401


def test_an_application_that_is_bound_to_no_service_is_refused(edge: Edge) -> None:
    trusting(edge, backup_by(edge, "nobody"))
    assert ask(edge, THERE).error == FIREWALL
    trusting(edge)
    assert ask(edge, THERE).error == FIREWALL


def test_a_bound_application_is_refused_if_trusted_services_may_not_bypass(edge: Edge) -> None:
    trusting(edge, backup_by(edge), bypass="None")
    assert ask(edge, THERE).error == FIREWALL
    trusting(edge, backup_by(edge), bypass="None", public_network_access=False)
    assert ask(edge, THERE).error == CONNECTION


def test_another_issuers_word_for_the_application_counts_as_its_own_token_says(edge: Edge) -> None:
    """An outside issuer that the store trusts names the application in `appid` or `azp`."""
    bound = TrustedService(service="storage", application_id="outside-application")
    trusting(edge, bound)
    for claim in ("appid", "azp"):
        token = edge.outside(sub=OUTSIDER, **{claim: "outside-application"})
        assert ask(edge, THERE, token=token).status == 200
    for claims in ({}, {"appid": "another"}, {"app_displayname": "outside-application"}):
        token = edge.outside(sub=OUTSIDER, **claims)
        assert ask(edge, THERE, token=token).error == FIREWALL


# --- floods ---------------------------------------------------------------------------------------


def test_a_flood_of_refused_callers_keeps_none_out_who_is_let_in_and_is_bounded(
    tmp_path: Path,
) -> None:
    """Thieves of the very token that is used inside, at many addresses outside."""
    edge = Edge(tmp_path)
    with edge.served():
        edge.set("db")
        edge.hang_up()
        edge.set_boundary(**ONLY_HERE)
        began = time.monotonic()
        enough = threading.Event()
        outside: list[int] = []

        def flood(number: int) -> None:
            token = edge.token()
            while not enough.is_set():
                with client(edge, over(edge.port, f"127.0.1.{number}")()) as thief:
                    for _ in range(100):
                        outside.append(asked(edge, thief, token))

        flooding = [threading.Thread(target=flood, args=(number,)) for number in range(1, 13)]
        for thread in flooding:
            thread.start()
        inside = []
        with client(edge, over(edge.port, HERE)()) as honest:
            while outside.count(429) < 300 and time.monotonic() - began < 60:
                inside.append(asked(edge, honest, edge.token()))
        enough.set()
        for thread in flooding:
            thread.join()
        seconds = time.monotonic() - began
    assert set(inside) == {200}
    assert set(outside) == {403, 429}
    refused = [one for one in edge.traces() if one.context.outcome == "boundary.outside"]
    assert len(refused) == outside.count(403)
    most = ALL_REFUSALS_AT_ONCE + SPARE_REFUSALS_AT_ONCE + len(flooding)
    assert len(refused) <= most + (ALL_REFUSALS_A_SECOND + SPARE_REFUSALS_A_SECOND) * seconds
    # And none of the others was forgotten.
    counted = [one.event for one in edge.traces() if isinstance(one.event, RequestsTurnedAway)]
    assert sum(one.throttled for one in counted) == outside.count(429)
    edge.check()


def asked(edge: Edge, connection: HTTPConnection, token: str) -> int:
    headers = {"Host": edge.host(), "Authorization": f"Bearer {token}"}
    connection.request("GET", f"/secrets/db?{VERSION}", headers=headers)
    response = connection.getresponse()
    response.read()
    return response.status
