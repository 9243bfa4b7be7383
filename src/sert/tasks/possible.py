"""Which answers a question can have, and how each is written: for whoever asks how probable they are."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from sert.config.prompts import PromptTemplates
from sert.records import Question
from sert.tasks.prompts import gold_answer, shows_letters

CLOZE, LETTER = "cloze", "letter"


class Candidate(NamedTuple):
    """A possible answer: `cloze` or `letter`, what it answers, and how it is written."""

    form: str
    answer: str
    text: str


def possible_answers(question: Question) -> Iterator[Candidate]:
    """List what a question can be answered: yes or no, or its choices; letters only where the prompt shows them.

    The answers of other questions, numbers for instance, are no closed set: then there are none.
    """
    if question.answer_type == "yes_no":
        yield from (Candidate(CLOZE, answer, answer) for answer in ("yes", "no"))
    for letter, choice in zip(question.letters, question.choices, strict=True):
        yield Candidate(CLOZE, letter, choice)
    if shows_letters(question):
        yield from (Candidate(LETTER, letter, letter) for letter in question.letters)


def learned_answers(question: Question, templates: PromptTemplates) -> dict[str, str]:
    """Write each possible answer as students learn it: answer -> text; without a closed set the gold one alone."""
    answers = dict.fromkeys(each.answer for each in possible_answers(question)) or {question.answer: None}
    return {answer: gold_answer(replace(question, answer=answer), templates) for answer in answers}
