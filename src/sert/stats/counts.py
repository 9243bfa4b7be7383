"""Rows of counts, put together, added up and shared. What is unknown is None, and so is all that is made of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

Row = dict[str, Any]


def grouped(rows: Iterable[Row], *keys: str) -> list[tuple[Row, list[Row]]]:
    """Put rows together that have the same values of some keys, in the order in which they come."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return [(dict(zip(keys, place, strict=True)), group) for place, group in groups.items()]


def added(rows: Iterable[Mapping[str, Any]], key: str) -> Any:
    """Add up a number of several rows."""
    values = [row[key] for row in rows]
    return None if None in values else sum(values)


def share_of(part: float | None, whole: float | None) -> float | None:
    """Divide a count by that of the whole; None if nothing is there to share."""
    return part / whole if part is not None and whole else None
