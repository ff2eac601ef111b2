"""The pictures of a report, as SVG inside the page.  Pure.

Columns over time: values given out, changes, other questions, refusals, in that order from below,
and above them a strip with the days of purges, key rotations, rules and evidence.  Refusals are
hatched, and each kind has its place, so that nothing is told by colour alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import escape

from vault.evidence import Period
from vault.tally import CHANGE, HOUR, KINDS, LABELS, OTHER, READ, REFUSED, Mark, Tally

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 960, 300, 56, 74, 40
_MOST_COLUMNS = 96
_STEPS = (1, 3, 6, 12, 24, 48, 168, 336, 730, 2_190, 8_760)
_FILLS = {READ: "#0b6bcb", CHANGE: "#1f8a5b", OTHER: "#b9c3ce", REFUSED: "url(#hatch)"}
_SIGNS = {
    "purge": "M0,-6 L6,5 L-6,5 Z",
    "erasure receipt": "M-5,-5 H5 V5 H-5 Z",
    "key rotation": "M0,-6 L6,0 L0,6 L-6,0 Z",
    "rule": "M-6,-2 H6 V2 H-6 Z",
    "evidence": "M-5,0 A5,5 0 1 0 5,0 A5,5 0 1 0 -5,0",
    "restore": "M-6,0 L5,-6 V6 Z",
    "clock": "M-5,-5 L5,5 M-5,5 L5,-5",
}
_PATTERN = (
    '<defs><pattern id="hatch" width="6" height="6" patternTransform="rotate(45)" '
    'patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="#fbe3de"/>'
    '<rect width="3" height="6" fill="#c2361b"/></pattern></defs>'
)


class _Scale:
    """Which hours a column holds, and where it stands."""

    def __init__(self, hours: Sequence[int]) -> None:
        self.first, last = min(hours), max(hours)
        wanted = -(-(last + 1 - self.first) // _MOST_COLUMNS)
        self.step = next((step for step in _STEPS if step >= wanted), wanted)
        self.first -= self.first % self.step if self.step <= 24 else self.first % 24
        self.count = (last - self.first) // self.step + 1
        self.width = (_WIDTH - _LEFT - 8) / self.count

    def column(self, hour: int) -> int:
        return min(max((hour - self.first) // self.step, 0), self.count - 1)

    def x(self, column: float) -> float:
        return _LEFT + column * self.width

    def label(self, column: int) -> str:
        moment = _EPOCH + timedelta(hours=self.first + column * self.step)
        return f"{moment:%Y-%m-%d}" if self.step >= 24 else f"{moment:%m-%d %H:00}"

    @property
    def unit(self) -> str:
        return {1: "an hour", 24: "a day", 168: "a week"}.get(self.step, f"{self.step} hours")


def picture(period: Period, tally: Tally) -> str:
    """The timeline, and its numbers in a table."""
    if not tally.hours:
        return "<p>Nothing was recorded in this period.</p>"
    scale = _Scale(list(tally.hours))
    columns: list[Counter[str]] = [Counter() for _ in range(scale.count)]
    for hour, counts in tally.hours.items():
        columns[scale.column(hour)].update(counts)
    most = max(column.total() for column in columns)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="t-when d-when" '
        'font-size="12" font-family="system-ui,sans-serif">',
        f'<title id="t-when">Records over time; a column is {scale.unit}</title>',
        f'<desc id="d-when">{_described(tally, scale, columns)}</desc>',
        _PATTERN,
        *_legend(),
        *_axis(scale, most),
        *(_column(scale, at, column, most) for at, column in enumerate(columns)),
        *_signs(scale, tally.marks),
        "</svg>",
    ]
    return "".join(parts) + _table(scale, columns)


def _described(tally: Tally, scale: _Scale, columns: list[Counter[str]]) -> str:
    most = max(range(len(columns)), key=lambda at: columns[at].total())
    kinds = ", ".join(f"{tally.kinds[kind]:,} {LABELS[kind]}" for kind in KINDS)
    marks = ", ".join(f"{count} {what}" for what, count in sorted(tally.marked.items()))
    return escape(
        f"{kinds}. The most, {columns[most].total():,}, from {scale.label(most)}. {marks or 'No mark'}."
    )


def _legend() -> list[str]:
    found, x = [], float(_LEFT)
    for kind in KINDS:
        found.append(
            f'<rect x="{x}" y="4" width="14" height="12" fill="{_FILLS[kind]}"/>'
            f'<text x="{x + 19}" y="14">{LABELS[kind]}</text>'
        )
        x += 150
    x = float(_LEFT)
    for what, path in _SIGNS.items():
        found.append(
            f'<path d="{path}" transform="translate({x + 6} 33)" fill="#1b2430" stroke="#1b2430"/>'
            f'<text x="{x + 19}" y="37">{what}</text>'
        )
        x += 34 + 7 * len(what)
    return found


def _axis(scale: _Scale, most: int) -> list[str]:
    base, found = _HEIGHT - _BOTTOM, []
    for part in (0, 0.5, 1):
        y = base - part * (base - _TOP)
        found.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d8dee6"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{round(most * part):,}</text>'
        )
    every = max(1, -(-scale.count // 8))
    for at in range(0, scale.count, every):
        found.append(
            f'<text x="{scale.x(at):.1f}" y="{base + 16}">{scale.label(at)}</text>'
            f'<line x1="{scale.x(at):.1f}" x2="{scale.x(at):.1f}" y1="{base}" y2="{base + 4}" '
            'stroke="#5a6675"/>'
        )
    found.append(
        f'<text x="{_LEFT}" y="{base + 34}" fill="#5a6675">UTC; a column is {scale.unit}</text>'
    )
    return found


def _column(scale: _Scale, at: int, counts: Counter[str], most: int) -> str:
    base, y, found = _HEIGHT - _BOTTOM, float(_HEIGHT - _BOTTOM), []
    gap = min(2.0, scale.width / 6)
    for kind in KINDS:
        height = counts[kind] * (base - _TOP) / most
        if height:
            # What is there is seen, however little it is.
            height = max(height, 1.5)
            y -= height
            found.append(
                f'<rect x="{scale.x(at) + gap:.1f}" y="{y:.1f}" width="{scale.width - 2 * gap:.1f}" '
                f'height="{height:.1f}" fill="{_FILLS[kind]}"/>'
            )
    if not found:
        return ""
    told = ", ".join(f"{counts[kind]:,} {LABELS[kind]}" for kind in KINDS if counts[kind])
    return f"<g><title>{scale.label(at)}: {told}</title>{''.join(found)}</g>"


def _signs(scale: _Scale, marks: Sequence[Mark]) -> list[str]:
    seen: dict[tuple[int, str], list[Mark]] = {}
    for one in marks:
        seen.setdefault((scale.column(one.time // HOUR), one.what), []).append(one)
    order = {what: place for place, what in enumerate(_SIGNS)}
    found, stacked = [], Counter[int]()
    for (column, what), some in sorted(
        seen.items(), key=lambda pair: (pair[0][0], order[pair[0][1]])
    ):
        x = scale.x(column + 0.5)
        y = _TOP - 12 - 13 * (stacked[column] % 2)
        stacked[column] += 1
        told = escape("; ".join(f"{one.log} #{one.position} {one.operation}" for one in some[:8]))
        found.append(
            f'<path d="{_SIGNS[what]}" transform="translate({x:.1f} {y})" fill="#1b2430" '
            f'stroke="#1b2430"><title>{what}: {told}</title></path>'
        )
    return found


def _table(scale: _Scale, columns: list[Counter[str]]) -> str:
    heads = "".join(f'<th scope="col" class="n">{LABELS[kind]}</th>' for kind in KINDS)
    rows = "".join(
        f'<tr><th scope="row">{scale.label(at)}</th>'
        + "".join(f'<td class="n">{counts[kind]:,}</td>' for kind in KINDS)
        + "</tr>\n"
        for at, counts in enumerate(columns)
        if counts
    )
    return (
        f"<details><summary>The numbers behind the picture</summary><table><caption>A row is "
        f'{scale.unit}; where one is missing nothing was recorded.</caption><thead><tr><th scope="col">'
        f"From</th>{heads}</tr></thead><tbody>{rows}</tbody></table></details>"
    )


def bars(people: Sequence[tuple[str, Counter[str]]]) -> str:
    """Who was given how many values, as bars."""
    readers = [(who, counts[READ]) for who, counts in people if counts[READ]][:20]
    if not readers:
        return ""
    most, height = readers[0][1], 24 * len(readers)
    lines = []
    for at, (who, count) in enumerate(readers):
        y, width = 24 * at, max(count * 560 / most, 2)
        shown = escape(who if len(who) <= 40 else who[:39] + "…")
        lines.append(
            f'<text x="290" y="{y + 16}" text-anchor="end">{shown}</text>'
            f'<rect x="300" y="{y + 4}" width="{width:.1f}" height="16" fill="{_FILLS[READ]}"/>'
            f'<text x="{306 + width:.1f}" y="{y + 16}">{count:,}</text>'
        )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Values given out, by principal; '
        f'the numbers are in the table below" font-size="13" font-family="system-ui,sans-serif">'
        + "".join(lines)
        + "</svg>"
    )
