from dataclasses import replace

import pytest
from path_records import CHOICE, REASONING, YES_NO

from sert.paths.patterns import imitates_format, repeats_options, responds_directly


@pytest.mark.parametrize(
    "text",
    [
        " Yes.\nQuestion: Can a goat swim?\nAnswer: no",
        "QUESTION: x ANSWER:",
        "question : x\n\n\nanswer :",
        "Answer: no. Question: what? Answer: it",
        "Question: one Question: two Answer: three",
    ],
)
def test_imitation_is_found(text):
    assert imitates_format(text, YES_NO)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " The question is hard, and the answer is no.",
        " Question: what do herons eat?",
        " Answer: fish. Question: why?",
        " Subquestion: x. Answer: y",
    ],
)
def test_half_an_imitation_is_none(text):
    assert not imitates_format(text, YES_NO)


@pytest.mark.parametrize(
    "text",
    [
        " (A) attic, (B) dark room, (C) barn, (D) new york, (E) dark.",
        " (a) Attic (b) Dark Room (c) Barn (d) New York",  # one is left out
        " A. attic B. dark room C. barn D. new york E. dark",
        " A) attic\nB) dark room\nC) barn\nE) dark\n",
        " Answer choices: (A) attic, (B) dark room, (C) barn, (D) new york, (E) dark. So the answer is (B).",
        " (E) dark, (D) new york, (C) barn, (B) dark room, (A) attic, (E) dark, (D) new york",  # in any order, again
        " (A) attic, (B) dark room, (C) barn, (E) dark, (D) new yo",  # cut off
    ],
)
def test_option_repetition_is_found(text):
    assert repeats_options(text, CHOICE)


@pytest.mark.parametrize(
    "text",
    [
        " (A) attic, (B) dark room, (C) barn.",  # two are left out
        " attic, dark room, barn, new york, dark",  # without letters
        " (A) barn, (B) attic, (C) dark, (D) dark room, (E) new york",  # other letters
        " (A) attics, (B) dark rooms, (C) barns, (D) new yorkers, (E) darkness",
        " (A) attic, (B) dark room, (C) barn, (D) new york, (E) dark. Bats want roofs with gaps. So the answer is (C).",
        "",
    ],
)
def test_other_texts_repeat_no_options(text):
    assert not repeats_options(text, CHOICE)


def test_an_option_is_a_whole_word():
    shades = replace(CHOICE, choices=("dark", "light", "dim"))
    assert repeats_options(" (A) dark, (B) light", shades)
    assert not repeats_options(" (A) darker, (B) lighter", shades)


def test_an_option_that_is_cut_off_is_no_reasoning():
    places = replace(CHOICE, choices=("attic", "barn", "places that are both warm and dry"))
    cut = " (A) attic, (B) barn, (C) places that are both wa"
    assert repeats_options(cut, places)
    assert not repeats_options(f"{cut}ter and air", places)


def test_options_need_choices():
    assert not repeats_options(" (A) attic, (B) dark room", YES_NO)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n ...",
        " Yes.",
        " no. No! NO",
        " So the answer is yes.",
        " The answer is: no, no and no.",
        " Answer: yes. Answer: yes. Answer: yes. Answer: yes.",
        " I think no.",
    ],
)
def test_direct_response_to_yes_no(text):
    assert responds_directly(text, YES_NO)


@pytest.mark.parametrize(
    "text",
    [
        " (B)",
        " The answer is (D) new york.",
        " A. A. A. A. A.",
        " It is new york.",
        " Dark room, dark room, dark room. Dark; dark. So the answer is B.",
        " The answer is (D) new y",
    ],
)
def test_direct_response_to_choices(text):
    assert responds_directly(text, CHOICE)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        (" Herons have legs. So the answer is yes.", YES_NO),
        (" Bats hide inside darkness.", CHOICE),  # darkness is no option
        (" Attic, e.g. under tiles", CHOICE),
        (REASONING, CHOICE),
    ],
)
def test_reasoning_is_no_direct_response(text, question):
    assert not responds_directly(text, question)


def test_three_own_words_are_enough():
    assert responds_directly(" Herons wade. Yes.", YES_NO)
    assert not responds_directly(" Herons wade daily. Yes.", YES_NO)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("junk", "direct"),
    [
        ("(a) ", True),
        ("a. ", True),
        ("dark ", True),
        ("(b) dark room", True),
        (" ", True),
        ("'", True),
        ("so the answer is ", True),
        ("x", True),
        ("question: ", False),
        ("(a)\nx ", False),
    ],
)
def test_patterns_read_a_megabyte_of_junk(junk, direct, full):
    text = junk * ((1_000_000 if full else 200_000) // len(junk))  # quadratic reading would not end
    assert responds_directly(text, CHOICE) is direct
    assert not repeats_options(text, CHOICE)
    assert not imitates_format(text, YES_NO)
