"""Texts without what does not make them different: case, blanks, wrapping, and the way numbers are written."""

import re

QUOTES = "\"'“”„‘’‚«»‹›"  # noqa: RUF001 - typographic quotes are meant
WRAPPING = QUOTES + ".,;:!?()[]*`_"
NUMBER = r"[-+]?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?"

_MONEY = re.compile(rf"[$€£]?({NUMBER})")


def tidied(text: str) -> str:
    """Join the words with single blanks and take away what wraps them: quotes, brackets, emphasis, stops."""
    return " ".join(text.split()).strip(WRAPPING + " ")


def canonical(text: str) -> str:
    """Write equal texts equally; `$1,000.0` is `1000`."""
    tidy = tidied(text).casefold()
    number = _MONEY.fullmatch(tidy)
    return _canonical_number(number[1]) if number else tidy


def is_number(text: str) -> bool:
    """Tell whether the text is one number, with a currency's sign or without."""
    return _MONEY.fullmatch(tidied(text)) is not None


def _canonical_number(number: str) -> str:
    whole, _, decimals = number.replace(",", "").lstrip("+").partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    value = digits.lstrip("0") or "0"
    if decimals := decimals.rstrip("0"):
        value = f"{value}.{decimals}"
    return value if value == "0" else sign + value
