"""A limit as a number, or as a percentile of what was mined."""

import re
import sys
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator

from sert.config.takes import Takes

_PERCENTILE = re.compile(r"p([0-9]{1,3}(?:\.[0-9]{1,12})?)")
_MEANT = re.compile(r"\s*[pP]?\s*([0-9]{1,3}(?:\.[0-9]{1,12})?)\s*(?:%|[pP]|th|percentile)?\s*")
_ALLOWED = 'give a number of 0 or more, such as 5.0, or a percentile of the mined paths, from "p0" to "p100"'


def percentile_of(limit: float | str | None) -> float | None:
    """Return the percentage of a limit that is a percentile (25.0 of `p25`), None for any other."""
    return float(limit[1:]) if isinstance(limit, str) else None


def is_above(low: float | str, high: float | str | None) -> bool:
    """Tell whether a limit is above another; of a number and a percentile nobody knows before paths are there."""
    if isinstance(low, float) and isinstance(high, float):
        return low > high
    first, second = percentile_of(low), percentile_of(high)
    return first is not None and second is not None and first > second


def _read(given: Any) -> Any:
    """Bring a limit to one form: a number, or `p25` for what may be written `p25.0`."""
    if isinstance(given, str):
        found = _PERCENTILE.fullmatch(given)
        if found and float(found[1]) <= 100:
            return _written(found[1])
        given = _number_in(given)
    if isinstance(given, int | float) and 0 <= given <= sys.float_info.max:
        return float(given)
    raise ValueError(_ALLOWED)


def _number_in(text: str) -> float:
    """Read a number that was given as a text, as other settings do."""
    try:
        return float(text)
    except ValueError:
        pass
    meant = _MEANT.fullmatch(text)
    if meant and float(meant[1]) <= 100:
        raise ValueError(f'{_ALLOWED}; did you mean "{_written(meant[1])}"?')
    raise ValueError(_ALLOWED)


def _written(percentage: str) -> str:
    return f"p{Decimal(percentage).normalize():f}"


Limit = Annotated[float | str, BeforeValidator(_read), Takes(_ALLOWED.removeprefix("give "))]
"""Zero or more, or a percentile from `p0` to `p100`."""
