"""The boundary at the terminal: set in az's words, asked, compared and brought back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.terminal import Terminal

BOB = "bob@example.com"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A vault that was open until #4, and is bounded since.  It is only read."""
    terminal = Terminal(tmp_path_factory.mktemp("made"))
    terminal.must("init")
    terminal.must("secret", "set", "db", stdin="a value")
    terminal.must("policy", "set", "--object-id", BOB, "--secret-permissions", "get")
    portal = ("--object-id", BOB, "--application-id", "portal")
    terminal.must("policy", "set", *portal, "--secret-permissions", "list")
    terminal.must(
        *("vault", "update", "--default-action", "deny", "--network-acls-ips", "203.0.113.0/24")
    )
    terminal.must("network", "set", "intranet", "--subnet", "name=web,ranges=10.1.0.0/16,vlan=12")
    terminal.must("network-rule", "add", "--vnet-name", "intranet", "--subnet", "web")
    terminal.must("trusted-service", "bind", "backup", "--application-id", "robot")
    terminal.must("policy", "delete", *portal)
    yield terminal
    terminal.check()


@pytest.fixture
def terminal(made: Terminal, tmp_path: Path) -> Iterator[Terminal]:
    """A copy of it, to be changed."""
    shutil.copytree(made.home, tmp_path / "store")
    shutil.copytree(f"{made.home}.key", tmp_path / "store.key")
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.check()


def web(terminal: Terminal) -> str:
    return terminal.json("network", "list")[0]["id"] + "/subnets/web"


def test_the_rules_are_shown_as_az_shows_them(made: Terminal) -> None:
    told = made.json("network-rule", "list")
    assert told["ipRules"] == [{"value": "203.0.113.0/24"}]
    assert told["virtualNetworkRules"] == [
        {"id": web(made), "ignoreMissingVnetServiceEndpoint": False}
    ]
    assert (told["defaultAction"], told["publicNetworkAccess"]) == ("Deny", "Enabled")
    assert "203.0.113.0/24" in made.must("network-rule", "list").text
    shown = made.json("vault", "show")
    assert shown["boundary"]["trustedServices"] == [{"service": "backup", "applicationId": "robot"}]
    assert made.json("vault", "show", "--as-of", "#4")["boundary"]["defaultAction"] == "Allow"
    assert made.json("network-rule", "list", "--as-of", "#5")["virtualNetworkRules"] == []


def test_a_networks_id_is_of_this_store_and_of_no_other(made: Terminal, tmp_path: Path) -> None:
    other = Terminal(tmp_path)
    other.must("init")
    other.must("network", "set", "-n", "intranet", "--subnet", "name=web,interface=eth1")
    ids = {one.json("network", "list")[0]["id"] for one in (made, other)}
    assert len(ids) == 2
    assert all("/resourceGroups/muniment/providers/Microsoft.Network/" in one for one in ids)


def test_a_network_is_defined_by_a_file_too(terminal: Terminal, tmp_path: Path) -> None:
    subnets = [{"name": "lab", "ranges": ["10.9.0.0/16"], "namespace": "blue"}]
    (tmp_path / "lab.json").write_text(json.dumps({"subnets": subnets}))
    told = terminal.json("network", "set", "lab", "-g", "rooms", "--file", "lab.json")
    assert told["subnets"] == subnets
    assert "/resourceGroups/rooms/" in told["id"]
    (tmp_path / "bad.json").write_text('[{"name": "x", "rangs": []}]')
    assert terminal.run("network", "set", "lab", "--file", "bad.json").status == 2
    terminal.must("network", "delete", "--id", told["id"])
    assert terminal.run("network", "delete", "--id", told["id"]).status == 3


WRONG = {
    "nothing to add": (2, ("network-rule", "add")),
    "a private range": (2, ("network-rule", "add", "--ip-address", "10.0.0.1")),
    "an unknown subnet": (2, ("network-rule", "add", "--vnet-name", "no", "--subnet", "no")),
    "a network without a subnet": (2, ("network-rule", "add", "--vnet-name", "no")),
    "a rule that does not stand": (3, ("network-rule", "remove", "--ip-address", "8.8.8.8")),
    "a network in use": (5, ("network", "delete", "intranet")),
    "an unknown part": (2, ("network", "set", "x", "--subnet", "name=a,colour=red")),
    "a vlan that is none": (2, ("network", "set", "x", "--subnet", "name=a,vlan=red")),
    "a subnet of nobody": (2, ("network", "set", "x", "--subnet", "name=a")),
    "a service of no name": (2, ("trusted-service", "bind", "cron", "--object-id", "x")),
    "a service for two": (
        2,
        ("trusted-service", "bind", "backup", "--object-id", "x", "--application-id", "y"),
    ),
    "a service that is not bound": (
        3,
        ("trusted-service", "unbind", "storage", "--object-id", "x"),
    ),
    "an address that is none": (2, ("explain", "--as", BOB, "get", "--address", "everywhere")),
    "a way in without an address": (2, ("explain", "--as", BOB, "get", "--interface", "eth1")),
    "a permission that is none": (2, ("explain", "--as", BOB, "fly")),
    "a sku that is none": (2, ("vault", "update", "--sku", "gold")),
}


@pytest.mark.parametrize(("status", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_refused(made: Terminal, status: int, words: tuple[str, ...]) -> None:
    assert made.run(*words).status == status


def test_who_locks_everybody_out_is_told(terminal: Terminal) -> None:
    words = "nobody is let in over a network"
    remove = ("network-rule", "remove", "--ip-address", "203.0.113.0/24", "--subnet", web(terminal))
    assert words not in terminal.must(*remove).told
    assert (
        words
        in terminal.must("vault", "update", "--bypass", "None", "--default-action", "Deny").told
    )
    told = terminal.must("vault", "create", "shut", "--default-action", "Deny").told
    assert words in told


def test_rules_under_an_open_default_are_told_to_keep_nobody_out(terminal: Terminal) -> None:
    terminal.must("vault", "update", "--default-action", "Allow")
    ran = terminal.must("network-rule", "add", "--ip-address", "198.51.100.7")
    assert "keep nobody out" in ran.told


def test_a_vault_has_its_settings_from_the_start_and_keeps_what_is_not_named(
    terminal: Terminal,
) -> None:
    terminal.must(
        *("vault", "create", "other", "-g", "rg", "-l", "cellar", "--sku", "premium"),
        *("--tags", "a=b", "--enabled-for-deployment", "true"),
        *("--allow-private-ranges", "true", "--network-acls-ips", "10.0.0.0/8"),
    )
    other = ("--vault-name", "other")
    enabled = "--enabled-for-template-deployment"
    told = terminal.json("vault", "update", *other, enabled, "true", "--bypass", "None")
    assert (told["resourceGroup"], told["location"], told["sku"]) == ("rg", "cellar", "premium")
    assert told["tags"] == {"a": "b"}
    assert told["enabledForDeployment"]
    assert told["enabledForTemplateDeployment"]
    assert told["boundary"]["ipRules"] == [{"value": "10.0.0.0/8"}]
    first, second = terminal.json("log", *other, "--log", "changes")[-2:]
    assert [one["operation"] for one in (first, second)] == ["vault.updated", "boundary.set"]


# --- asked ----------------------------------------------------------------------------------------


def test_who_could_names_the_places(made: Terminal) -> None:
    could = {one["rule"]: one for one in made.json("who-could", "db", "--permission", "get")}
    assert could["policy #3"]["from"] == [
        "address 203.0.113.0/24",
        f"subnet {web(made)}",
        "trusted service backup through robot",
    ]
    assert could["administrator"]["from"] == ["anywhere"]
    then = made.json("who-could", "db", "--permission", "list", "--as-of", "#4")
    assert (then[0]["application"], then[0]["from"]) == ("portal", ["anywhere"])
    assert "policy #3" not in [one["rule"] for one in then]
    assert "via portal" in made.must("who-could", "db", "--as-of", "#4").text


@pytest.mark.parametrize(
    ("status", "outcome", "words"),
    [
        (0, "ok", ("get", "--address", "203.0.113.9")),
        (0, "ok", ("get", "--address", "10.1.2.3", "--vlan", "12")),
        (0, "ok", ("get", "--address", "192.0.2.1", "--app-id", "robot")),
        (0, "ok", ("get", "db")),
        (4, "boundary.outside", ("get", "--address", "10.1.2.3")),
        (4, "boundary.outside", ("purge", "--address", "192.0.2.1")),
        (4, "access.denied", ("list", "--address", "203.0.113.9", "--app-id", "portal")),
        (0, "ok", ("list", "--address", "192.0.2.1", "--app-id", "portal", "--as-of", "#4")),
    ],
)
def test_it_is_explained_who_is_let_in(
    made: Terminal, status: int, outcome: str, words: tuple[str, ...]
) -> None:
    ran = made.run("explain", "--as", BOB, *words, "-o", "json")
    assert (ran.status, ran.json["outcome"]) == (status, outcome)
    assert ran.json["allowed"] == (status == 0)


def test_a_registered_client_is_explained_with_what_its_tokens_say(terminal: Terminal) -> None:
    terminal.must("vault", "update", "--default-action", "Deny")
    robot = terminal.json("identity", "add", "robot")
    who, client = robot["objectId"], robot["clientId"]
    terminal.must("policy", "set", "--object-id", who, "--secret-permissions", "get")
    terminal.must("trusted-service", "bind", "storage", "--application-id", client)
    outside = ("explain", "--as", who, "get", "--address", "192.0.2.1", "-o", "json")
    told = terminal.run(*outside)
    assert (told.status, told.json["boundary"]["rule"][:23]) == (0, "trusted service storage")
    assert f"through its client robot, {client}" in told.told
    assert terminal.run(*outside, "--app-id", "").status == 4


def test_to_ask_for_an_explanation_registers_nobody(terminal: Terminal) -> None:
    before = {path.name for path in terminal.home.iterdir()}
    terminal.run("explain", "--as", BOB, "get", "--address", "192.0.2.1")
    assert {path.name for path in terminal.home.iterdir()} == before


def test_who_asks_for_an_explanation_must_govern_the_vault(made: Terminal) -> None:
    ran = made.run("explain", "--as", BOB, "get", environ={"MUNIMENT_PRINCIPAL": BOB})
    assert (ran.status, ran.text) == (4, "")
    asked = made.json("log", "--operation", "history.read")
    assert asked[-1]["outcome"] == "access.not-administrator"


# --- compared -------------------------------------------------------------------------------------


def test_a_difference_names_what_came_and_what_went(made: Terminal) -> None:
    policy, boundary = sorted(
        made.json("diff", "#4..now"), key=lambda one: one["what"], reverse=True
    )
    assert policy["name"] == f"{BOB} via portal"
    fields = {field["name"]: field for field in boundary["fields"]}
    assert fields["ipRules"]["after"] == ["203.0.113.0/24"]
    assert fields["networks"]["after"][0]["subnets"][0]["vlan"] == 12
    assert boundary["causes"] == [5, 6, 7, 8]
    text = made.must("diff", "now..now").text + made.must("diff", "#4..now").text
    assert "ipRules: +203.0.113.0/24" in text
    [only] = made.json("diff", "#4..now", BOB)
    assert only["what"] == "policy"


def test_the_log_tells_what_each_event_changed(made: Terminal) -> None:
    changes = made.json("log", "--operation", "boundary.set")
    changed = [one["details"]["changed"] for one in changes if one["outcome"] == "ok"]
    assert [[field["name"] for field in one] for one in changed] == [
        ["default_action", "ip_rules"],
        ["networks"],
        ["subnet_rules"],
        ["trusted_services"],
    ]
    deleted = made.json("log", BOB, "--operation", "policy.deleted")[0]
    assert deleted["details"]["changed"][0] == {
        "name": "secrets",
        "before": ["list"],
        "after": None,
    }
    assert f"{BOB} via portal" in made.must("log", BOB).text
    told = made.must("replay", "--from", "#4").text
    assert f"policy {BOB} via portal: policy" in told
    assert "      ipRules: +203.0.113.0/24\n" in told


def test_each_rule_is_blamed_on_the_event_that_brought_it(terminal: Terminal) -> None:
    terminal.must("network-rule", "add", "--ip-address", "198.51.100.7")
    blamed = terminal.json("network-rule", "list", "--blame")
    since = [(one["attribute"], one["position"]) for one in blamed]
    assert since == [
        ("defaultAction", 5),
        ("bypass", 0),
        ("ipRules", 5),
        ("ipRules", 10),
        ("virtualNetworkRules", 7),
        ("publicNetworkAccess", 0),
        ("allowPrivateRanges", 0),
        ("networks", 6),
        ("trustedServices", 8),
    ]
    then = terminal.json("network-rule", "list", "--blame", "--as-of", "#5")
    assert [one["attribute"] for one in then if one["position"] == 5] == [
        "defaultAction",
        "ipRules",
    ]
    terminal.must("network-rule", "remove", "--ip-address", "203.0.113.0/24")
    terminal.must("network-rule", "add", "--ip-address", "203.0.113.0/24")
    text = terminal.must("network-rule", "list", "--blame").text
    [line] = [one for one in text.splitlines() if "203.0.113.0/24" in one]
    assert "#12" in line


def test_a_thousand_rules_are_told_by_what_became_of_them(terminal: Terminal) -> None:
    many = [f"8.{n >> 8}.{n & 255}.1" for n in range(999)]
    terminal.must("network-rule", "add", "--ip-address", ",".join(many))
    terminal.must("network-rule", "remove", "--ip-address", many[0])
    last = terminal.json("log", "--operation", "boundary.set", "--last", "1")[0]
    assert last["details"]["changed"] == [
        {"name": "ip_rules", "before": ["8.0.0.1/32"], "after": []}
    ]
    text = terminal.must("diff", "#9..now").text
    assert "and +988 more" in text
    assert len(text) < 2000


# --- brought back ---------------------------------------------------------------------------------


def test_a_restore_leaves_the_boundary_alone_unless_it_is_asked_for(terminal: Terminal) -> None:
    ran = terminal.must("restore", "--to", "#4", "--yes", "-o", "json")
    assert ran.json["stays"] == ["policy", "boundary"]
    assert "The access policies and boundary stood otherwise then" in ran.told
    assert terminal.json("network-rule", "list")["defaultAction"] == "Deny"


def test_a_restore_of_the_rules_says_what_gets_wider_and_brings_all_back(
    terminal: Terminal,
) -> None:
    planned = terminal.must("restore", "--to", "#4", "--policies", "--plan", "-o", "json")
    assert "WIDER: callers from anywhere: default action Allow" in planned.told
    assert f"WIDER: {BOB} via portal: secrets list" in planned.told
    policy, boundary = planned.json["steps"]
    assert (policy["name"], policy["wider"]) == (f"{BOB} via portal", ["secrets list"])
    assert boundary["before"]["ipRules"] == ["203.0.113.0/24"]
    terminal.must("restore", "--to", "#4", "--policies", "--yes")
    assert terminal.json("diff", "#4..now") == []
    # And forth again: then the policy through the client goes, and nothing gets wider.
    forth = terminal.must("restore", "--to", "#9", "--policies", "--yes")
    assert "WIDER" not in forth.told
    assert terminal.json("diff", "#9..now") == []


def test_a_new_vault_of_the_past_is_not_wider_than_its_source_is_now(terminal: Terminal) -> None:
    planned = terminal.must("restore", "--to", "#4", "--into", "copied", "--plan")
    assert "from where main is now, whatever held then" in planned.told
    terminal.must("restore", "--to", "#4", "--into", "copied", "--yes")
    here, there = (
        terminal.json("network-rule", "list", "--vault-name", name) for name in ("main", "copied")
    )
    assert {**here, "position": 0} == {**there, "position": 0}
    services = terminal.json("trusted-service", "list", "--vault-name", "copied")
    assert services == [{"service": "backup", "applicationId": "robot"}]


def test_two_copies_tell_how_their_boundaries_differ(terminal: Terminal, tmp_path: Path) -> None:
    for place in ("store", "store.key"):
        shutil.copytree(tmp_path / place, tmp_path / place.replace("store", "copy"))
    terminal.must("network-rule", "add", "--ip-address", "198.51.100.7")
    there = ("--home", str(tmp_path / "copy"), "--state", str(tmp_path / "seen"))
    terminal.must("network-rule", "remove", "--ip-address", "203.0.113.0/24", *there)
    told = terminal.json("diff", str(tmp_path / "store"), str(tmp_path / "copy"))
    [changes] = [one for one in told if one["log"] == "changes"]
    [head] = changes["heads"]
    assert head["fields"] == [
        {
            "name": "ipRules",
            "first": ["203.0.113.0/24", "198.51.100.7/32"],
            "second": [],
        }
    ]
