r"""How a number is written in digits, and what each way of writing it means.

    7   1,000   -5   −5   -$5   .75   1{,}234   7½   $1.5 million     are numbers
    7/2   \frac{7}{2}   10^3   1,5   1.5.2   $5k   7⅓                 are numerals of which no number is read

A numeral that cannot be read counts as one all the same, so that nothing else is taken for the only number.
"""

import re
from itertools import chain

CURRENCY = r"\\?[$€£]"
_DIGITS = r"(?:[0-9]++(?:(?:,(?:\\!)?|\{,\}|\\,)[0-9]{3}(?![0-9]))*+(?:\.[0-9]++)?+|\.[0-9]++)"
NUMBER = rf"[-+−–]?{_DIGITS}"  # noqa: RUF001

_THOUSANDS = re.compile(r",\\!|\{,\}|\\,")
POWERS = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_PARTS = {"¼": ".25", "½": ".5", "¾": ".75"}
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen".split()
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
# What goes on with a number, or makes another one of it.
_NO_UNIT = ("and or of to more less fewer times percent half dozen dozens".split(), POWERS, _SMALL, _TENS)
_IN_WORDS = re.compile(
    rf"(?:(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<ones>{'|'.join(_SMALL[1:10])}))?|(?P<small>{'|'.join(_SMALL)}))"
    rf"(?![\w-])(?: (?!(?:{'|'.join(chain(*_NO_UNIT))})\b)[^\W\d_]+)?[\W_]*",
    re.IGNORECASE,
)
_FRACTION = r"\\[dtc]?frac(?![A-Za-z])(?:\s?(?:\{[^{}]{0,40}\}|[0-9]))*+"
# What makes a number another one that is not read: more digits, a fraction, a power, a unit of thousands.
_ODD = (
    rf"(?:[.,][0-9]++)++|\s?{_FRACTION}|(?:[/⁄][0-9]++)++"  # noqa: RUF001
    r"|\^\{?[-+−]?[0-9]++\}?|\s?[⅐-⅞]|[⁰¹²³⁴-⁹]|e[-+]?[0-9]++(?!\w)"  # noqa: RUF001
    r"|(?:k|bn)(?!\w)|(?(money)[KMBm](?!\w)|(?!))"
)
_NUMERAL = (
    rf"(?P<money>{CURRENCY})?+(?P<sign>[-+−–])?+(?:{CURRENCY})?+"  # noqa: RUF001
    rf"(?:(?P<digits>{_DIGITS})(?:(?P<odd>{_ODD})|\ ?(?P<part>[¼½¾])"
    rf"|[ \t*_$-]{{0,4}}(?P<power>(?i:{'|'.join(POWERS)}))s?(?![\w-]))?+"
    rf"|(?P<lone>[¼½¾])|{_FRACTION}|[⅐-⅞])"
)
NUMERAL = re.compile(rf"(?<![\w.,^])(?<!\^\{{){_NUMERAL}")
"""A number as it is written, or what looks like one; `number_of` says which it is."""


def number_of(numeral: re.Match[str]) -> str | None:
    """Write the number that a numeral means in plain digits, as far as they were not plain; None where none is read.

    Commas between thousands stay, a currency's sign does not.
    """
    digits = _THOUSANDS.sub(",", numeral["digits"] or "")
    part = numeral["part"] or numeral["lone"]
    if numeral["odd"] or not (digits or part) or (part and "." in digits):
        return None
    sign = "-" if numeral["sign"] in tuple("-−–") else numeral["sign"] or ""  # noqa: RUF001
    power = numeral["power"]
    number = digits + _PARTS.get(part or "", "")
    return sign + (_times_ten_to(number, POWERS[power.lower()]) if power else number)


def numbers_in(text: str) -> list[str | None]:
    """List the numbers of a text in plain digits; None stands for a numeral of which no number is read."""
    return [number_of(each) for each in NUMERAL.finditer(text)]


def number_in_words(text: str) -> str | None:
    """Read a number below a hundred that a text says in words, alone or with one word behind that it counts."""
    found = _IN_WORDS.fullmatch(text)
    if found is None:
        return None
    tens, ones = (found["tens"] or "").lower(), (found["ones"] or found["small"] or "zero").lower()
    return str((_TENS.index(tens) + 2) * 10 + _SMALL.index(ones) if tens else _SMALL.index(ones))


def _times_ten_to(number: str, power: int) -> str:
    whole, _, decimals = number.replace(",", "").partition(".")
    behind = decimals[power:]
    return whole + decimals[:power].ljust(power, "0") + (f".{behind}" if behind else "")
