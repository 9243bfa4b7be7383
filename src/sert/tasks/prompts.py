"""Prompts and training examples, made from templates.

With the default templates, a question of two choices and what is made of it:

    Question: What melts in the sun? Answer choices: (A) ice, (B) stone.
    Answer: Ice turns to water when it is warm. So the answer is A.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from sert.config.prompts import PromptTemplates
from sert.records import LETTERS, Example, Question
from sert.tasks.answers import reasoning_of
from sert.tasks.mentions import asked_elsewhere

NOTHING: Mapping[str, str] = MappingProxyType({})
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each `{name}` by its value in one pass.

    Values are taken literally: braces inside them stay as they are, and so do names without a value.
    """
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


def placeholders(template: str) -> list[str]:
    """List the names in a template."""
    return _PLACEHOLDER.findall(template)


def render_question(
    question: str, choices: Sequence[str], templates: PromptTemplates, *, context: Mapping[str, str] = NOTHING
) -> str:
    """Put the choices behind the stem: `{stem} Answer choices: (A) a, (B) b.`; the stem alone when there are none.

    `templates.choices_as` says whether they have letters, and whether they are shown.
    """
    stem = question.strip()
    if not choices or templates.choices_as == "none":
        return stem
    listed = _lettered(choices) if templates.choices_as == "lettered" else ", ".join(choices)
    return fill(templates.choices, {**context, "question": stem, "choices": listed})


def _lettered(choices: Sequence[str]) -> str:
    return ", ".join(f"({letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def shows_letters(question: Question) -> bool:
    """Tell whether the prompt of a question names its choices by letters."""
    return bool(question.choices) and _lettered(question.choices) in question.prompt


def student_prompt(
    question: str, choices: Sequence[str], templates: PromptTemplates, *, context: Mapping[str, str] = NOTHING
) -> str:
    """Write what the student is asked; `context` is what further placeholders stand for."""
    rendered = render_question(question, choices, templates, context=context)
    return fill(templates.student, {**context, "question": rendered})


def teacher_prompt(question: Question, templates: PromptTemplates) -> str:
    """Write what the teacher is asked, and the student that is distilled from it."""
    context = dict(question.context)
    rendered = render_question(question.question, question.choices, templates, context=context)
    return fill(templates.teacher, {**context, "question": rendered})


def asked_as_teacher(questions: Sequence[Question], templates: PromptTemplates) -> tuple[Question, ...]:
    """Ask the same questions with the teacher's prompt, as who learned from it is asked."""
    return tuple(replace(question, prompt=teacher_prompt(question, templates)) for question in questions)


def gold_answer(question: Question, templates: PromptTemplates) -> str:
    """Write the gold answer as it is to be learned: of choices the letter where prompts have letters, else the text."""
    if not question.choices or templates.choices_as == "lettered":
        return question.answer
    return question.choices[question.letters.index(question.answer)]


def label_example(question: Question, templates: PromptTemplates) -> Example:
    """Make an example of label-only training: the answer and no reasoning."""
    completion = fill(templates.label, {"answer": gold_answer(question, templates)})
    return Example(question.question_id, question.prompt, behind(question.prompt, completion), "label")


def path_example(
    question: Question, path_text: str, templates: PromptTemplates, *, path_ids: Sequence[int] = ()
) -> Example:
    """Make an example of self-training: the path, then the gold answer (paper, section 2).

    The path's own conclusion is cut off (`sert.tasks.answers.reasoning_of`), and blanks before it. With the tokens of
    the path (`path_ids`) it begins as it was sampled; without them, or where the template has words in front of
    `{path}`, with one blank that stands it off from the prompt.
    """
    reasoning, answer = reasoning_of(path_text, question).rstrip(), gold_answer(question, templates)
    front, found, ending = templates.path.partition("{path}")
    if path_ids and found and not front.strip():
        conclusion = fill(ending, {"path": reasoning, "answer": answer})
        if not reasoning.strip():
            conclusion = behind(question.prompt, conclusion)
        completion = reasoning + conclusion
        return Example(question.question_id, question.prompt, completion, "path", tuple(path_ids), conclusion)
    path = f" {reasoning.strip()}" if reasoning.strip() else ""
    completion = fill(templates.path, {"path": path, "answer": answer})
    return Example(question.question_id, question.prompt, behind(question.prompt, completion), "path")


def rationale_example(question: Question, rationale_text: str, templates: PromptTemplates) -> Example:
    """Make an example of distillation: the teacher's prompt, its rationale, then the gold answer (paper, section 2).

    The rationale's own conclusion is cut off (`sert.tasks.answers.reasoning_of`).
    """
    reasoning = reasoning_of(rationale_text, asked_elsewhere(question)).strip()
    values = {"rationale": reasoning, "answer": gold_answer(question, templates)}
    prompt = teacher_prompt(question, templates)
    completion = behind(prompt, fill(templates.rationale, values))
    return Example(question.question_id, prompt, completion, "rationale")


def behind(prompt: str, completion: str) -> str:
    """Leave out the blank that stands a completion off from the prompt where the prompt ends in a blank or a line."""
    return completion.removeprefix(" ") if prompt[-1:].isspace() else completion
