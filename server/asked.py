"""A request that was taken apart, and the answers that all kinds of things share.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from msgspec import UnsetType

from server import bundles
from server.http import Response, json_response
from server.query import API_VERSION, MAX_RESULTS, SKIP_TOKEN, page_size
from server.routes import Found
from server.skiptoken import Place, Skiptokens
from vault.answers import Backup

T = TypeVar("T")

Writer = Callable[[Any], Response]
"""How an answer is written."""


class Asked(NamedTuple):
    """A request, taken apart."""

    found: Found
    query: Mapping[str, str]
    body: bytes
    base: str
    skip: Skiptokens

    @property
    def name(self) -> str:
        return self.found.name

    @property
    def version(self) -> str:
        return self.found.version

    @property
    def sas(self) -> str:
        return self.found.sas

    @property
    def place(self) -> Place:
        return Place(_with_port(self.base), self.found.route.operation, self.found.name)


def none(given: T | None | UnsetType) -> T | None:
    """What was *given*; in a set an absent member is as null."""
    return None if isinstance(given, UnsetType) else given


def after(asked: Asked) -> str:
    """What the page comes after that is asked for.  Raise SkipTokenInvalid."""
    token = asked.query.get(SKIP_TOKEN)
    return "" if token is None else asked.skip.read(asked.place, token)


# --- answers --------------------------------------------------------------------------------------


def write_nothing(*_: object) -> Writer:
    return lambda _: Response(204)


def write_backup(*_: object) -> Writer:
    def write(answer: Backup) -> Response:
        return json_response(200, bundles.backup(answer))

    return write


def write_page(
    asked: Asked, key: Callable[[Any], str], item: Callable[[Any], dict[str, Any]]
) -> Writer:
    """A page whose next one comes after the *key* of its last *item*."""

    def write(answer: list[Any]) -> Response:
        following = None
        # A full page may have been the last one: the next is empty then, as Key Vault's can be.
        if len(answer) == page_size(asked.query):
            following = _next_link(asked, key(answer[-1]))
        return json_response(200, bundles.page([item(one) for one in answer], following))

    return write


def _next_link(asked: Asked, last: str) -> str:
    """The address of the page after *last*, with its port, as Key Vault writes it."""
    place = asked.place
    path = asked.found.route.path.replace("{name}", quote(asked.name, safe=""))
    return (
        f"{place.authority}{path}?{API_VERSION}={asked.query[API_VERSION]}"
        f"&{SKIP_TOKEN}={asked.skip.issue(place, last)}"
        f"&{MAX_RESULTS}={page_size(asked.query)}"
    )


def _with_port(base: str) -> str:
    """*base* with its port told."""
    scheme, _, host = base.partition("://")
    if ":" in host.rpartition("]")[2]:
        return base
    return f"{base}:{443 if scheme == 'https' else 80}"
