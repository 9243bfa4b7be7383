"""Votes counted by hand."""

from dataclasses import replace

import pytest

from sert.evaluation.voting import count_votes, pass_rates
from sert.records import Output, Question

YES_NO = Question("q", "table", "test", "?", (), "yes", "?")
CHOICE = Question("q", "table", "test", "?", ("ice", "fire"), "A", "?")
TEXT = Question("q", "table", "test", "?", (), "1000", "?")


@pytest.mark.parametrize(
    ("question", "answers", "winner", "votes"),
    [
        (YES_NO, ["no", "yes", "no"], 0, 2),
        (YES_NO, ["no", "yes", "yes"], 1, 2),
        (CHOICE, ["B", "A", "A", "B", "A"], 1, 3),
        # Outputs without an answer do not vote, however many they are.
        (YES_NO, [None, None, None, "no"], 3, 1),
        (YES_NO, [None, "yes", None, "no", "no"], 3, 2),
        (YES_NO, [None, None], 0, 0),
        # Ties go to the answer whose first vote came first, not to the one that was complete first.
        (YES_NO, ["no", "yes", "yes", "no"], 0, 2),
        (YES_NO, ["yes", "no"], 0, 1),
        (CHOICE, [None, "B", "A"], 1, 1),
        # Texts that mean the same count together.
        (TEXT, ["7", "1,000", "$1000.0", "7.5"], 1, 2),
        (TEXT, ["a Stone", "ice", "“ice.”", "Ice"], 1, 3),
        (TEXT, ["12", "012", "13"], 0, 2),
    ],
)
def test_votes_by_hand(question: Question, answers: list[str | None], winner: int, votes: int) -> None:
    assert count_votes(answers, question) == (winner, votes)


def test_how_often_one_of_k_outputs_is_right() -> None:
    """Of four outputs none, one, two or all are right; by hand: 1 - C(4 - c, k) / C(4, k)."""
    questions = [replace(CHOICE, question_id=f"q{right}") for right in (0, 1, 2, 4)]
    outputs = [
        Output(question.question_id, sample, "", "eos", 1, "A" if sample < int(question.question_id[1:]) else None)
        for question in questions
        for sample in range(4)
        if question.question_id != "q0"  # which was too long to be asked
    ]
    found = pass_rates(outputs, questions, votes=4)
    assert found.keys() == {"1", "2", "4"}
    assert found["1"]["share"] == pytest.approx((0 + 1 / 4 + 2 / 4 + 1) / 4)
    assert found["2"]["share"] == pytest.approx((0 + 1 / 2 + 5 / 6 + 1) / 4)
    assert found["4"]["share"] == pytest.approx(3 / 4)
    low, high = found["4"]["ci95"]
    assert 0 < low < 0.75 < high < 1
