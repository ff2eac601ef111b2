"""Checkpoints go to witnesses and a time-stamping authority, and what they say bounds every record.

All of it through the installed command: stores, witnesses that are served, and openssl's TSA.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from eventstore.checkpoint import parse_verifier, signatures
from eventstore.cosignature import parse_cosigner
from support.outsiders import Authority, ServedWitness, authority_served, log_keys
from support.terminal import Terminal


class World(NamedTuple):
    """A store with one vault, two witnesses that trust it, and an authority."""

    terminal: Terminal
    one: ServedWitness
    two: ServedWitness
    policy: Path
    roots: Path
    tsa: str

    @property
    def trust(self) -> tuple[str, ...]:
        return ("--policy", str(self.policy), "--tsa-roots", str(self.roots))

    @property
    def publish(self) -> tuple[str, ...]:
        return ("checkpoint", "publish", *self.trust, "--tsa", self.tsa)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    terminal = Terminal(tmp_path)
    terminal.must("init", "acme")
    terminal.must("secret", "set", "first", stdin="value\n")
    keys = log_keys(terminal).values()
    one, two = (ServedWitness(terminal, name, *keys) for name in ("one", "two"))
    policy = tmp_path / "policy"
    policy.write_text(f"{one.line}{two.line}group both all one two\nquorum both\n")
    authority = Authority(tmp_path / "authority")
    with one, two, authority_served(authority) as tsa:
        yield World(terminal, one, two, policy, authority.roots, tsa)


def anchors(terminal: Terminal, log: str = "changes") -> Path:
    (vault,) = (terminal.home / "vaults").iterdir()
    return vault / log / "anchors"


def test_a_published_checkpoint_has_every_signature_and_bounds_the_records_before_it(
    world: World,
) -> None:
    published = world.terminal.json(*world.publish)
    assert [(one["log"], one["anchored"]) for one in published] == [
        ("changes", True),
        ("access", True),
    ]
    (changes, _) = published
    names = [name for name, _, _ in signatures(changes["note"])[1]]
    assert names == [changes["origin"], changes["origin"], "one.example", "two.example"]
    assert parse_cosigner(world.one.key).time_in(changes["note"])
    world.terminal.must("secret", "set", "second", stdin="value\n")
    told = {
        (one["log"], one["position"]): one
        for one in world.terminal.json("log", *world.trust, "--log", "changes")
    }
    size = changes["size"]
    inside, outside = told["changes", size - 1], told["changes", size]
    assert inside["before"]["source"] in ("one, two", "two, one", "CN=tsa")
    assert (inside["after"], outside["before"]) == (None, None)
    assert set(outside["after"]["source"].split(", ")) == {"one", "two"}
    assert outside["after"]["records"] == size
    world.terminal.must(*world.publish)
    told_again = world.terminal.json("log", *world.trust, "--log", "changes")
    assert told_again[size]["before"]["time"] >= told_again[size]["after"]["time"]


def test_what_is_anchored_already_is_not_asked_for_again(world: World) -> None:
    first = world.terminal.json(*world.publish, "--log", "changes")
    again = world.terminal.json(*world.publish, "--log", "changes")
    assert [len(one[0]["asked"]) for one in (first, again)] == [3, 0]
    stamps = list(anchors(world.terminal).glob("*.tsr"))
    assert len(stamps) == 1
    assert again[0]["anchored"]


def test_a_proof_under_an_anchor_shows_when_by_itself(world: World) -> None:
    world.terminal.must(*world.publish)
    proof = world.terminal.directory / "proof"
    ran = world.terminal.must("prove", "1", "--anchored", *world.trust)
    proof.write_bytes(ran.out)
    assert "before " in ran.told
    key = log_keys(world.terminal)["changes"]
    told = world.terminal.json("prove", "--check", str(proof), "--verifier", key, *world.trust)
    assert set(told["cosigned"]) == {"one", "two"}
    assert told["quorum"]
    world.terminal.must("secret", "set", "second", stdin="value\n")
    size = len(world.terminal.json("log", "--log", "changes"))
    ran = world.terminal.run("prove", str(size - 1), "--anchored", *world.trust, "-o", "json")
    assert (ran.status, ran.error["code"]) == (1, "checkpoint.not-published")


def test_one_witness_too_few_is_told_kept_and_made_up_for_later(world: World) -> None:
    alone = ServedWitness(world.terminal, "three", *log_keys(world.terminal).values())
    world.policy.write_text(f"{world.one.line}{alone.line}group all2 all one three\nquorum all2\n")
    ran = world.terminal.run(*world.publish, "--log", "changes", "-o", "json")
    assert ran.status == 1
    assert {one["who"]: one["code"] for one in ran.json[0]["asked"]} == {
        "one": None,
        "three": "outside.unreachable",
        world.tsa: None,
    }
    unwell = world.terminal.run("doctor", "-o", "json", *world.trust)
    (finding,) = [one for one in unwell.json if one["check"] == "acme changes anchors"]
    assert (finding["state"], "none; all" in finding["found"]) == ("note", True)
    with alone:
        again = world.terminal.json(*world.publish, "--log", "changes")
    assert [one["who"] for one in again[0]["asked"]] == ["three"]
    assert again[0]["anchored"]


def test_a_store_that_was_rolled_back_is_told_so_by_a_witness(world: World) -> None:
    old = world.terminal.directory / "old"
    shutil.copytree(world.terminal.home, old)
    shutil.copytree(f"{world.terminal.home}.key", f"{old}.key")
    world.terminal.must("secret", "set", "second", stdin="value\n")
    world.terminal.must(*world.publish)
    stranger = {"XDG_STATE_HOME": str(world.terminal.directory / "nobody")}
    ran = world.terminal.run(*world.publish, "--home", str(old), "-o", "json", environ=stranger)
    assert (ran.status, ran.error["code"]) == (20, "witness.disagrees")


def test_two_histories_of_one_store_are_refused_and_both_kept(world: World) -> None:
    other = world.terminal.directory / "other"
    shutil.copytree(world.terminal.home, other)
    shutil.copytree(f"{world.terminal.home}.key", f"{other}.key")
    stranger = {"XDG_STATE_HOME": str(world.terminal.directory / "nobody")}
    at_other = ("--home", str(other))
    changes = ("--log", "changes")
    world.terminal.must("secret", "set", "mine", stdin="value\n")
    world.terminal.must("secret", "set", "theirs", *at_other, stdin="value\n", environ=stranger)
    world.terminal.must(*world.publish, *changes)
    ran = world.terminal.run(*world.publish, *changes, *at_other, "-o", "json", environ=stranger)
    assert (ran.status, ran.error["code"]) == (20, "witness.disagrees")
    (kept,) = world.one.evidence()
    assert len(set(kept["roots"])) == 2
    key = parse_verifier(log_keys(world.terminal)["changes"])
    for note in kept["notes"]:
        text, found = signatures(note)
        assert key.accepts(found[0][2], text.encode())


def test_a_log_that_lost_what_an_anchor_covers_does_not_verify(world: World) -> None:
    old = world.terminal.directory / "old"
    shutil.copytree(world.terminal.home, old)
    world.terminal.must("secret", "set", "second", stdin="value\n")
    world.terminal.must(*world.publish)
    verified = world.terminal.json("verify", *world.trust)
    assert all(one["anchored"] <= one["size"] for one in verified)
    assert {one["secondSignatures"] for one in verified} == {1}
    (vault,) = (old / "vaults").iterdir()
    shutil.copytree(anchors(world.terminal), vault / "changes" / "anchors")
    ran = world.terminal.run("verify", "--without-seen", "--home", str(old), "-o", "json")
    assert (ran.status, ran.error["code"]) == (20, "verify.truncated")


@pytest.mark.parametrize("pattern", ["*0.note", "second-*.note", "0*.note"])
def test_an_anchor_that_was_altered_does_not_verify(world: World, pattern: str) -> None:
    world.terminal.must(*world.publish)
    (file, *_) = sorted(anchors(world.terminal).glob(pattern.replace("*0.", "0*.")))
    lines = file.read_text().splitlines(keepends=True)
    at = {"*0.note": 2, "second-*.note": -1, "0*.note": 5}[pattern]
    middle = len(lines[at]) // 2
    other = "B" if lines[at][middle] != "B" else "C"
    lines[at] = lines[at][:middle] + other + lines[at][middle + 1 :]
    file.write_text("".join(lines))
    assert world.terminal.run("verify", *world.trust).status == 20


def test_whom_nobody_trusts_stamps_and_cosigns_nothing(world: World) -> None:
    foreign = Authority(world.terminal.directory / "foreign", "foreign")
    with authority_served(foreign) as url:
        ran = world.terminal.run(
            *("checkpoint", "publish", *world.trust, "--tsa", url, "--log", "changes"),
            *("-o", "json"),
        )
    codes = {one["who"]: one["code"] for one in ran.json[0]["asked"]}
    assert codes == {"one": None, "two": None, url: "timestamp.invalid"}
    assert not list(anchors(world.terminal).glob("*.tsr"))


def test_without_anybody_to_ask_it_says_so(world: World) -> None:
    assert world.terminal.run("checkpoint", "publish").status == 2
    assert world.terminal.run("checkpoint", "publish", "--tsa", world.tsa).status == 2
    missing = ("--policy", str(world.policy) + ".gone")
    assert world.terminal.run("checkpoint", "publish", *missing).status == 2


def test_after_a_rotation_the_new_keys_sign_and_the_old_anchors_hold(world: World) -> None:
    world.terminal.must(*world.publish)
    world.terminal.must("key", "rotate")
    refused = world.terminal.run(*world.publish, "--log", "changes", "-o", "json")
    assert {one["code"] for one in refused.json[0]["asked"] if one["who"] != world.tsa} == {
        "witness.declined"
    }
    for witness in (world.one, world.two):
        where = ("--dir", str(witness.directory))
        world.terminal.must("witness", "trust", *log_keys(world.terminal).values(), *where)
    assert world.terminal.json(*world.publish, "--log", "changes")[0]["anchored"]
    (_, changes) = world.terminal.json("verify", *world.trust)
    assert changes["secondSignatures"] == 2


def test_a_witness_can_be_asked_over_tls_and_is_then_held_to_its_certificate(world: World) -> None:
    tls = world.terminal.directory / "tls"
    world.terminal.must("tls", "init", "--out", str(tls))
    keys = log_keys(world.terminal).values()
    with ServedWitness(world.terminal, "three", *keys, tls=str(tls)) as witness:
        world.policy.write_text(f"{witness.line}quorum three\n")
        asked = ("checkpoint", "publish", "--policy", str(world.policy), "--log", "changes")
        ran = world.terminal.run(*asked, "-o", "json")
        assert (ran.status, ran.json[0]["asked"][0]["code"]) == (1, "outside.unreachable")
        assert "not trusted" in ran.json[0]["asked"][0]["message"]
        assert world.terminal.json(*asked, "--ca", str(tls / "ca.pem"))[0]["anchored"]
