"""Which number a text states: what it begins with, what it ends with, and what it calculates on the way.

Reading is linear in the length of the text, whatever it holds.
"""

import re
from collections.abc import Sequence

from sert.tasks.normalize import QUOTES, canonical
from sert.tasks.numerals import CURRENCY, NUMBER, NUMERAL, number_in_words, number_of, numbers_in

# What may stand between an announcement and the answer: blanks, colons, dashes, opening quotes, emphasis; no sign.
OPENING = re.compile(rf"(?:[\s:*`_{QUOTES}—]|[-–](?!(?:{CURRENCY})?\.?[0-9]))*")  # noqa: RUF001
# Emphasis, quotes and brackets may close with a sentence.
SENTENCE_END = re.compile(r"""[.!?](?=[*_"'”’»)\]]*+(?:\s|\Z))|\n""")  # noqa: RUF001
CONCLUDING = r"(?:so|therefore|thus|hence|finally|overall|in\s+(?:conclusion|total|all))\b,?\s+"

_CONCLUDES = re.compile(rf"{CONCLUDING}(?!(?:if|since|when)\b)", re.IGNORECASE)
_SENTENCE = re.compile(rf"(?:(?!{SENTENCE_END.pattern}).)+[.!?\n]?", re.DOTALL)
_NUMBER_HERE = re.compile(rf"{NUMERAL.pattern}(?!\w)")
_BREAKS_OFF = re.compile(r"[-+−*/x×÷=(]\s*\Z")  # noqa: RUF001
_OPERATION = re.compile(rf"(?<![\w.,]){NUMBER}[)%]? ?[-+−*/x×÷] ?[$€£(]?{NUMBER}")  # noqa: RUF001
_OPEN_END = re.compile(r"[0-9]\Z")
_ASIDE = re.compile(r" ?\((?![^()\n]{0,80}\) ?[-+−*/x×÷=])")  # noqa: RUF001
_CALCULATION = re.compile(rf"(?:[$€£(]?{NUMBER}[)%]? ?[-+−*/x×÷] ?)+[$€£]?{NUMBER}[)%]? ?=")  # noqa: RUF001
# Possessive, since blank lines without end would be gone through again and again.
_FIRST_OF_LIST = re.compile(r"[\s*_]*+1[.)][*_]*+(?:(?P<item>[^\S\n]++(?=\S))|\s)")
_SECOND_OF_LIST = re.compile(r"(?:\n[^\S\n]*+|[.!?]\s++)[*_]*+2[.)][*_]*+\s")
_ITEM_NUMBER = re.compile(r"^[^\S\n]*+[*_]*+[0-9]{1,2}[.)][*_]*+(?=[^\S\n]++\S)", re.MULTILINE)
# What an announced number may have behind it that holds other numbers: an aside, a reason, a condition, a comparison.
_BEHIND = re.compile(
    r"[ \t]\((?![^()\n]{0,80}\) ?[-+−*/x×÷=])|\b(?:because|since|due\s{1,3}to"  # noqa: RUF001
    r"|given\s{1,3}that|considering|assuming|(?P<condition>where|when|if)|rather\s{1,3}than"
    r"|instead\s{1,3}of|(?<!or )not)\b|,\s{1,3}as\b(?!\s{1,3}\w{1,20}\s{1,3}as\b)",
    re.IGNORECASE,
)
_REASON = re.compile(r"(?: [^\W\d_]{1,30})??,? (?:because|since)\b", re.IGNORECASE)
_SET_OFF = re.compile(rf"{NUMERAL.pattern}(?: [^\W\d_]{{1,30}})?[,:]\s")
_DENIED = re.compile(rf"not\s{{1,3}}{NUMERAL.pattern}", re.IGNORECASE)
_OTHERWISE = re.compile(r"\b(?:otherwise|else)\b", re.IGNORECASE)
_COUNTS = re.compile(rf"{NUMERAL.pattern}(?: [^\W\d_]{{1,30}}){{0,2}}")
_OPERATOR = re.compile(r"[+−*/×÷]|[ \t][-x][ \t]|\b(?:plus|minus|times)\b", re.IGNORECASE)  # noqa: RUF001
# A number and the words that say of what it is.
_COUNTED = re.compile(rf"(?<![\w.,])[$€£]?({NUMBER})[^\S\n]{{1,4}}([^\W\d_][^.!?,\n0-9]{{0,80}})")
_POINTS_BACK = re.compile(r"\bthis\s+is\s+(?:the|my)\s+(?:\w+\s+)?answer\b", re.IGNORECASE)
_FEW_WORDS = 5


def first_number(text: str) -> str | None:
    """Read the number that a text begins with: alone, with few words, with an aside, or as a calculation's result.

    So `7`, `$7.00`, `7 pens.`, `7 (of 9)`, `7, because` and `3 + 4 = 7` are answers; `24 hours make a day, and a week
    has seven`, `11 figures make 11 x 6 = 66` and a numbered list are none. A `1.` with more on its line
    begins a list, of which a calculation that follows right away is read, unless the line calculates a 1.
    """
    listed = _FIRST_OF_LIST.match(text)
    if listed and _SECOND_OF_LIST.search(text):
        return None
    if listed and listed["item"]:
        item = text[listed.end() :].split("\n", maxsplit=1)[0]
        if _CALCULATION.match(item):
            text = item
        elif "=" not in item or only_number(item) != "1":
            return None
    opened = OPENING.match(text)
    words = SENTENCE_END.split(text[opened.end() if opened else 0 :], maxsplit=1)[0].split()
    sentence = " ".join(words)
    found = _NUMBER_HERE.match(sentence)
    if found is None:
        return None
    if _ASIDE.match(sentence, found.end()) or _REASON.match(sentence, found.end()):
        return number_of(found)
    return only_number(sentence) if len(words) <= _FEW_WORDS or _CALCULATION.match(sentence) else None


def announced_number(sentence: str) -> str | None:
    """Read the number that a sentence behind an announcement says.

    It is the only one, or the one behind the last `=`; where the sentence begins with a number, that of what stands
    before the first aside, reason, condition or comparison. In words it is read where they and what they count are all
    that stands there (`seven pens`). A number behind `not` is none. Neither is there one where the sentence sets off
    another by a comma or a colon first, or says two on two conditions.
    """
    said_all = sentence[: behind.start()] if (behind := _BEHIND.search(sentence)) else sentence
    if (worded := number_in_words(said_all)) is not None or (_DENIED.match(sentence) and "=" not in sentence):
        return worded
    found = _end_of_said(sentence) if NUMERAL.match(sentence) else None
    if found is not None:
        condition, behind_it = found["condition"], sentence[found.end() :]
        is_two = condition and (_holds_word(condition, behind_it) or _OTHERWISE.search(behind_it))
        return None if is_two else only_number(sentence[: found.start()])
    number, first = only_number(sentence), _SET_OFF.match(sentence)
    return None if number and first and _differ(number, number_of(first)) else number


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
        return _undoubted(last) if not before and last.count("=") <= 1 else None
    number = _undoubted(last)
    if "=" not in last:
        result = _last_result(before)
        if number is None and result in numbers_in(last) and not _OPERATION.search(last):
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
    return next((only_number(each) for each in reversed(_sentences(text)) if NUMERAL.search(each)), None)


def explained_number(text: str) -> str | None:
    """Read the number that a text ends with, as the result of a calculation in a whole sentence."""
    last = next(reversed(_sentences(text)), "")
    return _undoubted(last) if "=" in last and SENTENCE_END.search(last) else None


def only_number(sentence: str) -> str | None:
    """Read the sentence's only number, or the only one behind its last `=`."""
    numbers = numbers_in(sentence.rpartition("=")[2])
    return numbers[0] if len(numbers) == 1 else None


def last_number(text: str) -> str | None:
    """Read the last number of a text, as a lenient reader does, but not of those that count the items of a list."""
    numbers = numbers_in(_ITEM_NUMBER.sub("", text) if _FIRST_OF_LIST.match(text) else text)
    return numbers[-1] if numbers else None


def _end_of_said(sentence: str) -> re.Match[str] | None:
    """Find the first aside, reason or the like that has a number before it.

    There is none where a calculation breaks off there, where a condition has more than a number and what it counts
    before it, or an aside a number behind it.
    """
    number = NUMERAL.search(sentence)
    found = _BEHIND.search(sentence, number.end()) if number else None
    if found is None:
        return None
    said, close = sentence[: found.start()].rstrip(" ,"), sentence.find(")", found.end())
    goes_on = _BREAKS_OFF.search(said) or (only_number(said) is None and _OPERATOR.search(said))
    is_more = found["condition"] and not _COUNTS.fullmatch(said)
    is_within = found[0].endswith("(") and close >= 0 and NUMERAL.search(sentence, close)
    return None if goes_on or is_more or is_within else found


def _holds_word(word: str, text: str) -> bool:
    return re.search(rf"\b{word}\b", text, re.IGNORECASE) is not None


def _undoubted(sentence: str) -> str | None:
    """Read a sentence's number, unless it is that of an equation in an aside or a reason behind another one."""
    number, first = only_number(sentence), NUMERAL.search(sentence)
    found = _BEHIND.search(sentence, first.end()) if first else None
    if number is None or found is None or "=" not in sentence[found.start() :]:
        return number
    is_calculated = _CALCULATION.search(sentence, found.start()) is not None
    return number if is_calculated or not _differ(number, only_number(sentence[: found.start()])) else None


def _calculated(sentences: Sequence[str]) -> str | None:
    whole = [each for each in sentences if "=" in each or (SENTENCE_END.search(each) and NUMERAL.search(each))]
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
