"""Schemathesis finds no answer of the control plane that its description does not tell.

Source: schemathesis 4.  No socket: the description is tried against the whole service itself, with
the real tenant, subscription, group and vault put in now and then.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.transport import Response as Seen

from server.arm import ROUTES
from server.arm_openapi import arm_openapi
from support.managed import BASE, GROUP, Managed, managed_in

SCHEMA = schemathesis.openapi.from_dict(arm_openapi())
WRONG_ANSWERS = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    ]
)


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Managed]:
    home: Path = tmp_path_factory.mktemp("control-plane") / "store"
    with managed_in(home) as managed:
        managed.make("standing", managed.policy("ann", "get"))
        managed.make("deleted")
        managed("DELETE", managed.place("deleted"))
        yield managed


def sent(managed: Managed, case: Case) -> Seen:
    """What the service answers to *case*, in the place that is really there."""
    known = {"subscription": managed.subscription, "group": GROUP, "location": "local"}
    case.path_parameters = {
        name: known.get(name, value) for name, value in (case.path_parameters or {}).items()
    }
    asked = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
    parts = urlsplit(str(asked.url))
    body = asked.body or b""
    raw = body if isinstance(body, bytes) else str(body).encode()
    token = None if "Authorization" in asked.headers else ""
    answer = managed(str(asked.method), f"{parts.path}?{parts.query}", raw, token=token)
    headers = {name.lower(): [value] for name, value in answer.headers.items()}
    return Seen(answer.status, headers, answer.body, asked, elapsed=0.0, verify=True)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_every_answer_is_one_that_is_described(
    managed: Managed, route, mode: GenerationMode
) -> None:
    operation = SCHEMA[route.path][route.method]
    checks: list[Any] = [*WRONG_ANSWERS]

    @settings(
        max_examples=20,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def whatever_is_asked(case: Case) -> None:
        case.validate_response(sent(managed, case), checks=checks)

    whatever_is_asked()


def test_the_description_is_served_and_names_every_operation(managed: Managed) -> None:
    told = managed("GET", "/openapi-control-plane.json", token="").json
    operations = [one["operationId"] for path in told["paths"].values() for one in path.values()]
    assert sorted(operations) == sorted(route.operation for route in ROUTES)
