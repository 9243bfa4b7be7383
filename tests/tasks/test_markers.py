"""Questions that a text invents, in the form of its own prompt, of chat templates and in the common ones."""

import pytest

from sert.config.prompts import PromptTemplates
from sert.paths.patterns import imitates_format
from sert.records import Question
from sert.tasks.answers import extract_loose, extract_strict
from sert.tasks.markers import own_part
from sert.tasks.prompts import student_prompt

GOLDFISH = "Can a goldfish bark?"
DEFAULT = PromptTemplates().student
# Template, and what a student goes on with that learned its form.
FORMS = {
    "default": (DEFAULT, "\n\nQuestion: Can a dog bark?\nAnswer: yes"),
    "one line": ("Question: {question} Answer:", " Question: Can a dog bark? Answer: yes"),
    "Q and A": ("Q: {question}\nA:", "\n\nQ: Can a dog bark?\nA: yes"),
    "Q and A, not its own": (DEFAULT, "\n\nQ: Can a dog bark?\nA: yes"),
    "Q and A in one line": (DEFAULT, " Q: Can a dog bark? A: yes"),
    "numbered": (DEFAULT, "\nQuestion 2: Can a dog bark?\nAnswer 2: yes"),
    "emphasized": (DEFAULT, "\n**Question:** Can a dog bark?\n**Answer**: yes"),
    "other words": ("Problem: {question}\nSolution:", "\nProblem: Can a dog bark?\nSolution: yes"),
    "another language": ("Frage: {question}\nAntwort:", "\n\nFrage: Can a dog bark?\nAntwort: yes"),
    "no colon": ("Now answer this\n{question}\nLet us think", "\nNow answer this\nCan a dog bark?\nLet us think of it"),
    "letters with stops": ("Q. {question}\nA.", "\nQ. Can a dog bark?\nA. yes"),
    "words behind alone": ("{question}\nReply:", "\nCan a dog bark?\nReply: yes"),
    "a passage before": ("Fish swim. Read.\nAsked: {question}\nSaid:", "\nAsked: Can a dog bark?\nSaid: yes"),
    "step by step": ("Asked: {question}\nSaid: Let's see.", "\nAsked: Can a dog bark?\nSaid: yes"),
    "ChatML": (DEFAULT, "<|im_end|>\n<|im_start|>user\nCan a dog bark?<|im_end|>\n<|im_start|>assistant\nyes"),
    "ChatML without its tokens": (DEFAULT, "\nuser\nCan a dog bark?\nassistant\nyes"),
    "Zephyr": (DEFAULT, "</s>\n<|user|>\nCan a dog bark?</s>\n<|assistant|>\nyes"),
    "Llama 3": (
        DEFAULT,
        "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nCan a dog bark?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nyes",
    ),
    "Llama 2": (DEFAULT, " [INST] Can a dog bark? [/INST] yes"),
    "Gemma": (DEFAULT, "<end_of_turn>\n<start_of_turn>user\nCan a dog bark?<end_of_turn>\n<start_of_turn>model\nyes"),
    "DeepSeek": (DEFAULT, "<｜User｜>Can a dog bark?<｜Assistant｜>yes"),  # noqa: RUF001 - its own bars
    "roles": (DEFAULT, "\nUser: Can a dog bark?\nAssistant: yes"),
    "Vicuna": (DEFAULT, "\nUSER: Can a dog bark?\nASSISTANT: yes"),
    "Alpaca": (DEFAULT, "\n\n### Human: Can a dog bark?\n### Assistant: yes"),
    "own chat prompt": (
        "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|>\n<|im_start|>user\nCan a dog bark?<|im_end|>\n<|im_start|>assistant\nyes",
    ),
}


def ask(
    template: str = DEFAULT, stem: str = GOLDFISH, *, choices: tuple[str, ...] = (), answer: str = "no"
) -> Question:
    prompt = student_prompt(stem, choices, PromptTemplates(student=template))
    return Question("1", "demo", "train", stem, choices, answer, prompt)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("own", [" Fish have no voice.", " no.", " It has no lungs, and a dog has."])
def test_a_question_that_goes_on_is_imitation_and_is_cut(own, form):
    template, goes_on = FORMS[form]
    question = ask(template)
    assert imitates_format(own + goes_on, question)
    assert not imitates_format(own, question)
    assert own_part(own + goes_on, question).rstrip(" \n*") == own
    assert own_part(own, question) == own


@pytest.mark.parametrize("form", FORMS)
def test_imitation_stays_whatever_follows(form):
    template, goes_on = FORMS[form]
    text, question = f" Fish swim.{goes_on}", ask(template)
    found = [imitates_format(text[:end], question) for end in range(len(text) + 1)]
    assert found == sorted(found)


ANSWERS = {
    "yes/no": (ask, " no", " no", "no"),
    "number": (lambda form: ask(form, answer="7"), " 7", " 12", "7"),
    "number among words": (lambda form: ask(form, answer="7"), " It is 3 + 4 = 7.", " 12 are left.", "7"),
    "choice": (lambda form: ask(form, choices=("voice", "lungs", "legs"), answer="B"), " B.", " (A) voice.", "B"),
    "concluded": (ask, " So the answer is no.", " So the answer is yes.", "no"),
    "in other words": (ask, " The answer is no.", " The answer is yes.", "no"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ANSWERS)
def test_the_answer_before_a_next_question_is_read(kind, form):
    make, own, other, answer = ANSWERS[kind]
    template, goes_on = FORMS[form]
    question = make(template)
    text = own + goes_on.replace(" yes", other).replace("\nyes", f"\n{other.strip()}")
    assert extract_loose(text, question) == answer
    assert extract_strict(text, question) == answer


@pytest.mark.parametrize(
    "text",
    [
        "The question: is it loud? No. The answer: no.",  # within a sentence
        " Vitamin Q: good. Vitamin A: better.",
        " Each user: one fish. The assistant: none.",
        "\nQuestion: Can a goldfish bark?\nAnswer: no",  # the question that was asked
        "\nQ: Can a goldfish?\nA: no",  # a part of it
        "<|im_start|>assistant\nno",
        " It asks a <b>question</b>.",
        "",
    ],
)
def test_what_is_no_next_question_is_kept(text):
    assert own_part(text, ask()) == text


def test_another_question_at_once_leaves_nothing():
    assert own_part("\nQuestion: Can a dog bark?\nAnswer: yes", ask()).strip() == ""


def test_of_a_repeated_question_the_first_answer_is_taken():
    text = " Question: Can a goldfish bark?\nAnswer: no\nQuestion: Can a dog bark?\nAnswer: yes"
    assert extract_strict(text, ask()) == extract_loose(text, ask()) == "no"


@pytest.mark.soak
@pytest.mark.parametrize("template", [DEFAULT, "{question}\nReply:"])
@pytest.mark.parametrize(
    "junk", ["question ", "question", "Q", "<|", "<|a|>", "\n", "? \n", "**", "user\n", "A: ", "[INST]"]
)
def test_a_megabyte_of_junk_is_cut_in_no_time(junk, template, full):
    text = "Fish." + junk * ((1_000_000 if full else 200_000) // len(junk))  # quadratic reading would not end
    question = ask(template)
    assert own_part(text, question) in (text, own_part(text[:40], question))
    assert not imitates_format(text, question) or "INST" in junk or "A" in junk


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("He has 7.\n\nProblem:\nA snail climbs 3 feet a day. When is it out?", "He has 7.\n\n"),
        (
            "The answer is 7.\n\nA snail is at the bottom of a 20-foot well. How many days will it take to get out?",
            "The answer is 7.\n\n",
        ),
        # a question that goes on, a short one, and one about the same
        ("He has 7.\n\nBut what would a snail do at the bottom of a 20-foot well at night? It sleeps.", None),
        ("He has 7.\n\nIs that so?", None),
        ("He has 7.\n\nHow many pens does Tim have in his bag now, if he gets 4 more pens in his bag?", None),
        ("A snail is at the bottom of a 20-foot well. How many days will it take to get out?", None),
    ],
)
def test_a_last_paragraph_that_asks_something_else_is_not_the_texts_own(text: str, own: str | None) -> None:
    question = Question("1", "t", "train", "Tim has 3 pens in his bag and gets 4 more. How many pens?", (), "7", "")
    assert own_part(text, question) == (text if own is None else own)
