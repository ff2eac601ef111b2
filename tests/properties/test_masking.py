"""However output is cut into chunks, what is masked in it is the same, and nothing is let through."""

from __future__ import annotations

import base64
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cli.masking import MASK, SHORTEST, Masking, forms

VALUES = st.lists(st.text("abA/+ \n", min_size=SHORTEST, max_size=12), min_size=1, max_size=3)


@st.composite
def outputs(draw: st.DrawFn) -> tuple[list[str], list[bytes]]:
    """Values, and chunks of an output with parts of them in it."""
    values = draw(VALUES)
    whole = [form for value in values for form in sorted(forms(value))]
    parts = [form[:cut] for form in whole for cut in (1, 3, len(form) - 1)]
    text = b"".join(
        draw(st.lists(st.sampled_from([*whole, *parts, b"a", b"c", b"\n"]), max_size=12))
    )
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)) | {0, len(text)})
    return values, [text[start:stop] for start, stop in pairwise(cuts)]


def masked(values: list[str], chunks: list[bytes]) -> bytes:
    masking = Masking(values)
    return b"".join([*map(masking.feed, chunks), masking.end()])


def by_definition(values: list[str], text: bytes) -> bytes:
    """What *text* is without the bytes of any form, each run of overlapping ones being one mask."""
    places = sorted(
        (at, at + len(form))
        for form in {form for value in values for form in forms(value)}
        for at in range(len(text))
        if text.startswith(form, at)
    )
    out, end = b"", 0
    for start, stop in places:
        if start >= end:
            out += text[end:start] + MASK
        end = max(end, stop)
    return out + text[end:]


@given(outputs())
def test_what_is_masked_does_not_depend_on_the_chunks(
    output: tuple[list[str], list[bytes]],
) -> None:
    values, chunks = output
    assert masked(values, chunks) == by_definition(values, b"".join(chunks))


@given(VALUES, st.binary(max_size=20), st.binary(max_size=20))
def test_no_value_is_let_through(values: list[str], before: bytes, after: bytes) -> None:
    out = masked(values, [before, values[0].encode(), after])
    assert values[0].encode() not in b"\0".join(out.split(MASK))


@given(st.text(min_size=9, max_size=30), st.binary(max_size=9), st.binary(max_size=9))
def test_base64_of_text_around_a_value_tells_at_most_its_rim(
    value: str, before: bytes, after: bytes
) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        out = masked([value], [encode(before + value.encode() + after)])
        shown = [base64.urlsafe_b64decode(part[: len(part) // 4 * 4]) for part in out.split(MASK)]
        assert MASK in out
        assert value.encode() not in b"".join(shown)


@given(st.binary(max_size=200))
def test_other_output_passes_as_it_is(text: bytes) -> None:
    value = "no such text stands there, \N{SNOWMAN}"
    assert masked([value], [text[:7], text[7:]]) == text


BEGINNINGS = {form[0] for form in forms("correct horse")}
OTHER_BYTES = st.sampled_from(sorted(set(range(256)) - BEGINNINGS))


@given(st.lists(st.lists(OTHER_BYTES, max_size=5).map(bytes), max_size=9))
def test_nothing_is_kept_back_that_cannot_be_the_beginning_of_a_value(chunks: list[bytes]) -> None:
    masking = Masking(["correct horse"])
    assert [masking.feed(chunk) for chunk in chunks] == chunks
