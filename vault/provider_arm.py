"""The provider `arm`: Azure Resource Manager makes the keys, or a host that answers as it does.

`POST RESOURCE/listKeys` and `POST RESOURCE/regenerateKey {"keyName"}`, each answered with
`{"keys": [{"keyName", "value", "permissions"}]}` (Storage resource provider REST, Storage Accounts).
A resource's id becomes a path, so only that of a storage account is taken: with another one, who may
set an account could have this service's identity ask for the keys of a database.

The role that it needs at the account is "Storage Account Key Operator Service Role".
"""

from __future__ import annotations

import re
import ssl
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote, urlencode

import msgspec

from vault import provider_https
from vault.provider_https import Answer
from vault.providers import last_segment
from vault.refusals import ProviderRefused, ProviderUnavailable

API_VERSION: Final = "2024-01-01"
"""One that Azure keeps; every later one answers these two in the same form."""

_RESOURCE = re.compile(
    r"/subscriptions/[0-9a-z-]{1,64}/resourceGroups/(?![.]+/)[\w().-]{1,90}"
    r"/providers/Microsoft[.]Storage/storageAccounts/[0-9a-z]{3,24}",
    re.IGNORECASE,
)
_CODE = re.compile("[A-Za-z]{1,64}", re.ASCII)
_NOT_KNOWN = (408, 409, 412, 425, 429)
"""Of the statuses from 400 to 499 those after which the same question may be answered otherwise."""

_EARLY = 300.0


class _Key(msgspec.Struct, frozen=True):
    keyName: str
    value: str

    def __repr__(self) -> str:
        return "_Key(...)"


class _Keys(msgspec.Struct, frozen=True):
    keys: list[_Key]


class _Signed(msgspec.Struct, frozen=True):
    access_token: str
    # The metadata service says its numbers as texts.
    expires_in: int | str

    def __repr__(self) -> str:
        return "_Signed(...)"


class _Failed(msgspec.Struct, frozen=True):
    error: Any = None


class Credential(Protocol):
    """How to get a token."""

    def ask(self, audience: str, trust: ssl.SSLContext) -> Answer:
        """Ask for a token for *audience*.  Raise ProviderRefused or ProviderUnavailable."""
        ...


class ClientSecret(NamedTuple):
    """A registered client and the file of its secret, which is read at each sign-in."""

    authority: str
    tenant: str
    client_id: str
    secret_file: Path

    def ask(self, audience: str, trust: ssl.SSLContext) -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": _secret(self.secret_file),
            "scope": f"{audience}/.default",
        }
        address = f"{self.authority}/{quote(self.tenant, safe='')}/oauth2/v2.0/token"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return provider_https.ask("POST", address, headers, urlencode(form).encode(), trust=trust)


class ManagedIdentity(NamedTuple):
    """The identity of the machine, from its metadata service, which is asked in clear."""

    endpoint: str
    client_id: str = ""

    def ask(self, audience: str, _: ssl.SSLContext) -> Answer:
        query = {"api-version": "2018-02-01", "resource": audience}
        if self.client_id:
            query["client_id"] = self.client_id
        address = f"{self.endpoint}?{urlencode(query)}"
        return provider_https.ask("GET", address, {"Metadata": "true"}, trust=None)


class ArmProvider:
    """Asks the resource manager at *endpoint*.  Safe for threads."""

    def __init__(
        self,
        endpoint: str,
        credential: Credential,
        authority_file: str | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._credential = credential
        self._authority_file = authority_file
        self._ticks = ticks
        self._lock = threading.Lock()
        self._token = ""
        self._until = float("-inf")

    def list_keys(self, resource_id: str) -> dict[str, str]:
        return self._ask(resource_id, "listKeys", b"")

    def regenerate_key(self, resource_id: str, key_name: str) -> dict[str, str]:
        body = msgspec.json.encode({"keyName": key_name})
        return self._ask(resource_id, "regenerateKey", body)

    def account_name(self, resource_id: str) -> str:
        return last_segment(resource_id)

    # -- asking ----------------------------------------------------------------------------------

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return provider_https.trust_of(self._authority_file)

    def _ask(self, resource_id: str, action: str, body: bytes) -> dict[str, str]:
        if not _RESOURCE.fullmatch(resource_id):
            raise ProviderRefused("the resource's id is not that of a storage account")
        address = f"{self._endpoint}{quote(resource_id)}/{action}?api-version={API_VERSION}"
        answer = self._authorized(address, body)
        if answer.status == 401:
            # The token may have been revoked before its time: once more with a new one.
            self._forget()
            answer = self._authorized(address, body)
        if answer.status != 200:
            raise _refusal(action, answer)
        return _keys(answer.body)

    def _authorized(self, address: str, body: bytes) -> Answer:
        headers = {"Authorization": f"Bearer {self._signed_in()}", "Accept": "application/json"}
        headers["Content-Type"] = "application/json"
        headers["Content-Length"] = str(len(body))
        return provider_https.ask("POST", address, headers, body, trust=self._trust)

    def _signed_in(self) -> str:
        with self._lock:
            if self._ticks() > self._until:
                answer = self._credential.ask(self._endpoint, self._trust)
                if answer.status != 200:
                    raise _refusal("the sign-in", answer)
                signed = _token(answer.body)
                life = float(signed.expires_in)
                self._token = signed.access_token
                self._until = self._ticks() + max(life - _EARLY, life / 2)
            return self._token

    def _forget(self) -> None:
        with self._lock:
            self._until = float("-inf")


def _refusal(what: str, answer: Answer) -> ProviderRefused | ProviderUnavailable:
    """What an answer other than 200 means.  Only its error's code is told, if it is a plain word."""
    told = f"{what} was answered with status {answer.status}{_code(answer.body)}"
    if 400 <= answer.status < 500 and answer.status not in _NOT_KNOWN:
        return ProviderRefused(told)
    return ProviderUnavailable(told)


def _code(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body, type=_Failed).error
    except (ValueError, RecursionError):
        return ""
    code = error.get("code") if isinstance(error, dict) else None
    return f", {code}" if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _keys(body: bytes) -> dict[str, str]:
    # Given out and not raised, so that no failure of a parser holds on to the bytes.
    read = None
    with suppress(ValueError, RecursionError):
        read = msgspec.json.decode(body, type=_Keys)
    if read is None or len({key.keyName for key in read.keys}) != len(read.keys):
        raise ProviderUnavailable("the resource manager's answer is no list of keys")
    return {key.keyName: key.value for key in read.keys}


def _token(body: bytes) -> _Signed:
    read = None
    with suppress(ValueError, RecursionError):
        read = msgspec.json.decode(body, type=_Signed)
    if read is None or not (
        read.access_token.isascii()
        and read.access_token.isprintable()
        and re.fullmatch("[0-9]{1,9}", str(read.expires_in))
    ):
        raise ProviderUnavailable("the sign-in's answer is no token")
    return read


def _secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise ProviderUnavailable(f"others may use {path}: chmod 600")
            return file.read(4096).decode().strip()
    except (OSError, UnicodeDecodeError):
        raise ProviderUnavailable(f"{path} cannot be read") from None
