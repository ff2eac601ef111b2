"""Shared access signatures, minted from a template under an account's key.  Pure.

A template says what a token may do; its signature and its expiry mean nothing, since each read mints
a token of its own.  An account SAS is a bare query, a service SAS the whole address of what it is
for.  What is signed depends on the service's version, so a version whose text to sign is not known
is refused, and so is a parameter that is not: a token that says less than its template could let in
more.

Sources: "Create an account SAS" and "Create a service SAS" (learn.microsoft.com/rest/api/storageservices),
and Azure's own libraries, against which the tests hold every form.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from vault.refusals import SasTemplateInvalid, SasVersionUnknown

ACCOUNT: Final = "account"
SERVICE: Final = "service"
MAX_TEMPLATE: Final = 4096

VERSIONS: Final = [
    "2015-04-05",
    "2015-07-08",
    "2015-12-11",
    "2016-05-31",
    "2017-04-17",
    "2017-07-29",
    "2017-11-09",
    "2018-03-28",
    "2018-11-09",
    "2019-02-02",
    "2019-07-07",
    "2019-10-10",
    "2019-12-12",
    "2020-02-10",
    "2020-04-08",
    "2020-06-12",
    "2020-08-04",
    "2020-10-02",
    "2020-12-06",
    "2021-02-12",
    "2021-04-10",
    "2021-06-08",
    "2021-08-06",
    "2021-10-04",
    "2021-12-02",
    "2022-11-02",
    "2023-01-03",
    "2023-05-03",
    "2023-08-03",
    "2023-11-03",
    "2024-02-04",
    "2024-05-04",
    "2024-08-04",
    "2024-11-04",
    "2025-01-05",
    "2025-05-05",
    "2025-07-05",
    "2025-11-05",
    "2026-02-06",
    "2026-04-06",
    "2026-06-06",
    "2026-10-06",
]
_WITH_RESOURCE: Final = "2018-11-09"
_WITH_SCOPE: Final = "2020-12-06"

_BASE = ("sp", "st", "se", "sip", "spr", "sv", "sig")
_OVERRIDES = ("rscc", "rscd", "rsce", "rscl", "rsct")
_KNOWN = {
    ACCOUNT: {*_BASE, "ss", "srt", "ses"},
    "blob": {*_BASE, *_OVERRIDES, "si", "sr", "ses", "snapshot", "versionid", "sdd"},
    "file": {*_BASE, *_OVERRIDES, "si", "sr"},
    "queue": {*_BASE, "si"},
    "table": {*_BASE, "si", "tn", "spk", "srk", "epk", "erk"},
}
_SERVICE_OF = {"b": "blob", "c": "blob", "bs": "blob", "bv": "blob", "d": "blob"}
_SERVICE_OF |= {"f": "file", "s": "file"}
_OF_ADDRESS = ("snapshot", "versionid")
_PROTOCOLS = ("https", "https,http", "http,https")
_LETTERS = re.compile("[a-z]{1,20}", re.ASCII)
ACCOUNT_NAME = re.compile("[a-z0-9]{3,24}", re.ASCII)
"""The names that a storage account may have in Azure, and so the names that tokens are signed for."""
_ADDRESS_LIKE = re.compile(r"localhost|[0-9.]+|\[.*\]")


class Template(NamedTuple):
    """A template that was read.  *service* is `account`, blob, file, queue or table.

    *parameters* are in the template's order, without signature and expiry; *resource* is what a
    service SAS is for, as it is signed, behind the account's name.
    """

    service: str
    parameters: tuple[tuple[str, str], ...]
    resource: str = ""
    account: str = ""

    @property
    def version(self) -> str:
        return dict(self.parameters)["sv"]


class Token(NamedTuple):
    """A minted token, which begins with a question mark, and when it expires (Unix seconds)."""

    value: str
    expires: int

    def __repr__(self) -> str:
        return f"Token(expires={self.expires})"


def read(sas_type: str, template: str) -> Template:
    """Read a template.  Raise SasTemplateInvalid or SasVersionUnknown."""
    if (
        not 1 <= len(template) <= MAX_TEMPLATE
        or not template.isascii()
        or not template.isprintable()
    ):
        raise SasTemplateInvalid(f"a template has 1 to {MAX_TEMPLATE:,} printable ASCII characters")
    if sas_type == ACCOUNT:
        return _account(template)
    if sas_type == SERVICE:
        return _service(template)
    raise SasTemplateInvalid("a SAS definition is of type account or service")


def mint(template: Template, account: str, key: bytes, expires: int) -> Token:
    """A token of *template* for *account*, signed with its *key*, until *expires*."""
    parameters = {**dict(template.parameters), "se": _time(expires)}
    parts = _account_text if template.service == ACCOUNT else _service_text
    text = parts(template, account, parameters)
    signature = b64encode(hmac.digest(key, text.encode(), "sha256")).decode()
    # Which snapshot or version it is for stands in the address that the token is used with.
    pairs = [pair for pair in template.parameters if pair[0] not in _OF_ADDRESS]
    pairs += [("se", parameters["se"]), ("sig", signature)]
    return Token(
        "?" + "&".join(f"{name}={quote(value, safe=_safe(name))}" for name, value in pairs), expires
    )


def _safe(name: str) -> str:
    # As Key Vault writes a time: with its colons.
    return ":" if name in ("st", "se") else ""


# --- reading --------------------------------------------------------------------------------------


def _account(template: str) -> Template:
    if "://" in template:
        raise SasTemplateInvalid("the template of an account SAS is a query, not an address")
    parameters = _parameters(ACCOUNT, template.removeprefix("?"))
    _need(parameters, "ss", "srt", "sp")
    for name in ("ss", "srt", "sp"):
        if not _LETTERS.fullmatch(parameters[name]):
            raise SasTemplateInvalid(f"the template's {name} is not of lower case letters")
    return Template(ACCOUNT, tuple(parameters.items()))


def _service(template: str) -> Template:
    try:
        address = urlsplit(template)
        host = address.hostname or ""
    except ValueError:
        raise SasTemplateInvalid("the template is no address") from None
    if address.scheme not in ("https", "http") or not host or address.fragment or address.username:
        raise SasTemplateInvalid("the template of a service SAS is the address of what it is for")
    loose = dict(parse_qsl(address.query, keep_blank_values=True))
    account, service, path = _place(host, address.path, loose)
    parameters = _parameters(service, address.query)
    if "si" not in parameters:
        _need(parameters, "sp")
    if service in ("blob", "file"):
        _need(parameters, "sr")
        if _SERVICE_OF.get(parameters["sr"]) != service:
            raise SasTemplateInvalid(f"the template's sr is none of the {service} service")
    return Template(
        service, tuple(parameters.items()), _resource(service, path, parameters), account
    )


def _place(host: str, path: str, loose: dict[str, str]) -> tuple[str, str, str]:
    """Account, service and path: from `account.blob.core...`, or `host/account/...` as emulators have."""
    if _ADDRESS_LIKE.fullmatch(host):
        account, _, rest = path.lstrip("/").partition("/")
        service = "table" if "tn" in loose else _SERVICE_OF.get(loose.get("sr", ""), "queue")
    else:
        account, _, behind = host.partition(".")
        service, rest = behind.partition(".")[0], path.lstrip("/")
    account = account.lower()
    if service == ACCOUNT or service not in _KNOWN or not ACCOUNT_NAME.fullmatch(account):
        raise SasTemplateInvalid(
            "the template's host is no account's blob, file, queue or table service"
        )
    return account, service, unquote(rest)


def _resource(service: str, path: str, parameters: dict[str, str]) -> str:
    if service == "table":
        _need(parameters, "tn")
        return parameters["tn"].lower()
    wanted = path.rstrip("/") if parameters.get("sr") in ("c", "s", "d") else path
    if not wanted or "\n" in wanted or any(part in (".", "..") for part in wanted.split("/")):
        raise SasTemplateInvalid("the template's address names nothing that a token could be for")
    if parameters.get("sr") in ("c", "s"):
        # A container's token is for the container, whatever stands behind it in the address.
        return wanted.split("/")[0]
    if parameters.get("sr") and "/" not in wanted and parameters["sr"] != "d":
        raise SasTemplateInvalid(
            "the template's address names a container, and its sr something in one"
        )
    return wanted


def _parameters(service: str, query: str) -> dict[str, str]:
    """The parameters, each once, all known, without signature and expiry."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise SasTemplateInvalid("the template's query cannot be read") from None
    found = dict(pairs)
    if len(found) < len(pairs):
        raise SasTemplateInvalid("the template has a parameter twice")
    unknown = found.keys() - _KNOWN[service]
    if unknown:
        raise SasTemplateInvalid(f"a {service} SAS has no parameter {min(unknown)[:20]!a}")
    _need(found, "sv")
    version = found["sv"]
    if version not in VERSIONS:
        raise SasVersionUnknown(f"the service version {version[:20]!a} is not known")
    if "ses" in found and version < _WITH_SCOPE:
        raise SasTemplateInvalid(f"an encryption scope needs version {_WITH_SCOPE}")
    if found.get("spr", "https") not in _PROTOCOLS:
        raise SasTemplateInvalid("the template's spr is none of " + " ".join(_PROTOCOLS))
    if any(not value.isprintable() for value in found.values()):
        raise SasTemplateInvalid("a parameter of the template is not printable")
    # An empty one is signed like one that is not there.
    return {name: value for name, value in found.items() if value and name not in ("se", "sig")}


def _need(parameters: dict[str, str], *names: str) -> None:
    for name in names:
        if not parameters.get(name):
            raise SasTemplateInvalid(f"the template has no {name}")


# --- what is signed -------------------------------------------------------------------------------


def _account_text(template: Template, account: str, parameters: dict[str, str]) -> str:
    names = ["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"]
    if template.version >= _WITH_SCOPE:
        names.append("ses")
    return "".join(f"{line}\n" for line in (account, *_values(parameters, *names)))


def _service_text(template: Template, account: str, parameters: dict[str, str]) -> str:
    service = template.service
    resource = f"/{service}/{account}/{template.resource}"
    lines = [*_values(parameters, "sp", "st", "se"), resource]
    lines += _values(parameters, "si", "sip", "spr", "sv")
    if service == "table":
        lines += _values(parameters, "spk", "srk", "epk", "erk")
    if service == "blob" and template.version >= _WITH_RESOURCE:
        moment = parameters.get("snapshot") or parameters.get("versionid") or ""
        lines += [*_values(parameters, "sr"), moment]
        if template.version >= _WITH_SCOPE:
            lines += _values(parameters, "ses")
    if service in ("blob", "file"):
        lines += _values(parameters, *_OVERRIDES)
    return "\n".join(lines)


def _values(parameters: dict[str, str], *names: str) -> list[str]:
    return [parameters.get(name, "") for name in names]


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
