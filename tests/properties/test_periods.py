"""The form of a period in the description is the one that is read."""

import re

from hypothesis import given
from hypothesis import strategies as st

from server.openapi import openapi
from vault import periods
from vault.refusals import PeriodInvalid

PATTERN = openapi()["components"]["schemas"]["SetSas"]["properties"]["validityPeriod"]["pattern"]


@given(st.from_regex(PATTERN, fullmatch=True) | st.text("PTWDHMSY10", max_size=9))
def test_what_is_described_is_what_is_read(text: str) -> None:
    try:
        periods.seconds(text)
    except PeriodInvalid:
        assert not re.search(PATTERN, text)
    else:
        assert re.search(PATTERN, text)
