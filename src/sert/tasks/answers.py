"""How answers are read from texts that a model wrote.

Strict reading looks right behind the last `So the answer is` and never guesses; loose reading takes the first
plausible answer. Both are linear in the length of the text, whatever it holds.
"""

import functools
import re
from collections.abc import Sequence

from sert.records import LETTERS, Question

ANSWER_PHRASE = "So the answer is"

_PHRASE = re.compile(rf"\b{ANSWER_PHRASE}\b", re.IGNORECASE | re.ASCII)
_QUOTES = "\"'“”‘’"  # noqa: RUF001 - typographic quotes are meant
_WRAPPING = _QUOTES + ".,;:!?()[]*`"
# What may stand between the phrase and the answer: blanks, colons, dashes, opening quotes, emphasis.
_OPENING = re.compile(rf"[\s:*`{_QUOTES}–—-]*")  # noqa: RUF001
# What must stand behind an answer: punctuation, the end of the line, or a reason.
_END = re.compile(
    rf"\s*\Z|[ \t]*\n|[.,;:!?—](?![0-9])|[{_QUOTES})\]*`]+(?!\w)|[ \t]+(?:because|since|as)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|\Z)|\n")
# "yes, no", "B and C", "B/C": what stands between two answers in one breath.
_JOINER = re.compile(rf"[ ,;/)*`\]{_QUOTES}]*(?:(?:and|or|but)\b *)?", re.IGNORECASE)

_YES_NO = re.compile(r"(?<![\w-])(?:yes|no)(?!\w|-\w)", re.IGNORECASE)
_YES_NO_HERE = re.compile(r"[(\[]?(yes|no)\b", re.IGNORECASE)

_LETTER_HERE = re.compile(r"([(\[]?)([A-Ja-j])(?!\w)([)\]]?)")
_LETTER_TAIL = re.compile(r"[.):,*\] –-]*")  # noqa: RUF001

_NUMBER = re.compile(r"(?<![\w.,])[-+]?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?")
_MONEY = re.compile(r"[$€£]?([-+]?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?)")


def extract_strict(text: str, question: Question) -> str | None:
    """Read the answer right behind the last `So the answer is` (case does not matter).

    - yes/no: the word itself, not followed by other words of the same phrase (`no one knows`) or by its opposite.
    - choice: a letter of the question (`B`, `(B)`, `B.`, `B) text`; a small letter needs a bracket or a stop), or
      exactly the text of one choice. Two answers (`B or C`), or a letter with another choice's text, are none.
    - text: the rest of the sentence without quotes and closing punctuation; where the gold answer is a number, the
      only number of that sentence.

    Returns:
        `yes`/`no`, a capital letter, or a text; None when no answer, or more than one, is stated.
    """
    phrase = _last_phrase(text)
    if phrase is None:
        return None
    start = _end_of(_OPENING, text, phrase.end())
    if question.answer_type == "yes_no":
        return _yes_no_at(text, start)
    if question.answer_type == "choice":
        return _choice_at(text, start, question)
    return _statement(text[phrase.end() :], question)


def extract_loose(text: str, question: Question) -> str | None:
    """Read the strict answer if there is one, else the first plausible answer.

    What stands behind the last `So the answer is` is searched before the whole text.

    - yes/no: the first of these words.
    - choice: the first letter of the question that is marked (`(B)`, `B)`, `B.`) or stands alone (`A` and `I` before
      a word are English words, not letters, unless it is `or` or `and`), else the choice text that is mentioned first.
    - text: the last number where the gold answer is a number, else the first line that is not empty.
    """
    strict = extract_strict(text, question)
    if strict is not None:
        return strict
    phrase = _last_phrase(text)
    parts = [text] if phrase is None else [text[phrase.end() :], text]
    return next((answer for part in parts if (answer := _first_plausible(part, question)) is not None), None)


def reasoning_of(text: str) -> str:
    """Return what stands before the last `So the answer is`, the whole text when it is not there."""
    phrase = _last_phrase(text)
    return text if phrase is None else text[: phrase.start()]


def is_correct(answer: str, question: Question) -> bool:
    """Compare an extracted answer with the gold one.

    Texts are compared without regard to case, blanks, wrapping punctuation, and the way numbers are written
    (`$1,000.0` is `1000`).
    """
    if question.answer_type == "text":
        return _canonical(answer) == _canonical(question.answer)
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
    if not isinstance(raw, str) or not _canonical(raw):
        return None
    if choices:
        return _gold_choice(raw.strip(), choices)
    truth = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
    return truth.get(_canonical(raw), raw.strip())


def _last_phrase(text: str) -> re.Match[str] | None:
    found = list(_PHRASE.finditer(text))
    return found[-1] if found else None


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _yes_no_at(text: str, start: int) -> str | None:
    found = _YES_NO_HERE.match(text, start)
    if found is None or not _END.match(text, found.end()):
        return None
    other = _YES_NO_HERE.match(text, _end_of(_JOINER, text, found.end()))
    answer = found[1].lower()
    return None if other and other[1].lower() != answer else answer


def _choice_at(text: str, start: int, question: Question) -> str | None:
    by_letter = _letter_at(text, start, question)
    by_text = _choice_text_at(text, start, question)
    if by_letter is None or by_text is None or by_letter == by_text:
        return by_letter or by_text
    # "C." can be a letter and another choice's text; a longer text ("E. coli") makes it two answers.
    return by_letter if len(_canonical(question.choices[question.letters.index(by_text)])) == 1 else None


def _letter_at(text: str, start: int, question: Question) -> str | None:
    found = _LETTER_HERE.match(text, start)
    if found is None or found[2].upper() not in question.letters:
        return None
    letter = found[2].upper()
    own = question.choices[question.letters.index(letter)]
    behind = _end_of(_LETTER_TAIL, text, found.end())
    own_follows = behind > found.end(2) and _holds(text, behind, own)
    if not _is_marked(text, found) and not (own_follows and found[2].isupper()):
        return None
    if own_follows:
        end = behind + len(own)
    else:
        end = found.end()
        if any(_holds(text, behind, other) and _END.match(text, behind + len(other)) for other in question.choices):
            return None
    return None if _names_another(text, end, letter, question) else letter


def _is_marked(text: str, found: re.Match[str]) -> bool:
    """Tell whether the letter is bracketed or ends there; a small one must have a bracket or a stop behind it."""
    if found[3]:
        return True
    if found[1]:
        return False
    if found[2].islower():
        return text[found.end() : found.end() + 1] in tuple(".,;:!?")
    return _END.match(text, found.end()) is not None


def _choice_text_at(text: str, start: int, question: Question) -> str | None:
    lettered = zip(question.letters, question.choices, strict=True)
    found = [
        (letter, choice)
        for letter, choice in lettered
        if _holds(text, start, choice) and _END.match(text, start + len(choice))
    ]
    longest = max((len(choice) for _, choice in found), default=0)
    letters = [letter for letter, choice in found if len(choice) == longest]
    if len(letters) != 1 or _names_another(text, start + longest, letters[0], question):
        return None
    return letters[0]


def _names_another(text: str, end: int, letter: str, question: Question) -> bool:
    """Tell whether a second answer follows in the same breath, as in `B or C`."""
    start = _end_of(_JOINER, text, end)
    if start == end:
        return False
    marker = _marker(len(question.choices)).match(text, start)
    if marker:
        return _letter_of(marker) != letter
    others = (choice for other, choice in zip(question.letters, question.choices, strict=True) if other != letter)
    return any(_holds(text, start, other) and _END.match(text, start + len(other)) for other in others)


def _holds(text: str, start: int, choice: str) -> bool:
    """Tell whether a choice's text stands at `start`, as whole words and in any case."""
    end = start + len(choice)
    return text[start:end].casefold() == choice.casefold() and not text[end : end + 1].isalnum()


def _statement(tail: str, question: Question) -> str | None:
    start = _end_of(_OPENING, tail, 0)
    # The sign of a negative number is no dash.
    if start and tail[start - 1] == "-" and tail[start : start + 1].isdecimal():
        start -= 1
    end = _SENTENCE_END.search(tail, start)
    sentence = tail[start : end.start() if end else len(tail)]
    if _is_number(question.answer):
        numbers = _NUMBER.findall(sentence)
        return numbers[0] if len(numbers) == 1 else None
    return _tidy(sentence) or None


def _first_plausible(text: str, question: Question) -> str | None:
    if question.answer_type == "yes_no":
        found = _YES_NO.search(text)
        return found[0].lower() if found else None
    if question.answer_type == "choice":
        marker = _marker(len(question.choices)).search(text)
        return _letter_of(marker) if marker else _first_mentioned(text, question)
    if _is_number(question.answer):
        numbers = _NUMBER.findall(text)
        return numbers[-1] if numbers else None
    return next((tidy for line in text.split("\n") if (tidy := _tidy(line))), None)


@functools.cache
def _marker(num_choices: int) -> re.Pattern[str]:
    """Match a letter that names a choice: `(B)`, `b)`, `B.`, a lone `B`; never the words `A` and `I`."""
    capitals = LETTERS[:num_choices]
    either = capitals + capitals.lower()
    words = r"A[ \t]+(?!(?:or|and)\b)\w|I[ \t]+\w"
    lone = rf"(?!{words})([{capitals}])(?![\w'’]|-\w|\.\w)"  # noqa: RUF001
    return re.compile(rf"\(([{either}])\)|(?<![\w'’.-])(?:([{either}])\)|{lone})")  # noqa: RUF001


def _letter_of(marker: re.Match[str]) -> str:
    return str(marker[1] or marker[2] or marker[3]).upper()


def _first_mentioned(text: str, question: Question) -> str | None:
    found = _mention(question.choices).search(text)
    return found.lastgroup if found else None


@functools.lru_cache(maxsize=256)
def _mention(choices: tuple[str, ...]) -> re.Pattern[str]:
    """Match one of the texts as whole words, in a group named by its letter; of two that begin together, the longer."""
    lettered = sorted(zip(LETTERS, choices, strict=False), key=lambda pair: -len(pair[1]))
    groups = "|".join(f"(?P<{letter}>{re.escape(choice)})" for letter, choice in lettered)
    return re.compile(rf"(?<!\w)(?:{groups})(?!\w)", re.IGNORECASE)


def _gold_choice(raw: str, choices: Sequence[str]) -> str | None:
    letters = LETTERS[: len(choices)]
    bracketed = re.fullmatch(r"\(([A-Ja-j])\)", raw)
    if bracketed:
        return bracketed[1].upper() if bracketed[1].upper() in letters else None
    lettered = list(zip(letters, choices, strict=False))
    named = {letter for letter, choice in lettered if choice == raw}
    named = named or {letter for letter, choice in lettered if _canonical(choice) == _canonical(raw)}
    if len(raw.rstrip(".)")) == 1 and (letter := raw[0].upper()) in letters:
        named.add(letter)
    return named.pop() if len(named) == 1 else None


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip(_WRAPPING + " ")


def _canonical(text: str) -> str:
    tidy = _tidy(text).casefold()
    number = _MONEY.fullmatch(tidy)
    return _canonical_number(number[1]) if number else tidy


def _canonical_number(number: str) -> str:
    whole, _, decimals = number.replace(",", "").lstrip("+").partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    value = digits.lstrip("0") or "0"
    if decimals := decimals.rstrip("0"):
        value = f"{value}.{decimals}"
    return value if value == "0" else sign + value


def _is_number(text: str) -> bool:
    return _MONEY.fullmatch(_tidy(text)) is not None
