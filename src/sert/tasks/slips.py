"""What is likely a slip in a question set, though every one of its questions can be used."""

import re
from collections.abc import Iterator, Sequence

from sert.records import Question
from sert.tasks.readers import Row
from sert.terminal.text import shorten

SHOWN_ANSWERS = 3
"""Answers that are named."""
_LETTER = re.compile(r"[(\[]?[A-Ja-j][)\].]*")


def find_slips(name: str, asked: Sequence[tuple[Row, Question]]) -> Iterator[str]:
    """Say which gold answers of a task are likely slips; where free text is as likely meant, nothing."""
    texts = [(row, question) for row, question in asked if question.answer_type == "text"]
    num_yes_no = sum(question.answer_type == "yes_no" for _, question in asked)
    if num_yes_no > len(texts) > 0:
        shown = [f"{shorten(question.answer)} ({row.where})" for row, question in texts[:SHOWN_ANSWERS]]
        yield (
            f"{num_yes_no} of {len(asked)} answers are yes or no, the others are read as free text: "
            f"{'; '.join([*shown, '...'] if len(texts) > len(shown) else shown)}"
        )
    num_letters = sum(_LETTER.fullmatch(question.answer) is not None for _, question in texts)
    choices = next((row.unread_choices for row, _ in texts if row.unread_choices), None)
    if choices is not None and 2 * num_letters > len(asked):
        yield (
            f"{num_letters} of {len(asked)} answers are letters, and the column {shorten(choices)} is not read; "
            f"if it holds the choices, set tasks.{name}.columns.choices to it"
        )
