"""When two questions are the same: in words and choices, whatever their case, punctuation and order of choices."""

import re

from sert.records import Question

_NOT_WORD = re.compile(r"[\W_]+")


def fold(text: str) -> str:
    """Reduce a text to its words in lower case, one blank between them; a text without words stays as it is."""
    return _NOT_WORD.sub(" ", text.casefold()).strip() or text


def question_key(question: Question) -> tuple[str, tuple[str, ...]]:
    """Make what is equal for the same questions: the folded stem and the folded choices, sorted."""
    return fold(question.question), tuple(sorted(map(fold, question.choices)))
