"""`az keyvault` against the service: `make conformance-az`.  Too heavy for every run."""

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from support.served import Served

AZ = os.environ.get("MUNIMENT_AZ", "")

pytestmark = pytest.mark.skipif(not AZ, reason="runs by `make conformance-az` only")


class AzureCli:
    """`az` in a home of its own, set up as `muniment env az-cli` says."""

    def __init__(self, served: Served, client: dict[str, str]) -> None:
        found = shutil.which(AZ)
        assert found is not None, f"{AZ} is not there: make conformance-az AZ=PATH"
        self._served = served
        self._environ = {
            **served.terminal.environ,
            # Each has its own, since a cloud is registered once.
            "HOME": str(served.terminal.directory / f"home-of-{client['name']}"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "PATH": os.pathsep.join((os.path.dirname(found), os.environ["PATH"])),
        }
        printed = served.terminal.must("env", "az-cli", "--port", str(served.port)).text
        who = {"CLIENT_ID": client["clientId"], "TENANT_ID": client["tenantId"]}
        for name, value in who.items():
            printed = printed.replace(name, value)
        login = "\n" + printed.rstrip() + f" --password {client['clientSecret']}\n"
        done = self.bash("set -e" + login + "env -0")
        last = done.stdout.rpartition("\n]\n")[2]
        self._environ |= dict(pair.split("=", 1) for pair in last.split("\0") if pair)

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-c", script],
            env=self._environ,
            cwd=self._served.terminal.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done

    def vault(self, *words: str) -> Any:
        """What `az keyvault` answers; it must succeed."""
        done = subprocess.run(
            [AZ, "keyvault", *words, "-o", "json", "--only-show-errors"],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    def run(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [AZ, "keyvault", "secret", verb, "--vault-name", "acme", "-o", "json", *arguments],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def must(self, verb: str, *arguments: str) -> Any:
        done = self.run(verb, *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")


def test_az_keyvault_secret_works_from_set_to_purge(served: Served) -> None:
    az = AzureCli(served, served.all)
    made = az.must("set", "--name", "db", "--value", "first", "--tags", "a=b")
    version = made["id"].rpartition("/")[2]
    az.must("set", "--name", "db", "--value", "second")
    assert az.must("show", "--name", "db")["value"] == "second"
    assert az.must("show", "--name", "db", "--version", version)["value"] == "first"
    assert [one["name"] for one in az.must("list")] == ["db"]
    assert len(az.must("list-versions", "--name", "db")) == 2
    az.must("set-attributes", "--name", "db", "--enabled", "false")
    assert "Forbidden" in az.run("show", "--name", "db").stderr
    blob = str(served.terminal.directory / "blob")
    az.must("backup", "--name", "db", "--file", blob)
    az.must("delete", "--name", "db")
    assert [one["name"] for one in az.must("list-deleted")] == ["db"]
    assert "SecretNotFound" in az.run("show", "--name", "db").stderr
    az.must("recover", "--name", "db")
    az.must("delete", "--name", "db")
    az.must("purge", "--name", "db")
    assert az.must("restore", "--file", blob)["name"] == "db"
    assert az.run("show", "--name", "nobody").returncode == 3


def test_az_keyvault_makes_changes_and_ends_a_vault(served: Served) -> None:
    az = AzureCli(served, served.manager)
    who = served.manager["objectId"]
    plain = ("--enable-rbac-authorization", "false", "--no-self-perms")
    made = az.vault("create", "-n", "az-made", "-g", "shop", "-l", "local", *plain)
    assert made["properties"]["vaultUri"] == f"https://az-made.vault.localhost:{served.port}/"
    assert {one["name"] for one in az.vault("list")} == {"acme", "az-made", "two"}
    az.vault("update", "-n", "az-made", "-g", "shop", "--set", "tags.team=shop")
    az.vault("set-policy", "-n", "az-made", "--object-id", who, "--secret-permissions", "all")
    rule = ("--ip-address", "203.0.113.9")
    az.vault("network-rule", "add", "-n", "az-made", *rule)
    [range_] = az.vault("network-rule", "list", "-n", "az-made")["ipRules"]
    assert range_["value"] == "203.0.113.9/32"
    az.vault("network-rule", "remove", "-n", "az-made", *rule)
    az.vault("update", "-n", "az-made", "--default-action", "Deny")
    shown = az.vault("show", "-n", "az-made")
    assert (shown["tags"], shown["properties"]["networkAcls"]["defaultAction"]) == (
        {"team": "shop"},
        "Deny",
    )
    assert len(shown["properties"]["accessPolicies"]) == 1
    az.vault("delete-policy", "-n", "az-made", "--object-id", who)
    assert az.vault("show", "-n", "az-made")["properties"]["accessPolicies"] == []
    az.vault("delete", "-n", "az-made")
    [deleted] = az.vault("list-deleted")
    assert deleted["name"] == "az-made"
    assert az.vault("show-deleted", "-n", "az-made")["name"] == "az-made"
    az.vault("recover", "-n", "az-made")
    az.vault("delete", "-n", "az-made")
    az.vault("purge", "-n", "az-made")
    assert az.vault("list-deleted") == []
