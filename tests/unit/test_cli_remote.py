"""The verbs of `secret` against a server, as against a store."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.keyvault import TENANT, Canned, KeyVault
from support.terminal import Ran, Terminal
from support.vaults import ALICE, check_store, make_vault
from vault.commands import ListSecrets, SetSecret
from vault.history_commands import ReadHistory
from vault.rule_commands import SetPolicy


class Stage:
    """A terminal, a server, and the vault behind it.  The terminal has no store of its own."""

    def __init__(self, directory: Path) -> None:
        self.terminal = Terminal(directory / "client")
        self.terminal.directory.mkdir()
        self.home = directory / "served"
        self.store, self.vault = make_vault(self.home)
        self.server = KeyVault(directory, self.vault)
        self.terminal.environ |= self.server.environ

    def run(self, *arguments: str, stdin: bytes | str = b"", **environ: str) -> Ran:
        return self.terminal.run("secret", *arguments, stdin=stdin, environ=environ)

    def must(self, *arguments: str, stdin: bytes | str = b"", **environ: str) -> Ran:
        ran = self.run(*arguments, stdin=stdin, **environ)
        assert ran.status == 0, ran
        return ran

    def json(self, *arguments: str, stdin: bytes | str = b"") -> Any:
        return self.must(*arguments, "-o", "json", stdin=stdin).json

    def fails(
        self, status: int, code: str, *arguments: str, stdin: str = "", **environ: str
    ) -> Ran:
        ran = self.run(*arguments, "-o", "json", stdin=stdin, **environ)
        assert (ran.status, ran.error["code"]) == (status, code), ran
        return ran

    def end(self) -> None:
        self.server.close()
        self.store.close()
        check_store(self.home)
        assert not self.terminal.home.exists()

    def history(self) -> list[str]:
        return [item.operation for item in self.vault.handle(ALICE, ReadHistory())]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.end()


# --- the same as with a store ---------------------------------------------------------------------

LIFE: list[tuple[list[str], str]] = [
    (["set", "a", "--tags", "env=prod", "t=1", "--content-type", "text/plain"], "hunter2\n"),
    (["set", "a", "--expires", "2031-01-02", "--not-before", "2020-02-03"], "zwei"),
    (["set", "Off", "--enabled", "false"], ""),
    (["show", "a"], ""),
    (["show", "A"], ""),
    (["show", "--id", "https://test-vault.vault.azure.net/secrets/a"], ""),
    (["show", "off"], ""),
    (["show", "nothing"], ""),
    (["show", "a", "--version", "0" * 32], ""),
    (["show", "a", "--version", "versions"], ""),
    (["show", "a/../b"], ""),
    (["show", ".."], ""),
    (["show", ""], ""),
    (["list"], ""),
    (["list", "--maxresults", "1"], ""),
    (["list-versions", "nothing"], ""),
    (["set-attributes", "a", "--tags", "x=y", "--content-type", "application/json"], ""),
    (["set-attributes", "a", "--expires", "none", "--not-before", "none"], ""),
    (["set-attributes", "a", "--content-type", "none", "--tags", ""], ""),
    (["set-attributes", "a", "--enabled", "false"], ""),
    (["show", "a"], ""),
    (["set-attributes", "a", "--enabled", "true"], ""),
    (["set-attributes", "a"], ""),
    (["recover", "a"], ""),
    (["delete", "a"], ""),
    (["delete", "a"], ""),
    (["set", "a"], "again"),
    (["show-deleted", "a"], ""),
    (["list-deleted"], ""),
    (["recover", "a"], ""),
    (["show", "a"], ""),
    (["show-deleted", "a"], ""),
    (["purge", "nothing", "--yes"], ""),
    (["purge", "a"], ""),
    (["set", "big"], "x" * 25_601),
    (["set", "tagged", "--tags", *[f"k{n}=v" for n in range(16)]], "value"),
    (["list", "--query", "[].name", "-o", "tsv"], ""),
]


def plain(text: str) -> str:
    """What is left of an output without what differs from run to run, or in Key Vault's words."""
    text = re.sub(r'("message": )"[^"]*"', r"\1...", text)
    text = re.sub(r"muniment: .*", "muniment: ...", text)
    text = re.sub(r"https://[a-z.-]+(:\d+)?/", "https://HOST/", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)
    return re.sub(r"\b(?!0{32})[0-9a-f]{32}\b", "VERSION", text)


@pytest.mark.parametrize(("form", "is_ours"), [("json", True), ("table", False)])
def test_a_life_is_told_as_a_store_tells_it(
    stage: Stage, tmp_path: Path, form: str, is_ours: bool
) -> None:
    stage.server.is_ours = is_ours
    (tmp_path / "local").mkdir()
    local = Terminal(tmp_path / "local")
    local.must("init", "test-vault")

    for arguments, stdin in LIFE:
        here = local.run("secret", *arguments, stdin=stdin, environ={"MUNIMENT_OUTPUT": form})
        there = stage.run(*arguments, stdin=stdin, MUNIMENT_OUTPUT=form)

        assert there.status == here.status, (arguments, there, here)
        assert plain(there.text) == plain(here.text), arguments
        assert plain(there.told) == plain(here.told), arguments
    local.check()


def test_ids_are_those_of_the_server(stage: Stage) -> None:
    made = stage.json("set", "db", stdin="value")

    assert made["id"].startswith(f"{stage.server.url}/secrets/db/")
    assert stage.json("show", "--id", made["id"])["value"] == "value"
    stage.must("delete", "db")
    assert stage.json("show-deleted", "db")["recoveryId"] == f"{stage.server.url}/deletedsecrets/db"


def test_values_come_from_a_file_and_go_to_one(stage: Stage) -> None:
    raw = bytes(range(256))
    (stage.terminal.directory / "in").write_bytes(raw)

    stage.must("set", "key", "--file", "in", "--encoding", "base64")
    stage.must("download", "key", "--file", "out")
    again = stage.fails(5, "file.exists", "download", "key", "--file", "out")

    out = stage.terminal.directory / "out"
    assert out.read_bytes() == raw
    assert out.stat().st_mode & 0o777 == 0o600
    assert again.out == b""
    assert stage.must("download", "key", "--file", "-").out == raw


def test_a_value_is_typed_at_the_hidden_prompt(stage: Stage) -> None:
    status, screen = stage.terminal.type(
        "secret", "set", "typed", answers={"Value: ": "hidden\n", "again: ": "hidden\n"}
    )

    assert status == 0, screen
    assert "hidden" not in screen
    assert stage.json("show", "typed")["value"] == "hidden"


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_backup_comes_back_after_a_purge(stage: Stage, is_ours: bool) -> None:
    stage.server.is_ours = is_ours
    stage.must("set", "db", stdin="one")
    made = stage.json("set", "db", stdin="two")

    told = stage.json("backup", "db", "--file", "db.backup")
    stage.must("delete", "db")
    stage.fails(5, "secret.is-deleted", "restore", "--file", "db.backup")
    purged = stage.json("purge", "db", "--yes")
    restored = stage.json("restore", "--file", "db.backup")
    stage.fails(5, "secret.exists", "restore", "--file", "db.backup")

    assert told == {"file": "db.backup", "name": "db", "versions": None}
    assert purged["name"] == "db"
    assert purged["receipt"] is None
    assert restored["id"] == made["id"]
    assert stage.json("show", "db")["value"] == "two"
    assert len(stage.json("list-versions", "db")) == 2


def test_what_is_no_backup_is_refused(stage: Stage) -> None:
    (stage.terminal.directory / "no.backup").write_bytes(bytes(4728))

    assert stage.run("restore", "--file", "no.backup").status == 2


def test_a_purge_is_confirmed_and_planned_as_ever(stage: Stage) -> None:
    stage.must("set", "db", stdin="value")
    stage.must("delete", "db")

    stage.fails(2, "confirm.missing", "purge", "db")
    assert stage.json("purge", "db", "--plan")["wouldDestroyBackups"] is False
    status, screen = stage.terminal.type("secret", "purge", "db", answers={"go on: ": "db\n"})

    assert status == 0, screen
    stage.fails(3, "secret.deleted-not-found", "show-deleted", "db")


@pytest.mark.parametrize("is_ours", [True, False])
def test_lists_go_through_all_pages(stage: Stage, is_ours: bool) -> None:
    stage.server.is_ours = is_ours
    names = [f"s{n:03}" for n in range(60)]
    for name in names:
        stage.vault.handle(ALICE, SetSecret(name=name, value="v"))

    listed = stage.must("list", "--query", "[].name", "-o", "tsv").text.split()
    some = stage.json("list", "--maxresults", "27")

    assert listed == names
    assert [item["name"] for item in some] == names[:27]
    asked = [seen.target for seen in stage.server.seen]
    assert len(asked) == 3 + 2
    assert not any("maxresults=27" in target for target in asked)


# --- import and export ----------------------------------------------------------------------------


def test_a_file_is_imported_and_exported(stage: Stage) -> None:
    given = {"A": "one", "B": 'two\n"quoted"', "C": ""}

    imported = stage.json("import", "-", stdin=json.dumps(given))
    exported = stage.must("export").json

    assert [item["name"] for item in imported] == ["A", "B", "C"]
    assert exported == given


def test_an_import_is_planned_without_a_request(stage: Stage) -> None:
    ran = stage.must("import", "-", "--plan", stdin="A=1\nB=2\n")

    assert "2 would be set in 2 requests; nothing was." in ran.told
    assert stage.server.seen == []


def test_an_import_that_is_refused_says_what_was_set_before(stage: Stage) -> None:
    stage.must("set", "B", stdin="old")
    stage.must("delete", "B")

    ran = stage.fails(5, "secret.is-deleted", "import", "-", stdin="A=1\nB=2\nC=3\n")

    assert [item["name"] for item in ran.json] == ["A"]
    assert "1 secret was set." in ran.told
    assert ran.error["message"].startswith("line 2")
    stage.fails(3, "secret.not-found", "show", "C")


def test_an_import_that_keeps_going_names_what_it_could_not_set(stage: Stage) -> None:
    stage.must("set", "B", stdin="old")
    stage.must("delete", "B")

    ran = stage.fails(
        1, "import.incomplete", "import", "-", "--keep-going", stdin="A=1\nB=2\nC=3\n"
    )

    assert [item["name"] for item in ran.json] == ["A", "C"]
    assert "not imported: line 2" in ran.told


def test_an_import_that_nobody_may_make_stops_at_the_first(stage: Stage) -> None:
    stdin = "A=1\nB=2\nC=3\n"
    stage.fails(
        4, "access.denied", "import", "-", "--keep-going", stdin=stdin, MUNIMENT_TOKEN="bobs-token"
    )

    assert len(stage.server.seen) == 1


def test_an_import_that_is_repeated_with_its_id_sets_nothing_twice(stage: Stage) -> None:
    stdin = "A=1\nB=2\n"
    first = stage.json("import", "-", "--request-id", "once", stdin=stdin)
    again = stage.json("import", "-", "--request-id", "once", stdin=stdin)

    assert first == again
    assert stage.history().count("secret.set") == 2


def test_a_disabled_secret_is_left_out_of_an_export(stage: Stage) -> None:
    stage.must("set", "on", stdin="value")
    stage.must("set", "off", "--enabled", "false", stdin="value")

    ran = stage.must("export")

    assert ran.json == {"on": "value"}
    assert "left out: off is disabled" in ran.told


# --- what only a store can do ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "a", "--as-of", "2h"),
        ("list", "--as-of", "#1"),
        ("export", "--as-of", "now"),
        ("purge", "a", "--backups", "--yes"),
        ("purge", "a", "--backups", "--plan"),
        ("show", "a", "--as", "mallory@example.com"),
        ("show", "a", "--vault-name", "other"),
        ("show", "--id", "https://other.vault.localhost/secrets/a"),
        ("show", "a", "--home", "/nowhere", "--url", "https://test-vault.vault.localhost"),
        ("show", "a", "--request-id", "two words"),
        ("show", "a", "--request-id", "line\r\nX-Injected: 1"),
    ],
    ids=" ".join,
)
def test_what_a_server_cannot_do_is_a_usage_error_and_is_not_sent(
    stage: Stage, arguments: tuple[str, ...]
) -> None:
    stage.fails(2, "usage", *arguments)

    assert stage.server.seen == []


@pytest.mark.parametrize("verb", ["log", "verify", "rebuild", "doctor", "vault list"])
def test_a_command_on_a_store_does_not_take_another_for_the_servers(
    stage: Stage, verb: str
) -> None:
    del stage.terminal.environ["MUNIMENT_HOME"]

    ran = stage.terminal.run(*verb.split())

    assert ran.status == 2, ran
    assert "MUNIMENT_URL names a server" in ran.told


def test_a_store_that_is_named_is_asked_and_not_the_server(stage: Stage, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    quiet = {"MUNIMENT_URL": ""}
    stage.terminal.must("init", "--home", other, environ=quiet)
    stage.terminal.must("secret", "set", "here", "--home", other, stdin="v", environ=quiet)

    assert stage.json("show", "here", "--home", other)["value"] == "v"
    assert stage.server.seen == []


def test_a_name_that_would_be_another_request_is_not_sent(stage: Stage) -> None:
    for name in ("a/versions", "..", "a?api-version=1", "a%2Fb", "a\r\nb", ""):
        assert stage.run("show", "-n", name).status == 2

    assert stage.server.seen == []


# --- who may ask ----------------------------------------------------------------------------------


def test_a_denied_caller_is_told_as_by_a_store_and_recorded(stage: Stage) -> None:
    ran = stage.fails(4, "access.denied", "show", "a", MUNIMENT_TOKEN="bobs-token")

    assert "does not have secrets get permission" in ran.error["message"]
    assert "muniment policy set" in ran.error["hint"]
    stage.vault.handle(ALICE, SetPolicy(object_id="bob@example.com", secrets=("list",)))
    assert stage.json("list") == []
    refused = [i for i in stage.vault.handle(ALICE, ReadHistory()) if i.outcome != "ok"]
    assert [(i.principal, i.agent) for i in refused] == [("bob@example.com", "muniment cli")]


def test_a_token_nobody_knows_is_denied(stage: Stage) -> None:
    ran = stage.fails(4, "server.not-authenticated", "list", MUNIMENT_TOKEN="forged")

    assert "AKV10000" in ran.error["message"]


def test_nothing_is_sent_without_credentials(stage: Stage) -> None:
    ran = stage.fails(4, "server.not-authenticated", "list", MUNIMENT_TOKEN="")

    assert "MUNIMENT_TOKEN" in ran.error["hint"]
    assert stage.server.seen == []


def test_a_token_comes_from_a_file(stage: Stage) -> None:
    (stage.terminal.directory / "token").write_text("alices-token\n")

    stage.must("list", "--token-file", "token", MUNIMENT_TOKEN="forged")
    stage.must("list", MUNIMENT_TOKEN="", MUNIMENT_TOKEN_FILE="token")


@pytest.mark.parametrize("token", ["two words", "line\nX-Injected: 1", "ünicode", '"quoted"'])
def test_what_is_no_token_is_not_sent_and_not_quoted(stage: Stage, token: str) -> None:
    ran = stage.fails(2, "setting.invalid", "list", MUNIMENT_TOKEN=token)

    assert token not in ran.told
    assert stage.server.seen == []


# --- a server that is away, busy or strange -------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://test-vault.vault.localhost:8443",
        "test-vault.vault.localhost",
        "https://user:pw@test-vault.vault.localhost",
        "https://test-vault.vault.localhost/secrets",
        "https://test-vault.vault.localhost?x=1",
        "https://test-vault.vault.localhost#x",
        "https://test_vault.localhost",
        "https://test-vault.vault.localhost:99999",
        "https://test-vault.vault.localhost:0",
        "https://",
        "https://a b",
        "https://evil.example\\@test-vault.vault.localhost",
        "ftp://x",
    ],
)
def test_a_url_that_is_not_that_of_a_vault_is_a_usage_error(tmp_path: Path, url: str) -> None:
    terminal = Terminal(tmp_path)

    ran = terminal.run("secret", "list", "--url", url, environ={"MUNIMENT_TOKEN": "t"})

    assert ran.status == 2, ran
    assert "--url has the form" in ran.told


def test_a_project_file_may_not_say_where_a_token_goes(tmp_path: Path) -> None:
    (tmp_path / ".muniment.toml").write_text('url = "https://v.evil.example"\n')
    (tmp_path / ".muniment.toml").chmod(0o600)

    ran = Terminal(tmp_path).run("secret", "list", environ={"MUNIMENT_TOKEN": "t"})

    assert ran.status == 2
    assert "may not stand in a project file" in ran.told


def test_a_server_that_is_away_is_unreachable(stage: Stage) -> None:
    stage.fails(6, "server.unreachable", "list", MUNIMENT_URL="https://test-vault.localhost:1")
    stage.fails(6, "server.unreachable", "list", MUNIMENT_URL="https://v.nowhere.invalid:1")


def test_a_certificate_that_is_not_trusted_ends_it(stage: Stage) -> None:
    ran = stage.fails(6, "server.untrusted", "list", MUNIMENT_CA="")

    assert "--ca" in ran.error["hint"]
    assert stage.server.seen == []


def test_a_certificate_of_another_host_ends_it(stage: Stage) -> None:
    url = f"https://test-vault.localhost:{stage.server.port}"

    stage.fails(6, "server.untrusted", "list", MUNIMENT_URL=url)

    assert stage.server.seen == []


def test_an_authority_file_that_is_none_is_named(stage: Stage) -> None:
    ran = stage.fails(1, "file.unusable", "list", "--ca", "nowhere.pem")
    assert "nowhere.pem" in ran.error["message"]
    (stage.terminal.directory / "no.pem").write_text("no certificate\n")
    stage.fails(1, "file.unusable", "list", "--ca", "no.pem")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_waited_for(stage: Stage, status: int) -> None:
    stage.server.script = [
        Canned(status, {"Retry-After": "0"}),
        Canned(status, {"Retry-After": "1"}),
    ]

    ran = stage.must("set", "db", stdin="value")

    assert "is busy; trying again in 1 s" in ran.told
    ids = {seen.headers["x-ms-client-request-id"] for seen in stage.server.seen}
    assert (len(stage.server.seen), len(ids)) == (3, 1)
    assert stage.history().count("secret.set") == 1


def test_a_server_that_stays_busy_is_left(stage: Stage) -> None:
    stage.server.script = [Canned(503, {"Retry-After": "0"})] * 9

    stage.fails(6, "server.busy", "list")

    assert len(stage.server.seen) == 4


def test_a_server_that_is_busy_for_long_is_not_waited_for(stage: Stage) -> None:
    stage.server.script = [Canned(429, {"Retry-After": "3600"})]

    stage.fails(6, "server.busy", "list")

    assert len(stage.server.seen) == 1


def test_a_change_whose_answer_is_lost_is_made_once(stage: Stage) -> None:
    stage.server.script = [Canned(0, done=True)]

    made = stage.json("set", "db", stdin="value")

    assert len(stage.server.seen) == 2
    assert stage.history().count("secret.set") == 1
    assert stage.json("show", "db")["id"] == made["id"]


def test_a_change_that_may_have_been_made_is_told_with_its_id(stage: Stage) -> None:
    stage.server.script = [Canned(0, done=True), Canned(0)]

    ran = stage.fails(6, "server.unanswered", "set", "db", stdin="value")

    found = re.search(r"--request-id ([0-9a-f-]{36})", ran.error["message"])
    assert found
    stage.must("set", "db", "--request-id", found[1], stdin="value")
    assert stage.history().count("secret.set") == 1


def test_a_request_id_that_was_used_for_something_else_is_a_conflict(stage: Stage) -> None:
    stage.must("set", "a", "--request-id", "R1", stdin="one")

    stage.fails(5, "request.id-reused", "set", "a", "--request-id", "R1", stdin="two")


def test_to_our_service_an_id_is_one_of_a_client_and_names_its_newest_request(stage: Stage) -> None:
    stage.server.is_ours = True
    first = stage.json("set", "a", "--request-id", "R1", stdin="one")

    assert stage.json("set", "a", "--request-id", "R1", stdin="one")["id"] == first["id"]
    assert stage.json("set", "a", "--request-id", "R1", stdin="two")["id"] != first["id"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(stage: Stage, status: int) -> None:
    elsewhere = f"{stage.server.authority}/secrets?api-version=7.4"
    stage.server.script = [Canned(status, {"Location": elsewhere})]

    stage.fails(1, "server.refused", "list")

    assert len(stage.server.seen) == 1


GOOD = {"id": "https://h/secrets/a/" + "1" * 32, "attributes": {}, "value": "v"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b'{"value": "v"}',
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(GOOD | {"id": "https://h/secrets/b/" + "1" * 32}).encode(),
        json.dumps(GOOD | {"id": "https://h/secrets/../a"}).encode(),
        json.dumps(GOOD | {"id": "https://h/keys/a/" + "1" * 32}).encode(),
        json.dumps(GOOD | {"value": None}).encode(),
        json.dumps(GOOD | {"value": 7}).encode(),
        json.dumps(GOOD | {"attributes": {"created": 10**18}}).encode(),
        json.dumps(GOOD | {"attributes": {"exp": -1}}).encode(),
    ],
)
def test_an_answer_that_is_none_is_refused_without_being_quoted(stage: Stage, body: bytes) -> None:
    stage.server.script = [Canned(200, {}, body)]

    ran = stage.fails(1, "server.malformed", "show", "a")

    assert ran.out == b""


@pytest.mark.parametrize(
    ("status", "body", "exit_status", "code"),
    [
        (400, b"", 2, "parameter.invalid"),
        (401, b"", 4, "server.not-authenticated"),
        (403, b"no", 4, "server.denied"),
        (403, b'{"error":{"innererror":{"code":"ForbiddenByFirewall"}}}', 4, "server.denied"),
        (404, b"<html>", 3, "server.not-found"),
        (409, b"{}", 5, "server.conflict"),
        (409, b'{"error":{"innererror":{"code":"ObjectIsBeingDeleted"}}}', 5, "server.conflict"),
        (413, b"", 2, "parameter.invalid"),
        (418, b"", 1, "server.refused"),
        (500, b'{"error":{"code":7}}', 1, "server.refused"),
        (502, b"", 6, "server.busy"),
    ],
)
def test_every_refusal_has_its_exit_status(
    stage: Stage, status: int, body: bytes, exit_status: int, code: str
) -> None:
    stage.server.script = [Canned(status, {}, body)]

    stage.fails(exit_status, code, "show", "a")


def test_a_message_from_a_server_cannot_paint_the_terminal(stage: Stage) -> None:
    told = {"error": {"code": "Forbidden", "message": "\x1b[2Jgone\x07" + "x" * 10_000}}
    stage.server.script = [Canned(403, {}, json.dumps(told).encode())]

    ran = stage.run("show", "a")

    assert ran.status == 4
    assert b"\x1b" not in ran.err
    assert len(ran.err) < 4_000


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/secrets?api-version=7.4",
        "http://test-vault.vault.localhost:{port}/secrets?api-version=7.4",
        "https://test-vault.vault.localhost:1/secrets?api-version=7.4",
        "https://other.vault.localhost:{port}/secrets?api-version=7.4",
        "https://x@test-vault.vault.localhost:{port}/secrets?api-version=7.4",
        "https://test-vault.vault.localhost:{port}/deletedsecrets?api-version=7.4",
        "https://test-vault.vault.localhost:{port}/secrets?api-version=7.4&maxresults=25",
        "https://test-vault.vault.localhost:{port}/secrets?a= HTTP/1.1",
        "//test-vault.vault.localhost/secrets",
        "https://[",
    ],
)
def test_a_link_to_the_next_page_leads_nowhere_else(stage: Stage, link: str) -> None:
    page = {"value": [], "nextLink": link.format(port=stage.server.port)}
    stage.server.script = [Canned(200, {}, json.dumps(page).encode())]

    stage.fails(1, "server.malformed", "list")

    assert len(stage.server.seen) == 1


def test_a_change_that_the_server_did_not_make_whole_is_not_taken_for_done(stage: Stage) -> None:
    made = stage.json("set", "a", "--expires", "2031-01-01", stdin="v")
    kept = {"id": made["id"], "attributes": {"exp": 1924992000}}
    stage.server.script = [Canned(200, {}, json.dumps(kept).encode())]

    stage.fails(1, "server.malformed", "set-attributes", "a", "--expires", "none")


# --- the client's own credentials -----------------------------------------------------------------

CLIENT = {
    "MUNIMENT_TOKEN": "",
    "AZURE_CLIENT_ID": "app",
    "AZURE_CLIENT_SECRET": "s3cret&=+",
}


def asked_for_a_token(stage: Stage) -> list[Any]:
    return [seen for seen in stage.server.seen if seen.host.startswith("vault.localhost")]


def test_a_token_is_fetched_where_the_challenge_says(stage: Stage) -> None:
    stage.must("set", "db", stdin="value", **CLIENT)

    first, token, last = stage.server.seen
    assert (first.method, first.body, "Authorization" in first.headers) == ("GET", b"", False)
    assert "db" not in first.target
    assert "Authorization" not in token.headers
    assert last.headers["Authorization"] == "Bearer alices-token"
    assert stage.vault.handle(ALICE, ListSecrets())[0].name == "db"


def test_a_secret_comes_from_a_file(stage: Stage) -> None:
    (stage.terminal.directory / "secret").write_text("s3cret&=+\n")
    given = CLIENT | {"AZURE_CLIENT_SECRET": "", "AZURE_CLIENT_SECRET_FILE": "secret"}

    stage.must("list", **given)


def test_one_token_serves_many_requests(stage: Stage) -> None:
    stage.must("import", "-", stdin="A=1\nB=2\nC=3\n", **CLIENT)

    assert len(asked_for_a_token(stage)) == 1
    assert len(stage.server.seen) == 2 + 3


def test_a_token_that_is_over_is_fetched_anew(stage: Stage) -> None:
    stage.server.lifetime = "0"

    stage.must("import", "-", stdin="A=1\nB=2\n", **CLIENT)

    assert len(asked_for_a_token(stage)) == 2


def test_a_token_that_is_refused_is_fetched_once_more_and_not_for_ever(stage: Stage) -> None:
    stage.server.clients["app", "s3cret&=+"] = "refused"

    stage.fails(4, "server.not-authenticated", "list", **CLIENT)

    assert len(asked_for_a_token(stage)) == 2


def test_a_wrong_secret_is_denied_and_not_quoted(stage: Stage) -> None:
    ran = stage.fails(
        4, "server.not-authenticated", "list", **CLIENT | {"AZURE_CLIENT_SECRET": "wrong-one"}
    )

    assert "invalid_client" in ran.error["message"]
    assert "wrong-one" not in ran.told


def test_the_tenant_is_the_one_that_is_expected(stage: Stage) -> None:
    stage.fails(4, "server.challenge-refused", "list", **CLIENT | {"AZURE_TENANT_ID": "another"})

    assert asked_for_a_token(stage) == []


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Basic realm=x",
        "Bearer",
        'Bearer authorization="{a}/t"',
        'Bearer resource="{a}"',
        'Bearer authorization="{a}", resource="{a}"',
        'Bearer authorization="{a}/", resource="{a}"',
        'Bearer authorization="{a}/t/../x", resource="{a}"',
        'Bearer authorization="{a}/t?x=1", resource="{a}"',
        'Bearer authorization="https://evil.example/t", resource="{a}"',
        'Bearer authorization="https://vault.localhost.evil.example/t", resource="{a}"',
        'Bearer authorization="https://vault.localhost:1/t", resource="{a}"',
        'Bearer authorization="{http}/t", resource="{a}"',
        'Bearer authorization="{a}/t", resource="https://evil.example"',
        'Bearer authorization="{a}/t", resource="https://vault.localhost"',
        'Bearer authorization="{a}/t", resource="https://localhost:{port}"',
        'Bearer authorization="{a}/t", resource="https://x@vault.localhost:{port}"',
        'Bearer authorization="{a}/t", resource="{http}"',
        'Basic authorization="{a}/t", resource="{a}"',
        'Bearer x="' + "y" * 5000 + '", authorization="{a}/t", resource="{a}"',
    ],
)
def test_a_challenge_that_leads_elsewhere_gets_no_secret(stage: Stage, challenge: str) -> None:
    authority = stage.server.authority
    text = challenge.replace("{a}", authority).replace("{port}", str(stage.server.port))
    stage.server.challenge = lambda: text.replace("{http}", authority.replace("https", "http"))

    stage.fails(4, "server.challenge-refused", "list", **CLIENT)

    assert asked_for_a_token(stage) == []


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer authorization_uri="{a}/{t}", scope="{a}/.default"',
        'bearer resource="{a}",authorization="{a}/{t}"',
        'PoP authorization="https://evil.example/x", Bearer authorization="{a}/{t}/", resource="{a}/"',
        'Bearer authorization="{a}/{t}", resource="{a}", error="insufficient_claims"',
    ],
)
def test_the_forms_of_a_challenge_that_azures_clients_read(stage: Stage, challenge: str) -> None:
    text = challenge.replace("{a}", stage.server.authority).replace("{t}", TENANT)
    stage.server.challenge = lambda: text

    stage.must("list", **CLIENT)


@pytest.mark.parametrize(
    "answer",
    [
        Canned(200, {}, b""),
        Canned(200, {}, b'{"access_token": "x"}'),
        Canned(200, {}, b'{"token_type": "pop", "access_token": "x", "expires_in": 1}'),
        Canned(200, {}, b'{"token_type": "Bearer", "access_token": "a b", "expires_in": 1}'),
        Canned(200, {}, b'{"token_type": "Bearer", "access_token": "x", "expires_in": "soon"}'),
    ],
)
def test_an_authority_that_gives_no_token_is_refused(stage: Stage, answer: Canned) -> None:
    stage.server.token_script = [answer]

    stage.fails(1, "server.malformed", "list", **CLIENT)


def test_an_authority_that_redirects_gets_the_secret_once_only(stage: Stage) -> None:
    stage.server.token_script = [Canned(307, {"Location": "https://evil.example/t"})]

    stage.fails(4, "server.not-authenticated", "list", **CLIENT)

    assert len(asked_for_a_token(stage)) == 1


def test_a_blob_of_either_alphabet_is_read(stage: Stage) -> None:
    blob = bytes(range(256)) + b"\xff\xfe\xfb"
    for text in (base64.b64encode(blob), base64.urlsafe_b64encode(blob).rstrip(b"=")):
        stage.server.script = [Canned(200, {}, json.dumps({"value": text.decode()}).encode())]
        assert stage.must("backup", "a", "--file", "-").out == blob
