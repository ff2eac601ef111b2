"""What a request's query says.  Pure.

Parameters come in any order, and those that Key Vault does not know are passed over.  One that it
knows may come once only: two readers could choose differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote_plus

from server.refusals import QueryMalformed

API_VERSION = "api-version"
MAX_RESULTS = "maxresults"
SKIP_TOKEN = "$skiptoken"
OUT_CONTENT_TYPE = "outcontenttype"

LARGEST_PAGE = 25

_KNOWN = (API_VERSION, MAX_RESULTS, SKIP_TOKEN, OUT_CONTENT_TYPE)


@lru_cache(maxsize=64)
def parameters(query: str) -> Mapping[str, str]:
    """The known parameters of *query*, names in lower case.  Raise QueryMalformed.

    Remembered, since nearly every request says the same: which api-version it speaks.
    """
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        name = unquote_plus(name).lower()
        if name not in _KNOWN:
            continue
        if name in found:
            raise QueryMalformed(f"{name} was given more than once")
        found[name] = unquote_plus(value)
    return MappingProxyType(found)


def page_size(given: Mapping[str, str]) -> int:
    """How many items a page may have.  Raise QueryMalformed."""
    text = given.get(MAX_RESULTS, str(LARGEST_PAGE))
    # int() alone would take " 1", "1_0" and digits of other scripts.
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise QueryMalformed("invalid maxresults")
    size = int(text)
    if not 1 <= size <= LARGEST_PAGE:
        raise QueryMalformed("invalid maxresults")
    return size
