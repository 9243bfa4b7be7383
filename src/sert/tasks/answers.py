"""How answers are read from texts that a model wrote.

A text is cut where it begins a next question (`sert.tasks.markers`). Strict reading takes the answer that what is left
states, by the rule of `docs/stages.md`, and never guesses; loose reading takes the first plausible answer. Both are
linear in the length of the text, whatever it holds.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from sert.records import LETTERS, Question
from sert.tasks.expressions import braced, form_of_expression, same_expression
from sert.tasks.markers import markers_of, own_part
from sert.tasks.mentions import first_plausible, named
from sert.tasks.normalize import WRAPPING, canonical, is_number
from sert.tasks.numbers import (
    CONCLUDING,
    SENTENCE_END,
    calculated_number,
    concluding_number,
    explained_number,
    pointed_number,
    told_number,
)
from sert.tasks.numerals import POWERS
from sert.tasks.statements import NOTHING, TRUTH, Stated, ends_there, opening, stated

ANSWER_PHRASE = "So the answer is"
"""What students are trained to write before their answer."""
READING = 6
"""Version of the rules by which texts are read and cut, a part of the key of whatever was read by them."""

_PHRASE = re.compile(rf"\b{ANSWER_PHRASE}\b".replace(" ", r"\s+"), re.IGNORECASE | re.ASCII)
_IS = (
    r"(?:is|was|(?:would|must|should|will)\s+be)\b(?:\s+(?:indeed|therefore|thus)\b)?"
    r"(?!\s+(?:found|calculated|computed|obtained|determined)\s+(?:by|from|through|using)\b[^=.\n]{0,120}(?:[.\n]|\Z))"
    r"(?:(?:\s*:\s*|\s+)(?:option|choice)\b)?"
)
_WHAT = r"""\s(?:[^.!?:\n"]{1,120}?|[^.!?:\n"]{0,40}"[^"\n]{1,400}")"""
_ANNOUNCEMENT = re.compile(
    rf"\b(?:{CONCLUDING})?(?:the|my|our)\s+(?:(?!the\b)\w+\s+){{0,3}}answer(?:\s+(?:to|for){_WHAT}|\s+\([^()\n]{{1,40}}\))?"
    rf"\s+{_IS}"
    rf"|\b(?:{CONCLUDING})?the\s+(?:correct|right|best)\s+(?:option|choice)\s+{_IS}"
    r"|\\boxed\s*\{(?:\\text\w*\s*\{)?"
    r"|^####",
    re.IGNORECASE | re.MULTILINE,
)

# What makes an announcement no answer: `if the answer is`, `some say the answer is`, `the wrong answer is`.
_WRONG = r"(?:wrong|incorrect|false|worst|least\s+\w+)"
_NOT_SAID = re.compile(
    r"(?:\b(?:if|whether)|\b(?:not|\w+n't)\s+(?:think|believe|say)(?:\s+that)?"
    r"|\b(?:some|many|most|people|others)\s+(?:(?:people|might|may|would|could)\s+){0,2}(?:say|think|believe)(?:\s+that)?"
    r")[ \t]+\Z",
    re.IGNORECASE,
)
_WRONG_BEFORE = re.compile(rf"(?<!or )\b{_WRONG}[ \t]+\Z", re.IGNORECASE)
_WRONG_WITHIN = re.compile(rf"\b{_WRONG}\s+(?:answer|option|choice)\b", re.IGNORECASE)
_LOOK_BACK = 40
"""Characters before an announcement that may make it none."""

_OPINION = r"(?:(?<!as )well|I\s+(?:think|believe|would\s+say)),?\s+"
# What is the answer only if it can be read: `Therefore, no` but not `Therefore, no fish`, `(B) is the answer`.
_UNANNOUNCED = re.compile(
    rf"\b(?:{CONCLUDING}|{_OPINION})((?:yes|no|true|false)\b[^\n]{{0,80}}|\(?[A-J]\)?[.!]?(?=\s*(?:\n|\Z)))"
    rf"|(?:{CONCLUDING}|(?:but|and)\s{{1,3}})?([^\s.!?,;:][^.!?,;:\n]{{0,40}}?)\s{{1,4}}(?:is|would\s+be)\s+(?:also\s+)?"
    rf"(?:correct|(?:the|my)\s+(?:(?!{_WRONG}\b)\w+\s+)?(?:answer|choice|option))\b",
    re.IGNORECASE,
)

# `How many million ...?`, `in thousands`.
_ASKED_IN = re.compile(rf"\b(?:how\s+(?:many|much)|in)\s+({'|'.join(POWERS)})s?\b", re.IGNORECASE)


class _Announced(NamedTuple):
    """An announcement: where it begins, what stands behind it up to the next one, and if it is no more than `A:`."""

    start: int
    statement: str
    by_letter: bool


class Reading(NamedTuple):
    """What is read from a text.

    Attributes:
        reasoning: What stands before its conclusion, and nothing of a next question. The conclusion is the last `So the
            answer is` with all behind it, else an answer in other words that ends the text.
        answer: The answer that it states (`extract_strict`).
        by_phrase: Whether it states its answer as students are trained to, behind `So the answer is`.
        parts: Where a lenient reader looks for an answer, in this order: what stands behind each announcement, the last
            first, then all of the text before a next question.
    """

    reasoning: str
    answer: str | None
    by_phrase: bool
    parts: tuple[str, ...]


@lru_cache(maxsize=1024)  # whoever grades a text asks for one thing after the other
def read(text: str, question: Question) -> Reading:
    """Read a text's reasoning and its answer at once."""
    own = _without_open_end(own_part(text, question), question)
    phrases = _phrases(own)
    announced = phrases or _announced(own, question)
    said = [stated(each.statement, question) for each in announced]
    lenient = [each.statement for each in announced]
    if question.expression:  # what is announced is the expression itself, of which no part is plausible
        lenient = [rf"\boxed{{{each.answer}}}" for each in said if each.answer is not None]
    parts = (*reversed(lenient), own)
    if phrases:
        return Reading(own[: phrases[-1].start], said[-1].answer, by_phrase=said[-1].answer is not None, parts=parts)
    closes = announced and said[-1].answer is not None and ends_there(announced[-1].statement)
    reasoning = own[: announced[-1].start] if closes else own
    return Reading(reasoning, _only_answer(own, announced, said, question), by_phrase=False, parts=parts)


def extract_strict(text: str, question: Question) -> str | None:
    """Read the answer that a text states to its question, before it goes on with a question of its own.

    Behind the last `So the answer is` alone where it is there. Else behind announcements in other words (`The correct
    answer is`, `Answer:`, a box) and at the beginning of the text (`No, because`, `(B) hook`, `7 pens.`): all that
    can be read there must say the same, and the last announcement must be one of them, unless it names no possible
    answer and the text begins with one.

    Quotes, brackets, emphasis, dashes and a colon may stand before the answer, other words may not. Behind it come the
    end, punctuation, a symbol or a reason (`because`, `since`, `as`), but no other words of the same phrase.

    - yes/no: the word itself (or true/false); not `no one knows`.
    - choice: a letter of the question where its prompt shows letters (`B`, `(B)`, `B.`, `B) text`; a small letter needs
      a bracket or a stop), or exactly the text of one choice, whatever its case, spacing and closing stop.
    - text: the rest of the sentence, or what a box holds, without what wraps it; where the gold answer is a number, the
      sentence's only one, or the one behind its last `=`, before any aside, reason or comparison.
    - expression: what a box or the signs of a formula hold, else the rest of the sentence.

    Two answers are none: joined (`B or C`, `yes, but no`), a letter with another choice's text, the opposite word or
    another letter further on in the same sentence (`yes, and in winter no`; for letters only up to a reason), a letter
    with a sentence that mentions another choice alone (`(B) He used the fork.`), or nothing but another answer in the
    next (`B. C.`). So are a number and another one that is calculated right before it is announced or concluded, or at
    the end of what explains it, and two results for what is named alike.

    Returns:
        `yes`/`no`, a capital letter, or a text; None when no answer, or more than one, is stated.
    """
    return read(text, question).answer


def _only_answer(own: str, announced: Sequence[_Announced], said: Sequence[Stated], question: Question) -> str | None:
    """Return what all places of a text say that can state its answer, where no phrase does.

    The last announcement must be one of them, unless the text begins with an answer and the announcement names none
    (`No. The answer is open to many.`).
    """
    is_counted = question.answer_type == "text" and is_number(question.answer)
    before = own[: announced[0].start] if announced else own
    is_marked = announced and announced[0].by_letter and not before.strip()  # `A: No.`
    first = said[0] if is_marked else opening(own, question)
    told = [pair for pair in zip(announced, said, strict=True) if pair[1] != NOTHING or not pair[0].by_letter]
    if told and told[-1][1] == NOTHING and (is_counted or _takes_back(told[-1][0].statement, first, question)):
        return None
    places = [*said, first]
    if is_counted or question.answer_type in ("yes_no", "choice"):
        places += [stated(found[1] or found[2], question) for found in _UNANNOUNCED.finditer(own)]
    if is_counted:
        places += map(Stated, _numbers(own, before, first, [each for _, each in told]))
    same = form_of_expression if question.expression else canonical
    answers = {same(each.answer): each.answer for each in places if each.answer is not None}
    return answers.popitem()[1] if len(answers) == 1 and not any(each.is_two for each in places) else None


def _numbers(own: str, before: str, first: Stated, said: Sequence[Stated]) -> Iterator[str | None]:
    """List the numbers that a text concludes, and those that it calculates, which must be the same.

    Those are looked for `before` the first announcement, unless the text begins and ends with what it announces.
    """
    yield concluding_number(own)
    yield pointed_number(own)
    if said and first not in said:
        yield calculated_number(before)
        if own.startswith("####", len(before)):
            yield told_number(before)
    elif not said and first != NOTHING:
        yield explained_number(own)


def _takes_back(statement: str, first: Stated, question: Question) -> bool:
    """Tell whether an announcement that states nothing leaves nothing of what the text begins with.

    So it is where that is no answer either, or the announcement names another one all the same (`neither yes nor no`).
    """
    sentence = SENTENCE_END.split(statement.lstrip(WRAPPING + " \t\n"), maxsplit=1)[0]
    return first == NOTHING or not named(sentence, question) <= {first.answer}


def extract_loose(text: str, question: Question) -> str | None:
    """Read the strict answer if there is one, else the first plausible answer.

    What stands behind each announcement is searched before the whole text, the last first.

    - yes/no: the first of these words that does not follow `not`.
    - choice: the first letter of the question that is marked (`(B)`, `B)`, `B.`) or stands alone (`A` and `I` before
      a word are English words, not letters, unless it is `or` or `and`), else the choice text that is mentioned first.
    - text: the last number where the gold answer is a number, else the first line that is not empty.
    - expression: the last box, else the last formula between its signs, else the last number.
    """
    found = read(text, question)
    if found.answer is not None:
        return found.answer
    return next((answer for part in found.parts if (answer := first_plausible(part, question)) is not None), None)


def reasoning_of(text: str, question: Question) -> str:
    """Return what stands before the conclusion of a text, and nothing of a next question (`Reading.reasoning`)."""
    return read(text, question).reasoning


def is_correct(answer: str, question: Question) -> bool:
    """Compare an extracted answer with the gold one.

    Texts are compared without regard to case, blanks, wrapping punctuation, and the way numbers are written
    (`$1,000.0` is `1000`, and `2 million` is `2` where the question asks how many million); expressions by their value.
    """
    if question.answer_type == "expression":
        return same_expression(answer, question.answer)
    if question.answer_type == "text":
        asked = [each[1].lower() for each in _ASKED_IN.finditer(question.question)]
        same = [question.answer, *(f"{question.answer} {each}" for each in asked)]
        return canonical(answer) in map(canonical, same)
    return answer == question.answer


def normalize_gold(raw: object, choices: Sequence[str]) -> str | None:
    """Bring a gold answer to the form that `Question.answer` has.

    Args:
        raw: True, false, or a text: with choices a letter (`B`, `(B)`) or a choice's text, else yes/no, true/false or
            any text.
        choices: The question's options; empty when there are none.

    Returns:
        `yes`/`no`, a letter, or the stripped text. None when it is empty or of another type, names no choice, or could
        be two of them (a text that two choices share, or one choice's letter and another's text).
    """
    if not choices and isinstance(raw, bool):
        return "yes" if raw else "no"
    if not isinstance(raw, str) or not canonical(raw):
        return None
    if choices:
        return _gold_choice(raw.strip(), choices)
    return TRUTH.get(canonical(raw), raw.strip())


def _phrases(own: str) -> list[_Announced]:
    return _between(own, list(_PHRASE.finditer(own)))


def _announced(own: str, question: Question) -> list[_Announced]:
    """Find what is announced in other words, where anything follows; of braces what they hold."""
    heads = sorted(
        (*_ANNOUNCEMENT.finditer(own), *_answer_markers(own, question)), key=lambda head: (head.start(), head.end())
    )
    heads = [head for head in heads if _is_said(own, head)]
    found = _between(own, heads, nested=question.expression)
    return [each for each in found if any(map(str.isalnum, each.statement))]


def _is_said(own: str, head: re.Match[str]) -> bool:
    """Tell whether an announcement is the text's own: no condition, no one else's, not that of a wrong answer."""
    before = own[max(0, head.start() - _LOOK_BACK) : head.start()].replace("’", "'")  # noqa: RUF001
    is_marker = head[0].lstrip("*_# ")[:6].casefold() == "answer"
    is_wrong = _WRONG_WITHIN.search(head[0]) or (is_marker and _WRONG_BEFORE.search(before))
    return not is_wrong and not _NOT_SAID.search(before)


def _without_open_end(own: str, question: Question) -> str:
    """Cut what begins an answer, as `A:` does, and says none."""
    end = len(own)
    for marker in reversed(list(markers_of(question).answer.finditer(own))):
        if any(map(str.isalnum, own[marker.end() : end])):
            break
        end = marker.start()
    return own[:end]


def _between(own: str, heads: Sequence[re.Match[str]], *, nested: bool = False) -> list[_Announced]:
    """Take what stands behind each head up to the next one; of braces what they hold, up to the first that closes.

    Of `nested` ones it is the one that closes the first; a head within what another holds is none then, nor is one
    that nothing closes.
    """
    ends = [*(head.start() for head in heads), len(own)][1:]
    found, held_to = list[_Announced](), 0
    for head, end in zip(heads, ends, strict=True):
        statement = own[head.end() : end]
        if head[0].endswith("{"):
            held = braced(own, head.end()) if nested else braced(statement, 0)
            if nested and (held is None or head.start() < held_to):
                continue
            held = statement.partition("}")[0] if held is None else held
            statement, held_to = held, head.end() + len(held)
        found.append(_Announced(head.start(), statement, by_letter=sum(map(str.isalpha, head[0])) == 1))
    return found


def _answer_markers(own: str, question: Question) -> Iterator[re.Match[str]]:
    """Find `Answer:` and the like; where there are choices, `A:` is one of them unless `(` or nothing follows."""
    for marker in markers_of(question).answer.finditer(own):
        is_choice = question.choices and sum(map(str.isalpha, marker[0])) == 1
        behind = own[marker.end() : marker.end() + 8].strip()
        if not is_choice or not behind or behind.startswith("("):
            yield marker


def _gold_choice(raw: str, choices: Sequence[str]) -> str | None:
    lettered = dict(zip(LETTERS, choices, strict=False))
    bracketed = re.fullmatch(r"\(([A-Ja-j])\)", raw)
    if bracketed:
        return bracketed[1].upper() if bracketed[1].upper() in lettered else None
    named = {letter for letter, choice in lettered.items() if choice == raw}
    named = named or {letter for letter, choice in lettered.items() if canonical(choice) == canonical(raw)}
    if len(raw.rstrip(".)")) == 1 and (letter := raw[0].upper()) in lettered:
        named.add(letter)
    return named.pop() if len(named) == 1 else None
