"""Points in time as people write them: one parser for the whole terminal.  Pure, and without a clock.

    now  2h  90d  PT2H  P1DT12H  2026-11-03  2026-11-03T10:00Z  2026-11-03 10:00:00.5+01:00  #18230

A duration counts back from now where the past is meant (`log --from 2h`) and on from now where the
future is (`--expires 90d`).  A date is its first moment in UTC.  A time of day without a zone is
refused, since it would mean another moment on another machine; so are months and years in a
duration, which have no fixed length.  `#N` is a position of the `changes` log.

Sources: RFC 3339 section 5.6, ISO 8601 durations.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cli.moments import EPOCH, SECOND, rfc3339
from cli.problems import PointInvalid

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SHORT = re.compile(r"([0-9]{1,12})([smhdw])", re.ASCII)
_ISO = re.compile(
    r"P(?:(?P<w>[0-9]{1,12})W)?(?:(?P<d>[0-9]{1,12})D)?"
    r"(?:T(?:(?P<h>[0-9]{1,12})H)?(?:(?P<m>[0-9]{1,12})M)?(?:(?P<s>[0-9]{1,12})S)?)?",
    re.ASCII,
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_POSITION = re.compile(r"#([0-9]{1,18})", re.ASCII)


class Point(NamedTuple):
    """A moment in microseconds since 1970, or a position of `changes`: one of the two."""

    time: int | None
    position: int | None = None

    def __str__(self) -> str:
        return f"#{self.position}" if self.time is None else rfc3339(self.time)


def past(text: str, now: int, *, positions: bool = True) -> Point:
    """Read a point where history is meant.  *now* is in microseconds.  Raise PointInvalid."""
    if found := _POSITION.fullmatch(text.strip()):
        if positions:
            return Point(None, int(found[1]))
        raise PointInvalid(f"{_shown(text)} is a position, and here only a time makes sense")
    return Point(_moment(text.strip(), now, -1, _shown(text)))


def future(text: str, now: int) -> int:
    """Read a moment to come, in whole seconds since 1970.  Raise PointInvalid."""
    if _POSITION.fullmatch(text.strip()):
        raise PointInvalid(f"{_shown(text)} is a position, and here only a time makes sense")
    return _moment(text.strip(), now, 1, _shown(text)) // SECOND


def moment(text: str) -> int:
    """Read a moment that does not depend on now, in whole seconds.  Raise PointInvalid."""
    return _instant(text.strip(), _shown(text)) // SECOND


def seconds_of(text: str) -> int:
    """Read a duration, in whole seconds, at least one.  Raise PointInvalid."""
    seconds = _duration(text.strip(), _shown(text))
    if not seconds:
        raise PointInvalid(f"{_shown(text)} is not a duration like 10m")
    return seconds


def _moment(text: str, now: int, direction: int, shown: str) -> int:
    if text == "now":
        return now
    seconds = _duration(text, shown)
    time = now + direction * seconds * SECOND if seconds is not None else _instant(text, shown)
    rfc3339(time)
    return time


def _duration(text: str, shown: str) -> int | None:
    """The seconds of a duration; None if *text* is none."""
    if short := _SHORT.fullmatch(text):
        return int(short[1]) * _UNITS[short[2]]
    if text[:1] != "P":
        return None
    parts = _ISO.fullmatch(text)
    if parts is None or not any(parts.groupdict().values()) or text.endswith("T"):
        raise PointInvalid(f"{shown} is not a duration of weeks, days, hours, minutes and seconds")
    return sum(int(count) * _UNITS[unit] for unit, count in parts.groupdict().items() if count)


def _instant(text: str, shown: str) -> int:
    parts = _TIME.fullmatch(text)
    if parts is None and not _DATE.fullmatch(text):
        raise PointInvalid(f"{shown} is not a point in time")
    if parts is not None and parts["zone"] is None:
        raise PointInvalid(f"{shown} has no zone: end it with Z for UTC, or with +01:00")
    try:
        moment = datetime.fromisoformat(text.upper() if parts is None else _canonical(parts))
        since = moment.replace(tzinfo=moment.tzinfo or UTC) - EPOCH
    except (ValueError, OverflowError):
        raise PointInvalid(f"{shown} is not in the calendar") from None
    return since // timedelta(microseconds=1)


def _canonical(parts: re.Match[str]) -> str:
    """The form that Python 3.11 reads: seconds given, six digits of fraction, a numeric zone."""
    fraction = (parts["fraction"] or "").ljust(6, "0")[:6]
    zone = "+00:00" if parts["zone"] in "Zz" else parts["zone"]
    second = parts["second"] or "00"
    return f"{parts['date']}T{parts['hour']}:{parts['minute']}:{second}.{fraction}{zone}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
