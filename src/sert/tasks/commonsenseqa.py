"""CommonsenseQA: five choices a question (Talmor et al., 2019).

An instance of the official JSONL files:

    {"id": "5c1d", "answerKey": "B", "question": {"stem": "Where would you hang a wet coat?",
     "choices": [{"label": "A", "text": "oven"}, {"label": "B", "text": "hook"}, {"label": "C", "text": "river"},
                 {"label": "D", "text": "lamp"}, {"label": "E", "text": "drawer"}]}}

and of a hub set such as `tau/commonsense_qa`, or of a Parquet file of one:

    {"id": "5c1d", "question": "Where would you hang a wet coat?", "answerKey": "B",
     "choices": {"label": ["A", "B", "C", "D", "E"], "text": ["oven", "hook", "river", "lamp", "drawer"]}}

The official test questions have no answers; the paper tests on the dev file, the hub's `validation` split.
"""

import string
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.records import Split
from sert.tasks.readers import FILES, HUB, QuestionSet, read_file, read_jsonl, read_splits
from sert.tasks.rows import Record, Row, column
from sert.terminal.text import shorten

_TEST_FILE = "The official test questions have no answers; test on the dev file (the hub's `validation` split)."


def read_rows(config: TaskConfig) -> Iterator[Row | DataError]:
    """Read the questions. Ids are the set's own.

    Raises:
        DataError: If a file cannot be read.
    """
    return read_splits(config, _read_file, test_split="validation", row=_row)


def _read_file(file: Path) -> Iterable[Record]:
    return read_file(file) if file.suffix in (".json", ".parquet") else read_jsonl(file)


def _row(split: Split, record: Record) -> Row:
    nested = isinstance(record.columns.get("question"), Mapping)
    stem = column(record, "question.stem" if nested else "question")
    labels, texts = _labelled(record, column(record, "question.choices" if nested else "choices"))
    answer = record.columns.get("answerKey")
    if not answer:
        raise DataError(f"{record.where}: {_no_answer(record)} {_TEST_FILE}")
    if labels != list(string.ascii_uppercase[: len(labels)]):
        raise DataError(
            f"{record.where}: the labels of the choices must be A, B, C, ... in order, not {shorten(labels)}. "
            "Sets with other labels are for kind = 'table'."
        )
    if labels and answer not in labels:
        raise DataError(f"{record.where}: answerKey is {shorten(answer)}, which is none of {', '.join(labels)}.")
    # In brackets a letter cannot be mistaken for a choice's text.
    return Row(split, record.where, column(record, "id"), stem, texts, f"({answer})", record)


def _no_answer(record: Record) -> str:
    return "answerKey is empty." if "answerKey" in record.columns else "there is no column 'answerKey'."


def _labelled(record: Record, choices: Any) -> tuple[list[Any], list[Any]]:
    if isinstance(choices, Mapping):
        labels, texts = choices.get("label"), choices.get("text")
        if isinstance(labels, list) and isinstance(texts, list) and len(labels) == len(texts):
            return labels, texts
    elif isinstance(choices, list) and all(
        isinstance(each, Mapping) and {"label", "text"} <= each.keys() for each in choices
    ):
        return [each["label"] for each in choices], [each["text"] for each in choices]
    raise DataError(f"{record.where}: choices must have a label and a text each, not {shorten(choices)}.")


QUESTION_SET = QuestionSet(
    "CommonsenseQA: five choices a question (the release's JSONL files, or a hub set)",
    read_rows,
    options=FILES | HUB,
    hub_id="tau/commonsense_qa",
    repeats_choices=True,
)
