"""Your own questions, from JSONL, JSON, CSV, TSV, Parquet, a hub set or a local data set folder.

`columns` of the task says which column holds what; dots reach into nested columns. An instance of a JSONL file, with
`columns = {question_id = "key", question = "ask", choices = "options", answer = "gold"}`:

    {"key": "k7", "ask": "Which of these floats on water?", "options": ["anvil", "cork", "marble"], "gold": "cork"}

The forms that choices may have are in `sert.tasks.choices`, those of answers in `sert.tasks.gold`.

Read are texts of up to 131,072 characters, lines of up to 4 MiB, and files of up to 1 GiB and a million rows.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from sert.config.columns import Columns
from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.records import Split
from sert.tasks.choices import numbered_columns, read_choices
from sert.tasks.gold import read_gold
from sert.tasks.normalize import canonical
from sert.tasks.readers import FILES, HUB, QuestionSet, read_file, read_splits
from sert.tasks.rows import Record, Row, UnreadChoices, all_names, column, row_id

# As `choices`, `answer_options`, `answerOptions` or `question.choices`.
_CHOICES = re.compile(r"(?:.*[._\s-])?(?i:choices|options)|.*[a-z](?:Choices|Options)")


def read_rows(config: TaskConfig) -> Iterator[Row | DataError]:
    """Read the questions. Without a column of ids they are row numbers, counted from 0.

    Raises:
        DataError: If a file is of another kind or cannot be read.
    """
    return read_splits(config, read_file, test_split=None, row=partial(table_row, config.columns))


def table_row(columns: Columns, split: Split, record: Record) -> Row:
    """Tell a row apart by the columns that hold its parts.

    Raises:
        DataError: If a column is missing, or choices or answer have a form that is not read.
    """
    question = _question(record, columns)
    choices = read_choices(record, columns)
    gold = read_gold(column(record, columns.answer), choices, columns=columns, where=record.where)
    return Row(
        split,
        record.where,
        row_id(split, record) if columns.question_id is None else column(record, columns.question_id),
        question,
        None if choices is None else choices.texts,
        gold.answer,
        record,
        _like_choices(record, gold.answer) if choices is None else None,
        gold.read_as,
        None if choices is None else choices.lettered,
        expression=columns.answer_is == "expression",
    )


def _question(record: Record, columns: Columns) -> Any:
    """Take the column of the question, or join the texts of several."""
    if isinstance(columns.question, str):
        return column(record, columns.question)
    parts = [column(record, name) for name in columns.question]
    wrong = [part for part in parts if not isinstance(part, str)]
    return wrong[0] if wrong else " ".join(part.strip() for part in parts if part.strip())


def _like_choices(record: Record, answer: Any) -> UnreadChoices | None:
    """Find a column, or several, that by their names hold choices."""
    names = list(all_names(record.columns))
    held = next((name for name in names if _CHOICES.fullmatch(name)), None) or next(numbered_columns(names), None)
    if held is None:
        return None
    try:
        choices = read_choices(record, Columns(choices=held if isinstance(held, str) else tuple(held)))
    except DataError:
        choices = None
    texts = [text for text in choices.texts if isinstance(text, str)] if choices else []
    return UnreadChoices(held, isinstance(answer, str) and canonical(answer) in map(canonical, texts))


QUESTION_SET = QuestionSet(
    "Your own questions: JSONL, JSON, CSV or Parquet, a hub set or a local data set folder",
    read_rows,
    options=FILES | HUB | {"columns"},
)
