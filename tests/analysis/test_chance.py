"""How often who knows nothing is right, by hand."""

import pytest

from sert.analysis.chance import Chance, chance_among, is_above
from sert.records import Question


def question(answer: str, *choices: str) -> Question:
    return Question("q", "t", "test", "?", choices, answer, "?")


def test_guessing_is_over_all_questions_and_the_answer_is_the_most_frequent_of_those_that_are_counted() -> None:
    asked = [question("A", "w", "x"), question("B", "w", "x", "y", "z"), question("yes"), question("7")]
    # 1/2, 1/4, 1/2, and nothing of the number.
    assert chance_among(asked, counted=[question("B", "w", "x")]) == Chance(1.25 / 4, "B", 0.25)
    five = [question("A", *"vwxyz")] * 240
    assert chance_among(five, counted=five) == Chance(0.2, "A", 1.0)


def test_there_is_nothing_to_guess_from_where_all_answers_are_texts() -> None:
    texts = [question("7"), question("8"), question("8")]
    assert chance_among(texts, counted=texts) == Chance(None, "8", 2 / 3)
    assert chance_among(texts, counted=texts).best == 2 / 3


def test_the_better_of_guessing_and_one_answer_counts() -> None:
    assert Chance(0.5, "yes", 0.4).best == 0.5
    assert Chance(0.25, "A", 0.4).best == 0.4


@pytest.mark.parametrize(
    ("interval", "above"), [((0.51, 0.6), True), ((0.5, 0.6), False), ((0.1, 0.2), False), (None, False)]
)
def test_the_whole_interval_has_to_lie_above(interval: tuple[float, float] | None, above: bool) -> None:
    assert is_above(interval, 0.5) is above
