"""Which forms of a value are masked in a program's output."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus, urlencode

import pytest

from cli.masking import Masking

PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEF\n-----END KEY-----\n"


def seen(value: str, text: str) -> str:
    masking = Masking([value])
    return (masking.feed(text.encode()) + masking.end()).decode()


@pytest.mark.parametrize(
    ("value", "shown", "rest"),
    [
        ("correct horse", "password is correct horse.", "password is ***."),
        ("correct horse", quote("correct horse"), "***"),
        ("correct horse", "?" + urlencode({"p": "correct horse"}), "?p=***"),
        ('a "quoted" \\ one', json.dumps({"p": 'a "quoted" \\ one'}), '{"p": "***"}'),
        ("schön und gut", json.dumps("schön und gut"), '"***"'),
        ("schön und gut", json.dumps("schön und gut", ensure_ascii=False), '"***"'),
        ("p@ss/w+rd", quote("p@ss/w+rd", safe=""), "***"),
        ("p@ss w+rd", quote_plus("p@ss w+rd"), "***"),
        (PEM, PEM.replace("\n", "\r\n"), "***"),
        (PEM, "> MIIEvQIBADANBgkq\n> hkiG9w0BAQEF\n", "> ***\n> ***\n"),
        ("abcd", "abcdabcd", "******"),
        ("aaaa", "aaaaaa!", "***!"),
    ],
)
def test_a_value_is_masked_however_it_is_written(value: str, shown: str, rest: str) -> None:
    assert seen(value, shown) == rest


def test_a_header_of_basic_authentication_is_masked() -> None:
    for user in ("u", "us", "usr"):
        header = base64.b64encode(f"{user}:correct horse".encode()).decode()
        left = seen("correct horse", f"Authorization: Basic {header}\n")
        assert left.startswith("Authorization: Basic ")
        assert "***" in left
        assert len(left.replace("***", "")) < len("Authorization: Basic \n") + 11


def test_a_short_value_is_left_alone() -> None:
    assert seen("on", "the connection is on") == "the connection is on"
    assert seen("", "nothing") == "nothing"


def test_two_values_that_overlap_are_one_mask() -> None:
    masking = Masking(["abcdef", "defghi"])
    assert masking.feed(b"xabcdefghix") + masking.end() == b"x***x"


def test_the_longer_of_two_is_waited_for() -> None:
    masking = Masking(["secret", "secret-2"])
    assert masking.feed(b"secret") == b""
    assert masking.feed(b"-") == b""
    assert masking.feed(b"2.") == b"***."
    assert masking.feed(b"secret") + masking.feed(b" 1") == b"*** 1"
