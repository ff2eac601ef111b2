"""Who asks, to a server: a bearer token that was given, or one that a client's secret is given for.

A token comes from `--token-file`, MUNIMENT_TOKEN or the file MUNIMENT_TOKEN_FILE; a client's id and
secret from the variables that Azure's SDKs read: AZURE_CLIENT_ID, AZURE_TENANT_ID,
AZURE_CLIENT_SECRET or the file AZURE_CLIENT_SECRET_FILE, and AZURE_AUTHORITY_HOST.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from cli.challenge import Address, Authority, address_of
from cli.https import Reply
from cli.problems import (
    AnswerMalformed,
    FileUnusable,
    NotAuthenticated,
    ServerBusy,
    SettingInvalid,
)
from cli.settings import Settings

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,65536}=*")
_SOON: Final = 60.0
_MAX_SAID: Final = 500


class Token(NamedTuple):
    """A bearer token, and until when it is good by `time.monotonic`; None if nobody said."""

    text: str
    until: float | None = None

    @property
    def header(self) -> str:
        return f"Bearer {self.text}"

    def is_over(self, now: float) -> bool:
        return self.until is not None and now >= self.until

    def __repr__(self) -> str:
        return "Token(...)"


class Client(NamedTuple):
    """An application with a secret; *tenant* and *authority* are what the user expects, if set."""

    id: str
    secret: str
    tenant: str = ""
    authority: Address | None = None

    def __repr__(self) -> str:
        return f"Client({self.id})"


def credentials(settings: Settings, environ: Mapping[str, str]) -> Token | Client:
    """What this account may show a server.  Raise NotAuthenticated if there is nothing."""
    file = settings.resolve("token_file")
    if file.origin != "--token-file" and (text := environ.get("MUNIMENT_TOKEN")):
        return _token(text, "MUNIMENT_TOKEN")
    if file.value is not None:
        return _token(_first_line(Path(file.value).expanduser()), file.value)
    client = environ.get("AZURE_CLIENT_ID", "")
    secret = environ.get("AZURE_CLIENT_SECRET", "")
    if not secret and (path := environ.get("AZURE_CLIENT_SECRET_FILE")):
        secret = _first_line(Path(path))
    if not client or not secret:
        raise NotAuthenticated("there is neither a token nor a client's id and secret")
    host = environ.get("AZURE_AUTHORITY_HOST", "")
    named = f"https://{host}" if host and "://" not in host else host
    authority = address_of(named, "AZURE_AUTHORITY_HOST") if named else None
    return Client(client, secret, environ.get("AZURE_TENANT_ID", ""), authority)


class _Granted(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: int | str = 0


class _Refused(msgspec.Struct):
    error: str = ""
    error_description: str = ""


def grant(
    client: Client,
    authority: Authority,
    post: Callable[[str, Mapping[str, str], bytes], Reply],
    clock: Callable[[], float] = time.monotonic,
) -> Token:
    """A token for *client*; *post* sends a form to a path of the authority.

    Raise NotAuthenticated.  Source: RFC 6749, section 4.4, as Microsoft Entra has it.
    """
    form = {
        "grant_type": "client_credentials",
        "client_id": client.id,
        "client_secret": client.secret,
        "scope": f"{authority.resource}/.default",
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    asked_at = clock()
    reply = post(f"/{authority.tenant}/oauth2/v2.0/token", headers, urlencode(form).encode())
    if reply.status in (429, 503):
        raise ServerBusy(f"{authority.address.netloc} has no time to give a token")
    if reply.status != 200:
        raise NotAuthenticated(_refused(reply, authority))
    try:
        read = msgspec.json.decode(reply.body, type=_Granted)
        lifetime = int(read.expires_in)
    except (msgspec.DecodeError, ValueError):
        raise AnswerMalformed("the authority's answer has no token") from None
    if read.token_type.lower() != "bearer" or not _TOKEN.fullmatch(read.access_token):
        raise AnswerMalformed("the authority's answer has no bearer token")
    return Token(read.access_token, asked_at + lifetime - min(_SOON, lifetime / 2))


def _refused(reply: Reply, authority: Authority) -> str:
    try:
        read = msgspec.json.decode(reply.body, type=_Refused)
    except msgspec.DecodeError:
        read = _Refused()
    said = ": ".join(part for part in (read.error, read.error_description) if part)
    return f"{authority.address.netloc} gives no token: {said[:_MAX_SAID] or reply.status}"


def _token(text: str, origin: str) -> Token:
    stripped = text.strip()
    if not _TOKEN.fullmatch(stripped):
        raise SettingInvalid(f"{origin} does not hold a bearer token")
    return Token(stripped)


def _first_line(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileUnusable(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingInvalid(f"{path} is not text") from None
    first = text.partition("\n")[0].rstrip("\r")
    if not first:
        raise SettingInvalid(f"{path} is empty")
    return first
