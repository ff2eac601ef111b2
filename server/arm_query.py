"""What the query of a request to the control plane says: filters and pages, in ARM's words.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from server import forms
from server.problems import Problem
from server.refusals import QueryMalformed

PAGE: Final = 25
MAX_FILTER: Final = 1024
"""Characters of a `$filter`: a pattern's time grows with the square of a run of blanks."""

_CLAUSE: Final = re.compile(r"\s*([A-Za-z]+)\s+eq\s+'([^']*)'\s*")
_FILTERED: Final = ("resourcetype", "name", "resourcegroup")


def parameters(query: str) -> dict[str, str]:
    """The parameters of *query*, each once.  Raise a Problem."""
    try:
        return forms.fields(query)
    except forms.FormMalformed as problem:
        raise Problem(400, "InvalidParameter", f"The query is malformed: {problem}.") from None


def conditions(text: str) -> dict[str, str]:
    """The conditions of a `$filter`, all of which must hold.  Raise QueryMalformed."""
    if len(text) > MAX_FILTER:
        raise QueryMalformed(f"$filter has at most {MAX_FILTER:,} characters")
    found: dict[str, str] = {}
    for clause in re.split(r"\s+and\s+", text, flags=re.IGNORECASE) if text.strip() else ():
        matched = _CLAUSE.fullmatch(clause)
        if matched is None or matched[1].lower() not in _FILTERED:
            raise QueryMalformed("$filter has eq and and, of resourceType, name and resourceGroup")
        found[matched[1].lower()] = matched[2]
    return found


def page_size(query: Mapping[str, str]) -> int:
    """How many are asked for at once.  Raise QueryMalformed."""
    text = query.get("$top", str(PAGE))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text)):
        raise QueryMalformed("invalid $top")
    return min(int(text), PAGE)


def next_link(host: str, path: str, query: Mapping[str, str], token: str, size: int) -> str:
    """Where the next page is."""
    asked = {**query, "$top": str(size), "$skiptoken": token}
    return f"https://{host}{path}?{urlencode(asked, safe='$')}"
