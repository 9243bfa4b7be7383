"""What a section of the report is made of."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from sert.report.names import Row
from sert.report.rows import Metrics, Pair, of_pair
from sert.report.table import Table

_LONGEST_NAME = 40


class TitledTable(NamedTuple):
    """A table under a heading, with lines that explain it."""

    title: str
    table: Table
    notes: Sequence[str] = ()


class CaptionedFigure(NamedTuple):
    """A figure.

    Attributes:
        name: Of its files, and the prefix of its SVG's ids.
        title: What it is about.
        caption: How to read it; with the title, what a screen reader says.
    """

    name: str
    title: str
    caption: str
    figure: Figure


class ReportSection(NamedTuple):
    """One part of the report; `folded` tables are shown on demand."""

    anchor: str
    title: str
    notes: Sequence[str]
    tables: Sequence[TitledTable] = ()
    figures: Sequence[CaptionedFigure] = ()
    folded: Sequence[TitledTable] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.tables or self.figures or self.folded)


def file_names(titles: Iterable[str]) -> dict[str, str]:
    """Make a short name for files of each title: small letters, digits and hyphens, no two alike."""
    names: dict[str, str] = {}
    for title in dict.fromkeys(titles):
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:_LONGEST_NAME].strip("-") or "student"
        tried, number = name, 1
        while tried in names.values():
            number += 1
            tried = f"{name}-{number}"
        names[title] = tried
    return names


def filled(tables: Iterable[TitledTable]) -> list[TitledTable]:
    """Keep the tables that have rows."""
    return [each for each in tables if not each.table.is_empty]


def by_pair(pairs: Iterable[Pair], table_of: Callable[[Pair], Table]) -> list[TitledTable]:
    """Lay out a table for each pair that has one."""
    return filled(TitledTable(pair.title, table_of(pair)) for pair in pairs)


def joined(pairs: Sequence[Pair], table_of: Callable[[Pair], Table]) -> list[TitledTable]:
    """Put the tables of a task's students under one heading, where they have the same columns."""
    made = []
    for task in dict.fromkeys(pair.task for pair in pairs):
        tables = {pair: table_of(pair) for pair in pairs if pair.task == task}
        tables = {pair: table for pair, table in tables.items() if not table.is_empty}
        headers = {table.header for table in tables.values()}
        if len(headers) == 1 < len(tables):
            rows = [(f"{pair.student}, {row[0]}", *row[1:]) for pair, table in tables.items() for row in table.rows]
            made.append(TitledTable(task, Table(headers.pop(), rows)))
        else:
            made += [TitledTable(pair.title, table) for pair, table in tables.items()]
    return made


def captioned(
    pairs: Sequence[Pair], figures: Mapping[Pair, Figure], *, name: str, caption: str
) -> list[CaptionedFigure]:
    """Name and caption the figures of those pairs that have one."""
    names = file_names(pair.title for pair in pairs)
    return [
        CaptionedFigure(f"{name}-{names[pair.title]}", pair.title, caption, figure) for pair, figure in figures.items()
    ]


def drawn_section(
    metrics: Metrics, pairs: Sequence[Pair], section: str, *, caption: str, draw: Callable[[list[Row]], Figure]
) -> list[CaptionedFigure]:
    """Draw the rows of a section of `metrics.json` for each pair that has any."""
    figures = {pair: draw(rows) for pair in pairs if (rows := of_pair(metrics, section, pair))}
    return captioned(pairs, figures, name=section.replace("_", "-"), caption=caption)
