"""What the finished stages of a task left, as tables and figures need it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from sert.analysis.epochs import Chosen, SnapshotOutputs, choose_epochs
from sert.analysis.path_counts import PathCounts, Verifier, count_paths
from sert.config.tree import Config, Method
from sert.records import (
    Gain,
    HeldOutScore,
    Likelihood,
    Path,
    PathKey,
    Prediction,
    Question,
    Rationale,
    Verdict,
)
from sert.store.tables import StoredTable
from sert.tasks.load import TaskData

Paths = Sequence[Path] | StoredTable[Path]
Gains = Sequence[Gain] | StoredTable[Gain]


class MinedRound(NamedTuple):
    """The mined paths of a round and their verdicts, in the same order; may be too many to hold at once.

    Attributes:
        limits: The limits of rules that are percentiles of the paths, as numbers.
    """

    paths: Paths
    verdicts: Sequence[Verdict] | StoredTable[Verdict]
    limits: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class MethodResults:
    """What was measured of one method.

    Attributes:
        snapshots: Its predictions on the test questions, of each snapshot that was tested; at least one.
        training: Counts of its training, none for a student that is not trained.
        epoch_choice: How the snapshot is chosen that comparisons are about.
    """

    snapshots: Sequence[SnapshotOutputs]
    training: Mapping[str, Any] = field(default_factory=dict)
    epoch_choice: str = "last"

    @cached_property
    def choices(self) -> list[Chosen]:
        """The snapshots that are reported; of one that was tested once, only that one."""
        chosen = choose_epochs(self.snapshots)
        return chosen if len(self.snapshots) > 1 else chosen[:1]

    @property
    def primary(self) -> Sequence[Prediction]:
        """The predictions that comparisons are about: of the chosen snapshot, else of the last."""
        return self.reported.predictions

    @property
    def likelihoods(self) -> Sequence[Likelihood]:
        """How probable possible answers are to the same snapshot; none where they were not scored."""
        return self.reported.likelihoods

    @property
    def reported(self) -> Chosen:
        """The snapshot that comparisons are about."""
        return next((each for each in self.choices if each.choice == self.epoch_choice), self.choices[0])

    @property
    def untrained(self) -> bool:
        """Whether there were no examples to train on, so that it is the student it started from."""
        return self.training.get("steps") == 0


@dataclass(frozen=True)
class TaskResults:
    """Everything that was measured on one task.

    Attributes:
        rounds: What SERT was trained on first and last, once where that is the same; none where nothing was mined.
        training: Method -> counts of its training, also of one that others start from and that is not tested.
        held_out: Method -> what its training made of held-out texts, where `training.forgetting` asks for it.
        rationales: Train questions that the teacher answered, None when it was not asked.
        taught: Its rationales, where they were scored.
        gains: What was scored (`mine`, `evaluate-sert`, `teach`) -> the gains, in the order of what they are of.
        probes: Decoding -> paths of the test questions, `probe_samples` a question.
        scored: Decoding -> all paths of the first test questions.
        judged: What a judge said of the outputs (`scores.json`), None when none was asked.
        judged_paths: Decoding -> path in `scored` -> a judge's scores by its criteria; without those that have none.
        verifier: Says whether a path is true, and grades it; only the lab has one.
    """

    task: str
    config: Config
    data: TaskData
    methods: Mapping[Method, MethodResults]
    rounds: Sequence[MinedRound] = ()
    training: Mapping[Method, Mapping[str, Any]] = field(default_factory=dict)
    held_out: Mapping[Method, Sequence[HeldOutScore]] = field(default_factory=dict)
    rationales: int | None = None
    taught: Sequence[Rationale] | StoredTable[Rationale] = ()
    gains: Mapping[str, Gains] = field(default_factory=dict)
    probes: Mapping[str, Paths] = field(default_factory=dict)
    scored: Mapping[str, Paths] = field(default_factory=dict)
    judged: Mapping[str, Any] | None = None
    judged_paths: Mapping[str, Mapping[PathKey, Sequence[float]]] | None = None
    verifier: Verifier | None = None

    @cached_property
    def train(self) -> dict[str, Question]:
        """The train questions by their ids, in their order."""
        return {question.question_id: question for question in self.data.split("train")}

    @cached_property
    def test(self) -> dict[str, Question]:
        """The test questions by their ids, in their order."""
        return {question.question_id: question for question in self.data.split("test")}

    @cached_property
    def mined(self) -> PathCounts | None:
        """Counts of the first round's paths."""
        return self._count(0)

    @cached_property
    def trained_on(self) -> PathCounts | None:
        """Counts of the last round's paths, which SERT was trained on."""
        return self._count(-1) if len(self.rounds) > 1 else self.mined

    def _count(self, place: int) -> PathCounts | None:
        if not self.rounds:
            return None
        paths, verdicts, _ = self.rounds[place]
        counts = count_paths(paths, verdicts, questions=self.train, rules=self.config.rules, verifier=self.verifier)
        return counts if counts.all["paths"] else None
