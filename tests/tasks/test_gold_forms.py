"""Gold answers in every form in which templates and students write them are read back, all of them."""

import string

import pytest
from labelled_outputs import CHOICE_QUESTIONS, YES_NO_QUESTIONS

from sert.config.prompts import PromptTemplates
from sert.records import Question
from sert.tasks.answers import extract_strict, reasoning_of
from sert.tasks.prompts import label_example, path_example, rationale_example

# Options that hold each other, that look like letters, answers, numbers or words of a reason, and odd punctuation.
NASTY_CHOICES = [
    *(choices for _, choices in CHOICE_QUESTIONS.values()),
    ("7", "70", "7.5", "7,000", "-7"),
    ("50%", "5%", "0.5", "50", "$50"),
    ("no", "yes", "not yes", "no answer", "yes and no"),
    ("true", "false", "yes", "no", "unknown"),
    ("x", "y", "z", "I", "A"),
    ("a", "an A", "the letter A", "AA", "letter"),
    ("option A", "option B", "both A and B", "A or B", "none"),
    ("C++", "C#", "C", "Java", "D"),
    ("U.S.", "U.K.", "U.N.", "U.S.S.R.", "us"),
    ("rock 'n' roll", "rock", "roll", "rock and roll", "roll, then rock"),
    ("bread & butter", "bread", "butter", "bread/butter", "butter or bread"),
    ("(nothing)", '"everything"', "it's late", "don't know", "what?"),
    ("because it rains", "since 1990", "as usual", "so what", "not here"),
    ("Ms. Brown", "Mr. Brown", "Brown", "Mr Brown", "Browne"),
    ("left-hand side", "left", "hand", "right-hand side", "side"),
    ("one", "one two", "two", "one, two", "two one"),
    ("東京", "京都", "大阪", "奈良", "Zürich"),
    ("it", "it is", "is", "what it is", "be"),
    ("the answer is no", "so", "the answer", "answer: yes", "Question"),
    ("good natured fun.", "lure.", "car", "a car.", "cars"),
]

LETTERS = ["{L}", "({L})", "{L}.", "{L})", "({l})", "{l}.", "{l})", "[{L}]", "({L}).", "{L}!", " {L}"]
TEXTS = ["{text}", "{upper}", "{lower}", "{title}", "{text}."]
BOTH = ["({L}) {text}", "{L}) {text}", "{L}. {text}", "{L}: {text}", "{L} - {text}", "({L}) {upper}", "({l}) {lower}"]
BOTH += ['({L}) "{text}"', "({L}): {text}", "[{L}] {text}", "{L} ({text})", "({L}) {text}."]
TRUTHS = {"yes": ["yes", "Yes", "YES", "true", "True", "yes!", "(yes)"], "no": ["no", "No", "NO", "false", "False"]}
WRAPPED = ["{}", '"{}"', "'{}'", "“{}”", "**{}**", "*{}*", "__{}__", "`{}`", '**"{}"**']

# The output around the answer: as our templates write it, as users' templates would, as students drift from both.
OUTPUTS = [
    " So the answer is {}.",
    "So the answer is {}",
    " {reasoning} So the answer is {}.",
    "\n\n{reasoning}\n\nSo the answer is {}.\n",
    " {reasoning} so the answer is: {}",
    " {reasoning} SO THE ANSWER IS {}.",
    " {reasoning} So the answer is\n{}\n\n",
    " {reasoning} So the\nanswer is {} .",
    " {reasoning} **So the answer is** {}.",
    " {reasoning} So the answer is {}. Nobody would say anything else.",
    " {reasoning} So the answer is {} because nothing else is left.",
    " {reasoning} So the answer is {}, since nothing else is left.",
    " {reasoning} So the answer is {}.\nQuestion: Is tea wet?\nAnswer: So the answer is no. So the answer is (E).",
]
REASONINGS = [
    "Some things are known. Others follow from them.",
    "The options are {listed}. (A) is tempting, but B, C and D are not worse, and E is no answer.",
    "So the answer is no. So the answer is (E). That was too quick, and yes, a second look helps.",
    "It is a long way. " * 25,
]


def make_questions() -> list[Question]:
    asked = [Question("y", "demo", "test", each, (), gold, "") for each in YES_NO_QUESTIONS.values() for gold in TRUTHS]
    return asked + [
        Question("c", "demo", "test", "Which?", choices, letter, "") for choices in NASTY_CHOICES for letter in "ABCDE"
    ]


def gold_text(question: Question) -> str | None:
    """The text of the gold choice, None where it alone does not say which choice is meant."""
    plain = [choice.casefold().strip("()\". '?") for choice in question.choices]
    gold = plain["ABCDE".index(question.answer)]
    is_letter = gold.upper() in tuple("ABCDE")
    return None if plain.count(gold) > 1 or is_letter else question.choices["ABCDE".index(question.answer)]


def answers(question: Question) -> list[str]:
    """Write the gold answer in every form."""
    if not question.choices:
        return TRUTHS[question.answer]
    letter = question.answer
    text = question.choices["ABCDE".index(letter)]
    forms = LETTERS + BOTH + (TEXTS if gold_text(question) else [])
    cased = {"upper": text.upper(), "lower": text.lower(), "title": string.capwords(text)}
    return [form.format(L=letter, l=letter.lower(), text=text, **cased) for form in forms]


def reasonings(question: Question) -> list[str]:
    listed = ", ".join(f"({letter}) {choice}" for letter, choice in zip("ABCDE", question.choices, strict=False))
    return [reasoning.replace("{listed}", listed or "yes and no") for reasoning in REASONINGS]


def misread(question: Question, outputs: list[str]) -> list[str]:
    read = [(output, extract_strict(output, question)) for output in outputs]
    return [
        f"{output[-120:]!r} of {question.choices} is {question.answer}, read as {found}"
        for output, found in read
        if found != question.answer
    ]


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_every_form_of_a_gold_answer_is_read(wrapped):
    wrong = []
    for question in make_questions():
        wrong += misread(question, [f" So the answer is {wrapped.format(form)}" for form in answers(question)])
    assert not wrong, "\n".join(wrong)


@pytest.mark.soak
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_gold_answer_is_read_in_every_output(output, full):
    """In full behind every reasoning; otherwise each form behind another one."""
    wrong = []
    for question in make_questions():
        filled = [output.replace("{reasoning}", reasoning) for reasoning in reasonings(question)]
        # Behind a form with a stop of its own no reason can follow.
        forms = [form for form in answers(question) if "else is left" not in output or not form.endswith((".", "!"))]
        for place, form in enumerate(forms):
            behind = filled if full else filled[place % len(filled) :][:1]
            wrong += misread(question, [each.replace("{}", form) for each in behind])
    assert not wrong, "\n".join(wrong[:40])


def test_our_own_examples_are_read():
    templates = PromptTemplates()
    wrong = []
    for question in make_questions():
        examples = [label_example(question, templates)]
        for make in (path_example, rationale_example):
            examples += [make(question, f" {reasoning}", templates) for reasoning in reasonings(question)]
        wrong += misread(question, [each.completion for each in examples])
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "label",
    [
        "So the answer is {answer}",
        "\nSo the answer is: ({answer})",
        " So the answer is **{answer}**.\n",
        ' So the answer is "{answer}".',
        " Done.\n\nSo the answer is\n{answer}",
        " **So the answer is {answer}.**",
    ],
)
def test_examples_of_templates_that_users_write_are_read(label):
    templates = PromptTemplates(label=label, path="{path}" + label, rationale="{rationale}" + label)
    wrong = []
    for question in make_questions():
        completions = [label_example(question, templates).completion]
        completions += [path_example(question, each, templates).completion for each in reasonings(question)]
        completions += [rationale_example(question, each, templates).completion for each in reasonings(question)]
        wrong += misread(question, completions)
    assert not wrong, "\n".join(wrong)


def test_the_reasoning_before_every_output_is_found_again():
    question = make_questions()[0]
    reasoning = REASONINGS[0]
    assert {reasoning_of(output.format("yes", reasoning=reasoning), question).strip(" \n*") for output in OUTPUTS} == {
        "",
        reasoning,
    }
    assert misread(question, [" So the answer is no."])
