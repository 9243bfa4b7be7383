"""What a statement says: the answer that stands right behind an announcement such as `So the answer is`.

Reading is linear in the length of the text, whatever it holds.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence

from sert.records import LETTERS, Question
from sert.tasks.expressions import plausible_expression, stated_expression
from sert.tasks.normalize import QUOTES, WRAPPING, canonical, is_number, tidied
from sert.tasks.numbers import OPENING, SENTENCE_END, first_number, last_number, only_number

# Emoji and the like. Units, currencies and signs of mathematics change what they stand behind.
_SYMBOL = r"[^\w\s\x00-\u2027\u2030-\u2037\u20a0-\u20cf\u2100-\u22ff]"
# What must stand behind an answer: punctuation, a dash, an aside, a symbol, the end of the line, or a reason.
_END = re.compile(
    rf"\s*\Z|[ \t\r]*(?:\n|[.,;:!?—…](?![0-9])|[{QUOTES})\]*`_]+(?![^\W_])|\(|[–-][ \t]+(?![\s0-9])|{_SYMBOL})"  # noqa: RUF001
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
_YES_NO = re.compile(r"(?<![\w-])(?<!\bnot )(?:yes|no)(?!\w|-\w)", re.IGNORECASE)
_YES_NO_HERE = re.compile(r"[(\[]?(yes|no|true|false)(?![^\W_])", re.IGNORECASE)

# What numbers or letters an answer as an item of a list: `1) Yes`, `A. No`, `(b) no`.
_ITEM = re.compile(r"\(?(?:[0-9]{1,2}|[A-Ja-j])[.)]\s+")
_NEXT_ITEM = re.compile(r"\n[^\S\n]*+\(?(?:2|[Bb])[.)]\s")

# A letter in brackets, or one that may have a bracket behind it.
_INSIDE = rf"[\s*`_{QUOTES}]*"
_LETTER_HERE = re.compile(rf"[(\[]{_INSIDE}([A-Ja-j])\.?{_INSIDE}[)\]]|([A-Ja-j])(?![^\W_])[)\]]?")
_LONE_LETTER = re.compile(r"\s*([A-Ja-j])[ \t]*(?:\n|\Z)")
_INITIALS = re.compile(r"\.[^\W_]")
_SIGNED = re.compile(r"(?<=[-+−$€£])[0-9]")  # noqa: RUF001
_GOES_ON = re.compile(r"\s*(?:[/|&]|(?:and|or|but)\b)", re.IGNORECASE)
_NO_WORD = re.compile(r"[\W_]*")
# A few words that name something and say nothing of it, alone on their line.
_NAME = re.compile(
    r"(?:[ \t]+(?!(?:is|are|was|were|not|or|and|but|nor)\b)[^\s.,;:!?]+){1,4}[.!]?[ \t]*(?:\n|\Z)", re.IGNORECASE
)
_ARTICLE = re.compile(r"(?:(?:the|an?)\s+[\W_]*)?", re.IGNORECASE)

# Composed letter by letter: a whole text takes quadratic time where accents pile up.
_ACCENTED = re.compile(r"\w[\u0300-\u036f]{1,4}")
_BLANKS = re.compile(r"\s+")


def stated(statement: str, question: Question) -> str | None:
    """Read the answer that a statement begins with; None where it begins with none, or states two (`B or C`)."""
    if question.answer_type == "text":
        return _text_in(statement, question)
    if question.answer_type == "expression":
        return stated_expression(statement)
    plain = _plain(statement)
    start = _end_of(OPENING, plain, 0)
    return _yes_no_at(plain, start) if question.answer_type == "yes_no" else _choice_at(plain, start, question)


def opening(text: str, question: Question) -> str | None:
    """Read the answer that a text begins with, alone or with its reason; a free text that is no number has none.

    It is read like a statement, but no sentence may say something of a letter (`(A) oven is wrong`), and an article may
    stand before a choice that is all of the text (`A hook.`).
    """
    if question.answer_type == "text":
        return first_number(text) if is_number(question.answer) else None
    if question.answer_type == "expression":
        return None
    answer = stated(text, question)
    if question.answer_type == "yes_no":
        return answer
    if answer is None:
        return _only_choice(text.strip(), question) or _lone_letter(text, question)
    return answer if _stands_off(_plain(text), answer, question) else None


def _only_choice(text: str, question: Question) -> str | None:
    """Read the choice whose text, with an article or without, is all there is."""
    alone = canonical(text[_end_of(_ARTICLE, text, 0) :])
    lettered = zip(question.letters, question.choices, strict=True)
    letters = [letter for letter, choice in lettered if canonical(choice) == alone]
    return letters[0] if len(letters) == 1 else None


def _lone_letter(text: str, question: Question) -> str | None:
    """Read the letter, small or not, that is all of a first line."""
    found = _LONE_LETTER.match(text)
    return found[1].upper() if found and found[1].upper() in question.letters else None


def _stands_off(text: str, answer: str, question: Question) -> bool:
    """Tell whether the letter that a text begins with, or its own text, has an end or a reason behind it."""
    letter = _LETTER_HERE.match(text, _end_of(OPENING, text, 0))
    if letter is None:
        return True
    end = _end_of_own_text(text, letter.end(), question.choices[question.letters.index(answer)])
    if any(_END.match(text, each) for each in (letter.end(), end) if each is not None):
        return True
    name = _NAME.match(text, letter.end()) if letter[1] else None
    return name is not None and not _beginnings([name[0]]) & _beginnings(question.choices)


def _beginnings(texts: Sequence[str]) -> set[str]:
    """Take the first letters of each word, by which `loneliness` and `lonely` are alike."""
    return {word[:4] for text in texts for word in _bare(text).casefold().split()}


def ends_there(statement: str) -> bool:
    """Tell whether a statement is one sentence and gives no reason, so that nothing behind its answer is lost."""
    sentence = SENTENCE_END.split(statement.strip(), maxsplit=1)
    return _REASON.search(sentence[0]) is None and not any(map(str.isalnum, "".join(sentence[1:])))


def _plain(text: str) -> str:
    """Write composed letters and straight apostrophes, so that equal texts compare equal."""
    composed = _ACCENTED.sub(lambda found: unicodedata.normalize("NFC", found[0]), text)
    return composed.replace("’", "'")  # noqa: RUF001


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _yes_no_at(text: str, start: int) -> str | None:
    found = _YES_NO_HERE.match(text, start) or _YES_NO_HERE.match(text, _end_of(_ITEM, text, start))
    if found and found.start() > start and _NEXT_ITEM.search(text, found.end()):
        return None
    if found is None or not _END.match(text, found.end()):
        return None
    answer = TRUTH[found[1].lower()]
    start, worded = _joined(text, found.end())
    other = _YES_NO_HERE.match(text, start)
    if other and TRUTH[other[1].lower()] != answer and (worded or _END.match(text, other.end())):
        return None
    sentence_end = SENTENCE_END.search(text, found.end())
    others = _YES_NO.finditer(text, found.end(), sentence_end.start() if sentence_end else len(text))
    closes = any(each[0].lower() != answer and _END.match(text, each.end()) for each in others)
    return None if closes else answer


def _choice_at(text: str, start: int, question: Question) -> str | None:
    by_letter = _letter_at(text, start, question)
    by_text = _choice_text_at(text, start + (text[start : start + 1] in ("(", "[")), question)
    if by_letter is None or by_text is None or by_letter == by_text:
        return by_letter or by_text
    # "C." can be a letter and another choice's text; a longer text ("E. coli") makes it two answers.
    return by_letter if len(canonical(question.choices[question.letters.index(by_text)])) == 1 else None


def _letter_at(text: str, start: int, question: Question) -> str | None:
    found = _LETTER_HERE.match(text, start)
    if found is None or (found[1] or found[2]).upper() not in question.letters:
        return None
    letter = (found[1] or found[2]).upper()
    end = _end_of_own_text(text, found.end(), question.choices[question.letters.index(letter)])
    if not _is_marked(text, found) and (end is None or found[2].islower()):
        return None
    return None if _names_another(text, end or found.end(), letter, question) else letter


def _end_of_own_text(text: str, start: int, own: str) -> int | None:
    """Tell where a choice's text ends that stands behind its letter, with or without an article before it."""
    behind = _end_of(_NO_WORD, text, start)
    if behind == start:
        return None
    starts = _starts_of_text(text, start, behind)
    return next((end for each in starts if (end := _end_of_choice(text, each, own)) is not None), None)


def _starts_of_text(text: str, start: int, behind: int) -> tuple[int, ...]:
    """Tell where a choice's text may begin: at a word, behind its article, or at a sign or bracket before it."""
    return max(start, behind - 2), max(start, behind - 1), behind, _end_of(_ARTICLE, text, behind)


def _is_marked(text: str, found: re.Match[str]) -> bool:
    """Tell whether the letter is bracketed or ends there; a small one needs a bracket or a stop behind it."""
    if found[1] or found[0][-1] in ")]":
        return True
    if _INITIALS.match(text, found.end()):
        return False
    if found[2].islower():
        return text[found.end() : found.end() + 1] in tuple(".,;:!?")
    return _END.match(text, found.end()) is not None


def _choice_text_at(text: str, start: int, question: Question) -> str | None:
    lettered = zip(question.letters, question.choices, strict=True)
    found = [(letter, _end_of_choice(text, start, choice)) for letter, choice in lettered]
    ends = {letter: end for letter, end in found if end is not None and _END.match(text, end)}
    last = max(ends.values(), default=0)
    letters = [letter for letter, end in ends.items() if end == last]
    return letters[0] if len(letters) == 1 and not _names_another(text, last, letters[0], question) else None


def _names_another(text: str, end: int, letter: str, question: Question) -> bool:
    """Tell whether a second answer follows, as in `B or C` or `B. C.`, but not in `B. C is wet`."""
    start, worded = _joined(text, end)
    marker = _marker(len(question.choices)).match(text, start)
    if marker and (worded or _is_bare(text, marker, question)):
        return worded or _letter_of(marker) != letter
    breath_end = _BREATH_END.search(text, end)
    later = _marker(len(question.choices)).finditer(text, end, breath_end.start() if breath_end else len(text))
    if any(_letter_of(each) != letter and _is_bare(text, each, question) for each in later):
        return True
    starts = _starts_of_text(text, end, start)
    others = [choice for other, choice in zip(question.letters, question.choices, strict=True) if other != letter]
    ends = (_end_of_choice(text, each, other) for each in starts for other in others)
    return any(_END.match(text, each) or _GOES_ON.match(text, each) for each in ends if each is not None)


def _is_bare(text: str, marker: re.Match[str], question: Question) -> bool:
    """Tell whether a letter stands there alone, or with nothing but its own text."""
    if _END.match(text, marker.end()):
        return True
    own = question.choices[question.letters.index(_letter_of(marker))]
    end = _end_of_own_text(text, marker.end(), own)
    return end is not None and _END.match(text, end) is not None


def _joined(text: str, start: int) -> tuple[int, bool]:
    """Tell where a second answer would begin, and whether a word joins it to the first."""
    end = _end_of(_JOINER, text, start)
    return end, any(each.isalpha() for each in text[start:end])


def _end_of_choice(text: str, start: int, choice: str) -> int | None:
    """Tell where a choice's text ends that stands at `start` as whole words, in any case and spacing."""
    wanted, end, seen = _bare(choice).casefold(), start, 0
    if not wanted or _SIGNED.match(text, start):
        return None
    while seen < len(wanted):
        if wanted[seen] == " ":
            piece, next_end = " ", _end_of(_BLANKS, text, end)
        else:
            piece, next_end = text[end : end + 1].casefold(), end + 1
        if next_end == end or not piece or not wanted.startswith(piece, seen):
            return None
        end, seen = next_end, seen + len(piece)
    return None if text[end : end + 1].isalnum() else end


@functools.lru_cache(maxsize=1024)
def _bare(choice: str) -> str:
    """Take away what may wrap a choice's text anyway: quotes and brackets around it, and its closing stop."""
    return " ".join(_plain(choice).split()).lstrip(QUOTES + "([*`_").rstrip(WRAPPING)


def _text_in(statement: str, question: Question) -> str | None:
    start = _end_of(OPENING, statement, 0)
    end = SENTENCE_END.search(statement, start)
    sentence = statement[start : end.start() if end else len(statement)]
    if is_number(question.answer):
        return only_number(sentence)
    return tidied(sentence) or None


def first_plausible(text: str, question: Question) -> str | None:
    """Read the first answer that a lenient reader would note down, of numbers the last one."""
    if question.answer_type == "yes_no":
        found = _YES_NO.search(text)
        return found[0].lower() if found else None
    if question.answer_type == "choice":
        plain = _plain(text)
        marker = _marker(len(question.choices)).search(plain)
        mention = None if marker else _mention(question.choices).search(plain)
        return _letter_of(marker) if marker else mention and mention.lastgroup
    if question.answer_type == "expression":
        return plausible_expression(text)
    if is_number(question.answer):
        return last_number(text)
    return next((tidy for line in text.split("\n") if (tidy := tidied(line))), None)


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


@functools.lru_cache(maxsize=256)
def _mention(choices: tuple[str, ...]) -> re.Pattern[str]:
    """Match one of the texts as whole words, in a group named by its letter; of two that begin together, the longer."""
    lettered = sorted(zip(LETTERS, map(_bare, choices), strict=False), key=lambda pair: -len(pair[1]))
    spaced = [(letter, re.escape(bare).replace(r"\ ", r"\s+")) for letter, bare in lettered if bare]
    groups = "|".join(f"(?P<{letter}>{pattern})" for letter, pattern in spaced)
    return re.compile(rf"(?<!\w)(?:{groups or '(?!)'})(?!\w)", re.IGNORECASE)
