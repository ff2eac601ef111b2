"""`az keyvault secret` against the service: `make conformance-az`.  Too heavy for every run."""

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

    def __init__(self, served: Served) -> None:
        found = shutil.which(AZ)
        assert found is not None, f"{AZ} is not there: make conformance-az AZ=PATH"
        self._served = served
        self._environ = {
            **served.terminal.environ,
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "PATH": os.pathsep.join((os.path.dirname(found), os.environ["PATH"])),
        }
        printed = served.terminal.must("env", "az-cli", "--port", str(served.port)).text
        who = {"CLIENT_ID": served.all["clientId"], "TENANT_ID": served.all["tenantId"]}
        for name, value in who.items():
            printed = printed.replace(name, value)
        login = "\n" + printed.rstrip() + f" --password {served.all['clientSecret']}\n"
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
    az = AzureCli(served)
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
