"""Accounts whose keys the program `hook.py` keeps, and the provider that asks it."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from pathlib import Path

from vault.provider_manual import ManualProvider

HOOK = str(Path(__file__).with_name("hook.py"))


def hook_program(directory: Path, how: str = "") -> tuple[str, ...]:
    """The program with its accounts in *directory*, made if they are not there."""
    state = directory / "accounts.json"
    if not state.exists():
        accounts = {name: {"key1": _key(), "key2": _key()} for name in ("shop", "other")}
        state.write_text(json.dumps(accounts))
    return (sys.executable, "-I", HOOK, str(state), how)


def manual(directory: Path, how: str = "", seconds: float = 20) -> ManualProvider:
    return ManualProvider(hook_program(directory, how), seconds)


def hooks_file(directory: Path, **prefixes: str) -> Path:
    """A file that declares the program for each prefix `/NAME`, with how it misbehaves there."""
    entries = [
        {
            "kind": "manual",
            "name": name,
            "prefix": f"/{name}",
            "program": list(hook_program(directory, how)),
            "seconds": 10,
        }
        for name, how in prefixes.items()
    ]
    path = directory / "providers.json"
    path.write_text(json.dumps(entries))
    path.chmod(0o600)
    return path


def keys_of(directory: Path) -> dict[str, dict[str, str]]:
    """The keys as they are, by account."""
    told: dict[str, dict[str, str]] = json.loads((directory / "accounts.json").read_text())
    return told


def _key() -> str:
    return b64encode(os.urandom(64)).decode()
