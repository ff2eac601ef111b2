"""Data on standard output, in the form that was asked for: table, json, jsonl, tsv or none.

`tsv` and `--query` are as in the Azure CLI: a list is one line an item, what is nested in a row is
left empty (a list shows its length), and the order of a query's keys is kept.  A query is compiled
before the command runs, so that a typing error there cannot cost a recorded read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from cli.problems import Usage
from cli.tables import Column, cell, facts, table, table_lines, visible
from cli.terminal import Terminal

Data = Any
"""What JSON can say: dict, list, str, int, float, bool or None."""


class Output:
    """Standard output for one command."""

    def __init__(self, form: str, query: str | None, terminal: Terminal) -> None:
        self.form = form
        self._terminal = terminal
        self._query = None if query is None else _compiled(query)

    @property
    def for_people(self) -> bool:
        return self.form == "table"

    @property
    def has_query(self) -> bool:
        return self._query is not None

    def emit(self, data: Data, columns: Sequence[Column] = (), *, paged: bool = False) -> None:
        """Print *data*; *columns* are for the table of a list, if there is no query."""
        if self._query is not None:
            data, columns = self._query(data), ()
        text = self._text(data, columns)
        if paged and self.for_people:
            self._page([text])
        else:
            sys.stdout.write(text)

    def emit_each(
        self,
        items: Iterable[Data],
        columns: Sequence[Column] = (),
        *,
        text: Callable[[Data], str] | None = None,
        paged: bool = False,
    ) -> None:
        """Print a list one by one, in memory that does not grow with it; a query takes it whole.

        For people each item is what *text* says, or a row under *columns*.
        """
        if self._query is not None:
            self.emit(list(items))
            return
        parts = self._parts(items, columns, text)
        if paged and self.for_people:
            self._page(parts)
        else:
            sys.stdout.writelines(parts)

    def _parts(
        self,
        items: Iterable[Data],
        columns: Sequence[Column],
        text: Callable[[Data], str] | None,
    ) -> Iterator[str]:
        match self.form:
            case "json":
                return _json_parts(items)
            case "jsonl":
                return (_json(item, indent=0) for item in items)
            case "tsv":
                return (_tsv_row(item) + "\n" for item in items)
            case "none":
                return ("" for _ in items)
            case _ if text is not None:
                return map(text, items)
            case _:
                return table_lines(items, columns, self._terminal.width, self._terminal.paint)

    def raw(self, text: str, data: Data, *, paged: bool = False) -> None:
        """Print *text* as it is where a table was asked for, else *data*."""
        if not self.for_people or self._query is not None:
            self.emit(data)
        elif paged:
            self._page([text])
        else:
            sys.stdout.write(text)

    def _text(self, data: Data, columns: Sequence[Column]) -> str:
        if self.form == "json":
            return _json(data, indent=2)
        if self.form == "jsonl":
            items = data if isinstance(data, list) else [data]
            return "".join(_json(item, indent=0) for item in items)
        if self.form == "tsv":
            return _tsv(data)
        return "" if self.form == "none" else self._table(data, columns)

    def _table(self, data: Data, columns: Sequence[Column]) -> str:
        if isinstance(data, dict):
            return facts(data, self._terminal.paint)
        if not isinstance(data, list):
            return "" if data is None else visible(str(cell(data))) + "\n"
        if not data:
            return ""
        if not all(isinstance(item, dict) for item in data):
            data, columns = [{"result": item} for item in data], [Column("RESULT", "result")]
        columns = columns or _columns_of(data)
        return table(data, columns, self._terminal.width).render(self._terminal.paint)

    def _page(self, parts: Iterable[str]) -> None:
        import os

        import click

        from cli.terminal import is_terminal

        if not is_terminal(sys.stdout):
            # The pager would end the data with a line of its own.
            sys.stdout.writelines(parts)
            return
        # What `git log` does: stay out of the way where one screen holds everything.
        os.environ.setdefault("LESS", "FRX")
        click.echo_via_pager(iter(parts), color=True)


def _columns_of(rows: list[dict[str, object]]) -> list[Column]:
    """The plain keys of the first row, as the Azure CLI makes a table of a query's answer."""
    keys = [key for key, value in rows[0].items() if not isinstance(value, dict | list)]
    return [Column(key, key) for key in keys or rows[0]]


def _json(data: Data, *, indent: int) -> str:
    import msgspec

    encoded = msgspec.json.encode(data)
    return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode() + "\n"


def _json_parts(items: Iterable[Data]) -> Iterator[str]:
    """A list as `_json` writes it, item by item."""
    before = "[\n"
    for item in items:
        lines = _json(item, indent=2).rstrip("\n").split("\n")
        yield before + "\n".join(f"  {line}" for line in lines)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _tsv(data: Data) -> str:
    if data is None:
        return ""
    rows = data if isinstance(data, list) else [data]
    return "".join(_tsv_row(row) + "\n" for row in rows)


def _tsv_row(row: Data) -> str:
    if isinstance(row, dict):
        row = list(row.values())
    if isinstance(row, list):
        return "\t".join(_tsv_item(item) for item in row)
    return _tsv_item(row)


def _tsv_item(item: Data) -> str:
    if isinstance(item, list):
        return str(len(item))
    if isinstance(item, dict):
        return ""
    return str(item).lower() if isinstance(item, bool) else str(item)


def _compiled(query: str) -> Callable[[Data], Data]:
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        expression = jmespath.compile(query)
    except JMESPathError:
        raise Usage("--query is not a JMESPath expression") from None

    def search(data: Data) -> Data:
        try:
            return expression.search(data)
        except JMESPathError as error:
            # Its text may quote the data.
            raise Usage(f"--query does not fit the answer: {type(error).__name__}") from None

    return search
