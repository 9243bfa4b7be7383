"""What a report is made of: the numbers, and what is shown of single paths and outputs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sert.records import Path, Prediction, Question, Verdict


class ShownPath(NamedTuple):
    """One mined path as the report shows it.

    Attributes:
        true: Whether every step of it is true, None where nobody knows.
        student: Whose path it is; empty where a report has one student.
    """

    task: str
    question: Question
    path: Path
    verdict: Verdict
    true: bool | None
    student: str = ""


class ShownPrediction(NamedTuple):
    """One graded output on a test question as the report shows it; `student` as of a path."""

    task: str
    method: str
    question: Question
    prediction: Prediction
    student: str = ""


class ReportData(NamedTuple):
    """All that a report is a function of: the content of `metrics.json`, and the paths and outputs that are shown.

    `explorer` is the name of the page beside it that shows all of them, where there is one.
    """

    metrics: Mapping[str, Any]
    paths: Sequence[ShownPath] = ()
    predictions: Sequence[ShownPrediction] = ()
    explorer: str | None = None
