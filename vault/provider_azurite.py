"""The provider `azurite`: the keys of an Azurite are ours, and it learns them when it begins.

Azurite reads its accounts from the variable `AZURITE_ACCOUNTS`, once.  So a new key is written down
first, then into a file that its next start takes the variable from, and then a declared command
starts it anew.  The file of keys says whether that has been done: after a crash or a failure
between the steps the next question does them again before it is answered.  The accounts are those that were declared, for a
vault's administrator must not make as many as he likes.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from eventstore.durable import write_durably
from eventstore.errors import OutcomeUnknown
from vault import provider_programs
from vault.providers import KEY_SIZE, last_segment
from vault.refusals import ProviderRefused, ProviderUnavailable

_NAMES = ("key1", "key2")
_LOOK = 0.05


class _Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds: keys by account and name, and whether Azurite began with them."""

    accounts: dict[str, dict[str, str]]
    begun: bool

    def __repr__(self) -> str:
        return f"_Keys(begun={self.begun})"


class AzuriteProvider:
    """Keeps the keys of *accounts* in the file *keys*, and writes them into *environment*.

    *restart* is an argument list.  *seconds* is how long it may take.
    """

    def __init__(
        self,
        accounts: tuple[str, ...],
        keys: Path,
        environment: Path,
        restart: tuple[str, ...],
        seconds: float,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._accounts = accounts
        self._keys = keys
        self._environment = environment
        self._restart = restart
        self._seconds = seconds
        self._entropy = entropy

    def list_keys(self, resource_id: str) -> dict[str, str]:
        name = self._declared(resource_id)
        return _untraced(lambda: self._listed(name))

    def regenerate_key(self, resource_id: str, key_name: str) -> dict[str, str]:
        name = self._declared(resource_id)
        return _untraced(lambda: self._regenerated(name, key_name))

    def account_name(self, resource_id: str) -> str:
        return last_segment(resource_id)

    def _declared(self, resource_id: str) -> str:
        name = last_segment(resource_id)
        if name not in self._accounts:
            raise ProviderRefused(f"{name[:24]!a} is none of the accounts that were declared")
        return name

    # -- the steps -------------------------------------------------------------------------------

    def _listed(self, name: str) -> dict[str, str]:
        with self._alone():
            return dict(self._settled().accounts[name])

    def _regenerated(self, name: str, key_name: str) -> dict[str, str]:
        with self._alone():
            accounts = self._complete(self._read())
            if key_name not in accounts[name]:
                raise ProviderRefused(f"the account has no key {key_name[:64]!a}")
            # One start, also of what an earlier one should have begun with: two would take too long.
            keys = {**accounts[name], key_name: self._fresh()}
            self._take(_Keys({**accounts, name: keys}, begun=False))
            return keys

    def _settled(self) -> _Keys:
        """The keys, once every account has some and Azurite began with all of them."""
        known = self._read()
        accounts = self._complete(known)
        if known.begun and accounts == known.accounts:
            return known
        return self._take(_Keys(accounts, begun=False))

    def _complete(self, known: _Keys) -> dict[str, dict[str, str]]:
        """The keys of all accounts; new ones for an account that has none yet."""
        missing = [name for name in self._accounts if name not in known.accounts]
        made = {name: {key: self._fresh() for key in _NAMES} for name in missing}
        return {**known.accounts, **made}

    def _take(self, keys: _Keys) -> _Keys:
        """Write *keys* down, have Azurite begin with them, and write that down."""
        self._write(self._keys, msgspec.json.encode(keys))
        self._write(self._environment, _variable(keys))
        provider_programs.carry_out(self._restart, self._seconds)
        begun = _Keys(keys.accounts, begun=True)
        self._write(self._keys, msgspec.json.encode(begun))
        return begun

    def _fresh(self) -> str:
        return b64encode(self._entropy(KEY_SIZE)).decode()

    # -- files -----------------------------------------------------------------------------------

    def _read(self) -> _Keys:
        try:
            with self._keys.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                    raise ProviderUnavailable(f"others may use {self._keys}: chmod 600")
                text = file.read()
        except FileNotFoundError:
            return _Keys({}, begun=False)
        except OSError as problem:
            raise ProviderUnavailable(f"{self._keys}: {problem.strerror}") from None
        return _decoded(self._keys, text)

    def _write(self, path: Path, text: bytes) -> None:
        try:
            write_durably(path, text)
        except OutcomeUnknown:
            raise ProviderUnavailable(f"{path} may not be on the disk") from None
        except OSError as problem:
            raise ProviderUnavailable(f"{path}: {problem.strerror}") from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process or thread works with these files; whoever does has a limit of time."""
        lock, end = (
            self._keys.with_name(self._keys.name + ".lock"),
            time.monotonic() + self._seconds,
        )
        try:
            fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise ProviderUnavailable(f"{lock}: {problem.strerror}") from None
        try:
            while not _locked(fd):
                if time.monotonic() > end:
                    raise ProviderUnavailable("somebody else gives Azurite a key and does not end")
                time.sleep(_LOOK)
            yield
        finally:
            os.close(fd)


def _untraced(work: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What *work* gives, or its refusal without the frames that it came through: they hold keys."""
    try:
        return work()
    except (ProviderRefused, ProviderUnavailable) as problem:
        refusal = problem.with_traceback(None)
    raise refusal


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _decoded(path: Path, text: bytes) -> _Keys:
    read = None
    with suppress(ValueError, RecursionError):
        read = msgspec.json.decode(text, type=_Keys)
    if read is None or any(not {*_NAMES} <= keys.keys() for keys in read.accounts.values()):
        raise ProviderUnavailable(f"{path} is not a file of keys")
    return read


def _variable(keys: _Keys) -> bytes:
    # In quotation marks, since a shell ends a command at the semicolon; systemd takes them off.
    accounts = [
        ":".join((name, *(of[key] for key in _NAMES))) for name, of in sorted(keys.accounts.items())
    ]
    return f'AZURITE_ACCOUNTS="{";".join(accounts)}"\n'.encode()
