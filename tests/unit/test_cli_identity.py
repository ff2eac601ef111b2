"""`muniment identity` and `muniment token`: clients, issuers, and tokens at the terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import RSAKey

from server.identities import Identities
from server.roll import claimed
from server.tokens import Authenticator, Principal, Unauthenticated
from support.sign_in import OUTSIDE, RSA, RSA_PRIVATE, bearing, key_set
from support.terminal import Ran, Terminal
from vault.store import Store

OBJECT = "11111111-1111-4111-8111-111111111111"
RESOURCE = "https://kv.example:8443"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.must("init", "main")
    return terminal


def who(terminal: Terminal, token: str, resource: str, *, manages: bool = False) -> Principal:
    """Whom a service over the store takes the holder of *token* for."""
    with Store.open(terminal.home) as store:
        authenticator = Authenticator(Identities(store))
        try:
            return authenticator.authenticate(bearing(token), resource, manages=manages)
        finally:
            authenticator.close()


def accepts(terminal: Terminal, secret: str) -> bool:
    with Store.open(terminal.home) as store:
        known = Identities(store)
        application, kept = claimed(known.roll, secret, known.now)
        return kept.fits(secret) and application is not None


def refused(ran: Ran, status: int, code: str) -> None:
    assert ran.status == status
    assert ran.error["code"] == code
    assert ran.out == b""


# --- clients --------------------------------------------------------------------------------------


def test_a_new_client_is_shown_with_its_secret_once(terminal: Terminal) -> None:
    ran = terminal.must("identity", "add", "app", "--object-id", OBJECT, "-o", "json")

    made = ran.json
    assert made["name"] == "app"
    assert made["objectId"] == OBJECT
    assert accepts(terminal, made["clientSecret"])
    assert made["clientSecret"] not in ran.told
    assert f"--object-id {OBJECT}" in ran.told
    listed = terminal.must("identity", "list", "-o", "json")
    assert [one["clientId"] for one in listed.json] == [made["clientId"]]
    assert made["clientSecret"].partition("~")[2] not in listed.text
    terminal.check()


def test_a_rotated_secret_replaces_or_joins_the_old_one(terminal: Terminal) -> None:
    first = terminal.json("identity", "add", "app")["clientSecret"]
    second = terminal.json("identity", "rotate", "app", "--keep-days", "1")["clientSecret"]
    assert accepts(terminal, first)
    assert accepts(terminal, second)

    third = terminal.json("identity", "rotate", "app")["clientSecret"]
    assert not accepts(terminal, first)
    assert not accepts(terminal, second)
    assert accepts(terminal, third)
    terminal.check()


def test_a_client_with_a_public_key_gets_no_secret(terminal: Terminal) -> None:
    file = terminal.directory / "key.pem"
    public = RSA_PRIVATE.public_key()
    file.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    ran = terminal.must("identity", "add", "app", "--public-key", str(file), "-o", "json")

    assert "clientSecret" not in ran.json
    assert "shown this once" not in ran.told
    [listed] = terminal.json("identity", "list")
    assert len(listed["keys"]) == 1
    assert listed["secretsEnd"] == []
    terminal.check()


def test_a_removed_client_is_gone(terminal: Terminal) -> None:
    secret = terminal.json("identity", "add", "app")["clientSecret"]
    unasked = terminal.run("identity", "remove", "app", "-o", "json")
    refused(unasked, 2, "confirm.missing")
    assert "--plan" not in str(unasked.error), "it has none"
    assert accepts(terminal, secret)

    terminal.must("identity", "remove", "app", "--yes")

    assert not accepts(terminal, secret)
    assert terminal.json("identity", "list") == []
    refused(terminal.run("identity", "remove", "app", "--yes", "-o", "json"), 3, NOT_FOUND)
    refused(terminal.run("identity", "rotate", "app", "-o", "json"), 3, NOT_FOUND)
    refused(terminal.run("token", "issue", "app", "-o", "json"), 3, NOT_FOUND)
    terminal.check()


NOT_FOUND = "identity.not-found"


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("add", "APP"), 5, "identity.exists"),
        (("add", "other", "--object-id", OBJECT.upper()), 5, "identity.exists"),
        (("add", "two words"), 2, "identity.invalid"),
        (("add", "other", "--object-id", "alice"), 2, "identity.invalid"),
        (("add", "other", "--client-id", "alice"), 2, "identity.invalid"),
        (("add", "other", "--days", "0"), 2, "usage"),
        (("add", "other", "--public-key", "/nowhere"), 1, "file.unusable"),
        (("add", "other", "--public-key", "/dev/null"), 2, "identity.invalid"),
        (("add",), 2, "usage"),
        (("rotate",), 2, "usage"),
        (("rotate", "app", "--signing-key"), 2, "usage"),
        (("rotate", "app", "--revoke"), 2, "usage"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused(
    terminal: Terminal, arguments: tuple[str, ...], status: int, code: str
) -> None:
    before = terminal.json("identity", "add", "app", "--object-id", OBJECT)
    refused(terminal.run("identity", *arguments, "-o", "json"), status, code)
    [kept] = terminal.json("identity", "list")
    assert kept["clientId"] == before["clientId"]
    terminal.check()


def test_without_a_store_there_are_no_identities(tmp_path: Path) -> None:
    refused(Terminal(tmp_path).run("identity", "list", "-o", "json"), 10, "store.not-found")


# --- issuers --------------------------------------------------------------------------------------


def test_an_issuer_is_trusted_with_the_keys_in_a_file(terminal: Terminal) -> None:
    file = terminal.directory / "jwks.json"
    file.write_bytes(key_set(RSA))

    terminal.must(
        *("identity", "trust", OUTSIDE, "--jwks-file", str(file)),
        *("--audience", "api://a", "api://b", "--tenant", "t"),
    )

    [trusted] = terminal.json("identity", "list", "--issuers")
    assert trusted == {
        "issuer": OUTSIDE,
        "audiences": ["api://a", "api://b"],
        "tenant": "t",
        "keysFrom": "pinned",
    }
    terminal.must("identity", "remove", OUTSIDE, "--issuer", "--yes")
    assert terminal.json("identity", "list", "--issuers") == []
    terminal.check()


@pytest.mark.parametrize(
    "arguments",
    [
        ("http://issuer.example", "--jwks-url", "https://issuer.example/keys"),
        (OUTSIDE, "--jwks-url", "http://issuer.example/keys"),
        (OUTSIDE, "--jwks-file", "/dev/null"),
        (OUTSIDE, "--jwks-file", "/etc/hostname"),
        (OUTSIDE, "--jwks-file", "/etc/hostname", "--jwks-url", "https://issuer.example/keys"),
        ("https://127.0.0.1:9",),
    ],
    ids=" ".join,
)
def test_an_issuer_that_could_be_anybody_is_not_trusted(
    terminal: Terminal, arguments: tuple[str, ...]
) -> None:
    assert terminal.run("identity", "trust", *arguments).status == 2
    assert terminal.json("identity", "list", "--issuers") == []
    terminal.check()


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_is_printed_alone_and_opens_the_service(terminal: Terminal) -> None:
    made = terminal.json("identity", "add", "app", "--object-id", OBJECT)

    by_name = terminal.must("token", "issue", "app", "--resource", RESOURCE).text
    by_id = terminal.must(
        "token", "issue", "--client-id", made["clientId"], "--resource", RESOURCE + "/"
    ).text

    for text in (by_name, by_id):
        assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", text)
        principal = who(terminal, text.strip(), RESOURCE)
        assert principal.oid == OBJECT
        assert re.fullmatch(r"issued by local:\S+", principal.method)
    terminal.check()


def test_a_token_is_for_the_domain_and_port_that_the_service_has(terminal: Terminal) -> None:
    terminal.must("identity", "add", "app")
    where = ("--domain", "vault.example.com", "--port", "9443")
    token = terminal.must("token", "issue", "app", *where).text.strip()
    assert who(terminal, token, "https://vault.example.com:9443").name == "app"


def test_a_token_opens_the_control_plane_only_if_it_was_asked_for(terminal: Terminal) -> None:
    terminal.json("identity", "add", "app")

    def manages(*more: str) -> str:
        token = terminal.must("token", "issue", "app", "--resource", RESOURCE, *more).text.strip()
        assert who(terminal, token, RESOURCE).name == "app"
        return who(terminal, token, RESOURCE, manages=True).name

    assert manages("--control-plane") == "app"
    with pytest.raises(Unauthenticated):
        manages()


def test_a_token_is_good_for_as_long_as_it_says(terminal: Terminal) -> None:
    terminal.must("identity", "add", "app")
    told = terminal.json("token", "issue", "app", "--lifetime", "60")
    assert told["tokenType"] == "Bearer"
    with Store.open(terminal.home) as store:
        [key] = Identities(store).roll.signing
    claims = jwt.decode(
        told["accessToken"], RSAKey.import_key(key.public), algorithms=["RS256"]
    ).claims
    assert claims["exp"] - claims["iat"] == 60
    assert claims["aud"] == "https://vault.localhost:8443"
    terminal.check()


def test_a_token_outlives_a_new_signing_key(terminal: Terminal) -> None:
    terminal.must("identity", "add", "app")
    token = terminal.must("token", "issue", "app", "--resource", RESOURCE).text.strip()
    kid = terminal.json("identity", "rotate", "--signing-key")["kid"]
    newer = terminal.must("token", "issue", "app", "--resource", RESOURCE).text.strip()

    assert who(terminal, token, RESOURCE).name == who(terminal, newer, RESOURCE).name == "app"
    with Store.open(terminal.home) as store:
        assert Identities(store).roll.signing[0].kid == kid

    terminal.must("identity", "rotate", "--signing-key", "--revoke")
    for old in (token, newer):
        with pytest.raises(Unauthenticated):
            who(terminal, old, RESOURCE)
    terminal.check()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("app", "--client-id", "app"),
        ("app", "--lifetime", "0"),
        ("app", "--lifetime", "86401"),
        ("app", "--resource", "http://vault.localhost:8443"),
        ("app", "--resource", "vault.localhost"),
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_a_token_for_nobody_or_for_ever_is_refused(
    terminal: Terminal, arguments: tuple[str, ...]
) -> None:
    terminal.must("identity", "add", "app")
    refused(terminal.run("token", "issue", *arguments, "-o", "json"), 2, "usage")
    terminal.check()


def test_who_may_sign_in_is_on_record_in_every_vault(terminal: Terminal) -> None:
    terminal.must("vault", "create", "other")
    terminal.must("identity", "add", "app", "--object-id", OBJECT)
    terminal.must("identity", "rotate", "app")
    terminal.must("token", "issue", "app", "--resource", RESOURCE)
    terminal.must("identity", "rotate", "--signing-key", "--revoke")
    terminal.must("identity", "remove", "app", "--yes")
    for vault in ("main", "other"):
        items = terminal.must("log", "--vault-name", vault, "-o", "json").json
        changes = [one for one in items if one["operation"] == "identity.changed"]
        assert [one["details"]["change"] for one in changes] == [
            "client-added",
            "secret-rotated",
            "token-issued",
            "tokens-revoked",
            "client-removed",
        ]
        assert {one["details"].get("client") for one in changes} == {"app", None}


def test_a_secret_is_not_shown_if_that_cannot_be_recorded(terminal: Terminal) -> None:
    log = next(terminal.home.glob("vaults/*/access/data.mdb"))
    log.write_bytes(log.read_bytes()[:4096])
    ran = terminal.run("identity", "add", "app", "-o", "json")
    assert ran.status != 0
    assert b"clientSecret" not in ran.out


def test_an_administrator_of_the_store_is_registered_as_one_and_it_is_recorded(
    terminal: Terminal,
) -> None:
    made = terminal.json("identity", "add", "ops", "--store-administrator")
    terminal.must("identity", "add", "app")
    listed = terminal.json("identity", "list")
    assert {one["name"]: one["storeAdministrator"] for one in listed} == {"ops": True, "app": False}
    [change] = [
        one
        for one in terminal.json("log")
        if one["details"].get("change") == "store-administrator-added"
    ]
    assert (change["details"]["client"], change["name"]) == ("ops", made["objectId"])
