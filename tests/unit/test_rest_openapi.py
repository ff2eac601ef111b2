"""The OpenAPI description says what the service does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from server.openapi import openapi
from server.routes import ROUTES
from server.versions import STORAGE_VERSIONS, VERSIONS
from support.rest import Rest, rest_in

DESCRIBED = openapi()


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Rest]:
    with rest_in(tmp_path / "store") as rest:
        yield rest


def fits(schema: str, instance: Any) -> None:
    whole = {
        "$ref": f"#/components/schemas/{schema}",
        "components": DESCRIBED["components"],
    }
    jsonschema_rs.Draft202012Validator(whole).validate(instance)


def test_it_is_json_and_every_reference_leads_somewhere() -> None:
    text = json.dumps(DESCRIBED)
    names = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names == set(DESCRIBED["components"]["schemas"])
    assert DESCRIBED["openapi"] == "3.1.0"


def test_every_operation_stands_there_once_under_a_name_of_its_own() -> None:
    described = [
        (method.upper(), path, operation["operationId"])
        for path, methods in DESCRIBED["paths"].items()
        for method, operation in methods.items()
    ]
    assert {(method, path) for method, path, _ in described} == {
        (route.method, route.path) for route in ROUTES
    }
    assert len({name for _, _, name in described}) == len(ROUTES) == 34


def test_an_operation_says_what_it_takes_and_how_it_can_end() -> None:
    for methods in DESCRIBED["paths"].values():
        for method, operation in methods.items():
            [version] = [one for one in operation["parameters"] if one["name"] == "api-version"]
            assert version["required"]
            storage = "storage" in operation["description"]
            assert version["schema"]["enum"] == (STORAGE_VERSIONS if storage else list(VERSIONS))
            assert {"400", "401", "403", "404", "409", "429", "500", "503"} < set(
                operation["responses"]
            )
            assert ("requestBody" in operation) is (method in {"put", "patch"}) or (
                operation["operationId"]
                in {"SecretRestore", "StorageAccountRestore", "StorageAccountRegenerateKey"}
            )


def test_what_is_answered_fits_what_is_described(rest: Rest) -> None:
    rest.set("db", contentType="t", tags={"a": "b"}, attributes={"nbf": 1, "exp": 2})
    rest.set("bare")
    fits("SecretBundle", rest("GET", "/secrets/db").json)
    fits("SecretBundle", rest("PATCH", "/secrets/db", {}).json)
    fits("SecretList", rest("GET", "/secrets").json)
    fits("SecretList", rest("GET", "/secrets?api-version=7.4&maxresults=1").json)
    fits("SecretList", rest("GET", "/secrets/db/versions").json)
    blob = rest("POST", "/secrets/db/backup").json
    fits("Blob", blob)
    fits("DeletedSecretBundle", rest("DELETE", "/secrets/db").json)
    fits("DeletedSecretBundle", rest("GET", "/deletedsecrets/db").json)
    fits("DeletedSecretList", rest("GET", "/deletedsecrets").json)
    for answer in (rest("GET", "/secrets/nil"), rest("GET", "/deletedsecrets/bare")):
        fits("Error", answer.json)
    with pytest.raises(jsonschema_rs.ValidationError):
        fits("DeletedSecretBundle", rest("GET", "/secrets/bare").json)


def test_what_is_described_as_a_body_is_taken_and_what_is_not_is_refused(rest: Rest) -> None:
    bodies: list[dict[str, Any]] = [
        {"value": ""},
        {"value": "v", "contentType": None, "tags": None, "attributes": None},
        {"value": "v", "contentType": "x" * 255, "tags": {"n" * 256: "v" * 256}},
        {"value": "v", "attributes": {"enabled": None, "nbf": 0, "exp": 253_402_300_799}},
        {"value": "x" * 25_600, "more": 1},
        {"value": None},
        {},
        {"value": "v", "tags": {"": ""}},
        {"value": "v", "tags": {str(n): "" for n in range(16)}},
        {"value": "v", "contentType": "x" * 256},
        {"value": "v", "attributes": {"exp": -1}},
        {"value": "v", "attributes": {"enabled": "true"}},
    ]
    for body in bodies:
        try:
            fits("SetSecret", body)
        except jsonschema_rs.ValidationError:
            expected = 400
        else:
            expected = 200
        assert rest("PUT", "/secrets/db", body).status == expected, str(body)[:80]
