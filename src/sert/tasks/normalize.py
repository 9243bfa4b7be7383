"""Texts without what does not make them different: case, blanks, wrapping, and the way numbers are written."""

import math
import re
from decimal import Decimal

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


def written(value: object) -> object:
    """Write a number out as people do (51.0 as `51`); whatever is no finite number stays as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        return value
    return _canonical_number(f"{Decimal(str(value)):f}")


def whole_number(value: object) -> int | None:
    """Read a whole number, written as one (`2`, `2.0`) or given as one; None for anything else."""
    text = written(value)
    if not isinstance(text, str) or not re.fullmatch(r"-?[0-9]{1,9}(?:\.0+)?", text.strip()):
        return None
    return int(float(text))


def _canonical_number(number: str) -> str:
    whole, _, decimals = number.replace(",", "").lstrip("+").partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    value = digits.lstrip("0") or "0"
    if decimals := decimals.rstrip("0"):
        value = f"{value}.{decimals}"
    return value if value == "0" else sign + value
