"""What a statement says: the answer that stands right behind an announcement such as `So the answer is`.

Reading is linear in the length of the text, whatever it holds.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from sert.records import Question
from sert.tasks.choice_texts import (
    ARTICLE,
    end_of,
    end_of_choice,
    end_of_own_text,
    goes_through,
    lists_choices,
    own_text_end,
    starts_of_text,
)
from sert.tasks.expressions import held_by_braces, stated_expression
from sert.tasks.mentions import (
    EITHER,
    YES_NO,
    bare_text,
    has_letters,
    letter_markers,
    letter_of,
    mention_of,
    plain_letters,
)
from sert.tasks.normalize import QUOTES, canonical, is_number, tidied
from sert.tasks.numbers import OPENING, SENTENCE_END, announced_number, first_number
from sert.tasks.sentences import is_abbreviated

# Emoji and the like. Units, currencies and signs of mathematics change what they stand behind.
_SYMBOL = r"[^\w\s\x00-\u2027\u2030-\u2037\u20a0-\u20cf\u2100-\u22ff]"
# What must stand behind an answer: punctuation, a dash, an aside, a symbol, the end of the line, or a reason.
_END = re.compile(
    rf"\s*\Z|[ \t\r]*(?:\n|[.,;:!?—…](?![0-9])|[{QUOTES})\]*`_]++(?![^\W_])|\(|[–-][ \t]+(?![\s0-9])|{_SYMBOL})"  # noqa: RUF001
    r"|[ \t]+(?:because|since|as)\b",
    re.IGNORECASE,
)
# What stands between two answers: signs only ("yes, no", "B. C."), or such words too ("B and C", "yes. Or maybe no").
_JOINER = re.compile(
    r"[\W_]*(?:(?:and|or(?: not)?|but|also|maybe|perhaps|possibly|rather|else|even|then|plus|vs|versus|option|choice"
    r"|as well as|is it|it (?:is|(?:could|may|might) be))\b[\W_]*)*",
    re.IGNORECASE,
)
_REASON = re.compile(r"\b(?:because|since|as)\b", re.IGNORECASE)
# Behind a reason or a comparison, other choices are mentioned, not answered.
_BREATH_END = re.compile(rf"{SENTENCE_END.pattern}|\b(?:because|since|as|so|not|than|instead)\b", re.IGNORECASE)

TRUTH = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_ECHO = re.compile(rf"\W*(?:answer\W{{1,3}})?{EITHER.pattern}[\s)\]:?.*_-]*", re.IGNORECASE)
_YES_NO_HERE = re.compile(r"[(\[]?(yes|no|true|false)(?![^\W_])", re.IGNORECASE)

# What numbers or letters an answer as an item of a list: `1) Yes`, `A. No`, `(b) no`.
_ITEM = re.compile(r"\(?(?:[0-9]{1,2}|[A-Ja-j])[.)]\s+")
# The same with a letter that a student made up, in any form, and what begins a later item of its list.
_OWN_ITEM = re.compile(
    r"[*_]{0,2}(?:option\s+)?\(?(?:[A-Ja-j](?:\)?:|\)|\.(?=[\s*_]))|[0-9]{1,2}[.)](?=[\s*_]))[*_]{0,2}\s*[*_]{0,2}",
    re.IGNORECASE,
)
_LATER_ITEM = re.compile(r"(?<![^\s,;*])\(?[A-J]\)\W|(?:\n|\A)[^\w\n]{0,8}(?:[A-J][.:]|[2-9][.)])\s")
_SECOND_NUMBER, _SECOND_LETTER = (re.compile(rf"\n[^\S\n]*+\(?{each}[.)]\s") for each in ("2", "[Bb]"))

_OPTION = re.compile(r"(?:the\s+)?(?:option|choice)\s+[*_]{0,2}(?=\(?[A-J]\b)", re.IGNORECASE)

# A letter in brackets, or one that may have a bracket behind it.
_INSIDE = rf"[\s*`_{QUOTES}]*"
_LETTER_HERE = re.compile(rf"[(\[]{_INSIDE}([A-Ja-j])\.?{_INSIDE}[)\]]|([A-Ja-j])(?![^\W_])[)\]]?")
_LONE_LETTER = re.compile(r"\s*(?:[*_]{0,2}option\s+)?([A-Ja-j])[.*_]{0,3}[ \t]*(?:\n|\Z)", re.IGNORECASE)
_INITIALS = re.compile(r"\.[^\W_]")
_GOES_ON = re.compile(r"\s*(?:[/|&]|(?:and|or|but)\b)", re.IGNORECASE)
# A few words that name something and say nothing of it, alone on their line.
_NAME = re.compile(
    r"(?:[ \t]+(?!(?:is|are|was|were|not|or|and|but|nor)\b)[^\s.,;:!?]+){1,4}[.!]?[ \t]*(?:\n|\Z)", re.IGNORECASE
)


class Stated(NamedTuple):
    """What a statement says: its answer if it states one, or that it states two (`B or C`)."""

    answer: str | None
    is_two: bool = False


NOTHING, TWO = Stated(None), Stated(None, is_two=True)


def stated(statement: str, question: Question) -> Stated:
    """Read the answer that a statement begins with."""
    if question.answer_type == "expression":
        return Stated(stated_expression(statement))
    statement = held_by_braces(statement)
    if question.answer_type == "text":
        return Stated(_text_in(statement, question))
    said, option = _said(statement, question), _OPTION.match(statement, end_of(OPENING, statement, 0))
    is_option = said == NOTHING and option and question.choices
    return _said(statement[option.end() :], question) if is_option and option else said


def _said(text: str, question: Question) -> Stated:
    """Read yes, no or the choice that a text begins with."""
    plain = plain_letters(text)
    start = end_of(OPENING, plain, 0)
    return _yes_no_at(plain, start) if question.answer_type == "yes_no" else _choice_at(plain, start, question)


def opening(text: str, question: Question) -> Stated:
    """Read the answer that a text begins with, alone or with its reason; a free text that is no number has none.

    It is read like a statement, but no sentence may say something of a letter (`(A) oven is wrong`), and an article may
    stand before a choice that is all of the text (`A hook.`). `Yes or no?` and a list of choices, three or more of
    them, repeat what was asked. A text that goes through the choices one by one begins with none of them.
    """
    if question.answer_type == "text":
        return Stated(first_number(text) if is_number(question.answer) else None)
    if question.answer_type == "expression":
        return NOTHING
    said = _said(held_by_braces(text), question)
    if question.answer_type == "yes_no":
        echo = _ECHO.match(text)
        return stated(text[echo.end() :], question) if echo else said
    if said.is_two:
        return NOTHING if lists_choices(text, question) else TWO
    if said.answer is not None and goes_through(text, said.answer, question):
        return NOTHING
    if said.answer is None:
        return Stated(_only_choice(text.strip(), question) or _lone_letter(text, question))
    return said if _stands_off(plain_letters(text), said.answer, question) else NOTHING


def _only_choice(text: str, question: Question) -> str | None:
    """Read the choice whose text, with an article or without, is all there is."""
    alone = canonical(text[end_of(ARTICLE, text, 0) :])
    lettered = zip(question.letters, question.choices, strict=True)
    letters = [letter for letter, choice in lettered if canonical(choice) == alone]
    return letters[0] if len(letters) == 1 else None


def _lone_letter(text: str, question: Question) -> str | None:
    """Read the letter, small or not, that is all of a first line."""
    found = _LONE_LETTER.match(text) if has_letters(question) else None
    return found[1].upper() if found and found[1].upper() in question.letters else None


def _stands_off(text: str, answer: str, question: Question) -> bool:
    """Tell whether the letter that a text begins with, or its own text, has an end or a reason behind it."""
    letter = _LETTER_HERE.match(text, end_of(OPENING, text, 0))
    if letter is None or not has_letters(question):
        return True
    end = end_of_own_text(text, letter.end(), question.choices[question.letters.index(answer)])
    if any(_END.match(text, each) for each in (letter.end(), end) if each is not None):
        return True
    name = _NAME.match(text, letter.end()) if letter[0][-1] in ")]" else None
    if name is None:
        return False
    own = question.choices[question.letters.index(answer)]
    others = [each for each in question.choices if each != own]
    return not _beginnings([name[0]]) & (_beginnings(others) - _beginnings([own]))


def _beginnings(texts: Sequence[str]) -> set[str]:
    """Take the first letters of each word, by which `loneliness` and `lonely` are alike."""
    return {word[:4] for text in texts for word in bare_text(text).casefold().split()}


def ends_there(statement: str) -> bool:
    """Tell whether a statement is one sentence and gives no reason, so that nothing behind its answer is lost."""
    sentence = SENTENCE_END.split(statement.strip(), maxsplit=1)
    return _REASON.search(sentence[0]) is None and not any(map(str.isalnum, "".join(sentence[1:])))


def _yes_no_at(text: str, start: int) -> Stated:
    item = _ITEM.match(text, start)
    found = _YES_NO_HERE.match(text, item.end() if item else start)
    if found is None:
        return NOTHING
    if item and (_SECOND_NUMBER if item[0].strip("( ")[0].isdigit() else _SECOND_LETTER).search(text, found.end()):
        return NOTHING
    answer = TRUTH[found[1].lower()]
    start, worded = _joined(text, found.end())
    other = _YES_NO_HERE.match(text, start)
    if other and TRUTH[other[1].lower()] != answer:
        is_word = other[1].lower() == "no"  # of another phrase: `yes, but no other fish`
        if _END.match(text, other.end()) or (worded and not is_word):
            return TWO
    if not _END.match(text, found.end()):
        return NOTHING
    sentence_end = SENTENCE_END.search(text, found.end())
    others = YES_NO.finditer(text, found.end(), sentence_end.start() if sentence_end else len(text))
    closes = any(each[0].lower() != answer and _END.match(text, each.end()) for each in others)
    return TWO if closes else Stated(answer)


def _choice_at(text: str, start: int, question: Question) -> Stated:
    if not has_letters(question):
        return _unlettered_choice_at(text, start, question)
    by_letter = _letter_at(text, start, question)
    by_text = _choice_text_at(text, start + (text[start : start + 1] in ("(", "[")), question)
    if by_text.answer is None or by_letter in (NOTHING, by_text):
        return by_text if by_letter == NOTHING else by_letter
    # "C." can be a letter and another choice's text; a longer text ("E. coli") makes it two answers.
    return by_letter if len(canonical(question.choices[question.letters.index(by_text.answer)])) == 1 else TWO


def _unlettered_choice_at(text: str, start: int, question: Question) -> Stated:
    """Read the text of a choice that no letter names; behind a letter of the student's own, too, but in no list."""
    said, item = _choice_text_at(text, start, question), _OWN_ITEM.match(text, start)
    if said != NOTHING or item is None or _LATER_ITEM.search(text, item.end()):
        return said
    return _choice_text_at(text, item.end(), question)


def _letter_at(text: str, start: int, question: Question) -> Stated:
    found = _LETTER_HERE.match(text, start)
    if found is None or (found[1] or found[2]).upper() not in question.letters:
        return NOTHING
    letter = (found[1] or found[2]).upper()
    end = end_of_own_text(text, found.end(), question.choices[question.letters.index(letter)])
    if not _is_marked(text, found) and (end is None or found[2].islower()):
        return NOTHING
    is_other = end is None and _says_another(text, found.end(), letter, question)
    return TWO if is_other or _names_another(text, end or found.end(), letter, question) else Stated(letter)


def _is_marked(text: str, found: re.Match[str]) -> bool:
    """Tell whether the letter is bracketed or ends there; a small one needs a bracket or a stop behind it."""
    if found[1] or found[0][-1] in ")]":
        return True
    if _INITIALS.match(text, found.end()):
        return False
    if found[2].islower():
        return text[found.end() : found.end() + 1] in tuple(".,;:!?")
    return _END.match(text, found.end()) is not None


def _choice_text_at(text: str, start: int, question: Question) -> Stated:
    lettered = zip(question.letters, question.choices, strict=True)
    found = [(letter, end_of_choice(text, start, choice)) for letter, choice in lettered]
    ends = {letter: end for letter, end in found if end is not None and _END.match(text, end)}
    last = max(ends.values(), default=0)
    letters = [letter for letter, end in ends.items() if end == last]
    if len(letters) != 1:
        return NOTHING
    return TWO if _names_another(text, last, letters[0], question) else Stated(letters[0])


def _names_another(text: str, end: int, letter: str, question: Question) -> bool:
    """Tell whether a second answer follows, as in `B or C`, `B. C.` or `B, while (C) is`, but not in `B. C is wet`."""
    start, worded = _joined(text, end)
    marker = letter_markers(question).match(text, start)
    if marker and (worded or _is_bare(text, marker, question)):
        return worded or letter_of(marker) != letter
    later = letter_markers(question).finditer(text, end, _end_of_breath(text, end))
    if any(letter_of(each) != letter and (each[0][-1] == ")" or _is_bare(text, each, question)) for each in later):
        return True
    starts = starts_of_text(text, end, start)
    others = [choice for other, choice in zip(question.letters, question.choices, strict=True) if other != letter]
    ends = (end_of_choice(text, each, other) for each in starts for other in others)
    return any(_END.match(text, each) or _GOES_ON.match(text, each) for each in ends if each is not None)


def _says_another(text: str, end: int, letter: str, question: Question) -> bool:
    """Tell whether what is said behind a letter mentions other choices and not its own, as `(B) the fork` may."""
    mentions = mention_of(question.choices).finditer(text, end, _end_of_breath(text, end))
    mentioned = {each.lastgroup for each in mentions}
    return bool(mentioned) and letter not in mentioned


def _end_of_breath(text: str, start: int) -> int:
    found = _BREATH_END.search(text, start)
    return found.start() if found else len(text)


def _is_bare(text: str, marker: re.Match[str], question: Question) -> bool:
    """Tell whether a letter stands there alone, or with nothing but its own text."""
    if _END.match(text, marker.end()):
        return True
    end = own_text_end(text, marker, question)
    return end is not None and _END.match(text, end) is not None


def _joined(text: str, start: int) -> tuple[int, bool]:
    """Tell where a second answer would begin, and whether a word joins it to the first."""
    end = end_of(_JOINER, text, start)
    return end, any(each.isalpha() for each in text[start:end])


def _text_in(statement: str, question: Question) -> str | None:
    start = end_of(OPENING, statement, 0)
    ends = SENTENCE_END.finditer(statement, start)
    if is_number(question.answer):
        end = next(ends, None)
        return announced_number(statement[start : end.start() if end else len(statement)])
    end = next((each for each in ends if not is_abbreviated(statement, each.start())), None)
    return tidied(statement[start : end.start() if end else len(statement)]) or None
