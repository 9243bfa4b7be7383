"""What is likely a slip in a question set, though every one of its questions can be used."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from sert.config.columns import Columns
from sert.config.prompts import PromptTemplates
from sert.records import Question
from sert.tasks.normalize import canonical, whole_number
from sert.tasks.rows import Row
from sert.terminal.text import counted, shorten

SHOWN_ANSWERS = 3
"""Answers that are named."""
ENOUGH = 20, 50
"""Questions from which on it is told that all answers are one or two texts, and that one choice is never right."""
_LETTER = re.compile(r"[(\[]?[A-Ja-j][)\].]*")
_NO_VALUE = {"nan", "null", "n/a", "#n/a", "<na>"}
_TRUTH_VALUES = (("1", "0"), ("y", "n"), ("t", "f"))

Asked = Sequence[tuple[Row, Question]]


def find_template_slips(name: str, templates: PromptTemplates) -> Iterator[str]:
    """Say which prompts end in a blank: most tokenizers put it in front of the word that follows, as one token."""
    for template in ("student", "teacher"):
        text = getattr(templates, template)
        if text.rstrip() != text and text[-1] not in "\r\n":
            yield (
                f"tasks.{name}.prompts.{template} = {shorten(text)} ends in a blank. Most students have learned words "
                "with the blank in front of them as one token, and a blank by itself before a word is new to them. End "
                "the prompt without it."
            )


def find_slips(name: str, asked: Asked, *, columns: Columns) -> Iterator[str]:
    """Say which gold answers of a task are likely slips; where free text is as likely meant, nothing."""
    texts = [(row, question) for row, question in asked if question.answer_type == "text"]
    num_yes_no = sum(question.answer_type == "yes_no" for _, question in asked)
    if num_yes_no > len(texts) > 0:
        yield f"{num_yes_no} of {len(asked)} answers are yes or no, the others are read as free text: {_listed(texts)}"
    else:
        yield from _missing(texts, len(asked))
    yield from _unread_choices(name, texts, len(asked))
    if columns.answer_is == "auto":
        yield from _truth_values(name, texts)
    yield from _letters_taken_off(asked)
    yield from _never_right([question for _, question in asked])


def _listed(asked: Asked) -> str:
    shown = [f"{shorten(question.answer)} ({row.where})" for row, question in asked[:SHOWN_ANSWERS]]
    return "; ".join([*shown, "..."] if len(asked) > len(shown) else shown)


def _missing(texts: Asked, count: int) -> Iterator[str]:
    """What programs write for a value that is not there is a text in CSV."""
    missing = [(row, question) for row, question in texts if question.answer.casefold() in _NO_VALUE]
    if missing:
        yield f"{len(missing)} of {count} answers look like missing ones, and are read as texts: {_listed(missing)}"


def _unread_choices(name: str, texts: Asked, count: int) -> Iterator[str]:
    unread = next((row.unread_choices for row, _ in texts if row.unread_choices), None)
    if unread is None:
        return
    found = {
        "letters": sum(_LETTER.fullmatch(question.answer) is not None for _, question in texts),
        "numbers below ten": sum(whole_number(question.answer) in range(10) for _, question in texts),
        "texts from there": sum(row.unread_choices is not None and row.unread_choices.hold_answer for row, _ in texts),
    }
    what = next((what for what, number in found.items() if 2 * number > count), None)
    if what is not None:
        which = "column {} is" if isinstance(unread.names, str) else "columns {} are"
        yield (
            f"the {which.format(shorten(unread.names))} not read, and {found[what]} of {count} answers are {what}; "
            f"if the choices stand there, set tasks.{name}.columns.choices = {shorten(unread.names)}"
        )


def _truth_values(name: str, texts: Asked) -> Iterator[str]:
    """Truth values that are written as numbers, letters or words of another language are read as numbers or texts."""
    answers = {canonical(question.answer) for _, question in texts}
    for yes, no in _TRUTH_VALUES:
        if answers == {yes, no}:
            yield (
                f"{len(texts)} answers are {no} or {yes}, and read as such; if {yes} means yes and {no} no, set "
                f'tasks.{name}.columns.answer_is = "yes_no"'
            )
            return
    if len(answers) == 2 and len(texts) >= ENOUGH[0]:
        first, second = sorted({canonical(question.answer): question.answer for _, question in texts}.values())
        yield (
            f"{len(texts)} answers are {shorten(first)} or {shorten(second)}, and read as free text; if they mean yes "
            "and no, write yes and no; if they are choices, give each question a list of them"
        )


def _letters_taken_off(asked: Asked) -> Iterator[str]:
    taken = [(row.lettered, question) for row, question in asked if row.lettered is not None]
    for whole, question in taken[:1]:
        yield (
            f"the choices of {counted(len(taken), 'questions')} begin with their letters, which are taken off: "
            f"{shorten(whole)} is read as {shorten(question.choices[0])}"
        )


def _never_right(questions: Sequence[Question]) -> Iterator[str]:
    """A set with one answer teaches nothing; a choice that is never right may be a place counted from the wrong end."""
    least_for_same, least_for_never = ENOUGH
    answers = Counter(question.answer for question in questions)
    if len(questions) >= least_for_same and len(answers) == 1:
        yield f"all {len(questions)} answers are {shorten(*answers)}; is this the column of answers?"
        return
    lettered = [question for question in questions if question.choices]
    common = min((question.letters for question in lettered), key=len, default="")
    if len(lettered) >= least_for_never and (never := [letter for letter in common if letter not in answers]):
        yield f"of {len(lettered)} questions none has the answer {' or '.join(never)}; are the places counted rightly?"
