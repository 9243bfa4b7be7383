"""Each output is one of four: right, wrong, unread or cut."""

from dataclasses import replace

import pytest

from sert.records import Question
from sert.tasks.standing import standing_of, standing_of_path, standing_of_prediction
from shown_examples import shown_path, shown_prediction

NO = Question("q", "t", "train", "Can fish bark?", (), "no", "")


@pytest.mark.parametrize(
    ("agrees", "finish", "standing"),
    [
        (True, "eos", "right"),
        (False, "eos", "wrong"),
        (None, "eos", "unread"),
        (None, "length", "cut"),
        (True, "length", "right"),  # what it states before it is cut, it states
        (False, "length", "wrong"),
    ],
)
def test_four_numbers(agrees: bool | None, finish: str, standing: str) -> None:
    assert standing_of(agrees, finish) == standing


@pytest.mark.parametrize(
    ("text", "finish", "standing"),
    [
        (" Fish have no voice. So the answer is no.", "eos", "right"),
        (" They have one. So the answer is yes.", "eos", "wrong"),
        (" Fish have no voice.", "eos", "unread"),
        (" Fish have no", "length", "cut"),
    ],
)
def test_a_path_is_read_strictly(text: str, finish: str, standing: str) -> None:
    path = replace(shown_path("t", "q", question=NO.question, text=text).path, finish=finish)
    assert standing_of_path(path, NO) == standing


def test_of_an_output_the_strict_answer_counts() -> None:
    prediction = shown_prediction(
        "t", "q", method="greedy", question="?", completion="No", gold="no", answer="no", correct=True
    ).prediction
    assert standing_of_prediction(prediction) == "right"
    assert standing_of_prediction(replace(prediction, answer_strict=None, correct_strict=False)) == "unread"
    assert standing_of_prediction(replace(prediction, correct_strict=False)) == "wrong"
