"""Which number a text states: what it begins with, what it ends with, and what it calculates on the way.

Reading is linear in the length of the text, whatever it holds.
"""

import re

from sert.tasks.normalize import NUMBER, QUOTES

# What may stand between an announcement and the answer: blanks, colons, dashes, opening quotes, emphasis; no sign.
OPENING = re.compile(rf"(?:[\s:*`_{QUOTES}–—]|-(?![0-9]))*")  # noqa: RUF001
SENTENCE_END = re.compile(r"[.!?](?=\s|\Z)|\n")
CONCLUDING = r"(?:so|therefore|thus|hence|finally|overall|in\s+(?:conclusion|total|all))\b,?\s+"

_CONCLUDES = re.compile(rf"{CONCLUDING}(?!(?:if|since|when)\b)", re.IGNORECASE)
_SENTENCE = re.compile(rf"(?:(?!{SENTENCE_END.pattern}).)+[.!?\n]?", re.DOTALL)
_NUMBER = re.compile(rf"(?<![\w.,]){NUMBER}")
_NUMBER_HERE = re.compile(rf"[$€£]?{NUMBER}(?![\w])")
_BREAKS_OFF = re.compile(r"[-+−*/x×÷=(]\s*\Z")  # noqa: RUF001
_ASIDE = re.compile(r" ?\(")
_CALCULATION = re.compile(rf"(?:[$€£(]?{NUMBER}[)%]? ?[-+−*/x×÷] ?)+[$€£]?{NUMBER}[)%]? ?=")  # noqa: RUF001
# Possessive, since blank lines without end would be gone through again and again.
_LIST = re.compile(r"\s*+1[.)](?:\s[^\S\n]*+\n|\s++[^\n]*+\n)\s*+2[.)]\s")
_FEW_WORDS = 5


def first_number(text: str) -> str | None:
    """Read the number that a text begins with: alone, with few words, with an aside, or as a calculation's result.

    So `7`, `$7.00`, `7 pens.`, `7 (of 9)` and `3 + 4 = 7` are answers; `24 hours make a day, and a week has seven`,
    `11 figures make 11 x 6 = 66` and a numbered list are none.
    """
    if _LIST.match(text):
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
    off behind the number, but not in a calculation, and is no condition.
    """
    sentences = _sentences(text)
    if not sentences or _BREAKS_OFF.search(sentences[-1]):
        return None
    is_all = len(sentences) == 1 and sentences[-1].count("=") <= 1
    return only_number(sentences[-1]) if is_all or _CONCLUDES.match(sentences[-1]) else None


def calculated_number(text: str) -> str | None:
    """Read the number that the last whole sentence of a text concludes or calculates, whatever it counts."""
    last = next((each for each in reversed(_sentences(text)) if SENTENCE_END.search(each) or "=" in each), "")
    return only_number(last) if "=" in last or _CONCLUDES.match(last) else None


def only_number(sentence: str) -> str | None:
    """Read the sentence's only number, or the only one behind its last `=`."""
    numbers = _NUMBER.findall(sentence.rpartition("=")[2])
    return numbers[0] if len(numbers) == 1 else None


def last_number(text: str) -> str | None:
    """Read the last number of a text, as a lenient reader does."""
    numbers = _NUMBER.findall(text)
    return numbers[-1] if numbers else None


def _sentences(text: str) -> list[str]:
    return [each.strip(" \t") for each in _SENTENCE.findall(text) if any(map(str.isalnum, each))]
