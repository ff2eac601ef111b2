"""Programs that are not ours, and how they are asked: Go's sumdb, metamorphic-log, openssl, sigstore."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest

HERE = Path(__file__).parents[1] / "conformance"
GO_PACKAGES = Path("/usr/share/gocode")
CLIENTS = Path(sys.prefix) / "clients"

ED25519_KEY = bytes.fromhex("302a300506032b6570032100")
"""What stands before a raw Ed25519 key in a SubjectPublicKeyInfo (RFC 8410)."""


def missing(what: str) -> NoReturn:
    """Skip, but not where the machine was made for these tests: there it is a failure."""
    if os.environ.get("MUNIMENT_CI"):
        pytest.fail(f"{what} is missing, and MUNIMENT_CI says that all must run")
    pytest.skip(f"{what} is not installed")


def built_go(place: Path, cache: Path) -> Path:
    """The Go program, built into the folder *place*."""
    go = shutil.which("go")
    if go is None or not (GO_PACKAGES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        missing("Go with golang-golang-x-mod-dev")
    program = place / "check"
    environ = {
        "GO111MODULE": "off",
        "GOCACHE": str(cache),
        "GOPATH": str(GO_PACKAGES),
        "PATH": os.environ["PATH"],
    }
    built = subprocess.run(
        [go, "build", "-o", program, HERE / "go" / "main.go"],
        env=environ,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return program


def metamorphic_log() -> Any:
    try:
        return import_module("metamorphic_log")
    except ImportError:
        missing("metamorphic-log")


def openssl_accepts(folder: Path, public: bytes, text: bytes, signature: bytes) -> bool:
    """Whether `openssl pkeyutl` finds that the Ed25519 key *public* signed *text*."""
    if shutil.which("openssl") is None:
        missing("openssl")
    key, said, signed = folder / "key.der", folder / "said", folder / "signature"
    key.write_bytes(ED25519_KEY + public)
    said.write_bytes(text)
    signed.write_bytes(signature)
    done = subprocess.run(
        [
            *("openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", key),
            *("-rawin", "-in", said, "-sigfile", signed),
        ],
        capture_output=True,
        text=True,
    )
    assert ("Verified Successfully" in done.stdout) == (done.returncode == 0), done
    return done.returncode == 0


def sigstore_verdicts(questions: list[dict[str, str]]) -> list[bool]:
    """What @sigstore/verify says of each tlog-proof, given as text with the log's raw key."""
    node, modules = CLIENTS / "bin" / "node", CLIENTS / "node_modules"
    if not (modules / "@sigstore" / "verify").is_dir():
        missing("@sigstore/verify (make clients)")
    done = subprocess.run(
        [node, HERE / "node" / "check.cjs"],
        env={"NODE_PATH": str(modules), "PATH": os.environ["PATH"]},
        input=json.dumps(questions),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: list[bool] = json.loads(done.stdout)
    return found
