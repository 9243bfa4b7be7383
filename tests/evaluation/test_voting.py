"""Votes counted by hand."""

import pytest

from sert.evaluation.voting import count_votes
from sert.records import Question

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
