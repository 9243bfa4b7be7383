"""Which snapshot of a training is reported: the last, the best on the dev split, or the best on the test split."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sert.records import Prediction

EpochChoice = Literal["last", "dev", "test-best"]


class SnapshotOutputs(NamedTuple):
    """One snapshot: the steps that were made until then, and its predictions on dev (where there is one) and test."""

    step: int
    dev: Sequence[Prediction] | None
    test: Sequence[Prediction]


class Chosen(NamedTuple):
    """What one way of choosing comes to: the step, and the predictions on the test questions at that step."""

    choice: EpochChoice
    step: int
    predictions: Sequence[Prediction]


def choose_epochs(snapshots: Sequence[SnapshotOutputs]) -> list[Chosen]:
    """Choose among the snapshots of one training, at least one and in their order, in every way that is open.

    Of snapshots that are right equally often the earliest is taken. `test-best` chooses by what it then reports, as the
    harness does that the paper's settings come from: its accuracy is too high by design, and only here to be compared.
    """
    last = snapshots[-1]
    chosen = [Chosen("last", last.step, last.test)]
    if all(snapshot.dev is not None for snapshot in snapshots):
        best = max(snapshots, key=lambda snapshot: _right(snapshot.dev or ()))
        chosen.append(Chosen("dev", best.step, best.test))
    best = max(snapshots, key=lambda snapshot: _right(snapshot.test))
    return [*chosen, Chosen("test-best", best.step, best.test)]


def _right(predictions: Sequence[Prediction]) -> int:
    return sum(prediction.correct_loose for prediction in predictions)
