"""Rows of question sets as they are found: nothing in them has been checked yet."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sert.errors import DataError
from sert.records import Split
from sert.terminal.text import shorten

MOST_ROWS = 1_000_000
"""Rows that one source may hold."""

RecordT = TypeVar("RecordT")


class Record(NamedTuple):
    """One row of a source: where it stands (for messages), its number from 0, and its columns."""

    where: str
    number: int
    columns: Mapping[str, Any]


class UnreadChoices(NamedTuple):
    """A column that seems to hold choices, or several that do, where none is read.

    Attributes:
        names: What they are called.
        hold_answer: Whether the gold answer is one of their texts.
    """

    names: str | list[str]
    hold_answer: bool


class Row(NamedTuple):
    """One row, told apart into the parts of a question.

    Attributes:
        choices: None for a question that has none.
        record: The row as it was found, whose columns templates can name; None where there are no columns.
        unread_choices: Columns that seem to hold choices, where none is read.
        read_as: How an answer was told from others, where the choices have labels of their own: `label`, `text`, or
            `both` for a label that is another choice's text, too.
        lettered: The first choice as it was written, where the choices' letters were taken off.
        expression: Whether the answer is a mathematical expression.
    """

    split: Split
    where: str
    question_id: Any
    question: Any
    choices: Any
    answer: Any
    record: Record | None = None
    unread_choices: UnreadChoices | None = None
    read_as: str | None = None
    lettered: str | None = None
    expression: bool = False


def bounded(records: Iterable[RecordT], source: object) -> Iterator[RecordT]:
    """Hand records on, as long as there are not too many.

    Raises:
        DataError: At the first of more than `MOST_ROWS`.
    """
    for number, record in enumerate(records):
        if number == MOST_ROWS:
            raise DataError(f"{source} holds more than {MOST_ROWS:,} rows, the most that are read; split it.")
        yield record


def row_id(split: Split, record: Record) -> str:
    """Make an id for a row that has none: its index; `test-` and its index in the test set's own file or hub split."""
    return str(record.number) if split == "train" else f"test-{record.number}"


def column(record: Record, name: str) -> Any:
    """Look a column up; dots reach into nested ones, and into all objects of a list.

    Raises:
        DataError: If there is no such column, with the nearest names.
    """
    if name in record.columns:
        return record.columns[name]
    value: Any = record.columns
    for part in name.split("."):
        objects = value if isinstance(value, list) else [value]
        if not objects or not all(isinstance(each, Mapping) and part in each for each in objects):
            raise _no_column(record, name)
        value = [each[part] for each in value] if isinstance(value, list) else value[part]
    return value


def all_names(columns: Mapping[str, Any]) -> Iterator[str]:
    """List the names of columns, and of those one level below."""
    for name, value in columns.items():
        yield name
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, Mapping):
            yield from (f"{name}.{each}" for each in inner)


def nearest_names(name: str, names: Sequence[str]) -> list[str]:
    """List the names that one may have been meant by another, the nearest first, at most three."""
    return difflib.get_close_matches(name, names, n=3)


def is_conversation(value: Any) -> bool:
    """Tell whether a value is a list of messages, each with a role or a sender."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(each, Mapping) and ({"role", "content"} <= each.keys() or {"from", "value"} <= each.keys())
            for each in value
        )
    )


def _no_column(record: Record, name: str) -> DataError:
    names = [str(key) for key in all_names(record.columns)]
    nearest = nearest_names(name, names)
    hint = f"did you mean {' or '.join(map(repr, nearest))}?" if nearest else f"it has {shorten(', '.join(names))}."
    return DataError(f"{record.where}: there is no column {name!r}; {hint}{_chat_hint(record)}")


def _chat_hint(record: Record) -> str:
    held = next((name for name, value in record.columns.items() if is_conversation(value)), None)
    if held is None:
        return ""
    return f" {held!r} holds a conversation; a question set has the question and its answer in a column each."
