"""A table as texts, and how it is written as Markdown and as plain text."""

import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from sert.report.format import MINUS
from sert.terminal.text import printable

TERMINAL_WIDTH = 100
TERMINAL_HEADING = 11
_MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]|~$#])")


class Table(NamedTuple):
    """A table as raw texts; whoever renders it escapes them. The first column names the row."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was measured."""
        return not self.rows


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        heading: What stands over it.
        cell: How a row of `metrics.json` is written in it.
        key: What has to be measured in some row for the column to be shown; None where it always is.
        on_terminal: Whether a terminal has room for it.
    """

    heading: str
    cell: Callable[[Mapping[str, Any]], str]
    key: str | None = None
    on_terminal: bool = True


def build_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, terminal: bool = False) -> Table:
    """Lay rows of `metrics.json` out under columns: those that show something, and that a terminal has room for."""
    shown = [
        column
        for column in columns
        if (column.on_terminal or not terminal)
        and (column.key is None or any(row[column.key] is not None for row in rows))
    ]
    return Table(tuple(each.heading for each in shown), [tuple(each.cell(row) for each in shown) for row in rows])


def markdown_table(table: Table) -> str:
    """Write one table as Markdown; nothing in a cell acts as Markdown or HTML."""
    rule = ["---", *["---:"] * (len(table.header) - 1)]
    lines = [[markdown_cell(cell) for cell in row] for row in (table.header, *table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def markdown_cell(text: str) -> str:
    """Keep a text inside its cell: nothing in it may act as Markdown or HTML."""
    escaped = _MARKDOWN_SIGNS.sub(r"\\\1", _one_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def plain_table(table: Table) -> str:
    """Write one table as plain text: no colour codes, at most 100 columns."""
    wide = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, heading in enumerate(table.header):
        lines = "\n".join(textwrap.wrap(heading, TERMINAL_HEADING))
        wide.add_column(lines, justify="right" if number else "left", overflow="fold", no_wrap=number > 0)
    for row in table.rows:
        wide.add_row(*(Text(_one_line(cell).replace(MINUS, "-")) for cell in row))
    console = Console(file=io.StringIO(), width=TERMINAL_WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(wide)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def wrap(text: str) -> str:
    """Break a text into lines for a terminal, control characters made visible."""
    return "\n".join(textwrap.wrap(_one_line(text), TERMINAL_WIDTH, subsequent_indent="  "))
