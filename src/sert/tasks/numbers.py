"""Which number a text states: what it begins with, what it ends with, and what it calculates on the way.

Reading is linear in the length of the text, whatever it holds.
"""

import re
from collections.abc import Sequence

from sert.tasks.normalize import NUMBER, QUOTES, canonical

# What may stand between an announcement and the answer: blanks, colons, dashes, opening quotes, emphasis; no sign.
OPENING = re.compile(rf"(?:[\s:*`_{QUOTES}–—]|-(?![0-9]))*")  # noqa: RUF001
SENTENCE_END = re.compile(r"[.!?](?=\s|\Z)|\n")
CONCLUDING = r"(?:so|therefore|thus|hence|finally|overall|in\s+(?:conclusion|total|all))\b,?\s+"

_CONCLUDES = re.compile(rf"{CONCLUDING}(?!(?:if|since|when)\b)", re.IGNORECASE)
_SENTENCE = re.compile(rf"(?:(?!{SENTENCE_END.pattern}).)+[.!?\n]?", re.DOTALL)
_NUMBER = re.compile(rf"(?<![\w.,]){NUMBER}")
_NUMBER_HERE = re.compile(rf"[$€£]?{NUMBER}(?![\w])")
_BREAKS_OFF = re.compile(r"[-+−*/x×÷=(]\s*\Z")  # noqa: RUF001
_OPERATION = re.compile(rf"(?<![\w.,]){NUMBER}[)%]? ?[-+−*/x×÷] ?[$€£(]?{NUMBER}")  # noqa: RUF001
_OPEN_END = re.compile(r"[0-9]\Z")
_ASIDE = re.compile(r" ?\((?![^()\n]{0,80}\) ?[-+−*/x×÷=])")  # noqa: RUF001
_CALCULATION = re.compile(rf"(?:[$€£(]?{NUMBER}[)%]? ?[-+−*/x×÷] ?)+[$€£]?{NUMBER}[)%]? ?=")  # noqa: RUF001
# Possessive, since blank lines without end would be gone through again and again.
_FIRST_OF_LIST, _SECOND_OF_LIST = re.compile(r"\s*+1[.)]\s"), re.compile(r"\n[^\S\n]*+2[.)]\s")
# A number and the words that say of what it is.
_COUNTED = re.compile(rf"(?<![\w.,])[$€£]?({NUMBER})[^\S\n]{{1,4}}([^\W\d_][^.!?,\n0-9]{{0,80}})")
_POINTS_BACK = re.compile(r"\bthis\s+is\s+(?:the|my)\s+(?:\w+\s+)?answer\b", re.IGNORECASE)
_FEW_WORDS = 5


def first_number(text: str) -> str | None:
    """Read the number that a text begins with: alone, with few words, with an aside, or as a calculation's result.

    So `7`, `$7.00`, `7 pens.`, `7 (of 9)` and `3 + 4 = 7` are answers; `24 hours make a day, and a week has seven`,
    `11 figures make 11 x 6 = 66` and a numbered list are none.
    """
    if _FIRST_OF_LIST.match(text) and _SECOND_OF_LIST.search(text):
        return None
    opened = OPENING.match(text)
    words = SENTENCE_END.split(text[opened.end() if opened else 0 :], maxsplit=1)[0].split()
    sentence = " ".join(words)
    found = _NUMBER_HERE.match(sentence)
    if found is None:
        return None
    if _ASIDE.match(sentence, found.end()):
        return only_number(found[0])
    return only_number(sentence) if len(words) <= _FEW_WORDS or _CALCULATION.match(sentence) else None


def concluding_number(text: str) -> str | None:
    """Read the number that a text ends with: the only one of its last sentence, or the result of a calculation.

    That sentence begins with `So`, `Therefore` or the like, or is the only one and has at most one `=`. It may break
    off, but not in a calculation or right behind its number, and is no condition. Of several numbers it concludes the
    one that was calculated last; none, where the sentence before calculates another, or an earlier one another number
    of what is named alike.
    """
    sentences = _sentences(text)
    if not sentences or _BREAKS_OFF.search(sentences[-1]):
        return None
    *before, last = sentences
    if not _CONCLUDES.match(last):
        return only_number(last) if not before and last.count("=") <= 1 else None
    number = only_number(last)
    if "=" not in last:
        result = _last_result(before)
        if number is None and result in _NUMBER.findall(last) and not _OPERATION.search(last):
            return result
        if number is None or _OPEN_END.search(last) or _differ(number, _calculated(before)):
            return None
    return None if number is None or _counts_otherwise(last, before) else number


def calculated_number(text: str) -> str | None:
    """Read the number that the last whole sentence of a text with one concludes, calculates or repeats."""
    return _calculated(_sentences(text))


def pointed_number(text: str) -> str | None:
    """Read the number that is concluded or calculated right before the last `This is the answer`."""
    pointers = list(_POINTS_BACK.finditer(text))
    return calculated_number(text[: pointers[-1].start()]) if pointers else None


def told_number(text: str) -> str | None:
    """Read the only number of the last sentence that has one."""
    return next((only_number(each) for each in reversed(_sentences(text)) if _NUMBER.search(each)), None)


def explained_number(text: str) -> str | None:
    """Read the number that a text ends with, as the result of a calculation in a whole sentence."""
    last = next(reversed(_sentences(text)), "")
    return only_number(last) if "=" in last and SENTENCE_END.search(last) else None


def only_number(sentence: str) -> str | None:
    """Read the sentence's only number, or the only one behind its last `=`."""
    numbers = _NUMBER.findall(sentence.rpartition("=")[2])
    return numbers[0] if len(numbers) == 1 else None


def last_number(text: str) -> str | None:
    """Read the last number of a text, as a lenient reader does."""
    numbers = _NUMBER.findall(text)
    return numbers[-1] if numbers else None


def _calculated(sentences: Sequence[str]) -> str | None:
    whole = [each for each in sentences if "=" in each or (SENTENCE_END.search(each) and _NUMBER.search(each))]
    if not whole:
        return None
    number = only_number(whole[-1])
    is_result = "=" in whole[-1] or _CONCLUDES.match(whole[-1]) or number == _last_result(whole)
    return number if is_result else None


def _last_result(sentences: Sequence[str]) -> str | None:
    """Read what the last sentence with a calculation calculates."""
    return next((only_number(each) for each in reversed(sentences) if "=" in each), None)


def _counts_otherwise(sentence: str, before: Sequence[str]) -> bool:
    """Tell whether a sentence before calculates another number of what the words behind this one's number name."""
    counted = _COUNTED.search(sentence.rpartition("=")[2])
    if counted is None:
        return False
    others = (_COUNTED.match(each.rpartition("=")[2].lstrip()) for each in before if "=" in each)
    return any(_differ(each[1], counted[1]) and _are_same(each[2], counted[2]) for each in others if each)


def _differ(number: str, other: str | None) -> bool:
    return other is not None and canonical(number) != canonical(other)


def _are_same(one: str, other: str) -> bool:
    """Tell whether two names of things, of two words or more, are the same as far as they go."""
    pairs = list(zip(one.split(), other.split(), strict=False))
    return len(pairs) > 1 and all(first == second for first, second in pairs)


def _sentences(text: str) -> list[str]:
    return [each.strip(" \t") for each in _SENTENCE.findall(text) if any(map(str.isalnum, each))]
