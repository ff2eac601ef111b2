"""Values taken out of a stream of bytes as it goes by.  Pure.

A value is found as it is and in the forms in which programs show one: its longer lines, as JSON, in
a URL, and in base64, also behind other text as in a header of basic authentication.  Encrypted,
hashed, compressed or cut apart it is not found: this is against the accident, not against a program
that means to give it away.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = b"***"
"""Shorter than anything that is looked for, so that no mask is taken for a value."""

SHORTEST = 4
"""Bytes.  Shorter values are left alone: they stand in any text, and the gaps would tell them."""

_LONG_LINE = 8
_LONG_BASE64 = 8
_LOOK = 8


def forms(value: str) -> set[bytes]:
    """What stands for *value* in a program's output, and is not to be read there."""
    found = {value, value.replace("\n", "\r\n"), quote(value, safe=""), quote_plus(value)}
    found.update(json.dumps(value, ensure_ascii=plain)[1:-1] for plain in (True, False))
    lines = {line.strip() for line in value.splitlines()}
    found.update(line for line in lines if len(line) >= _LONG_LINE)
    texts = {text.encode() for text in found}
    return {text for text in texts | set(_base64(value.encode())) if len(text) >= SHORTEST}


def _base64(value: bytes) -> Iterator[bytes]:
    """What of the base64 of any text with *value* in it follows from *value* alone."""
    for before in range(3):
        # A letter holds six bits: the first ones are of what stands before, the last of what follows.
        first, stop = -(-before * 8 // 6), (before + len(value)) * 8 // 6
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            sure = encode(bytes(before) + value)[first:stop]
            if len(sure) >= _LONG_BASE64:
                yield sure


class Masking:
    """One stream in which *values* are masked, however it is cut into chunks."""

    def __init__(self, values: Iterable[str]) -> None:
        self._hidden = sorted({form for value in values for form in forms(value)})
        self._kept = b""
        self._covered = 0  # so much at the front of it is masked already

    def feed(self, chunk: bytes) -> bytes:
        """What may go on of the stream after *chunk*; the rest may be the beginning of a value."""
        text = self._kept + chunk
        return self._let_go(text, self._first_open(text))

    def end(self) -> bytes:
        """What was kept back, once nothing more comes."""
        return self._let_go(self._kept, len(self._kept))

    def _let_go(self, text: bytes, stop: int) -> bytes:
        """*text* up to *stop* without what is hidden; the rest is kept."""
        out: list[bytes] = []
        at = self._covered
        for start, end in self._found(text):
            if start >= stop:
                break
            if start >= at:  # else it overlaps what has its mask
                out += (text[at:start], MASK)
            at = max(at, end)
        out.append(text[at:stop])
        self._kept, self._covered = text[stop:], max(at - stop, 0)
        return b"".join(out)

    def _found(self, text: bytes) -> list[tuple[int, int]]:
        """From where to where something hidden stands in *text*, in order."""
        return sorted((at, at + len(one)) for one in self._hidden for at in _occurrences(one, text))

    def _first_open(self, text: bytes) -> int:
        """Where the first value begins that *text* may end amid."""
        first = len(text)
        for one in self._hidden:
            at = max(len(text) - len(one) + 1, 0)
            while (at := text.find(one[:1], at, first)) >= 0:
                # Most are told apart by a few bytes, and some values are long.
                if one.startswith(text[at : at + _LOOK]) and one.startswith(text[at:]):
                    first = at
                    break
                at += 1
        return first


def _occurrences(one: bytes, text: bytes) -> Iterator[int]:
    at = text.find(one)
    while at >= 0:
        yield at
        at = text.find(one, at + 1)
