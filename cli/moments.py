"""Moments as they are printed: RFC 3339 in UTC.  Pure.  `cli.points` reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cli.problems import PointInvalid

SECOND = 1_000_000
"""Microseconds, in which a log counts."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(time: int) -> str:
    """Microseconds since 1970 as RFC 3339 in UTC, with a fraction only if there is one."""
    try:
        moment = EPOCH + timedelta(microseconds=time)
    except OverflowError:
        raise PointInvalid("the time is not between the years 1 and 9999") from None
    text = moment.replace(tzinfo=None).isoformat(
        timespec="microseconds" if time % SECOND else "seconds"
    )
    return text + "Z"
