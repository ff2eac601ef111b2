"""Who makes keys in tests: a provider that keeps what it did in a file, as another process would.

Its keys are made of a counter, so that a test can say which one it expects.  It fails when told to:
before it does anything, or after, when nobody hears that it did.
"""

from __future__ import annotations

import fcntl
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha512
from pathlib import Path
from typing import Any

from vault.providers import Declared, Providers
from vault.refusals import ProviderRefused, ProviderUnavailable

RESOURCE = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/shop"
OTHER = RESOURCE.replace("shop", "other")


def key(number: int) -> str:
    """The key that the provider makes as its *number*th, in base64."""
    return b64encode(sha512(b"key %d" % number).digest()).decode()


class FileProvider:
    """A storage provider whose state is the JSON file at *path*."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda call: None
        self.after: Callable[[str], None] = lambda call: None
        self.spoilt: dict[str, str] = {}

    def list_keys(self, resource_id: str) -> dict[str, str]:
        self._told("list")
        with self._state() as state:
            keys = dict(state["accounts"][resource_id])
        self.after("list")
        return {**keys, **self.spoilt}

    def regenerate_key(self, resource_id: str, key_name: str) -> dict[str, str]:
        self._told(f"regenerate {key_name}")
        with self._state() as state:
            if key_name not in state["accounts"][resource_id]:
                raise ProviderRefused(f"no key {key_name}")
            state["made"] += 1
            state["accounts"][resource_id][key_name] = key(state["made"])
            keys = dict(state["accounts"][resource_id])
        self.after(f"regenerate {key_name}")
        return keys

    def account_name(self, resource_id: str) -> str:
        return resource_id.rpartition("/")[2]

    def _told(self, call: str) -> None:
        self.calls.append(call)
        self.before(call)

    def _state(self) -> _State:
        return _State(self._path)

    @property
    def keys(self) -> dict[str, str]:
        """The keys of `RESOURCE` as they are, without asking."""
        with self._state() as state:
            return dict(state["accounts"][RESOURCE])

    @property
    def made(self) -> int:
        """How many keys were made since the first two of each account."""
        with self._state() as state:
            made: int = state["made"]
        return made - 4

    def drift(self, key_name: str) -> None:
        """Somebody else regenerates a key of `RESOURCE`."""
        with self._state() as state:
            state["made"] += 1
            state["accounts"][RESOURCE][key_name] = key(state["made"])


class _State:
    """The state of the file, alone with it; written back in one step if nothing failed.

    A disk that fails is a provider that is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> dict[str, Any]:
        with _disk():
            self._lock = self._path.with_suffix(".lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            text = self._path.read_text() if self._path.exists() else ""
        self._state = json.loads(text) if text else _fresh()
        self._before = json.dumps(self._state)
        return self._state

    def __exit__(self, kind: Any, problem: Any, trace: Any) -> None:
        with self._lock, _disk():
            after = json.dumps(self._state)
            if kind is None and after != self._before:
                fresh = self._path.with_suffix(".new")
                fresh.write_text(after)
                fresh.replace(self._path)


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise ProviderUnavailable(str(problem.errno)) from None


def _fresh() -> dict[str, Any]:
    accounts = {
        RESOURCE: {"key1": key(1), "key2": key(2)},
        OTHER: {"key1": key(3), "key2": key(4)},
    }
    return {"made": 4, "accounts": accounts}


def lost(_: str) -> None:
    """For `before` and `after`: nobody hears of it."""
    raise ProviderUnavailable("the connection broke")


def refusing(_: str) -> None:
    raise ProviderRefused("the account is locked")


def providers(provider: FileProvider) -> Providers:
    """What a store is opened with."""
    return Providers([Declared("test", "/subscriptions/1", provider)])
