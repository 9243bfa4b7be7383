"""What an examination of a machine or of an endpoint finds."""

from typing import Literal, NamedTuple

Severity = Literal["ok", "warning", "problem", "unknown"]


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        name: What was looked at; one or two words.
        verdict: `problem` spoils a run, `warning` limits it, `unknown` could not be found out.
        message: One line for people: what was seen, what it means for a run, how to mend it. May quote an endpoint.
    """

    name: str
    verdict: Severity
    message: str
