"""What a form, a query and an Authorization header of the token authority say.  Pure.

Whatever could be read in two ways is refused: a name that stands twice, bytes that are not UTF-8,
more than a few fields.  No message quotes a value.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

MAX_FORM: Final = 32 * 1024
_MAX_FIELDS: Final = 32
_FORM: Final = "application/x-www-form-urlencoded"


class FormMalformed(Exception):
    """The form cannot be read."""


def form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a posted form.  Raise FormMalformed."""
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise FormMalformed(f"the body is not of type {_FORM}")
    if len(body) > MAX_FORM:
        raise FormMalformed(f"the body has more than {MAX_FORM:,} bytes")
    try:
        return fields(body.decode("ascii"))
    except UnicodeDecodeError:
        raise FormMalformed("the body is not percent-encoded") from None


def fields(text: str) -> dict[str, str]:
    """The fields of a query, or of a form's body.  Raise FormMalformed."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise FormMalformed("there are too many fields, or they are not UTF-8") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise FormMalformed("a field stands there twice")
    return found


def basic(header: str) -> tuple[str, str]:
    """The client id and secret of a Basic Authorization header (RFC 6749, 2.3.1)."""
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic" or len(encoded) > MAX_FORM:
        raise FormMalformed("the Authorization header is not Basic")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise FormMalformed("the Authorization header is malformed") from None
    client_id, colon, secret = text.partition(":")
    if not colon:
        raise FormMalformed("the Authorization header is malformed")
    return unquote_plus(client_id), unquote_plus(secret)
