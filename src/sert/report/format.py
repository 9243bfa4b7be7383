"""Numbers as the report writes them: percentages, points, intervals, p-values."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MISSING = "–"  # noqa: RUF001 - an en dash is how tables say "not measured"
MINUS = "\N{MINUS SIGN}"
LISTED = 4
"""Seeds whose numbers are written out in a cell."""


def count(value: int | None) -> str:
    """Write a count with thousands separators."""
    return MISSING if value is None else f"{value:,}"


def decimal(value: float | None, digits: int = 2) -> str:
    """Write a plain number."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:.{digits}f}".replace("-", MINUS)


def percent(share: float | None) -> str:
    """Write a share of 0..1 as a percentage with one decimal, without the sign."""
    return MISSING if share is None else decimal(100 * share, 1)


def interval_of(ends: Sequence[float] | None, write: Callable[[float], str]) -> str:
    """Write an interval as its two ends are written."""
    return MISSING if ends is None else " to ".join(map(write, ends))


def percent_interval(interval: Sequence[float] | None) -> str:
    """Write an interval of shares as percentages."""
    return interval_of(interval, percent)


def points(difference: float | None) -> str:
    """Write a difference of shares in signed percentage points."""
    if difference is None or not math.isfinite(difference):
        return MISSING
    return f"{100 * difference:+.1f}".replace("-", MINUS)


def unsigned_points(size: float | None) -> str:
    """Write a size of a difference in percentage points."""
    return points(size).lstrip("+")


def points_range(values: Sequence[float]) -> str:
    """Write the smallest and the largest of some sizes in percentage points."""
    low, high = unsigned_points(min(values)), unsigned_points(max(values))
    return low if low == high else f"{low} to {high}"


def points_interval(interval: Sequence[float] | None) -> str:
    """Write an interval of a difference in signed percentage points."""
    return interval_of(interval, points)


def with_sign(value: float | None, digits: int = 2) -> str:
    """Write a difference of plain numbers with its sign; what rounds to 0 is not negative."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", MINUS)


def spread(measure: Mapping[str, Any] | None, write: Callable[[float | None], str] = percent) -> str:
    """Write a mean over seeds with their standard deviation, which one seed does not have."""
    if measure is None:
        return MISSING
    return write(measure["mean"]) if measure["sd"] is None else f"{write(measure['mean'])} ± {write(measure['sd'])}"


def p_value(value: float | None) -> str:
    """Write a p-value, finely enough below 0.1 that the side of 0.05 it is on can be seen."""
    if value is None:
        return MISSING
    if value < 0.0001:
        return "< 0.0001"
    return f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


def by_seed(values: Sequence[float], write: Callable[[float], str]) -> str:
    """Write a number of each seed; of many seeds the lowest and the highest."""
    if len(values) > LISTED:
        return f"{write(min(values))} to {write(max(values))}"
    return ", ".join(map(write, values))
