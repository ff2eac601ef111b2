"""The file in which the operator declares the providers: strict JSON that only its owner may use.

A list of objects, each of a `kind`: `arm`, `azurite` or `manual`.  It names programs that will be
run and files that hold secrets, so one that others may write is refused, and so is a member that is
not known: a limit with a typing error in its name would be none.  No secret stands in it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from eventstore.errors import MunimentError
from vault.provider_arm import ArmProvider, ClientSecret, Credential, ManagedIdentity
from vault.provider_azurite import AzuriteProvider
from vault.provider_manual import ManualProvider
from vault.providers import Declared, Providers, StorageProvider
from vault.sas import ACCOUNT_NAME

MAX_FILE: Final = 256 * 1024
# Twice this, for the wait and for the work, is less than the lease of a regeneration.
MAX_SECONDS: Final = 50
AZURE: Final = "https://management.azure.com"
SIGN_IN: Final = "https://login.microsoftonline.com"
METADATA: Final = "http://169.254.169.254/metadata/identity/oauth2/token"

_NAME = re.compile("[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
_VAULT = re.compile("[0-9A-Za-z-]{3,24}", re.ASCII)
_IN_CLEAR = ("169.254.169.254", "127.0.0.1", "::1", "localhost")


class ProvidersInvalid(MunimentError):
    """The file of providers cannot be read, or does not say what it should."""

    code = "provider.file-invalid"
    hint = "docs/providers.md says what stands in it"


class ProvidersExposed(MunimentError):
    """Others than its owner may use the file of providers, or it is somebody else's."""

    code = "provider.file-exposed"
    hint = "chmod 600 the file, as the account that runs muniment"


class _Secret(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="secret"
):
    tenant: str
    clientId: str
    secretFile: str
    authority: str = SIGN_IN


class _Managed(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="managed-identity"
):
    clientId: str = ""
    endpoint: str = METADATA


class Entry(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True
):
    """What every provider has."""

    name: str
    prefix: str
    vaults: list[str] | None = None

    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)

    def problem(self) -> str:
        """What is wrong on this machine, where it can be seen without asking; or an empty text."""
        return ""


class Arm(Entry, frozen=True, tag="arm", kw_only=True):
    """A provider of the kind `arm`."""

    credential: _Secret | _Managed
    endpoint: str = AZURE
    ca: str | None = None

    def problem(self) -> str:
        given = self.credential
        secret = _unusable(given.secretFile, private=True) if isinstance(given, _Secret) else ""
        return secret or (_unusable(self.ca) if self.ca else "")


class Azurite(Entry, frozen=True, tag="azurite", kw_only=True):
    """A provider of the kind `azurite`."""

    accounts: list[str]
    keys: str
    environment: str
    restart: list[str]
    seconds: float = 30

    def problem(self) -> str:
        exists = [path for path in (self.keys, self.environment) if Path(path).exists()]
        exposed = [found for path in exists if (found := _unusable(path, private=True))]
        return _not_run(self.restart[0]) or "; ".join(exposed)


class Manual(Entry, frozen=True, tag="manual", kw_only=True):
    """A provider of the kind `manual`."""

    program: list[str]
    seconds: float = 30

    def problem(self) -> str:
        return _not_run(self.program[0])


def load(path: Path) -> Providers:
    """The providers that *path* declares.  Raise ProvidersInvalid or ProvidersExposed."""
    return Providers(
        Declared(one.name, one.prefix, _provider(one), tuple(one.vaults or ()))
        for one in read(path)
    )


def read(path: Path) -> list[Arm | Azurite | Manual]:
    """What *path* declares, checked.  Raise ProvidersInvalid or ProvidersExposed."""
    try:
        entries = msgspec.convert(_json(path), list[Arm | Azurite | Manual])
        _check(entries)
    except (msgspec.ValidationError, ValueError) as wrong:
        raise ProvidersInvalid(f"{path}: {wrong}") from None
    return entries


def _json(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            _check_private(path, os.fstat(file.fileno()))
            text = file.read(MAX_FILE + 1)
    except OSError as problem:
        raise ProvidersInvalid(f"{path}: {problem.strerror}") from None
    if len(text) > MAX_FILE:
        raise ValueError(f"it has more than {MAX_FILE:,} bytes")
    try:
        return json.loads(text.decode(), object_pairs_hook=_single)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _check_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ProvidersInvalid(f"{path} is not a file")
    if found.st_uid not in (0, os.geteuid()):
        raise ProvidersExposed(f"{path} is another account's")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ProvidersExposed(f"others than its owner may use {path}")


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands there twice")
    return found


# --- what an entry may say ------------------------------------------------------------------------


def _check(entries: list[Arm | Azurite | Manual]) -> None:
    """Raise ValueError."""
    for one in entries:
        if not _NAME.fullmatch(one.name):
            raise ValueError("a name is of lower case letters, digits and hyphens, up to 40")
        try:
            _check_one(one)
        except ValueError as wrong:
            raise ValueError(f"{one.name}: {wrong}") from None
    for what in ("name", "prefix"):
        told = [getattr(one, what).lower().rstrip("/") for one in entries]
        if len(set(told)) != len(told):
            raise ValueError(f"two providers have the same {what}")
    _check_files([path for one in entries if isinstance(one, Azurite) for path in _files(one)])


def _check_one(one: Arm | Azurite | Manual) -> None:
    if one.prefix and not one.prefix.startswith("/"):
        raise ValueError("a prefix begins with a slash; an empty one is every resource's")
    if one.vaults is not None and not (one.vaults and all(map(_VAULT.fullmatch, one.vaults))):
        raise ValueError("vaults are names of vaults; without this member it is every vault's")
    match one:
        case Arm():
            _check_address("endpoint", one.endpoint)
            _check_credential(one.credential)
            if one.ca is not None:
                _check_paths(one.ca)
        case Azurite():
            if not one.accounts or not all(map(ACCOUNT_NAME.fullmatch, one.accounts)):
                raise ValueError("accounts are names of 3 to 24 lower case letters and digits")
            _check_paths(*_files(one))
            _check_program(one.restart, one.seconds)
        case Manual():
            _check_program(one.program, one.seconds)


def _check_credential(given: _Secret | _Managed) -> None:
    if isinstance(given, _Secret):
        _check_address("authority", given.authority)
        _check_paths(given.secretFile)
    elif urlsplit(given.endpoint).scheme != "http":
        _check_address("endpoint", given.endpoint)
        raise ValueError("a metadata service is asked by http")
    elif urlsplit(given.endpoint).hostname not in _IN_CLEAR:
        raise ValueError("in clear only the metadata service's own address, or this host, is asked")


def _check_address(what: str, address: str) -> None:
    place = urlsplit(address)
    extra = place.query or place.fragment or place.username or address.endswith("/")
    if place.scheme != "https" or not place.hostname or extra or not address.isascii():
        raise ValueError(f"the {what} is https://HOST, with no slash at the end")


def _check_paths(*paths: str) -> None:
    if not all(path.startswith("/") and "\0" not in path for path in paths):
        raise ValueError("a path begins at the root")


def _check_program(program: list[str], seconds: float) -> None:
    if not program or any("\0" in part for part in program):
        raise ValueError("a program is a list: its path, then its arguments")
    _check_paths(program[0])
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(f"seconds are more than 0 and at most {MAX_SECONDS}")


def _check_files(paths: list[str]) -> None:
    if len(set(paths)) != len(paths):
        raise ValueError("two files of keys or of variables are the same")


def _files(one: Azurite) -> tuple[str, str]:
    return one.keys, one.environment


# --- from an entry to a provider ------------------------------------------------------------------


def _provider(one: Arm | Azurite | Manual) -> StorageProvider:
    match one:
        case Arm():
            return ArmProvider(one.endpoint, _credential(one.credential), one.ca)
        case Azurite():
            keys, environment = (Path(path) for path in _files(one))
            return AzuriteProvider(
                tuple(one.accounts), keys, environment, tuple(one.restart), one.seconds
            )
        case Manual():
            return ManualProvider(tuple(one.program), one.seconds)


def _credential(given: _Secret | _Managed) -> Credential:
    if isinstance(given, _Managed):
        return ManagedIdentity(given.endpoint, given.clientId)
    return ClientSecret(given.authority, given.tenant, given.clientId, Path(given.secretFile))


# --- what doctor can see --------------------------------------------------------------------------


def _unusable(path: str, *, private: bool = False) -> str:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
    except OSError as problem:
        return f"{path}: {problem.strerror}"
    exposed = private and mode & (stat.S_IRWXG | stat.S_IRWXO)
    return f"others than its owner may use {path}" if exposed else ""


def _not_run(program: str) -> str:
    return "" if os.access(program, os.X_OK) else f"{program} cannot be run"
