"""Where the text of a choice stands in what a model wrote, and whether a text goes through its choices.

Reading is linear in the length of the text, whatever it holds.
"""

import re

from sert.records import Question
from sert.tasks.mentions import bare_text, has_letters, letter_markers, letter_of

ARTICLE = re.compile(r"(?:(?:the|an?)\s+[\W_]*)?", re.IGNORECASE)
_NO_WORD = re.compile(r"[\W_]*")
_BLANKS = re.compile(r"\s+")
_SIGNED = re.compile(r"(?<=[-+−$€£])[0-9]")  # noqa: RUF001
# `A. is wrong`, `**B) fork**: incorrect`: a choice is turned down.
_TURNED_DOWN = re.compile(
    r"\W*[A-Ja-j][).:]*[*_]{0,3}\s+(?:is|was|are|were)\s+(?:not|too|the\s+wrong|incorrect|wrong|false)\b"
    r"|[^:\n]{1,80}:\s*[*_]{0,3}(?:not\b|incorrect|wrong|false)",
    re.IGNORECASE,
)

_FEWEST_OF_LIST = 3


def end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Tell where what a pattern matches at `start` ends; `start` where it matches nothing."""
    found = pattern.match(text, start)
    return found.end() if found else start


def end_of_choice(text: str, start: int, choice: str) -> int | None:
    """Tell where a choice's text ends that stands at `start` as whole words, in any case and spacing."""
    wanted, end, seen = bare_text(choice).casefold(), start, 0
    if not wanted or _SIGNED.match(text, start):
        return None
    while seen < len(wanted):
        if wanted[seen] == " ":
            piece, next_end = " ", end_of(_BLANKS, text, end)
        else:
            piece, next_end = text[end : end + 1].casefold(), end + 1
        if next_end == end or not piece or not wanted.startswith(piece, seen):
            return None
        end, seen = next_end, seen + len(piece)
    return None if text[end : end + 1].isalnum() else end


def end_of_own_text(text: str, start: int, own: str) -> int | None:
    """Tell where a choice's text ends that stands behind its letter, with or without an article before it."""
    behind = end_of(_NO_WORD, text, start)
    if behind == start:
        return None
    starts = starts_of_text(text, start, behind)
    return next((end for each in starts if (end := end_of_choice(text, each, own)) is not None), None)


def starts_of_text(text: str, start: int, behind: int) -> tuple[int, ...]:
    """Tell where a choice's text may begin: at a word, behind its article, or at a sign or bracket before it."""
    return max(start, behind - 2), max(start, behind - 1), behind, end_of(ARTICLE, text, behind)


def own_text_end(text: str, marker: re.Match[str], question: Question) -> int | None:
    """Tell where a choice's own text ends behind its letter."""
    return end_of_own_text(text, marker.end(), question.choices[question.letters.index(letter_of(marker))])


def lists_choices(text: str, question: Question) -> bool:
    """Tell whether a text names three choices or more by letters, or each of two with its own text."""
    markers = [*letter_markers(question).finditer(text)]
    if len({letter_of(each) for each in markers}) >= _FEWEST_OF_LIST:
        return True
    own = {letter_of(each) for each in markers if own_text_end(text, each, question) is not None}
    return own == set(question.letters)


def goes_through(text: str, answer: str, question: Question) -> bool:
    """Tell whether a text that begins with a choice goes through the choices one by one, or turns that one down.

    It goes through them where it begins with the first one, a later line begins with the letter of the second, none
    before it with the first again, or with the text of another one and a colon, and either more is said of the first,
    or that line is the next one. It turns one down in `A. is wrong` and `(A) spoon: wrong`.
    """
    if _TURNED_DOWN.match(text):
        return True
    if answer != question.letters[0]:
        return False
    texts = [bare_text(each) for each in question.choices[1:]]
    others = "|".join(re.escape(each) for each in texts if each) or "(?!)"
    marks = r"\(?([AB])[).:]" if has_letters(question) else "(?!)()"
    later = rf"\n[ \t>#*_-]{{0,12}}(?:[0-9]{{1,2}}[.)]\s[*_]{{0,2}})?(?:(?:option\s)?{marks}|(?:{others})[*_]{{0,3}}:)"
    found = re.search(later, text, re.IGNORECASE)
    if found is None or (found[1] or "").upper() == answer:
        return False
    first, _, between = text[: found.start()].lstrip().partition("\n")
    own = bare_text(question.choices[0]).casefold()
    said = bare_text(first.casefold().replace(own, "", 1))
    return len(said) > 1 or not between.strip()
