"""Counts of several rows added up, and shares of them. What is unknown is None, and so is all that is made of it."""

from collections.abc import Iterable, Mapping
from typing import Any


def added(rows: Iterable[Mapping[str, Any]], key: str) -> Any:
    """Add up a number of several rows."""
    values = [row[key] for row in rows]
    return None if None in values else sum(values)


def share_of(part: float | None, whole: float | None) -> float | None:
    """Divide a count by that of the whole; None if nothing is there to share."""
    return part / whole if part is not None and whole else None
