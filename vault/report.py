"""The page of a bundle that a person reads: one HTML file, without scripts, made to be printed.  Pure.

It counts what the records say and proves nothing by itself; `verify.py` prints the same counts from
the records that it checked.  Every picture has its numbers in a table beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape

from vault import timeline
from vault.evidence import LOGS, Period
from vault.tally import KINDS, LABELS, READ, REFUSED, Mark, Tally

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_ROWS = 50

_STYLE = """
:root{--ink:#1b2430;--soft:#5a6675;--line:#d8dee6;--read:#0b6bcb;--change:#1f8a5b;--other:#9aa7b6;
--refused:#c2361b;--paper:#fff}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;
max-width:62rem;padding:2rem 1.5rem}
h1{font-size:1.7rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-bottom:2px solid
var(--ink);padding-bottom:.2rem}
p{max-width:46rem}code,.n{font-family:ui-monospace,monospace;font-size:.88em}
.sub{color:var(--soft);margin:.2rem 0 1.4rem}
.big{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;margin:1.2rem 0;
padding:0;list-style:none}
.big li{border:1px solid var(--line);border-left:6px solid;border-radius:4px;padding:.5rem .8rem}
.big b{display:block;font-size:1.6rem;line-height:1.2}
.read{border-left-color:var(--read)!important}.change{border-left-color:var(--change)!important}
.other{border-left-color:var(--other)!important}.refused{border-left-color:var(--refused)!important}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}caption{text-align:left;color:var(--soft)}
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}td{overflow-wrap:anywhere}
tfoot td,tfoot th{border-top:2px solid var(--ink);font-weight:600}
svg{width:100%;height:auto;display:block}
.note{border-left:4px solid var(--ink);padding:.4rem .9rem;background:#f4f6f9}
@media print{body{padding:0;font-size:11px;max-width:none}h2{break-after:avoid}tr,svg,.big{break-inside:
avoid}a{color:inherit}}
"""


def html(period: Period, tally: Tally) -> str:
    """The page."""
    vault = escape(tally.vault or "without a name in this period")
    body = [
        f"<h1>Evidence of vault {vault}</h1>",
        f'<p class="sub">Everything that was recorded from <b>{_from(period)}</b> until '
        f"<b>{_moment(period.stop)}</b>, without any secret value.</p>",
        _big(period, tally),
        "<h2>When</h2>",
        timeline.picture(period, tally),
        _marks(tally),
        "<h2>Who</h2>",
        _people(tally),
        "<h2>What</h2>",
        _operations(period, tally),
        _names(tally),
        _outcomes(tally),
        "<h2>Rules when the period began</h2>",
        _rules(period, tally),
        _ABOUT,
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>Evidence of vault {vault}</title><style>{_STYLE}</style></head><body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def _big(period: Period, tally: Tally) -> str:
    total = sum(period.span(log).stop - period.span(log).first for log in LOGS)
    cells = [
        f'<li class="{kind}"><b>{tally.kinds[kind]:,}</b>{LABELS[kind]}</li>' for kind in KINDS
    ]
    return f"""<ul class="big">{"".join(cells)}<li><b>{total:,}</b>records in all</li></ul>"""


def _marks(tally: Tally) -> str:
    if not tally.marks:
        return "<p>No purge, no key rotation, no change of a rule, nobody was given evidence.</p>"
    more = sum(tally.marked.values()) - len(tally.marks)
    note = f" {more:,} more are in the records." if more else ""
    caption = f"Purges, receipts, keys, rules, and evidence that was given out.{note}"
    heads = ("Time", "Record", "What", "Operation", "By", "Details")
    ordered = sorted(tally.marks, key=lambda one: (one.time, one.log))
    return _table(caption, heads, [_mark(one) for one in ordered])


def _mark(one: Mark) -> tuple[str, ...]:
    record = f"{one.log} #{one.position}"
    return (_moment(one.time), record, one.what, one.operation, one.principal, one.details)


def _people(tally: Tally) -> str:
    ordered = sorted(tally.people.items(), key=lambda pair: (-pair[1][READ], -pair[1].total()))
    rows = [
        (escape(who), *(f"{counts[kind]:,}" for kind in KINDS), f"{counts.total():,}")
        for who, counts in ordered[:_MOST_ROWS]
    ]
    rest = ordered[_MOST_ROWS:]
    if rest:
        sums = [sum(counts[kind] for _, counts in rest) for kind in KINDS]
        rows.append((f"{len(rest):,} more", *(f"{one:,}" for one in sums), f"{sum(sums):,}"))
    total = [f"{tally.kinds[kind]:,}" for kind in KINDS]
    heads = ("Principal", *(LABELS[kind] for kind in KINDS), "all")
    return timeline.bars(ordered[:_MOST_ROWS]) + _numbers(
        "Each principal's records; the last row is all of the period.",
        heads,
        rows,
        ("all", *total, f"{tally.kinds.total():,}"),
    )


def _operations(period: Period, tally: Tally) -> str:
    parts = []
    for log in LOGS:
        span = period.span(log)
        found = sorted(one for one in tally.operations.items() if one[0][0] == log)
        rows = [(escape(tag), f"{count:,}") for (_, tag), count in found]
        where = f"#{span.first} to #{span.stop - 1}" if span.stop > span.first else "no record"
        caption = f"Log {log}: {where} of <code>{escape(span.origin)}</code>"
        total = ("all", f"{span.stop - span.first:,}")
        parts.append(_numbers(caption, ("Operation", "records"), rows, total))
    return "".join(parts)


def _names(tally: Tally) -> str:
    if not tally.names:
        return "<p>No value was given out.</p>"
    found = tally.names.most_common(_MOST_ROWS)
    rest = len(tally.names) - len(found)
    caption = "Secrets whose values were given out" + (f"; {rest:,} more were" if rest else "")
    rows = [(escape(name), f"{count:,}") for name, count in found]
    return _numbers(caption, ("Secret", "times"), rows, ("all", f"{tally.kinds[READ]:,}"))


def _outcomes(tally: Tally) -> str:
    if not tally.outcomes:
        return "<p>Nothing was refused.</p>"
    rows = [(escape(code), f"{count:,}") for code, count in sorted(tally.outcomes.items())]
    return _numbers(
        "What was refused, and why", ("Code", "times"), rows, ("all", f"{tally.kinds[REFUSED]:,}")
    )


def _rules(period: Period, tally: Tally) -> str:
    if not period.changes.first:
        return "<p>The period begins with the vault: its rules are among the changes above.</p>"
    heads = ("Since", "Record", "What", "Operation", "By", "Details")
    caption = "Each is proved by its record. What came before the period is otherwise not shown."
    return _table(caption, heads, [_mark(one) for one in tally.rules])


_ABOUT = """<h2>How to believe this</h2>
<p class="note">Do not: this page is a convenience, and whoever wrote it could have written anything.
Take <code>verify.py</code> from somebody you trust, the two public keys of this vault from paper, and
run <code>python verify.py BUNDLE --key KEYS</code>. It prints these counts from the records that it
checked, and three verdicts.</p>
<table><caption>What the parts of the bundle answer</caption>
<thead><tr><th scope="col">Control</th><th scope="col">Answered by</th></tr></thead><tbody>
<tr><td>PCI DSS 4.0: 10.2, 10.3</td><td>records: who, what, when, from where, outcome; integrity</td></tr>
<tr><td>SOC 2: CC6.1-CC6.3, CC7.2, CC7.3</td><td>rules and their changes; reads, refusals</td></tr>
<tr><td>ISO 27001:2022 A.8.15</td><td>integrity and completeness of the log</td></tr>
<tr><td>NIST SP 800-53: AU-2, AU-3, AU-8 to AU-10, AU-12</td><td>records; time; signatures</td></tr>
</tbody></table>"""


# --- tables ---------------------------------------------------------------------------------------


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return (
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _numbers(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], total: Sequence[str]
) -> str:
    """A table whose first column is words, escaped already, and whose others are numbers."""

    def line(row: Sequence[str]) -> str:
        cells = "".join(f'<td class="n">{cell}</td>' for cell in row[1:])
        return f'<tr><th scope="row">{row[0]}</th>{cells}</tr>\n'

    head = "".join(f'<th scope="col" class="n">{one}</th>' for one in heads[1:])
    return (
        f'<table><caption>{caption}</caption><thead><tr><th scope="col">{heads[0]}</th>{head}</tr>'
        f"</thead><tbody>{''.join(map(line, rows))}</tbody><tfoot>{line(total)}</tfoot></table>"
    )


def _moment(time: int) -> str:
    return (_EPOCH + timedelta(microseconds=time)).isoformat(" ", "seconds")[:19] + " UTC"


def _from(period: Period) -> str:
    return _moment(period.start) if period.start else "the vault's beginning"
