"""Where a text states an answer, or two, in the words of real students."""

from dataclasses import replace

import pytest

from sert.config.prompts import PromptTemplates
from sert.records import Question
from sert.tasks.answers import extract_loose, extract_strict, read
from sert.tasks.mentions import asked_elsewhere
from sert.tasks.prompts import student_prompt
from sert.tasks.statements import NOTHING, TWO, Stated, opening, stated

TOOLS = ("cup", "spoon", "fork", "theatre", "bowl")


def make_question(answer, choices=()):
    prompt = student_prompt("With what?", choices, PromptTemplates())
    return Question("1", "demo", "train", "With what?", tuple(choices), answer, prompt)


YES_NO, CHOICE = make_question("yes"), make_question("B", TOOLS)


@pytest.mark.parametrize(
    ("statement", "question", "said"),
    [
        (" yes.", YES_NO, Stated("yes")),
        (" yes or no.", YES_NO, TWO),
        (" No, the answer is yes.", YES_NO, TWO),
        (" nobody knows.", YES_NO, NOTHING),
        (" (B) spoon.", CHOICE, Stated("B")),
        (" (B) or (C).", CHOICE, TWO),
        (" D: bowl", CHOICE, TWO),
        (" (B) He did it with the fork.", CHOICE, TWO),
        (" (B) He did it with a spoon, not with the fork.", CHOICE, Stated("B")),
        (" (B) because the fork is dirty.", CHOICE, Stated("B")),
        (" (B) spoon, while D) bowl can be right too.", CHOICE, TWO),
        (" a thing to eat with.", CHOICE, NOTHING),
    ],
)
def test_a_statement_states_an_answer_or_two_or_nothing(statement, question, said):
    assert stated(statement, question) == said


@pytest.mark.parametrize(
    ("text", "question", "said"),
    [
        ("Yes or no? It floats.", YES_NO, NOTHING),
        ("yes/no", YES_NO, NOTHING),
        ("Yes, no.", YES_NO, TWO),
        ("A. no. Fish are dumb.\n\n2. Birds sing.", YES_NO, Stated("no")),
        ("1. no. Fish are dumb.\n\n2. Birds sing.", YES_NO, NOTHING),
        ("(A) cup, (B) spoon, (C) fork.", CHOICE, NOTHING),
        ("(A) cup, (B) spoon.", CHOICE, TWO),
        ("D) theaters", CHOICE, Stated("D")),
        ("B) theaters", CHOICE, NOTHING),
    ],
)
def test_a_text_that_repeats_what_was_asked_does_not_begin_with_two_answers(text, question, said):
    assert opening(text, question) == said


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" No, the answer is yes.\n\nThe answer is yes.", None),
        (" The answer is yes and no. The answer is yes.", None),
        ("Yes or no?\nThe answer is no.", "no"),
        (" A: No, it is not. The answer is B.", "no"),
        (' No, it is not. The answer is neither "yes" nor "no".', None),
        (" No. The answer is open to many.", "no"),
        ("Many ask this. Well, yes, it does float.", "yes"),
        ("Iron floats as well, no fish does.", None),
        ("I think no, but who knows.", "no"),
        ("I think no fish can.", None),
        ("The answer is indeed no.", "no"),
        ("The answer is probably no.", None),
        ("No.\nAnswer:", "no"),
        ("A: Yes. It may. The answer is both yes and no.", None),
        ("No, the answer is no question at all.", "no"),
    ],
)
def test_yes_or_no_in_other_words(text, answer):
    assert extract_strict(text, YES_NO) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("D: bowl\n\nThe answer is (E) bowl.", None),
        ("(A) cup, (B) spoon, (C) fork. The answer is (B).", "B"),
        ("(B)\n\nA:\n", "B"),
        ("(B)\nThe answer to that is a matter of taste.", "B"),
        ("(B)\nThe answer to that is a fork.", None),
        ("The correct answer is (B) spoon. The answer is indeed (B) spoon: it is round.", "B"),
        ("(B) spoon, while D) bowl can be right too.", None),
    ],
)
def test_a_choice_in_other_words(text, answer):
    assert extract_strict(text, CHOICE) == answer


def test_what_begins_an_answer_and_says_none_is_no_reasoning():
    assert read("Spoons are round.\n\nA:\nA:", CHOICE).reasoning == "Spoons are round.\n\n"


@pytest.mark.parametrize("shown_as", ["none", "listed"])
@pytest.mark.parametrize(
    ("text", "strict", "loose"),
    [
        (" So the answer is spoon.", "B", "B"),
        (" So the answer is B.", None, None),
        (" The answer is: B) spoon", "B", "B"),
        (" The answer is (A) spoon.", "B", "B"),  # a letter of the student's own
        (" A) knife\n\nThe answer is: A) knife", None, None),
        (" B", None, None),
        (" Spoon", "B", "B"),
        (" A. cup\nB. spoon\nC. fork", None, "A"),
        (" The answer is spoon or fork.", None, "B"),
    ],
)
def test_letters_are_no_answers_where_the_prompt_shows_none(text, strict, loose, shown_as):
    prompt = student_prompt("With what?", TOOLS, PromptTemplates(choices_as=shown_as))
    question = replace(CHOICE, prompt=prompt)
    assert (extract_strict(text, question), extract_loose(text, question)) == (strict, loose)


def test_letters_are_answers_to_a_prompt_that_lists_them_in_a_form_of_its_own_and_to_one_that_is_not_known():
    own = replace(CHOICE, prompt="With what?\nA. cup\nB. spoon\nC. fork\nAnswer:")
    assert extract_strict(" So the answer is B.", own) == "B"
    assert extract_strict(" So the answer is B.", asked_elsewhere(replace(CHOICE, prompt="With what?"))) == "B"
