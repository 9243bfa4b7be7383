"""Which number is read where others stand beside it, however it is written; and where a free text ends."""

import time
from dataclasses import replace

import pytest

from sert.records import Question
from sert.tasks.answers import extract_loose, extract_strict, is_correct
from sert.tasks.normalize import canonical, is_number, tidied

PENS = Question("1", "demo", "train", "How many?", (), "7", "Question: How many?\nAnswer:")
CITY = Question("1", "demo", "train", "Which?", (), "Paris", "Question: Which?\nAnswer:")


@pytest.mark.parametrize("announcement", ["So the answer is", "The answer is"])
@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("3 hours (1 hour = 60 minutes).", "3"),
        ("24, since a dozen = 12.", "24"),
        ("5, where x = 3.", "5"),
        ("7 because he gets 4.", "7"),
        ("18 dollars per day (2 x 9).", "18"),
        ("18 because she sells 9 eggs for 2 dollars.", "18"),
        ("7, not 8.", "7"),
        ("7 rather than 8.", "7"),
        ("7; he had 3.", None),
        ("7, as he has 3 and gets 4.", "7"),
        ("3 + 4 = 7, because 4 are new.", "7"),
        # what stays as it is
        ("3 + 4 = 7.", "7"),
        ("3 + 4, since 3 + 4 = 7.", "7"),
        ("9 x (3 + 4) = 63.", "63"),
        ("3 (pens) + 4 (pens) = 7 (pens).", "7"),
        ("14 / 2 (= 7).", "7"),
        ("40, 5 x 8 = 40.", "40"),
        ("the sum, because 3 + 4 = 7.", "7"),
        ("9 x (3 + 4).", None),
        ("3 times as many as 4.", None),
        ("3, as well as 4.", None),
        ("7 more than 3.", None),
        ("7 or not 8.", None),
        ("7 or 8, because 9.", None),
        ("7 when x = 3 and 8 when x = 4.", None),
        ("24, a dozen = 12.", None),
        ("not 8.", None),
        ("not 8 but 7.", None),
    ],
)
def test_an_announced_number_stands_before_its_aside_reason_or_comparison(announcement, said, number):
    assert extract_strict(f"{announcement} {said}", PENS) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("24, since a dozen = 12.", "24"),
        ("24 eggs because x = 12", "24"),
        ("So it takes 3 hours (1 hour = 60 minutes).", None),
        ("So 5 boxes hold 40 pens (5 x 8 = 40).", "40"),
        ("So he spent $2 + $5 = $7, and was given $10, so his change was $10 - $7 = $3.", "3"),
        ("24 hours make a day because it is 2 x 12.", None),
    ],
)
def test_a_reason_or_an_aside_gives_no_other_number_either_where_nothing_is_announced(text, number):
    assert extract_strict(text, PENS) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1. Tim has 3 pens and gets 4 more, so we add them.", None),
        ("1. First, we find what Tim has. 2. Then we add 4.", None),
        ("1. Tim starts with 3 pens.\n\nThen he gets 4 more pens.", None),
        ("**1. Add** them.", None),
        ("1. 3 + 4 = 7", "7"),
        ("1) 3 + 4 = 7", "7"),
        ("1. Add the two numbers: 3 + 4 = 7.\nThe answer is 7.", "7"),
        ("1. 3 + 4 = 7. 2. 7 + 2 = 9.", None),
        ("1. 2. 3.", None),
        ("1.", "1"),
        ("1.\n\nHe has it.", "1"),
        ("7. That is what he has.", "7"),
        ("So the answer is 1. That is what he has.", "1"),
    ],
)
def test_what_counts_the_first_item_of_a_list_is_no_answer(text, number):
    assert extract_strict(text, PENS) == number


def test_what_counts_items_is_not_plausible_either():
    assert extract_loose("1. Tim has 3 pens.\n2. He gets 4.\n3. Add them.", PENS) == "4"
    assert extract_loose("He has\n3. Add 4.\n5.", PENS) == "5"


NUMERALS = {
    "\u22125": "-5",
    "\u20135": "-5",
    "-$5": "-5",
    "$-5": "-5",
    "\u2212\u20ac5": "-5",
    "$1.5 million": "1500000",
    "2 thousand": "2000",
    "1.2345 hundred": "123.45",
    "1{,}234": "1234",
    r"1\,234": "1234",
    r"\$5": "5",
    "7\u00bd": "7.5",
    "7 \u00be": "7.75",
    "\u00bd": "0.5",
    ".75": "0.75",
    "$.75": "0.75",
    "-.75": "-0.75",
    "1,234.50": "1234.5",
}
UNREAD = ["7/2", r"\frac{7}{2}", r"3\frac{1}{2}", "10^3", "10\u00b3", "1,5", "1.5.2", "1,23,456", "$5k", "$5m", "5e3"]
UNREAD += ["7\u2153", "7.5\u00bd"]


@pytest.mark.parametrize("written", NUMERALS)
@pytest.mark.parametrize("text", ["So the answer is {}.", "The answer is {} pens.", "{}", r"\boxed{{{}}}"])
def test_a_number_keeps_its_sign_and_size(written, text):
    for extract in (extract_strict, extract_loose):
        assert canonical(extract(text.format(written), PENS)) == NUMERALS[written]


@pytest.mark.parametrize("written", NUMERALS)
def test_gold_answers_are_numbers_however_they_are_written(written):
    assert is_number(written)
    gold = Question("1", "demo", "train", "How many?", (), written, "")
    assert is_correct(NUMERALS[written], gold)
    assert extract_strict(f"So the answer is {NUMERALS[written]}.", gold) == NUMERALS[written]


@pytest.mark.parametrize("written", UNREAD)
def test_a_numeral_that_is_not_read_gives_no_other_number(written):
    assert not is_number(written)
    for text in (f"So the answer is {written}.", f"The answer is {written}, not 8 of 9.", rf"\boxed{{{written}}}"):
        assert extract_strict(text, PENS) is None
    assert extract_loose(f"He has 3. So the answer is {written}.", PENS) is None


def test_what_is_no_sign_and_no_size_stays_so():
    assert extract_strict("So the answer is 9\u22125 = 4.", PENS) == "4"
    assert extract_strict("So the answer is - 5", PENS) == "5"
    assert extract_strict("So the answer is 5 millionaires.", PENS) == "5"
    assert extract_strict("So the answer is 5 km.", PENS) == extract_strict("So the answer is 5km", PENS) == "5"
    assert extract_strict("So the answer is 3\u20135.", PENS) is None
    assert (tidied("...75"), tidied(".NET"), tidied("(.75)")) == ("75", "NET", ".75")


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("seven.", "7"),
        ("Seven pens", "7"),
        ("**seven**", "7"),
        ("forty-two", "42"),
        ("seven, not 8.", "7"),
        ("seven (3 + 4).", "7"),
        ("zero", "0"),
        ("seven hundred.", None),
        ("forty, or fifty.", None),
        ("two-fold", None),
        ("one of them", None),
    ],
)
def test_a_number_may_be_announced_in_words(said, number):
    assert extract_strict(f"He has 3 and gets 4. So the answer is {said}", PENS) == number


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is Dr. Seuss.", "Dr. Seuss"),
        ("The answer is St. Louis. It is big.", "St. Louis"),
        ("So the answer is J. K. Rowling. She wrote it.", "J. K. Rowling"),
        ("So the answer is J.K. Rowling.", "J.K. Rowling"),
        ("So the answer is George W. Bush", "George W. Bush"),
        ("**The answer is Paris.** It is the capital.", "Paris"),
        ('The answer is "Paris." It is the capital.', "Paris"),
        (r"So the answer is \boxed{Paris}.", "Paris"),
        (r"So the answer is $\boxed{\text{Paris}}$.", "Paris"),
        (r"So the answer is \text{Paris}.", "Paris"),
        ("So the answer is Paris. Rome is none.", "Paris"),
        ("So the answer is Paris. it is big.", "Paris"),
        ("The answer is Vitamin C. It is healthy.", "Vitamin C"),
        ("The answer is Vitamin C. Oranges have it.", "Vitamin C"),
        ("The answer is Apple Inc. It makes phones.", "Apple Inc"),
        ("So the answer is the U.S. The rest is not.", "the U.S"),
    ],
)
def test_a_free_text_ends_where_its_sentence_does(text, answer):
    assert extract_strict(text, CITY) == extract_loose(text, CITY) == answer


@pytest.mark.parametrize("start", ["So the answer is 7 ", "1. "])
@pytest.mark.parametrize("unit", ["1{,}000", "1/", "\\frac{", "because ", "7 if ", "not ", "J. ", ".** ", "1.   "])
def test_long_texts_take_no_longer_than_their_length(start, unit):
    text = start + unit * (100_000 // len(unit)) + "x"
    started = time.process_time()
    for question in (PENS, CITY):
        extract_strict(text, question)
        extract_loose(text, question)
    assert time.process_time() - started < 10  # a quadratic reading takes minutes


def test_a_question_may_ask_for_millions() -> None:
    asked = replace(PENS, question="How many million people live there?", answer="1.5")
    assert all(is_correct(answer, asked) for answer in ("1.5", "1.5 million", "1,500,000"))
    assert not is_correct("1.5 million", replace(asked, question="How many people live there?"))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is that he had 3 when he started and he got 4, so he has 3 + 4 = 7 pens.", "7"),
        ("So the answer is Tim had 12 pens, but since he lost 5, he has 12 - 5 = 7 left.", "7"),
        ("So the answer is $5 for the pen (the red one) and $2 for the cap = $7", "7"),
        ("Tim has 12 pens (5 red), so 12 - 5 = 7 are blue.", "7"),
        ("So if he had 12 when he left, he has 12 - 5 = 7 now.", "7"),
        ("He has 3 pens. The answer is calculated as follows: 3 + 4 = 7.", "7"),
        ("He has 3 pens. The answer is found to be 7.", "7"),
        ("He has 3. The answer is found by adding 4.", None),
        ("The answer is 12 (blue) and 5 (red).", None),
        ("The answer is 3 if x = 1, otherwise 4", None),
        ("The answer is n + 1 where n = 6", "6"),
        ("1. He had 3 and gave 2 away, 3 - 2 = 1.", "1"),
        ("1. 2 were sold.", None),
        ("1. 3. 3. 6. 3. 6.", None),
    ],
)
def test_results_behind_asides_and_conditions_stay_results(text: str, number: str | None) -> None:
    assert extract_strict(text, PENS) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (r"\boxed{45^\circ}", "45"),
        (r"\boxed{45^{\circ}}", "45"),
        (r"\boxed{12\text{ m}^2}", "12"),
        (r"\boxed{10 \text{ m/s}^2}", "10"),
        ("The answer is 10^3.", None),
        ("The answer is 300K.", "300"),
        ("The answer is 3 hundred-dollar bills.", "3"),
    ],
)
def test_units_are_no_numbers(text: str, number: str | None) -> None:
    assert extract_strict(text, PENS) == number


def test_a_power_that_is_not_asked_for_stands_for_nothing() -> None:
    asked = replace(PENS, question="A hundred people share 2,000 pens. How many does each get?", answer="20")
    assert not is_correct("2000", asked)
