"""Which secret is meant: a bare NAME, `-n NAME`, or `--id URL`, and which of its versions.  Pure.

An id is what Key Vault prints, `https://VAULT.host/secrets/NAME/VERSION`.  Its first label names
the vault; the rest of the host is not looked at, so an id that was copied from Azure works here.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from cli.problems import Usage


class Reference(NamedTuple):
    """A secret; an empty *version* is the newest, a *vault* of None the one that is chosen."""

    name: str
    version: str = ""
    vault: str | None = None


def reference(
    bare: str | None, name: str | None, identifier: str | None, version: str | None
) -> Reference:
    """Read what was given, which must be one of the three.  Raise Usage."""
    given = [text for text in (bare, name, identifier) if text is not None]
    if len(given) != 1:
        raise Usage("name one secret: NAME, --name NAME or --id URL")
    if identifier is None:
        return Reference(given[0], version or "")
    found = parse_id(identifier)
    if version and found.version and version != found.version:
        raise Usage("--version and the version in --id are not the same")
    return found._replace(version=version or found.version)


def parse_id(identifier: str) -> Reference:
    """Read an id as Key Vault prints it.  Raise Usage."""
    try:
        url = urlsplit(identifier)
        host = url.hostname or ""
    except ValueError:
        raise Usage("--id is not a URL") from None
    parts = url.path.strip("/").split("/")
    fits = len(parts) in (2, 3) and parts[0] in ("secrets", "deletedsecrets") and all(parts)
    if url.scheme != "https" or not host or not fits:
        raise Usage("--id has the form https://VAULT.vault.localhost/secrets/NAME/VERSION")
    return Reference(parts[1], parts[2] if len(parts) == 3 else "", host.split(".")[0])
