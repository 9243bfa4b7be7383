"""How large the explorer's page may become, and how many questions fit where not all do."""

from collections.abc import Iterable, Sequence

from sert.errors import DataError
from sert.records import Question
from sert.report.explorer.elements import Element
from sert.seeds import derive_seed

LARGEST_PAGE = 80_000_000
"""Bytes of a page that browsers still open with ease."""
_CAUTION = 0.9
"""Share of what should fit that is offered: questions differ in length."""


class TooLargeError(DataError):
    """More than one page holds; `fitting` questions of each set should fit."""

    def __init__(self, message: str, fitting: int) -> None:
        super().__init__(message)
        self.fitting = fitting


class Room:
    """Counts the bytes that are in the page, and stops where they become too many."""

    def __init__(self, questions: Sequence[int], largest: int | None = None) -> None:
        """Take how many questions each mined folder has, and the bytes; `LARGEST_PAGE` when not given."""
        self._questions, self._largest = questions, LARGEST_PAGE if largest is None else largest
        self._taken = self._done = 0

    def take(self, element: Element, *, questions: int = 0) -> Element:
        """Make room for an element that has so many questions' paths.

        Raises:
            TooLargeError: If there is none.
        """
        self._taken += element.size
        self._done += questions
        if self._taken > self._largest:
            fitting = self._fitting()
            raise TooLargeError(
                f"The page would have more than {self._largest // 10**6} MB, which browsers are slow to open. Look at "
                f"{fitting} questions of each set, with --sample {fitting} (in Python sample={fitting}), or leave "
                "tokens out, with --logprobs none.",
                fitting,
            )
        return element

    def _fitting(self) -> int:
        """Find the largest sample of each folder that should fit, if questions are as large as those so far."""
        each = self._taken / max(self._done, 1)
        fitting = max(self._questions, default=1)
        while fitting > 1 and sum(min(fitting, number) for number in self._questions) * each > _CAUTION * self._largest:
            fitting = fitting * 9 // 10
        return fitting


def draw(questions: Sequence[Question], sample: int | None) -> list[Question]:
    """Take so many of the questions, in their order: the same ones of a set in every run; None takes all."""
    if sample is None or sample >= len(questions):
        return list(questions)
    lots = sorted((derive_seed(0, "explore", question.question_id), place) for place, question in enumerate(questions))
    return [questions[place] for place in sorted(place for _, place in lots[:sample])]


def places_of(questions: Iterable[Question]) -> dict[str, int]:
    """Number questions by their ids."""
    return {question.question_id: place for place, question in enumerate(questions)}
