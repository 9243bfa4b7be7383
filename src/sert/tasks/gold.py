"""Gold answers, in the forms in which question sets write them; what can mean two things is refused.

With choices an answer can be a label (`B`, `2`), a text, an index (0 is the first choice) or a number (1 is the
first), which `columns.answer_is` says where it does not show:

    ["2", "4", "1", "3"], answer "2"                            refused: the text of A, the index of C, the number of B
    {"text": ["2", "4", "1", "3"], "label": ["1", "2", "3", "4"]}, answer "2"    B, by its label
    ["rope", "saw"], answer 1                                   refused: the index of B, or the number of A

Without choices, 72 and 51.0 are numbers (`72`, `51`), and a list of one is that one.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sert.config.columns import Columns
from sert.errors import DataError
from sert.records import LETTERS
from sert.tasks.choices import Choices
from sert.tasks.expressions import gold_expression
from sert.tasks.normalize import canonical, whole_number, written
from sert.terminal.text import shorten

_FIRST = {"index": 0, "number": 1}
_TRUE, _FALSE = {"1", "yes", "true", "y", "t"}, {"0", "no", "false", "n", "f"}
_BRACKETED = re.compile(r"\([A-Ja-j]\)")
_MARK = "####"  # before the answers of GSM8K
_PLACES = '"index" (0 is the first choice) or "number" (1 is the first), or name the column of labels in columns.labels'
UNANSWERED = "Test questions are often published without answers: use another split or file."


class Gold(NamedTuple):
    """A gold answer: a letter in brackets, or what is still to be checked; `read_as` is that of `Row`."""

    answer: Any
    read_as: str | None = None


def read_gold(given: Any, choices: Choices | None, *, columns: Columns, where: str) -> Gold:
    """Bring a gold answer to a letter, yes or no, or a text.

    Raises:
        DataError: If it could mean two things, or nothing, with the setting that mends it.
    """
    value = _behind(_alone(given), columns.answer_after, where)
    if choices is None:
        return Gold(_without_choices(value, columns, where))
    if not all(isinstance(text, str) for text in choices.texts) or len(choices.texts) > len(LETTERS):
        return Gold(value)  # these choices are refused
    place, read_as = _place(value, choices, columns, where)
    return Gold(value if place is None else f"({LETTERS[place]})", read_as)


def _without_choices(value: Any, columns: Columns, where: str) -> Any:
    if columns.answer_is == "yes_no":
        return _yes_no(value, where)
    if columns.answer_is == "expression":
        return gold_expression(value) if isinstance(value, str) else value
    return _plain(value, columns, where)


def _alone(given: Any) -> Any:
    """Take the only element of a list; a number that is none (NaN) stands for no answer."""
    value = written(given[0] if isinstance(given, list) and len(given) == 1 else given)
    return None if isinstance(value, float) and math.isnan(value) else value


def _behind(value: Any, mark: str | None, where: str) -> Any:
    if mark is None:
        return value
    if not isinstance(value, str) or mark not in value:
        raise DataError(f"{where}: the answer {shorten(value)} holds no {mark!r}, which columns.answer_after names.")
    return value.rpartition(mark)[2].strip()


def _plain(value: Any, columns: Columns, where: str) -> Any:
    if isinstance(value, str) and _MARK in value and columns.answer_is == "auto":
        raise DataError(
            f"{where}: the answer {shorten(value)} holds {_MARK!r}; if the answer proper stands behind it, set "
            f"columns.answer_after = {_MARK!r}, if not, columns.answer_is = 'text'."
        )
    if isinstance(value, list):
        raise DataError(
            f"{where}: the answer is a list, {shorten(value)}; give one answer, or name the column of choices in "
            "columns.choices."
        )
    return value


def _yes_no(value: Any, where: str) -> str:
    said = canonical(str(value)) if isinstance(value, str | bool) else ""
    if said in _TRUE or said in _FALSE:
        return "yes" if said in _TRUE else "no"
    raise DataError(f"{where}: the answer is {shorten(value)}; with answer_is = 'yes_no' it must be 1 or 0.")


def _place(value: Any, choices: Choices, columns: Columns, where: str) -> tuple[int | None, str | None]:
    """Find the place of the gold choice; None where the answer is no label and no number."""
    count = len(choices.texts)
    if isinstance(value, list):
        return _marked(value, count, where), None
    if columns.answer_is in _FIRST:
        return _counted(value, columns.answer_is, count, where), None
    if columns.answer_is in ("label", "text"):
        allowed = choices.texts if columns.answer_is == "text" else choices.labels or list(LETTERS[:count])
        found = _same_text(value, choices) if columns.answer_is == "text" else _same_label(value, allowed)
        if len(found) != 1:
            raise DataError(
                f"{where}: the answer {shorten(value)} is the {columns.answer_is} of {len(found) or 'no'} choices, not "
                f"of one of {shorten(allowed)}."
            )
        return found[0], None
    labels = choices.labels or _column_names(value, columns)
    return _by_label(value, choices, labels=labels, where=where) if labels else _by_look(value, choices, where)


def _marked(value: Sequence[Any], count: int, where: str) -> int:
    """Read a list that marks the gold choice by a 1 among zeros."""
    marks = [str(written(each)) for each in value]
    gold = [place for place, mark in enumerate(marks) if mark in ("1", "True")]
    if len(marks) == count and len(gold) == 1 and set(marks) <= {"0", "1", "True", "False"}:
        return gold[0]
    raise DataError(f"{where}: the answer is a list, {shorten(value)}; it must mark one of {count} choices by a 1.")


def _counted(value: Any, answer_is: str, count: int, where: str) -> int:
    first, whole = _FIRST[answer_is], whole_number(value)
    if whole is None or not first <= whole < first + count:
        hint = f" {UNANSWERED}" if whole == -1 or value in (None, "") else ""
        if _same_label(value, LETTERS[:count]):
            hint = " It is a letter; leave answer_is out."
        raise DataError(
            f"{where}: the answer {shorten(value)} is no {answer_is} of {count} choices, {first} to "
            f"{first + count - 1}.{hint}"
        )
    return whole - first


def _column_names(value: Any, columns: Columns) -> list[str] | None:
    """Take the names of the columns for labels, where the choices stand in several and the answer is one of them."""
    names = [name.rpartition(".")[2] for name in columns.choices] if isinstance(columns.choices, tuple) else []
    return names if value in names else None


def _by_label(value: Any, choices: Choices, *, labels: Sequence[str], where: str) -> tuple[int, str]:
    """Let labels that the row tells win over texts; whether that fits the whole set is seen later."""
    labelled, same = _same_label(value, labels), _same_text(value, choices)
    if len(labelled) == 1:
        return labelled[0], "both" if set(same) - set(labelled) else "label"
    if (whole := whole_number(value)) is not None:
        return _number(whole, same, len(choices.texts), where), "text"
    if len(same) == 1:
        return same[0], "text"
    raise DataError(
        f"{where}: the answer {shorten(value)} is none of the labels {shorten(labels)}, and not one choice's text. "
        f"{UNANSWERED if value in (None, '') else ''}".rstrip()
    )


def _by_look(value: Any, choices: Choices, where: str) -> tuple[int | None, str | None]:
    """Tell letter, text and number apart by their looks, where no labels are told."""
    same, count = _same_text(value, choices), len(choices.texts)
    if isinstance(value, str) and _BRACKETED.fullmatch(value.strip()):
        return None, None  # a letter, whatever the texts are
    if (whole := whole_number(value)) is not None:
        return _number(whole, same, count, where), None
    letters = _same_label(value, LETTERS[:count]) if isinstance(value, str) else []
    if letters and same and letters != same:
        raise DataError(
            f"{where}: the answer {shorten(value)} is a letter, and another choice's text; write the letter in "
            'brackets, or set columns.answer_is = "label" or "text".'
        )
    found = letters or same
    return found[0] if len(found) == 1 else None, None


def _number(whole: int, same: Sequence[int], count: int, where: str) -> int:
    """Take a whole number for a text, where it can be no place of another choice."""
    meant = {*same, *(place for place in (whole, whole - 1) if 0 <= place < count)}
    if same and len(meant) == 1:
        return same[0]
    what = "a choice's text, and may be the place of another choice" if same else "no choice's text"
    places = f'"text", {_PLACES}' if same else _PLACES
    hidden = f" {UNANSWERED}" if whole == -1 else ""
    raise DataError(f"{where}: the answer {whole} is {what}; set columns.answer_is = {places}.{hidden}")


def _same_label(value: Any, labels: Sequence[str]) -> list[int]:
    """Find the label, else the one that is the same but for case, brackets and a stop."""
    if not isinstance(value, str):
        return []
    exact = [place for place, label in enumerate(labels) if label == value.strip()]
    return exact or [place for place, label in enumerate(labels) if canonical(label) == canonical(value)]


def _same_text(value: Any, choices: Choices) -> list[int]:
    """Find the choices with this text, as it is or as it was written with its letter."""
    if not isinstance(value, str):
        return []
    pairs = list(enumerate(zip(choices.texts, choices.whole, strict=True)))
    exact = [place for place, both in pairs if value.strip() in both]
    return exact or [place for place, both in pairs if canonical(value) in map(canonical, both)]


def check_keys(name: str, read_as: Sequence[str | None]) -> None:
    """Check that all answers of a set may be labels, where some of them are labels and other texts, too.

    Raises:
        DataError: If others can only be texts.
    """
    both, texts = read_as.count("both"), read_as.count("text")
    if both and texts:
        raise DataError(
            f"{name}: of {len(read_as)} answers {both} may be a choice's label or another choice's text, and {texts} "
            "can only be texts, so that labels may not be meant at all; set "
            f'tasks.{name}.columns.answer_is = "label" or "text".'
        )
