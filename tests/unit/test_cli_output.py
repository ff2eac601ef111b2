"""Data in the form that was asked for, and nothing that moves a cursor."""

import io

import pytest

from cli.output import Output
from cli.problems import Usage
from cli.progress import Progress
from cli.tables import WHOLE, Column, facts, shown_width, table, visible
from cli.terminal import Terminal

BUNDLE = {"attributes": {"enabled": True}, "contentType": None, "name": "a", "tags": {}}


def printed(
    capsys: pytest.CaptureFixture[str], form: str, data: object, query: str | None = None
) -> str:
    Output(form, query, Terminal("never")).emit(data)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "query", "expected"),
    [
        (BUNDLE, None, "\tNone\ta\t\n"),
        ([BUNDLE, BUNDLE], "[].name", "a\na\n"),
        ([BUNDLE], "[].{n: name, e: attributes.enabled}", "a\ttrue\n"),
        (BUNDLE, "name", "a\n"),
        (BUNDLE, "contentType", ""),
        (BUNDLE, "[name, attributes.enabled]", "a\ntrue\n"),
        ([[1, [2, 3]]], None, "1\t2\n"),
        ([], None, ""),
    ],
)
def test_tsv_is_as_az_prints_it(
    capsys: pytest.CaptureFixture[str], data: object, query: str | None, expected: str
) -> None:
    assert printed(capsys, "tsv", data, query) == expected


def test_json_keeps_order_nulls_and_letters(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "json", {"b": None, "a": "ü"}) == '{\n  "b": null,\n  "a": "ü"\n}\n'


def test_jsonl_is_a_line_an_item(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "jsonl", [{"a": 1}, {"a": "x\ny"}]) == '{"a":1}\n{"a":"x\\ny"}\n'
    assert printed(capsys, "jsonl", {"a": 1}) == '{"a":1}\n'


def test_none_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "none", BUNDLE) == ""


def test_a_query_in_a_table_has_its_own_columns(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "table", [BUNDLE], "[].{Name: name, On: attributes.enabled}")
    assert out.splitlines() == ["Name  On", "a     true"]


@pytest.mark.parametrize("query", ["[", "name ==", "a..b"])
def test_a_query_is_refused_before_anything_is_asked(query: str) -> None:
    with pytest.raises(Usage):
        Output("json", query, Terminal("never"))


def test_a_query_that_does_not_fit_does_not_quote_the_data() -> None:
    output = Output("json", "length(value)", Terminal("never"))
    with pytest.raises(Usage) as refused:
        output.emit({"value": 12345})
    assert "12345" not in refused.value.message


# --- tables ---------------------------------------------------------------------------------------


def plain(text: str, style: str) -> str:
    return text


COLUMNS = [Column("NAME", "name"), Column("WHAT", "what")]


def test_without_a_width_nothing_is_cut() -> None:
    rows: list[dict[str, object]] = [{"name": "n" * 200, "what": "w"}]
    assert "n" * 200 in table(rows, COLUMNS, None).render(plain)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_table_fits_its_terminal(width: int) -> None:
    rows: list[dict[str, object]] = [
        {"name": "n" * 60, "what": "w" * 60},
        {"name": "漢字" * 20, "what": "x"},
    ]
    lines = table(rows, COLUMNS, width).render(plain).splitlines()
    assert all(shown_width(line) <= width for line in lines)
    assert "…" in lines[1]


@pytest.mark.parametrize("width", [10, 40, 80])
def test_what_names_a_row_is_never_cut(width: int) -> None:
    rows: list[dict[str, object]] = [{"name": "changes #12345", "what": "w" * 60}]
    columns = [Column("NAME", "name", WHOLE), Column("WHAT", "what", 9)]
    line = table(rows, columns, width).render(plain).splitlines()[1]
    assert line.startswith("changes #12345  wwwwwwww")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("a\u202eb", "a\\u202eb"),
        ("grüße 漢字 x", "grüße 漢字 x"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_a_cell_carries_no_control(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert facts({"value": text}, plain) == f"value  {shown}\n"


def test_an_empty_list_is_an_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "table", []) == ""


# --- colour ---------------------------------------------------------------------------------------


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("color", "environ", "stream", "expected"),
    [
        ("auto", {}, Screen(), True),
        ("auto", {}, io.StringIO(), False),
        ("auto", {"NO_COLOR": "1"}, Screen(), False),
        ("auto", {"NO_COLOR": ""}, Screen(), True),
        ("auto", {"TERM": "dumb"}, Screen(), False),
        ("auto", {"FORCE_COLOR": "1"}, io.StringIO(), True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, Screen(), False),
        ("always", {"NO_COLOR": "1"}, io.StringIO(), True),
        ("never", {"FORCE_COLOR": "1"}, Screen(), False),
    ],
)
def test_who_decides_about_colour(
    color: str, environ: dict[str, str], stream: io.StringIO, expected: bool
) -> None:
    assert Terminal(color, environ).colours(stream) is expected


# --- progress -------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def worked(stream: io.StringIO, seconds: int) -> str:
    clock = Clock()
    with Progress("secrets", stream, clock) as progress:
        for done in range(1, seconds * 4 + 1):
            clock.now = done / 4
            progress(done, seconds * 8)
    return stream.getvalue()


def test_short_work_says_nothing() -> None:
    clock = Clock()
    screen = Screen()
    with Progress("secrets", screen, clock) as progress:
        clock.now = 0.4
        progress(1, 2)
    assert screen.getvalue() == ""


def test_a_terminal_sees_count_rate_and_time_left_and_then_a_clean_line() -> None:
    shown = worked(Screen(), 2)
    assert "secrets 8 of 16, 4/s, 0:02 left" in shown
    assert shown.endswith("\r\x1b[K")


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    lines = worked(io.StringIO(), 35).splitlines()
    assert lines[0] == "secrets 40 of 280, 4/s, 1:00 left"
    assert len(lines) == 3
