"""Which snapshot of a training is reported: the last, the best on the dev split, or the best on the test split."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sert.records import Likelihood, Prediction

EpochChoice = Literal["last", "dev", "test-best"]


class SnapshotOutputs(NamedTuple):
    """One snapshot: the steps that were made until then, and its predictions on dev (where there is one) and test.

    Where possible answers were scored, `likelihoods` are those of the test questions.
    """

    step: int
    dev: Sequence[Prediction] | None
    test: Sequence[Prediction]
    likelihoods: Sequence[Likelihood] = ()


class Chosen(NamedTuple):
    """What one way of choosing comes to: the step, and what the test questions came to at that step."""

    choice: EpochChoice
    step: int
    predictions: Sequence[Prediction]
    likelihoods: Sequence[Likelihood] = ()

    @staticmethod
    def of(choice: EpochChoice, snapshot: SnapshotOutputs) -> "Chosen":
        """Choose a snapshot."""
        return Chosen(choice, snapshot.step, snapshot.test, snapshot.likelihoods)


def choose_epochs(snapshots: Sequence[SnapshotOutputs]) -> list[Chosen]:
    """Choose among the snapshots of one training, at least one and in their order, in every way that is open.

    Of snapshots that are right equally often the earliest is taken. `test-best` chooses by what it then reports, as the
    harness does that the paper's settings come from: its accuracy is too high by design, and only here to be compared.
    """
    chosen = [Chosen.of("last", snapshots[-1])]
    if all(snapshot.dev is not None for snapshot in snapshots):
        best = max(snapshots, key=lambda snapshot: _right(snapshot.dev or ()))
        chosen.append(Chosen.of("dev", best))
    best = max(snapshots, key=lambda snapshot: _right(snapshot.test))
    return [*chosen, Chosen.of("test-best", best)]


def _right(predictions: Sequence[Prediction]) -> int:
    return sum(prediction.correct_loose for prediction in predictions)
