"""The past at the terminal: any point of it, who read, who could, and what differs since."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.terminal import Ran, Terminal

BOB, CAROL = "bob@example.com", "carol@example.com"
MARK = "MARKER"
FIRST, SECOND, OTHER = f"{MARK}-first", f"{MARK}-second", f"{MARK}-other"


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A vault with a past.

    #2 and #3 set `db`, #4 `gone` and #5 `lost`; #6 lets Bob read and #7 forbids it again; #8
    disables `db` and #9 enables it; #10 deletes `gone`; #11 and #12 delete and purge `lost`.
    """
    terminal = Terminal(tmp_path_factory.mktemp("past"))
    terminal.must("init")
    for name, value in (("db", FIRST), ("db", SECOND), ("gone", OTHER), ("lost", OTHER)):
        terminal.must("secret", "set", name, stdin=value)
    terminal.must("policy", "set", "--object-id", BOB, "--secret-permissions", "get")
    terminal.must("secret", "show", "db", "--as", BOB)
    terminal.must("secret", "show", "gone", "--as", BOB)
    assert terminal.run("secret", "delete", "db", "--as", BOB).status == 4
    terminal.must("policy", "delete", "--object-id", BOB)
    for enabled in ("false", "true"):
        terminal.must("secret", "set-attributes", "db", "--enabled", enabled)
    terminal.must("secret", "delete", "gone")
    terminal.must("secret", "delete", "lost")
    terminal.must("secret", "purge", "lost", "--yes")
    yield terminal
    terminal.check()


def me(terminal: Terminal) -> str:
    return terminal.json("vault", "show")["administrators"][0]


def value(terminal: Terminal, *arguments: str) -> str:
    return terminal.must("secret", "show", *arguments, "--query", "value", "-o", "tsv").text.strip()


def names(ran: list[dict]) -> list[str]:
    return [item["name"] for item in ran]


def time_of(terminal: Terminal, position: int) -> str:
    items = terminal.json("log", "--log", "changes")
    return next(item["time"] for item in items if item["position"] == position)


# --- --as-of --------------------------------------------------------------------------------------


def test_a_secret_is_shown_as_it_stood(terminal: Terminal) -> None:
    assert value(terminal, "db", "--as-of", "#2") == FIRST
    assert value(terminal, "db", "--as-of", "#3") == SECOND
    assert value(terminal, "gone", "--as-of", "#9") == OTHER
    assert value(terminal, "db", "--as-of", "now") == SECOND


def test_the_point_is_told_beside_the_data(terminal: Terminal) -> None:
    ran = terminal.must("secret", "list", "--as-of", "#4", "-o", "json")
    assert ran.told == f"as of #4, {time_of(terminal, 4)}\n"


def test_a_time_is_a_point(terminal: Terminal) -> None:
    ran = terminal.must("secret", "show", "db", "--as-of", time_of(terminal, 2), "-o", "json")
    assert ran.json["value"] == FIRST
    assert "as of #2," in ran.told


def test_a_kept_checkpoint_is_a_point(terminal: Terminal, tmp_path: Path) -> None:
    copy = copied(terminal, tmp_path)
    (tmp_path / "kept").write_bytes(copy.must("checkpoint", "show").out)
    copy.must("secret", "set", "db", stdin="newer")
    assert value(copy, "db", "--as-of", "@kept") == SECOND
    assert value(copy, "db") == "newer"

    copy.must("vault", "create", "other")
    ran = copy.run("secret", "list", "--as-of", "@kept", "--vault-name", "other", "-o", "json")
    assert (ran.status, ran.error["code"]) == (20, "checkpoint.signature-invalid")
    (tmp_path / "kept").write_text("no checkpoint")
    assert copy.run("secret", "list", "--vault-name", "main", "--as-of", "@kept").status == 20
    ran = copy.run("secret", "list", "--vault-name", "main", "--as-of", "@none", "-o", "json")
    assert (ran.status, ran.error["code"]) == (2, "point.no-such-file")
    assert "checkpoint show" in ran.error["hint"]


def test_lists_are_as_they_stood(terminal: Terminal) -> None:
    assert names(terminal.json("secret", "list", "--as-of", "#3")) == ["db"]
    assert names(terminal.json("secret", "list", "--as-of", "#9")) == ["db", "gone", "lost"]
    assert len(terminal.json("secret", "list-versions", "db", "--as-of", "#2")) == 1
    assert names(terminal.json("secret", "list-deleted", "--as-of", "#10")) == ["gone"]
    assert terminal.json("secret", "list-deleted", "--as-of", "#9") == []
    assert terminal.json("secret", "show-deleted", "gone", "--as-of", "#10")["name"] == "gone"
    assert terminal.run("secret", "show-deleted", "gone", "--as-of", "#9").status == 3


def test_policies_are_as_they_stood(terminal: Terminal) -> None:
    then = terminal.json("policy", "list", "--as-of", "#6")
    assert [policy["objectId"] for policy in then if policy["objectId"] == BOB] == [BOB]
    assert BOB not in terminal.must("policy", "list", "--as-of", "#7").text


def test_what_was_purged_since_names_the_purge(terminal: Terminal) -> None:
    ran = terminal.run("secret", "show", "lost", "--as-of", "#5", "-o", "json")
    assert (ran.status, ran.error["code"]) == (3, "secret.erased")
    assert "erased by #12" in ran.error["message"]

    (lost,) = terminal.json("secret", "list", "--as-of", "#5", "--query", "[?name=='lost']")
    assert lost["erasedBy"] == 12
    lines = terminal.must("secret", "list", "--as-of", "#5").text.splitlines()
    assert [line.count("erased by #12") for line in lines[1:]] == [0, 0, 2]
    (line,) = terminal.must("secret", "list-deleted", "--as-of", "#11").text.splitlines()[2:]
    assert line.endswith("erased by #12")


def test_what_is_closed_is_left_out_and_not_told_as_empty(terminal: Terminal) -> None:
    told = {one["name"]: one for one in terminal.json("secret", "list", "--as-of", "#5")}
    assert told["db"]["tags"] == {}
    assert {"tags", "contentType", "erasedBy"} - set(told["db"]) == {"erasedBy"}
    assert {"tags", "contentType", "erasedBy"} - set(told["lost"]) == {"tags", "contentType"}
    (version,) = terminal.json("secret", "list-versions", "lost", "--as-of", "#5")
    assert {"tags", "contentType", "erasedBy"} & set(version) == {"erasedBy"}


def test_a_vault_is_shown_as_it_stood(terminal: Terminal) -> None:
    ran = terminal.must("vault", "show", "--as-of", "#4", "-o", "json")
    now = terminal.json("vault", "show")
    assert ran.told == f"as of #4, {time_of(terminal, 4)}\n"
    assert ran.json["records"]["changes"] == 5
    assert ran.json["records"]["access"] < now["records"]["access"]
    assert ran.json["verifiers"] == now["verifiers"]
    assert "checkpoints" not in ran.json
    assert "vaultUri" in terminal.must("vault", "show", "--as-of", "#4").text
    read = terminal.json("log", "--operation", "vault.read")[-2:]
    assert [one["details"] for one in read] == [
        {"what": "settings", "as_of": 5},
        {"what": "boundary", "as_of": 5},
    ]


@pytest.mark.parametrize(
    ("point", "status", "code"),
    [
        ("#99", 3, "log.no-such-position"),
        ("2001-01-01", 3, "log.no-such-position"),
        ("yesterday", 2, "point.invalid"),
        ("#x", 2, "point.invalid"),
        ("2026-01-01T10:00:00", 2, "point.invalid"),
    ],
)
def test_a_point_that_is_none_is_refused(
    terminal: Terminal, point: str, status: int, code: str
) -> None:
    ran = terminal.run("secret", "show", "db", "--as-of", point, "-o", "json")
    assert (ran.status, ran.error["code"], ran.text) == (status, code, "")


def test_who_may_read_the_past_is_a_matter_of_today(terminal: Terminal) -> None:
    ran = terminal.run("secret", "show", "db", "--as-of", "#6", "--as", BOB)
    assert ran.status == 4
    assert MARK not in ran.told


def test_a_value_of_the_past_is_downloaded(terminal: Terminal, tmp_path: Path) -> None:
    kept = tmp_path / "then"
    terminal.must("secret", "download", "db", "--file", str(kept), "--as-of", "#2")
    assert kept.read_text() == FIRST


def test_the_past_is_exported_without_what_is_erased(terminal: Terminal) -> None:
    ran = terminal.must("secret", "export", "--as-of", "#5")
    assert ran.json == {"db": SECOND, "gone": OTHER}
    assert "left out: lost was erased by #12" in ran.told
    assert terminal.run("secret", "export", "lost", "--as-of", "#5").status == 3


# --- who, and what --------------------------------------------------------------------------------


def test_who_read_a_secret(terminal: Terminal) -> None:
    (read,) = (one for one in terminal.json("who-read", "db") if one["principal"] == BOB)
    assert (read["name"], read["rule"], read["asOf"]) == ("db", "policy #6", None)
    version = terminal.json("secret", "list-versions", "db", "--as-of", "#2")[0]["id"][-32:]
    assert read["version"] != version
    assert BOB not in terminal.must("who-read", "db", "--version", version).text
    assert BOB in terminal.must("who-read", "-n", "db", "--version", read["version"]).text


def test_who_read_takes_a_version_behind_the_name(terminal: Terminal) -> None:
    (read,) = (one for one in terminal.json("who-read", "db") if one["principal"] == BOB)
    first = terminal.json("secret", "list-versions", "db", "--as-of", "#2")[0]["id"][-32:]
    assert BOB in terminal.must("who-read", "db", read["version"]).text
    assert BOB not in terminal.must("who-read", "db", first).text
    refused = terminal.run("who-read", "db", first, "--version", first)
    assert (refused.status, "name one version" in refused.told) == (2, True)


def test_who_read_in_a_period(terminal: Terminal) -> None:
    def by_bob(*period: str) -> int:
        return sum(one["principal"] == BOB for one in terminal.json("who-read", "db", *period))

    assert by_bob("--from", "#6", "--to", "#7") == 1
    assert by_bob("--to", "#6") == by_bob("--from", "#7") == 0


def test_diff_shows_a_time_of_an_older_version_as_a_time(
    terminal: Terminal, tmp_path: Path
) -> None:
    own = copied(terminal, tmp_path)
    old = own.json("secret", "list-versions", "db", "--as-of", "#2")[0]["id"][-32:]
    own.must(
        "secret", "set-attributes", "db", "--version", old, "--expires", "2031-02-03T04:05:06Z"
    )
    (field,) = difference(own.json("diff", "#12..now"), "db")["fields"]
    assert (field["name"], field["after"]) == (f"{old} expires", "2031-02-03T04:05:06Z")
    own.check()


def test_a_period_by_a_checkpoint_is_the_same_to_all_who_tell_one(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_bytes(terminal.must("checkpoint", "show").out)
    point = f"@{tmp_path / 'kept'}"
    for verb in (("log",), ("who-read", "db"), ("replay",)):
        told = terminal.must(*verb, "--from", point, "-o", "json").told
        assert told.startswith("--from #"), verb


def test_who_read_until_now_leaves_out_nothing(terminal: Terminal) -> None:
    value(terminal, "db")
    everything = terminal.json("who-read", "db")
    assert terminal.json("who-read", "db", "--from", "1d", "--to", "now") == everything


@pytest.mark.parametrize("asked", [("who-read", "db"), ("replay",), ("log",)])
@pytest.mark.parametrize("period", [("--from", "1m", "--to", "1h"), ("--from", "#6", "--to", "#5")])
def test_a_period_that_is_reversed_is_refused_rather_than_empty(
    terminal: Terminal, asked: tuple[str, ...], period: tuple[str, ...]
) -> None:
    ran = terminal.run(*asked, *period, "-o", "json")
    assert (ran.status, ran.error["code"], ran.text) == (2, "points.reversed", "")


def test_who_read_a_misspelt_secret_is_refused_rather_than_empty(terminal: Terminal) -> None:
    assert terminal.run("who-read", "bd").status == 3
    assert terminal.must("who-read", "lost").text.strip() == ""


def test_exposure_of_nobody_says_how_the_name_is_matched(terminal: Terminal) -> None:
    told = terminal.must("exposure", "bbo@example.com").told
    assert "given to bbo@example.com, spelt exactly so" in told


def test_who_read_tells_a_read_of_the_past(terminal: Terminal) -> None:
    value(terminal, "gone", "--as-of", "#4")
    assert terminal.json("who-read", "gone")[-1]["asOf"] == 4


def test_exposure_is_what_to_rotate(terminal: Terminal) -> None:
    ran = terminal.must("exposure", BOB, "-o", "json")
    assert [(one["status"], one["name"]) for one in ran.json] == [
        ("current", "db"),
        ("deleted", "gone"),
    ]
    assert "1 of 2 versions are still current" in ran.told
    assert terminal.json("exposure", CAROL) == []


def test_who_could_by_the_policies_of_then(terminal: Terminal) -> None:
    then = {one["principal"]: one for one in terminal.json("who-could", "db", "--at", "#6")}
    assert (then[BOB]["permissions"], then[BOB]["position"]) == (["get"], 6)
    assert BOB not in terminal.must("who-could", "db").text


def test_blame_names_the_event_of_each_attribute(terminal: Terminal) -> None:
    blamed = {one["attribute"]: one for one in terminal.json("blame", "db")}
    assert (blamed["enabled"]["position"], blamed["enabled"]["value"]) == (9, True)
    assert (blamed["value"]["position"], blamed["value"]["value"]) == (3, None)
    assert blamed["value"]["principal"] == me(terminal)
    assert terminal.run("blame", "nothing").status == 3


def test_blame_as_of_a_point_names_who_made_it_what_it_then_was(terminal: Terminal) -> None:
    ran = terminal.must("blame", "db", "--as-of", "#8", "-o", "json")
    then = {one["attribute"]: one for one in ran.json}
    assert ran.told == f"as of #8, {time_of(terminal, 8)}\n"
    assert (then["enabled"]["position"], then["enabled"]["value"]) == (8, False)
    assert then["value"]["position"] == 3
    first = {one["attribute"]: one for one in terminal.json("blame", "db", "--as-of", "#2")}
    assert {one["position"] for one in first.values()} == {2}
    assert terminal.run("blame", "db", "--as-of", "#1").status == 3
    asked = terminal.json("log", "db", "--operation", "history.read")
    assert [one["details"].get("as_of") for one in asked if one["outcome"] == "ok"][-2:] == [9, 3]


def test_blame_of_what_was_purged_since_names_the_purge(terminal: Terminal) -> None:
    assert terminal.run("blame", "lost").status == 3
    told = {one["attribute"]: one for one in terminal.json("blame", "lost", "--as-of", "#11")}
    assert {name for name, one in told.items() if one.get("erasedBy") == 12} == {
        "value",
        "contentType",
        "tags",
    }
    assert "value" not in told["tags"]
    assert (told["deleted"]["position"], told["deleted"]["value"]) == (11, True)
    assert told["tags"]["principal"] == me(terminal)
    lines = terminal.must("blame", "lost", "--as-of", "#5").text.splitlines()
    assert sum("erased by #12" in line for line in lines) == 3


PLACED = [
    ("secret", "show", "db", "--as-of", "{}"),
    ("secret", "list", "--as-of", "{}"),
    ("secret", "list-versions", "db", "--as-of", "{}"),
    ("secret", "list-deleted", "--as-of", "{}"),
    ("secret", "show-deleted", "gone", "--as-of", "{}"),
    ("secret", "export", "--as-of", "{}"),
    ("secret", "export", "db", "--as-of", "{}"),
    ("policy", "list", "--as-of", "{}"),
    ("vault", "show", "--as-of", "{}"),
    ("blame", "db", "--as-of", "{}"),
    ("who-could", "db", "--at", "{}"),
    ("who-read", "db", "--from", "{}"),
    ("replay", "--to", "{}"),
    ("diff", "{}..now"),
    ("restore", "--to", "{}", "--plan"),
    ("restore", "--to", "{}", "--into", "other", "--plan"),
]


@pytest.mark.parametrize("command", PLACED, ids=" ".join)
def test_what_a_point_is_is_told_to_nobody_who_is_not_let_in(
    terminal: Terminal, command: tuple[str, ...]
) -> None:
    def ask(point: str, *arguments: str) -> Ran:
        return terminal.run(*(word.format(point) for word in command), *arguments)

    refusals = [ask(point, "--as", CAROL) for point in ("#2", "#99", "2001-01-01", "now")]
    assert {(ran.status, ran.text) for ran in refusals} == {(4, "")}
    (told,) = {ran.told for ran in refusals}
    assert "access" in told or "administrator" in told or "permission" in told
    refused = terminal.json("log", "--as", me(terminal), "--outcome", "refused")[-4:]
    assert {one["principal"] for one in refused} == {CAROL}
    assert ask("#99").status == 3
    assert ask("#5", "-o", "json").status == 0 or command[1] == "show-deleted"


def test_these_questions_are_for_administrators(terminal: Terminal) -> None:
    for asked in (
        ("who-read", "db"),
        ("exposure", BOB),
        ("who-could", "db"),
        ("blame", "db"),
        ("diff", "#2..now"),
        ("replay",),
        ("restore", "--to", "#2", "--plan"),
    ):
        assert terminal.run(*asked, "--as", BOB).status == 4, asked


def test_a_backup_and_a_copy_are_told_beside_the_reads(terminal: Terminal, tmp_path: Path) -> None:
    copy = copied(terminal, tmp_path)
    who = me(copy)
    copy.must("secret", "backup", "db", "--file", str(tmp_path / "blob"))
    copy.must("restore", "--to", "#3", "--into", "other", "--yes")
    asked = ("--vault-name", "main")
    told = copy.json("who-read", "db", *asked)
    assert [(one["how"], one["log"], one["version"]) for one in told][-2:] == [
        ("backup", "changes", None),
        ("copy", "access", None),
    ]
    rows = copy.must("who-read", "db", *asked).text.splitlines()
    assert rows[-1].split()[4:6] == ["copy", "all"]
    mine = copy.json("exposure", who, *asked)
    ways = [set(one["how"]) for one in mine if one["name"] == "db"]
    assert len(ways) == 2
    assert all(how >= {"backup", "copy"} for how in ways)
    copy.check()


# --- diff -----------------------------------------------------------------------------------------


def difference(found: list[dict], name: str) -> dict:
    (one,) = (one for one in found if one["name"] == name)
    return one


def test_a_diff_tells_what_happened_between_two_points(terminal: Terminal) -> None:
    found = terminal.json("diff", "#5..now")
    assert difference(found, "gone")["kinds"] == ["deleted"]
    assert difference(found, "lost")["kinds"] == ["purged"]
    assert difference(found, "lost")["causes"] == [11, 12]
    assert [one["name"] for one in found] == ["gone", "lost"]
    # Enabled again: no difference between the ends.
    assert difference(terminal.json("diff", "#7..#8"), "db")["fields"] == [
        {"name": "enabled", "before": True, "after": False}
    ]


def test_a_diff_of_a_value_says_different_and_no_more(terminal: Terminal) -> None:
    ran = terminal.must("diff", "#2..#3", "-o", "json")
    (db,) = ran.json
    assert (db["kinds"], db["value"]) == (["new-version"], "different")
    assert MARK not in ran.text
    assert "from #2," in ran.told
    assert "to   #3," in ran.told


@pytest.mark.parametrize("text", ["#9", "#9..", "#9..now", "#9..#13"])
def test_a_side_that_is_not_given_is_now(terminal: Terminal, text: str) -> None:
    assert names(terminal.json("diff", text)) == ["gone", "lost"]


def test_a_diff_of_named_secrets(terminal: Terminal) -> None:
    assert names(terminal.json("diff", "#5..now", "gone", "LOST")) == ["gone", "lost"]


def test_a_diff_in_short(terminal: Terminal) -> None:
    stat = {one["change"]: one["count"] for one in terminal.json("diff", "#3..#5", "--stat")}
    assert stat == {"created": 2}
    assert terminal.must("diff", "#3..#5", "--name-only").text == "gone\nlost\n"
    assert terminal.json("diff", "#3..#5", "--name-only") == ["gone", "lost"]


def test_a_diff_of_policies(terminal: Terminal) -> None:
    (bob,) = terminal.json("diff", "#5..#6")
    assert (bob["what"], bob["name"], bob["fields"][0]["after"]) == ("policy", BOB, ["get"])


def test_the_exit_status_of_a_diff(terminal: Terminal) -> None:
    assert terminal.run("diff", "#5..#6", "--exit-code").status == 1
    assert terminal.run("diff", "#6..#6", "--exit-code").status == 0
    assert terminal.run("diff", "#5..#6").status == 0


def test_reveal_reads_both_values_and_is_recorded(terminal: Terminal) -> None:
    before = len(terminal.json("who-read", "db"))
    (db,) = terminal.json("diff", "#2..#3", "--reveal")
    assert (db["valueBefore"], db["valueAfter"]) == (FIRST, SECOND)
    reads = terminal.json("who-read", "db")[before:]
    assert [read["asOf"] for read in reads] == [2, 3]
    table = terminal.must("diff", "#2..#3", "--reveal").text
    assert FIRST in table
    assert SECOND in table


def test_reveal_takes_the_permission_to_get(terminal: Terminal, tmp_path: Path) -> None:
    copy = copied(terminal, tmp_path)
    copy.must("policy", "set", "--object-id", me(copy), "--secret-permissions", "list")
    ran = copy.run("diff", "#2..#3", "--reveal")
    assert (ran.status, ran.text) == (4, "")
    assert MARK not in ran.told
    assert copy.json("log", "db", "--outcome", "access.denied")[-1]["operation"] == "secret.read"


def test_reveal_tells_what_cannot_be_read(terminal: Terminal) -> None:
    ran = terminal.must("diff", "#5..now", "lost", "--reveal", "-o", "json")
    (lost,) = ran.json
    assert (lost["valueBefore"], lost["valueAfter"]) == (None, None)
    assert "lost was erased by #12" in ran.told


@pytest.mark.parametrize(
    "arguments",
    [
        ("yesterday..now",),
        ("#2...#3",),
        ("..#x",),
        ("#2..#3", "--stat", "--name-only"),
        ("#2..#3", "--keyless"),
        (),
    ],
)
def test_a_diff_that_makes_no_sense_is_a_usage_error(
    terminal: Terminal, arguments: tuple[str, ...]
) -> None:
    assert terminal.run("diff", *arguments).status == 2


def test_a_diff_with_a_point_that_is_not_there(terminal: Terminal) -> None:
    assert terminal.run("diff", "#2..#99").status == 3


def test_two_dots_in_a_files_name_are_no_end(terminal: Terminal, tmp_path: Path) -> None:
    copy = copied(terminal, tmp_path)
    note = copy.must("checkpoint", "show").out
    (tmp_path / "kept..today").write_bytes(note)
    assert names(copy.json("diff", "#9..@kept..today")) == ["gone", "lost"]
    assert copy.json("diff", "@kept..today..now") == []
    assert copy.json("diff", "@kept..today") == []


# --- two copies -----------------------------------------------------------------------------------


def copied(terminal: Terminal, place: Path) -> Terminal:
    """The store and its root key, somewhere else."""
    shutil.copytree(terminal.home, place / "store")
    shutil.copytree(f"{terminal.home}.key", place / "store.key")
    return Terminal(place)


@pytest.fixture
def copies(terminal: Terminal, tmp_path: Path) -> tuple[Terminal, Terminal]:
    places = tmp_path / "one", tmp_path / "two"
    for place in places:
        place.mkdir()
    return copied(terminal, places[0]), copied(terminal, places[1])


def compare(one: Terminal, two: Terminal, *arguments: str) -> tuple[Ran, dict[str, dict]]:
    ran = one.run("diff", str(one.home), str(two.home), "--exit-code", "-o", "json", *arguments)
    return ran, {log["log"]: log for log in ran.json}


def test_two_equal_copies(copies: tuple[Terminal, Terminal]) -> None:
    ran, logs = compare(*copies)
    assert ran.status == 0
    assert {log["state"] for log in logs.values()} == {"same"}


def test_copies_that_forked(copies: tuple[Terminal, Terminal]) -> None:
    one, two = copies
    one.must("secret", "set", "db", stdin=f"{MARK}-one")
    two.must("secret", "set", "sly", stdin=f"{MARK}-two")
    two.must("secret", "delete", "db")

    ran, logs = compare(one, two)

    changes = logs["changes"]
    assert (ran.status, changes["state"], changes["lastCommon"]) == (1, "forked", 13)
    assert (changes["firstSize"], changes["secondSize"]) == (15, 16)
    assert [(o["position"], o["operation"], o["name"]) for o in changes["onlyFirst"]] == [
        (14, "secret.set", "db")
    ]
    assert [(o["operation"], o["name"]) for o in changes["onlySecond"]] == [
        ("secret.set", "sly"),
        ("secret.deleted", "db"),
    ]
    assert MARK not in ran.text + ran.told


def test_copies_are_compared_without_keys_and_untouched(
    copies: tuple[Terminal, Terminal],
) -> None:
    one, two = copies
    two.must("secret", "set", "sly", stdin="x")
    for copy in copies:
        shutil.rmtree(f"{copy.home}.key")
    bytes_before = [sorted(map(Path.read_bytes, c.home.glob("**/data.mdb"))) for c in copies]

    ran, logs = compare(one, two)
    assert ran.status == 1
    assert "what the second did is not told: there is no root key" in ran.told
    assert (logs["changes"]["state"], logs["changes"]["onlySecond"]) == ("the second goes on", [])
    assert compare(two, one, "--keyless")[1]["changes"]["state"] == "the first goes on"

    assert bytes_before == [
        sorted(map(Path.read_bytes, c.home.glob("**/data.mdb"))) for c in copies
    ]


def test_a_vault_that_only_one_copy_has(copies: tuple[Terminal, Terminal]) -> None:
    one, two = copies
    two.must("vault", "create", "second")
    ran = one.run("diff", str(one.home), str(two.home), "--keyless", "-o", "json")
    assert sorted(log["state"] for log in ran.json) == [
        "only in the second",
        "only in the second",
        "same",
        "same",
    ]
    table = one.must("diff", str(one.home), str(two.home)).text
    assert "vault.created" in table


# --- no value -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "tsv"])
@pytest.mark.parametrize(
    "asked",
    [
        ("who-read", "db"),
        ("exposure", BOB),
        ("who-could", "db"),
        ("blame", "db"),
        ("diff", "#1..now"),
        ("replay",),
        ("log",),
        ("secret", "list", "--as-of", "#5"),
        ("restore", "--to", "#2", "--plan"),
    ],
    ids=" ".join,
)
def test_no_value_is_shown(terminal: Terminal, asked: tuple[str, ...], form: str) -> None:
    ran = terminal.must(*asked, "-o", form)
    assert ran.text
    assert MARK not in ran.text + ran.told
    if form == "jsonl":
        assert all(json.loads(line) for line in ran.text.splitlines())
