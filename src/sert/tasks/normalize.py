"""Texts without what does not make them different: case, blanks, wrapping, and the way numbers are written."""

import math
import re
from decimal import Decimal

from sert.tasks.numerals import NUMERAL, number_of

QUOTES = "\"'“”„‘’‚«»‹›"  # noqa: RUF001 - typographic quotes are meant
WRAPPING = QUOTES + ".,;:!?()[]*`_"


def tidied(text: str) -> str:
    """Join the words with single blanks and take away what wraps them: quotes, brackets, emphasis, stops.

    A point that begins a number (`.75`) stays.
    """
    joined = " ".join(text.split())
    tidy = joined.lstrip(WRAPPING + " ")
    before = joined[: len(joined) - len(tidy)]
    begins = before.endswith(".") and not before.endswith("..") and tidy[:1].isdigit()
    return f"{'.' if begins else ''}{tidy}".rstrip(WRAPPING + " ")


def canonical(text: str) -> str:
    """Write equal texts equally; `$1,000.0` is `1000`, `$1.5 million` is `1500000`."""
    tidy = tidied(text)
    number = _number(tidy)
    return tidy.casefold() if number is None else _canonical_number(number)


def is_number(text: str) -> bool:
    """Tell whether the text is one number, with a currency's sign or without."""
    return _number(tidied(text)) is not None


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


def _number(tidy: str) -> str | None:
    numeral = NUMERAL.fullmatch(tidy)
    return number_of(numeral) if numeral else None


def _canonical_number(number: str) -> str:
    whole, _, decimals = number.replace(",", "").lstrip("+").partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    value = digits.lstrip("0") or "0"
    if decimals := decimals.rstrip("0"):
        value = f"{value}.{decimals}"
    return value if value == "0" else sign + value
