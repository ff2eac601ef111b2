"""A period as text and as seconds: the ISO 8601 durations that Key Vault takes.  Pure.

`P90D`, `PT4H`, `P1DT12H`, `P2W`: weeks, days, hours, minutes and seconds.  A year and a month are
refused, since they have no length of their own: whoever writes P1M may mean 28 days or 31, and a
rotation that comes on another day than the one that was meant is not seen until it is missed.  No
library of the core reads these, and forty lines need none.
"""

from __future__ import annotations

import re
from typing import Final

from vault.refusals import PeriodInvalid

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
MAX_PERIOD: Final = 36_500 * DAY
"""A hundred years: so that no time that follows is one which cannot be written."""

_SIZES = (7 * DAY, DAY, HOUR, MINUTE, 1)
_FORM = re.compile(
    r"P(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?", re.ASCII
)


def seconds(text: str) -> int:
    """The seconds of a period.  Raise PeriodInvalid."""
    found = _FORM.fullmatch(text)
    if found is None or not any(found.groups()) or text.endswith("T"):
        raise PeriodInvalid(
            f"{text[:40]!a} is not a period of weeks, days, hours, minutes and seconds, as P90D or PT4H"
        )
    return sum(
        int(number) * size for number, size in zip(found.groups(), _SIZES, strict=True) if number
    )


def text(period: int) -> str:
    """The period as Key Vault writes it: days, hours, minutes and seconds."""
    days, rest = divmod(period, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, left = divmod(rest, MINUTE)
    date = f"{days}D" if days else ""
    time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (left, "S")) if n)
    return f"P{date}T{time}" if time else f"P{date or 'T0S'}"


def check(period: int, least: int) -> None:
    """Raise PeriodInvalid if *period* is shorter than *least*, or too long to write."""
    if not least <= period <= MAX_PERIOD:
        raise PeriodInvalid(
            f"the period {text(max(period, 0))} is not from {text(least)} to {text(MAX_PERIOD)}"
        )
