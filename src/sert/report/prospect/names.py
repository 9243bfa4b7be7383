"""What the page of a prospect calls its looks, its decodings and what is measured."""

from sert.report.format import count, decimal
from sert.report.names import Row

LEVELS = {
    "much": "Much to mine",
    "some": "Something to mine",
    "nothing": "Nothing to mine",
    "too few": "Too few to tell",
}
MEASURES = {"perplexity": "perplexity", "num_tokens": "length", "rep_2": "rep-2"}
STANDINGS = {
    "right": "States the right answer",
    "wrong": "States a wrong answer",
    "unread": "Ends, but states no answer that can be read",
    "cut": "Cut at its longest before it states one",
}


def look_name(row: Row) -> str:
    """Name the paths inside a look."""
    kind, name = row["kind"], row["name"]
    if kind == "kept":
        return "kept by all rules"
    if kind == "rule":
        return f"kept by {name.replace('_', ' ')} alone"
    if kind == "branch":
        return f"branch {name}"
    return f"{MEASURES.get(kind, kind)} {_ends(row)} (quarter {name})"


def _ends(row: Row) -> str:
    low, high = (number(row["kind"], end) for end in row["ends"])
    return low if low == high else f"{low} to {high}"


def number(measure: str, value: float | None) -> str:
    """Write a value of a measure; a path without a token has no perplexity."""
    if value is None:
        return "without end"
    return count(round(value)) if measure == "num_tokens" else decimal(value, 2)
