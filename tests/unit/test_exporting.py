"""A record in the forms of others: nothing lost that they want, nothing made up, always one line."""

import json
import re
import typing
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.errors import every_error
from eventstore.events import Access, Change
from server import problems
from vault import refusals
from vault.answers import HistoryItem
from vault.exporting import FORMS, Origin, line
from vault.operations import OPERATIONS, STATUSES, operation, status

ORIGIN = Origin("payments", "https://payments.vault.localhost")
VERSION = "0123456789abcdef0123456789abcdef"
TIME = 1_790_000_000_123_456


def item(**facts: typing.Any) -> HistoryItem:
    given: dict[str, typing.Any] = {
        "log": "access",
        "position": 7,
        "time": TIME,
        "operation": "secret.read",
        "principal": "alice@example.com",
        "auth": "token",
        "outcome": "ok",
        "rule": "policy #1",
        "name": "db-password",
        "version": VERSION,
        "address": "192.0.2.7",
        "agent": "azsdk-python/4.12",
        "request": "5f0f3b1e-9d1c-4c0e-9b11-0123456789ab",
        "at": 12,
    }
    return HistoryItem(**(given | facts))


BARE = {"address": "", "agent": "", "request": "", "rule": "", "version": "", "at": None}


def told(form: str, **facts: typing.Any) -> typing.Any:
    return json.loads(line(form, ORIGIN, item(**facts)))


# --- all forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@given(text=st.text(max_size=40))
def test_whatever_stands_in_a_record_it_is_one_line(form: str, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    made = line(form, ORIGIN, item(name=text, principal=text, agent=text))

    assert made.splitlines() == [made]


@pytest.mark.parametrize("form", FORMS)
def test_a_line_leads_back_to_its_record(form: str) -> None:
    made = line(form, ORIGIN, item(position=4711))
    assert "4711" in made
    assert "access" in made


@pytest.mark.parametrize("form", FORMS)
def test_what_a_record_does_not_hold_is_left_out(form: str) -> None:
    made = line(form, ORIGIN, item(**BARE))
    for word in ("duration", "requestUri", "operationVersion", "tls", "None", "null", '""'):
        assert word not in made


def test_every_event_has_a_name_for_others() -> None:
    events = {*typing.get_args(Change), *typing.get_args(Access)}
    tags = {event.__struct_config__.tag for event in events} - {"request.refused"}
    # A newer event than this table is named by the same rule, and not lost.
    assert OPERATIONS.keys() <= tags
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", operation(tag).name) for tag in tags)


def test_an_operation_that_is_not_known_yet_names_itself() -> None:
    assert operation("sas-definition.set").name == "SasDefinitionSet"


def test_every_refusal_has_the_status_that_key_vault_gives() -> None:
    codes = {error.code for error in every_error() if error.__module__ == refusals.__name__}
    not_found = {code for code in codes if code.endswith("not-found")} - {"store.not-found"}
    assert {STATUSES[code] for code in not_found} == {404}
    assert status(item(outcome="access.denied")) == 403
    assert status(item(outcome="secret.is-deleted")) == 409
    assert status(item(outcome="value.too-large")) == 400
    assert set(STATUSES.values()) <= {200, 403, 404, 405, 409, 500, 503}


# --- AuditEvent -----------------------------------------------------------------------------------


def test_a_read_as_key_vault_writes_it() -> None:
    assert told("auditevent") == {
        "time": "2026-09-21T14:13:20.123456Z",
        "category": "AuditEvent",
        "operationName": "SecretGet",
        "resultType": "Success",
        "resultSignature": "OK",
        "correlationId": "5f0f3b1e-9d1c-4c0e-9b11-0123456789ab",
        "callerIpAddress": "192.0.2.7",
        "identity": {"claim": {"upn": "alice@example.com", "ipaddr": "192.0.2.7"}},
        "properties": {
            "id": f"https://payments.vault.localhost/secrets/db-password/{VERSION}",
            "clientInfo": "azsdk-python/4.12",
            "httpStatusCode": 200,
            "isAccessPolicyMatch": True,
            "muniment": {
                "log": "access",
                "position": 7,
                "operation": "secret.read",
                "name": "db-password",
                "version": VERSION,
                "auth": "token",
                "rule": "policy #1",
                "at": 12,
            },
        },
        "resourceId": "/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/PAYMENTS",
    }


def test_a_refusal_as_key_vault_writes_it() -> None:
    made = told("auditevent", outcome="access.denied", rule="")
    assert (made["resultType"], made["resultSignature"]) == ("Failure", "Forbidden")
    assert made["resultDescription"] == "access.denied"
    assert made["properties"]["httpStatusCode"] == 403
    assert made["properties"]["isAccessPolicyMatch"] is False


def test_a_status_is_the_one_that_the_service_answers() -> None:
    answered = {code: row.status for kind, row in problems.ROWS.items() if (code := kind.code)}
    # What was not recorded, or is not known, is no record's outcome.
    for code in ("muniment.error", "log.not-recorded", "root.not-erased", "log.outcome-unknown"):
        del answered[code]
    told = {code: status(item(outcome=code)) for code in answered}
    assert told == answered


@pytest.mark.parametrize(
    ("details", "code", "signature"),
    [
        ({"unauthenticated": 3}, 401, "Unauthorized"),
        ({"unauthenticated": 3, "throttled": 1}, 401, "Unauthorized"),
        ({"throttled": 1}, 429, "Too Many Requests"),
    ],
)
def test_requests_that_were_turned_away_did_not_succeed(
    details: dict[str, int], code: int, signature: str
) -> None:
    facts = {**BARE, "operation": "requests.turned-away", "principal": "muniment"}
    made = told("auditevent", **facts, details=details)
    assert (made["operationName"], made["resultType"]) == ("Authentication", "Failure")
    assert (made["properties"]["httpStatusCode"], made["resultSignature"]) == (code, signature)
    assert made["properties"]["muniment"]["details"] == details
    elsewhere = told("ocsf", **facts, details=details)
    assert (elsewhere["status_id"], elsewhere["status_code"]) == (2, str(code))


@pytest.mark.parametrize(
    ("principal", "claim"),
    [
        ("9fd0e4a2-22c5-4d1b-9a34-1f0c2d3e4f50", "oid"),
        ("bob@example.com", "upn"),
        ("local:root", "unique_name"),
    ],
)
def test_who_asked_stands_in_the_claim_that_fits(principal: str, claim: str) -> None:
    made = told("auditevent", principal=principal, address="")
    assert made["identity"] == {"claim": {claim: principal}}


def test_a_purge_answers_no_content_and_a_rule_is_a_patch_of_the_vault() -> None:
    purged = told("auditevent", operation="secret.purged")
    assert (purged["properties"]["httpStatusCode"], purged["resultSignature"]) == (
        204,
        "No Content",
    )
    ruled = told("auditevent", operation="policy.set", name="bob@example.com", version="")
    assert ruled["operationName"] == "VaultPatch"
    assert ruled["properties"]["id"] == ORIGIN.uri


def test_attributes_that_were_set_stand_beside_the_secret() -> None:
    made = told("auditevent", operation="secret.set", details={"exp": 1_900_000_000})
    assert made["properties"]["secretProperties"] == {
        "attributes": {"enabled": True, "exp": 1_900_000_000}
    }


# --- OCSF -----------------------------------------------------------------------------------------

REQUIRED = {
    "activity_id",
    "category_uid",
    "class_uid",
    "metadata",
    "severity_id",
    "time",
    "type_uid",
    "actor",
}


@pytest.mark.parametrize("word", sorted(OPERATIONS))
@pytest.mark.parametrize("facts", [{}, {**BARE, "name": ""}], ids=["full", "bare"])
def test_an_ocsf_event_has_what_its_class_requires(word: str, facts: dict) -> None:
    made = told("ocsf", operation=word, **facts)
    own = {6003: {"api", "src_endpoint"}, 3004: {"entity"}}[made["class_uid"]]
    assert made.keys() >= REQUIRED | own
    assert made["type_uid"] == made["class_uid"] * 100 + made["activity_id"]
    assert made["category_uid"] == made["class_uid"] // 1000
    assert made["metadata"]["product"]["vendor_name"]
    assert made["time"] == TIME // 1000


def test_an_ocsf_event_says_whether_it_succeeded() -> None:
    assert told("ocsf")["status_id"] == 1
    refused = told("ocsf", outcome="access.denied")
    assert (refused["status_id"], refused["status_code"]) == (2, "access.denied")


def test_a_read_and_a_rule_are_of_two_classes() -> None:
    read, ruled = told("ocsf"), told("ocsf", operation="policy.set", name="bob@example.com")
    assert (read["class_name"], read["activity_name"]) == ("API Activity", "Read")
    assert read["resources"][0]["name"] == "db-password"
    assert read["src_endpoint"] == {"ip": "192.0.2.7"}
    assert (ruled["class_name"], ruled["activity_name"]) == ("Entity Management", "Update")
    assert ruled["entity"] == {
        "name": "bob@example.com",
        "uid": ORIGIN.uri,
        "type": "access policy",
    }


# --- RFC 5424 -------------------------------------------------------------------------------------

SYSLOG = re.compile(
    r"<(?P<pri>\d{1,3})>1 (?P<time>\S+) - muniment - (?P<id>[!-~]{1,32}) "
    r"\[muniment@32473(?P<data>(?: [a-z]+=\"(?:[^\"\\\]]|\\[\"\\\]])*\")*)\] (?P<text>.*)"
)


def read_syslog(text: str) -> tuple[re.Match, dict[str, str]]:
    """What a reader that goes by the RFC gets."""
    found = SYSLOG.fullmatch(text)
    assert found, text
    pairs = re.findall(r' ([a-z]+)="((?:[^"\\\]]|\\["\\\]])*)"', found["data"])
    return found, {name: re.sub(r'\\(["\\\]])', r"\1", value) for name, value in pairs}


def test_a_syslog_line() -> None:
    found, data = read_syslog(line("rfc5424", ORIGIN, item()))
    assert int(found["pri"]) == 13 * 8 + 6
    assert datetime.fromisoformat(found["time"]) == datetime(
        2026, 9, 21, 14, 13, 20, 123456, tzinfo=UTC
    )
    assert found["id"] == "secret.read"
    assert data["principal"] == "alice@example.com"
    assert data["position"] == "7"


def test_a_refusal_is_a_warning() -> None:
    found, data = read_syslog(line("rfc5424", ORIGIN, item(outcome="access.denied")))
    assert int(found["pri"]) == 13 * 8 + 4
    assert data["outcome"] == "access.denied"


@pytest.mark.parametrize("text", ['a"b', "a]b", "a\\b", '"]\\', ']] x="y"', "back\\\\slash"])
def test_what_has_a_meaning_in_syslog_is_escaped(text: str) -> None:
    _, data = read_syslog(line("rfc5424", ORIGIN, item(agent=text)))
    assert data["agent"] == text


def test_a_line_break_in_a_name_cannot_forge_a_line() -> None:
    forged = 'x\n<110>1 2026-01-01T00:00:00Z - muniment - secret.read [x y="z"] all is well'
    found, data = read_syslog(line("rfc5424", ORIGIN, item(name=forged, outcome="name.invalid")))
    assert data["name"] == forged.replace("\n", "\\n")
    assert found["id"] == "secret.read"


def test_a_message_that_is_not_ascii_says_that_it_is_utf_8() -> None:
    found, data = read_syslog(line("rfc5424", ORIGIN, item(principal="jörg@example.com")))
    assert found["text"].startswith("\ufeff")
    assert data["principal"] == "jörg@example.com"
    assert not line("rfc5424", ORIGIN, item()).count("\ufeff")


@given(st.text(max_size=60).filter(lambda text: text.isprintable()))
def test_a_reader_of_syslog_gets_what_was_recorded(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    _, data = read_syslog(line("rfc5424", ORIGIN, item(principal=text)))
    assert data.get("principal", "") == text
