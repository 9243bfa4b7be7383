"""What needs no student: guessing, and always giving the most frequent answer."""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from sert.records import Question
from sert.stats.shares import majority


class Chance(NamedTuple):
    """How often who knows nothing is right.

    Attributes:
        guessing: By guessing; None where there is nothing to guess from.
        answer, share: By always giving this answer.
    """

    guessing: float | None
    answer: str
    share: float

    @property
    def best(self) -> float:
        """The better one of the two."""
        return max(self.share, self.guessing or 0.0)


def chance_of(question: Question) -> float | None:
    """Say how often guessing is right; None where there is nothing to guess from."""
    if question.answer_type in ("text", "expression"):
        return None
    return 1 / len(question.choices) if question.choices else 0.5


def chance_among(questions: Sequence[Question], *, counted: Iterable[Question]) -> Chance:
    """Say it of some questions, where the answer is given that is the most frequent one of those that are counted."""
    chances = [chance_of(question) for question in questions]
    guessing = None if set(chances) == {None} else fmean(chance or 0.0 for chance in chances)
    answer = majority(question.answer for question in counted).answer
    share = sum(question.answer == answer for question in questions) / len(questions)
    return Chance(guessing, answer, share)


def is_above(interval: Sequence[float] | None, chance: float) -> bool:
    """Tell whether something is right more often than by chance: its whole interval lies above."""
    return interval is not None and bool(interval[0] > chance)
