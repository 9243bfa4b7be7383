"""What a report is made of: the numbers, and what is shown of single outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class ShownPath:
    """One mined path as the report shows it.

    Attributes:
        reason: The rule that dropped it, None when it was kept.
        selected: Whether its question is trained on it.
        true: Whether every step of it is true, None where nothing can verify that.
        num_tokens: As the length rule measured it, like `rep_2` and `perplexity`.
        student: Whose path it is; empty where a report has one student.
    """

    task: str
    question_id: str
    question: str
    branch: int
    sample: int
    text: str
    reason: str | None
    selected: bool
    true: bool | None
    num_tokens: int
    rep_2: float
    perplexity: float
    student: str = ""


@dataclass(frozen=True, slots=True)
class ShownPrediction:
    """One graded output on a test question as the report shows it.

    Attributes:
        answer: None when none could be read.
        student: Whose output it is; empty where a report has one student.
    """

    task: str
    method: str
    question_id: str
    question: str
    completion: str
    gold: str
    answer: str | None
    correct: bool
    format_ok: bool
    student: str = ""


class ReportData(NamedTuple):
    """All that a report is a function of: the content of `metrics.json`, and the paths and outputs that are shown."""

    metrics: Mapping[str, Any]
    paths: Sequence[ShownPath] = ()
    predictions: Sequence[ShownPrediction] = ()
