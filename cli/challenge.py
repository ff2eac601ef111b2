"""Which server is meant, and which authority it may send us to for a token.  Pure.

A token is worth as much as what it opens.  So it is sent over https only, to the one host that was
named; and a client's secret is sent only to the authority that stands at the parent of that host,
as the challenge must say (Key Vault's rule: the resource is the vault's parent domain), or at the
one that the user named.  Nothing that a server says moves either to another place.

Sources: RFC 7235 for the challenge; azure-keyvault-secrets for its parameters and their rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from cli.problems import ChallengeRefused, SettingInvalid

HTTPS_PORT: Final = 443
_MAX_CHALLENGE: Final = 4096

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,254}")
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]*)\s+(?=[A-Za-z_]+\s*=)")
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"([^"\\]*)"|([^\s",]+))')
_NUMBER = re.compile(r"[0-9.]+")


class Address(NamedTuple):
    """A host and a port that are spoken to over https."""

    host: str
    port: int = HTTPS_PORT

    @property
    def netloc(self) -> str:
        return self.host if self.port == HTTPS_PORT else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"https://{self.netloc}"

    @property
    def parent(self) -> Address | None:
        """The domain that the host stands under; None for a bare name or a number."""
        above = self.host.partition(".")[2]
        return None if not above or _NUMBER.fullmatch(self.host) else Address(above, self.port)


class Authority(NamedTuple):
    """Where a token is asked for, and of whom: the tenant is the first segment of its path."""

    address: Address
    tenant: str
    resource: str


def address_of(url: str, what: str) -> Address:
    """The address that *url* says, if it says only that.  Raise SettingInvalid, naming *what*."""
    found = _split(url)
    if found is None or found[1] != "":
        raise SettingInvalid(f"{what} has the form https://HOST or https://HOST:PORT")
    return found[0]


def authority_of(
    challenges: Sequence[str], server: Address, *, tenant: str = "", named: Address | None = None
) -> Authority:
    """Where the first Bearer challenge sends us.  Raise ChallengeRefused.

    *tenant* is the one that is expected, if any; *named* an authority that the user trusts.
    """
    said = _parameters(challenges)
    resource = _split(said.get("resource") or said.get("scope", "").removesuffix("/.default"))
    if resource is None or resource[1] != "":
        raise ChallengeRefused("the server's challenge names no resource")
    if server.parent is None or resource[0] != server.parent:
        raise ChallengeRefused(f"the server's challenge is for another host than {server.netloc}")
    found = _split(said.get("authorization") or said.get("authorization_uri", ""))
    if found is None or not _TENANT.fullmatch(found[1]):
        raise ChallengeRefused("the server's challenge names no authority and tenant")
    if found[0] not in (server.parent, named):
        raise ChallengeRefused(f"the server's challenge sends us to {found[0].netloc} for a token")
    if tenant and tenant.lower() != found[1].lower():
        raise ChallengeRefused("the server's challenge is for another tenant")
    return Authority(found[0], found[1], resource[0].origin)


def _parameters(challenges: Sequence[str]) -> dict[str, str]:
    """The parameters of the first Bearer challenge."""
    for header in challenges:
        text = header[:_MAX_CHALLENGE]
        for start in _SCHEME.finditer(text):
            if start[1].lower() == "bearer":
                following = _SCHEME.search(text, start.end())
                end = following.start() if following else len(text)
                found = _PARAMETER.findall(text[start.end() : end])
                return {name.lower(): quoted or bare for name, quoted, bare in reversed(found)}
    return {}


def _split(url: str) -> tuple[Address, str] | None:
    """The address in *url* and its path without slashes around it; None if it says more or less."""
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return None
    try:
        read = urlsplit(url)
        port = read.port
    except ValueError:
        return None
    host = (read.hostname or "").lower()
    plain = read.username is None and read.password is None and not read.query and not read.fragment
    if read.scheme.lower() != "https" or not plain or not _HOST.fullmatch(host) or port == 0:
        return None
    return Address(host, port or HTTPS_PORT), read.path.strip("/")
