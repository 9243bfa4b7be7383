"""The choices of a question, in the forms in which question sets write them.

    ["anvil", "cork"], [2, 4]                                       a list
    {"text": ["anvil", "cork"], "label": ["A", "B"]}                texts beside labels (ARC, OpenBookQA)
    [{"label": "A", "text": "anvil"}, {"label": "B", "text": ...}]  objects (CommonsenseQA)
    {"A": "anvil", "B": "cork"}                                     by label
    ["A)anvil", "B)cork"]                                           with their letters inside (AQuA)
    "anvil", "cork"                                                 in a column each (MedMCQA, MMLU as CSV)

A cell of CSV holds one of these as JSON or as Python writes it, or `anvil|cork`, or `A) anvil, B) cork`.
"""

import ast
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sert.config.columns import Columns
from sert.errors import DataError
from sert.records import LETTERS
from sert.tasks.normalize import written
from sert.tasks.rows import Record, column
from sert.terminal.text import shorten

_FORMS = 'a list of texts (in CSV a JSON list, `a|b|c` or `A) a, B) b`), an object {"A": ..}, or one column a choice'
# How a letter or a number stands before a choice's text: `(A) a`, `A)a`, `A. a`, `A: a`; a number needs a bracket or a
# stop and a blank, since `1.5` and `1: 2` are texts, and so is `(1) and (2)`.
_NO_LIST = r"(?!\s*(?:(?:and|or|only)\b|[,&]))"
_MARKS = (
    rf"\(\s*([A-Ja-j]|[0-9]|10)\s*\){_NO_LIST}\s*",
    rf"([A-Ja-j]|[0-9]|10)\s?\){_NO_LIST}\s*",
    r"([A-Ja-j])\s?[.:]\s+",
    r"([0-9]|10)\.\s+",
)
_INSIDE = tuple(map(re.compile, _MARKS))
_BETWEEN = tuple(re.compile(rf"(?:^|(?<=[\s,;|])){mark}") for mark in _MARKS)


class Choices(NamedTuple):
    """The choices of one question, unchecked.

    Attributes:
        texts: What they say.
        labels: What they are called, as the row tells it; None where it does not, so that they are A, B, C, ...
        whole: The texts as they were written, with the letters inside them.
    """

    texts: list[Any]
    labels: list[str] | None
    whole: list[Any]

    @property
    def lettered(self) -> str | None:
        """The first text as it was written, where letters were taken off."""
        return None if self.whole == self.texts else str(self.whole[0])


def read_choices(record: Record, columns: Columns) -> Choices | None:
    """Read the choices of a row; None where no column of choices is named.

    Raises:
        DataError: If a column is missing, the choices have another form, or their labels do not fit them.
    """
    if columns.choices is None:
        return None
    if isinstance(columns.choices, str):
        labels, texts = _in_cell(column(record, columns.choices), record.where)
        labels = labels or _labels_beside(record, columns.choices)
    else:
        labels, texts = None, _filled([column(record, name) for name in columns.choices])
    if columns.labels is not None:
        labels = _in_cell(column(record, columns.labels), record.where)[1]
    texts = [written(text) for text in texts]
    inside, bare = _without_letters(texts)
    return Choices(bare, _checked(labels, inside, texts, record.where), texts)


def _filled(cells: list[Any]) -> list[Any]:
    """Leave out empty cells at the end: a table has as many columns as its longest question has choices."""
    while cells and (cells[-1] is None or (isinstance(cells[-1], str) and not cells[-1].strip())):
        cells.pop()
    return cells


def _in_cell(cell: Any, where: str) -> tuple[list[Any] | None, list[Any]]:
    """Find labels, if there are some, and texts in one cell."""
    if cell is None:
        return None, []
    if isinstance(cell, str):
        return _in_text(cell.strip(), where)
    if isinstance(cell, Mapping):
        return _in_mapping(cell, where)
    if isinstance(cell, list) and cell and all(isinstance(each, Mapping) for each in cell):
        if any("text" not in each for each in cell):
            raise DataError(
                f"{where}: the choices are objects without `text`, {shorten(cell)}; say which part holds the text, as "
                "in columns.choices = 'options.content' (and columns.labels = 'options.key')."
            )
        labelled = all("label" in each for each in cell)
        return [each["label"] for each in cell] if labelled else None, [each["text"] for each in cell]
    if isinstance(cell, list):
        return None, cell
    raise DataError(f"{where}: the choices must be {_FORMS}, not {shorten(cell)}.")


def _in_mapping(cell: Mapping[str, Any], where: str) -> tuple[list[Any] | None, list[Any]]:
    texts = cell.get("text")
    if isinstance(texts, list):
        return next((cell[name] for name in ("label", "labels") if isinstance(cell.get(name), list)), None), texts
    by_label = {label: text for label, text in cell.items() if text is not None}  # Parquet gives all rows all keys
    scores = {str(written(text)) for text in by_label.values() if not isinstance(text, str)}
    if (scores <= {"0", "1"} and scores) or any(isinstance(text, Mapping | list | bool) for text in by_label.values()):
        raise DataError(f"{where}: the choices must be {_FORMS}, not {shorten(cell)}.")
    return list(by_label), list(by_label.values())


def _in_text(cell: str, where: str) -> tuple[list[Any] | None, list[Any]]:
    if cell.startswith(("[", "{")):
        return _in_cell(_parsed(cell, where), where)
    if "|" in cell:
        return None, [part.strip() for part in cell.split("|")]
    for mark in _BETWEEN:
        found = list(mark.finditer(cell))
        labels = [each[1] for each in found]
        if found and found[0].start() == 0 and _in_order(labels):
            ends = [*(each.start() for each in found[1:]), len(cell)]
            return labels, [
                cell[each.end() : end].strip().rstrip(",;").rstrip() for each, end in zip(found, ends, strict=True)
            ]
    raise DataError(f"{where}: the choices are one text, {shorten(cell)}; they must be {_FORMS}.")


def _parsed(cell: str, where: str) -> Any:
    """Read JSON, or a list or dict as Python writes it."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    try:
        value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = None
    # numpy puts no commas between the texts, which are then read as one.
    if isinstance(value, dict) or (isinstance(value, list | tuple) and len(value) > 1):
        return value if isinstance(value, dict) else list(value)
    raise DataError(
        f"{where}: the choices {shorten(cell)} are no JSON list; write them so, or as a|b|c. A file that was written "
        "by pandas from lists is better saved as JSONL or Parquet."
    )


def _labels_beside(record: Record, name: str) -> list[Any] | None:
    """Find the labels beside `choices.text`."""
    parent, dot, _ = name.rpartition(".")
    for labels in ("label", "labels") if dot and name not in record.columns else ():
        try:
            found = column(record, f"{parent}.{labels}")
        except DataError:
            continue
        if isinstance(found, list) and not _are_marks(found):
            return found
    return None


def _are_marks(labels: Sequence[Any]) -> bool:
    """Tell whether these mark the gold choice, as [0, 1, 0] does, and name none."""
    names = list(map(str, labels))
    return set(names) <= {"0", "1"} and len(set(names)) < len(names)


def _without_letters(texts: Sequence[Any]) -> tuple[list[str] | None, list[Any]]:
    """Take the letters off texts that all begin with one; they are all of A, B, C, ... or of 1, 2, 3, ...."""
    if len(texts) < 2 or not all(isinstance(text, str) for text in texts):
        return None, list(texts)
    for mark in _INSIDE:
        found = [mark.match(text.strip()) for text in texts]
        labels = [each[1] for each in found if each]
        bare = [text.strip()[each.end() :].strip() for text, each in zip(texts, found, strict=True) if each]
        if len(labels) == len(texts) and any(bare) and _in_order(sorted(map(str.upper, labels), key=_by_length)):
            return labels, bare
    return None, list(texts)


def _by_length(label: str) -> tuple[int, str]:
    return len(label), label


def _in_order(labels: Sequence[str]) -> bool:
    """Tell whether these are two or more of A, B, C, ... (or a, b, c, ...; 1, 2, 3, ...; 0, 1, 2, ...), in order."""
    upper, numbers = list(LETTERS), list(map(str, range(11)))
    begins = (upper, list(LETTERS.lower()), numbers, numbers[1:])
    return len(labels) > 1 and any(list(labels) == each[: len(labels)] for each in begins)


def _checked(labels: Any, inside: list[str] | None, texts: Sequence[Any], where: str) -> list[str] | None:
    """Check the labels against the choices, and against those inside the texts."""
    if labels is None:
        return inside
    found = [str(written(label)).strip() for label in labels] if isinstance(labels, list) else []
    if len(found) != len(texts) or not all(found) or len(set(found)) < len(found):
        raise DataError(f"{where}: {len(texts)} choices need as many labels, each another one, not {shorten(labels)}.")
    differ = itertools.zip_longest(map(str.casefold, found), map(str.casefold, inside or ()))
    if inside is not None and any(label != other for label, other in differ):
        raise DataError(
            f"{where}: the choices {shorten(texts)} begin with other letters than their labels {shorten(found)}; "
            "mend one of them."
        )
    return found


def numbered_columns(names: Sequence[str]) -> Iterator[list[str]]:
    """Find columns that are called alike but for a number or a letter at the end: `opa, opb`, `ending0, ending1`."""
    alike: dict[str, list[str]] = {}
    for name in names:
        if name[-1:] and (name[-1] in LETTERS + LETTERS.lower() or name[-1].isdecimal()):
            alike.setdefault(name[:-1], []).append(name)
    for found in alike.values():
        if _in_order([name[-1] for name in found]):
            yield found
