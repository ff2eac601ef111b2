"""A service publishes its checkpoints by itself, tells what is not anchored, and waits for nobody."""

from __future__ import annotations

import json
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.outsiders import Authority, ServedWitness, authority_served
from support.served import VAULTS, Served
from support.services import free_port
from support.terminal import Terminal

_PATIENCE = 40.0


class Published:
    """A service of two vaults that publishes every few records to one witness and an authority."""

    def __init__(self, tmp_path: Path, tsa: str, roots: Path) -> None:
        directory = tmp_path / "served"
        directory.mkdir()
        self.witness = ServedWitness(Terminal(tmp_path), "one")
        policy = tmp_path / "policy"
        policy.write_text(f"{self.witness.line}quorum one\n")
        self.trust = ("--policy", str(policy), "--tsa-roots", str(roots))
        self.served = Served(
            directory,
            *("--publish-policy", str(policy), "--tsa", tsa, "--tsa-roots", str(roots)),
            *("--publish-interval", "2s", "--publish-growth", "3", "--metrics"),
            *("--workers", "2"),
        )
        for vault in VAULTS:
            shown = self.served.terminal.json("vault", "show", "--vault-name", vault)
            Terminal(tmp_path).must(
                *("witness", "trust", *shown["verifiers"].values()),
                *("--dir", str(self.witness.directory)),
            )

    def get(self, path: str) -> bytes:
        trusted = ssl.create_default_context(cafile=str(self.served.tls / "ca.pem"))
        with urllib.request.urlopen(self.served.vault() + path, context=trusted) as answer:
            read: bytes = answer.read()
        return read

    def tail(self) -> Any:
        """What the worker that answers knows; it counts once a second."""
        while (told := json.loads(self.get("/readyz"))["unanchored"]) is None:
            time.sleep(0.2)
        return told

    def told(self) -> Any:
        return self.served.terminal.json(
            "log", "--log", "changes", "--vault-name", VAULTS[0], *self.trust
        )


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    authority = Authority(tmp_path / "authority")
    with authority_served(authority) as tsa:
        yield Published(tmp_path, tsa, authority.roots)


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.timeout(300)
def test_a_witness_that_is_away_stops_nothing_and_is_made_up_for(published: Published) -> None:
    with published.served as served:
        served.bring_in(["first", "second"])
        wait_for(lambda: '"outside.unreachable"' in served.log.replace(",", '","'))
        wait_for(lambda: published.tail()["records"] > 0)
        wait_for(lambda: b"muniment_unanchored_records{" in published.get("/metrics"))
        with published.witness:
            wait_for(lambda: published.tail()["records"] == 0)
            wait_for(lambda: b"muniment_unanchored_seconds{" in published.get("/metrics"))
            served.bring_in(["third"])
            wait_for(lambda: all(one["before"] is not None for one in published.told()))
        told = published.told()
        assert told[-1]["after"]["source"] == "one"
        assert [one["name"] for one in told[-3:]] == ["first", "second", "third"]


def test_what_is_wrong_with_a_policy_is_told_before_anything_is_served(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.must("init", "acme")
    terminal.must("tls", "init")
    (tmp_path / "policy").write_text("quorum nobody\n")
    for options, code in (
        (("--publish-policy", "policy"), "trust-policy.invalid"),
        (("--publish-policy", "gone"), "trust-policy.invalid"),
        (("--tsa", "http://127.0.0.1:1/"), "usage"),
        (("--tsa", "http://127.0.0.1:1/", "--tsa-roots", "policy"), "timestamp.roots-invalid"),
    ):
        ran = terminal.run("serve", "--port", str(free_port()), *options, "-o", "json")
        assert (ran.status, ran.error["code"]) == (2, code)
