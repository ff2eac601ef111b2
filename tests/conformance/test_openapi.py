"""Schemathesis, from the OpenAPI description alone, finds no answer that the description does not tell.

Source: schemathesis 4.  No socket: the description is tried against the edge itself.
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

from server.http import Request
from server.openapi import openapi
from server.problems import Problem
from server.routes import ROUTES
from support.rest import BASE, Rest, rest_in
from vault.commands import RestoreSecret
from vault.storage_commands import (
    RestoreStorageAccount,
    SetSasDefinition,
    SetStorageAccount,
    UpdateSasDefinition,
    UpdateStorageAccount,
)

SCHEMA = schemathesis.openapi.from_dict(openapi())
WRONG_ANSWERS = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    ]
)
"""Of each answer."""
TAKEN_WRONGLY = CHECKS.get_by_names(["negative_data_rejection"])
REFUSED_WRONGLY = CHECKS.get_by_names(["positive_data_acceptance"])
"""But for what no description can say: which text is a backup or a template, and how long a period
may be that a flag asks for."""
UNSAYABLE = (
    RestoreSecret,
    RestoreStorageAccount,
    SetStorageAccount,
    UpdateStorageAccount,
    SetSasDefinition,
    UpdateSasDefinition,
)


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rest]:
    home: Path = tmp_path_factory.mktemp("openapi") / "store"
    with rest_in(home) as rest:
        rest.set("db")
        yield rest


def sent(rest: Rest, case: Case) -> Seen:
    """What the edge answers to *case*, as schemathesis sees answers."""
    asked = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
    parts = urlsplit(str(asked.url))
    body = asked.body or b""
    raw = body if isinstance(body, bytes) else str(body).encode()
    answer = Problem(401, "Unauthorized", "No token.").response()
    if "Authorization" in asked.headers:  # whose token it is, is tried elsewhere
        answer = rest.answer(Request(str(asked.method), parts.path, parts.query, (), raw))
    headers = {name.lower(): [value] for name, value in answer.headers}
    return Seen(answer.status, headers, answer.body, asked, elapsed=0.0, verify=True)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_answer_is_one_that_is_described(rest: Rest, route, mode: GenerationMode) -> None:
    operation = SCHEMA[route.path][route.method]
    checks: list[Any] = [*WRONG_ANSWERS, *TAKEN_WRONGLY]
    if route.kind not in UNSAYABLE:
        checks += REFUSED_WRONGLY

    @settings(
        max_examples=20,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def whatever_is_asked(case: Case) -> None:
        case.validate_response(sent(rest, case), checks=checks)

    whatever_is_asked()
