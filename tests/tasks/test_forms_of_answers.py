"""Forms in which models state answers, or only seem to, and what is read from them."""

import time
from dataclasses import replace
from typing import Any

import pytest

from sert.config.prompts import PromptTemplates
from sert.records import Question
from sert.tasks.answers import extract_loose, extract_strict, reasoning_of
from sert.tasks.mentions import asked_elsewhere, has_letters
from sert.tasks.prompts import student_prompt

TOOLS = ("spoon", "fork", "knife", "cup", "plate")


def make(stem: str, choices: tuple[str, ...] = (), answer: str = "A", **templates: Any) -> Question:
    prompt = student_prompt(stem, choices, PromptTemplates(**templates))
    return Question("1", "t", "train", stem, choices, answer, prompt)


LETTERED = make("Which one is for soup?", TOOLS)
LISTED = make("Which one is for soup?", TOOLS, choices_as="listed")
UNSHOWN = make("Which one is for soup?", TOOLS, choices_as="none")
YES_NO = make("Can fish bark?", answer="no")
COUNTED = make("How many pens?", answer="7")


@pytest.mark.parametrize(
    "text",
    [
        "A) Spoon: This is too small.\n\nB) Fork: This is the right one.",
        "**A) spoon**: wrong.\n**B) fork**: right.",
        "A. is incorrect. B. is correct.",
        "(A) spoon: incorrect",
        "A. Spoon. It is small.\nB. Fork. It is not.\nSo it must be B.",
        "1. A) spoon\n2. B) fork",
    ],
)
def test_a_text_that_goes_through_the_choices_states_none_by_its_first(text: str) -> None:
    assert extract_strict(text, LETTERED) is None
    assert extract_strict(f"{text}\n\nThe correct answer is B) fork.", LETTERED) == "B"


@pytest.mark.parametrize("text", ["Spoon: too small.\nFork: good.", "- **Spoon**: too small.\n- **Fork**: good."])
@pytest.mark.parametrize("question", [LETTERED, LISTED, UNSHOWN])
def test_so_does_one_that_names_them_by_their_texts(question: Question, text: str) -> None:
    assert extract_strict(text, question) is None


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("B) fork\n\nExplanation:\nC) knife is sharp.\nD) cup is deep.", "B"),
        ("B) fork. It has holes.\nC) knife is sharp.", "B"),
        ("A. spoon\n\nExplanation:\n- B. fork: has holes\n- C. knife: no", "A"),
        ("A\n\nHere's why the other options are wrong:\n* B) fork: has holes", "A"),
        ("A. is the correct answer.", "A"),
        ("(A) spoon: correct", "A"),
        ("Option A: spoon is small. Option B: fork is not. The answer is B.", "B"),
        ("Option A: spoon.\nOption B: fork.\nThe answer is B.", "B"),
        ("Option A: This is wrong.\nThe answer is option C.", "C"),
        ("Option A, which is spoon, cannot be right.", None),
        ("Option D (wrong)", None),
        ("So (C) is correct. But (D) is also correct.", None),
    ],
)
def test_an_answer_may_be_followed_by_what_is_said_of_the_others(text: str, read: str | None) -> None:
    assert extract_strict(text, LETTERED) == read


def test_what_begins_a_text_is_an_answer_where_others_follow_in_no_such_order() -> None:
    assert extract_strict("(B) fork.\n(A) is too small", LETTERED) == "B"
    assert extract_strict("(A)\n\nA: 102\nB: 20\nC: 200", LETTERED) == "A"
    assert extract_strict("(B) fork: because of the soup.", LETTERED) == "B"


def test_two_choices_that_are_repeated_with_their_texts_are_no_two_answers() -> None:
    two = make("What floats?", ("ice", "stone"))
    assert extract_strict("(A) ice, (B) stone. The answer is (A).", two) == "A"
    assert extract_strict("(A), (B). The answer is (A).", two) is None
    assert extract_strict("A or B", two) is None


@pytest.mark.parametrize(
    ("text", "strict", "loose"),
    [
        ("A **utensil** with a bowl is used.", None, None),
        ("A **long** one is used. B is not.", None, "B"),
        ("A **soup tool** is the answer.", None, None),
        ("A *fork* is used.", None, "B"),
        ('A "fork" is used.', None, "B"),
        ("100°C, so a fork", None, "B"),
        ("**B) fork**", "B", "B"),
        ("A **spoon**", "A", "A"),
    ],
)
def test_an_article_before_emphasis_or_quotes_is_no_letter(text: str, strict: str | None, loose: str | None) -> None:
    assert (extract_strict(text, LETTERED), extract_loose(text, LETTERED)) == (strict, loose)


@pytest.mark.parametrize("text", ["No **fish** can bark.", "The answer is no **fish** at all", "No fish can bark."])
def test_no_before_what_it_denies_is_no_answer(text: str) -> None:
    assert extract_strict(text, YES_NO) is None


@pytest.mark.parametrize(
    "text",
    [
        "If the answer is yes, then fish would make a noise.",
        "To determine if the answer is yes, we need to look.",
        "We ask whether the answer is yes.",
        "I don't think the answer is yes.",
        "I do not believe that the answer is yes.",
        "Some people say the answer is yes. Fish cannot bark.",
        "The wrong answer is yes.",
    ],
)
def test_conditions_and_what_others_say_announce_nothing(text: str) -> None:
    assert extract_strict(text, YES_NO) is None
    assert extract_strict(f"{text} I would say the answer is no.", YES_NO) == "no"


@pytest.mark.parametrize(
    "text",
    [
        "Let's see if the answer is A.",
        "The wrong answer is (A).",
        "The incorrect option is (A).",
        "The least likely answer is (A).",
        "A is the wrong answer.",
        "(A) is the worst choice.",
        "Wrong answer: A",
    ],
)
def test_a_wrong_answer_is_not_the_answer(text: str) -> None:
    assert extract_strict(text, LETTERED) is None


@pytest.mark.parametrize("text", ["That claim is false thus the answer is no.", "True or False Answer: False"])
def test_a_wrong_claim_before_an_announcement_takes_nothing_from_it(text: str) -> None:
    assert extract_strict(text, YES_NO) == "no"


def test_what_is_denied_is_not_stated() -> None:
    assert extract_strict("The answer is not 7.", COUNTED) is None
    assert extract_strict("So the answer is not 5, but 12 - 5 = 7.", COUNTED) == "7"
    assert extract_strict("The answer is not guilty.", make("What did they find?", answer="guilty")) == "not guilty"


@pytest.mark.parametrize(
    "text",
    [
        "So the answer is $\\boxed{B}$.",
        "So the answer is \\boxed{\\text{B}}.",
        "Option B is correct.",
        "Option B",
        "Answer: Option B",
        "The answer is **Option B**",
        "So (B) is the answer.",
        "Thus, B is the correct answer.",
        "Therefore, B.",
    ],
)
def test_letters_are_read_in_boxes_behind_the_word_option_and_behind_conclusions(text: str) -> None:
    assert extract_strict(text, LETTERED) == "B"


def test_a_choice_may_be_called_an_option() -> None:
    named = make("Which?", ("option A", "option B", "both A and B"))
    assert extract_strict("So the answer is option a.", named) == "A"
    assert extract_strict("So the answer is both A and B.", named) == "C"


@pytest.mark.parametrize(
    "text",
    [
        "Answer (yes or no): No",
        "Yes or no? No.",
        "Yes/No: No",
        "(Yes/No) No.",
        "Answer yes or no.\nNo.",
        "So the answer is \\boxed{no}.",
        "Therefore, the answer (Yes or No) is: No",
    ],
)
def test_an_instruction_that_is_repeated_is_no_answer(text: str) -> None:
    assert (extract_strict(text, YES_NO), extract_loose(text, YES_NO)) == ("no", "no")


@pytest.mark.parametrize(
    ("text", "strict", "loose"),
    [
        ("yes or no", None, None),
        ("No/False", None, "no"),
        ("Yes, but no other animal can.", "yes", "yes"),
        ("Yes, but no.", None, "yes"),
        ("Yes and no.", None, "yes"),
        ("No, but yes it could.", None, "no"),
    ],
)
def test_yes_with_no_behind_it(text: str, strict: str | None, loose: str | None) -> None:
    assert (extract_strict(text, YES_NO), extract_loose(text, YES_NO)) == (strict, loose)


@pytest.mark.parametrize("question", [LISTED, UNSHOWN])
@pytest.mark.parametrize(
    "text",
    [
        *("B: fork", "(B): fork", "**B.** fork", "A. **fork**", "B)fork", "Option B: fork", "1. fork", "fork"),
        "B) fork\n\nBecause option C is wrong.",
    ],
)
def test_letters_of_a_students_own_are_passed_over(text: str, question: Question) -> None:
    assert extract_strict(text, question) == "B"


@pytest.mark.parametrize(
    "text", ["A) spoon B) fork C) cup. Answer: A", "A. spoon\nB. fork", "A: iron\nB: zinc\nAnswer: A"]
)
@pytest.mark.parametrize("question", [LISTED, UNSHOWN])
def test_lists_of_a_students_own_state_nothing(text: str, question: Question) -> None:
    assert extract_strict(text, question) is None


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("So the answer is 4.\n", "C"),
        ("So the answer is 4. A chair stands on them.", "C"),
        ("So the answer is 4.\n\nQuestion: ..", "C"),
        ("So the answer is 4. 5.", None),
        ("The answer is 4. 2", None),
        ("So the answer is 4.\n\n3\n", None),
    ],
)
def test_a_choice_that_is_a_number_is_no_item_of_a_list(text: str, read: str | None) -> None:
    assert extract_strict(text, make("How many legs?", ("2", "3", "4", "5"), choices_as="listed")) == read


def test_a_choice_that_is_a_letter_is_none_either() -> None:
    notes = make("Which?", ("C", "D", "E", "F"), choices_as="none")
    assert extract_strict("The answer is C. It is the first.", notes) == "A"
    assert extract_strict("D. E.", notes) is None


@pytest.mark.parametrize(
    ("question", "letters"),
    [
        (LETTERED, True),
        (LISTED, False),
        (UNSHOWN, False),
        (make("What floats?\na. ice\nb. stone", ("ice", "stone"), choices_as="none"), True),
        (make("What floats? A - ice; B - stone", ("ice", "stone"), choices_as="none"), True),
        (make("Which?", ("vitamin A", "vitamin B"), choices_as="listed"), False),
        (make("Which blood?", ("O", "A", "B", "AB"), choices_as="listed"), False),
        (replace(UNSHOWN, prompt=""), True),
        (asked_elsewhere(UNSHOWN), True),
    ],
)
def test_a_prompt_gives_letters_where_they_stand_before_the_choices(question: Question, letters: bool) -> None:
    assert has_letters(question) == letters
    assert (extract_strict("The answer is b.", question) == "B") == letters or "B" in question.choices


def test_a_question_asked_elsewhere_keeps_the_words_around_it() -> None:
    question = make("Können Fische bellen?", answer="no", student="Frage: {question}\nAntwort:")
    text = " Nein. So the answer is no.\n\nFrage: Bellen Hunde?\nAntwort: So the answer is yes."
    assert extract_strict(text, asked_elsewhere(question)) == "no"
    assert reasoning_of(text, asked_elsewhere(question)) == " Nein. "


@pytest.mark.parametrize("unit", ["\n", "\n* ", "\n\n", "\n> "])
@pytest.mark.parametrize("text", ["A) spoon", "A: spoon", "(A) spoon"])
@pytest.mark.parametrize("question", [LETTERED, LISTED])
def test_lines_without_end_take_no_longer_than_their_number(question: Question, text: str, unit: str) -> None:
    started = time.process_time()
    extract_strict(text + unit * 100_000, question)
    assert time.process_time() - started < 10  # a quadratic reading takes minutes
