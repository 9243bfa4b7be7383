"""What is likely a slip in a question set, though every one of its questions can be used."""

import re
from collections.abc import Iterator

from sert.records import Question
from sert.tasks.readers import Row
from sert.terminal.text import shorten

SHOWN_ANSWERS = 3
"""Answers that are named."""
_LETTER = re.compile(r"[(\[]?[A-Ja-j][)\].]*")


class Slips:
    """Looks at the gold answers as they pass by."""

    def __init__(self) -> None:
        """Begin with none."""
        self._questions = self._yes_no = self._texts = self._letters = 0
        self._shown: list[str] = []
        self._choices: str | None = None

    def watch(self, row: Row, question: Question) -> None:
        """Look at one question."""
        self._questions += 1
        self._yes_no += question.answer_type == "yes_no"
        if question.answer_type != "text":
            return
        self._texts += 1
        self._letters += _LETTER.fullmatch(question.answer) is not None
        self._choices = self._choices or row.unread_choices
        if len(self._shown) < SHOWN_ANSWERS:
            self._shown.append(f"{shorten(question.answer)} ({row.where})")

    def lines(self, name: str) -> Iterator[str]:
        """Say what is likely a slip; where free text is as likely meant, nothing is."""
        if self._yes_no > self._texts > 0:
            more = "; ..." if self._texts > len(self._shown) else ""
            yield (
                f"{self._yes_no} of {self._questions} answers are yes or no, the others are read as free text: "
                f"{'; '.join(self._shown)}{more}"
            )
        if self._choices is not None and 2 * self._letters > self._questions:
            yield (
                f"{self._letters} of {self._questions} answers are letters, and the column {shorten(self._choices)} is "
                f"not read; if it holds the choices, set tasks.{name}.columns.choices to it"
            )
