"""Lists over REST: page after page by nextLink, and tokens that nobody else can make."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from server.skiptoken import Place, Skiptokens
from support.rest import BASE, Rest, rest_in
from vault.commands import DeleteSecret

LISTS = ("/secrets", "/deletedsecrets", "/secrets/versioned/versions")


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Rest]:
    with rest_in(tmp_path / "store") as rest:
        yield rest


def fill(rest: Rest, count: int = 5) -> None:
    """Have *count* entries in each of the three lists."""
    for number in range(count):
        rest.life.set(f"dead{number}")
        rest.life(DeleteSecret(name=f"dead{number}"))
        rest.life.set("versioned")
        if number:
            rest.life.set(f"live{number}")


def token_in(link: str) -> str:
    return parse_qs(urlsplit(link).query)["$skiptoken"][0]


# --- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5, 25])
@pytest.mark.parametrize("path", LISTS)
def test_pages_give_everything_once_and_in_order(rest: Rest, path: str, size: int) -> None:
    fill(rest)
    [whole] = rest.pages(path + "?api-version=7.4")
    found = rest.pages(f"{path}?api-version=7.4&maxresults={size}")
    assert len(whole) == 5
    assert [item for page in found for item in page] == whole
    assert {len(page) for page in found[:-1]} <= {size}


def test_a_page_has_25_items_unless_fewer_are_asked_for(rest: Rest) -> None:
    for number in range(51):
        rest.life.set(f"s{number}")
    assert [len(page) for page in rest.pages("/secrets")] == [25, 25, 1]


def test_a_full_last_page_links_to_an_empty_one_that_ends_the_list(rest: Rest) -> None:
    fill(rest, 4)
    sizes = [len(page) for page in rest.pages("/secrets?api-version=7.4&maxresults=2")]
    assert sizes == [2, 2, 0]


def test_the_next_link_tells_host_and_port_version_and_size(rest: Rest) -> None:
    fill(rest)
    link = rest("GET", "//secrets/?maxresults=2&api-version=7.1").json["nextLink"]
    parts = urlsplit(link)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{BASE}/secrets"
    query = parse_qs(parts.query)
    assert (query["api-version"], query["maxresults"]) == (["7.1"], ["2"])
    assert list(query) == ["api-version", "$skiptoken", "maxresults"]
    rest.base = "https://test-vault.example"
    link = rest("GET", "/secrets?maxresults=2&api-version=7.1").json["nextLink"]
    assert link.startswith("https://test-vault.example:443/secrets?api-version=7.1&$skiptoken=")


def test_a_client_may_leave_out_the_port_of_a_link_or_encode_its_query(rest: Rest) -> None:
    fill(rest)
    rest.base = "https://test-vault.example"
    link = rest("GET", "/secrets?api-version=7.4&maxresults=2").json["nextLink"]
    query = urlsplit(link).query.replace("$", "%24")
    for base in ("https://test-vault.example:443", "https://TEST-vault.example"):
        rest.base = base
        assert len(rest("GET", "/secrets", query=query).json["value"]) == 2


def test_items_have_the_identifier_without_a_version_except_among_versions(rest: Rest) -> None:
    made = rest.set("db", tags={"a": "b"}, contentType="t", attributes={"exp": 5})
    [item] = rest("GET", "/secrets").json["value"]
    assert list(item) == ["contentType", "id", "attributes", "tags"]
    assert item == {
        **{key: value for key, value in made.items() if key != "value"},
        "id": f"{BASE}/secrets/db",
    }
    [version] = rest("GET", "/secrets/db/versions").json["value"]
    assert version["id"] == made["id"]
    deleted = rest("DELETE", "/secrets/db").json
    [item] = rest("GET", "/deletedsecrets").json["value"]
    assert item == {**deleted, "id": f"{BASE}/secrets/db"}
    assert list(item)[:3] == ["recoveryId", "deletedDate", "scheduledPurgeDate"]


@pytest.mark.parametrize("path", ["/secrets", "/deletedsecrets", "/secrets/nil/versions"])
def test_a_list_of_nothing_is_empty_and_says_that_it_ends(rest: Rest, path: str) -> None:
    assert rest("GET", path).body == b'{"value":[],"nextLink":null}'


def test_a_deleted_secret_has_no_versions_and_a_disabled_one_is_listed(rest: Rest) -> None:
    rest.set("gone")
    rest("DELETE", "/secrets/gone")
    rest.set("off", attributes={"enabled": False})
    assert rest("GET", "/secrets/gone/versions").json == {"value": [], "nextLink": None}
    [item] = rest("GET", "/secrets").json["value"]
    assert item["attributes"]["enabled"] is False


@pytest.mark.parametrize(
    "size", ["0", "26", "-1", "", "x", "1.5", "+1", " 1", "1_0", "\u0661", "9" * 5000, "0x1"]
)
@pytest.mark.parametrize("path", LISTS)
def test_a_page_size_that_is_not_1_to_25_is_refused(rest: Rest, path: str, size: str) -> None:
    answer = rest("GET", f"{path}?api-version=7.4&maxresults={quote(size)}")
    assert (answer.status, answer.code, answer.message) == (
        400,
        "BadParameter",
        "invalid maxresults",
    )


# --- tokens -------------------------------------------------------------------------------------


def first_token(rest: Rest, path: str) -> str:
    return token_in(rest("GET", f"{path}?api-version=7.4&maxresults=2").json["nextLink"])


def with_token(rest: Rest, path: str, token: str) -> tuple[int, str]:
    answer = rest("GET", path, query=f"api-version=7.4&maxresults=2&$skiptoken={quote(token)}")
    return answer.status, answer.code if answer.status != 200 else ""


def flipped(token: str, at: int) -> str:
    raw = bytearray(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[at] ^= 1
    return urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize("path", LISTS)
def test_a_token_altered_anywhere_is_refused(rest: Rest, path: str) -> None:
    fill(rest)
    token = first_token(rest, path)
    size = len(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    assert with_token(rest, path, token) == (200, "")
    for at in range(size):
        assert with_token(rest, path, flipped(token, at)) == (400, "BadParameter")


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: "",
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token + "=",
        lambda token: token[:4] + "\n" + token[4:],
        lambda token: token[:22],
        lambda token: "A" * 100_000,
        lambda token: "\u00e9" * 30,
        lambda token: urlsafe_b64encode(b"\0" * 16 + b"live1").decode(),
        lambda token: urlsafe_b64encode(b'{"NextMarker":"2!132!","TargetLocation":0}').decode(),
    ],
)
def test_a_forged_token_is_refused(rest: Rest, forge: object) -> None:
    fill(rest)
    assert callable(forge)
    forged = forge(first_token(rest, "/secrets"))
    assert with_token(rest, "/secrets", forged) == (400, "BadParameter")


def test_a_token_is_good_for_its_list_its_secret_and_its_vault_alone(rest: Rest) -> None:
    fill(rest)
    for _ in range(3):
        rest.life.set("other")
    tokens = {path: first_token(rest, path) for path in (*LISTS, "/secrets/other/versions")}
    for path in tokens:
        taken = {
            other for other, token in tokens.items() if with_token(rest, path, token)[0] == 200
        }
        assert taken == {path}
    assert with_token(rest, "/secrets/VERSIONED/versions", tokens[LISTS[2]])[0] == 200
    for base in (
        "https://other-vault.vault.localhost:8443",
        f"{BASE}0",
        BASE.replace("https", "http"),
    ):
        rest.base = base
        assert with_token(rest, "/secrets", tokens["/secrets"])[0] == 400
    rest.base, rest.skip = BASE, Skiptokens(b"another key" * 3)
    assert with_token(rest, "/secrets", tokens["/secrets"])[0] == 400


def test_parts_of_a_place_cannot_be_shifted_against_each_other() -> None:
    skip = Skiptokens(b"k" * 32)
    token = skip.issue(Place("https://a:1", "SecretList", "AB"), "C")
    other = skip.issue(Place("https://a:1", "SecretList", "A"), "BC")
    assert token[:20] != other[:20]
