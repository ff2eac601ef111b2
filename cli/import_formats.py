"""Files of many secrets, read strictly: .env, JSON, `az keyvault secret show`, `vault kv get`.  Pure.

A file that is not wholly understood is refused, with the line or the key and never a value: a line
that does not fit may itself be part of one.  In JSON it is certain where an item ends, so one that
is no secret is named and the others are read.  Nothing is interpolated: `$HOME` in a .env file
stays as it is written.

    KEY=unquoted to the end of the line, without # a comment
    KEY='as it is, also over several lines'
    KEY="with \\n \\r \\t \\" \\\\ and \\$ as escapes"
    export KEY=...

Sources: the python-dotenv and dotenv grammars where they agree; RFC 8259.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from cli.points import moment
from cli.problems import ImportMalformed, PointInvalid
from eventstore.errors import MunimentError

FORMATS: Final = ("dotenv", "json", "az", "vault")

_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*", re.ASCII)
_INDENT = re.compile(r"[ \t]*(?:export[ \t]+)?")
_SPACE = re.compile(r"[ \t\r\n]*")
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_UNQUOTED = re.compile(r"[^\n]*")
_COMMENT = re.compile(r"[ \t]#.*")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "'": "'"}


_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16le",
    codecs.BOM_UTF16_BE: "utf-16be",
}
"""What Windows writes before a text to say how it is encoded; PowerShell's `>` writes UTF-16."""


def text_of(raw: bytes) -> str:
    """The text of a file: UTF-8, or what its mark says.  Raise ImportMalformed, which quotes nothing."""
    mark = next((mark for mark in _MARKS if raw.startswith(mark)), b"")
    encoding = _MARKS.get(mark, "utf-8")
    try:
        return raw[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        at = error.start + len(mark)
        raise ImportMalformed(
            f"the file is not {encoding} text: byte {at:,} does not fit"
        ) from None


class Item(NamedTuple):
    """A secret to be, and *where* it stands in the file: safe to print, as the value is not."""

    where: str
    name: str
    value: str
    content_type: str | None = None
    tags: dict[str, str] | None = None
    enabled: bool = True
    nbf: int | None = None
    exp: int | None = None

    def __repr__(self) -> str:
        return f"Item({self.where})"


class Failed(NamedTuple):
    """An item that cannot be imported, *where* it stands, and why."""

    where: str
    error: MunimentError


def read(text: str, form: str | None = None) -> list[Item | Failed]:
    """Read *text*, whose format is found out if *form* is None.

    Raise ImportMalformed if it is not certain where each item begins and ends.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found = form or detect(text)
    items = _dotenv(text) if found == "dotenv" else _json(text, found)
    return [_checked(item) for item in items]


def _checked(item: Item | Failed) -> Item | Failed:
    if isinstance(item, Item) and not (_is_text(item.name) and _is_text(item.value)):
        return _failed(item.where, "half of a surrogate pair is not text")
    return item


def _failed(where: str, why: str) -> Failed:
    return Failed(where, ImportMalformed(f"{where}: {why}"))


def detect(text: str) -> str:
    """Which format this looks like.  Raise ImportMalformed if it looks like JSON and is none."""
    if text.lstrip()[:1] not in ("{", "["):
        return "dotenv"
    documents = _documents(text)
    first = documents[0]
    if len(documents) > 1 or isinstance(first, list) or _is_az(first):
        return "az"
    return "vault" if isinstance(first, dict) and isinstance(first.get("data"), dict) else "json"


# --- .env -----------------------------------------------------------------------------------------


def _dotenv(text: str) -> Iterator[Item]:
    at, line = 0, 1
    while at < len(text):
        blank = _BLANK.match(text, at)
        if blank is not None:
            end = blank.end()
        else:
            key = _KEY.match(text, _end(_INDENT, text, at))
            if key is None:
                raise ImportMalformed(f"line {line}: this is not KEY=VALUE")
            value, end = _dotenv_value(text, key.end(), line)
            yield Item(f"line {line} ({key[1]})", key[1], value)
        line += text.count("\n", at, end)
        at = end


def _dotenv_value(text: str, at: int, line: int) -> tuple[str, int]:
    """The value that begins at *at*, and where the next line begins."""
    quote = text[at : at + 1]
    if quote not in ("'", '"'):
        if quote == "#":
            # A comment to some readers and a value to others.
            raise ImportMalformed(f"line {line}: quote a value that begins with #")
        end = _end(_UNQUOTED, text, at)
        return _COMMENT.sub("", text[at:end]).strip(" \t"), min(end + 1, len(text))
    quoted = (_SINGLE if quote == "'" else _DOUBLE).match(text, at)
    if quoted is None:
        raise ImportMalformed(f"line {line}: the quote that opens here does not close")
    rest = _BLANK.match(text, quoted.end())
    if rest is None:
        raise ImportMalformed(f"line {line}: something stands after the closing quote")
    return quoted[1] if quote == "'" else _unescaped(quoted[1], line), rest.end()


def _unescaped(text: str, line: int) -> str:
    def plain(escape: re.Match[str]) -> str:
        if escape[1] not in _ESCAPES:
            raise ImportMalformed(f"line {line}: there is an escape that is not known")
        return _ESCAPES[escape[1]]

    return _ESCAPE.sub(plain, text)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where *pattern*, which matches always, stops matching."""
    found = pattern.match(text, at)
    return at if found is None else found.end()


# --- JSON -----------------------------------------------------------------------------------------


def _json(text: str, form: str) -> Iterator[Item | Failed]:
    documents = _documents(text)
    if form == "az":
        bundles = [one for found in documents for one in _listed(found)]
        for number, bundle in enumerate(bundles, 1):
            try:
                yield _az_item(bundle, number)
            except ImportMalformed as error:
                yield Failed(f"item {number}", error)
        return
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise ImportMalformed("the file is not one JSON object")
    yield from _plain_items(_vault_data(documents[0]) if form == "vault" else documents[0])


def _documents(text: str) -> list[Any]:
    """All JSON texts in *text*, one after the other as a loop of commands prints them."""
    decoder = json.JSONDecoder(object_pairs_hook=_no_duplicates)
    found, at = [], _end(_SPACE, text, 0)
    while at < len(text):
        try:
            document, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise ImportMalformed(f"line {error.lineno}: this is not JSON") from None
        except (ValueError, RecursionError):
            raise ImportMalformed(
                "the JSON is nested too deeply, or has too long a number"
            ) from None
        found.append(document)
        at = _end(_SPACE, text, at)
    if not found:
        raise ImportMalformed("the file is empty")
    return found


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ImportMalformed(f"the key {_shown(key)} stands twice in one object")
        found[key] = value
    return found


def _plain_items(values: dict[str, Any]) -> Iterator[Item | Failed]:
    for key, value in values.items():
        where = f"key {_shown(key)}"
        if isinstance(value, str):
            yield Item(where, key, value)
        else:
            yield _failed(where, "the value is not a JSON string")


def _vault_data(document: dict[str, Any]) -> dict[str, Any]:
    """What `vault kv get` printed of a version 2 engine, or of version 1."""
    data = document.get("data")
    if isinstance(data, dict) and isinstance(data.get("data"), dict):
        return dict(data["data"])
    if isinstance(data, dict):
        return data
    raise ImportMalformed("there is no object `data`, as `vault kv get -format=json` prints it")


# --- az -------------------------------------------------------------------------------------------


def _is_az(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("attributes"), dict)


def _listed(document: Any) -> list[Any]:
    return document if isinstance(document, list) else [document]


def _az_item(bundle: Any, number: int) -> Item:
    where = f"item {number}"
    if not isinstance(bundle, dict):
        raise ImportMalformed(f"{where} is not an object")
    name = bundle.get("name") or _name_in(bundle.get("id"))
    if not isinstance(name, str) or not name:
        raise ImportMalformed(f"{where} has no name")
    where = f"{where} ({_shown(name)})"
    value = bundle.get("value")
    if value is None:
        raise ImportMalformed(f"{where} has no value: `list` prints none, use `show`")
    attributes = bundle.get("attributes") or {}
    if not isinstance(value, str) or not isinstance(attributes, dict):
        raise ImportMalformed(f"{where} is not as `az keyvault secret show` prints it")
    return Item(
        where,
        name,
        value,
        content_type=_optional(bundle, "contentType", where),
        tags=_tags(bundle, where),
        enabled=attributes.get("enabled") is not False,
        nbf=_date(attributes, "notBefore", where),
        exp=_date(attributes, "expires", where),
    )


def _name_in(identifier: Any) -> str | None:
    parts = identifier.split("/") if isinstance(identifier, str) else []
    return parts[4] if len(parts) > 4 else None


def _optional(bundle: dict[str, Any], key: str, where: str) -> str | None:
    found = bundle.get(key)
    if found is not None and not isinstance(found, str):
        raise ImportMalformed(f"{where}: {key} is not a text")
    return found


def _tags(bundle: dict[str, Any], where: str) -> dict[str, str] | None:
    found = bundle.get("tags")
    if found is None:
        return None
    if not isinstance(found, dict) or not all(isinstance(tag, str) for tag in found.values()):
        raise ImportMalformed(f"{where}: tags is not an object of texts")
    return found or None


def _date(attributes: dict[str, Any], key: str, where: str) -> int | None:
    text = _optional(attributes, key, where)
    try:
        return None if text is None else moment(text)
    except PointInvalid:
        raise ImportMalformed(f"{where}: {key} is not a time") from None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(key: str) -> str:
    """A key for a message; not all of one that is too long to be a name."""
    return ascii(key if len(key) <= 127 else key[:40] + "...")
