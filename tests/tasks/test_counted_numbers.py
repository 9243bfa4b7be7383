"""Which number a text concludes, in the words of real students, and where it says two."""

import time

import pytest

from sert.records import Question
from sert.tasks.answers import extract_strict

PENS = Question("1", "demo", "train", "How many?", (), "7", "Question: How many?\nAnswer:")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("A box holds 5 * 8 = 40 pens.\n\nSo, 40 pens are in all of 5 boxes", "40"),
        ("A box holds 5 * 8 = 40 pens.\n\nSo, 5 boxes hold 9 pens of 3 kinds", None),
        ("A box holds 5 * 8 = 40 pens.\n\nSo, she has 40 + 5", None),
        ("A box holds 5 * 8 = 40 pens.\n\nSo, she has 30 pens left.", None),
        ("A box holds 40 pens.\n\nSo, she has 30 pens left.", "30"),
        ("A box holds 5 * 8 = 40 pens.\n\nSo, she has 40", None),
        ("A box holds $1,000 * 1 = 1,000 pens.\n\nSo, she has 1000 pens.", "1000"),
        ("They sold 4 * 2 = 8 red pens.\n\nSo, they sold 8 + 1 = 9 red pens.", None),
        ("They sold 4 * 2 = 8 red pens.\n\nSo, they sold 8 + 1 = 9 blue pens.", "9"),
        ("They sold 4 * 2 = 8 pens.\n\nSo, they sold 8 + 1 = 9 pens.", "9"),
        ("She has 17 + 30 = 47 pens.\n\nP.S. The answer is 17.", None),
        ("Each costs 10 x 9 = 90 dollars. He spent 90 dollars on it.\n#### 1", None),
        ("Each costs 10 x 9 = 90 dollars. He spent 1 dollar on it.\n#### 1", "1"),
        ("She picked 20 of them.\n#### 2\nThe answer is: 2", None),
        ("14 (red) + 49 (blue) = 63 (pens)", "63"),
        ("14 (or so)", "14"),
        ("1. How many has he?\nFive.\n2. How many are left?\nThe answer is 3.", "3"),
        ("3\n\nA) 4\nB) 15\nThe answer is: A", None),
        ("12\nExplanation: He has 9 x 2 = 18 pens.", None),
        ("12\nExplanation: He has 9 x 2 = 18 pens. Some are", "12"),
        ("12\nExplanation: He has 9 + 3 = 12 pens.", "12"),
        ("He has 9 + 3 = 12 pens. This is the final answer to it. Pens are blue.", "12"),
        ("He has 9 + 3 = 12 pens. This is a fact. Pens are blue.", None),
        ("12\n\nProblem: A bat costs 2 dollars. How much do two cost?\n\nThey cost 2 + 2 = 4 dollars.", "12"),
        ("12\n\nProblem: 12 + 1 = 13\n\nThe answer is 13.", None),
        ("\n\nProblem: How many has he?\n\nAnswer: 2", "2"),
    ],
)
def test_a_concluded_number_is_the_one_that_was_calculated(text, number):
    assert extract_strict(text, PENS) == number


@pytest.mark.parametrize(
    "unit", ["3 = 4 pens so\n", "= 5\nSo 5 ", "1", "1 + ", "So 1 pen of ", "this is the answer ", "A:\n", "3 = 4 x y "]
)
def test_a_text_of_many_calculations_takes_no_longer_than_their_number(unit):
    text = f"1 + 2 = 3 red pens.\n{unit * (200_000 // len(unit))}\nSo 2 = 5 red pens"
    started = time.process_time()
    extract_strict(text, PENS)
    assert time.process_time() - started < 10  # a quadratic reading takes minutes
