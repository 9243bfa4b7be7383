"""What a text names of the answers that are possible, and what a lenient reader would take from it.

Reading is linear in the length of the text, whatever it holds.
"""

import functools
import re
import unicodedata
from dataclasses import fields

from sert.records import LETTERS, Question
from sert.tasks.expressions import plausible_expression
from sert.tasks.normalize import QUOTES, WRAPPING, is_number, tidied
from sert.tasks.numbers import last_number

YES_NO = re.compile(r"(?<![\w-])(?<!\bnot )(?:yes|no)(?!\w|-\w)", re.IGNORECASE)
EITHER = re.compile(
    r"\b(?:(?:yes|true)\s{0,3}(?:/|\bor\b)\s{0,3}(?:no|false)|(?:no|false)\s{0,3}(?:/|\bor\b)\s{0,3}(?:yes|true))\b",
    re.IGNORECASE,
)
"""`yes or no`, which answers nothing."""

_NONE = re.compile(r"(?!)")
# Composed letter by letter: a whole text takes quadratic time where accents pile up.
_ACCENTED = re.compile(r"\w[\u0300-\u036f]{1,4}")


def first_plausible(text: str, question: Question) -> str | None:
    """Read the first answer that a lenient reader would note down, of numbers the last one."""
    if question.answer_type == "yes_no":
        found = YES_NO.search(EITHER.sub("", text))
        return found[0].lower() if found else None
    if question.answer_type == "choice":
        plain = plain_letters(text)
        marker = letter_markers(question).search(plain)
        mention = None if marker else mention_of(question.choices).search(plain)
        return letter_of(marker) if marker else mention and mention.lastgroup
    if question.answer_type == "expression":
        return plausible_expression(text)
    if is_number(question.answer):
        return last_number(text)
    return next((tidy for line in text.split("\n") if (tidy := tidied(line))), None)


def named(text: str, question: Question) -> set[str | None]:
    """List what a text names of yes and no, or of the letters and texts of choices, however it does so."""
    if question.answer_type == "yes_no":
        return {each[0].lower() for each in YES_NO.finditer(text)}
    plain = plain_letters(text)
    by_letter = {letter_of(each) for each in letter_markers(question).finditer(plain)}
    return by_letter | {each.lastgroup for each in mention_of(question.choices).finditer(plain)}


class AskedElsewhere(Question):
    """A question as a teacher may have been asked it, in a prompt that is not known: letters are answers to it."""


def asked_elsewhere(question: Question) -> AskedElsewhere:
    """Take a question as a teacher may have been asked it."""
    return AskedElsewhere(*(getattr(question, field.name) for field in fields(question)))


def has_letters(question: Question) -> bool:
    """Tell whether a letter can name a choice: where the prompt gives them none, letters are the student's own.

    It gives them letters where one stands in front of each of the first two: `(A) ice`, `a. ice`. A prompt that is not
    known may do so.
    """
    known = bool(question.prompt) and not isinstance(question, AskedElsewhere)
    return not known or _gives_letters(question.prompt, question.choices[:2])


@functools.lru_cache(maxsize=1024)
def _gives_letters(prompt: str, choices: tuple[str, ...]) -> bool:
    lettered = zip(LETTERS, map(bare_text, choices), strict=False)
    words = [(letter, r"\s+".join(map(re.escape, bare.split()))) for letter, bare in lettered]
    plain = plain_letters(prompt)
    return all(re.search(rf"(?<!\w){letter}\W{{1,6}}{text}", plain, re.IGNORECASE) for letter, text in words)


def letter_markers(question: Question) -> re.Pattern[str]:
    """Match the letters that name choices of a question (`marker_of`); nothing where none can."""
    return marker_of(len(question.choices)) if has_letters(question) else _NONE


@functools.cache
def marker_of(num_choices: int) -> re.Pattern[str]:
    """Match a letter that names a choice: `(B)`, `b)`, `B.`, a lone `B`; never the words `A` and `I`."""
    capitals = LETTERS[:num_choices]
    either = capitals + capitals.lower()
    words = rf"A[ \t]+[*_{QUOTES}]{{0,3}}(?!(?:or|and)\b)\w|I[ \t]+\w"
    lone = rf"(?!{words})([{capitals}])(?![\w'’]|-\w|\.\w)"  # noqa: RUF001
    return re.compile(rf"\(([{either}])\)|(?<![\w'’.°-])(?:([{either}])\)|{lone})")  # noqa: RUF001


def letter_of(marker: re.Match[str]) -> str:
    """Tell which letter a match of `marker_of` names."""
    return str(marker[1] or marker[2] or marker[3]).upper()


@functools.lru_cache(maxsize=256)
def mention_of(choices: tuple[str, ...]) -> re.Pattern[str]:
    """Match one of the texts as whole words, in a group named by its letter; of two that begin together, the longer."""
    lettered = sorted(zip(LETTERS, map(bare_text, choices), strict=False), key=lambda pair: -len(pair[1]))
    spaced = [(letter, re.escape(bare).replace(r"\ ", r"\s+")) for letter, bare in lettered if bare]
    groups = "|".join(f"(?P<{letter}>{pattern})" for letter, pattern in spaced)
    return re.compile(rf"(?<!\w)(?:{groups or '(?!)'})(?!\w)", re.IGNORECASE)


@functools.lru_cache(maxsize=1024)
def bare_text(choice: str) -> str:
    """Take away what may wrap a choice's text anyway: quotes and brackets around it, and its closing stop."""
    return " ".join(plain_letters(choice).split()).lstrip(QUOTES + "([*`_").rstrip(WRAPPING)


def plain_letters(text: str) -> str:
    """Write composed letters and straight apostrophes, so that equal texts compare equal."""
    composed = _ACCENTED.sub(lambda found: unicodedata.normalize("NFC", found[0]), text)
    return composed.replace("’", "'")  # noqa: RUF001
