"""What a section of a grid's report is made of."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from sert.report.grid_rows import Pair
from sert.report.table import Table

_LONGEST_NAME = 40


class Titled(NamedTuple):
    """A table under a heading, with lines that explain it."""

    title: str
    table: Table
    notes: Sequence[str] = ()


class Drawing(NamedTuple):
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


class Section(NamedTuple):
    """One part of the report; `folded` tables are shown on demand."""

    anchor: str
    title: str
    notes: Sequence[str]
    tables: Sequence[Titled] = ()
    drawings: Sequence[Drawing] = ()
    folded: Sequence[Titled] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.tables or self.drawings or self.folded)


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


def filled(tables: Iterable[Titled]) -> list[Titled]:
    """Keep the tables that have rows."""
    return [each for each in tables if not each.table.is_empty]


def joined(tables: Sequence[tuple[Pair, Table]]) -> list[Titled]:
    """Put the tables of a task's students under one heading, where they have the same columns."""
    made = []
    for task in dict.fromkeys(pair.task for pair, _ in tables):
        of_task = [(pair, table) for pair, table in tables if pair.task == task and not table.is_empty]
        if len({table.header for _, table in of_task}) == 1 < len(of_task):
            rows = [(f"{pair.student}, {row[0]}", *row[1:]) for pair, table in of_task for row in table.rows]
            made.append(Titled(task, Table(of_task[0][1].header, rows)))
        else:
            made += [Titled(pair.title, table) for pair, table in of_task]
    return made
