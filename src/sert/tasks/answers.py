"""How answers are read from texts that a model wrote.

Strict reading looks right behind the last `So the answer is` and never guesses; loose reading takes the first
plausible answer. Both are linear in the length of the text, whatever it holds.

Where a text concludes and then goes on with a next `Question:`, what follows answers another question: no conclusion
is read from there.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence

from sert.records import LETTERS, Question
from sert.tasks.normalize import NUMBER, QUOTES, WRAPPING, canonical, is_number, tidied

ANSWER_PHRASE = "So the answer is"

_PHRASE = re.compile(rf"\b{ANSWER_PHRASE}\b".replace(" ", r"\s+"), re.IGNORECASE | re.ASCII)
_NEXT_QUESTION = re.compile(r"\bquestion\s*:", re.IGNORECASE)
# What may stand between the phrase and the answer: blanks, colons, dashes, opening quotes, emphasis; no sign.
_OPENING = re.compile(rf"(?:[\s:*`_{QUOTES}–—]|-(?![0-9]))*")  # noqa: RUF001
# Emoji and the like. Units, currencies and signs of mathematics change what they stand behind.
_SYMBOL = r"[^\w\s\x00-\u2027\u2030-\u2037\u20a0-\u20cf\u2100-\u22ff]"
# What must stand behind an answer: punctuation, a dash, an aside, a symbol, the end of the line, or a reason.
_END = re.compile(
    rf"\s*\Z|[ \t\r]*(?:\n|[.,;:!?—…](?![0-9])|[{QUOTES})\]*`_]+(?![^\W_])|\(|[–-][ \t]+(?![\s0-9])|{_SYMBOL})"  # noqa: RUF001
    r"|[ \t]+(?:because|since|as)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|\Z)|\n")
# What stands between two answers: signs only ("yes, no", "B. C."), or such words too ("B and C", "yes. Or maybe no").
_JOINER = re.compile(
    r"[\W_]*(?:(?:and|or(?: not)?|but|also|maybe|perhaps|possibly|rather|else|even|then|plus|vs|versus|option|choice"
    r"|as well as|is it|it (?:is|(?:could|may|might) be))\b[\W_]*)*",
    re.IGNORECASE,
)
# Behind a reason or a comparison, other choices are mentioned, not answered.
_BREATH_END = re.compile(rf"{_SENTENCE_END.pattern}|\b(?:because|since|as|so|not|than|instead)\b", re.IGNORECASE)

_TRUTH = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_YES_NO = re.compile(r"(?<![\w-])(?<!\bnot )(?:yes|no)(?!\w|-\w)", re.IGNORECASE)
_YES_NO_HERE = re.compile(r"[(\[]?(yes|no|true|false)(?![^\W_])", re.IGNORECASE)

# A letter in brackets, or one that may have a bracket behind it.
_INSIDE = rf"[\s*`_{QUOTES}]*"
_LETTER_HERE = re.compile(rf"[(\[]{_INSIDE}([A-Ja-j])\.?{_INSIDE}[)\]]|([A-Ja-j])(?![^\W_])[)\]]?")
_INITIALS = re.compile(r"\.[^\W_]")
_SIGNED = re.compile(r"(?<=[-+−$€£])[0-9]")  # noqa: RUF001
_GOES_ON = re.compile(r"\s*(?:[/|&]|(?:and|or|but)\b)", re.IGNORECASE)
_NO_WORD = re.compile(r"[\W_]*")
_ARTICLE = re.compile(r"(?:(?:the|an?)\s+[\W_]*)?", re.IGNORECASE)

# Composed letter by letter: a whole text takes quadratic time where accents pile up.
_ACCENTED = re.compile(r"\w[\u0300-\u036f]{1,4}")
_BLANKS = re.compile(r"\s+")
_NUMBER = re.compile(rf"(?<![\w.,]){NUMBER}")


def extract_strict(text: str, question: Question) -> str | None:
    """Read the answer right behind the last `So the answer is` (case and line breaks in it do not matter).

    Quotes, brackets, emphasis, dashes and a colon may stand before the answer, other words may not. Behind it come the
    end, punctuation, a symbol or a reason (`because`, `since`, `as`), but no other words of the same phrase.

    - yes/no: the word itself (or true/false); not `no one knows`.
    - choice: a letter of the question (`B`, `(B)`, `B.`, `B) text`; a small letter needs a bracket or a stop), or
      exactly the text of one choice, whatever its case, spacing and closing stop.
    - text: the rest of the sentence without what wraps it; where the gold answer is a number, the sentence's only one.

    Two answers are none: joined (`B or C`, `yes, but no`), a letter with another choice's text, the opposite word or
    another letter further on in the same sentence (`yes, and in winter no`; for letters only up to a reason), or
    nothing but another answer in the next (`B. C.`).

    Returns:
        `yes`/`no`, a capital letter, or a text; None when no answer, or more than one, is stated.
    """
    own, phrases = _conclusions(text)
    return _stated(own[phrases[-1].end() :], question) if phrases else None


def extract_loose(text: str, question: Question) -> str | None:
    """Read the strict answer if there is one, else the first plausible answer.

    What stands behind each `So the answer is` is searched before the whole text, the last first.

    - yes/no: the first of these words that does not follow `not`.
    - choice: the first letter of the question that is marked (`(B)`, `B)`, `B.`) or stands alone (`A` and `I` before
      a word are English words, not letters, unless it is `or` or `and`), else the choice text that is mentioned first.
    - text: the last number where the gold answer is a number, else the first line that is not empty.
    """
    own, phrases = _conclusions(text)
    ends = [*(phrase.start() for phrase in phrases), len(own)][1:]
    statements = [own[phrase.end() : end] for phrase, end in zip(phrases, ends, strict=True)]
    strict = _stated(statements[-1], question) if statements else None
    if strict is not None:
        return strict
    parts = [*reversed(statements), own]
    return next((answer for part in parts if (answer := _first_plausible(part, question)) is not None), None)


def reasoning_of(text: str) -> str:
    """Return what stands before the last `So the answer is`, the whole text when it is not there."""
    _, phrases = _conclusions(text)
    return text[: phrases[-1].start()] if phrases else text


def is_correct(answer: str, question: Question) -> bool:
    """Compare an extracted answer with the gold one.

    Texts are compared without regard to case, blanks, wrapping punctuation, and the way numbers are written
    (`$1,000.0` is `1000`).
    """
    if question.answer_type == "text":
        return canonical(answer) == canonical(question.answer)
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
    return _TRUTH.get(canonical(raw), raw.strip())


def _conclusions(text: str) -> tuple[str, list[re.Match[str]]]:
    """Cut a next question off, and find each `So the answer is` in what is left."""
    first = _PHRASE.search(text)
    if first is None:
        return text, []
    following = _NEXT_QUESTION.search(text, first.end())
    own = text[: following.start()] if following else text
    return own, list(_PHRASE.finditer(own))


def _stated(statement: str, question: Question) -> str | None:
    if question.answer_type == "text":
        return _text_in(statement, question)
    plain = _plain(statement)
    start = _end_of(_OPENING, plain, 0)
    return _yes_no_at(plain, start) if question.answer_type == "yes_no" else _choice_at(plain, start, question)


def _plain(text: str) -> str:
    """Write composed letters and straight apostrophes, so that equal texts compare equal."""
    composed = _ACCENTED.sub(lambda found: unicodedata.normalize("NFC", found[0]), text)
    return composed.replace("’", "'")  # noqa: RUF001


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _yes_no_at(text: str, start: int) -> str | None:
    found = _YES_NO_HERE.match(text, start)
    if found is None or not _END.match(text, found.end()):
        return None
    answer = _TRUTH[found[1].lower()]
    start, worded = _joined(text, found.end())
    other = _YES_NO_HERE.match(text, start)
    if other and _TRUTH[other[1].lower()] != answer and (worded or _END.match(text, other.end())):
        return None
    sentence_end = _SENTENCE_END.search(text, found.end())
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
    start = _end_of(_OPENING, statement, 0)
    end = _SENTENCE_END.search(statement, start)
    sentence = statement[start : end.start() if end else len(statement)]
    if is_number(question.answer):
        numbers = _NUMBER.findall(sentence)
        return numbers[0] if len(numbers) == 1 else None
    return tidied(sentence) or None


def _first_plausible(text: str, question: Question) -> str | None:
    if question.answer_type == "yes_no":
        found = _YES_NO.search(text)
        return found[0].lower() if found else None
    if question.answer_type == "choice":
        plain = _plain(text)
        marker = _marker(len(question.choices)).search(plain)
        mention = None if marker else _mention(question.choices).search(plain)
        return _letter_of(marker) if marker else mention and mention.lastgroup
    if is_number(question.answer):
        numbers = _NUMBER.findall(text)
        return numbers[-1] if numbers else None
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
