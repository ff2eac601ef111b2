"""One parser for points in time."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.moments import SECOND, rfc3339
from cli.points import Point, future, moment, past
from cli.problems import PointInvalid

NOW = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * SECOND


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return int(moment.timestamp()) * SECOND


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("now", NOW),
        ("2h", at(2026, 3, 1, 10)),
        ("45s", at(2026, 3, 1, 11, 59, 15)),
        ("90m", at(2026, 3, 1, 10, 30)),
        ("1d", at(2026, 2, 28, 12)),
        ("2w", at(2026, 2, 15, 12)),
        ("PT2H", at(2026, 3, 1, 10)),
        ("P1DT12H", at(2026, 2, 28)),
        ("P1W", at(2026, 2, 22, 12)),
        ("2026-11-03", at(2026, 11, 3)),
        ("2026-11-03T10:00:00Z", at(2026, 11, 3, 10)),
        ("2026-11-03t10:00:00z", at(2026, 11, 3, 10)),
        ("2026-11-03 10:00Z", at(2026, 11, 3, 10)),
        ("2026-11-03T10:00:00+02:00", at(2026, 11, 3, 8)),
        ("2026-11-03T10:00:00.5Z", at(2026, 11, 3, 10) + SECOND // 2),
        ("2026-11-03T10:00:00.123456789Z", at(2026, 11, 3, 10) + 123_456),
        (" 2026-11-03 ", at(2026, 11, 3)),
    ],
)
def test_a_time_in_the_past(text: str, time: int) -> None:
    assert past(text, NOW) == Point(time)


def test_a_position() -> None:
    assert past("#18230", NOW) == Point(None, 18230)
    assert str(past("#18230", NOW)) == "#18230"


def test_a_duration_leads_forward_where_the_future_is_meant() -> None:
    assert future("90d", NOW) == future("P90D", NOW) == NOW // SECOND + 90 * 86_400


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2h30m",
        "-2h",
        "2",
        "P",
        "PT",
        "P1DT",
        "P1M",
        "P1Y",
        "#",
        "#-1",
        "#x",
        "2026-13-01",
        "2026-02-30",
        "26-11-03",
        "2026-11-03T25:00:00Z",
        "2026-11-03T10:00:00",
        "2026-11-03T10:00:00+99:00",
        "999999999999w",
        "٢h",
        "NOW",
    ],
)
def test_what_is_no_point_is_refused(text: str) -> None:
    with pytest.raises(PointInvalid):
        past(text, NOW)


@pytest.mark.parametrize(
    "read", [lambda t: future(t, NOW), lambda t: past(t, NOW, positions=False)]
)
def test_a_position_is_refused_where_only_a_time_makes_sense(read) -> None:
    with pytest.raises(PointInvalid, match="only a time"):
        read("#3")


@pytest.mark.parametrize("text", ["90d", "now", "#3"])
def test_a_moment_does_not_depend_on_now(text: str) -> None:
    with pytest.raises(PointInvalid):
        moment(text)


@given(st.text())
def test_any_text_is_a_point_or_a_coded_error(text: str) -> None:
    try:
        past(text, NOW)
        future(text, NOW)
    except PointInvalid:
        pass


@given(st.integers(min_value=0, max_value=at(9999, 12, 31)))
def test_what_is_printed_reads_back(time: int) -> None:
    assert past(rfc3339(time), NOW) == Point(time)
