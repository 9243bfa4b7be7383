"""Where the last whole sentence of a text ends that was cut off somewhere."""

import re

_END = re.compile(
    r"""(?<![.!?…])(?P<mark>[.!?…]++)[*_"'”’»)\]]*+(?=(?P<last>\s*+\Z)|\s++(?P<next>\S))"""  # noqa: RUF001
    r"""|[。！？]++[」』”’)]*+"""  # noqa: RUF001
)
_WORD = re.compile(r"[^\W_]+(?:\.[^\W_]+)*\Z")
_LIST_NUMBER = re.compile(r"(?:\A|\n|[.!?]\s)[ \t*_#>(-]*[\d.]+\Z")
_LOOK_BACK = 80
_ABBREVIATIONS = frozenset("dr mr mrs ms prof st jr sr vs e.g i.e etc cf fig approx inc ltd u.s u.k a.m p.m".split())


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
