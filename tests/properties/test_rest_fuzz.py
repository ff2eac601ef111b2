"""Whatever is sent, the edge makes a command of it or says why not, and quotes nothing of the body."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from server.http import Request
from server.keyvault import Plan, plan
from server.problems import Problem
from server.routes import ROUTES, find
from server.skiptoken import Place, Skiptokens
from support.rest import BASE, told
from vault.commands import Malformed

SKIP = Skiptokens(b"k" * 32)
METHODS = st.sampled_from(["GET", "PUT", "PATCH", "DELETE", "POST", "HEAD", ""]) | st.text()
PARTS = st.sampled_from(
    [
        *("secrets", "deletedsecrets", "restore", "versions", "backup", "recover", "db", "", "%"),
        *("%zz", "storage", "deletedstorage", "sas", "regeneratekey"),
    ]
)
PATHS = st.lists(PARTS | st.text(max_size=8), max_size=5).map("/".join).map(lambda path: "/" + path)
PAIRS = st.tuples(
    st.sampled_from(["api-version", "maxresults", "$skiptoken", "%24skiptoken", "outContentType"])
    | st.text(max_size=5),
    st.sampled_from(["7.4", "7.3", "2", "A" * 40]) | st.text(max_size=30),
)
QUERIES = st.lists(PAIRS.map("=".join), max_size=4).map("&".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
MEMBERS = st.dictionaries(
    st.sampled_from(
        [
            *("value", "contentType", "tags", "attributes", "enabled", "exp", "resourceId"),
            *("activeKeyName", "autoRegenerateKey", "regenerationPeriod", "keyName"),
            *("templateUri", "sasType", "validityPeriod"),
        ]
    ),
    VALUES,
)
BODIES = st.binary(max_size=200) | MEMBERS.map(lambda body: json.dumps(body).encode())


def planned(request: Request) -> Plan | Problem:
    try:
        return plan(request, BASE, SKIP)
    except Problem as problem:
        return problem


@given(method=METHODS, path=PATHS, query=QUERIES, body=BODIES)
@example(method="PUT", path="/secrets/db", query="api-version=7.4", body=b'{"value":"v"}')
def test_any_request_becomes_a_command_or_an_answer(
    method: str, path: str, query: str, body: bytes
) -> None:
    made = planned(Request(method, path, query, (), body))
    if isinstance(made, Problem):
        assert told(made.response()).status in {404, 405}
    elif isinstance(made.command, Malformed):
        answer = told(made.problem_of(made.command.problem, "caller", "v").response())
        assert answer.status == 400


NAMES = st.from_regex(r"[0-9a-zA-Z-]{1,127}", fullmatch=True)


@given(after=NAMES, name=st.text(max_size=127))
@example(after="a" * 127, name="a" * 127)
def test_a_token_says_what_it_was_issued_for(after: str, name: str) -> None:
    place = Place(BASE, "SecretList", name)
    assert SKIP.read(place, SKIP.issue(place, after)) == after


@given(name=NAMES)
def test_a_path_that_the_table_writes_leads_back_to_its_operation(name: str) -> None:
    version = "0" * 32
    for route in ROUTES:
        if name.lower() == "restore" and route.path in ("/secrets/{name}", "/storage/{name}"):
            continue
        path = route.path.replace("{name}", name).replace("{version}", version)
        path = path.replace("{sas}", f"{name}0")
        found = find(route.method, path)
        assert found.route.kind is route.kind
        assert found.name == (name if "{name}" in route.path else "")
        assert found.sas == (f"{name}0" if "{sas}" in route.path else "")
