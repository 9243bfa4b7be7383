"""What needs no student: guessing, and always the same answer."""

from collections.abc import Sequence

from sert.records import Question
from sert.stats.counts import Row
from sert.stats.shares import majority


def chance_of(question: Question) -> float | None:
    """Say how often guessing is right; None where there is nothing to guess from."""
    if question.answer_type == "text":
        return None
    return 1 / len(question.choices) if question.choices else 0.5


def chance_row(asked: Sequence[Question], drawn_from: Sequence[Question]) -> Row:
    """Share out the questions that guessing gets right, and always the most frequent answer of all train questions.

    `best` is the better one of the two, over the questions that were asked.
    """
    known = [chance for question in asked if (chance := chance_of(question)) is not None]
    guessing = sum(known) / len(asked) if known else None
    answer = majority(question.answer for question in drawn_from).answer
    share = sum(question.answer == answer for question in asked) / len(asked)
    return {
        "guessing": guessing,
        "majority": {"answer": answer, "share": share},
        "best": max(share, guessing or 0.0),
    }
