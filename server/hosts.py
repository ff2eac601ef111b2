"""Which vault a request is for: the first label of its Host, under the domain of the service.  Pure.

Key Vault's clients look for `/secrets/NAME/VERSION` right behind the host, and hold a challenge's
resource to be a parent domain of it.  So a vault is a host of its own, and the domain above is the
token authority and the resource.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_HOST = re.compile(r"([0-9A-Za-z.-]{1,253})(:[0-9]{1,5})?", re.ASCII)


class Target(NamedTuple):
    """Whom a request asks.  An empty *vault* is the authority itself."""

    vault: str
    base: str
    resource: str


def target_of(hosts: list[str], domain: str) -> Target | None:
    """Whom the Host headers *hosts* name; None if there is not one, or not of *domain*."""
    return _target(hosts[0], domain) if len(hosts) == 1 else None


@lru_cache(maxsize=256)
def _target(host: str, domain: str) -> Target | None:
    found = _HOST.fullmatch(host)
    if found is None:
        return None
    name, port = found[1].lower(), found[2] or ""
    resource = f"https://{domain}{port}"
    if name == domain:
        return Target("", resource, resource)
    vault, _, parent = name.partition(".")
    if parent != domain or not vault:
        return None
    return Target(vault, f"https://{name}{port}", resource)
