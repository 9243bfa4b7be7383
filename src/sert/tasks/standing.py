"""The four numbers of any output: whether it states the right answer, a wrong one, none, or was cut before it did."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal, get_args

from sert.records import Path, Prediction, Question
from sert.tasks.answers import extract_strict, is_correct

Standing = Literal["right", "wrong", "unread", "cut"]
STANDINGS: tuple[Standing, ...] = get_args(Standing)
ANSWERED: tuple[Standing, ...] = ("right", "wrong")
"""How outputs stand that state an answer."""


def standing_of(agrees: bool | None, finish: str) -> Standing:
    """Tell how an output stands.

    Args:
        agrees: Whether the answer that it states is the gold one; None where it states none, or two.
        finish: `length` where it was cut at its longest; any other word where it ended.
    """
    if agrees is not None:
        return "right" if agrees else "wrong"
    return "cut" if finish == "length" else "unread"


def standing_of_path(path: Path, question: Question) -> Standing:
    """Read a path strictly, as the rules do."""
    answer = extract_strict(path.text, question)
    return standing_of(None if answer is None else is_correct(answer, question), path.finish)


def standing_of_prediction(prediction: Prediction) -> Standing:
    """Take the strict reading of an output. A question that was too long to be asked has none: it is unread."""
    agrees = None if prediction.answer_strict is None else prediction.correct_strict
    return standing_of(agrees, prediction.finish)


def standing_shares(standings: Iterable[Standing]) -> dict[str, float]:
    """Share outputs, at least one, out among the four: they add up to 1."""
    counts = Counter(standings)
    return {name: counts[name] / counts.total() for name in STANDINGS}
