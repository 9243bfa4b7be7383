"""Where the sentences of a text end, and where a dot ends none."""

import re

_END = re.compile(
    r"""(?<![.!?…])(?P<mark>[.!?…]++)[*_"'”’»)\]]*+(?=(?P<last>\s*+\Z)|\s++(?P<next>\S))"""  # noqa: RUF001
    r"""|[。！？]++[」』”’)]*+"""  # noqa: RUF001
)
_WORD = re.compile(r"[^\W_]+(?:\.[^\W_]+)*\Z")
_LIST_NUMBER = re.compile(r"(?:\A|\n|[.!?]\s)[ \t*_#>(-]*[\d.]+\Z")
_LOOK_BACK = 80
_ABBREVIATIONS = frozenset("dr mr mrs ms prof st jr sr vs e.g i.e etc cf fig approx inc ltd u.s u.k a.m p.m".split())
# Abbreviations that a sentence goes on behind.
_LEADING = frozenset("dr mr mrs ms prof st mt vs e.g i.e cf fig approx".split())
_INITIALS = re.compile(r"[^\W\d_](?:\.[^\W\d_])*")
_BEGINS = re.compile(
    r"\s+(?:It|Its|He|She|They|We|You|His|Her|Their|This|That|These|Those|The|There|In|On|At|So|But|And|Because|Since"
    r"|If|When|(?:A|An|I)(?=\s))\b"
)
# Words with capitals alone up to the end of a sentence, or another initial.
_NAME_BEHIND = re.compile(r"(?:[ \t]{1,3}(?=[^\W\d_])(?![a-zß-ÿ])[^\s.!?]{1,40}){1,6}(?:\.|\n|\Z)")


def is_abbreviated(text: str, dot: int) -> bool:
    """Tell whether the dot there ends no sentence: that of a title (`Dr.`), or of an initial in a name (`J. K. Doe`).

    Behind an initial, and behind an abbreviation that a sentence can end with (`Inc.`, `U.S.`), words with capitals
    alone must follow up to the end. No such dot stands before a word that begins sentences, as `It` does.
    """
    word = _WORD.search(text[max(0, dot - _LOOK_BACK) : dot]) if text.startswith(".", dot) else None
    if word is None or _BEGINS.match(text, dot + 1):
        return False
    if word[0].lower() in _LEADING:
        return text[dot + 1 : dot + 2] in (" ", "\t")
    is_short = _INITIALS.fullmatch(word[0]) is not None or word[0].lower() in _ABBREVIATIONS
    return is_short and _NAME_BEHIND.match(text, dot + 1) is not None


def end_of_sentences(text: str) -> int:
    """Find how many characters of a text its whole sentences have, closing quotes and brackets among them.

    A sentence ends with `.`, `!`, `?` or `…` before a blank or the end, not before a small letter, or with their
    full-width forms. The dot of a number that begins a line or a sentence, as in lists, of a single letter and of a
    common abbreviation ends none; at the end of the text neither does that of a number, which may have gone on.
    """
    ends = [found for found in _END.finditer(text) if not (found["next"] or "").islower()]
    return next((found.end() for found in reversed(ends) if not _is_within(text, found)), 0)


def _is_within(text: str, found: re.Match[str]) -> bool:
    """Tell whether a dot belongs to a word or a number rather than to a sentence."""
    if found["mark"] != ".":
        return False
    before = text[max(0, found.start() - _LOOK_BACK) : found.start()]
    word = _WORD.search(before)
    if word is None:
        return False
    if word[0].replace(".", "").isdigit():
        return found["last"] is not None or _LIST_NUMBER.search(before) is not None
    return len(word[0]) == 1 or word[0].lower() in _ABBREVIATIONS
