"""Your own questions, from JSONL, CSV, Parquet, a hub set or a local data set folder.

`columns` of the task says which column holds what; dots reach into nested columns. An instance of a JSONL file, with
`columns = {question_id = "key", question = "ask", choices = "options", answer = "gold"}`:

    {"key": "k7", "ask": "Which of these floats on water?", "options": ["anvil", "cork", "marble"], "gold": "cork"}

Where a cell can hold no list, as in CSV, the choices are written as `anvil|cork|marble` or as a JSON list.

Read are texts of up to 131,072 characters, lines of up to 4 MiB, and files of up to 1 GiB and a million rows.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.tasks.readers import FILES, HUB, QuestionSet, Record, Row, all_names, column, read_file, read_splits, row_id
from sert.terminal.text import shorten

# As `choices`, `answer_options`, `answerOptions` or `question.choices`.
_CHOICES = re.compile(r"(?:.*[._\s-])?(?i:choices|options)|.*[a-z](?:Choices|Options)")


def read_rows(config: TaskConfig) -> Iterator[Row]:
    """Read the questions. Without a column of ids they are row numbers, counted from 0.

    Raises:
        DataError: If a file is of another kind or cannot be read, or lacks a column.
    """
    names = config.columns
    for split, record in read_splits(config, read_file, test_split=None):
        yield Row(
            split,
            record.where,
            row_id(split, record) if names.question_id is None else column(record, names.question_id),
            column(record, names.question),
            None if names.choices is None else _choices(column(record, names.choices), record.where),
            column(record, names.answer),
            _like_choices(record) if names.choices is None else None,
        )


def _like_choices(record: Record) -> str | None:
    """Find a column that by its name holds choices."""
    return next((name for name in all_names(record.columns) if _CHOICES.fullmatch(name)), None)


def _choices(cell: Any, where: str) -> Any:
    if not isinstance(cell, str):
        return [] if cell is None else cell
    if not cell.lstrip().startswith("["):
        return cell.split("|")
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise DataError(f"{where}: the choices {shorten(cell)} are no JSON list; write them so, or as a|b|c.") from None


QUESTION_SET = QuestionSet(
    "Your own questions: JSONL, CSV or Parquet, a hub set or a local data set folder",
    read_rows,
    options=FILES | HUB | {"columns"},
)
