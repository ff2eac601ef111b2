"""What a request may look like: paths, methods and bodies that are tolerated, and those that are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server import bodies
from server.hosts import Target, target_of
from server.http import Request
from server.keyvault import plan
from server.skiptoken import Skiptokens
from support.rest import BASE, Rest, rest_in
from unit.test_memory_forms import MARK, whole_chain
from vault.commands import Malformed, SetSecret, UpdateSecret

V = "api-version=7.4"


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Rest]:
    with rest_in(tmp_path / "store") as rest:
        rest.set("db", "a value")
        yield rest


def planned(method: str, path: str, body: bytes = b"", query: str = V, *headers: tuple[str, str]):
    request = Request(method, path, query, headers, body)
    return plan(request, BASE, Skiptokens(b"k" * 32))


# --- paths and methods --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("/secrets/db", "/secrets/db/", "//secrets/db", "///secrets/db/", "/SECRETS/DB"),
        *("/Secrets/db", "/%73ecrets/d%62"),
    ],
)
@pytest.mark.parametrize("query", [V, f"x=y&{V}", f"{V}&", f"&&{V}&q", "API-VERSION=7%2E4"])
def test_slashes_case_encoding_and_the_order_of_the_query_are_tolerated(
    rest: Rest, path: str, query: str
) -> None:
    assert rest("GET", path, query=query).json["value"] == "a value"


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "//", "*", "/keys", "/certificates/a", "/storages", "/secretss", "/secret"),
        *("/secrets/a/b/c", "/secrets/a/versions/b", "/deletedsecrets/a/b", "/../secrets"),
        *("/v/secrets", "/secrets/db;x/y/z", "/openapi.json", "https://host/secrets"),
    ],
)
def test_a_path_of_no_operation_is_nothing(rest: Rest, path: str) -> None:
    for method in ("GET", "PUT", "POST", "HEAD", "BREW"):
        answer = rest(method, path, query=V)
        assert (answer.status, answer.code) == (404, "NotFound")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("HEAD", "/secrets/db", "DELETE, GET, PATCH, PUT"),
        ("OPTIONS", "/secrets", "GET"),
        ("POST", "/secrets", "GET"),
        ("DELETE", "/secrets", "GET"),
        ("DELETE", "/secrets/db/" + "0" * 32, "GET, PATCH"),
        ("PUT", "/secrets/db/" + "0" * 32, "GET, PATCH"),
        ("POST", "/secrets/db/versions", "GET, PATCH"),
        ("GET", "/deletedsecrets/db/recover", "POST"),
        ("PUT", "/deletedsecrets/db", "DELETE, GET"),
        ("OPTIONS", "/secrets/restore", "DELETE, GET, PATCH, POST, PUT"),
        ("get", "/secrets", "GET"),
        ("BREW", "/deletedsecrets", "GET"),
    ],
)
def test_another_method_is_told_which_there_are(
    rest: Rest, method: str, path: str, allowed: str
) -> None:
    answer = rest(method, path)
    assert (answer.status, answer.code) == (405, "MethodNotAllowed")
    assert answer.headers["Allow"] == allowed


def test_an_empty_name_inside_a_path_is_no_name_and_not_another_operation(rest: Rest) -> None:
    for method, path in (
        ("GET", "/secrets//"),
        ("GET", "/secrets//versions"),
        ("DELETE", "/secrets//"),
        ("DELETE", "/deletedsecrets//"),
        ("GET", "/secrets//" + "0" * 32),
    ):
        answer = rest(method, path)
        assert (answer.status, answer.message) == (
            400,
            "The request URI contains an invalid name: ",
        )


@pytest.mark.parametrize("header", ["x-http-method", "x-http-request"])
def test_a_post_may_say_which_method_it_stands_for(rest: Rest, header: str) -> None:
    def post(path: str, method: str, body: Any = None) -> Any:
        return rest("POST", path, body, headers=((header, method),))

    assert post("/secrets/db", "PATCH", {"tags": {"a": "b"}}).json["tags"] == {"a": "b"}
    assert post("/secrets/new", "put", {"value": "v"}).json["value"] == "v"
    assert post("/secrets/db", "DELETE").json["recoveryId"]
    assert post("/deletedsecrets/db", "DELETE").status == 204
    assert post("/secrets/new", "BREW").status == 405
    assert post("/secrets/new/backup", "POST").status == 200


def test_only_a_post_stands_for_another_method_and_for_one_only(rest: Rest) -> None:
    one = (("x-http-method", "DELETE"),)
    assert rest("GET", "/secrets/db", headers=one).json["value"] == "a value"
    both = (*one, ("x-http-request", "PATCH"))
    assert rest("POST", "/secrets/db", headers=both).status == 400
    assert rest("POST", "/secrets/db", headers=one * 2).status == 400
    assert rest("GET", "/secrets/db").status == 200


@pytest.mark.parametrize("body", [None, b"", b"{}", b"null", b"\xff{"])
def test_an_operation_without_a_body_does_not_look_at_one(rest: Rest, body: bytes | None) -> None:
    assert rest("POST", "/secrets/db/backup", body).status == 200
    assert rest("GET", "/secrets/db", body).status == 200
    assert rest("DELETE", "/secrets/db", body).status == 200
    assert rest("POST", "/deletedsecrets/db/recover", body).status == 200


# --- bodies -------------------------------------------------------------------------------------

BAD_BODIES = {
    "none": b"",
    "null": b"null",
    "list": b"[]",
    "text": b'"value"',
    "number": b"1",
    "cut": b'{"value":"v"',
    "two": b'{"value":"v"}{}',
    "trailing": b'{"value":"v"} x',
    "comma": b'{"value":"v",}',
    "single quotes": b"{'value':'v'}",
    "comment": b'{"value":"v"/**/}',
    "byte order mark": b'\xef\xbb\xbf{"value":"v"}',
    "UTF-16": '{"value":"v"}'.encode("utf-16"),
    "value twice": b'{"value":"a","value":"b"}',
    "value twice, escaped": b'{"value":"a","val\\u0075e":"b"}',
    "value twice, colons": b'{"value":"a:b:c","value":"b"}',
    "tag twice": b'{"value":"v","tags":{"a":"1","a":"2"}}',
    "tag twice, escaped": b'{"value":"v","tags":{"a":"1","\\u0061":"2"}}',
    "attribute twice": b'{"value":"v","attributes":{"exp":1,"exp":2}}',
    "attributes twice": b'{"value":"v","attributes":{"exp":1},"attributes":{"nbf":1}}',
    "unknown twice": b'{"value":"v","x":1,"x":1}',
    "unknown twice, deep": b'{"value":"v","x":[{"y":1,"y":1}]}',
    "number for tags": b'{"value":"v","tags":1}',
    "list for tags": b'{"value":"v","tags":[]}',
    "null for a tag": b'{"value":"v","tags":{"a":null}}',
    "number for a tag": b'{"value":"v","tags":{"a":1}}',
    "text for attributes": b'{"value":"v","attributes":"x"}',
    "text for enabled": b'{"value":"v","attributes":{"enabled":"true"}}',
    "number for enabled": b'{"value":"v","attributes":{"enabled":1}}',
    "text for exp": b'{"value":"v","attributes":{"exp":"1"}}',
    "fraction for exp": b'{"value":"v","attributes":{"exp":1.5}}',
    "huge fraction for exp": b'{"value":"v","attributes":{"exp":1e308}}',
    "infinity for exp": b'{"value":"v","attributes":{"exp":-Infinity}}',
    "exponent for exp": b'{"value":"v","attributes":{"exp":1e400}}',
    "truth for exp": b'{"value":"v","attributes":{"exp":true}}',
    "not a number": b'{"value":"v","attributes":{"exp":NaN}}',
    "number for content type": b'{"value":"v","contentType":1}',
    "bad UTF-8": b'{"value":"v","contentType":"\xff"}',
    "overlong UTF-8": b'{"value":"v","contentType":"\xc0\x80"}',
    "surrogate": b'{"value":"v","contentType":"\xed\xa0\x80"}',
    "escaped surrogate": b'{"value":"v","contentType":"\\ud800"}',
    "bad UTF-8 in a tag": b'{"value":"v","tags":{"\xff":"1"}}',
    "bad UTF-8 in an unknown member": b'{"value":"v","x":"\xff"}',
    "bad UTF-8 in an unknown name": b'{"value":"v","\xff":1}',
    "control character": b'{"value":"v","contentType":"\n"}',
    "deep list": b'{"value":"v","x":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
    "deep object": b'{"value":"v","x":' + b'{"a":' * 30_000 + b"1" + b"}" * 30_000 + b"}",
    "open lists": b"[" * 250_000,
    "long number": b'{"value":"v","attributes":{"exp":' + b"9" * 10_000 + b"}}",
    "zeros ahead": b'{"value":"v","attributes":{"exp":01}}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_body_that_is_not_strict_json_is_a_bad_request_and_does_nothing(
    rest: Rest, body: bytes
) -> None:
    before = rest.life.vault.changes.head().size
    for method, path in (("PUT", "/secrets/db"), ("PATCH", "/secrets/db")):
        answer = rest(method, path, body)
        assert (answer.status, answer.code in {"BadParameter", "BadRequest"}) == (400, True)
    assert rest.life.vault.changes.head().size == before


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"value":null}',
        b'{"value":1}',
        b'{"value":["v"]}',
        b'{"Value":"v"}',
        b'{"value":"\xff"}',
        b'{"value":"\\ud800"}',
        b'{"value":"\\ud83d\\u0061"}',
        b'{"value":"a","value":"b"}',
    ],
    ids=ascii,
)
def test_a_value_is_a_text_and_is_there(rest: Rest, body: bytes) -> None:
    for method, path in (("PUT", "/secrets/db"), ("POST", "/secrets/restore")):
        answer = rest(method, path, body)
        assert (answer.status, answer.code) == (400, "BadParameter")
    assert rest("GET", "/secrets/db").json["value"] == "a value"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b' \r\n\t{ "value" : "v:w" , "tags" : { } } ', "v:w"),
        (b'{"value":"v","unknown":{"a":[1,2.5,null,true,"\xc3\xa9"]},"kid":"x"}', "v"),
        (b'{"value":"\\ud83d\\udd12\\u0000\\/"}', "\N{LOCK}\0/"),
        (b'{"val\\u0075e":"v"}', "v"),
        (b'{"value":"{\\"value\\":1,\\"value\\":2}"}', '{"value":1,"value":2}'),
        (b'{"attributes":{"enabled":true,"created":1,"recoveryLevel":"x"},"value":"v"}', "v"),
    ],
    ids=ascii,
)
def test_any_writing_of_json_is_read_and_unknown_members_are_passed_over(
    rest: Rest, body: bytes, value: str
) -> None:
    assert rest("PUT", "/secrets/db", body).json["value"] == value


def test_the_largest_secret_fits_in_the_largest_body_however_it_is_written(rest: Rest) -> None:
    def escaped(text: str) -> str:
        return '"' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"'

    tags = ",".join(
        f"{escaped(chr(97 + number) + 'n' * 255)}:{escaped('v' * 256)}" for number in range(15)
    )
    body = (
        f'{{"value":{escaped("x" * 25_600)},"contentType":{escaped("t" * 255)},"tags":{{{tags}}},'
        '"attributes":{"enabled":true,"nbf":253402300799,"exp":253402300799}}'
    ).encode()
    assert 64 * 1024 < len(body) <= bodies.LARGEST
    answer = rest("PUT", "/secrets/db", body)
    assert (answer.status, len(answer.json["value"]), len(answer.json["tags"])) == (200, 25_600, 15)


@pytest.mark.parametrize("written", ["1500000000", "1500000000.0", "1.5e9", "15E+8"])
def test_a_whole_number_may_be_written_in_any_way_that_json_has(rest: Rest, written: str) -> None:
    body = f'{{"value":"v","attributes":{{"exp":{written}}}}}'.encode()
    for method in ("PUT", "PATCH"):
        answer = rest(method, "/secrets/db", body)
        assert (answer.status, b'"exp":1500000000,' in answer.body) == (200, True)


def test_an_update_of_nothing_is_an_update(rest: Rest) -> None:
    assert isinstance(planned("PATCH", "/secrets/db", b"{}").command, UpdateSecret)
    assert rest("PATCH", "/secrets/db", {}).status == 200


# --- nothing is quoted, nothing is kept -----------------------------------------------------------


MARKED = [
    b'{"value":"xyzzy"',
    b'{"value":"xyzzy","value":"xyzzy"}',
    b'{"value":{"xyzzy":"xyzzy"}}',
    b'{"value":"xyzzy","tags":{"xyzzy":1}}',
    b'{"value":"xyzzy","contentType":"\xff"}',
    b'{"value":"xyzzy\xff"}',
    b'{"value":"xyzzy","xyzzy":NaN}',
    b'{"value":"xyzzy","attributes":{"exp":"xyzzy"}}',
    b"xyzzy",
]


@pytest.mark.parametrize("body", MARKED, ids=ascii)
def test_no_refusal_of_a_body_quotes_it_or_keeps_it(rest: Rest, body: bytes) -> None:
    for method, path in (("PUT", "/secrets/db"), ("POST", "/secrets/restore")):
        made = planned(method, path, body).command
        assert isinstance(made, Malformed)
        for link in whole_chain(made.problem):
            assert MARK not in f"{link!r} {link} {link.args} {vars(link)}"
            assert link.__traceback__ is None
        assert MARK not in repr(made)
        answer = rest(method, path, body)
        assert answer.status == 400
        assert MARK.encode() not in answer.body


def test_no_plan_shows_a_value() -> None:
    body = b'{"value":"xyzzy","tags":{"xyzzy":"xyzzy"}}'
    made = planned("PUT", "/secrets/db", body)
    assert isinstance(made.command, SetSecret)
    assert made.command.value == MARK
    assert MARK not in repr(made)
    assert MARK not in repr(bodies.read_set(body))
    assert MARK not in repr(bodies.read_update(body))


def test_a_malformed_request_is_recorded_as_a_refusal_of_what_it_asked_for(rest: Rest) -> None:
    for method, path, query, body, told in (
        ("PUT", "/secrets/db", V, b"{", ("secret.set", "db", "body.malformed")),
        ("PATCH", "/secrets/a_b", V, b"", ("secret.updated", "a_b", "body.malformed")),
        ("POST", "/secrets/restore", V, b"{}", ("secret.restored", "", "body.malformed")),
        (
            "POST",
            "/secrets/restore",
            V,
            b'{"value":"!"}',
            ("secret.restored", "", "backup.invalid"),
        ),
        ("GET", "/secrets/db", "", b"", ("secret.read", "db", "api-version.missing")),
        ("GET", "/secrets", "api-version=1", b"", ("secrets.listed", "", "api-version.unknown")),
        ("GET", "/secrets", V + "&maxresults=x", b"", ("secrets.listed", "", "query.malformed")),
        ("GET", "/secrets", V + "&$skiptoken=x", b"", ("secrets.listed", "", "skiptoken.invalid")),
    ):
        assert rest(method, path, body, query=query).status == 400
        trace = rest.life.traces()[-1]
        assert (trace.event.operation, trace.event.name, trace.context.outcome) == told


def test_a_malformed_request_has_no_answer_to_write() -> None:
    made = planned("PUT", "/secrets/db", b"{")
    assert made.operation == "SecretSet"
    with pytest.raises(TypeError):
        made.render(None)


@pytest.mark.parametrize(
    "hosts", [[], ["a.vault.localhost", "b.vault.localhost"], ["a.other.host"]]
)
def test_not_one_host_of_the_service_is_no_vault(hosts: list[str]) -> None:
    assert target_of(hosts, "vault.localhost") is None
    assert target_of(["A.vault.localhost:8443"], "vault.localhost") == Target(
        "a", "https://a.vault.localhost:8443", "https://vault.localhost:8443"
    )
